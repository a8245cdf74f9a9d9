//! Commands beside a replica's process.

use daybook_model::ReplicaId;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_runtime::{Error, ErrorKind, Exec, ExecOutput, ExecRequest, Resize, Result};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use tokio::io::AsyncWrite;
use tokio::sync::Mutex;
use tokio_util::io::ReaderStream;

use crate::KubernetesRuntime;
use crate::cluster::answer;
use crate::objects::CONTAINER;

/// How much of what goes in and out waits to be carried.
const PIECE: usize = 1 << 16;

impl KubernetesRuntime {
    pub(crate) async fn run_inside(&self, key: &EnvKey, id: &ReplicaId, command: &ExecRequest) -> Result<Exec> {
        let operation = format!("run a command in {id}");
        if command.user.is_some() {
            let message = "Kubernetes runs commands as the user of the replica, and no other";
            return Err(Error::new(ErrorKind::Refused, operation, message).hint("leave out --user"));
        }
        self.known(&operation, key, id, Role::Main).await?;
        let pod = self.running_pod(&operation, key, id, Role::Main).await?;
        self.run_in_pod(operation, key, &pod, command).await
    }

    /// Runs a command in the container of a pod that runs.
    pub(crate) async fn run_in_pod(
        &self,
        operation: String,
        key: &EnvKey,
        pod: &str,
        command: &ExecRequest,
    ) -> Result<Exec> {
        let params = AttachParams {
            container: Some(CONTAINER.to_owned()),
            stdin: true,
            stdout: true,
            stderr: command.tty.is_none(),
            tty: command.tty.is_some(),
            max_stdin_buf_size: Some(PIECE),
            max_stdout_buf_size: Some(PIECE),
            ..AttachParams::default()
        };
        let api = self.cluster.of::<Pod>(key);
        let process = answer(&operation, api.exec(pod, in_directory(command), &params)).await?;
        opened(operation, process, command.tty).await
    }
}

/// Kubernetes knows no directory of a command: a shell goes there first.
fn in_directory(command: &ExecRequest) -> Vec<String> {
    match &command.working_dir {
        None => command.argv.clone(),
        Some(directory) => {
            let shell = ["sh", "-c", "cd \"$0\" && exec \"$@\"", directory.as_str()];
            shell.iter().map(|word| (*word).to_owned()).chain(command.argv.iter().cloned()).collect()
        }
    }
}

async fn opened(operation: String, mut process: AttachedProcess, tty: Option<(u16, u16)>) -> Result<Exec> {
    let lost =
        |what: &str| Error::new(ErrorKind::Internal, operation.as_str(), format!("the connection has no {what}"));
    let stdin = process.stdin().ok_or_else(|| lost("input"))?;
    let input: Box<dyn AsyncWrite + Send + Unpin> =
        if tty.is_some() { Box::new(TerminalInput { stdin }) } else { Box::new(stdin) };
    let stdout = ReaderStream::new(process.stdout().ok_or_else(|| lost("output"))?).map_ok(piece(false));
    let stderr = process.stderr().map(|stderr| ReaderStream::new(stderr).map_ok(piece(true)));
    let status = process.take_status().ok_or_else(|| lost("end"))?.shared();
    let mut sizes = process.terminal_size();
    if let (Some(sizes), Some((columns, rows))) = (&mut sizes, tty) {
        // A terminal whose size cannot be set has the usual one.
        let _ = sizes.send(TerminalSize { width: columns, height: rows }).await;
    }
    let sizes = std::sync::Arc::new(Mutex::new(sizes));
    let resize: Resize = Box::new(move |width, height| {
        let sizes = sizes.clone();
        async move {
            if let Some(sizes) = sizes.lock().await.as_mut() {
                let _ = sizes.send(TerminalSize { width, height }).await;
            }
            Ok(())
        }
        .boxed()
    });
    let broken = operation.clone();
    let stderr = stderr.map_or_else(|| futures::stream::empty().boxed(), futures::StreamExt::boxed);
    let told = status.clone();
    // A connection that breaks leaves what it has printed open for ever: it ends when nobody can say any more how the
    // command did.
    let broken_off = async move {
        if told.await.is_some() {
            futures::future::pending::<()>().await;
        }
    };
    let output = futures::stream::select(stdout.boxed(), stderr).take_until(broken_off);
    let output = output.map_err(move |error| Error::new(ErrorKind::Unavailable, broken.as_str(), error)).boxed();
    let code = async move {
        let status = status.await;
        drop(process);
        exit_code(operation, status)
    };
    Ok(Exec { output, input, code: code.boxed(), resize })
}

/// The input of a terminal has no end of its own: closing the connection's input would close the terminal. Its user
/// types an end of transmission.
struct TerminalInput<W: AsyncWrite + Unpin> {
    stdin: W,
}

const END_OF_TRANSMISSION: &[u8] = b"\x04";

impl<W: AsyncWrite + Unpin> AsyncWrite for TerminalInput<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stdin).poll_write(cx, END_OF_TRANSMISSION))?;
        Pin::new(&mut self.stdin).poll_flush(cx)
    }
}

fn piece(stderr: bool) -> impl Fn(bytes::Bytes) -> ExecOutput {
    move |bytes| ExecOutput { stderr, bytes }
}

/// The exit code in what the API server says at the end of a command.
pub(crate) fn exit_code(operation: String, status: Option<Status>) -> Result<i32> {
    let Some(status) = status else {
        let message = "the connection ended before the command did";
        return Err(Error::new(ErrorKind::Unavailable, operation, message));
    };
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    match code.and_then(|cause| cause.message.as_deref()?.parse().ok()) {
        Some(code) => Ok(code),
        None => Err(Error::new(ErrorKind::Refused, operation, status.message.unwrap_or_default())),
    }
}
