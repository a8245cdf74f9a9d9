//! What is counted for each replica, and for each route.

use std::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use daybook_model::traffic::{Answers, InFlight, LATENCY_BOUNDS_MS, ReplicaTraffic};

/// Counts of one replica. They outlive the table that named it, until it has drained.
#[derive(Debug, Default)]
pub(crate) struct ReplicaCounters {
    in_flight: [AtomicU64; 5],
    total_in_flight: AtomicU64,
    failed: AtomicU64,
    pub(crate) answers: AnswerCounters,
}

/// Counts of one route. They outlive the table that named it, as long as the next has it as well.
#[derive(Debug, Default)]
pub(crate) struct RouteCounters {
    /// Requests and connections that took it.
    pub(crate) hits: AtomicU64,
    /// What users were answered, by whomever.
    pub(crate) answers: AnswerCounters,
}

/// Answers by status, and how long they took.
#[derive(Debug, Default)]
pub(crate) struct AnswerCounters {
    by_status: [AtomicU64; 5],
    latency: [AtomicU64; 15],
    latency_us: AtomicU64,
}

/// The class in which a request or connection is counted while it is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Request = 0,
    Upload = 1,
    Stream = 2,
    Upgraded = 3,
    Connection = 4,
}

impl AnswerCounters {
    /// Counts an answer's status, and how long its head took the replica, where that can be told.
    pub(crate) fn add(&self, status: u16, took: Option<Duration>) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.by_status[class].fetch_add(1, Relaxed);
        let Some(took) = took else { return };
        let micros = took.as_micros() as u64;
        self.latency_us.fetch_add(micros, Relaxed);
        let millis = micros.div_ceil(1000);
        self.latency[LATENCY_BOUNDS_MS.partition_point(|bound| *bound < millis)].fetch_add(1, Relaxed);
    }

    /// The counts as they are reported.
    pub(crate) fn read(&self) -> Answers {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        Answers {
            by_status: self.by_status.each_ref().map(load),
            latency: self.latency.each_ref().map(load),
            latency_us: load(&self.latency_us),
        }
    }
}

impl ReplicaCounters {
    /// Everything that is in flight, of every class.
    pub(crate) fn pending(&self) -> u64 {
        self.total_in_flight.load(Relaxed)
    }

    /// Counts an attempt that never became an answer.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// The counts as they are reported; what is known of health is the endpoint's to add.
    pub(crate) fn read(&self) -> ReplicaTraffic {
        let Answers { by_status, latency, latency_us } = self.answers.read();
        let [requests, uploads, streams, upgraded, connections] =
            self.in_flight.each_ref().map(|count| count.load(SeqCst));
        ReplicaTraffic {
            in_flight: InFlight { requests, uploads, streams, upgraded, connections },
            by_status,
            failed: self.failed.load(Relaxed),
            latency,
            latency_us,
            healthy: None,
            last_failure: None,
        }
    }
}

/// One request or connection in flight; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    counters: Arc<ReplicaCounters>,
    class: AtomicU8,
    /// When the replica could have the whole request. Unset while it is still arriving.
    whole: OnceLock<Instant>,
}

impl Flight {
    /// Begins counting.
    pub(crate) fn begin(counters: Arc<ReplicaCounters>, class: Class) -> Self {
        // Ordered against the endpoint's leaving: see `Endpoint::begin`.
        counters.in_flight[class as usize].fetch_add(1, SeqCst);
        counters.total_in_flight.fetch_add(1, Relaxed);
        let whole = OnceLock::new();
        if class != Class::Upload {
            whole.get_or_init(Instant::now);
        }
        Self { counters, class: AtomicU8::new(class as u8), whole }
    }

    /// Counts it in another class from now on.
    pub(crate) fn become_class(&self, class: Class) {
        let before = self.class.swap(class as u8, Relaxed);
        if before != class as u8 {
            self.counters.in_flight[class as usize].fetch_add(1, Relaxed);
            self.counters.in_flight[usize::from(before)].fetch_sub(1, Relaxed);
        }
    }

    /// The body of an upload has arrived whole.
    pub(crate) fn upload_ended(&self) {
        self.whole.get_or_init(Instant::now);
        if self.class.load(Relaxed) == Class::Upload as u8 {
            self.become_class(Class::Request);
        }
    }

    /// How long the replica has had the whole request: what the client took to send it, and what others took before, is
    /// not the replica's. `None` while the request is still arriving.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.whole.get().map(Instant::elapsed)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let class = usize::from(self.class.load(Relaxed));
        self.counters.in_flight[class].fetch_sub(1, Relaxed);
        self.counters.total_in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_counted_once_in_the_class_it_is_in() {
        let counters = Arc::new(ReplicaCounters::default());
        let flight = Flight::begin(counters.clone(), Class::Upload);
        assert_eq!(counters.read().in_flight, InFlight { uploads: 1, ..Default::default() });
        flight.upload_ended();
        assert_eq!(counters.read().in_flight, InFlight { requests: 1, ..Default::default() });
        flight.become_class(Class::Stream);
        flight.upload_ended();
        assert_eq!(counters.read().in_flight, InFlight { streams: 1, ..Default::default() });
        assert_eq!(counters.pending(), 1);
        drop(flight);
        assert_eq!(counters.read().in_flight.total(), 0);
        assert_eq!(counters.pending(), 0);
    }

    #[test]
    fn the_time_of_an_upload_is_the_clients() {
        let began = Instant::now();
        let flight = Flight::begin(Arc::default(), Class::Upload);
        assert_eq!(flight.took(), None, "an answer before the whole request has come says nothing");
        std::thread::sleep(Duration::from_millis(20));
        flight.upload_ended();
        let (took, all) = (flight.took().unwrap(), began.elapsed());
        assert!(took + Duration::from_millis(20) <= all, "{took:?} of {all:?}");
        std::thread::sleep(Duration::from_millis(20));
        flight.upload_ended();
        assert!(flight.took().unwrap() >= Duration::from_millis(20), "it ends once");
    }

    #[test]
    fn answers_fall_into_their_buckets() {
        let counters = AnswerCounters::default();
        for (status, micros) in [(200, 900), (204, 1_001), (500, 40_000_000), (101, 2_000)] {
            counters.add(status, Some(Duration::from_micros(micros)));
        }
        counters.add(413, None);
        let read = counters.read();
        assert_eq!(read.by_status, [1, 2, 0, 1, 1]);
        assert_eq!((read.latency[0], read.latency[1], read.latency[14]), (1, 2, 1));
    }
}
