//! The client of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use daybook_model::RouteTable;
use daybook_model::traffic::EdgeTraffic;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::wire::{Refused, Status, Upgrade};

/// Speaks to an edge. Each call is a connection of its own, so that it reaches the generation in force.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No edge answers at the socket.
    #[error("no edge answers at {socket}: {source}")]
    Unreachable {
        /// The socket.
        socket: PathBuf,
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
        Self { socket: state.join("edge").join(super::SOCKET) }
    }

    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
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
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|source| ClientError::Unreachable { socket: self.socket.clone(), source })?;
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

async fn exchange(stream: UnixStream, request: Request<Full<Bytes>>) -> hyper::Result<(http::StatusCode, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok((status, bytes))
}
