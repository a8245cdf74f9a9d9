//! Text to a specification, with located diagnostics.
//!
//! [`Bundle::collect`] reads a manifest and every file that it needs; it is the only part that touches
//! the outside. [`load`] makes a [`daybook_model::Spec`] of a bundle, and is pure: the same bundle and
//! options give the same specification and the same diagnostics, on whichever machine.
//!
//! The way of a manifest: `yaml` makes a tree with places, `interpolate` fills in variables,
//! `document` merges files, environments and `extends`, `keys` compares the tree with the tables of
//! all keys, `lower` makes the specification, `check` looks at it as a whole.
//!
//! [`init`] proposes a manifest for a directory, [`import`] makes one of what others describe.

mod bundle;
mod check;
mod codes;
mod context;
mod diagnostic;
mod document;
mod dotenv;
mod edit;
mod extend;
mod fleet;
mod interpolate;
mod keys;
mod landing;
mod load;
mod lower;
mod merge;
mod policy;
mod render;
mod schema;
mod secrets;
mod suggest;
mod tree;
mod units;
mod words;
mod yaml;

pub mod import;
pub mod init;

pub use bundle::{Bundle, Cipher, Open, fits};
pub use codes::{Explanation, codes, explain};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use dotenv::assignments;
pub use edit::{Edited, Texts, edit};
pub use fleet::Fleet;
pub use landing::{LandingZone, Template};
pub use load::{Aim, EnvironmentSettings, Loaded, Options, load};
pub use render::render;
pub use schema::{SCHEMA, generate as generate_schema};
pub use secrets::secret_of;
pub use units::span_ms;
