//! What users feel: errors, latency, and whether there are any users.

use super::{Builtin, Fixture, Severity, Subject};

pub(super) const SUBJECT: Subject = Subject { name: "traffic", recorded: RECORDED, alerts: ALERTS };

const RECORDED: &[(&str, &str)] = &[
    (
        "app_env_service:daybook_http_requests:rate30m",
        "sum by (app, env, service) (rate(daybook_http_requests_total[30m]))",
    ),
    // The most and the least that there was at this time of the week, give or take half an hour, in the last four weeks.
    (
        "app_env_service:daybook_http_requests_expected:max4w",
        r#"max without (week) (
             label_replace(max_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 167h30m), "week", "1", "", "")
             or label_replace(max_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 335h30m), "week", "2", "", "")
             or label_replace(max_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 503h30m), "week", "3", "", "")
             or label_replace(max_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 671h30m), "week", "4", "", "")
           )"#,
    ),
    (
        "app_env_service:daybook_http_requests_expected:min4w",
        r#"min without (week) (
             label_replace(min_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 167h30m), "week", "1", "", "")
             or label_replace(min_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 335h30m), "week", "2", "", "")
             or label_replace(min_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 503h30m), "week", "3", "", "")
             or label_replace(min_over_time(app_env_service:daybook_http_requests:rate30m[1h] offset 671h30m), "week", "4", "", "")
           )"#,
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
        name: "LatencyRose",
        severity: Severity::Ticket,
        expr: r#"
            histogram_quantile(0.95,
              sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[10m])))
              > 3 * histogram_quantile(0.95,
                sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[1h] offset 1h)))
            and histogram_quantile(0.95,
              sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[10m]))) > 0.25
            and sum by (app, env, service) (rate(daybook_http_request_duration_seconds_count[10m])) > 0.5"#,
        hold: "5m",
        keep: "10m",
        summary: "{{ $labels.service }} in {{ $labels.env }} takes three times as long as an hour ago",
        description: "One request in twenty to {{ $labels.service }} of {{ $labels.app }} takes {{ $value | humanizeDuration }} or more.",
        runbook: "latency-rose",
        fixture: Fixture {
            every: "1m",
            at: "2h30m",
            fires: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="0.1"} 0+60x129 7800+10x20"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="1"} 0+60x150"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x150"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x150"#,
            ],
            // Always slow, so nothing rose.
            quiet: &[
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="0.1"} 0+10x150"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="1"} 0+60x150"#,
                r#"daybook_http_request_duration_seconds_bucket{app="shop", env="production", service="web", release="7", le="+Inf"} 0+60x150"#,
                r#"daybook_http_request_duration_seconds_count{app="shop", env="production", service="web", release="7"} 0+60x150"#,
            ],
        },
    },
    Builtin {
        name: "LatencyJumped",
        severity: Severity::Ticket,
        // Who was slow before is slow in the window before as well, and nothing jumped.
        expr: r#"
            histogram_quantile(0.95,
              sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[2m])))
              > 3 * histogram_quantile(0.95,
                sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[30m] offset 5m)))
            and histogram_quantile(0.95,
              sum by (app, env, service, le) (rate(daybook_http_request_duration_seconds_bucket[2m]))) > 1
            and sum by (app, env, service) (rate(daybook_http_request_duration_seconds_count[2m])) > 0.5"#,
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
        name: "TrafficSpike",
        severity: Severity::Info,
        expr: r#"
            app_env_service:daybook_http_requests:rate30m > 1
            and app_env_service:daybook_http_requests:rate30m > 2 * app_env_service:daybook_http_requests_expected:max4w"#,
        hold: "30m",
        keep: "30m",
        summary: "{{ $labels.service }} in {{ $labels.env }} gets {{ $value | humanize }} requests a second, more than twice what it ever had at this time of the week",
        description: "In the last four weeks {{ $labels.service }} of {{ $labels.app }} never had half as many requests at this time of the week.",
        runbook: "traffic-anomaly",
        fixture: Fixture {
            every: "10m",
            at: "690h",
            fires: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+1200x4130 4962000+6000x15"#,
            ],
            // As many, but at a time at which there are as many every week.
            quiet: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+1200x99 124800+6000x19 240000+1200x987 1430400+6000x19 1545600+1200x987 2736000+6000x19 2851200+1200x987 4041600+6000x19 4156800+1200x987 5347200+6000x19"#,
            ],
        },
    },
    Builtin {
        name: "TrafficDrop",
        severity: Severity::Ticket,
        expr: r#"
            app_env_service:daybook_http_requests:rate30m < 0.4 * app_env_service:daybook_http_requests_expected:min4w
            and app_env_service:daybook_http_requests_expected:min4w > 1"#,
        hold: "30m",
        keep: "30m",
        summary: "{{ $labels.service }} in {{ $labels.env }} gets {{ $value | humanize }} requests a second, less than half of what it always had at this time of the week",
        description: "In the last four weeks {{ $labels.service }} of {{ $labels.app }} always had more than twice as many requests at this time of the week.",
        runbook: "traffic-anomaly",
        fixture: Fixture {
            every: "10m",
            at: "690h",
            fires: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+2400x4130 9912300+300x15"#,
            ],
            quiet: &[
                r#"daybook_http_requests_total{app="shop", env="production", service="web", release="7", code="200"} 0+2400x4130 9913500+1500x15"#,
            ],
        },
    },
];
