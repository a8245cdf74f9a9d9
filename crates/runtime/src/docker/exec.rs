//! Commands inside replicas.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::ResizeExecOptionsBuilder;
use daybook_model::ReplicaId;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use futures::stream::{BoxStream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::DockerRuntime;
use super::error::{failed, is_conflict, is_missing};
use crate::{Error, ErrorKind, Exec, ExecOutput, ExecRequest, Result};

/// Between two questions whether a command whose output has ended has ended itself.
const ENDING: Duration = Duration::from_millis(20);

/// A command inside a container, as the daemon runs it.
pub(super) struct Running {
    /// The daemon's id of it.
    pub(super) id: String,
    /// What it prints.
    pub(super) output: BoxStream<'static, Result<ExecOutput>>,
    /// What it reads.
    pub(super) input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl DockerRuntime {
    pub(super) async fn run_inside(&self, key: &EnvKey, id: &ReplicaId, command: &ExecRequest) -> Result<Exec> {
        let operation = format!("run {} in {id}", command.argv.first().map_or("nothing", String::as_str));
        let (name, _) = self.container_of(&operation, key, id, Role::Main).await?;
        let running = self.begin(&operation, &name, command, true).await?;
        let docker = self.engine.docker.clone();
        if let Some((columns, rows)) = command.tty {
            resize(&docker, &running.id, columns, rows).await?;
        }
        let (code_docker, code_id, resize_id) = (docker.clone(), running.id.clone(), running.id);
        let has_terminal = command.tty.is_some();
        Ok(Exec {
            output: running.output,
            input: Box::new(Input { to: Some(running.input), terminal: has_terminal, ended: false }),
            code: Box::pin(async move { exit_code(&code_docker, &operation, &code_id).await }),
            resize: Box::new(move |columns, rows| {
                let (docker, id) = (docker.clone(), resize_id.clone());
                Box::pin(async move { if has_terminal { resize(&docker, &id, columns, rows).await } else { Ok(()) } })
            }),
        })
    }

    /// Starts a command in a container and is attached to it.
    pub(super) async fn begin(
        &self,
        operation: &str,
        container: &str,
        command: &ExecRequest,
        with_input: bool,
    ) -> Result<Running> {
        if command.argv.is_empty() {
            return Err(Error::new(ErrorKind::Refused, operation, "there is no command to run"));
        }
        let options = CreateExecOptions {
            attach_stdin: Some(with_input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(command.tty.is_some()),
            cmd: Some(command.argv.clone()),
            user: command.user.clone(),
            working_dir: command.working_dir.clone(),
            ..Default::default()
        };
        let docker = &self.engine.docker;
        let made = docker.create_exec(container, options).await.map_err(|said| not_run(operation, &said))?;
        let start = StartExecOptions { tty: command.tty.is_some(), ..Default::default() };
        match docker.start_exec(&made.id, Some(start)).await.map_err(|said| not_run(operation, &said))? {
            StartExecResults::Attached { output, input } => {
                let operation = operation.to_owned();
                let output = output.map(move |piece| piece.map(printed).map_err(|e| failed(operation.as_str(), &e)));
                Ok(Running { id: made.id, output: output.boxed(), input })
            }
            StartExecResults::Detached => Err(Error::new(ErrorKind::Internal, operation, "the daemon did not attach")),
        }
    }
}

/// The code of a command whose output has ended.
pub(super) async fn exit_code(docker: &Docker, operation: &str, id: &str) -> Result<i32> {
    loop {
        let found = docker.inspect_exec(id).await.map_err(|e| failed(operation, &e))?;
        if found.running != Some(true) {
            return Ok(found.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1));
        }
        tokio::time::sleep(ENDING).await;
    }
}

fn printed(piece: LogOutput) -> ExecOutput {
    ExecOutput { stderr: matches!(piece, LogOutput::StdErr { .. }), bytes: piece.into_bytes() }
}

fn not_run(operation: &str, said: &bollard::errors::Error) -> Error {
    if is_conflict(said) || is_missing(said) {
        return Error::new(ErrorKind::NotFound, operation, "the replica has no process now");
    }
    failed(operation, said)
}

/// Nobody looks at the terminal of a command that has ended: then it is fine.
async fn resize(docker: &Docker, id: &str, columns: u16, rows: u16) -> Result<()> {
    let size = ResizeExecOptionsBuilder::default().w(columns.into()).h(rows.into()).build();
    let Err(said) = docker.resize_exec(id, size).await else { return Ok(()) };
    let operation = "resize the terminal";
    let found = docker.inspect_exec(id).await.map_err(|e| failed(operation, &e))?;
    if found.running == Some(true) { Err(failed(operation, &said)) } else { Ok(()) }
}

/// The command's input, which ends when this is dropped.
struct Input {
    to: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    terminal: bool,
    ended: bool,
}

/// What a person types to end the input of a terminal.
const END_OF_INPUT: u8 = 4;

impl Input {
    fn inner(&mut self) -> Pin<&mut (dyn AsyncWrite + Send)> {
        self.to.as_mut().expect("it is taken only when it is dropped").as_mut()
    }
}

impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.inner().poll_write(ctx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.inner().poll_flush(ctx)
    }

    /// A daemon takes the end of a terminal's connection for the end of both directions, and what was
    /// printed and not yet sent is lost: so a terminal is told as a person tells it.
    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if !self.terminal {
            self.ended = true;
            return self.inner().poll_shutdown(ctx);
        }
        if !self.ended {
            let told = std::task::ready!(self.inner().poll_write(ctx, &[END_OF_INPUT]));
            self.ended = true;
            told?;
        }
        self.inner().poll_flush(ctx)
    }
}

impl Drop for Input {
    /// Dropping a half of a connection does not close its direction: that must be said.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let (Some(to), Ok(runtime)) = (self.to.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(end(to, self.terminal));
        }
    }
}

/// Ends an input that nobody holds any more. An error means that the command has ended already.
async fn end(mut input: Pin<Box<dyn AsyncWrite + Send>>, terminal: bool) -> std::io::Result<()> {
    if terminal { input.write_all(&[END_OF_INPUT]).await } else { input.shutdown().await }
}
