//! The files by which other platforms run an app, as a manifest.
//!
//! Each module reads one platform's own format into an [`app::App`], which writes it all down. Nothing that a file
//! names is looked at: a directory to build, a script, a registry.

mod app;
mod databases;
mod fly;
mod heroku;
mod kamal;
mod parts;
mod render;
mod score;
mod sources;
mod words;

pub use fly::fly;
pub use heroku::heroku;
pub use kamal::kamal;
pub use render::render;
pub use score::score;
