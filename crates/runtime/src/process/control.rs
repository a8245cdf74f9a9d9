//! How a server and a shim speak: one line of JSON each way over an abstract Unix socket.
//!
//! The socket lives in the kernel, not in the state directory: it cannot be left behind, only one
//! process can have its name, and it is found again when the directory is lost. Both sides speak only
//! with processes of their own user or of root, so nobody else can stop a replica, read its
//! environment, or pose as its shim.

use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::Request;

/// For a shim that is not paused, milliseconds are enough.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the shim at `socket`. `ErrorKind::ConnectionRefused`: there is none.
pub(crate) fn ask<T: DeserializeOwned>(socket: &str, request: &Request, patience: Duration) -> io::Result<T> {
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(socket)?)?;
    trust(&stream)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(patience))?;
    send(&mut stream, request)?;
    receive(&stream)
}

/// Whether a shim listens at `socket`, paused or not.
pub(crate) fn is_there(socket: &str) -> bool {
    let address = SocketAddr::from_abstract_name(socket);
    address.and_then(|address| UnixStream::connect_addr(&address)).is_ok_and(|stream| trust(&stream).is_ok())
}

/// The process that listens at `socket`.
pub(crate) fn listener(socket: &str) -> Option<i32> {
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(socket).ok()?).ok()?;
    trust(&stream).ok()?;
    Some(rustix::net::sockopt::socket_peercred(&stream).ok()?.pid.as_raw_nonzero().get())
}

/// Becomes the one process that answers at `socket`. `ErrorKind::AddrInUse`: another one does.
pub(crate) fn listen(socket: &str) -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(socket)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes the next question, if one waits. A peer that does not speak within a second is dropped.
pub(crate) fn accept(listener: &UnixListener) -> io::Result<(UnixStream, Request)> {
    const HURRY: Option<Duration> = Some(Duration::from_secs(1));
    let (stream, _) = listener.accept()?;
    trust(&stream)?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(HURRY)?;
    stream.set_write_timeout(HURRY)?;
    let request = receive(&stream)?;
    Ok((stream, request))
}

/// Sends one line.
pub(crate) fn send<T: Serialize>(stream: &mut UnixStream, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<T> {
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}

fn trust(stream: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid;
    if peer.is_root() || peer == rustix::process::geteuid() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "a process of another user is at the shim's socket"))
}
