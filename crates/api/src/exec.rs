//! `…/replicas/{id}/exec`: a command inside a replica, over an upgraded connection.
//!
//! After the 101 answer, both sides send frames: one byte kind, four bytes big-endian length, and
//! so many bytes. The server ends the connection after [`Frame::Exit`] or [`Frame::Error`].

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use utoipa::ToSchema;

/// Name of the protocol in the `Upgrade` header.
pub const PROTOCOL: &str = "daybook-exec";

/// Longest payload that is accepted; longer output is sent in pieces.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// A command to run inside a replica. Not `Debug`: arguments may hold secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecRequest {
    /// Program and arguments; no shell reads them.
    pub argv: Vec<String>,
    /// A terminal of so many columns and rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<(u16, u16)>,
    /// As which user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// In which directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
}

/// One message of an upgraded connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Client to server: what the command reads.
    Stdin(Bytes),
    /// Server to client: what the command prints.
    Stdout(Bytes),
    /// Server to client: what it prints on standard error.
    Stderr(Bytes),
    /// Server to client: its exit code. The last frame.
    Exit(i32),
    /// Client to server: the terminal has so many columns and rows now.
    Resize(u16, u16),
    /// Client to server: the end of its input.
    StdinEnd,
    /// Server to client: it could not be run, or was lost. The last frame.
    Error(String),
}

impl Frame {
    /// Sends the frame and flushes.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        to.write_all(&self.encode()).await?;
        to.flush().await
    }

    /// Receives the next frame; `None` when the other side has closed between two frames.
    ///
    /// # Errors
    /// `InvalidData` for an unknown kind, a wrong length, or a payload over [`MAX_PAYLOAD`].
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let kind = match from.read_u8().await {
            Ok(kind) => kind,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = usize::try_from(from.read_u32().await?).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Err(invalid("an exec frame is too long"));
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload).await?;
        Self::decode(kind, payload).map(Some)
    }

    fn encode(&self) -> Vec<u8> {
        let (kind, payload): (u8, &[u8]) = match self {
            Self::Stdin(bytes) => (0, bytes),
            Self::Stdout(bytes) => (1, bytes),
            Self::Stderr(bytes) => (2, bytes),
            Self::Exit(code) => (3, &code.to_be_bytes()),
            Self::Resize(columns, rows) => {
                let [a, b] = columns.to_be_bytes();
                let [c, d] = rows.to_be_bytes();
                (4, &[a, b, c, d])
            }
            Self::StdinEnd => (5, &[]),
            Self::Error(text) => (6, text.as_bytes()),
        };
        let length = u32::try_from(payload.len()).expect("a payload is shorter than MAX_PAYLOAD");
        let mut out = Vec::with_capacity(5 + payload.len());
        out.push(kind);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(payload);
        out
    }

    fn decode(kind: u8, payload: Vec<u8>) -> io::Result<Self> {
        Ok(match (kind, payload.as_slice()) {
            (0, _) => Self::Stdin(payload.into()),
            (1, _) => Self::Stdout(payload.into()),
            (2, _) => Self::Stderr(payload.into()),
            (3, &[a, b, c, d]) => Self::Exit(i32::from_be_bytes([a, b, c, d])),
            (4, &[a, b, c, d]) => Self::Resize(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
            (5, []) => Self::StdinEnd,
            (6, _) => Self::Error(String::from_utf8_lossy(&payload).into_owned()),
            _ => return Err(invalid("an exec frame is of an unknown kind or a wrong length")),
        })
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn every_frame_reads_back() {
        let frames = [
            Frame::Stdin(Bytes::from_static(b"in")),
            Frame::Stdout(Bytes::new()),
            Frame::Stderr(Bytes::from_static(b"\xff\x00")),
            Frame::Resize(80, 24),
            Frame::StdinEnd,
            Frame::Error("lost".to_owned()),
            Frame::Exit(-2),
        ];
        block(async {
            let mut wire = Vec::new();
            for frame in &frames {
                frame.write(&mut wire).await.unwrap();
            }
            let mut reader = wire.as_slice();
            for frame in frames {
                assert_eq!(Frame::read(&mut reader).await.unwrap(), Some(frame));
            }
            assert_eq!(Frame::read(&mut reader).await.unwrap(), None);
        });
    }

    #[test]
    fn bad_frames_are_refused() {
        for bad in [&b"\x09\0\0\0\0"[..], b"\x03\0\0\0\x01\0", b"\x01\xff\xff\xff\xff", b"\x01\0\0"] {
            assert!(block(Frame::read(&mut &*bad)).is_err(), "{bad:?}");
        }
    }
}
