//! Asks a replica over the network whether it works.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Answer;

/// How much of a bad answer's text a person is shown.
const SHOWN: usize = 200;

/// A connection that is kept open for so long was meant.
const HELD: Duration = Duration::from_millis(250);

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answered well; a word about it ("200 in 3 ms").
    Good(String),
    /// Answered badly, or not in time; in words.
    Bad(String),
    /// Nothing listens there.
    Refused,
}

impl Reply {
    /// As an answer; `why` explains, for this runtime, what it means that nothing listens.
    pub fn into_answer(self, why: impl FnOnce() -> String) -> Answer {
        match self {
            Self::Good(text) => Answer::Good(text),
            Self::Bad(text) => Answer::Bad(text),
            Self::Refused => Answer::Bad(why()),
        }
    }
}

/// `GET path`: 2xx and 3xx are good. The whole exchange may take `patience`.
pub async fn http(address: SocketAddr, path: &str, patience: Duration) -> Reply {
    http_over(TcpStream::connect(address), &address.to_string(), path, patience).await
}

/// As [`http`], by way of any connection. `host` is what the request calls the replica.
pub async fn http_over<S: Connection>(
    connect: impl Future<Output = io::Result<S>>,
    host: &str,
    path: &str,
    patience: Duration,
) -> Reply {
    let begun = Instant::now();
    let late = || Reply::Bad(format!("GET {path} was not answered within {}", millis(patience)));
    match timeout(patience, get(connect, host, path)).await {
        Err(_) => late(),
        Ok(Err(Failed::Refused)) => Reply::Refused,
        Ok(Err(Failed::Other(why))) => Reply::Bad(format!("GET {path} failed: {why}")),
        Ok(Ok(response)) => {
            let status = response.status();
            if status.is_success() || status.is_redirection() {
                return Reply::Good(format!("{} in {}", status.as_u16(), millis(begun.elapsed())));
            }
            let left = patience.saturating_sub(begun.elapsed());
            let text = timeout(left, first_text(response)).await.unwrap_or_default();
            let text = if text.is_empty() { "(no text)".to_owned() } else { text };
            Reply::Bad(format!("GET {path} answered {}: {text}", status.as_u16()))
        }
    }
}

/// Connects, and that is all.
pub async fn tcp(address: SocketAddr, patience: Duration) -> Reply {
    let begun = Instant::now();
    match timeout(patience, TcpStream::connect(address)).await {
        Err(_) => Reply::Bad(format!("no connection to {address} within {}", millis(patience))),
        Ok(Ok(_)) => Reply::Good(format!("connected in {}", millis(begun.elapsed()))),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Reply::Refused,
        Ok(Err(error)) => Reply::Bad(format!("connect to {address}: {error}")),
    }
}

/// Whether somebody keeps a connection open, which was made already: for ways to a replica that accept a
/// connection before they know whether the replica does.
pub async fn held_open(mut stream: impl AsyncRead + Unpin) -> Reply {
    let begun = Instant::now();
    match timeout(HELD, stream.read(&mut [0; 1])).await {
        Ok(Ok(0)) => Reply::Bad("the connection was closed at once".to_owned()),
        Ok(Err(error)) => Reply::Bad(format!("the connection broke: {error}")),
        Ok(Ok(_)) | Err(_) => Reply::Good(format!("connected in {}", millis(begun.elapsed()))),
    }
}

/// What a question can be put over.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection for S {}

enum Failed {
    Refused,
    Other(String),
}

async fn get<S: Connection>(
    connect: impl Future<Output = io::Result<S>>,
    host: &str,
    path: &str,
) -> Result<Response<Incoming>, Failed> {
    let other = |error: &dyn std::fmt::Display| Failed::Other(error.to_string());
    let stream = connect.await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Failed::Refused,
        _ => other(&error),
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| other(&e))?;
    // Ends with the response: its body is what keeps it going.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", host)
        .header("user-agent", "daybook-check")
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| other(&e))?;
    sender.send_request(request).await.map_err(|e| other(&e))
}

async fn first_text(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while bytes.len() < SHOWN * 4
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    shown(&String::from_utf8_lossy(&bytes))
}

/// The beginning of a text on one line, as much of it as a person is shown.
pub(crate) fn shown(text: &str) -> String {
    let line = without_tags(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A page's words, without its marks.
fn without_tags(text: &str) -> String {
    if !text.trim_start().starts_with('<') {
        return text.to_owned();
    }
    let mut words = String::new();
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '<' => inside = true,
            '>' => {
                inside = false;
                words.push(' ');
            }
            letter if !inside => words.push(letter),
            _ => {}
        }
    }
    words
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn good_and_bad_answers_are_told_apart() {
        let good = answering("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(matches!(http(good, "/healthz", PATIENCE).await, Reply::Good(text) if text.starts_with("204 in ")));
        let bad = answering("HTTP/1.1 500 Oh\r\ncontent-length: 11\r\n\r\nno\ndatabase").await;
        let expected = "GET /healthz answered 500: no database".to_owned();
        assert_eq!(http(bad, "/healthz", PATIENCE).await, Reply::Bad(expected));
        let garbage = answering("nonsense\r\n\r\n").await;
        assert!(matches!(http(garbage, "/", PATIENCE).await, Reply::Bad(text) if text.starts_with("GET / failed: ")));
    }

    #[tokio::test]
    async fn nobody_there_is_said_so() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(http(address, "/", PATIENCE).await, Reply::Refused);
        assert_eq!(tcp(address, PATIENCE).await, Reply::Refused);
        assert_eq!(Reply::Refused.into_answer(|| "nothing".to_owned()), Answer::Bad("nothing".to_owned()));
    }

    #[tokio::test]
    async fn silence_has_a_bound() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reply = http(address, "/slow", Duration::from_millis(1)).await;
        assert_eq!(reply, Reply::Bad("GET /slow was not answered within 1 ms".to_owned()));
        assert!(matches!(tcp(address, PATIENCE).await, Reply::Good(_)));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shown(" a\n b "), "a b");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), SHOWN + 1);
    }
}
