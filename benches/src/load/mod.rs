//! Constant load of six classes on one address.

mod client;
mod events;
mod http2;
mod requests;
mod tally;
mod upload;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use client::{Reply, get, post};
use tally::Tally;
pub use tally::{Class, Count, Report};

/// How long a request may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to load, and how much.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the edge, or of a published port.
    pub address: SocketAddr,
    /// Value of the `Host` header.
    pub host: String,
    /// Requests per second over kept connections.
    pub keepalive_rate: u32,
    /// Requests per second that each open a connection.
    pub connect_rate: u32,
    /// Requests per second over HTTP/2 with prior knowledge; 0 for servers that do not speak it.
    pub http2_rate: u32,
    /// Slow uploads at any time.
    pub uploads: u32,
    /// Event streams at any time.
    pub streams: u32,
    /// WebSockets at any time; each sends five messages a second.
    pub websockets: u32,
}

impl Options {
    /// The load of the benchmarks: 200 requests a second and twelve long exchanges.
    pub fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            keepalive_rate: 120,
            connect_rate: 40,
            http2_rate: 40,
            uploads: 4,
            streams: 4,
            websockets: 4,
        }
    }
}

/// A load that runs until it is stopped.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// What all clients share.
struct Shared {
    options: Options,
    tally: Tally,
    stop: CancellationToken,
    next: AtomicU64,
}

impl Load {
    /// Starts every client.
    pub fn start(options: Options) -> Self {
        let shared = Arc::new(Shared {
            options,
            tally: Tally::default(),
            stop: CancellationToken::new(),
            next: AtomicU64::new(1),
        });
        let mut tasks = JoinSet::new();
        let options = &shared.options;
        for (class, rate, clients) in
            [(Class::Keepalive, options.keepalive_rate, 8), (Class::Connect, options.connect_rate, 4)]
        {
            for _ in 0..if rate > 0 { clients } else { 0 } {
                tasks.spawn(requests::run(Arc::clone(&shared), class, period(rate, clients)));
            }
        }
        if options.http2_rate > 0 {
            tasks.spawn(http2::run(Arc::clone(&shared), period(options.http2_rate, 1)));
        }
        for _ in 0..options.uploads {
            tasks.spawn(upload::run(Arc::clone(&shared)));
        }
        for _ in 0..options.streams {
            tasks.spawn(events::run(Arc::clone(&shared)));
        }
        for _ in 0..options.websockets {
            tasks.spawn(websocket::run(Arc::clone(&shared)));
        }
        Self { shared, tasks }
    }

    /// What was counted until now.
    pub fn report(&self) -> Report {
        self.shared.tally.report()
    }

    /// Lets what is under way end, and returns all counts.
    pub async fn stop(mut self) -> Report {
        self.shared.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.shared.tally.report()
    }
}

fn period(rate: u32, clients: u32) -> Duration {
    Duration::from_secs(1) * clients / rate
}

impl Shared {
    /// A new id, unique in this load.
    fn id(&self, class: Class) -> String {
        format!("{class}-{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for the next time to send, and returns when that was due: an answer's latency counts from
    /// there, so that a stall is seen by every request that it delayed. `None`: stop.
    async fn due(&self, ticks: &mut Interval) -> Option<Instant> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            at = ticks.tick() => Some(at),
        }
    }

    /// Waits, unless it is time to stop. Returns whether to go on.
    async fn pause(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.stop.cancelled()).await.is_err()
    }

    /// Whoever failed tries again half a second later, so that a long outage is not counted a thousand times.
    async fn rest_after<T>(&self, result: &Result<T, String>) {
        if result.is_err() {
            self.pause(Duration::from_millis(500)).await;
        }
    }

    /// Runs one exchange within the patience of a user.
    async fn within<T>(&self, exchange: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(late)
    }
}

/// Ticks at a constant rate; those that were missed come at once, later.
fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}
