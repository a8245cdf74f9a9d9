//! What was sent, answered and failed, by class.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::statistics::percentile;

/// How many reasons of failures are kept for each class.
const REASONS: usize = 5;

/// A way to use a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Requests over connections that are kept.
    Keepalive,
    /// Requests that each open a connection.
    Connect,
    /// Bodies that take two seconds to send.
    Upload,
    /// Streams of events.
    Stream,
    /// WebSockets.
    Websocket,
    /// Requests over HTTP/2.
    Http2,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 6] =
        [Self::Keepalive, Self::Connect, Self::Upload, Self::Stream, Self::Websocket, Self::Http2];

    fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::Connect => "connect",
            Self::Upload => "upload",
            Self::Stream => "stream",
            Self::Websocket => "websocket",
            Self::Http2 => "http2",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Counts of one class.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// Requests, streams or messages that were begun.
    pub sent: u64,
    /// Those that ended as they should.
    pub answered: u64,
    /// Those that did not.
    pub failed: u64,
    /// Streams and sockets that the server closed in order, and that were opened again.
    pub reopened: u64,
    /// Why the first few failed.
    pub reasons: Vec<String>,
}

/// Counts of a whole load.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// By class.
    pub classes: BTreeMap<Class, Count>,
    /// 99 of 100 requests were answered within so many milliseconds of their due time.
    pub p99_ms: Option<f64>,
}

impl Report {
    /// One class's counts.
    pub fn class(&self, class: Class) -> Count {
        self.classes.get(&class).cloned().unwrap_or_default()
    }

    /// Everything that was begun.
    pub fn sent(&self) -> u64 {
        self.classes.values().map(|count| count.sent).sum()
    }

    /// Everything that failed.
    pub fn failed(&self) -> u64 {
        self.classes.values().map(|count| count.failed).sum()
    }

    /// Failures by class, for the benchmark's last line.
    pub fn failed_by_class(&self) -> serde_json::Value {
        let failed = |class: &Class| (class.to_string(), serde_json::Value::from(self.class(*class).failed));
        Class::ALL.iter().map(failed).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<10} {:>9} {:>9} {:>7} {:>9}", "class", "sent", "answered", "failed", "reopened")?;
        for (class, count) in &self.classes {
            let Count { sent, answered, failed, reopened, reasons } = count;
            writeln!(f, "{class:<10} {sent:>9} {answered:>9} {failed:>7} {reopened:>9}")?;
            for reason in reasons {
                writeln!(f, "           {reason}")?;
            }
        }
        Ok(())
    }
}

/// Counts as they grow.
#[derive(Default)]
pub(super) struct Tally {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    classes: BTreeMap<Class, Count>,
    latencies_us: Vec<u32>,
}

impl Tally {
    /// Something was begun.
    pub(super) fn begun(&self, class: Class) {
        self.lock().classes.entry(class).or_default().sent += 1;
    }

    /// It ended.
    pub(super) fn ended(&self, class: Class, result: &Result<(), String>) {
        let mut inner = self.lock();
        let count = inner.classes.entry(class).or_default();
        match result {
            Ok(()) => count.answered += 1,
            Err(reason) => {
                count.failed += 1;
                if count.reasons.len() < REASONS {
                    count.reasons.push(reason.clone());
                }
            }
        }
    }

    /// It ended so long after it was due.
    pub(super) fn timed(&self, class: Class, latency: Duration, result: &Result<(), String>) {
        self.ended(class, result);
        let latency = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        self.lock().latencies_us.push(latency);
    }

    /// The server closed a stream or socket in order.
    pub(super) fn reopened(&self, class: Class) {
        self.lock().classes.entry(class).or_default().reopened += 1;
    }

    pub(super) fn report(&self) -> Report {
        let inner = self.lock();
        let mut latencies: Vec<f64> = inner.latencies_us.iter().map(|us| f64::from(*us) / 1_000.0).collect();
        Report { classes: inner.classes.clone(), p99_ms: percentile(&mut latencies, 0.99) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_the_first_are_explained() {
        let tally = Tally::default();
        for number in 0..10 {
            tally.begun(Class::Connect);
            let result = if number % 2 == 0 { Ok(()) } else { Err(format!("reset {number}")) };
            tally.timed(Class::Connect, Duration::from_millis(number), &result);
        }
        let report = tally.report();
        let count = report.class(Class::Connect);
        assert_eq!((count.sent, count.answered, count.failed), (10, 5, 5));
        assert_eq!(count.reasons.len(), REASONS);
        assert_eq!((report.sent(), report.failed()), (10, 5));
        assert_eq!(report.p99_ms, Some(9.0));
        assert_eq!(report.failed_by_class()["connect"], 5);
        assert_eq!(report.failed_by_class()["http2"], 0);
    }
}
