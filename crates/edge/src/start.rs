//! Starting an edge as a process of its own.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::config::Config;
use crate::control::client::Client;
use crate::unreachable;

/// Why an edge could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something of the system failed.
    #[error("{operation}: {source}")]
    Io {
        /// What was tried.
        operation: String,
        /// What the system said.
        source: io::Error,
    },
    /// The process ended before it served.
    #[error("the edge ended at once ({status}); the end of {log}:\n{tail}")]
    Ended {
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The process runs and does not answer.
    #[error("the edge did not answer within {} s; see {log}", START_WITHIN.as_secs())]
    Silent {
        /// Its log.
        log: PathBuf,
    },
}

/// How long a new edge may take until it answers.
const START_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A client of the edge of `state`, which is started as `exe edge …` if none answers: detached, in a session of
/// its own, with its output in `state/edge/edge.log`. When several callers come at once, one starts it and all
/// get it. `http` and `https` are where the new edge serves; one that runs already stays where it is.
pub async fn ensure_running(
    exe: &Path,
    state: &Path,
    http: &[SocketAddr],
    https: &[SocketAddr],
) -> Result<Client, StartError> {
    let client = Client::new(state);
    if client.status().await.is_ok() {
        return Ok(client);
    }
    let absolute = std::path::absolute(state);
    let state =
        absolute.map_err(|source| StartError::Io { operation: "find the state directory".to_owned(), source })?;
    let config = Config { http: http.to_vec(), https: https.to_vec(), detached: true, ..Config::new(state) };
    let directory = make_directory(&config)?;
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(directory.join("start.lock"));
    let lock = lock.map_err(|source| StartError::Io { operation: "open start.lock".to_owned(), source })?;
    let deadline = Instant::now() + 2 * START_WITHIN;
    while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > deadline {
            return Err(StartError::Silent { log: log_of(&config) });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    if client.status().await.is_ok() {
        return Ok(client);
    }
    unreachable::end(&config).await;
    let operation = format!("start {}", exe.display());
    let mut child = spawn(exe, &config).map_err(|source| StartError::Io { operation, source })?;
    wait_until_it_answers(&client, &mut child, &config).await?;
    Ok(client)
}

async fn wait_until_it_answers(client: &Client, child: &mut Child, config: &Config) -> Result<(), StartError> {
    let log = log_of(config);
    let deadline = Instant::now() + START_WITHIN;
    while client.status().await.is_err() {
        if let Ok(Some(status)) = child.try_wait() {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(10)..].join("\n");
            return Err(StartError::Ended { status: status.to_string(), log, tail });
        }
        if Instant::now() > deadline {
            return Err(StartError::Silent { log });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// The edge's own directory, made if it is missing. Only its owner may look into it.
pub(crate) fn make_directory(config: &Config) -> Result<PathBuf, StartError> {
    let directory = config.directory();
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    // A table in the directory survives power loss only if the directory's own name does.
    let made = made.and_then(|()| File::open(&config.state)?.sync_all());
    made.map_err(|source| StartError::Io { operation: format!("make {}", directory.display()), source })?;
    Ok(directory)
}

/// A process that is started here and lives on after us.
pub(crate) struct Child(Option<std::process::Child>);

impl Child {
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.as_mut().map_or(Ok(None), std::process::Child::try_wait)
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), std::process::Child::kill)
    }
}

impl Drop for Child {
    /// Someone must wait for it, or it stays as a zombie when it ends.
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let waiter = std::thread::Builder::new().name("edge-waiter".to_owned()).stack_size(64 * 1024);
            let _ = waiter.spawn(move || child.wait());
        }
    }
}

/// Starts `exe edge …` with its output in the log.
pub(crate) fn spawn(exe: &Path, config: &Config) -> io::Result<Child> {
    let log = open_log(&log_of(config))?;
    let mut command = Command::new(exe);
    command.arg("edge").args(config.arguments()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.current_dir("/");
    command.spawn().map(|child| Child(Some(child)))
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn log_of(config: &Config) -> PathBuf {
    config.directory().join("edge.log")
}
