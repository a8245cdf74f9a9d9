//! Requests as bytes, so that they may be anything.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A request before it is sent.
pub(crate) struct Sent {
    /// Method and target.
    pub(crate) line: String,
    pub(crate) content_type: &'static str,
    pub(crate) upgrade: bool,
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Sent {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let connection = if self.upgrade { "upgrade, close\r\nupgrade: daybook-exec" } else { "close" };
        let head = format!(
            "{} HTTP/1.1\r\nhost: daybook\r\nconnection: {connection}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
            self.line,
            self.content_type,
            self.body.len()
        );
        [head.as_bytes(), &self.body].concat()
    }
}

/// Sends `bytes` and reads the answer. The server may refuse a body before it has read it.
pub(crate) async fn exchange(state: &Path, bytes: &[u8]) -> Answer {
    let stream = tokio::net::UnixStream::connect(state.join(daybook_api::SOCKET_NAME)).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let mut answer = Vec::new();
    let reading = async {
        // After 101 another protocol begins, which nobody speaks here.
        while !answer.starts_with(b"HTTP/1.1 101") && from.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    };
    let (_, ()) = tokio::join!(to.write_all(bytes), reading);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:.1000}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    Answer { status: status.unwrap_or_else(|| panic!("no status: {head}")), body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or(0);
        let Some(chunk) = more.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        body.push_str(chunk);
        rest = more.get(length + 2..).unwrap_or_default();
    }
    body
}
