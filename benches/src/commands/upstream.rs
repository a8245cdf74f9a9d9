//! A server that answers at once, so that what stands in front of it is what is measured.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Listens where `HOST` and `PORT` say, until it is killed.
pub(crate) async fn run() -> Result<()> {
    let host = std::env::var("HOST").ok().and_then(|host| host.parse().ok()).unwrap_or(Ipv4Addr::LOCALHOST.into());
    let port = std::env::var("PORT").context("PORT is not set")?.parse().context("PORT is not a port")?;
    let listener = TcpListener::bind(SocketAddr::new(host, port)).await.context("listen")?;
    let answer = answer();
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        tokio::spawn(serve(stream, answer.clone()));
    }
}

fn answer() -> Vec<u8> {
    let body = "x".repeat(1024);
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\r\n{body}").into_bytes()
}

/// Answers every head that comes in; requests have no bodies here.
async fn serve(mut stream: TcpStream, answer: Vec<u8>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut unread = Vec::with_capacity(8 << 10);
    while stream.read_buf(&mut unread).await.is_ok_and(|count| count > 0) {
        while let Some(at) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            unread.drain(..at + 4);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}
