//! Choosing what runs replicas, once for a state directory.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use daybook_runtime::docker::{self, DockerRuntime};
use daybook_runtime::process::{self, ProcessRuntime};
use daybook_runtime::{Error, ErrorKind, Result, Runtime};

/// What runs replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// What this state directory has used so far; at first Docker or Podman where one answers, plain
    /// processes otherwise.
    Auto,
    /// Plain processes.
    Process,
    /// Docker or Podman.
    Docker,
}

impl std::str::FromStr for RuntimeChoice {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "process" => Ok(Self::Process),
            "docker" | "podman" => Ok(Self::Docker),
            other => Err(format!("`{other}` is no runtime: use auto, process or docker")),
        }
    }
}

/// Opens the runtime. The choice is kept in `state/runtime`: a daemon that appears later does not take
/// over from what runs.
pub(crate) async fn open(state: &Path, choice: RuntimeChoice, exe: &Path) -> Result<Arc<dyn Runtime>> {
    let kept = std::fs::read_to_string(state.join("runtime")).ok().and_then(|text| text.trim().parse().ok());
    let choice = if choice == RuntimeChoice::Auto { kept.unwrap_or(choice) } else { choice };
    let (runtime, chosen): (Arc<dyn Runtime>, &str) = match choice {
        RuntimeChoice::Process => (Arc::new(open_process(state, exe)?), "process"),
        RuntimeChoice::Docker => (Arc::new(open_docker(state).await?), "docker"),
        RuntimeChoice::Auto => match open_docker(state).await {
            Ok(docker) => (Arc::new(docker), "docker"),
            Err(error) => {
                tracing::info!(%error, "no container runtime: replicas are plain processes");
                (Arc::new(open_process(state, exe)?), "process")
            }
        },
    };
    let kept = keep(state, &format!("{chosen}\n"));
    kept.map_err(|error| Error::new(ErrorKind::Internal, "keep the choice of a runtime", error))?;
    Ok(runtime)
}

/// Keeps the choice whole or not at all: one that is lost with the power could be made otherwise the next time.
fn keep(state: &Path, chosen: &str) -> std::io::Result<()> {
    let path = state.join("runtime");
    if std::fs::read_to_string(&path).is_ok_and(|kept| kept == chosen) {
        return Ok(());
    }
    let temporary = state.join("runtime.new");
    let mut file = File::create(&temporary)?;
    file.write_all(chosen.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, &path)?;
    File::open(state)?.sync_all()
}

async fn open_docker(state: &Path) -> Result<DockerRuntime> {
    DockerRuntime::connect(docker::Config { socket: None, state: state.to_owned(), logins: None }).await
}

/// Replicas may run as other users, who pass through the state directory to their own.
fn open_process(state: &Path, exe: &Path) -> Result<ProcessRuntime> {
    let passable = std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o711));
    passable.map_err(|error| Error::new(ErrorKind::Internal, "open the state directory", error))?;
    let shim = vec![exe.to_string_lossy().into_owned(), "shim".to_owned()];
    ProcessRuntime::new(process::Config { state: state.to_owned(), shim })
}
