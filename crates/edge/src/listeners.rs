//! Listening sockets: opening, accepting, closing, and who else has a port.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_model::route::Speaks;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::http::front::{self, Origin};
use crate::ports;
use crate::state::State;
use crate::tcp;
use crate::tls::Terminator;
use crate::workers::Workers;

/// What a socket listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Plain HTTP for every domain.
    Http(SocketAddr),
    /// HTTPS for every domain.
    Https(SocketAddr),
    /// Plain HTTP for every domain, from a proxy whose word counts.
    Behind(SocketAddr),
    /// An address entry of the table.
    Entry(SocketAddr),
}

impl Place {
    /// The address.
    pub fn address(self) -> SocketAddr {
        match self {
            Self::Http(address) | Self::Https(address) | Self::Behind(address) | Self::Entry(address) => address,
        }
    }
}

/// An address that could not be listened at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("listen at {address}: {why}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why, with the process that has the port where that can be seen.
    pub why: String,
}

/// All listening sockets of this generation.
pub(crate) struct Listeners {
    state: Arc<State>,
    terminator: Arc<Terminator>,
    open: Mutex<BTreeMap<Place, Open>>,
    connections: Arc<Semaphore>,
    workers: Arc<Workers>,
}

struct Open {
    listener: Arc<TcpListener>,
    stop: CancellationToken,
}

/// Connections that the kernel keeps for us before we accept them.
const BACKLOG: u32 = 4096;
/// After an accept that failed for want of something, so that it is not tried in a circle.
const BREATH: Duration = Duration::from_millis(20);

impl Listeners {
    pub(crate) fn new(state: Arc<State>, terminator: Arc<Terminator>, workers: Workers) -> Self {
        let connections = Arc::new(Semaphore::new(most_connections()));
        Self { state, terminator, open: Mutex::default(), connections, workers: Arc::new(workers) }
    }

    /// Opens sockets, all or none; nothing is accepted yet.
    pub(crate) fn bind(&self, places: impl IntoIterator<Item = Place>) -> Result<Vec<(Place, TcpListener)>, BindError> {
        let mut ours = self.inodes();
        let mut bound = Vec::new();
        for place in places {
            let listener = bind_one(place.address(), &ours)?;
            ours.extend(inode(&listener));
            bound.push((place, listener));
        }
        Ok(bound)
    }

    /// Places that are listened at.
    pub(crate) fn places(&self) -> BTreeSet<Place> {
        self.lock().keys().copied().collect()
    }

    /// Begins to accept.
    pub(crate) fn accept(&self, place: Place, listener: TcpListener) {
        let listener = Arc::new(listener);
        let stop = CancellationToken::new();
        self.lock().insert(place, Open { listener: listener.clone(), stop: stop.clone() });
        let acceptor = Acceptor {
            state: self.state.clone(),
            terminator: self.terminator.clone(),
            connections: self.connections.clone(),
            workers: self.workers.clone(),
            place,
        };
        tokio::spawn(acceptor.run(listener, stop));
    }

    /// Stops accepting at a place. What the kernel has accepted for us by now is served.
    pub(crate) fn close(&self, place: Place) {
        if let Some(open) = self.lock().remove(&place) {
            open.stop.cancel();
        }
    }

