//! The series that the server writes for rules and dashboards.

use daybook_metrics::exposition::Kind;

/// A metric that Daybook writes itself.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name; of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, but `le` of histograms.
    pub labels: &'static [&'static str],
    /// What it measures.
    pub help: &'static str,
}

const SERVICE: &[&str] = &["app", "env", "service"];
/// `of` is that of [`super::WATCHED`].
const WATCHED: &[&str] = &["app", "env", "service", "of"];
const REPLICA: &[&str] = &["app", "env", "service", "release", "replica"];
const HOST: &[&str] = &["host"];
const DISK: &[&str] = &["host", "mountpoint"];
const DATABASE: &[&str] = &["app", "env", "database"];
const HOLDING: &[&str] = &["app", "env", "holding"];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// All of them.
pub const METRICS: &[Metric] = &[
    counter(
        "daybook_http_requests_total",
        &["app", "env", "service", "release", "code"],
        "Requests that the edge answered, by status code (`200`, or its class `2xx`).",
    ),
    Metric {
        name: "daybook_http_request_duration_seconds",
        kind: Kind::Histogram,
        labels: &["app", "env", "service", "release"],
        help: "How long the edge took to answer requests.",
    },
    gauge("daybook_anomaly_expected", WATCHED, "What is expected of requests a second or of latency at this time."),
    gauge("daybook_anomaly_lower", WATCHED, "The least of it that is usual."),
    gauge("daybook_anomaly_upper", WATCHED, "The most of it that is usual."),
    gauge("daybook_anomaly_away", WATCHED, "How far it is from what is expected: above 1 or below -1 it is unusual."),
    counter("daybook_replica_requests_total", REPLICA, "Requests that the edge sent to a replica."),
    counter("daybook_replica_cpu_seconds_total", REPLICA, "Processor time that a replica took."),
    gauge("daybook_replica_cpu_limit_cores", REPLICA, "Processors that a replica may use; absent without a limit."),
    gauge("daybook_replica_memory_bytes", REPLICA, "Memory that a replica uses and that cannot be reclaimed."),
    gauge("daybook_replica_memory_limit_bytes", REPLICA, "Memory that a replica may use; absent without a limit."),
    counter("daybook_replica_restarts_total", REPLICA, "How often a replica was started again after it had ended."),
    counter("daybook_replica_oom_kills_total", REPLICA, "How often a replica was killed because memory ran out."),
    gauge("daybook_replica_up", REPLICA, "Whether a replica that should be there is ready: 1 or 0."),
    counter("daybook_host_cpu_seconds_total", &["host", "mode"], "Processor time of a host, by what it was spent on."),
    gauge("daybook_host_cpus", HOST, "Processors of a host."),
    gauge("daybook_host_load1", HOST, "Processes of a host that want a processor, as a mean over a minute."),
    gauge("daybook_host_memory_available_bytes", HOST, "Memory of a host that is free or can be made so."),
    gauge("daybook_host_memory_total_bytes", HOST, "Memory of a host."),
    gauge("daybook_host_filesystem_avail_bytes", DISK, "What may still be written to a file system of a host."),
    gauge("daybook_host_filesystem_size_bytes", DISK, "The size of a file system of a host."),
    gauge(
        "daybook_certificate_expiry_timestamp_seconds",
        &["app", "env", "domain"],
        "When the certificate that is served for a domain expires.",
    ),
    gauge(
        "daybook_backup_last_success_timestamp_seconds",
        HOLDING,
        "When the last backup of a database or volume was made.",
    ),
    gauge(
        "daybook_backup_proven_timestamp_seconds",
        HOLDING,
        "When a backup was last restored and checked; before the first time, when backups began.",
    ),
    gauge("daybook_backup_interval_seconds", HOLDING, "How often a backup is to be made."),
    gauge("daybook_backup_drill_interval_seconds", HOLDING, "How often a backup is to be restored and checked."),
    gauge("daybook_job_last_success_timestamp_seconds", SERVICE, "When a scheduled job last ended well."),
    gauge(
        "daybook_job_next_due_timestamp_seconds",
        SERVICE,
        "When a scheduled job is to start next; it stays in the past until the job has started.",
    ),
    counter("daybook_job_failures_total", SERVICE, "How often a scheduled job failed."),
    gauge("daybook_database_up", DATABASE, "Whether a database answers: 1 or 0."),
    gauge("daybook_database_connections", DATABASE, "Connections to a database."),
    gauge("daybook_database_max_connections", DATABASE, "How many connections a database takes."),
    gauge("up", &["job", "instance"], "Whether a scrape target answers: 1 or 0."),
];
