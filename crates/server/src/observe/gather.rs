//! What was counted and seen of an environment becomes samples. Pure.

use std::collections::BTreeMap;

use daybook_model::launch::Role;
use daybook_model::observed::Health;
use daybook_model::traffic::{Answers, InFlight, LATENCY_BOUNDS_MS, ReplicaTraffic, Traffic};
use daybook_model::{EnvKey, Observed, ReplicaId, ReplicaState, SeenReplica, Timestamp};
use daybook_runtime::Usage;

use super::samples::{Base, Samples};

/// Labels of statuses, in the order of [`ReplicaTraffic::by_status`]. What the edge answered itself has its own status.
const CODES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// How often each replica was killed for its memory, as far as that was seen.
#[derive(Debug, Default)]
pub(super) struct Kills(BTreeMap<(EnvKey, ReplicaId), Killed>);

#[derive(Debug, Default)]
struct Killed {
    times: u64,
    last: Option<Timestamp>,
}

/// What is known of an environment at one moment.
pub(super) struct Moment<'a> {
    pub(super) observed: &'a Observed,
    pub(super) traffic: &'a Traffic,
    pub(super) usage: &'a [Usage],
}

pub(super) fn environment(moment: &Moment<'_>, kills: &mut Kills, out: &mut Samples) {
    let key = &moment.observed.key;
    let of = Base::new([("app", &key.app), ("env", &key.env)]);
    let mains = || moment.observed.replicas.iter().filter(|replica| replica.role == Role::Main);
    let releases: BTreeMap<_, _> = mains().map(|replica| (&replica.id, replica.release)).collect();
    for replica in mains().filter(|replica| !is_completed(replica)) {
        let edge = moment.traffic.replicas.get(&replica.id).and_then(|counts| counts.healthy);
        running(replica, edge, &of, kills.of(key, replica), out);
    }
    for (id, counts) in &moment.traffic.replicas {
        let release = releases.get(id).map(ToString::to_string).unwrap_or_default();
        requests(counts, &of.with([("service", &id.service), ("replica", id), ("release", &release)]), out);
    }
    for (service, routes) in &moment.traffic.routes {
        for (route, counts) in routes {
            answers(counts, &of.with([("service", service), ("route", route)]), out);
        }
    }
    for (service, count) in &moment.traffic.unserved {
        let unserved = of.with([("service", service), ("code", &"503")]);
        out.add(&unserved, "daybook_http_requests_total", *count as f64);
    }
    for (service, count) in &moment.traffic.held {
        out.add(&of.with([("service", service)]), "daybook_http_requests_held", *count as f64);
    }
    for usage in moment.usage {
        let release = releases.get(&usage.id).map(ToString::to_string).unwrap_or_default();
        used(usage, &of.with([("service", &usage.id.service), ("replica", &usage.id), ("release", &release)]), out);
    }
    services(moment, &of, out);
}

/// How many replicas each service has, by whether they are up.
fn services(moment: &Moment<'_>, of: &Base, out: &mut Samples) {
    let mut counts: BTreeMap<_, [u32; 2]> = BTreeMap::new();
    for replica in moment.observed.replicas.iter().filter(|replica| replica.role == Role::Main) {
        counts.entry(&replica.id.service).or_default()[usize::from(replica.is_running())] += 1;
    }
    for (service, [down, up]) in counts {
        let of = of.with([("service", service)]);
        out.add(&of, "daybook_service_replicas", f64::from(down + up));
        out.add(&of, "daybook_service_replicas_running", f64::from(up));
    }
}

/// It did what it was started for, and nobody waits for it to be up.
fn is_completed(replica: &SeenReplica) -> bool {
    replica.state == ReplicaState::Exited && replica.last_exit.as_ref().is_some_and(|exit| exit.code == 0)
}

fn running(replica: &SeenReplica, edge: Option<bool>, of: &Base, killed: u64, out: &mut Samples) {
    let of = of.with([("service", &replica.id.service), ("replica", &replica.id), ("release", &replica.release)]);
    let is_well = !matches!(replica.health, Health::Unhealthy(_)) && edge != Some(false);
    out.add(&of, "daybook_replica_up", f64::from(u8::from(replica.is_running() && is_well)));
    out.add(&of, "daybook_replica_restarts_total", f64::from(replica.restarts));
    out.add(&of, "daybook_replica_oom_kills_total", killed as f64);
    if let Some(started) = replica.started_at {
        out.add(&of, "daybook_replica_start_time_seconds", seconds(started));
    }
}

