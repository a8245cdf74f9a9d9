//! The process of an edge, from its start to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_model::RouteTable;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::control::client::Client;
use crate::control::server::{ControlSocket, serve_port};
use crate::edge::Edge;
use crate::generation::Inheritance;
use crate::listeners::{self, Listeners};
use crate::packed::unpack;
use crate::persist::TableFile;
use crate::start::{StartError, make_directory};
use crate::state::State;
use crate::tls::Terminator;
use crate::tls::authority::Authority;
use crate::workers::Workers;

/// Why an edge could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another edge serves from the same directory.
    #[error("an edge serves from {} already (process {pid})", directory.display())]
    Running {
        /// The directory.
        directory: PathBuf,
        /// Its process.
        pid: u32,
    },
    /// Something of the system failed.
    #[error("{operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The directory could not be made.
    #[error(transparent)]
    Directory(#[from] StartError),
}

const LOOK_FOR_TABLE_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs an edge until it is told to stop, by [`Client::stop`], SIGTERM or SIGINT, or until it has handed over to
/// its next generation. Has runtimes of its own: call it outside of any.
pub fn serve(mut config: Config) -> Result<(), ServeError> {
    let absolute = std::path::absolute(&config.state);
    config.state = absolute.map_err(|source| ServeError::Io { operation: "find the state directory", source })?;
    if config.detached {
        // Fails only for a process that leads a group already, which is as good.
        let _ = rustix::process::setsid();
    }
    raise_file_limit();
    let workers = Workers::start().map_err(|source| ServeError::Io { operation: "start the workers", source })?;
    // For everything but clients' connections: accepting them, checks, and what the control plane asks for.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(32)
        .thread_name("edge")
        .enable_all()
        .build()
        .map_err(|source| ServeError::Io { operation: "start the runtime", source })?;
    let result = runtime.block_on(run(config, workers));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run(config: Config, workers: Workers) -> Result<(), ServeError> {
    let failed = |operation| move |source| ServeError::Io { operation, source };
    let directory = make_directory(&config)?;
    if config.inherit.is_none()
        && let Ok(status) = Client::new(&config.state).status().await
    {
        return Err(ServeError::Running { directory, pid: status.pid });
    }
    let inheritance = config.inherit.as_deref().map(Inheritance::receive).transpose();
    let inheritance = inheritance.map_err(failed("take over from the generation before"))?;
    let log = AccessLog::open(directory.join("access.log")).map_err(failed("open the access log"))?;
    let certificates = config.authority.clone().unwrap_or_else(|| directory.join("certs"));
    let authority = Authority::open(&certificates).map_err(failed("open the development authority"))?;
    let state = State::new(log, config.limits);
    let terminator = Terminator::new(state.clone(), authority.clone());
    let terminator = terminator.map_err(|error| failed("set TLS up")(io::Error::other(error)))?;
    let listeners = Listeners::new(state.clone(), Arc::new(terminator), workers);
    let mut kept = TableFile::new(&directory).read();
    kept.damage.iter().for_each(|damage| tracing::error!("{damage}; a table before it is used"));
    let (control_at, given) = (config.control, config.table.clone());
    if let Some(table) = given.as_deref().and_then(|path| given_table(path, kept.table.version)) {
        kept.table = table;
    }
    let generation = inheritance.as_ref().map_or(1, |inheritance| inheritance.generation);
    let edge = Edge::new(config, generation, state, listeners, authority, kept.damage.clone());
    let healthy = inheritance.as_ref().map(|inheritance| inheritance.healthy.clone()).unwrap_or_default();
    edge.start_with(kept, &healthy);

    let control = ControlSocket::open(&directory, generation).map_err(failed("open the control socket"))?;
    let own_socket = control.path.clone();
    let link = match inheritance {
        Some(inheritance) => {
            *edge.predecessor.lock().expect("no panic while it is held") = Some(inheritance.predecessor.clone());
            let (sockets, link) = inheritance.into_parts();
            for (place, socket) in sockets {
                let listener = listeners::adopt(socket).map_err(failed("take a listening socket over"))?;
                edge.listeners.accept(place, listener);
            }
            Some(link)
        }
        None => None,
    };
    edge.open_missing().await;
    control.take_over(&directory).map_err(failed("make the control socket ours"))?;
    tokio::spawn(control.serve(edge.clone()));
    if let Some(address) = control_at {
        let listener = TcpListener::bind(address).await.map_err(failed("open the control port"))?;
        tokio::spawn(serve_port(edge.clone(), listener));
    }
    if let Some(path) = given {
        tokio::spawn(take_given(edge.clone(), path));
    }
    tokio::spawn(sweep(edge.clone()));
    if let Some(link) = link {
        tokio::task::block_in_place(|| Inheritance::ready(link)).map_err(failed("report to the generation before"))?;
    }
    wait_for_the_end(&edge).await.map_err(failed("wait for signals"))?;
    drain(&edge.state, edge.drain_window()).await;
    edge.state.log.flush();
    tokio::time::sleep(LOOK_EVERY).await;
    let _ = std::fs::remove_file(own_socket);
    Ok(())
}

/// The table that somebody put into a file, if it is newer than `version`.
fn given_table(path: &Path, version: u64) -> Option<RouteTable> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the table that is given cannot be read");
            return None;
        }
    };
    match unpack(&bytes) {
        Ok(table) => Some(table).filter(|table| table.version > version),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "what is given is no table");
            None
        }
    }
}

/// Takes each newer table that is put into a file: of an edge that is not told by a control plane, because that is away
/// or does not know of it yet.
async fn take_given(edge: Arc<Edge>, path: PathBuf) {
    loop {
        tokio::time::sleep(LOOK_FOR_TABLE_EVERY).await;
        let version = edge.state.live.load().table.version;
        if let Some(table) = given_table(&path, version)
            && let Err(error) = edge.set_table(table).await
        {
            tracing::warn!(%error, "the table that is given is not taken");
        }
    }
}

async fn wait_for_the_end(edge: &Arc<Edge>) -> io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        () = edge.state.ending.cancelled() => return Ok(()),
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    edge.stop();
    edge.state.ending.cancelled().await;
    Ok(())
}

/// Waits until nothing is in flight and every connection has closed, within the window; then cuts.
async fn drain(state: &State, window: Duration) {
    let deadline = Instant::now() + window;
    while Instant::now() < deadline && (state.in_flight() > 0 || state.connections() > 0) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    state.cut.cancel();
    state.live.load().endpoints.iter().for_each(|endpoint| endpoint.cut.cancel());
    tokio::time::sleep(LOOK_EVERY).await;
}

/// Closes upstream connections that have been idle too long, and tries again to listen where it could not.
async fn sweep(edge: Arc<Edge>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let live = edge.state.live.load_full();
        let now = Instant::now();
        live.endpoints.iter().flat_map(|endpoint| endpoint.lanes()).for_each(|lane| lane.pool.sweep(now));
        edge.open_missing().await;
    }
}

/// As many open files as the system allows: two for each connection.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
