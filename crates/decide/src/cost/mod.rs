//! What an environment costs a month.
//!
//! A catalogue of prices is data ([`Catalogue`]); what is needed is read off a specification ([`Demand`]); replicas are
//! put on machines ([`pack`]); and every line says what it assumes ([`estimate`]). What has no price is named and never
//! counted as nothing.

mod bill;
mod catalogue;
mod demand;
mod estimate;
mod pack;
pub mod text;

pub use bill::{Bill, bill};
pub use catalogue::{Catalogue, Invalid, Place, Price, Unit};
pub use demand::{Demand, Need, Storage};
pub use estimate::{Estimate, Host, Line, Model, Subject, Terms, Unpriced, compare, estimate};
pub use pack::{Machine, Size, lower_bound, pack, total};

/// Hours of a month, by which providers convert: 365 days of 24 hours in 12 months.
pub const HOURS: u64 = 730;
/// A price is marked when it was read so many days ago.
pub const FRESH_DAYS: i32 = 90;
