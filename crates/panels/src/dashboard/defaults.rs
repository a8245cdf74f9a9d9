//! The dashboards that everybody has: a table of questions about the series that we make.

use super::{Asked, Dashboard, Kind, Panel, Variable};
use crate::Unit;

/// A panel of the table: its title, what is to be known of it, its unit, and questions with the names of their series.
struct Described(&'static str, &'static str, Kind, Unit, &'static [(&'static str, &'static str)]);

use Kind::{Lines, Stat};

/// `service`, `database`, `host` and `edge`.
pub fn defaults() -> Vec<Dashboard> {
    vec![
        dashboard(
            "service",
            "Service",
            "Requests, errors, latency and what replicas use, by service.",
            &[("app", APP), ("env", ENV), ("service", SERVICE)],
            SERVICES,
        ),
        dashboard(
            "database",
            "Database",
            "Connections, size, replication and backups of the databases of an environment.",
            &[("app", APP), ("env", ENV), ("database", DATABASE)],
            DATABASES,
        ),
        dashboard("host", "Host", "Processors, memory, disk and network of a machine.", &[("host", HOST)], HOSTS),
        dashboard(
            "edge",
            "Edge",
            "All that comes in through the edge, by app, environment and replica.",
            &[("app", APP), ("env", ENV)],
            EDGE,
        ),
    ]
}

const APP: &str = "label_values(daybook_service_replicas, app)";
const ENV: &str = "label_values(daybook_service_replicas{app=\"$app\"}, env)";
const SERVICE: &str = "label_values(daybook_service_replicas{app=\"$app\",env=\"$env\"}, service)";
const DATABASE: &str = "label_values(daybook_database_up{app=\"$app\",env=\"$env\"}, database)";
const HOST: &str = "label_values(daybook_host_load1, host)";

const SERVICES: &[Described] = &[
    Described(
        "Requests",
        "Requests that the edge took in.",
        Lines,
        Unit::RequestsPerSecond,
        &[(
            "sum by (service) (rate(daybook_http_requests_total{app=\"$app\",env=\"$env\",service=~\"$service\"}[$__rate_interval]))",
            "{{service}}",
        )],
    ),
    Described(
        "Failed requests",
        "Answers of class 5xx, and requests that no replica answered, as a share of all.",
        Lines,
        Unit::Share,
        &[(
            "sum by (service) (rate(daybook_http_requests_total{app=\"$app\",env=\"$env\",service=~\"$service\",code=~\"5..|5xx\"}[$__rate_interval])) / sum by (service) (rate(daybook_http_requests_total{app=\"$app\",env=\"$env\",service=~\"$service\"}[$__rate_interval]))",
            "{{service}}",
        )],
    ),
    Described(
        "Latency",
        "From a replica's having the whole request to the head of its answer.",
        Lines,
        Unit::Seconds,
        &[
            (
                "histogram_quantile(0.5, sum by (service, le) (rate(daybook_http_request_duration_seconds_bucket{app=\"$app\",env=\"$env\",service=~\"$service\"}[$__rate_interval])))",
                "{{service}} p50",
            ),
            (
                "histogram_quantile(0.95, sum by (service, le) (rate(daybook_http_request_duration_seconds_bucket{app=\"$app\",env=\"$env\",service=~\"$service\"}[$__rate_interval])))",
                "{{service}} p95",
            ),
        ],
    ),
    Described(
        "Replicas",
        "Replicas that run.",
        Stat,
        Unit::Number,
        &[(
            "sum by (service) (daybook_service_replicas_running{app=\"$app\",env=\"$env\",service=~\"$service\"})",
            "{{service}}",
        )],
    ),
    Described(
        "Processor",
        "Cores that replicas use.",
        Lines,
        Unit::Number,
        &[(
            "sum by (service) (rate(daybook_replica_cpu_seconds_total{app=\"$app\",env=\"$env\",service=~\"$service\"}[$__rate_interval]))",
            "{{service}}",
        )],
    ),
    Described(
        "Memory",
        "Memory of replicas that cannot be dropped.",
        Lines,
        Unit::Bytes,
        &[("daybook_replica_memory_bytes{app=\"$app\",env=\"$env\",service=~\"$service\"}", "{{replica}}")],
    ),
    Described(
        "Restarts",
        "How often the runtime started replicas again.",
        Lines,
        Unit::Number,
        &[(
            "sum by (service) (increase(daybook_replica_restarts_total{app=\"$app\",env=\"$env\",service=~\"$service\"}[$__rate_interval]))",
            "{{service}}",
        )],
    ),
    Described(
        "Killed for memory",
        "Replicas that wanted more memory than their limit.",
        Stat,
        Unit::Number,
        &[(
            "sum by (service) (increase(daybook_replica_oom_kills_total{app=\"$app\",env=\"$env\",service=~\"$service\"}[$__range]))",
            "{{service}}",
        )],
    ),
    Described(
        "Beside what is usual",
        "How far requests and latency are from what is expected at this time: above 1 and below -1 they are unusual.",
        Lines,
        Unit::Number,
        &[(
            "max by (service, of) (daybook_anomaly_away{app=\"$app\",env=\"$env\",service=~\"$service\"})",
            "{{service}} {{of}}",
        )],
    ),
];

const DATABASES: &[Described] = &[
    Described(
        "Up",
        "1 where the server answers.",
        Stat,
        Unit::Number,
        &[("daybook_database_up{app=\"$app\",env=\"$env\",database=~\"$database\"}", "{{database}}")],
    ),
    Described(
        "Connections",
        "Connections of clients.",
        Lines,
        Unit::Number,
        &[("daybook_database_connections{app=\"$app\",env=\"$env\",database=~\"$database\"}", "{{database}}")],
    ),
    Described(
        "Connections taken",
        "Of those that the server lets in.",
        Lines,
        Unit::Share,
        &[(
            "daybook_database_connections{app=\"$app\",env=\"$env\",database=~\"$database\"} / daybook_database_max_connections{app=\"$app\",env=\"$env\",database=~\"$database\"}",
            "{{database}}",
        )],
    ),
    Described(
        "Size",
        "As the server counts it.",
        Lines,
        Unit::Bytes,
        &[("daybook_database_size_bytes{app=\"$app\",env=\"$env\",database=~\"$database\"}", "{{database}}")],
    ),
    Described(
        "Replication lag",
        "Since when a standby lacks something.",
        Lines,
        Unit::Seconds,
        &[(
            "daybook_database_replication_lag_seconds{app=\"$app\",env=\"$env\",database=~\"$database\"}",
            "{{database}} {{standby}}",
        )],
    ),
    Described(
        "What standbys lack",
        "Of the log of the primary.",
        Lines,
        Unit::Bytes,
        &[(
            "daybook_database_replication_lag_bytes{app=\"$app\",env=\"$env\",database=~\"$database\"}",
            "{{database}} {{standby}}",
        )],
    ),
    Described(
        "Since the last backup",
        "",
        Stat,
        Unit::Seconds,
        &[("time() - daybook_backup_last_success_timestamp_seconds{app=\"$app\",env=\"$env\"}", "{{holding}}")],
    ),
    Described(
        "Since a backup was proven",
        "Restored into a scratch copy, and looked at there.",
        Stat,
        Unit::Seconds,
        &[("time() - daybook_backup_proven_timestamp_seconds{app=\"$app\",env=\"$env\"}", "{{holding}}")],
    ),
    Described(
        "Size of the last backup",
        "",
        Lines,
        Unit::Bytes,
        &[("daybook_backup_size_bytes{app=\"$app\",env=\"$env\"}", "{{holding}}")],
    ),
];

const HOSTS: &[Described] = &[
    Described(
        "Processors",
        "Their share that works.",
        Lines,
        Unit::Share,
        &[(
            "1 - sum by (host) (rate(daybook_host_cpu_seconds_total{host=~\"$host\",mode=~\"idle|iowait\"}[$__rate_interval])) / sum by (host) (rate(daybook_host_cpu_seconds_total{host=~\"$host\"}[$__rate_interval]))",
            "{{host}}",
        )],
    ),
    Described(
        "Load",
        "Programs that want a processor or a disk.",
        Lines,
        Unit::Number,
        &[
            ("daybook_host_load1{host=~\"$host\"}", "{{host}} over 1 min"),
            ("daybook_host_load15{host=~\"$host\"}", "{{host}} over 15 min"),
            ("daybook_host_cpus{host=~\"$host\"}", "{{host}} processors"),
        ],
    ),
    Described(
        "Memory in use",
        "What programs cannot have any more.",
        Lines,
        Unit::Share,
        &[(
            "1 - daybook_host_memory_available_bytes{host=~\"$host\"} / daybook_host_memory_total_bytes{host=~\"$host\"}",
            "{{host}}",
        )],
    ),
    Described(
        "Swap in use",
        "",
        Lines,
        Unit::Bytes,
        &[(
            "daybook_host_swap_total_bytes{host=~\"$host\"} - daybook_host_swap_free_bytes{host=~\"$host\"}",
            "{{host}}",
        )],
    ),
    Described(
        "Disk in use",
        "The file system of the state directory.",
        Lines,
        Unit::Share,
        &[(
            "1 - daybook_host_filesystem_avail_bytes{host=~\"$host\"} / daybook_host_filesystem_size_bytes{host=~\"$host\"}",
            "{{mountpoint}}",
        )],
    ),
    Described(
        "Network",
        "",
        Lines,
        Unit::BytesPerSecond,
        &[
            (
                "sum by (host) (rate(daybook_host_network_receive_bytes_total{host=~\"$host\"}[$__rate_interval]))",
                "{{host}} in",
            ),
            (
                "sum by (host) (rate(daybook_host_network_transmit_bytes_total{host=~\"$host\"}[$__rate_interval]))",
                "{{host}} out",
            ),
        ],
    ),
    Described(
        "Daybook's own memory",
        "Of the server.",
        Lines,
        Unit::Bytes,
        &[("daybook_server_memory_bytes{host=~\"$host\"}", "{{host}}")],
    ),
];

const EDGE: &[Described] = &[
    Described(
        "Requests by status",
        "502 had no answer of the replica, 503 found no replica.",
        Lines,
        Unit::RequestsPerSecond,
        &[(
            "sum by (code) (rate(daybook_http_requests_total{app=\"$app\",env=\"$env\"}[$__rate_interval]))",
            "{{code}}",
        )],
    ),
    Described(
        "Requests by service",
        "",
        Lines,
        Unit::RequestsPerSecond,
        &[(
            "sum by (service) (rate(daybook_http_requests_total{app=\"$app\",env=\"$env\"}[$__rate_interval]))",
            "{{service}}",
        )],
    ),
    Described(
        "Requests by route",
        "By host and path prefix as the manifest has them.",
        Lines,
        Unit::RequestsPerSecond,
        &[(
            "sum by (route) (rate(daybook_route_requests_total{app=\"$app\",env=\"$env\"}[$__rate_interval]))",
            "{{route}}",
        )],
    ),
    Described(
        "Failed requests by route",
        "Answers of class 5xx as a share of all.",
        Lines,
        Unit::Share,
        &[(
            "sum by (route) (rate(daybook_route_requests_total{app=\"$app\",env=\"$env\",code=\"5xx\"}[$__rate_interval])) / sum by (route) (rate(daybook_route_requests_total{app=\"$app\",env=\"$env\"}[$__rate_interval]))",
            "{{route}}",
        )],
    ),
    Described(
        "Latency by route",
        "95 of 100 answers had begun by then.",
        Lines,
        Unit::Seconds,
        &[(
            "histogram_quantile(0.95, sum by (route, le) (rate(daybook_route_request_duration_seconds_bucket{app=\"$app\",env=\"$env\"}[$__rate_interval])))",
            "{{route}}",
        )],
    ),
    Described(
        "Latency",
        "Of all services together.",
        Lines,
        Unit::Seconds,
        &[
            (
                "histogram_quantile(0.5, sum by (le) (rate(daybook_http_request_duration_seconds_bucket{app=\"$app\",env=\"$env\"}[$__rate_interval])))",
                "p50",
            ),
            (
                "histogram_quantile(0.95, sum by (le) (rate(daybook_http_request_duration_seconds_bucket{app=\"$app\",env=\"$env\"}[$__rate_interval])))",
                "p95",
            ),
            (
                "histogram_quantile(0.99, sum by (le) (rate(daybook_http_request_duration_seconds_bucket{app=\"$app\",env=\"$env\"}[$__rate_interval])))",
                "p99",
            ),
        ],
    ),
    Described(
        "In flight",
        "Requests and connections that have begun and not ended.",
        Lines,
        Unit::Number,
        &[("sum by (class) (daybook_http_requests_in_flight{app=\"$app\",env=\"$env\"})", "{{class}}")],
    ),
    Described(
        "Held",
        "Requests that wait for a replica.",
        Lines,
        Unit::Number,
        &[("sum by (service) (daybook_http_requests_held{app=\"$app\",env=\"$env\"})", "{{service}}")],
    ),
    Described(
        "Requests by replica",
        "Whether each has its share.",
        Lines,
        Unit::RequestsPerSecond,
        &[(
            "sum by (replica) (rate(daybook_replica_requests_total{app=\"$app\",env=\"$env\"}[$__rate_interval]))",
            "{{replica}}",
        )],
    ),
];

fn dashboard(
    name: &str,
    title: &str,
    about: &str,
    variables: &[(&str, &str)],
    panels: &'static [Described],
) -> Dashboard {
    let variable = |(name, query): &(&str, &str)| Variable {
        name: (*name).to_owned(),
        label: (*name).to_owned(),
        query: (*query).to_owned(),
        all: !matches!(*name, "app" | "env"),
        value: None,
    };
    Dashboard {
        name: name.to_owned(),
        title: format!("Daybook / {title}"),
        about: about.to_owned(),
        variables: variables.iter().map(variable).collect(),
        panels: panels.iter().map(panel).collect(),
    }
}

fn panel(Described(title, about, kind, unit, queries): &Described) -> Panel {
    let asked = |(expr, legend): &(&str, &str)| Asked { expr: (*expr).to_owned(), legend: (*legend).to_owned() };
    Panel {
        title: (*title).to_owned(),
        about: (*about).to_owned(),
        kind: *kind,
        unit: *unit,
        factor: 1.0,
        queries: queries.iter().map(asked).collect(),
    }
}
