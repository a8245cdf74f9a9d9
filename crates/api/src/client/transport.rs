//! One connection for each request, over the Unix socket.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{Client, Error, Result};
use crate::ORIGIN_HEADER;
use crate::error::{ErrorBody, ErrorCode};
use crate::query::Refusal;

impl Client {
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        read_json(&self.request(Method::GET, path, Bytes::new()).await?.1)
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        read_json(&self.request(Method::POST, path, Bytes::new()).await?.1)
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        read_json(&self.request(method, path, json(body)?).await?.1)
    }

    pub(super) async fn request_empty(&self, method: Method, path: &str) -> Result<()> {
        self.request(method, path, Bytes::new()).await.map(|_| ())
    }

    /// Sends a request and reads the whole answer. A 4xx or 5xx status is [`Error::Refused`].
    pub(super) async fn request(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let response = self.call(self.prepare(method, path, body)?, path).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| lost(path, error))?.to_bytes();
        Ok((status, body))
    }

    /// A request with the headers that every request has.
    pub(super) fn prepare(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "daybook");
        request = request.header(ORIGIN_HEADER, self.origin);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(body)).map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// Sends a request and returns the answer when its head is there. A 4xx or 5xx status is
    /// [`Error::Refused`].
    pub(super) async fn call(&self, request: Request<Full<Bytes>>, path: &str) -> Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| Error::Connect { socket: self.socket.clone(), source })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(path, error))?;
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(|error| lost(path, error))?;
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(refusal(response, path).await);
        }
        Ok(response)
    }
}

/// `value` as the body of a request.
pub(super) fn json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| Error::Unreadable(error.to_string()))
}

/// Reads the body of an answer.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Error::Unreadable(error.to_string()))
}

/// The connection ended too soon.
pub(super) fn lost(path: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Lost { path: path.split('?').next().unwrap_or(path).to_owned(), source: source.into() }
}

async fn refusal(response: Response<Incoming>, path: &str) -> Error {
    let status = response.status();
    let body = match response.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return lost(path, error),
    };
    let prometheus = || serde_json::from_slice(&body).ok().map(|Refusal { error }| error);
    let body = serde_json::from_slice(&body).unwrap_or_else(|_| {
        if let Some(error) = prometheus() {
            return ErrorBody::new(ErrorCode::of_status(status.as_u16()), error);
        }
        let text = String::from_utf8_lossy(&body);
        let text = text.trim();
        let said = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
        ErrorBody::new(ErrorCode::of_status(status.as_u16()), said)
    });
    Error::Refused(Box::new(body))
}
