//! The nouns of Daybook: plain data, no I/O.
//!
//! Every other crate speaks in these types. Nothing here reads a clock, a file or a socket, and
//! nothing here decides anything: constructors check shapes, and that is all.

pub mod backup;
pub mod clone;
pub mod database;
pub mod event;
pub mod fingerprint;
pub mod forward;
pub mod id;
pub mod incident;
pub mod launch;
pub mod masking;
pub mod money;
pub mod name;
pub mod notify;
pub mod observed;
pub mod oncall;
pub mod plan;
pub mod policy;
pub mod quantity;
pub mod rare;
pub mod release;
pub mod remedy;
pub mod route;
pub mod rules;
pub mod secrecy;
pub mod spec;
pub mod status_page;
pub mod target;
pub mod traffic;
pub mod trouble;
pub mod upgrade;
pub mod vault;

pub use backup::BackupId;
pub use database::Database;
pub use event::{Actor, Entry, Event, RunKind, Verdict};
pub use id::{Digest, PlanId, ReleaseNumber, ReplicaId, RunId, StepId};
pub use incident::{Alert, IncidentId, Severity};
pub use jiff::Timestamp;
pub use launch::Launch;
pub use name::{
    AppName, ChannelName, DatabaseName, EnvKey, EnvName, InvalidName, NetworkName, SecretName, ServiceName, TargetName,
    VolumeName,
};
pub use observed::{Observed, ReplicaState, SeenReplica};
pub use plan::{Action, Cause, Effect, Plan, Step};
pub use release::Release;
pub use route::{Backend, EnvRoutes, RouteTable};
pub use spec::{Service, Spec};
pub use target::Target;
pub use vault::Vault;
