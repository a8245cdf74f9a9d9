//! The hand-over from one generation of the edge to the next.
//!
//! The old one opens a Unix socket and starts the new program, which connects and is sent the listening
//! sockets themselves (`SCM_RIGHTS`): a connection that waits in a queue waits on, whoever accepts it. The
//! new one takes up the table and the sockets, makes the control socket its own, and says so; only then does
//! the old one stop accepting, drain, and end.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_model::{EnvKey, ReplicaId};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::control::client::Client;
use crate::control::wire::Status;
use crate::edge::Edge;
use crate::listeners::Place;
use crate::start;

/// What goes with the sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    generation: u64,
    /// Places of the sockets, in the order in which they are sent.
    places: Vec<Place>,
    /// Endpoints that need not wait for a first check.
    healthy: BTreeSet<(EnvKey, ReplicaId)>,
    /// Where the old generation's counts can be asked for.
    control: PathBuf,
}

/// What a generation takes over.
pub(crate) struct Inheritance {
    /// Its own number.
    pub(crate) generation: u64,
    pub(crate) sockets: Vec<(Place, OwnedFd)>,
    pub(crate) healthy: BTreeSet<(EnvKey, ReplicaId)>,
    pub(crate) predecessor: PathBuf,
    link: UnixStream,
}

/// How long the new generation may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// The kernel passes at most 253 at once.
const SOCKETS_AT_ONCE: usize = 200;
const READY: &[u8] = b"ready\n";

/// Starts `exe` and hands it the listening sockets. Returns its status when it serves.
pub(crate) async fn hand_over(edge: &Arc<Edge>, exe: &Path) -> io::Result<Status> {
    let socket = edge.config.directory().join("handoff.sock");
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let config = Config { inherit: Some(socket.clone()), detached: true, ..edge.config.clone() };
    let mut child = start::spawn(exe, &config)?;
    let letter = letter(edge);
    let sockets = edge.listeners.duplicates()?;
    let handed = tokio::task::spawn_blocking(move || give(&listener, &mut child, &letter, &sockets)).await;
    let _ = fs::remove_file(&socket);
    handed.map_err(io::Error::other)??;
    Client::new(&edge.config.state).status().await.map_err(io::Error::other)
}

fn letter(edge: &Edge) -> Letter {
    let live = edge.state.live.load();
    let healthy = live.endpoints.iter().filter(|endpoint| endpoint.is_usable());
    Letter {
        generation: edge.generation,
        places: Vec::new(),
        healthy: healthy.map(|endpoint| (endpoint.key.clone(), endpoint.replica.clone())).collect(),
        control: edge.config.directory().join(format!("generation-{}.sock", edge.generation)),
    }
}

fn give(
    listener: &UnixListener,
    child: &mut start::Child,
    letter: &Letter,
    sockets: &[(Place, OwnedFd)],
) -> io::Result<()> {
    let mut link = accept_from(listener, child)?;
    link.set_read_timeout(Some(READY_WITHIN))?;
    let places = sockets.iter().map(|(place, _)| *place).collect();
    let letter = Letter { places, healthy: letter.healthy.clone(), control: letter.control.clone(), ..*letter };
    let bytes = serde_json::to_vec(&letter).map_err(io::Error::other)?;
    link.write_all(&(bytes.len() as u64).to_be_bytes())?;
    link.write_all(&bytes)?;
    for some in sockets.chunks(SOCKETS_AT_ONCE) {
        send_sockets(&link, some)?;
    }
    let mut word = [0; READY.len()];
    link.read_exact(&mut word)
        .map_err(|error| io::Error::other(format!("the next generation did not become ready: {error}; see edge.log")))
}

/// Waits for the new generation to connect, as long as it lives.
fn accept_from(listener: &UnixListener, child: &mut start::Child) -> io::Result<UnixStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        match listener.accept() {
            Ok((link, _)) => {
                link.set_nonblocking(false)?;
                return Ok(link);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("the next generation ended ({status}); see edge.log")));
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            return Err(io::Error::other("the next generation did not ask for its sockets in time"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send_sockets(link: &UnixStream, sockets: &[(Place, OwnedFd)]) -> io::Result<()> {
    let fds: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("too many sockets for one message"));
    }
    // Sockets travel with at least one byte of data.
    rustix::net::sendmsg(link, &[IoSlice::new(b"s")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

impl Inheritance {
    /// Asks the generation before for what it leaves.
    pub(crate) fn receive(socket: &Path) -> io::Result<Self> {
        let mut link = UnixStream::connect(socket)?;
        link.set_read_timeout(Some(READY_WITHIN))?;
        let mut length = [0; 8];
        link.read_exact(&mut length)?;
        let length = usize::try_from(u64::from_be_bytes(length)).map_err(io::Error::other)?;
        let mut bytes = vec![0; length.min(64 * 1024 * 1024)];
        link.read_exact(&mut bytes)?;
        let letter: Letter = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let mut sockets = Vec::with_capacity(letter.places.len());
        while sockets.len() < letter.places.len() {
            let received = receive_sockets(&link)?;
            if received.is_empty() {
                return Err(io::Error::other("the generation before sent fewer sockets than it named"));
            }
            sockets.extend(received);
        }
        Ok(Self {
            generation: letter.generation + 1,
            sockets: letter.places.into_iter().zip(sockets).collect(),
            healthy: letter.healthy,
            predecessor: letter.control,
            link,
        })
    }

    /// Tells the generation before that this one serves.
    pub(crate) fn ready(mut link: UnixStream) -> io::Result<()> {
        link.write_all(READY)
    }

    /// The sockets, and the link to say [`Inheritance::ready`] on.
    pub(crate) fn into_parts(self) -> (Vec<(Place, OwnedFd)>, UnixStream) {
        (self.sockets, self.link)
    }
}

fn receive_sockets(link: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(link, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    Ok(rights.flatten().collect())
}
