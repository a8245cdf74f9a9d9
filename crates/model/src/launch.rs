//! Everything a runtime needs to start one replica.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::database::DatabaseServer;
use crate::fingerprint::Fingerprint;
use crate::id::{Digest, ReleaseNumber, ReplicaId, RunId};
use crate::name::{EnvKey, NetworkName, VolumeName};
use crate::spec::{Check, CheckTest, Container, Kind, Port, Restart, Service, Spec, Stop};

/// One replica to be started: a service's configuration with secrets and addresses filled in.
///
/// The values of secrets are here, so a `Launch` is never journaled, logged or sent over the API;
/// it does not implement `Debug` for that reason.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The environment it belongs to.
    pub key: EnvKey,
    /// Its name.
    pub id: ReplicaId,
    /// What it is part of a service for.
    pub role: Role,
    /// The release that asked for it.
    pub release: ReleaseNumber,
    /// The run that starts it.
    pub run: RunId,
    /// Identity of its configuration.
    pub fingerprint: Fingerprint,
    /// The resolved artifact: an image, or the snapshot of a directory.
    pub artifact: Digest,
    /// Reference of the image, for people and for runtimes that find images by name.
    pub image: Option<String>,
    /// The database server that it is to be, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Box<DatabaseServer>>,
    /// Configuration. Its `environment` is superseded by [`Launch::environment`].
    pub container: Container,
    /// Environment variables, values filled in.
    pub environment: Vec<(String, String)>,
    /// Files to be there, content filled in.
    pub files: Vec<LaunchFile>,
    /// Names of other services and the addresses where the edge answers for them.
    pub hosts: Vec<(String, IpAddr)>,
    /// Ports it listens on.
    pub ports: Vec<Port>,
    /// Its check; runtimes run [`crate::spec::CheckTest::Command`] inside the replica.
    pub check: Check,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// How it is asked to end.
    pub stop: Stop,
    /// What its volumes and networks are called outside, where the runtime must not make the name.
    #[serde(default)]
    pub outside: OutsideNames,
}

impl Launch {
    /// Fits it to its role: a hook runs another command, and nothing that runs once is started again.
    pub fn fit(&mut self, service: &Service) {
        if self.role == Role::Hook
            && let Some(hook) = &service.release_hook
        {
            self.container.entrypoint = None;
            self.container.command = Some(hook.clone());
        }
        if self.role != Role::Main || !matches!(service.kind, Kind::Service) {
            self.restart = Restart::No;
            self.check.test = CheckTest::Disabled;
        }
        if self.role != Role::Main {
            self.ports.clear();
        }
    }
}

/// Names that volumes and networks have outside of the environment: of every external one, and of
/// those that the manifest gives a name of their own (`name:`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct OutsideNames {
    /// By the volume's name in the manifest.
    pub volumes: BTreeMap<VolumeName, String>,
    /// By the network's name in the manifest.
    pub networks: BTreeMap<NetworkName, String>,
}

impl OutsideNames {
    /// Those of a spec.
    pub fn of(spec: &Spec) -> Self {
        let volumes = spec.volumes.iter().filter_map(|(name, volume)| {
            let outside = volume.outside_name.clone().or_else(|| volume.external.then(|| name.to_string()))?;
            Some((name.clone(), outside))
        });
        let networks = spec.networks.iter().filter_map(|(name, network)| {
            let outside = network.outside_name.clone().or_else(|| network.external.then(|| name.to_string()))?;
            Some((name.clone(), outside))
        });
        Self { volumes: volumes.collect(), networks: networks.collect() }
    }
}

/// What a replica is part of a service for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Serves, works, or completes a task: counted by the plan.
    Main,
    /// Runs a release hook once.
    Hook,
    /// One run of a scheduled job.
    Job,
    /// One `daybook run`, asked for by a person.
    OneOff,
}

/// A file with its content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchFile {
    /// Absolute path inside the replica.
    pub target: String,
    /// What it holds.
    pub content: Vec<u8>,
    /// Owner, numeric.
    pub uid: Option<u32>,
    /// Group, numeric.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: u32,
}
