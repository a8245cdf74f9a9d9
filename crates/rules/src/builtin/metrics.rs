//! Every metric of our own: what it is called, what it is, and what it says.

use daybook_metrics::exposition::Kind;

/// A metric that Daybook writes itself.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, as samples have it; a histogram's without its endings.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The labels by which rules may tell its series apart, but `le` of histograms. Series may have more.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const NOTHING: &[&str] = &[];
const SERVICE: &[&str] = &["app", "env", "service"];
/// `of` is that of [`super::WATCHED`].
const WATCHED: &[&str] = &["app", "env", "service", "of"];
const REPLICA: &[&str] = &["app", "env", "service", "release", "replica"];
const HOST: &[&str] = &["host"];
const DISK: &[&str] = &["host", "mountpoint"];
const DEVICE: &[&str] = &["host", "device"];
const DATABASE: &[&str] = &["app", "env", "database"];
const QUERY: &[&str] = &["app", "env", "database", "query", "id"];
const STANDBY: &[&str] = &["app", "env", "database", "standby"];
const HOLDING: &[&str] = &["app", "env", "holding"];
const LANE: &[&str] = &["app", "env", "of"];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// Each, by what it is of.
pub const METRICS: &[Metric] = &[
    counter(
        "daybook_http_requests_total",
        &["app", "env", "service", "release", "code"],
        "Requests by class of status; code=\"502\" had no answer of the replica, code=\"503\" found no replica.",
    ),
    histogram(
        "daybook_http_request_duration_seconds",
        &["app", "env", "service", "release"],
        "Seconds from a replica's having the whole request to the head of its answer.",
    ),
    gauge(
        "daybook_http_requests_in_flight",
        &["app", "env", "service", "release", "replica", "class"],
        "Requests and connections that have begun and not ended, by class.",
    ),
    gauge("daybook_http_requests_held", SERVICE, "Requests that wait for a replica."),
    counter(
        "daybook_route_requests_total",
        &["app", "env", "service", "route", "code"],
        "What users were answered by class of status, by host and path prefix as declared, or by published address.",
    ),
    histogram(
        "daybook_route_request_duration_seconds",
        &["app", "env", "service", "route"],
        "Seconds from a replica's having the whole request to the head of its answer, by route as declared.",
    ),
    gauge("daybook_anomaly_expected", WATCHED, "What is expected of requests a second or of latency at this time."),
    gauge("daybook_anomaly_lower", WATCHED, "The least of it that is usual."),
    gauge("daybook_anomaly_upper", WATCHED, "The most of it that is usual."),
    gauge("daybook_anomaly_away", WATCHED, "How far it is from what is expected: above 1 or below -1 it is unusual."),
    gauge("daybook_service_replicas", SERVICE, "Replicas that a service has, running or not."),
    gauge("daybook_service_replicas_running", SERVICE, "Replicas of a service that run."),
    gauge(
        "daybook_replica_up",
        REPLICA,
        "Whether a process of the replica is there, and neither the runtime nor the edge finds it unhealthy.",
    ),
    counter("daybook_replica_requests_total", REPLICA, "Requests that the edge sent to the replica."),
    counter("daybook_replica_restarts_total", REPLICA, "How often the runtime started the replica again."),
    counter(
        "daybook_replica_oom_kills_total",
        REPLICA,
        "How often the replica was killed for using more memory than its limit.",
    ),
    gauge("daybook_replica_start_time_seconds", REPLICA, "When its present process started, in seconds since 1970."),
    counter("daybook_replica_cpu_seconds_total", REPLICA, "Processor time of the replica, in seconds."),
    gauge("daybook_replica_memory_bytes", REPLICA, "Memory of the replica that cannot be dropped."),
    gauge("daybook_replica_memory_limit_bytes", REPLICA, "The most memory that the replica may have."),
    gauge("daybook_replica_cpu_limit_cores", REPLICA, "Processors that the replica may use; absent without a limit."),
    gauge("daybook_replica_processes", REPLICA, "Processes and threads of the replica."),
    counter("daybook_host_cpu_seconds_total", &["host", "mode"], "Processor time of the machine by mode, in seconds."),
    gauge("daybook_host_cpus", HOST, "Processors of the machine."),
    gauge("daybook_host_memory_total_bytes", HOST, "Memory of the machine."),
    gauge("daybook_host_memory_available_bytes", HOST, "Memory of the machine that programs can still have."),
    gauge("daybook_host_swap_total_bytes", HOST, "Swap of the machine."),
    gauge("daybook_host_swap_free_bytes", HOST, "Swap of the machine that is free."),
    gauge("daybook_host_load1", HOST, "Programs that wanted a processor or a disk, over a minute."),
    gauge("daybook_host_load5", HOST, "Programs that wanted a processor or a disk, over 5 minutes."),
    gauge("daybook_host_load15", HOST, "Programs that wanted a processor or a disk, over 15 minutes."),
    counter("daybook_host_network_receive_bytes_total", DEVICE, "Bytes that a network device received."),
    counter("daybook_host_network_transmit_bytes_total", DEVICE, "Bytes that a network device sent."),
    gauge("daybook_host_filesystem_size_bytes", DISK, "Bytes of the file system of a directory."),
    gauge("daybook_host_filesystem_avail_bytes", DISK, "Bytes of it that are free for whoever is not root."),
    gauge("daybook_host_filesystem_files", DISK, "Files that it can have."),
    gauge("daybook_host_filesystem_files_free", DISK, "Files that it can still have."),
    gauge("daybook_server_memory_bytes", HOST, "Memory of the server itself."),
    gauge("daybook_metrics_series", NOTHING, "Series with a sample in the last hours."),
    counter("daybook_metrics_samples_total", NOTHING, "Samples that were kept since the server began."),
    counter(
        "daybook_metrics_samples_refused_total",
        &["why"],
        "Samples that were not kept since the server began, by why.",
    ),
    gauge("daybook_metrics_disk_bytes", &["tier"], "Bytes that blocks of samples take on disk, by how fine they are."),
    counter("daybook_forward_sent_total", LANE, "Samples or lines that a receiver took since the server began."),
    counter(
        "daybook_forward_dropped_total",
        LANE,
        "Samples or lines that a receiver refused since the server began: they are not sent again.",
    ),
    gauge("daybook_forward_behind_seconds", LANE, "Since when something waits to be sent elsewhere."),
    gauge("daybook_job_last_due_timestamp_seconds", SERVICE, "When the last run of a job that came to an end was due."),
    gauge(
        "daybook_job_last_success_timestamp_seconds",
        SERVICE,
        "When the last run of a job was due, if that ended well.",
    ),
    gauge("daybook_job_last_exit_code", SERVICE, "The exit code of the last run of a job."),
    counter("daybook_job_failures_total", SERVICE, "How often a job ended badly since the server began."),
    gauge(
        "daybook_job_next_due_timestamp_seconds",
        SERVICE,
        "When a job is to start next; it stays in the past until the job has started.",
    ),
    gauge("daybook_job_running", SERVICE, "Whether a run of the job has not ended."),
    gauge("daybook_backup_interval_seconds", HOLDING, "How often a backup is to be made."),
    gauge("daybook_backup_drill_interval_seconds", HOLDING, "How often a backup is to be restored and checked."),
    gauge("daybook_backup_last_success_timestamp_seconds", HOLDING, "When the last backup that was made began."),
    gauge(
        "daybook_backup_proven_timestamp_seconds",
        HOLDING,
        "When a backup was last restored and checked; before the first time, when backups began.",
    ),
    gauge("daybook_backup_size_bytes", HOLDING, "Bytes of what the last backup holds."),
    gauge(
        "daybook_certificate_expiry_timestamp_seconds",
        &["app", "env", "domain"],
        "When the certificate that files hold for a domain ceases to be valid.",
    ),
    gauge("daybook_database_up", DATABASE, "Whether the database's server answers."),
    gauge("daybook_database_size_bytes", DATABASE, "Bytes that the database takes, as its server counts them."),
    gauge("daybook_database_connections", DATABASE, "Connections of clients to the database's server."),
    gauge("daybook_database_max_connections", DATABASE, "Connections that the database's server lets in."),
    gauge("daybook_database_waiting_statements", DATABASE, "Statements of clients that wait for a lock of another."),
    gauge(
        "daybook_database_longest_statement_seconds",
        DATABASE,
        "How long the statement of a client goes on that began first.",
    ),
    counter(
        "daybook_database_query_calls_total",
        QUERY,
        "How often a query was called, by its beginning, which has no values, and its server's id; of those that took most time.",
    ),
    counter("daybook_database_query_seconds_total", QUERY, "How long all calls of a query took, in seconds."),
    gauge("daybook_database_replication_running", STANDBY, "Whether a standby takes in what there is."),
    gauge("daybook_database_replication_lag_seconds", STANDBY, "Since when a standby lacks something, in seconds."),
    gauge("daybook_database_replication_lag_bytes", STANDBY, "How much of the log a standby lacks."),
    gauge("up", &["job", "instance"], "Whether a scrape target answers: 1 or 0."),
];

/// The metric that a series is of.
pub fn of_series(name: &str) -> Option<&'static Metric> {
    let is_of = |metric: &&Metric| {
        metric.name == name
            || metric.kind == Kind::Histogram
                && name.strip_prefix(metric.name).is_some_and(|end| matches!(end, "_bucket" | "_count" | "_sum"))
    };
    METRICS.iter().find(is_of)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_there_once_and_named_by_convention() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