fn requests(counts: &ReplicaTraffic, of: &Base, out: &mut Samples) {
    let by_code = CODES.into_iter().zip(counts.by_status).chain([("502", counts.failed)]);
    for (code, count) in by_code {
        out.add(&of.with([("code", &code)]), "daybook_http_requests_total", count as f64);
    }
    let names = [
        "daybook_http_request_duration_seconds_bucket",
        "daybook_http_request_duration_seconds_count",
        "daybook_http_request_duration_seconds_sum",
    ];
    durations(names, &counts.latency, counts.latency_us, of, out);
    let InFlight { requests, uploads, streams, upgraded, connections } = counts.in_flight;
    let classes = [
        ("request", requests),
        ("upload", uploads),
        ("stream", streams),
        ("upgraded", upgraded),
        ("connection", connections),
    ];
    for (class, count) in classes {
        out.add(&of.with([("class", &class)]), "daybook_http_requests_in_flight", count as f64);
    }
    out.add(of, "daybook_replica_requests_total", counts.requests() as f64);
}

/// What users were answered by a route, whoever answered.
fn answers(counts: &Answers, of: &Base, out: &mut Samples) {
    for (code, count) in CODES.into_iter().zip(counts.by_status) {
        out.add(&of.with([("code", &code)]), "daybook_route_requests_total", count as f64);
    }
    let names = [
        "daybook_route_request_duration_seconds_bucket",
        "daybook_route_request_duration_seconds_count",
        "daybook_route_request_duration_seconds_sum",
    ];
    durations(names, &counts.latency, counts.latency_us, of, out);
}

/// A histogram: `names` are those of its buckets, of their count and of their sum.
fn durations([bucket, count, sum]: [&str; 3], latency: &[u64], latency_us: u64, of: &Base, out: &mut Samples) {
    let mut below = 0;
    for (i, in_bucket) in latency.iter().enumerate() {
        below += in_bucket;
        let bound = LATENCY_BOUNDS_MS.get(i).map_or("+Inf".to_owned(), |ms| (*ms as f64 / 1000.0).to_string());
        out.add(&of.with([("le", &bound)]), bucket, below as f64);
    }
    out.add(of, count, below as f64);
    out.add(of, sum, latency_us as f64 / 1e6);
}

fn used(usage: &Usage, of: &Base, out: &mut Samples) {
    out.add(of, "daybook_replica_cpu_seconds_total", usage.cpu_seconds);
    out.add(of, "daybook_replica_memory_bytes", usage.memory_bytes as f64);
    if let Some(limit) = usage.memory_limit_bytes {
        out.add(of, "daybook_replica_memory_limit_bytes", limit as f64);
    }
    out.add(of, "daybook_replica_processes", usage.pids as f64);
}

impl Kills {
    /// How often a replica was killed until now. What ended at one time is one end.
    fn of(&mut self, key: &EnvKey, replica: &SeenReplica) -> u64 {
        let Some(exit) = replica.last_exit.as_ref().filter(|exit| exit.oom) else {
            return self.0.get(&(key.clone(), replica.id.clone())).map_or(0, |killed| killed.times);
        };
        let killed = self.0.entry((key.clone(), replica.id.clone())).or_default();
        let at = exit.at.or(replica.started_at);
        if killed.times == 0 || killed.last != at {
            killed.times += 1;
            killed.last = at;
        }
        killed.times
    }

    /// Forgets what is there no more.
    pub(super) fn retain(&mut self, is_there: impl Fn(&EnvKey, &ReplicaId) -> bool) {
        self.0.retain(|(key, id), _| is_there(key, id));
    }
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use daybook_model::fingerprint::Fingerprint;
    use daybook_model::observed::Exit;
    use daybook_model::{Digest, ReleaseNumber, RunId};

    use super::*;

    fn observed(replicas: Vec<SeenReplica>) -> Observed {
        Observed { replicas, ..Observed::nothing("shop/production".parse().unwrap()) }
    }

    fn replica(id: &str) -> SeenReplica {
        SeenReplica {
            id: id.parse().unwrap(),
            role: Role::Main,
            fingerprint: Fingerprint(Digest::of(b"a")),
            release: ReleaseNumber(3),
            run: RunId::NONE,
            artifact: Digest::of(b"a"),
            state: ReplicaState::Running,
            health: Health::Unasked,
            started_at: None,
            restarts: 2,
            last_exit: None,
            address: None,
            ports: BTreeMap::new(),
        }
    }

