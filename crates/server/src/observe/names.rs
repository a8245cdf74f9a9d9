//! Every metric of our own: what it is called, what it is, and what it says.

use daybook_metrics::exposition::Kind;

/// A metric.
pub(super) struct Metric {
    /// Its name, as samples have it; a histogram's without its endings.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) kind: Kind,
    /// What it says.
    pub(super) help: &'static str,
}

const fn metric(name: &'static str, kind: Kind, help: &'static str) -> Metric {
    Metric { name, kind, help }
}

use Kind::{Counter, Gauge, Histogram};

/// Each, by what it is of.
pub(super) const METRICS: &[Metric] = &[
    metric(
        "daybook_http_requests_total",
        Counter,
        "Requests by class of status; code=\"502\" had no answer of the replica, code=\"503\" found no replica.",
    ),
    metric(
        "daybook_http_request_duration_seconds",
        Histogram,
        "Seconds from a replica's having the whole request to the head of its answer.",
    ),
    metric(
        "daybook_http_requests_in_flight",
        Gauge,
        "Requests and connections that have begun and not ended, by class.",
    ),
    metric("daybook_http_requests_held", Gauge, "Requests that wait for a replica."),
    metric("daybook_service_replicas", Gauge, "Replicas that a service has, running or not."),
    metric("daybook_service_replicas_running", Gauge, "Replicas of a service that run."),
    metric(
        "daybook_replica_up",
        Gauge,
        "Whether a process of the replica is there, and neither the runtime nor the edge finds it unhealthy.",
    ),
    metric("daybook_replica_requests_total", Counter, "Requests that the edge sent to the replica."),
    metric("daybook_replica_restarts_total", Counter, "How often the runtime started the replica again."),
    metric(
        "daybook_replica_oom_kills_total",
        Counter,
        "How often the replica was killed for using more memory than its limit.",
    ),
    metric("daybook_replica_start_time_seconds", Gauge, "When its present process started, in seconds since 1970."),
    metric("daybook_replica_cpu_seconds_total", Counter, "Processor time of the replica, in seconds."),
    metric("daybook_replica_memory_bytes", Gauge, "Memory of the replica that cannot be dropped."),
    metric("daybook_replica_memory_limit_bytes", Gauge, "The most memory that the replica may have."),
    metric("daybook_replica_cpu_limit_cores", Gauge, "Processors that the replica may use; absent without a limit."),
    metric("daybook_replica_processes", Gauge, "Processes and threads of the replica."),
    metric("daybook_host_cpu_seconds_total", Counter, "Processor time of the machine by mode, in seconds."),
    metric("daybook_host_cpus", Gauge, "Processors of the machine."),
    metric("daybook_host_memory_total_bytes", Gauge, "Memory of the machine."),
    metric("daybook_host_memory_available_bytes", Gauge, "Memory of the machine that programs can still have."),
    metric("daybook_host_swap_total_bytes", Gauge, "Swap of the machine."),
    metric("daybook_host_swap_free_bytes", Gauge, "Swap of the machine that is free."),
    metric("daybook_host_load1", Gauge, "Programs that wanted a processor or a disk, over a minute."),
    metric("daybook_host_load5", Gauge, "Programs that wanted a processor or a disk, over 5 minutes."),
    metric("daybook_host_load15", Gauge, "Programs that wanted a processor or a disk, over 15 minutes."),
    metric("daybook_host_network_receive_bytes_total", Counter, "Bytes that a network device received."),
    metric("daybook_host_network_transmit_bytes_total", Counter, "Bytes that a network device sent."),
    metric("daybook_host_filesystem_size_bytes", Gauge, "Bytes of the file system of a directory."),
    metric("daybook_host_filesystem_avail_bytes", Gauge, "Bytes of it that are free for whoever is not root."),
    metric("daybook_host_filesystem_files", Gauge, "Files that it can have."),
    metric("daybook_host_filesystem_files_free", Gauge, "Files that it can still have."),
    metric("daybook_server_memory_bytes", Gauge, "Memory of the server itself."),
    metric("daybook_metrics_series", Gauge, "Series with a sample in the last hours."),
    metric("daybook_metrics_samples_total", Counter, "Samples that were kept since the server began."),
    metric(
        "daybook_metrics_samples_refused_total",
        Counter,
        "Samples that were not kept since the server began, by why.",
    ),
    metric("daybook_metrics_disk_bytes", Gauge, "Bytes that blocks of samples take on disk, by how fine they are."),
    metric("daybook_forward_sent_total", Counter, "Samples or lines that a receiver took since the server began."),
    metric(
        "daybook_forward_dropped_total",
        Counter,
        "Samples or lines that a receiver refused since the server began: they are not sent again.",
    ),
    metric("daybook_forward_behind_seconds", Gauge, "Since when something waits to be sent elsewhere."),
    metric("daybook_job_last_due_timestamp_seconds", Gauge, "When the last run of a job that came to an end was due."),
    metric(
        "daybook_job_last_success_timestamp_seconds",
        Gauge,
        "When the last run of a job was due, if that ended well.",
    ),
    metric("daybook_job_last_exit_code", Gauge, "The exit code of the last run of a job."),
    metric("daybook_job_failures_total", Counter, "How often a job ended badly since the server began."),
    metric(
        "daybook_job_next_due_timestamp_seconds",
        Gauge,
        "When a job is to start next; it stays in the past until the job has started.",
    ),
    metric("daybook_job_running", Gauge, "Whether a run of the job has not ended."),
    metric("daybook_backup_interval_seconds", Gauge, "How often a backup is to be made."),
    metric("daybook_backup_drill_interval_seconds", Gauge, "How often a backup is to be restored and checked."),
    metric("daybook_backup_last_success_timestamp_seconds", Gauge, "When the last backup that was made began."),
    metric(
        "daybook_backup_proven_timestamp_seconds",
        Gauge,
        "When a backup was last restored and checked; before the first time, when backups began.",
    ),
    metric("daybook_backup_size_bytes", Gauge, "Bytes of what the last backup holds."),
    metric(
        "daybook_certificate_expiry_timestamp_seconds",
        Gauge,
        "When the certificate that files hold for a domain ceases to be valid.",
    ),
    metric("daybook_database_up", Gauge, "Whether the database's server answers."),
    metric("daybook_database_size_bytes", Gauge, "Bytes that the database takes, as its server counts them."),
    metric("daybook_database_connections", Gauge, "Connections of clients to the database's server."),
    metric("daybook_database_max_connections", Gauge, "Connections that the database's server lets in."),
    metric("daybook_database_waiting_statements", Gauge, "Statements of clients that wait for a lock of another."),
    metric(
        "daybook_database_longest_statement_seconds",
        Gauge,
        "How long the statement of a client goes on that began first.",
    ),
    metric(
        "daybook_database_query_calls_total",
        Counter,
        "How often a query was called, by its beginning, which has no values; of those that took most time.",
    ),
    metric("daybook_database_query_seconds_total", Counter, "How long all calls of a query took, in seconds."),
];

