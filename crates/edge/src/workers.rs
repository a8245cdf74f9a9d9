//! One thread for each core, with a runtime of its own. A client's connection lives on one of them, with the
//! connections to replicas that its requests use: no request wakes another thread, or waits for one.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Workers at most: the work of a proxy is mostly the kernel's.
pub(crate) const MOST_WORKERS: usize = 8;

/// All workers. Dropped, they end, with whatever still runs on them.
pub(crate) struct Workers {
    all: Vec<Worker>,
    stop: CancellationToken,
}

struct Worker {
    runtime: Handle,
    seats: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// A connection's place on a worker, taken until it is dropped.
pub(crate) struct Seat {
    runtime: Handle,
    taken: Arc<AtomicUsize>,
}

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

impl Workers {
    /// Starts a worker for each core.
    pub(crate) fn start() -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, MOST_WORKERS);
        let mut workers = Self { all: Vec::with_capacity(count), stop: CancellationToken::new() };
        for number in 0..count {
            let runtime = Builder::new_current_thread().max_blocking_threads(16).enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = workers.stop.clone();
            let work = move || {
                NUMBER.set(number);
                runtime.block_on(stop.cancelled());
                // Reading a file may hang; what does is left behind.
                runtime.shutdown_background();
            };
            let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
            workers.all.push(Worker { runtime: handle, seats: Arc::default(), thread: Some(thread) });
        }
        Ok(workers)
    }

    /// A place on the worker that has the fewest connections.
    pub(crate) fn seat(&self) -> Seat {
        let worker = self.all.iter().min_by_key(|worker| worker.seats.load(Relaxed)).expect("there is a worker");
        worker.seats.fetch_add(1, Relaxed);
        Seat { runtime: worker.runtime.clone(), taken: worker.seats.clone() }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.all.iter_mut().filter_map(|worker| worker.thread.take()) {
            let _ = thread.join();
        }
    }
}

impl Seat {
    /// The worker's runtime.
    pub(crate) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

/// The number of the worker that this is called on, less than [`MOST_WORKERS`]; 0 on any other thread.
pub(crate) fn here() -> usize {
    NUMBER.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_and_stay_on_one_worker() {
        let workers = Workers::start().unwrap();
        let seats: Vec<Seat> = (0..workers.all.len() * 3).map(|_| workers.seat()).collect();
        assert!(workers.all.iter().all(|worker| worker.seats.load(Relaxed) == 3));
        let (sender, receiver) = std::sync::mpsc::channel();
        for seat in &seats {
            let sender = sender.clone();
            seat.runtime().spawn(async move { sender.send(here()).unwrap() });
        }
        drop(sender);
        let mut numbers: Vec<usize> = receiver.iter().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..seats.len()).map(|i| i / 3).collect::<Vec<_>>());
        drop(seats);
        assert!(workers.all.iter().all(|worker| worker.seats.load(Relaxed) == 0));
    }
}
