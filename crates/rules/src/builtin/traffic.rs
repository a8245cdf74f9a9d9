//! What users feel: errors, latency, and whether there are any users.

use super::{Builtin, Fixture, Severity, Subject};

pub(super) const SUBJECT: Subject = Subject { name: "traffic", recorded: RECORDED, alerts: ALERTS };

/// A series of each service of which it is watched what is usual at a time. What is said of it are the series `daybook_anomaly_…`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    /// The value of their label `of`.
    pub of: &'static str,
    /// What is watched: its name as it is recorded, with the labels `app`, `env` and `service`.
    pub series: &'static str,
    /// Where it is less than this, and is expected to be, nothing is unusual.
    pub least: f64,
    /// So much more or less than what is expected may always be: a share of it.
    pub share: f64,
}

/// All that is watched.
pub const WATCHED: &[Watched] = &[
    Watched { of: "requests", series: REQUESTS, least: 1.0, share: 0.5 },
    Watched { of: "latency", series: LATENCY, least: 0.25, share: 1.0 },
];

/// Names as ours begin, so that nobody else can send them.
const REQUESTS: &str = "daybook_service:http_requests:rate5m";
const LATENCY: &str = "daybook_service:http_request_duration_seconds:p95";

const RECORDED: &[(&str, &str)] = &[
    (REQUESTS, "sum by (app, env, service) (rate(daybook_http_requests_total[5m]))"),
    // Of a few requests it would mean nothing.
    (
        LATENCY,
        r#"histogram_quantile(0.95,
             sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[5m])))
           and sum by (app, env, service) (rate(daybook_http_request_duration_seconds_count[5m])) > 0.5"#,
    ),
];

