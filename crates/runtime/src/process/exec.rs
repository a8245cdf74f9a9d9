//! Commands beside a replica.

use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use daybook_model::ReplicaId;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::observed::ReplicaState;
use futures::{FutureExt, StreamExt, stream};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::Winsize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::{ProcessRuntime, observe, workdir};
use crate::{Error, ErrorKind, Exec, ExecOutput, ExecRequest, Resize, Result};

type Sender = mpsc::Sender<Result<ExecOutput>>;

impl ProcessRuntime {
    /// Runs a command with the environment, directory, user and limits of a replica. It is killed when
    /// nobody reads its output any more.
    pub(super) async fn execute(&self, key: &EnvKey, id: &ReplicaId, request: &ExecRequest) -> Result<Exec> {
        let role = self.running_role(key, id).await?;
        let mut command = self.join_command(key, id, role, request)?;
        let operation = format!("run {} in {id}", request.argv.first().map_or("nothing", String::as_str));
        let wrong = |error: io::Error| Error::new(ErrorKind::Internal, &operation, error);
        let (sender, receiver) = mpsc::channel(16);
        let (input, resize, child, readers): (Box<dyn AsyncWrite + Send + Unpin>, Resize, _, _) = match request.tty {
            Some(size) => {
                let (terminal, child) = with_terminal(&mut command, size).map_err(wrong)?;
                let reader = pump(terminal.reader().map_err(wrong)?, false, sender.clone());
                let input = terminal.writer().map_err(wrong)?;
                (Box::new(input), terminal.resize(), child, vec![tokio::spawn(reader)])
            }
            None => {
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
                let mut child = command.spawn().map_err(wrong)?;
                let input = child.stdin.take().expect("it is piped");
                let out = pump(child.stdout.take().expect("it is piped"), false, sender.clone());
                let err = pump(child.stderr.take().expect("it is piped"), true, sender.clone());
                (Box::new(input), no_terminal(), child, vec![tokio::spawn(out), tokio::spawn(err)])
            }
        };
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let _ = tell.send(watch(child, &sender).await);
            // The output ends when both its readers and this have let go of it.
            drop(readers);
        });
        let output =
            stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|piece| (piece, receiver)) });
        let code = async move {
            match told.await {
                Ok(Ok(status)) => Ok(exit_code(status)),
                Ok(Err(error)) => Err(Error::new(ErrorKind::Internal, operation, error)),
                Err(_) => Err(Error::new(ErrorKind::Internal, operation, "it was given up")),
            }
        };
        Ok(Exec { output: output.boxed(), input, code: code.boxed(), resize })
    }

    /// The command line that joins a replica. Where the replica is does not matter: its shim knows how
    /// it began.
    pub(super) fn join_command(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        request: &ExecRequest,
    ) -> Result<Command> {
        let layout = &self.inner.layout;
        let (program, arguments) = self.inner.shim.split_first().expect("a shim has a command line");
        let mut command = Command::new(program);
        command.args(arguments).arg("--join").arg(layout.socket(key, id, role)).env_clear();
        if request.tty.is_some() {
            command.arg("--tty");
        }
        if let Some(user) = &request.user {
            command.arg("--user").arg(user);
        }
        if let Some(directory) = &request.working_dir {
            let work = layout.replica(key, id, role).work();
            let directory = if directory.starts_with('/') {
                workdir::beneath(&work, directory)?
            } else {
                workdir::beneath(std::path::Path::new(""), directory)?
            };
            command.arg("--directory").arg(directory);
        }
        command.arg("--").args(&request.argv).kill_on_drop(true);
        Ok(command)
    }

    async fn running_role(&self, key: &EnvKey, id: &ReplicaId) -> Result<Role> {
        let (key, id) = (key.clone(), id.clone());
        self.blocking(move |inner| {
            let mut found = None;
            for role in [Role::Main, Role::OneOff, Role::Job, Role::Hook] {
                let Ok((_, life)) = observe::one(&inner.layout, &key, &id, role) else { continue };
                if life.is_some_and(|life| life.state == ReplicaState::Running) {
                    return Ok(role);
                }
                found = Some(role);
            }
            let (kind, why) = match found {
                Some(_) => (ErrorKind::Refused, "it does not run now"),
                None => (ErrorKind::NotFound, "it is not there"),
            };
            Err(Error::new(kind, format!("run a command in {id}"), why))
        })
        .await
    }
}

async fn watch(mut child: Child, output: &Sender) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => status,
        () = output.closed() => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

/// 128 + n for a signal n.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}

async fn pump(mut from: impl AsyncRead + Unpin, stderr: bool, to: Sender) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let piece = match from.read(&mut buffer).await {
            Ok(0) => return,
            Ok(count) => Ok(ExecOutput { stderr, bytes: Bytes::copy_from_slice(&buffer[..count]) }),
            // A terminal whose other side is closed says this.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return,
            Err(error) => Err(Error::new(ErrorKind::Internal, "read output", error)),
        };
        let failed = piece.is_err();
        if to.send(piece).await.is_err() || failed {
            return;
        }
    }
}

fn no_terminal() -> Resize {
    Box::new(|_, _| async { Ok(()) }.boxed())
}

fn with_terminal(command: &mut Command, size: (u16, u16)) -> io::Result<(Terminal, Child)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let theirs = rustix::fs::open(&name, flags, rustix::fs::Mode::empty())?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let terminal = Terminal(Arc::new(File::from(ours)));
    terminal.set_size(size.0, size.1)?;
    command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
    let child = command.spawn()?;
    // What the command holds of the other side would keep the terminal open after its end.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok((terminal, child))
}

/// Our side of a terminal. To be read and written it is taken for a pipe, which it is but in name.
#[derive(Clone)]
struct Terminal(Arc<File>);

impl Terminal {
    fn reader(&self) -> io::Result<pipe::Receiver> {
        pipe::Receiver::from_file_unchecked(self.0.try_clone()?)
    }

    fn writer(&self) -> io::Result<pipe::Sender> {
        pipe::Sender::from_file_unchecked(self.0.try_clone()?)
    }

    fn set_size(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.0, size)?)
    }

    fn resize(&self) -> Resize {
        let terminal = self.clone();
        Box::new(move |columns, rows| {
            let result = terminal.set_size(columns, rows);
            async move { result.map_err(|e| Error::new(ErrorKind::Internal, "resize a terminal", e)) }.boxed()
        })
    }
}
