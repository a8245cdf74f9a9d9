//! Open connections to one address that wait for their next request.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::workers::{self, MOST_WORKERS};

/// Idle connections. Each worker has a shelf of its own, since a connection is driven by the runtime that
/// opened it. Only sweeping and closing reach into another worker's.
pub(crate) struct Pool {
    shelves: [Mutex<Shelf>; MOST_WORKERS],
}

/// The connection used last is on top, so that few stay warm and the rest grow old. `None` once the endpoint
/// has left.
type Shelf = Option<Vec<Connection>>;

/// How many idle connections a worker keeps.
const MOST_IDLE: usize = 256;
/// How long an idle connection is kept. Servers commonly close theirs after 5 seconds or more.
pub(crate) const LONGEST_IDLE: Duration = Duration::from_secs(20);
/// A request that must not be sent twice takes only a connection that was used so recently that the other
/// side cannot have begun to close it for idleness.
const SURELY_OPEN: Duration = Duration::from_millis(900);

impl Pool {
    pub(crate) fn new() -> Self {
        Self { shelves: std::array::from_fn(|_| Mutex::new(Some(Vec::new()))) }
    }

    /// Takes the connection that was used last. With `repeatable` false, only one used just now.
    pub(crate) fn take(&self, repeatable: bool, now: Instant) -> Option<Connection> {
        let mut idle = self.shelf();
        let idle = idle.as_mut()?;
        let limit = if repeatable { LONGEST_IDLE } else { SURELY_OPEN };
        let last = idle.last()?;
        if now.saturating_duration_since(last.used) <= limit { idle.pop() } else { None }
    }

    /// Puts a connection back, whose last answer has been read to its end.
    pub(crate) fn put(&self, connection: Connection) {
        if let Some(idle) = self.shelf().as_mut().filter(|idle| idle.len() < MOST_IDLE) {
            idle.push(connection);
        }
    }

    /// Closes what has been idle too long.
    pub(crate) fn sweep(&self, now: Instant) {
        for shelf in &self.shelves {
            let mut guard = lock(shelf);
            let Some(idle) = guard.as_mut() else { continue };
            let old = idle.partition_point(|connection| now.saturating_duration_since(connection.used) > LONGEST_IDLE);
            let old: Vec<_> = idle.drain(..old).collect();
            if idle.is_empty() {
                idle.shrink_to_fit();
            }
            drop(guard);
            drop(old);
        }
    }

    /// Closes all of them, and those that are put back later.
    pub(crate) fn close(&self) {
        for shelf in &self.shelves {
            let all = lock(shelf).take();
            drop(all);
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelves[workers::here()])
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().expect("no panic while it is held")
}