const ALERTS: &[Builtin] = &[
    Builtin {
        name: "HighErrorRate",
        severity: Severity::Page,
        expr: r#"
            sum by (app, env, service) (rate(daybook_http_requests_total{code=~"5.."}[5m]))
              / sum by (app, env, service) (rate(daybook_http_requests_total[5m])) > 0.05
            and sum by (app, env, service) (increase(daybook_http_requests_total{code=~"5.."}[5m])) >= 10"#,
        hold: "2m",
        keep: "5m",
        summary: "{{ $labels.service }} in {{ $labels.env }} answers {{ $value | humanizePercentage }} of requests with errors",
        description: "More than 5% of the requests to {{ $labels.service }} of {{ $labels.app }} were answered with a status of 500 or above for two minutes.",
        runbook: "high-error-rate",
        fixture: Fixture {
            every: "1m",
            at: "10m",
            fires: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+90x10"#,
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="500"} 0+10x10"#,
            ],
            // The same share of errors, of too little traffic to mean anything.
            quiet: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+9x10"#,
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="500"} 0+1x10"#,
            ],
        },
    },
    Builtin {
        name: "HighLatency",
        severity: Severity::Ticket,
        expr: r#"
            histogram_quantile(0.95,
              sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[10m]))) > 2
            and sum by (app, env, service) (rate(daybook_http_request_duration_seconds_count[10m])) > 0.2"#,
        hold: "5m",
        keep: "10m",
        summary: "{{ $labels.service }} in {{ $labels.env }} takes {{ $value | humanizeDuration }} for one request in twenty",
        description: "The 95th percentile of how long {{ $labels.service }} of {{ $labels.app }} takes to answer has been above two seconds.",
        runbook: "high-latency",
        fixture: Fixture {
            every: "1m",
            at: "20m",
            fires: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="1"} 0+50x20"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="5"} 0+60x20"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x20"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x20"#,
            ],
            quiet: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="1"} 0+58x20"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="5"} 0+60x20"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x20"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x20"#,
            ],
        },
    },
    Builtin {
        name: "LatencyJumped",
        severity: Severity::Ticket,
        // Who was slow before is slow in the window before as well, and nothing jumped. Of a few requests of then, as
        // after a start, nobody knows how fast they usually are.
        expr: r#"
            histogram_quantile(0.95,
              sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[2m])))
              > 3 * histogram_quantile(0.95,
                sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[30m] offset 5m)))
            and histogram_quantile(0.95,
              sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[2m]))) > 1
            and sum by (app, env, service) (rate(daybook_http_request_duration_seconds_count[2m])) > 0.5
            and sum by (app, env, service) (rate(daybook_http_request_duration_seconds_count[30m] offset 5m)) > 0.1"#,
        hold: "2m",
        keep: "15m",
        summary: "{{ $labels.service }} in {{ $labels.env }} takes three times as long as in the half hour before",
        description: "For two minutes, one request in twenty to {{ $labels.service }} of {{ $labels.app }} has taken {{ $value | humanizeDuration }} or more: something took hold at once.",
        runbook: "latency-rose",
        fixture: Fixture {
            every: "1m",
            at: "45m",
            fires: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="0.1"} 0+60x40 2400x4"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="5"} 0+60x45"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x45"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x45"#,
            ],
            // Always as slow, so nothing jumped.
            quiet: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="0.1"} 0+10x45"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="5"} 0+60x45"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x45"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x45"#,
            ],
        },
    },
    Builtin {
        name: "TrafficAbsent",
        severity: Severity::Page,
        expr: r#"
            sum by (app, env, service) (rate(daybook_http_requests_total[1h] offset 30m)) > 0.1
            and on (app, env, service) sum by (app, env, service) (daybook_replica_up) > 0
            unless sum by (app, env, service) (rate(daybook_http_requests_total[10m])) > 0"#,
        hold: "10m",
        keep: "5m",
        summary: "{{ $labels.service }} in {{ $labels.env }} gets no requests any longer",
        description: "Half an hour ago {{ $labels.service }} of {{ $labels.app }} had {{ $value | humanize }} requests a second, now none, though its replicas are up: look at DNS, the network and what calls it.",
        runbook: "traffic-absent",
        fixture: Fixture {
            every: "1m",
            at: "2h25m",
            fires: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+60x120 7200x25"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x150"#,
            ],
            // One request now and then is traffic.
            quiet: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+60x120 7200+1x25"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x150"#,
            ],
        },
    },
    Builtin {
        name: "LatencyRose",
        severity: Severity::Ticket,
        expr: r#"
            daybook_service:http_request_duration_seconds:p95
            and on (app, env, service) (daybook_anomaly_away{of="latency"} > 1)"#,
        hold: "10m",
        keep: "30m",
        summary: r#"{{ $labels.service }} in {{ $labels.env }} takes {{ $value | humanizeDuration }} for one request in twenty; up to {{ with printf "daybook_anomaly_upper{of='latency',app='%s',env='%s',service='%s'}" $labels.app $labels.env $labels.service | query }}{{ . | first | value | humanizeDuration }}{{ end }} is usual at this time"#,
        description: "The 95th percentile of how long {{ $labels.service }} of {{ $labels.app }} takes to answer is more than what was usual at this time of the last days and weeks, or just now, and more than twice what is expected.",
        runbook: "latency-rose",
        fixture: Fixture {
            every: "1m",
            at: "30m",
            fires: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="0.1"} 0+10x60"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="1"} 0+60x60"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x60"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x60"#,
                r#"daybook_anomaly_lower{app="shop", env="production", service="web", of="latency"} 0x60"#,
                r#"daybook_anomaly_upper{app="shop", env="production", service="web", of="latency"} 0.4x60"#,
                r#"daybook_anomaly_away{app="shop", env="production", service="web", of="latency"} 1.5x60"#,
            ],
            // As slow, where that is usual.
            quiet: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="0.1"} 0+10x60"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="1"} 0+60x60"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x60"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x60"#,
                r#"daybook_anomaly_lower{app="shop", env="production", service="web", of="latency"} 0.4x60"#,
                r#"daybook_anomaly_upper{app="shop", env="production", service="web", of="latency"} 1.6x60"#,
                r#"daybook_anomaly_away{app="shop", env="production", service="web", of="latency"} -0.1x60"#,
            ],
        },
    },
    Builtin {
        name: "TrafficSpike",
        severity: Severity::Info,
        expr: r#"
            daybook_service:http_requests:rate5m
            and on (app, env, service) (daybook_anomaly_away{of="requests"} > 1)"#,
        hold: "10m",
        keep: "30m",
        summary: r#"{{ $labels.service }} in {{ $labels.env }} gets {{ $value | humanize }} requests a second; {{ with printf "daybook_anomaly_lower{of='requests',app='%s',env='%s',service='%s'}" $labels.app $labels.env $labels.service | query }}{{ . | first | value | humanize }}{{ end }} to {{ with printf "daybook_anomaly_upper{of='requests',app='%s',env='%s',service='%s'}" $labels.app $labels.env $labels.service | query }}{{ . | first | value | humanize }}{{ end }} are usual at this time"#,
        description: "There are more requests to {{ $labels.service }} of {{ $labels.app }} than were usual at this time of the last days and weeks, or just now.",
        runbook: "traffic-anomaly",
        fixture: Fixture {
            every: "1m",
            at: "30m",
            fires: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+6000x60"#,
                r#"daybook_anomaly_lower{app="shop", env="production", service="web", of="requests"} 10x60"#,
                r#"daybook_anomaly_upper{app="shop", env="production", service="web", of="requests"} 30x60"#,
                r#"daybook_anomaly_away{app="shop", env="production", service="web", of="requests"} 8x60"#,
            ],
            // As many, where that is usual.
            quiet: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+6000x60"#,
                r#"daybook_anomaly_lower{app="shop", env="production", service="web", of="requests"} 10x60"#,
                r#"daybook_anomaly_upper{app="shop", env="production", service="web", of="requests"} 30x60"#,
                r#"daybook_anomaly_away{app="shop", env="production", service="web", of="requests"} 0.9x60"#,
            ],
        },
    },
    Builtin {
        name: "TrafficDrop",
        severity: Severity::Ticket,
        expr: r#"
            daybook_service:http_requests:rate5m
            and on (app, env, service) (daybook_anomaly_away{of="requests"} < -1)"#,
        hold: "10m",
        keep: "30m",
        summary: r#"{{ $labels.service }} in {{ $labels.env }} gets {{ $value | humanize }} requests a second; {{ with printf "daybook_anomaly_lower{of='requests',app='%s',env='%s',service='%s'}" $labels.app $labels.env $labels.service | query }}{{ . | first | value | humanize }}{{ end }} to {{ with printf "daybook_anomaly_upper{of='requests',app='%s',env='%s',service='%s'}" $labels.app $labels.env $labels.service | query }}{{ . | first | value | humanize }}{{ end }} are usual at this time"#,
        description: "There are fewer requests to {{ $labels.service }} of {{ $labels.app }} than were usual at this time of the last days and weeks, or just now.",
        runbook: "traffic-anomaly",
        fixture: Fixture {
            every: "1m",
            at: "30m",
            fires: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+60x60"#,
                r#"daybook_anomaly_lower{app="shop", env="production", service="web", of="requests"} 10x60"#,
                r#"daybook_anomaly_upper{app="shop", env="production", service="web", of="requests"} 30x60"#,
                r#"daybook_anomaly_away{app="shop", env="production", service="web", of="requests"} -1.9x60"#,
            ],
            // Not for long.
            quiet: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+60x60"#,
                r#"daybook_anomaly_lower{app="shop", env="production", service="web", of="requests"} 10x60"#,
                r#"daybook_anomaly_upper{app="shop", env="production", service="web", of="requests"} 30x60"#,
                r#"daybook_anomaly_away{app="shop", env="production", service="web", of="requests"} -8x5 0x55"#,
            ],
        },
    },
];