/// The metric that a series is of.
pub(super) fn of_series(name: &str) -> Option<&'static Metric> {
    let is_of = |metric: &&Metric| {
        metric.name == name
            || metric.kind == Histogram
                && name.strip_prefix(metric.name).is_some_and(|end| matches!(end, "_bucket" | "_count" | "_sum"))
    };
    METRICS.iter().find(is_of)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::observe::samples::Samples;

    /// Fails for a metric that is in no table.
    pub(in crate::observe) fn all_are_listed(samples: &Samples) {
        for line in samples.text().lines() {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(of_series(name).is_some(), "{name} is not in the table of metrics");
        }
    }

    #[test]
    fn dashboards_by_default_ask_for_nothing_else() {
        for dashboard in daybook_panels::dashboard::defaults() {
            let queries = dashboard.panels.iter().flat_map(|panel| panel.queries.iter().map(|asked| &asked.expr));
            for query in queries.chain(dashboard.variables.iter().map(|variable| &variable.query)) {
                let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                for name in words.filter(|word| word.starts_with("daybook_")) {
                    assert!(of_series(name).is_some(), "{} asks for {name}", dashboard.title);
                }
            }
        }
    }

    #[test]
    fn each_is_there_once_and_named_by_convention() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert_eq!(metric.kind == Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
