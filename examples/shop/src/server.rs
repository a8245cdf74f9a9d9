//! The web server: a thread for each connection, and an end that fails nobody.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::http::Connection;
use crate::limits::Limits;
use crate::orders::Orders;
use crate::served::Served;
use crate::settings::Settings;
use crate::{routes, say};

/// How long a first request may take to arrive after SIGTERM.
const FRESH: Duration = Duration::from_secs(1);
/// How long requests may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(9);

/// What every connection sees.
pub(crate) struct Shop {
    /// What the environment says.
    pub(crate) settings: Settings,
    /// The orders on disk.
    pub(crate) orders: Orders,
    /// What was answered.
    pub(crate) served: Served,
    /// What it answers no more.
    pub(crate) limits: Limits,
    connections: Mutex<Connections>,
    changed: Condvar,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, (TcpStream, Stage)>,
    ending: bool,
}

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its first request is on its way.
    Fresh,
    /// A request is being answered.
    Busy,
    /// Between two requests.
    Idle,
}

/// Serves until SIGTERM, then ends when the last request has.
pub(crate) fn run(settings: Settings) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let port = if settings.fault.wrong_port() { 0 } else { settings.listen.port() };
    let listener = TcpListener::bind((settings.listen.ip(), port))?;
    say(&format!("shop {} listens on {}", settings.version, listener.local_addr()?));
    let orders = Orders::open(&settings.data)?;
    let served = Served::open(&settings.data, &settings.replica)?;
    settings.fault.begin();
    let (limits, connections, changed) = (Limits::default(), Mutex::default(), Condvar::new());
    let shop = Arc::new(Shop { settings, orders, served, limits, connections, changed });

    let background = Arc::clone(&shop);
    std::thread::spawn(move || background.served.keep(|| background.is_ending()));
    let acceptor = Arc::clone(&shop);
    let address = listener.local_addr()?;
    let accepting = std::thread::spawn(move || acceptor.accept(&listener));

    signals.forever().next();
    say("asked to end: finishing what is in flight");
    shop.lock().ending = true;
    shop.changed.notify_all();
    wake(address)?;
    let _ = accepting.join();
    shop.finish();
    shop.served.save();
    say("ended");
    Ok(())
}

/// Unblocks `accept` by one connection of our own.
fn wake(mut address: std::net::SocketAddr) -> io::Result<()> {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    TcpStream::connect(address).map(drop)
}

impl Shop {
    /// Whether SIGTERM came.
    pub(crate) fn is_ending(&self) -> bool {
        self.lock().ending
    }

    /// Waits, but not once SIGTERM came. Returns whether it came.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), time, |connections| !connections.ending);
        waited.map_or(true, |(connections, _)| connections.ending)
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            self.take(stream);
            if self.is_ending() {
                break;
            }
        }
        // Whoever was waiting in the backlog is still answered before the listener closes.
        if listener.set_nonblocking(true).is_ok() {
            while let Ok((stream, _)) = listener.accept() {
                let blocking = stream.set_nonblocking(false);
                self.take(blocking.map(|()| stream));
            }
        }
    }

    fn take(self: &Arc<Self>, stream: io::Result<TcpStream>) {
        let Ok(stream) = stream else {
            // Out of file descriptors, most likely: closing connections will help.
            std::thread::sleep(Duration::from_millis(10));
            return;
        };
        let Ok(kept) = stream.try_clone() else { return };
        let id = {
            let mut connections = self.lock();
            connections.next += 1;
            let id = connections.next;
            connections.open.insert(id, (kept, Stage::Fresh));
            id
        };
        let shop = Arc::clone(self);
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
            // An error here is the client's connection, which is over.
            let _ = Connection::new(stream).and_then(|mut connection| shop.converse(id, &mut connection));
            shop.forget(id);
        });
        if thread.is_err() {
            self.forget(id);
        }
    }

    fn converse(&self, id: u64, connection: &mut Connection) -> io::Result<()> {
        while let Some(request) = connection.next()? {
            self.stage(id, Stage::Busy);
            if !routes::answer(self, connection, &request)? {
                break;
            }
            if !self.stage(id, Stage::Idle) {
                break;
            }
        }
        Ok(())
    }

    /// Notes where a connection is. Returns whether the shop goes on.
    fn stage(&self, id: u64, stage: Stage) -> bool {
        let mut connections = self.lock();
        if let Some((_, known)) = connections.open.get_mut(&id) {
            *known = stage;
        }
        !connections.ending
    }

    fn forget(&self, id: u64) {
        self.lock().open.remove(&id);
        self.changed.notify_all();
    }

    /// Lets every connection end: those between two requests at once, the others after their answer.
    fn finish(&self) {
        self.close(Stage::Idle);
        let is_fresh = |connections: &mut Connections| connections.open.values().any(|(_, at)| *at == Stage::Fresh);
        drop(self.changed.wait_timeout_while(self.lock(), FRESH, is_fresh));
        self.close(Stage::Fresh);
        drop(self.changed.wait_timeout_while(self.lock(), GRACE, |connections| !connections.open.is_empty()));
    }

    fn close(&self, stage: Stage) {
        for (stream, _) in self.lock().open.values().filter(|(_, at)| *at == stage) {
            // One that the client has closed already needs no closing.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}
