//! The control plane: API, timers, ownership of the state.
//!
//! [`serve`] is the process. It owns the state directory alone (`server.lock`), answers the API on
//! `daybook.sock`, and may be stopped, killed or upgraded at any time: what serves users is the edge and
//! the replicas, which are not its children.
//!
//! - `routes` holds one handler for each path; `request` and `error` are what they read and refuse with.
//! - `change` says what a change leads to, `runs` plans it and begins it, `drivers` carries runs out.
//! - `jobs`, `heal` and `adopt` are what happens without anyone asking. They only wake the one path.
//! - `backups` makes, proves and restores backups of databases.
//! - [`state_backup`] does that for our own state.
//! - `shared` is one of several servers over one database; `election` and `term` are who leads, and until when.
//! - `observe` measures what goes on, answers questions about it, and finds what hurts; `incidents` are what becomes of that.
//! - `status_pages` writes what the public sees of it; `receive` is where other tools tell of alerts.
//! - `view` puts what is recorded and observed into the API's words.
//! - [`policy`] judges what a manifest makes of an environment.
//! - `sealing` keeps secrets out of all of it.

mod adopt;
mod app;
mod approvals;
#[cfg(feature = "databases")]
mod backups;
#[cfg(not(feature = "databases"))]
#[path = "backups/none.rs"]
mod backups;
mod change;
#[cfg(feature = "databases")]
mod databases;
#[cfg(not(feature = "databases"))]
#[path = "databases/none.rs"]
mod databases;
mod doctor;
mod drivers;
mod edge;
mod edge_router;
mod election;
mod error;
mod events;
mod exec;
#[cfg(test)]
mod fixture;
mod fleet;
mod heal;
#[cfg(feature = "observe")]
mod incidents;
mod jobs;
mod lock;
mod logs;
mod manifest;
mod moves;
#[cfg(feature = "observe")]
mod observe;
#[cfg(not(feature = "observe"))]
#[path = "observe/none.rs"]
mod observe;
#[cfg(feature = "observe")]
mod oncall;
mod one_off;
pub mod policy;
mod receive;
mod request;
mod routes;
pub mod rules;
mod runs;
mod sealing;
mod secrets;
mod serve;
mod shared;
#[cfg(feature = "observe")]
mod silences;
mod socket;
mod space;
#[cfg(feature = "databases")]
pub mod state_backup;
mod status_pages;
mod term;
mod traffic;
mod unresolved;
mod vault;
mod view;
mod why;
mod world;

pub use app::{App, Parts};
#[cfg(feature = "databases")]
pub use databases::view as database_view;
pub use daybook_store::{KeyForm, KeySource, SHORTEST_PASSPHRASE, key_form, passphrase_in, seal_key};
pub use edge::Edge;
pub use receive::{Certificate, Receive};
pub use routes::openapi;
pub use serve::{Config, ServeError, serve};
pub use shared::Shared;
pub use socket::{Listener, answer};
pub use world::RuntimeChoice;
