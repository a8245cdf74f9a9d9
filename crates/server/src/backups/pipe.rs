//! Between commands beside a database, which are asynchronous, and the repository, which blocks.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use daybook_data::dump::Look;
use daybook_data::witness::Hold;
use daybook_runtime::{Exec, ExecOutput};
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// Pieces that wait to be taken.
pub(super) const WAITING: usize = 64;
/// What is said of a command that was not read to its end. Whoever should have read it says why.
pub(super) const NOBODY_READS: &str = "nobody takes what it writes any more";
/// Bytes of what a command complains of that are kept.
const COMPLAINTS: usize = 4 << 10;

/// A piece of a stream, or how it ends.
pub(super) enum Piece {
    /// Bytes.
    Bytes(Bytes),
    /// All was sent, and all is well.
    End,
    /// It is not whole, and why.
    Broken(String),
}

/// Reads what a task sends. A task that is gone without a word has not sent all.
pub(super) struct Inlet {
    pieces: mpsc::Receiver<Piece>,
    left: Bytes,
    has_ended: bool,
}

/// A stream from a task to a reader.
pub(super) fn inlet() -> (mpsc::Sender<Piece>, Inlet) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (sender, Inlet { pieces, left: Bytes::new(), has_ended: false })
}

impl Read for Inlet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() && !self.has_ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => self.left = bytes,
                Some(Piece::End) => self.has_ended = true,
                Some(Piece::Broken(why)) => return Err(io::Error::other(why)),
                None => return Err(io::Error::other("it was broken off")),
            }
        }
        let count = self.left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.advance(count);
        Ok(count)
    }
}

/// Takes what is written to a task. The task may be gone: nobody wants the rest.
pub(super) struct Outlet(mpsc::Sender<Bytes>);

/// A stream from a writer to a task.
pub(super) fn outlet() -> (Outlet, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Outlet(sender), receiver)
}

impl Write for Outlet {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(buffer));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more"))?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a command complained of, the end of it.
#[derive(Default)]
pub(super) struct Complaints(Vec<u8>);

impl Complaints {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        self.0.drain(..self.0.len().saturating_sub(COMPLAINTS));
    }

    /// Why the command failed, if it did.
    pub(super) fn verdict(&self, tool: &str, code: i32) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&self.0);
        let said: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        // The first is the cause, where it is still there; what follows are its consequences.
        let shown = said[..said.len().min(5)].join("\n");
        Err(match shown.as_str() {
            "" => format!("{tool} ended with exit code {code}"),
            shown => format!("{tool} ended with exit code {code}: {shown}"),
        })
    }
}

/// Sends what a command writes to a reader, and whether it came to a good end. `see` is told of each piece; what keeps
/// others from writing is let go as soon as the dump has begun.
pub(super) async fn drain(
    mut exec: Exec,
    password: &str,
    tool: &str,
    look: &mut Look,
    hold: &mut Option<Hold>,
    to: mpsc::Sender<Piece>,
    mut see: impl FnMut(&Look) + Send,
) -> Result<(), String> {
    let ended = async {
        give_password(&mut exec, password).await?;
        let mut complaints = Complaints::default();
        while let Some(piece) = exec.output.next().await {
            let ExecOutput { stderr, bytes } = piece.map_err(|error| error.to_string())?;
            if stderr {
                complaints.take(&bytes);
                continue;
            }
            look.see(&bytes);
            see(look);
            if let Some(hold) = hold.take_if(|_| look.has_begun()).as_mut() {
                hold.let_go().await.map_err(|refusal| refusal.to_string())?;
            }
            to.send(Piece::Bytes(bytes)).await.map_err(|_| NOBODY_READS.to_owned())?;
        }
        let code = exec.code.await.map_err(|error| error.to_string())?;
        complaints.verdict(tool, code)?;
        look.lacks().map_or(Ok(()), |lacks| Err(format!("{tool} ended well, but {lacks}")))
    };
    let ended = ended.await;
    let last = match &ended {
        Ok(()) => Piece::End,
        Err(why) => Piece::Broken(why.clone()),
    };
    // A repository that takes no more has an error of its own.
    let _ = to.send(last).await;
    ended
}

