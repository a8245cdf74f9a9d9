//! Where the edge sends requests.
//!
//! A [`RouteTable`] is whole and versioned: the edge takes one, persists it, swaps to it, and only
//! then acknowledges it. There are no deltas.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::id::ReplicaId;
use crate::name::{EnvKey, ServiceName};
use crate::spec::{Check, Tls};

/// Whether an address belongs to a service rather than to the machine: the ranges from which runtimes
/// give services addresses of their own (a part of loopback; the range that RFC 2544 sets apart).
pub fn is_service_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            (a == 127 && (64..128).contains(&b)) || (a == 198 && (18..20).contains(&b))
        }
        IpAddr::V6(_) => false,
    }
}

/// Everything one edge serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct RouteTable {
    /// Grows with each change. The edge refuses a table that is not newer than the one it has.
    pub version: u64,
    /// The routes of each environment.
    pub environments: BTreeMap<EnvKey, EnvRoutes>,
}

/// What the edge serves for one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct EnvRoutes {
    /// One entry for each service that the edge stands in front of.
    pub backends: BTreeMap<ServiceName, Backend>,
}

/// How requests reach one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Where requests for it come in.
    pub entries: Vec<Entry>,
    /// Who answers them.
    pub target: Target,
    /// What the edge asks of each endpoint, all the time.
    pub check: Check,
    /// No request is failed for want of an endpoint while this is set: it waits, up to this many
    /// milliseconds. Set during a rollout that stops first, and at each start of the edge until the
    /// first answer of a check.
    pub hold_ms: Option<u64>,
    /// How long requests in flight may take to end when an endpoint leaves, milliseconds.
    pub drain_ms: u64,
}

/// Where requests for a service come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Requests for a host and path on the edge's public HTTP and HTTPS listeners.
    Domain {
        /// Host name, `*.example.com`, or `*`.
        host: String,
        /// Path prefix.
        path: String,
        /// Container port it leads to.
        port: u16,
        /// Certificate.
        tls: Tls,
    },
    /// Everything that arrives at an address of this machine: published ports, and the address by
    /// which other services of the environment reach this one.
    Address {
        /// Address to listen on.
        listen: SocketAddr,
        /// Container port it leads to.
        port: u16,
        /// What is spoken.
        speaks: Speaks,
    },
}

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaks {
    /// HTTP, request by request.
    Http,
    /// Bytes, connection by connection.
    Tcp,
    /// HTTP if the first bytes of the client say so. A client that says nothing at first is
    /// forwarded as bytes after a short wait.
    Detect,
}

/// Who answers requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Replicas.
    Endpoints(Vec<Endpoint>),
    /// Files beneath an absolute directory, served by the edge.
    Files {
        /// The directory.
        root: String,
    },
}

/// One replica as the edge reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Which replica.
    pub replica: ReplicaId,
    /// Container port to address.
    pub ports: BTreeMap<u16, SocketAddr>,
    /// Share of new requests relative to the other endpoints. 0: warm, checked, given nothing new.
    pub weight: u32,
}
