//! Lines that replicas print: what they say, and where they are kept and searched.
//!
//! A [`Line`] has a time, a [`Stream`] it comes from, perhaps a [`Level`], and a text that is never changed; [`parse`] finds in it
//! what it says. A [`query::Query`] says which lines are searched for, and has a form that people write. A [`store`] keeps lines on
//! disk, compressed and bounded, and finds them.
//!
//! Secrets are taken out before lines come here: the store believes what it is given, and shows it to whoever asks.

mod bytes;
mod grams;
mod level;
mod line;
pub mod parse;
pub mod query;
pub mod store;
mod stream;

pub use level::{Level, Levels};
pub use line::{BadPosition, Field, Kept, Line, Position};
pub use stream::{LABELS, Stream};
