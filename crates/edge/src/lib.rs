//! The proxy in front of all replicas: the data plane, a process of its own.
//!
//! [`serve`] is that process. It serves by one whole, versioned [`RouteTable`](daybook_model::RouteTable) at a
//! time, which it takes over its control socket, persists, and swaps to; it serves on when whoever set the
//! table is gone. [`Client`] speaks to it, and [`ensure_running`] starts it.
//!
//! - `routing` decides (which route, which endpoint, whether it may be used) and does no I/O.
//! - `state`, `backend` and `counters` hold what connections share.
//! - `http`, `tcp`, `tls` and `listeners` face clients; `upstream` faces replicas.
//! - `workers` are the threads that connections live on.
//! - `edge`, `persist`, `control` and `generation` change tables and hand over to the next process.
//!
//! What never happens: a table in force that is not on disk; a request at an endpoint that is not counted
//! there; a request forwarded that two servers could read in two ways; a body held in memory.
//!
//! Plain HTTP: a domain whose certificate comes from files is redirected to HTTPS (308). One whose
//! certificate is internal, or that has none, is served over plain HTTP too, since clients do not trust the
//! development authority by themselves.

mod access_log;
mod backend;
mod config;
mod control;
mod counters;
mod edge;
mod generation;
mod http;
mod limits;
mod listeners;
mod packed;
mod persist;
mod ports;
mod routing;
mod serve;
mod start;
mod state;
mod tcp;
mod tls;
mod unreachable;
mod upstream;
mod workers;

pub use config::{Config, ConfigError};
pub use control::client::{Client, ClientError, Connection, Dial};
pub use control::wire::{CertificateStatus, ListenerStatus, Status};
pub use limits::Limits;
pub use listeners::{BindError, Place};
pub use packed::{pack, unpack};
pub use routing::table::TableError;
pub use serve::{ServeError, serve};
pub use start::{StartError, ensure_running};
pub use tls::files::CertificateError;
pub use tls::from_files::{FileTls, TlsStream};
