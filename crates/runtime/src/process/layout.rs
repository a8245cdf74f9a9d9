//! Where everything of the process runtime is.
//!
//! ```text
//! STATE/artifacts/<hex>/                      snapshots, never changed
//! STATE/process/.addresses.json               addresses of services
//! STATE/process/.tombstones/<time>-…/         removed volumes, kept for seven days
//! STATE/process/.volumes/<name>/              volumes with a name of their own outside
//! STATE/process/<app>/<env>/volumes/<name>/   named volumes
//! STATE/process/<app>/<env>/networks/<name>   networks: only that they were made
//! STATE/process/<app>/<env>/<service>.<ordinal>.<role>/
//!     replica.json  state.json  shim.log      who it is, how it is, what its shim complained of
//!     log  log.1 …                            what it printed
//!     work/                                   its own copy of the snapshot, where it runs
//!     files/                                  configs and secrets, only while it runs
//!     anonymous/  tmp/                        volumes without a name, gone with the replica
//! ```
//!
//! Names of apps, environments, services and volumes are checked when they are parsed: none begins
//! with a dot or holds a slash, so none of these paths leaves its root or meets another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use daybook_model::launch::Role;
use daybook_model::name::{EnvKey, NetworkName, VolumeName};
use daybook_model::{Digest, ReplicaId};

use super::record::role_name;
use crate::Result;
use crate::artifacts::Artifacts;
use crate::files::failed;

/// The paths beneath one state directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    state: PathBuf,
    mark: String,
}

impl Layout {
    /// `state` must exist: two ways to write one directory must give one layout.
    pub(crate) fn new(state: &Path) -> Result<Self> {
        let state = fs::canonicalize(state).map_err(|e| failed("open", state, &e))?;
        let mark = Digest::of(state.as_os_str().as_encoded_bytes()).short().to_owned();
        Ok(Self { state, mark })
    }

    pub(crate) fn artifacts(&self) -> Artifacts {
        Artifacts::of(&self.state)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.state.join("process")
    }

    pub(crate) fn addresses(&self) -> PathBuf {
        self.root().join(".addresses.json")
    }

    pub(crate) fn tombstones(&self) -> PathBuf {
        self.root().join(".tombstones")
    }

    pub(crate) fn environment(&self, key: &EnvKey) -> PathBuf {
        self.root().join(key.app.as_str()).join(key.env.as_str())
    }

    pub(crate) fn volumes(&self, key: &EnvKey) -> PathBuf {
        self.environment(key).join("volumes")
    }

    pub(crate) fn volume(&self, key: &EnvKey, name: &VolumeName) -> PathBuf {
        self.volumes(key).join(name.as_str())
    }

    /// A volume that has a name of its own outside of its environment.
    pub(crate) fn outside_volume(&self, name: &VolumeName) -> PathBuf {
        self.root().join(".volumes").join(name.as_str())
    }

    pub(crate) fn networks(&self, key: &EnvKey) -> PathBuf {
        self.environment(key).join("networks")
    }

    pub(crate) fn network(&self, key: &EnvKey, name: &NetworkName) -> PathBuf {
        self.networks(key).join(name.as_str())
    }

    pub(crate) fn replica(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> ReplicaDir {
        ReplicaDir(self.environment(key).join(format!("{id}.{}", role_name(role))))
    }

    /// Held while a replica of the service is made, started or removed. One for each service, so that
    /// their number is bounded: a lock's file cannot be removed safely.
    pub(crate) fn lock(&self, key: &EnvKey, id: &ReplicaId) -> PathBuf {
        self.environment(key).join(format!(".{}.lock", id.service))
    }

    /// The directories of an environment's replicas, whatever is in them.
    pub(crate) fn replicas(&self, key: &EnvKey) -> Result<Vec<ReplicaDir>> {
        let entries = names_in(&self.environment(key))?;
        let replicas = entries.iter().filter(|name| is_replica_name(name));
        Ok(replicas.map(|name| ReplicaDir(self.environment(key).join(name))).collect())
    }

    /// Environments that have a directory.
    pub(crate) fn environments(&self) -> Result<Vec<EnvKey>> {
        let mut keys = Vec::new();
        for app in names_in(&self.root())? {
            for env in names_in(&self.root().join(&app))? {
                keys.extend(format!("{app}/{env}").parse::<EnvKey>());
            }
        }
        Ok(keys)
    }

    /// Every abstract socket of this environment's shims begins with this.
    pub(crate) fn socket_prefix(&self, key: &EnvKey) -> String {
        format!("{}{}/", self.all_sockets_prefix(), Digest::of(key.to_string().as_bytes()).short())
    }

    /// Every abstract socket of a shim of this state directory begins with this.
    pub(crate) fn all_sockets_prefix(&self) -> String {
        format!("daybook-shim/{}/", self.mark)
    }

    /// The name of a replica's abstract socket. It is a hash because names may be longer than a
    /// socket's may be.
    pub(crate) fn socket(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> String {
        let name = Digest::of(format!("{id}.{}", role_name(role)).as_bytes());
        format!("{}{}", self.socket_prefix(key), &name.hex()[..32])
    }

    /// Where a replica's control groups are, beneath the root of each hierarchy.
    pub(crate) fn cgroup(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> PathBuf {
        let place = format!("daybook/{}/{}/{}/{id}.{}", self.mark, key.app, key.env, role_name(role));
        PathBuf::from(place)
    }
}

fn is_replica_name(name: &str) -> bool {
    let Some((id, role)) = name.rsplit_once('.') else { return false };
    matches!(role, "main" | "hook" | "job" | "one_off") && id.parse::<ReplicaId>().is_ok()
}

/// The names in a directory, sorted; none when the directory is not there.
pub(crate) fn names_in(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed("read", directory, &error)),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    Ok(names)
}

/// The directory of one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplicaDir(pub(crate) PathBuf);

impl ReplicaDir {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("replica.json")
    }

    pub(crate) fn life(&self) -> PathBuf {
        self.0.join("state.json")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(crate) fn shim_log(&self) -> PathBuf {
        self.0.join("shim.log")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.0.join("files")
    }

    pub(crate) fn anonymous(&self) -> PathBuf {
        self.0.join("anonymous")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.0.join("tmp")
    }
}

/// The `number`th file of a log; 0 is the one that is written to, the others are older.
pub(crate) fn numbered(log: &Path, number: u32) -> PathBuf {
    if number == 0 { log.to_owned() } else { log.with_extension(number.to_string()) }
}
