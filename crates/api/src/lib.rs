//! Wire types, the HTTP client, and the OpenAPI document's schemas.
//!
//! One module for each resource; every type has a `utoipa` schema. Wire types convert from model
//! types here, so that the model stays free to change: ids and names travel as strings, times as
//! RFC 3339, durations as whole milliseconds. Unknown fields are ignored on both sides, so that a
//! client and a server of neighbouring versions understand each other.

pub mod approval;
pub mod backup;
pub mod change;
pub mod channel;
pub mod client;
pub mod clone;
pub mod database;
pub mod doctor;
pub mod environment;
pub mod error;
pub mod event;
pub mod exec;
pub mod history;
pub mod incident;
pub mod journal;
pub mod logs;
pub mod oncall;
pub mod oneoff;
pub mod plan;
pub mod query;
pub mod rules;
pub mod run;
pub mod secret;
pub mod silence;
pub mod status;
pub mod target;
pub mod top;
pub mod trace;
pub mod upgrade;
pub mod version;
pub mod why;

pub use client::Client;
pub use error::{ErrorBody, ErrorCode};

/// Name of the header in which a client says which way in it is: `cli` or `api`.
pub const ORIGIN_HEADER: &str = "x-daybook-origin";

/// Name of the socket inside the state directory.
pub const SOCKET_NAME: &str = "daybook.sock";
