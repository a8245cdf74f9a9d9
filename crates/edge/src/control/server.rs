//! The server of the control socket.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use daybook_model::RouteTable;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::wire::{Refused, Upgrade};
use crate::edge::{Edge, EdgeError};

/// The largest table.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// The socket of one generation.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    /// Its own place, at which it can be reached after the next generation has taken over.
    pub(crate) path: PathBuf,
}

impl ControlSocket {
    /// Opens the socket of a generation, not yet as the one in force.
    pub(crate) fn open(directory: &Path, generation: u64) -> io::Result<Self> {
        let path = directory.join(format!("generation-{generation}.sock"));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Makes it the one in force: `control.sock` names it from now on.
    pub(crate) fn take_over(&self, directory: &Path) -> io::Result<()> {
        let link = directory.join("control.new");
        let _ = fs::remove_file(&link);
        symlink(self.path.file_name().expect("it was given a name"), &link)?;
        fs::rename(&link, directory.join(super::SOCKET))
    }

    /// Answers until the process ends.
    pub(crate) async fn serve(self, edge: Arc<Edge>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve_connection(edge.clone(), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept at the control socket");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Answers at a TCP port, for a control plane that is elsewhere. Whoever reaches it may change everything: it is for a
/// loopback address to which only the control plane finds a way.
pub(crate) async fn serve_port(edge: Arc<Edge>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(edge.clone(), stream));
            }
            Err(error) => {
                tracing::warn!(%error, "accept at the control port");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(edge: Arc<Edge>, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
    let service = service_fn(move |request| {
        let edge = edge.clone();
        async move { Ok::<_, Infallible>(answer(&edge, request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(edge: &Arc<Edge>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let result = match (&head.method, head.uri.path()) {
        (&Method::GET, "/status") => Ok(json(&edge.status())),
        (&Method::GET, "/table") => Ok(json(&*edge.state.live.load().table)),
        (&Method::GET, "/traffic") => Ok(json(&edge.traffic().await)),
        (&Method::PUT, "/table") => set_table(edge, body).await,
        (&Method::POST, "/upgrade") => upgrade(edge, body).await,
        (&Method::POST, "/stop") => {
            edge.stop();
            Ok(json(&()))
        }
        _ => return refused(StatusCode::NOT_FOUND, "failed", "there is no such call"),
    };
    result.unwrap_or_else(|error| {
        let (status, kind) = match &error {
            EdgeError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            EdgeError::Busy => (StatusCode::CONFLICT, "busy"),
            EdgeError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        refused(status, kind, &error.to_string())
    })
}

async fn set_table(edge: &Arc<Edge>, body: Incoming) -> Result<Answer, EdgeError> {
    let table: RouteTable = read(body).await?;
    // Detached from the connection, so that a caller that goes away leaves no half-taken table.
    let edge = edge.clone();
    let done = tokio::spawn(async move { edge.set_table(table).await }).await;
    done.map_err(|error| EdgeError::Failed(error.to_string()))??;
    Ok(json(&()))
}

async fn upgrade(edge: &Arc<Edge>, body: Incoming) -> Result<Answer, EdgeError> {
    let upgrade: Upgrade = read(body).await?;
    let edge = edge.clone();
    let done = tokio::spawn(async move { edge.upgrade(&upgrade.exe).await }).await;
    done.map_err(|error| EdgeError::Failed(error.to_string()))?.map(|status| json(&status))
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, EdgeError> {
    let failed = |why: String| EdgeError::Refused(format!("the request cannot be read: {why}"));
    let bytes = Limited::new(body, LARGEST_BODY).collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

fn json<T: Serialize>(value: &T) -> Answer {
    let bytes = serde_json::to_vec(value).expect("what is answered is plain data");
    Response::new(Full::new(bytes.into()))
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Answer {
    let mut answer = json(&Refused { kind: kind.to_owned(), message: message.to_owned() });
    *answer.status_mut() = status;
    answer
}
