//! The upgraded connection of `exec`.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};

use super::transport::{json, lost};
use super::{Client, Error, Result};
use crate::exec::{ExecRequest, Frame, PROTOCOL};

/// A command that runs inside a replica: send frames to one half, receive from the other.
pub struct ExecSession {
    /// What the command prints, and how it ends.
    pub output: ExecOutput,
    /// What the command reads.
    pub input: ExecInput,
}

/// The receiving half.
pub struct ExecOutput(ReadHalf<TokioIo<Upgraded>>);

/// The sending half.
pub struct ExecInput(WriteHalf<TokioIo<Upgraded>>);

impl ExecOutput {
    /// The next frame; `None` when the server has closed the connection.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        Frame::read(&mut self.0).await.map_err(|error| lost("exec", error))
    }
}

impl ExecInput {
    /// Sends a frame.
    pub async fn send(&mut self, frame: &Frame) -> Result<()> {
        frame.write(&mut self.0).await.map_err(|error| lost("exec", error))
    }
}

pub(super) async fn open(client: &Client, path: &str, request: &ExecRequest) -> Result<ExecSession> {
    let mut request = client.prepare(Method::POST, path, json(request)?)?;
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    let response = client.call(request, path).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::Unreadable(format!("exec was answered with {} instead of 101", response.status())));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| lost(path, error))?;
    let (output, input) = tokio::io::split(TokioIo::new(upgraded));
    Ok(ExecSession { output: ExecOutput(output), input: ExecInput(input) })
}
