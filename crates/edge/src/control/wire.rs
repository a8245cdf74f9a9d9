//! What goes over the control socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How an edge does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub program: String,
    /// The version of the table in force.
    pub table_version: u64,
    /// Its process.
    pub pid: u32,
    /// 1 for an edge that was started afresh; one more for each hand-over.
    pub generation: u64,
    /// Where it listens, or could not.
    pub listeners: Vec<ListenerStatus>,
    /// Its certificates.
    pub certificates: CertificateStatus,
    /// Requests and connections by route of the table in force, as `app/environment/service host/path` or `… address`.
    pub hits: BTreeMap<String, u64>,
    /// Lines of the access log that were dropped because the disk did not keep up.
    pub log_lines_dropped: u64,
    /// What was wrong with the kept tables when it started.
    pub damage: Vec<String>,
}

/// One address that the edge listens at, or was told to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// `http`, `https`, or `entry` for an address of the table.
    pub kind: String,
    /// The address.
    pub address: SocketAddr,
    /// Why it does not listen there.
    pub error: Option<String>,
}

/// What the edge has for TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// The development authority's certificate.
    pub authority: PathBuf,
    /// Certificates from files.
    pub files: Vec<String>,
}

/// Asks for the next generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upgrade {
    pub(crate) exe: PathBuf,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) kind: String,
    pub(crate) message: String,
}
