//! What the edge counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::ReplicaId;
use crate::name::EnvKey;

/// Upper bounds of the latency buckets in milliseconds; a last bucket without a bound follows.
pub const LATENCY_BOUNDS_MS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];

/// Counts of one environment since the edge started, by replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Traffic {
    /// By replica. A replica that left the table stays until it has drained and been read.
    pub replicas: BTreeMap<ReplicaId, ReplicaTraffic>,
    /// Requests that no replica could be found for, by service.
    pub unserved: BTreeMap<String, u64>,
    /// Requests held now, by service.
    pub held: BTreeMap<String, u64>,
    /// What users were answered, by service and by route as it is declared: host and path prefix, or a published
    /// address.
    #[serde(default)]
    pub routes: BTreeMap<String, BTreeMap<String, Answers>>,
}

impl Traffic {
    /// Adds what another edge has counted of the same environment.
    pub fn add(&mut self, other: Self) {
        for (id, counts) in other.replicas {
            self.replicas.entry(id).or_default().add(counts);
        }
        for (mine, theirs) in [(&mut self.unserved, other.unserved), (&mut self.held, other.held)] {
            for (service, count) in theirs {
                *mine.entry(service).or_default() += count;
            }
        }
        for (service, routes) in other.routes {
            let mine = self.routes.entry(service).or_default();
            for (route, answers) in routes {
                mine.entry(route).or_default().add(&answers);
            }
        }
    }
}

/// Answers by status, and how long they took. All only grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Answers {
    /// By status class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub by_status: [u64; 5],
    /// As [`ReplicaTraffic::latency`].
    pub latency: [u64; 15],
    /// All these latencies together, in microseconds.
    pub latency_us: u64,
}

impl Answers {
    fn add(&mut self, other: &Self) {
        self.by_status.iter_mut().zip(other.by_status).for_each(|(mine, theirs)| *mine += theirs);
        self.latency.iter_mut().zip(other.latency).for_each(|(mine, theirs)| *mine += theirs);
        self.latency_us += other.latency_us;
    }
}

/// Counts of one replica. All but `in_flight` and `healthy` only grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ReplicaTraffic {
    /// Requests and connections that have begun and not ended, by class.
    pub in_flight: InFlight,
    /// Answered requests by status class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub by_status: [u64; 5],
    /// Attempts that never became an answer: refused, reset, timed out.
    pub failed: u64,
    /// Latencies: one count for each of [`LATENCY_BOUNDS_MS`], then the rest. From the replica's having the whole
    /// request to the head of its answer; an answer that comes earlier has none.
    pub latency: [u64; 15],
    /// All these latencies together, in microseconds.
    #[serde(default)]
    pub latency_us: u64,
    /// The edge's own check, `None` before its first answer.
    pub healthy: Option<bool>,
    /// What the last failed check or attempt said.
    pub last_failure: Option<String>,
}

impl ReplicaTraffic {
    /// Requests that were answered or failed.
    pub fn requests(&self) -> u64 {
        self.by_status.iter().sum::<u64>() + self.failed
    }

    /// Requests that a user saw fail through the replica's fault: 5xx, or no answer.
    pub fn errors(&self) -> u64 {
        self.by_status[4] + self.failed
    }

    /// Adds what another edge has counted of the same replica. It is healthy where no edge says otherwise.
    fn add(&mut self, other: Self) {
        self.in_flight.add(other.in_flight);
        self.by_status.iter_mut().zip(other.by_status).for_each(|(mine, theirs)| *mine += theirs);
        self.latency.iter_mut().zip(other.latency).for_each(|(mine, theirs)| *mine += theirs);
        self.failed += other.failed;
        self.latency_us += other.latency_us;
        self.healthy = match (self.healthy, other.healthy) {
            (Some(mine), Some(theirs)) => Some(mine && theirs),
            (mine, theirs) => mine.or(theirs),
        };
        self.last_failure = self.last_failure.take().or(other.last_failure);
    }

    /// What was counted since `earlier`, a reading of the same replica. A counter that went down
    /// (a new edge) counts from zero.
    pub fn since(&self, earlier: &Self) -> Self {
        let diff = |now: u64, then: u64| if now >= then { now - then } else { now };
        let mut out = self.clone();
        for (now, then) in out.by_status.iter_mut().zip(earlier.by_status) {
            *now = diff(*now, then);
        }
        for (now, then) in out.latency.iter_mut().zip(earlier.latency) {
            *now = diff(*now, then);
        }
        out.failed = diff(self.failed, earlier.failed);
        out.latency_us = diff(self.latency_us, earlier.latency_us);
        out
    }

    /// The latency in milliseconds that a share `q` (0 to 1) of the requests stayed within: the upper
    /// bound of the bucket it falls in. `None` without requests.
    pub fn quantile_ms(&self, q: f64) -> Option<u64> {
        self.quantile_bucket_ms(q).map(|(_, upper)| upper)
    }

    /// The bucket of that latency in milliseconds: it lies above the first bound, and not above the second.
    pub fn quantile_bucket_ms(&self, q: f64) -> Option<(u64, u64)> {
        let total: u64 = self.latency.iter().sum();
        if total == 0 {
            return None;
        }
        let rank = (q * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (i, count) in self.latency.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let lower = i.checked_sub(1).map_or(0, |before| LATENCY_BOUNDS_MS[before]);
                return Some((lower, LATENCY_BOUNDS_MS.get(i).copied().unwrap_or(60_000)));
            }
        }
        None
    }
}

/// What is in flight, by the class whose draining has a bound of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct InFlight {
    /// Ordinary requests.
    pub requests: u64,
    /// Requests whose body is still arriving.
    pub uploads: u64,
    /// Answers that stream events (`text/event-stream`).
    pub streams: u64,
    /// WebSockets and other upgraded connections.
    pub upgraded: u64,
    /// Connections that are forwarded as bytes.
    pub connections: u64,
}

impl InFlight {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.uploads += other.uploads;
        self.streams += other.streams;
        self.upgraded += other.upgraded;
        self.connections += other.connections;
    }

    /// All classes together.
    pub fn total(&self) -> u64 {
        self.requests + self.uploads + self.streams + self.upgraded + self.connections
    }
}

/// All environments of one edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct EdgeTraffic {
    /// The version of the table in force.
    pub table_version: u64,
    /// Counts by environment.
    pub environments: BTreeMap<EnvKey, Traffic>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_count_one_route_together() {
        let of = |route: &str, failed| {
            let answers = Answers { by_status: [0, 7, 0, 0, failed], latency_us: 5, ..Answers::default() };
            let routes = BTreeMap::from([("web".to_owned(), BTreeMap::from([(route.to_owned(), answers)]))]);
            Traffic { routes, ..Traffic::default() }
        };
        let mut all = of("shop.example/", 1);
        all.add(of("shop.example/", 2));
        all.add(of("shop.example/api", 3));
        let web = &all.routes["web"];
        assert_eq!(web["shop.example/"].by_status, [0, 14, 0, 0, 3]);
        assert_eq!((web["shop.example/"].latency_us, web["shop.example/api"].by_status[4]), (10, 3));
    }
}
