//! The process `daybook serve`.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::edge_router::EdgeRouter;
use crate::fleet::Fleet;
use daybook_edge::{Client, StartError};
use daybook_model::Timestamp;
use daybook_store::{KeySource, Store, passphrase_in};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::lock::{LockError, StateLock};
use crate::receive::Receive;
use crate::shared::{self, Shared};
use crate::socket::{Listener, answer};
use crate::term::Term;
use crate::world::{self, RuntimeChoice};
use crate::{App, Edge, Parts};

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state directory, absolute.
    pub state: PathBuf,
    /// What runs replicas.
    pub runtime: RuntimeChoice,
    /// Where a new edge serves HTTP; an edge that runs already stays where it is.
    pub http: Vec<SocketAddr>,
    /// Where a new edge serves HTTPS.
    pub https: Vec<SocketAddr>,
    /// Where the master key is from, which seals secrets.
    pub key: KeySource,
    /// The file of the passphrase under which that is sealed.
    pub passphrase_file: Option<PathBuf>,
    /// Where the state is that several servers share. `None`: in the state directory alone.
    pub shared: Option<Shared>,
    /// The file of what an organisation asks of all its apps; read at each plan.
    pub landing_zone: Option<PathBuf>,
    /// A directory with a socket for the group that it belongs to.
    pub share: Option<PathBuf>,
    /// Where what was measured can be asked for over TCP.
    pub prometheus: Option<SocketAddr>,
    /// Where other tools may tell of alerts.
    pub receive: Option<Receive>,
    /// Networks and hosts that channels may lead to, though they are not public.
    pub notify_allow: Vec<String>,
    /// How the state is backed up by itself.
    #[cfg(feature = "databases")]
    pub state_backup: Option<crate::state_backup::Schedule>,
    /// This program: the edge and shims are started from it.
    pub exe: PathBuf,
}

