//! The archive of a build's context, made while it is sent.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::Inputs;
use crate::files::failed;
use crate::snapshot::{self, Found, FoundKind};
use crate::{Error, ErrorKind, Result};

/// Pieces in which the archive is sent; so many may wait.
const PIECE: usize = 64 << 10;
const WAITING: usize = 16;

/// Starts to make the archive. The second part tells, once the first has ended, whether it is whole.
pub(super) fn archive(inputs: Inputs) -> (mpsc::Receiver<io::Result<Bytes>>, tokio::task::JoinHandle<Result<()>>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let making = tokio::task::spawn_blocking(move || {
        let result = write(&inputs, Sender { pieces: sender.clone(), open: BytesMut::new() });
        if let Err(error) = &result {
            // The daemon must not take what it got for a whole archive.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
        result
    });
    (receiver, making)
}

fn write(inputs: &Inputs, to: Sender) -> Result<()> {
    let mut archive = tar::Builder::new(to);
    for found in snapshot::files(&inputs.root, &inputs.ignore)? {
        let path = inputs.root.join(&found.path);
        add(&mut archive, inputs, &found).map_err(|e| failed("send", &path, &e))?;
    }
    let unfinished = |e: io::Error| Error::new(ErrorKind::Internal, "send a build's context", e);
    if let Some(text) = &inputs.text {
        let mut header = header(tar::EntryType::Regular, 0o644, text.len() as u64);
        archive.append_data(&mut header, &inputs.dockerfile, text.as_bytes()).map_err(unfinished)?;
    }
    archive.into_inner().and_then(|mut sender| sender.flush()).map_err(unfinished)
}

fn add(archive: &mut tar::Builder<Sender>, inputs: &Inputs, found: &Found) -> io::Result<()> {
    let path = inputs.root.join(&found.path);
    match &found.kind {
        FoundKind::Directory => {
            let mut header = header(tar::EntryType::Directory, found.mode, 0);
            archive.append_data(&mut header, &found.path, io::empty())
        }
        FoundKind::Symlink(target) => {
            let mut header = header(tar::EntryType::Symlink, 0o777, 0);
            archive.append_link(&mut header, &found.path, target)
        }
        FoundKind::File(_) => {
            let file =
                File::options().read(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32).open(&path)?;
            let meta = file.metadata()?;
            let mut header = header(tar::EntryType::Regular, found.mode, meta.len());
            header.set_mtime(std::os::unix::fs::MetadataExt::mtime(&meta).try_into().unwrap_or(0));
            // A file that grows while it is sent must not spoil the archive.
            archive.append_data(&mut header, &found.path, io::Read::take(file, meta.len()))
        }
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

/// Hands pieces to the request's body.
struct Sender {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    open: BytesMut,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        if self.open.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = self.open.split().freeze();
        if piece.is_empty() {
            return Ok(());
        }
        // The receiver is gone when the daemon has refused the build; its answer says why.
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