    /// Stops accepting everywhere, because another process goes on with the same sockets.
    pub(crate) fn close_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        all.values().for_each(|open| open.stop.cancel());
    }

    /// The sockets, to be given to the next generation.
    pub(crate) fn duplicates(&self) -> io::Result<Vec<(Place, OwnedFd)>> {
        let open = self.lock();
        open.iter().map(|(place, open)| Ok((*place, open.listener.as_fd().try_clone_to_owned()?))).collect()
    }

    fn inodes(&self) -> BTreeSet<u64> {
        self.lock().values().filter_map(|open| inode(&open.listener)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Open>> {
        self.open.lock().expect("no panic while it is held")
    }
}

/// What the kernel's list of sockets knows it by.
fn inode(listener: &TcpListener) -> Option<u64> {
    rustix::fs::fstat(listener).ok().map(|stat| stat.st_ino)
}

/// Takes up a socket that an earlier generation has opened.
pub(crate) fn adopt(socket: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Opens a socket. `SO_REUSEPORT` lets a service's own address and the wildcard share a port within this
/// process; so that nobody else can share one with us unseen, the kernel's list is asked first.
fn bind_one(address: SocketAddr, ours: &BTreeSet<u64>) -> Result<TcpListener, BindError> {
    let failed = |why: String| BindError { address, why };
    if let Some(holder) = ports::holder(address, ours) {
        return Err(failed(format!("the port is taken by {holder}")));
    }
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|error| failed(error.to_string()))
}

/// Two files for each connection that is proxied, and some to spare.
fn most_connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
    (files.saturating_sub(256) / 2).clamp(64, 100_000) as usize
}

struct Acceptor {
    state: Arc<State>,
    terminator: Arc<Terminator>,
    connections: Arc<Semaphore>,
    workers: Arc<Workers>,
    place: Place,
}

impl Acceptor {
    async fn run(self, listener: Arc<TcpListener>, stop: CancellationToken) {
        loop {
            // With every permit taken, connections wait in the kernel.
            let permit = self.connections.clone().acquire_owned().await.expect("it is never closed");
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return self.accept_the_rest(&listener),
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer, permit),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// Closing a socket resets what waits in its queue, unless the next generation shares it.
    fn accept_the_rest(&self, listener: &TcpListener) {
        if self.state.ending.is_cancelled() {
            return;
        }
        let mut ctx = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut ctx) {
            let Ok(permit) = self.connections.clone().try_acquire_owned() else { return };
            self.serve(stream, peer, permit);
        }
    }

    /// Hands a connection to the worker that has the fewest, which serves it to its end.
    fn serve(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        stream.set_nodelay(true).ok();
        bound_stall(&stream, self.state.limits.stall);
        let (state, terminator) = (self.state.clone(), self.terminator.clone());
        let (scheme, entry) = match self.place {
            Place::Http(_) | Place::Behind(_) => ("http", None),
            Place::Https(_) => ("https", None),
            Place::Entry(address) => match state.live.load().addresses.get(&address).cloned() {
                Some(entry) => ("http", Some((address, entry))),
                // It has just left the table.
                None => return,
            },
        };
        // Out of this runtime and into the worker's.
        let Ok(stream) = stream.into_std() else { return };
        let seat = self.workers.seat();
        let worker = seat.runtime();
        let place = state.count_connection(permit, seat);
        let behind = matches!(self.place, Place::Behind(_));
        let origin = Origin { peer, entry: entry.as_ref().map(|(address, _)| *address), scheme, behind, place };
        worker.spawn(async move {
            // Fails only when the kernel cannot watch another file.
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            match entry.map(|(_, entry)| (entry.speaks, entry.route)) {
                None if scheme == "https" => terminator.serve(state, stream, origin).await,
                None | Some((Speaks::Http, _)) => front::serve(state, stream, origin).await,
                Some((Speaks::Tcp, route)) => tcp::forward(state, route, stream, Vec::new(), origin.place).await,
                Some((Speaks::Detect, route)) => tcp::detect(state, route, stream, origin).await,
            }
        });
    }
}

/// Has the kernel end a connection whose client takes nothing of what there is for it, whatever is spoken on it. One
/// that has nothing to take stays.
fn bound_stall(stream: &TcpStream, within: Duration) {
    let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
    // Fails only for a connection that has ended.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, millis);
}

/// Errors of the one connection that was to be accepted, not of the socket.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Whether two listening addresses claim some address both.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let is_any = |address: IpAddr| address.is_unspecified();
    a.port() == b.port() && (a.ip() == b.ip() || is_any(a.ip()) || is_any(b.ip()))
}