    #[test]
    fn an_environment_is_told_by_replica() {
        let seen = observed(vec![replica("web.1")]);
        let mut traffic = Traffic::default();
        let mut counts = ReplicaTraffic { by_status: [0, 7, 0, 1, 2], failed: 1, ..ReplicaTraffic::default() };
        counts.latency[3] = 9;
        counts.latency[14] = 1;
        counts.latency_us = 1_500_000;
        traffic.replicas.insert("web.1".parse().unwrap(), counts);
        traffic.unserved.insert("web".to_owned(), 4);
        let mut answers = Answers { by_status: [0, 6, 0, 1, 3], latency_us: 500_000, ..Answers::default() };
        answers.latency[0] = 7;
        traffic.routes.insert("web".to_owned(), BTreeMap::from([("shop.example/api".to_owned(), answers)]));
        let mut out = Samples::default();
        environment(&Moment { observed: &seen, traffic: &traffic, usage: &[] }, &mut Kills::default(), &mut out);
        let text = out.text();
        for line in [
            r#"daybook_http_requests_total{app="shop",code="5xx",env="production",job="daybook",release="3",replica="web.1",service="web"} 2"#,
            r#"daybook_http_requests_total{app="shop",code="503",env="production",job="daybook",service="web"} 4"#,
            r#"daybook_http_request_duration_seconds_bucket{app="shop",env="production",job="daybook",le="0.01",release="3",replica="web.1",service="web"} 9"#,
            r#"daybook_http_request_duration_seconds_bucket{app="shop",env="production",job="daybook",le="+Inf",release="3",replica="web.1",service="web"} 10"#,
            r#"daybook_http_request_duration_seconds_sum{app="shop",env="production",job="daybook",release="3",replica="web.1",service="web"} 1.5"#,
            r#"daybook_route_requests_total{app="shop",code="5xx",env="production",job="daybook",route="shop.example/api",service="web"} 3"#,
            r#"daybook_route_request_duration_seconds_bucket{app="shop",env="production",job="daybook",le="0.001",route="shop.example/api",service="web"} 7"#,
            r#"daybook_route_request_duration_seconds_count{app="shop",env="production",job="daybook",route="shop.example/api",service="web"} 7"#,
            r#"daybook_route_request_duration_seconds_sum{app="shop",env="production",job="daybook",route="shop.example/api",service="web"} 0.5"#,
            r#"daybook_replica_restarts_total{app="shop",env="production",job="daybook",release="3",replica="web.1",service="web"} 2"#,
            r#"daybook_service_replicas_running{app="shop",env="production",job="daybook",service="web"} 1"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn every_metric_that_is_told_is_listed() {
        let seen = observed(vec![SeenReplica { started_at: Some(Timestamp::UNIX_EPOCH), ..replica("web.1") }]);
        let mut traffic = Traffic::default();
        let counts = ReplicaTraffic { healthy: Some(true), ..ReplicaTraffic::default() };
        traffic.replicas.insert("web.1".parse().unwrap(), counts);
        traffic.held.insert("web".to_owned(), 4);
        traffic.routes.insert("web".to_owned(), BTreeMap::from([("*/".to_owned(), Answers::default())]));
        let usage = Usage {
            id: "web.1".parse().unwrap(),
            cpu_cores: 0.5,
            cpu_seconds: 3.0,
            memory_bytes: 1,
            memory_limit_bytes: Some(2),
            pids: 1,
        };
        let mut out = Samples::default();
        environment(&Moment { observed: &seen, traffic: &traffic, usage: &[usage] }, &mut Kills::default(), &mut out);
        out.all_are_listed();
    }

    #[test]
    fn one_end_is_counted_once() {
        let key: EnvKey = "shop/production".parse().unwrap();
        let mut kills = Kills::default();
        let mut seen = replica("web.1");
        assert_eq!(kills.of(&key, &seen), 0);
        let end = |second| {
            Some(Exit { code: 137, oom: true, error: None, at: Some(Timestamp::from_second(second).unwrap()) })
        };
        seen.last_exit = end(10);
        assert_eq!((kills.of(&key, &seen), kills.of(&key, &seen)), (1, 1));
        seen.last_exit = end(20);
        assert_eq!(kills.of(&key, &seen), 2);
        kills.retain(|_, _| false);
        seen.last_exit = None;
        assert_eq!(kills.of(&key, &seen), 0);
    }
}
