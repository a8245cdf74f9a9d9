//! The client of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daybook_model::RouteTable;
use daybook_model::traffic::EdgeTraffic;
use futures::future::BoxFuture;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::wire::{Refused, Status, Upgrade};

/// Speaks to an edge. Each call is a connection of its own, so that it reaches the generation in force.
#[derive(Debug, Clone)]
pub struct Client {
    door: Door,
}

#[derive(Debug, Clone)]
enum Door {
    Socket(PathBuf),
    Elsewhere(Arc<dyn Dial>),
}

/// A connection to the control port of an edge.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection for S {}

/// The way to an edge that is not on this machine. Its `Debug` form says in messages where that edge is.
pub trait Dial: std::fmt::Debug + Send + Sync {
    /// A new connection to its control port (`--control`).
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Connection>>>;
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No edge answers at the socket.
    #[error("no edge answers at {place}: {source}")]
    Unreachable {
        /// The socket, or where else it should be.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke off, or the edge did not answer in time.
    #[error("the edge gave no answer to {call}: {why}")]
    Broken {
        /// Method and path.
        call: String,
        /// Why.
        why: String,
    },
    /// The table was refused; the one before is in force. The message names the entry or address.
    #[error("the edge refused the table: {0}")]
    Refused(String),
    /// The edge is handing over to its next generation: ask again in a moment.
    #[error("the edge is handing over: {0}")]
    Busy(String),
    /// The edge failed.
    #[error("the edge failed: {0}")]
    Failed(String),
}

impl ClientError {
    /// Whether the same call may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Busy(_))
    }
}

/// How long a call may take. A table is on disk before it is acknowledged; an upgrade starts a process.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

impl Client {
    /// A client of the edge that keeps its state in `state/edge`. Connects with each call, not now.
    pub fn new(state: &Path) -> Self {
        Self::at(state.join("edge").join(super::SOCKET))
    }

    /// A client of an edge that is reached in another way.
    pub fn elsewhere(way: Arc<dyn Dial>) -> Self {
        Self { door: Door::Elsewhere(way) }
    }

    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { door: Door::Socket(socket) }
    }

    async fn connect(&self) -> Result<Box<dyn Connection>, ClientError> {
        match &self.door {
            Door::Socket(socket) => match UnixStream::connect(socket).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(source) => Err(ClientError::Unreachable { place: socket.display().to_string(), source }),
            },
            Door::Elsewhere(way) => {
                way.dial().await.map_err(|source| ClientError::Unreachable { place: format!("{way:?}"), source })
            }
        }
    }

    /// Replaces the whole table. When this returns, the edge has persisted the table and serves by it.
    /// A version that is not greater than the present one is refused.
    pub async fn set_table(&self, table: &RouteTable) -> Result<(), ClientError> {
        self.call::<_, ()>(Method::PUT, "/table", Some(table)).await
    }

    /// The table in force.
    pub async fn table(&self) -> Result<RouteTable, ClientError> {
        self.call::<(), _>(Method::GET, "/table", None).await
    }

    /// What has been counted, and what is in flight, in this generation and those before it that still drain.
    pub async fn traffic(&self) -> Result<EdgeTraffic, ClientError> {
        self.call::<(), _>(Method::GET, "/traffic", None).await
    }

    /// How the edge does.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.call::<(), _>(Method::GET, "/status", None).await
    }

    /// Starts the next generation from `exe`, hands it the listening sockets, and returns its status once it
    /// serves; the present one then drains and ends.
    pub async fn upgrade(&self, exe: &Path) -> Result<Status, ClientError> {
        self.call(Method::POST, "/upgrade", Some(&Upgrade { exe: exe.to_owned() })).await
    }

    /// Stops the edge: it accepts nothing new, drains, and ends. Returns before it has drained.
    pub async fn stop(&self) -> Result<(), ClientError> {
        self.call::<(), ()>(Method::POST, "/stop", None).await
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        question: Option<&Q>,
    ) -> Result<A, ClientError> {
        let call = format!("{method} {path}");
        let broken = |why: String| ClientError::Broken { call: call.clone(), why };
        let stream = self.connect().await?;
        let body = question.map_or(Ok(Vec::new()), serde_json::to_vec).map_err(|error| broken(error.to_string()))?;
        let request = Request::builder().method(method).uri(path).header(http::header::HOST, "edge");
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| broken(error.to_string()))?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, exchange(stream, request)).await;
        let answer = answer.map_err(|_| broken(format!("none within {} s", ANSWER_WITHIN.as_secs())))?;
        let (status, bytes) = answer.map_err(|error| broken(error.to_string()))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()));
        }
        let refused: Refused = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        Err(match refused.kind.as_str() {
            "refused" => ClientError::Refused(refused.message),
            "busy" => ClientError::Busy(refused.message),
            _ => ClientError::Failed(refused.message),
        })
    }
}

async fn exchange(
    stream: Box<dyn Connection>,
    request: Request<Full<Bytes>>,
) -> hyper::Result<(http::StatusCode, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok((status, bytes))
}
