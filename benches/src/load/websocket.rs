//! WebSockets that stay open and get each message back (RFC 6455).

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::tally::Class;

const BETWEEN: Duration = Duration::from_millis(200);
/// Key and answer of the RFC's own example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pplmbitxaq9kygzzhzrbk+xoo=";

/// A connection and what was read of it and not yet used.
struct Socket {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What came in.
enum Received {
    Text(Vec<u8>),
    Other,
    Close(u16),
}

/// One client that is always connected. A socket that the server closes in order (1001 or 1012) is
/// opened again and the message that was on its way is sent again.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut socket = None;
    while shared.pause(BETWEEN).await {
        let id = shared.id(Class::Websocket);
        shared.tally.begun(Class::Websocket);
        let result = shared.within(message(&shared, &mut socket, &id)).await;
        if result.is_err() {
            socket = None;
        }
        shared.tally.ended(Class::Websocket, &result);
    }
    if let Some(mut socket) = socket {
        // The load is over; whether the goodbye arrives changes no count.
        let _ = socket.send(0x88, &1000_u16.to_be_bytes()).await;
    }
}

async fn message(shared: &Shared, kept: &mut Option<Socket>, id: &str) -> Result<(), String> {
    loop {
        let socket = match kept {
            Some(socket) => socket,
            None => kept.insert(open(shared).await?),
        };
        // A send that fails may follow a close frame that waits to be read.
        let sent = socket.send(0x81, id.as_bytes()).await;
        loop {
            match socket.receive().await.map_err(|error| format!("{error} (send: {sent:?})"))? {
                Received::Text(text) if text == id.as_bytes() => return Ok(()),
                Received::Text(text) => return Err(format!("{} came for {id}", String::from_utf8_lossy(&text))),
                Received::Close(1001 | 1012) => break,
                Received::Close(code) => return Err(format!("closed with {code}")),
                Received::Other => {}
            }
        }
        *kept = None;
        shared.tally.reopened(Class::Websocket);
    }
}

async fn open(shared: &Shared) -> Result<Socket, String> {
    let mut stream = TcpStream::connect(shared.options.address).await.map_err(|error| format!("connect: {error}"))?;
    let head = format!(
        "GET /ws HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n",
        shared.options.host
    );
    stream.write_all(head.as_bytes()).await.map_err(|error| format!("upgrade: {error}"))?;
    let mut socket = Socket { stream, unread: Vec::new() };
    let end = loop {
        if let Some(at) = socket.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        socket.more().await.map_err(|error| format!("upgrade: {error}"))?;
    };
    let answer = String::from_utf8_lossy(&socket.unread[..end]).to_lowercase();
    if !answer.starts_with("http/1.1 101") || !answer.contains(&format!("sec-websocket-accept: {ACCEPT}")) {
        return Err(format!("upgrade refused: {}", answer.lines().next().unwrap_or_default()));
    }
    socket.unread.drain(..end);
    Ok(socket)
}

impl Socket {
    async fn more(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(0) => Err("the connection ended without a close frame".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends a short frame. The mask is all zeros: it protects proxies from browsers, and we are none.
    async fn send(&mut self, head: u8, payload: &[u8]) -> std::io::Result<()> {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("messages are short");
        let mut frame = vec![head, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        self.stream.write_all(&frame).await
    }

    async fn receive(&mut self) -> Result<Received, String> {
        loop {
            if let Some((head, payload)) = take_frame(&mut self.unread)? {
                return Ok(match head & 0x0f {
                    0x1 => Received::Text(payload),
                    0x8 => {
                        Received::Close(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])))
                    }
                    _ => Received::Other,
                });
            }
            self.more().await?;
        }
    }
}

/// Takes one whole unmasked frame of less than 126 bytes off the front.
fn take_frame(unread: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, String> {
    let [head, length, ..] = unread[..] else { return Ok(None) };
    if length > 125 {
        return Err("a frame that is masked or longer than any message".to_owned());
    }
    let end = 2 + usize::from(length);
    if unread.len() < end {
        return Ok(None);
    }
    let frame: Vec<u8> = unread.drain(..end).collect();
    Ok(Some((head, frame[2..].to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_pieces() {
        let mut unread = vec![0x81, 2, b'h'];
        assert_eq!(take_frame(&mut unread).unwrap(), None);
        unread.extend_from_slice(&[b'i', 0x88]);
        assert_eq!(take_frame(&mut unread).unwrap(), Some((0x81, b"hi".to_vec())));
        assert_eq!(take_frame(&mut unread).unwrap(), None);
        assert!(take_frame(&mut vec![0x81, 126, 0]).is_err());
    }
}
