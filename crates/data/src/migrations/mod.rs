//! Migrations of databases, by the rules of Flyway: its names, checksums, history and locks. A database that Flyway has
//! managed can be continued, and the other way round.
//!
//! `standing` decides what is to be run and what is wrong, by the files (`set`) and the history (`history`) alone. `run`
//! does it, on a [`server`].

pub mod checksum;
pub mod error;
pub mod history;
pub(crate) mod mysql;
pub mod name;
pub mod placeholder;
pub(crate) mod postgres;
mod prepared;
mod repair;
pub mod run;
pub mod script;
pub mod server;
pub mod set;
pub mod standing;
mod undo;
pub mod version;