impl Config {
    /// The passphrase, where there is a file of one.
    pub(crate) fn passphrase(&self) -> Result<Option<Zeroizing<String>>, ServeError> {
        let passphrase = self.passphrase_file.as_deref().map(passphrase_in).transpose();
        passphrase.map_err(io("read the file of the passphrase"))
    }
}

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another server has the state directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store cannot be opened.
    #[error("open the store: {0}")]
    Store(#[from] daybook_store::Error),
    /// The runtime cannot be used.
    #[error("open the runtime: {0}")]
    Runtime(#[from] daybook_runtime::Error),
    /// The edge cannot be started.
    #[error("start the edge: {0}")]
    Edge(#[from] StartError),
    /// The state directory's state is elsewhere than it is looked for.
    #[error("{0}")]
    Elsewhere(String),
    /// What channels may lead to cannot be understood.
    #[error("--notify-allow: {0}")]
    NotifyAllow(String),
    /// The system refused.
    #[error("{operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Owns the state directory and answers the API until SIGTERM, SIGINT or `POST /v1/shutdown`.
///
/// Stopping leaves open runs to the next server, and touches neither replicas nor the edge. A server that shares its
/// state answers while it leads.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    make_directory(&config.state).map_err(io("make the state directory"))?;
    let _lock = StateLock::take(&config.state)?;
    shared::mark(&config.state, config.shared.is_some())?;
    #[cfg(feature = "databases")]
    if config.shared.is_some() && config.state_backup.is_some() {
        let why = "the state is in a PostgreSQL: back that up, and leave --state-backup out";
        return Err(ServeError::Elsewhere(why.to_owned()));
    }
    match &config.shared {
        Some(shared) => shared::serve(&config, shared).await,
        None => {
            let passphrase = config.passphrase()?;
            let passphrase = passphrase.as_ref().map(|passphrase| passphrase.as_str());
            let store = Store::open_under(&config.state, &config.key, passphrase).await?;
            let stop = stop_signals()?;
            govern(&config, store, Term::Unending, &stop).await.map(drop)
        }
    }
}

/// Why a server governs no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was asked to stop.
    Asked,
    /// Another leads, or may.
    Deposed,
}

/// Carries out what is open and answers the API, for as long as `term` lasts and nobody asks to `stop`.
pub(crate) async fn govern(
    config: &Config,
    store: Store,
    term: Term,
    stop: &CancellationToken,
) -> Result<Ending, ServeError> {
    let Config { state, http, https, exe, landing_zone, .. } = config.clone();
    let home = world::open(&state, config.runtime, &exe).await?;
    let client = daybook_edge::ensure_running(&exe, &state, &http, &https).await?;
    let home_router = Arc::new(EdgeRouter::new(client.clone()));
    let owner = store.identity().await?;
    let fleet = Arc::new(Fleet::new(home, home_router, state.clone(), owner, term.clone()));
    let (runtime, router, places) = (fleet.clone(), fleet.clone(), fleet);
    let edge = Some(Edge::new(client.clone(), exe.clone()));
    let clock = Arc::new(Timestamp::now);
    let app = App::new(Parts {
        store: store.clone(),
        runtime,
        router,
        places,
        edge,
        clock,
        state: state.clone(),
        landing_zone,
    });
    let deposed = Arc::new(AtomicBool::new(false));
    app.spawn(end_with(app.inner.stop.clone(), stop.clone(), store, term, deposed.clone()));
    let governed = async {
        #[cfg(feature = "observe")]
        app.allow_receivers(&config.notify_allow).map_err(ServeError::NotifyAllow)?;
        app.start().await?;
        #[cfg(feature = "databases")]
        if let Some(schedule) = config.state_backup.clone() {
            let key = (config.key.clone(), config.passphrase_file.clone());
            app.spawn(crate::state_backup::tend(app.clone(), schedule, key.0, key.1));
        }
        app.spawn(keep_edge(client, exe, state.clone(), http, https));
        let mut listener = Listener::bind(&state).map_err(io("bind the API's socket"))?;
        if let Some(directory) = &config.share {
            listener.share(directory).map_err(io("share the API's socket"))?;
        }
        if let Some(address) = config.prometheus {
            let open = crate::socket::open_door(&app, address).await.map_err(io("listen for --prometheus"))?;
            app.spawn(open);
        }
        #[cfg(feature = "observe")]
        if let Some(receive) = &config.receive {
            let receiving = crate::receive::listen(&app, receive).await.map_err(io("listen for --receive"))?;
            app.spawn(receiving);
        }
        tracing::info!(state = %state.display(), "the server answers");
        answer(&app, listener).await.map_err(io("answer the API"))
    };
    let governed = governed.await;
    app.stop().await;
    if deposed.load(Ordering::SeqCst) {
        return Ok(Ending::Deposed);
    }
    tracing::info!("the server has ended; the edge and the replicas go on");
    governed.map(|()| Ending::Asked)
}

/// Stops the server when it is asked to, and at once when it may lead no more.
async fn end_with(
    app: CancellationToken,
    asked: CancellationToken,
    store: Store,
    term: Term,
    deposed: Arc<AtomicBool>,
) {
    tokio::select! {
        () = asked.cancelled() => {}
        () = term.ended() => deposed.store(true, Ordering::SeqCst),
        () = store.fenced() => deposed.store(true, Ordering::SeqCst),
    }
    app.cancel();
}

/// Between two questions whether the edge is there.
const EDGE_EVERY: Duration = Duration::from_millis(500);

/// Starts the edge again when it has died; it serves by its last table. One silence may be a hand-off to
/// its next generation, so it takes two.
async fn keep_edge(client: Client, exe: PathBuf, state: PathBuf, http: Vec<SocketAddr>, https: Vec<SocketAddr>) {
    let mut silences = 0;
    loop {
        tokio::time::sleep(EDGE_EVERY).await;
        silences = if client.status().await.is_ok() { 0 } else { silences + 1 };
        if silences < 2 {
            continue;
        }
        match daybook_edge::ensure_running(&exe, &state, &http, &https).await {
            Ok(_) => tracing::warn!("the edge had died and was started again"),
            Err(error) => tracing::error!(%error, "the edge has died and does not start"),
        }
        silences = 0;
    }
}

fn make_directory(state: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state)
}

/// Cancelled by SIGTERM and SIGINT.
pub(crate) fn stop_signals() -> Result<CancellationToken, ServeError> {
    let listen = || io("listen for signals");
    let mut terminate = signal(SignalKind::terminate()).map_err(listen())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(listen())?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}

fn io(operation: &'static str) -> impl FnOnce(std::io::Error) -> ServeError {
    move |source| ServeError::Io { operation, source }
}
