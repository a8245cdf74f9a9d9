use std::io::{self, IsTerminal as _, Read as _, Write};

use bytes::Bytes;
use clap::Args;
use daybook_api::client::{ExecSession, Exit};
use daybook_api::exec::{ExecRequest, Frame};
use daybook_api::status::StatusView;
use daybook_model::ReplicaId;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::terminal;

/// Run a command inside a running replica. Exits with the command's code.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Give the command no terminal, even on one.
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// As this user.
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// In this directory.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// A service, or one of its replicas: `web`, `web.3`.
    #[arg(value_name = "SERVICE")]
    target: String,
    /// Program and arguments; no shell reads them.
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

impl Exec {
    /// A command in the first replica of a service that runs, on a terminal where there is one.
    #[cfg(feature = "databases")]
    pub(super) fn of(service: &str, command: Vec<String>) -> Self {
        Self { no_tty: false, user: None, workdir: None, target: service.to_owned(), command }
    }

    pub(crate) async fn run(self, ctx: &Ctx) -> Result<u8> {
        let key = ctx.key().await?;
        let client = ctx.client().await?;
        let replica = replica(&client.status(&key).await?, &self.target)?;
        let tty = !self.no_tty && io::stdin().is_terminal() && io::stdout().is_terminal();
        let request =
            ExecRequest { argv: self.command, tty: tty.then(terminal::size), user: self.user, workdir: self.workdir };
        let session = client.exec(&key, &replica, &request).await?;
        let raw = if tty { Some(terminal::Raw::new()?) } else { None };
        let code = converse(session, tty).await;
        drop(raw);
        code
    }
}

/// A replica that is named, or the first of a service that runs, a healthy one if there is one.
fn replica(status: &StatusView, target: &str) -> Result<ReplicaId> {
    let Some(service) = status.services.iter().find(|service| service.name == target) else {
        let mut all = status.services.iter().flat_map(|service| &service.replicas);
        let named = all.find(|replica| replica.id.to_string() == target);
        return named.map(|replica| replica.id.clone()).ok_or_else(|| {
            CommandError::failed(format!("{} has neither a service nor a replica called {target}", status.key))
        });
    };
    let running = || service.replicas.iter().filter(|replica| replica.state == "running");
    let best = running().find(|replica| replica.health == "healthy").or_else(|| running().next());
    best.map(|replica| replica.id.clone()).ok_or_else(|| {
        CommandError::failed(format!("no replica of {target} runs")).hint(format!("find out why: daybook why {target}"))
    })
}

/// Carries bytes both ways until the command ends, and returns its exit code.
async fn converse(session: ExecSession, tty: bool) -> Result<u8> {
    let ExecSession { mut output, mut input } = session;
    let mut typed = standard_input();
    let failed = |error: io::Error| CommandError::io("listen for changes of the terminal", &error);
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    let mut open = true;
    loop {
        tokio::select! {
            frame = output.next() => match frame? {
                Some(Frame::Stdout(bytes)) => write(&mut io::stdout(), &bytes)?,
                Some(Frame::Stderr(bytes)) => write(&mut io::stderr(), &bytes)?,
                Some(Frame::Exit(code)) => return Ok(exit_code(code)),
                Some(Frame::Error(why)) => return Err(CommandError::failed(why)),
                Some(_) => {}
                None => return Err(CommandError::failed("the connection ended before the command did")),
            },
            bytes = typed.recv(), if open => {
                let frame = bytes.map_or(Frame::StdinEnd, Frame::Stdin);
                // A command that has ended reads no more; its exit code is on its way.
                open = frame != Frame::StdinEnd && input.send(&frame).await.is_ok();
                if frame == Frame::StdinEnd {
                    let _ = input.send(&frame).await;
                }
            },
            _ = resized.recv(), if tty => {
                let (columns, rows) = terminal::size();
                let _ = input.send(&Frame::Resize(columns, rows)).await;
            },
        }
    }
}

/// What is typed, from a thread of its own: reading standard input cannot be interrupted.
fn standard_input() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length @ 1..) = io::stdin().lock().read(&mut buffer) {
            if sender.blocking_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
                return;
            }
        }
    });
    receiver
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes)
        .and_then(|()| to.flush())
        .map_err(|error| CommandError::io("write the command's output", &error))
}

/// A code that does not fit into a byte is a failure.
pub(super) fn exit_code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(Exit::Failed.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::tests::status;

    #[test]
    fn a_replica_is_found_by_service_or_by_its_own_name() {
        let found = |target: &str| replica(&status(), target).map(|id| id.to_string());
        assert_eq!(found("web").unwrap(), "web.3");
        assert_eq!(found("web.4").unwrap(), "web.4");
        assert_eq!(found("worker").unwrap_err().message, "no replica of worker runs");
        assert!(found("nope").is_err());
    }

    #[test]
    fn a_better_replica_is_preferred() {
        let mut status = status();
        status.services[0].replicas[0].health = "unhealthy".to_owned();
        assert_eq!(replica(&status, "web").unwrap().to_string(), "web.4");
    }

    #[test]
    fn codes_that_no_process_can_exit_with_are_failures() {
        assert_eq!([exit_code(0), exit_code(137), exit_code(-1), exit_code(256)], [0, 137, 1, 1]);
    }
}
