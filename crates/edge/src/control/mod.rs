//! The control socket: HTTP/1.1 and JSON over a Unix socket that only its owner may open.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod wire;

/// The name in the edge's directory of the socket that is in force.
pub(crate) const SOCKET: &str = "control.sock";
