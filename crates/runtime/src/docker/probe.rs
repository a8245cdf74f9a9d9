//! Asking a check of a container.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bollard::Docker;
use daybook_model::SeenReplica;
use daybook_model::name::EnvKey;
use daybook_model::spec::{Check, CheckTest};
use futures::StreamExt;

use super::exec::exit_code;
use super::{DockerRuntime, names};
use crate::probe::{self, Reply};
use crate::{Answer, Error, ErrorKind, ExecRequest, Result};

/// How much of a command's output a person is shown.
const SHOWN: usize = 300;
/// How long a command that hangs is tried to be killed, and how often.
const KILLING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(50);

impl DockerRuntime {
    pub(super) async fn ask(&self, key: &EnvKey, replica: &SeenReplica, check: &Check) -> Result<Answer> {
        let patience = Duration::from_millis(check.timeout_ms);
        match &check.test {
            CheckTest::Http { path, port } => match place(replica, *port) {
                Some(place) => self.reached(key, replica, *port, probe::http(place, path, patience).await).await,
                None => self.unreachable(key, replica).await,
            },
            CheckTest::Tcp { port } => match place(replica, *port) {
                Some(place) => self.reached(key, replica, *port, probe::tcp(place, patience).await).await,
                None => self.unreachable(key, replica).await,
            },
            CheckTest::Command(argv) => self.ask_command(key, replica, argv, patience).await,
            CheckTest::Running | CheckTest::Disabled => match self.is_running(key, replica).await? {
                true => Ok(Answer::Good("running".to_owned())),
                false => Ok(Answer::NotRunning),
            },
        }
    }

    /// A bad answer may only mean that the replica has ended since it was observed.
    async fn reached(&self, key: &EnvKey, replica: &SeenReplica, port: u16, reply: Reply) -> Result<Answer> {
        if !matches!(reply, Reply::Good(_)) && !self.is_running(key, replica).await? {
            return Ok(Answer::NotRunning);
        }
        Ok(reply.into_answer(|| {
            format!("nothing listens on port {port} of the container (it must listen on 0.0.0.0, not on 127.0.0.1)")
        }))
    }

    async fn unreachable(&self, key: &EnvKey, replica: &SeenReplica) -> Result<Answer> {
        if self.is_running(key, replica).await? {
            return Ok(Answer::Bad("the container has no address that this machine reaches".to_owned()));
        }
        Ok(Answer::NotRunning)
    }

    /// Runs the command inside. One that does not end in time is killed, so that commands which hang
    /// do not pile up.
    async fn ask_command(
        &self,
        key: &EnvKey,
        replica: &SeenReplica,
        argv: &[String],
        patience: Duration,
    ) -> Result<Answer> {
        let operation = format!("ask {} by a command", replica.id);
        if !self.is_running(key, replica).await? {
            return Ok(Answer::NotRunning);
        }
        let name = names::container(key, &replica.id, replica.role);
        let request = ExecRequest { argv: argv.to_vec(), tty: None, user: None, working_dir: None };
        let mut running = match self.begin(&operation, &name, &request, false).await {
            Ok(running) => running,
            Err(error) => return self.not_begun(key, replica, error).await,
        };
        let ended = async {
            let mut printed = Vec::new();
            while let Some(piece) = running.output.next().await {
                let piece = piece?.bytes;
                let room = SHOWN.saturating_sub(printed.len());
                printed.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            let code = exit_code(&self.engine.docker, &operation, &running.id).await?;
            Ok::<_, Error>((code, String::from_utf8_lossy(&printed).trim().to_owned()))
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(Ok((0, printed))) => {
                Ok(Answer::Good(if printed.is_empty() { "exit code 0".to_owned() } else { printed }))
            }
            Ok(Ok((code, printed))) => {
                Ok(Answer::Bad(format!("exit code {code}: {printed}").trim_end_matches(": ").to_owned()))
            }
            Ok(Err(error)) => self.not_begun(key, replica, error).await,
            Err(_) => {
                tokio::spawn(kill_command(self.engine.docker.clone(), running.id));
                Ok(Answer::Bad(format!("{} did not end within {} ms", argv.join(" "), patience.as_millis())))
            }
        }
    }

    /// A command that the image does not hold is a bad answer; a replica that has ended is none.
    async fn not_begun(&self, key: &EnvKey, replica: &SeenReplica, error: Error) -> Result<Answer> {
        match error.kind {
            ErrorKind::Refused => Ok(Answer::Bad(error.message)),
            ErrorKind::NotFound => Ok(Answer::NotRunning),
            _ if !self.is_running(key, replica).await? => Ok(Answer::NotRunning),
            _ => Err(error),
        }
    }

    async fn is_running(&self, key: &EnvKey, replica: &SeenReplica) -> Result<bool> {
        let SeenReplica { id, role, .. } = replica;
        let found = self.inspect_container(&names::container(key, id, *role)).await?;
        let state = found.and_then(|found| found.state);
        Ok(state.is_some_and(|state| state.running == Some(true) && state.restarting != Some(true)))
    }
}

fn place(replica: &SeenReplica, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new(replica.address?, replica.port(port)))
}

/// Kills a command that hangs. The daemon cannot, but we can where its processes are this machine's,
/// once the command has begun; a rootless daemon's commands are not ours to kill.
async fn kill_command(docker: Docker, id: String) {
    let begun = Instant::now();
    while begun.elapsed() < KILLING {
        let Ok(found) = docker.inspect_exec(&id).await else { return };
        let process = found.pid.and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        match (found.running, process) {
            (Some(true), Some(process)) => {
                let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
            }
            (Some(false), _) if found.exit_code.is_some() => return,
            _ => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}
