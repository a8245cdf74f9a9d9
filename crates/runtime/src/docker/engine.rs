//! The connection to a daemon, and what is known about it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, Docker};

use super::error::failed;
use crate::{Error, ErrorKind, Result, UNAVAILABLE_AFTER};

/// The oldest API that everything here works with: Docker Engine 20.10, Podman 4.
const OLDEST_API: (usize, usize) = (1, 41);

/// A daemon that answered once.
#[derive(Clone)]
pub(super) struct Engine {
    /// The client; its calls end after [`UNAVAILABLE_AFTER`].
    pub(super) docker: Docker,
    /// Whose daemon it is.
    pub(super) flavour: Flavour,
    /// How this machine reaches containers.
    pub(super) reach: Reach,
    /// Whether memory limits are kept.
    pub(super) memory_limits: bool,
    /// Cores of the machine.
    pub(super) cores: u64,
    /// Bytes of memory of the machine.
    pub(super) memory: u64,
}

/// Whose daemon it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Docker Engine.
    Docker,
    /// Podman.
    Podman,
}

impl Flavour {
    /// The runtime's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// How this machine reaches containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// At their addresses on bridges of this machine.
    Bridge,
    /// Only at ports published on 127.0.0.1: the daemon is rootless, or in a virtual machine.
    Published,
}

impl Engine {
    pub(super) async fn connect(socket: Option<&Path>) -> Result<Self> {
        let (host, run_dir) = (std::env::var("DOCKER_HOST").ok(), std::env::var("XDG_RUNTIME_DIR").ok());
        let socket = find_socket(socket, host.as_deref(), run_dir.as_deref())?;
        let operation = format!("connect to {}", socket.display());
        let path = socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&path, UNAVAILABLE_AFTER.as_secs(), API_DEFAULT_VERSION);
        let docker = docker.map_err(|e| failed(operation.as_str(), &e).hint("start the daemon, or set DOCKER_HOST"))?;
        let docker = docker.negotiate_version().await.map_err(|e| failed(operation.as_str(), &e))?;
        let version = docker.version().await.map_err(|e| failed(operation.as_str(), &e))?;
        let info = docker.info().await.map_err(|e| failed(operation.as_str(), &e))?;
        let engine = Self {
            flavour: flavour(&version),
            reach: reach(&info),
            memory_limits: info.memory_limit.unwrap_or(false),
            cores: u64::try_from(info.ncpu.unwrap_or(1)).unwrap_or(1).max(1),
            memory: u64::try_from(info.mem_total.unwrap_or(0)).unwrap_or(0),
            docker,
        };
        if engine.has_api(OLDEST_API.0, OLDEST_API.1) {
            return Ok(engine);
        }
        let message = format!("the daemon's API is {}", engine.docker.client_version());
        Err(Error::new(ErrorKind::Refused, operation, message).hint("upgrade to Docker Engine 20.10 or Podman 4"))
    }

    /// Whether the API that was agreed on is at least this version.
    pub(super) fn has_api(&self, major: usize, minor: usize) -> bool {
        let version = self.docker.client_version();
        (version.major_version, version.minor_version) >= (major, minor)
    }

    /// The same daemon, given more time for one call.
    pub(super) fn patient(&self, wait: Duration) -> Docker {
        self.docker.clone().with_timeout(wait.max(UNAVAILABLE_AFTER))
    }

    /// Name and versions, if the daemon answers now.
    pub(super) async fn check(&self) -> Result<String> {
        let version = self.docker.version().await.map_err(|e| failed("ask the daemon for its version", &e))?;
        let name = if self.flavour == Flavour::Podman { "Podman" } else { "Docker Engine" };
        let number = version.version.unwrap_or_else(|| "of unknown version".to_owned());
        Ok(format!("{name} {number}, API {}", self.docker.client_version()))
    }
}

/// The first socket that is there. An explicit one is taken as it is.
fn find_socket(explicit: Option<&Path>, docker_host: Option<&str>, run_dir: Option<&str>) -> Result<PathBuf> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    if let Some(host) = docker_host.filter(|host| !host.is_empty()) {
        return host.strip_prefix("unix://").map(PathBuf::from).ok_or_else(|| {
            Error::new(ErrorKind::Refused, format!("connect to DOCKER_HOST={host}"), "it is no Unix socket")
                .hint("Daybook runs beside the daemon: set DOCKER_HOST=unix:///path/to/docker.sock")
        });
    }
    let usual = usual_sockets(run_dir);
    usual.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let places: Vec<_> = usual.iter().map(|path| path.display().to_string()).collect();
        Error::new(ErrorKind::Unavailable, "find a Docker or Podman socket", format!("none of {}", places.join(", ")))
            .hint("start Docker, or `podman system service`, or set DOCKER_HOST")
    })
}

fn usual_sockets(run_dir: Option<&str>) -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(run_dir) = run_dir.map(Path::new) {
        sockets.extend([run_dir.join("docker.sock"), run_dir.join("podman/podman.sock")]);
    }
    sockets.push(PathBuf::from("/run/podman/podman.sock"));
    sockets
}

fn flavour(version: &SystemVersion) -> Flavour {
    let components = version.components.as_deref().unwrap_or_default();
    let podman = components.iter().any(|component| component.name.starts_with("Podman"));
    if podman { Flavour::Podman } else { Flavour::Docker }
}

fn reach(info: &SystemInfo) -> Reach {
    let rootless = info.security_options.iter().flatten().any(|option| option == "name=rootless");
    let desktop = info.operating_system.as_deref() == Some("Docker Desktop");
    if rootless || desktop || !cfg!(target_os = "linux") { Reach::Published } else { Reach::Bridge }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_socket_goes_before_docker_host() {
        let found = find_socket(Some(Path::new("/a")), Some("unix:///b"), None).unwrap();
        assert_eq!(found, Path::new("/a"));
        let found = find_socket(None, Some("unix:///b"), None).unwrap();
        assert_eq!(found, Path::new("/b"));
    }

    #[test]
    fn a_docker_host_elsewhere_is_refused_with_a_hint() {
        let error = find_socket(None, Some("tcp://10.0.0.1:2375"), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(error.hint.unwrap().contains("unix://"));
    }

    #[test]
    fn rootless_daemons_are_reached_at_published_ports() {
        let rootless = SystemInfo { security_options: Some(vec!["name=rootless".into()]), ..Default::default() };
        assert_eq!(reach(&rootless), Reach::Published);
        assert_eq!(reach(&SystemInfo::default()), Reach::Bridge);
    }
}