/// Lets a command read what comes, to its end.
pub(super) async fn fill(
    mut exec: Exec,
    password: &str,
    tool: &str,
    mut from: mpsc::Receiver<Bytes>,
    see: impl Fn(u64),
) -> Result<(), String> {
    give_password(&mut exec, password).await?;
    let Exec { mut output, mut input, code, .. } = exec;
    let feed = async {
        let mut sent = 0;
        while let Some(bytes) = from.recv().await {
            // A command that ends early says why by itself.
            if input.write_all(&bytes).await.is_err() {
                break;
            }
            sent += bytes.len() as u64;
            see(sent);
        }
        let _ = input.shutdown().await;
        drop(input);
        drop(from);
    };
    let listen = async {
        let mut complaints = Complaints::default();
        while let Some(piece) = output.next().await {
            match piece {
                Ok(ExecOutput { bytes, .. }) => complaints.take(&bytes),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(complaints)
    };
    let ((), complaints) = tokio::join!(feed, listen);
    let code = code.await.map_err(|error| error.to_string())?;
    complaints?.verdict(tool, code)
}

/// Waits for a command that reads nothing.
pub(super) async fn finish(exec: Exec, tool: &str) -> Result<(), String> {
    let Exec { mut output, input, code, .. } = exec;
    drop(input);
    let mut complaints = Complaints::default();
    while let Some(piece) = output.next().await {
        complaints.take(&piece.map_err(|error| error.to_string())?.bytes);
    }
    complaints.verdict(tool, code.await.map_err(|error| error.to_string())?)
}

/// What a command writes that reads `input`.
pub(super) async fn hear(exec: Exec, input: &[u8], tool: &str) -> Result<String, String> {
    let Exec { mut output, input: mut to, code, .. } = exec;
    // A command that ends early says why by itself.
    let _ = to.write_all(input).await;
    let _ = to.shutdown().await;
    drop(to);
    let (mut said, mut complaints) = (Vec::new(), Complaints::default());
    while let Some(piece) = output.next().await {
        let ExecOutput { stderr, bytes } = piece.map_err(|error| error.to_string())?;
        if stderr { complaints.take(&bytes) } else { said.extend(bytes) }
    }
    complaints.verdict(tool, code.await.map_err(|error| error.to_string())?)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Tells a command the password, which it reads first.
pub(super) async fn give_password(exec: &mut Exec, password: &str) -> Result<(), String> {
    let line = format!("{password}\n");
    let given = exec.input.write_all(line.as_bytes()).await;
    given.map_err(|error| format!("tell it the password: {error}"))?;
    exec.input.flush().await.map_err(|error| format!("tell it the password: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: Vec<Piece>) -> (Vec<u8>, Option<String>) {
        let (sender, mut inlet) = inlet();
        for piece in pieces {
            sender.blocking_send(piece).unwrap();
        }
        drop(sender);
        let mut all = Vec::new();
        let ended = inlet.read_to_end(&mut all);
        (all, ended.err().map(|error| error.to_string()))
    }

    #[test]
    fn r20_a_stream_ends_well_only_when_it_says_so() {
        let bytes = |text: &'static str| Piece::Bytes(Bytes::from_static(text.as_bytes()));
        assert_eq!(read(vec![bytes("ab"), bytes("c"), Piece::End]), (b"abc".to_vec(), None));
        assert_eq!(read(vec![bytes("ab")]), (b"ab".to_vec(), Some("it was broken off".to_owned())));
        let broken = vec![bytes("ab"), Piece::Broken("no space".to_owned())];
        assert_eq!(read(broken), (b"ab".to_vec(), Some("no space".to_owned())));
        assert_eq!(read(vec![Piece::End]), (Vec::new(), None));
    }

    #[test]
    fn a_command_that_fails_says_why() {
        let mut complaints = Complaints::default();
        complaints.take(b"pg_dump: error: permission denied\n\npg_dump: detail: none\n");
        let why = complaints.verdict("pg_dump", 1).unwrap_err();
        assert_eq!(why, "pg_dump ended with exit code 1: pg_dump: error: permission denied\npg_dump: detail: none");
        assert!(complaints.verdict("pg_dump", 0).is_ok());
        assert_eq!(Complaints::default().verdict("sh", 127).unwrap_err(), "sh ended with exit code 127");
    }
}
