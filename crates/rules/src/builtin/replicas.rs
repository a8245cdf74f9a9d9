//! What services run on: replicas that are down, killed, full or uneven.

use super::{Builtin, Fixture, Severity, Subject};

pub(super) const SUBJECT: Subject = Subject { name: "replicas", recorded: &[], alerts: ALERTS };

const ALERTS: &[Builtin] = &[
    Builtin {
        name: "ServiceDown",
        severity: Severity::Page,
        expr: "sum by (app, env, service) (daybook_replica_up) == 0",
        hold: "1m",
        keep: "2m",
        summary: "{{ $labels.service }} in {{ $labels.env }} has no replica that is ready",
        description: "None of the replicas of {{ $labels.service }} of {{ $labels.app }} answers its health check.",
        runbook: "service-down",
        fixture: Fixture {
            every: "1m",
            at: "5m",
            fires: &[
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x2 0x3"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="b"} 1x2 0x3"#,
            ],
            quiet: &[
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x2 0x3"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="b"} 1x6"#,
            ],
        },
    },
    Builtin {
        name: "ReplicaDown",
        severity: Severity::Ticket,
        expr: "daybook_replica_up == 0",
        hold: "10m",
        keep: "2m",
        summary: "A replica of {{ $labels.service }} in {{ $labels.env }} is not ready",
        description: "The replica {{ $labels.replica }} of release {{ $labels.release }} has not answered its health check for ten minutes.",
        runbook: "replica-down",
        fixture: Fixture {
            every: "1m",
            at: "14m",
            fires: &[
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x2 0x12"#,
            ],
            // A restart now and then is no reason.
            quiet: &[
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x2 0x5 1 0x5"#,
            ],
        },
    },
    Builtin {
        name: "CrashLoop",
        severity: Severity::Page,
        expr: "sum by (app, env, service) (increase(daybook_replica_restarts_total[15m])) >= 4",
        hold: "1m",
        keep: "10m",
        summary: "Replicas of {{ $labels.service }} in {{ $labels.env }} end again and again",
        description: "Replicas of {{ $labels.service }} of {{ $labels.app }} were started again {{ $value | printf \"%.0f\" }} times in a quarter of an hour.",
        runbook: "crash-loop",
        fixture: Fixture {
            every: "1m",
            at: "20m",
            fires: &[
                r#"daybook_replica_restarts_total{app="shop", env="production", service="web", release="7", replica="a"} 0x9 1 2 3 4 5 6 7 8x3"#,
            ],
            quiet: &[
                r#"daybook_replica_restarts_total{app="shop", env="production", service="web", release="7", replica="a"} 0x9 1 2 2x8"#,
            ],
        },
    },
    Builtin {
        name: "OutOfMemory",
        severity: Severity::Ticket,
        expr: "sum by (app, env, service) (increase(daybook_replica_oom_kills_total[15m])) > 0",
        hold: "0s",
        keep: "15m",
        summary: "A replica of {{ $labels.service }} in {{ $labels.env }} was killed because memory ran out",
        description: "A replica of {{ $labels.service }} of {{ $labels.app }} wanted more memory than its limit: raise the limit, or find what takes it.",
        runbook: "out-of-memory",
        fixture: Fixture {
            every: "1m",
            at: "10m",
            fires: &[
                r#"daybook_replica_oom_kills_total{app="shop", env="production", service="web", release="7", replica="a"} 0x4 1x6"#,
            ],
            quiet: &[
                r#"daybook_replica_oom_kills_total{app="shop", env="production", service="web", release="7", replica="a"} 3x12"#,
            ],
        },
    },
    Builtin {
        name: "MemoryNearlyFull",
        severity: Severity::Ticket,
        expr: "daybook_replica_memory_bytes / daybook_replica_memory_limit_bytes > 0.9",
        hold: "10m",
        keep: "5m",
        summary: "A replica of {{ $labels.service }} in {{ $labels.env }} uses {{ $value | humanizePercentage }} of its memory",
        description: "The replica {{ $labels.replica }} of {{ $labels.service }} of {{ $labels.app }} will be killed when it needs more.",
        runbook: "memory-nearly-full",
        fixture: Fixture {
            every: "1m",
            at: "15m",
            fires: &[
                r#"daybook_replica_memory_bytes{app="shop", env="production", service="web", release="7", replica="a"} 95e6x15"#,
                r#"daybook_replica_memory_limit_bytes{app="shop", env="production", service="web", release="7", replica="a"} 1e8x15"#,
            ],
            quiet: &[
                r#"daybook_replica_memory_bytes{app="shop", env="production", service="web", release="7", replica="a"} 85e6x15"#,
                r#"daybook_replica_memory_limit_bytes{app="shop", env="production", service="web", release="7", replica="a"} 1e8x15"#,
            ],
        },
    },
    Builtin {
        name: "MemoryLeak",
        severity: Severity::Ticket,
        expr: r#"
            predict_linear(daybook_replica_memory_bytes[1h], 4 * 3600) > daybook_replica_memory_limit_bytes
            and daybook_replica_memory_bytes > 0.5 * daybook_replica_memory_limit_bytes
            and deriv(daybook_replica_memory_bytes[15m]) > 0
            and count_over_time(daybook_replica_memory_bytes[1h] offset 30m) > 0"#,
        hold: "30m",
        keep: "10m",
        summary: "A replica of {{ $labels.service }} in {{ $labels.env }} will need more memory than it may use",
        description: "If it goes on as in the last hour, the replica {{ $labels.replica }} of {{ $labels.service }} needs {{ $value | humanize1024 }}B within four hours, which is more than its limit.",
        runbook: "memory-leak",
        fixture: Fixture {
            every: "1m",
            at: "2h",
            fires: &[
                r#"daybook_replica_memory_bytes{app="shop", env="production", service="web", release="7", replica="a"} 40e6+25e4x120"#,
                r#"daybook_replica_memory_limit_bytes{app="shop", env="production", service="web", release="7", replica="a"} 1e8x120"#,
            ],
            // It warms up, and then needs no more.
            quiet: &[
                r#"daybook_replica_memory_bytes{app="shop", env="production", service="web", release="7", replica="a"} 40e6+1e6x20 60e6x100"#,
                r#"daybook_replica_memory_limit_bytes{app="shop", env="production", service="web", release="7", replica="a"} 1e8x120"#,
            ],
        },
    },
    Builtin {
        name: "CpuSaturated",
        severity: Severity::Ticket,
        expr: r#"
            sum by (app, env, service) (rate(daybook_replica_cpu_seconds_total[10m]))
              / sum by (app, env, service) (daybook_replica_cpu_limit_cores) > 0.9"#,
        hold: "15m",
        keep: "5m",
        summary: "{{ $labels.service }} in {{ $labels.env }} uses {{ $value | humanizePercentage }} of its processors",
        description: "The replicas of {{ $labels.service }} of {{ $labels.app }} have used nearly all processor time that they may for a quarter of an hour: requests wait.",
        runbook: "cpu-saturated",
        fixture: Fixture {
            every: "1m",
            at: "30m",
            fires: &[
                r#"daybook_replica_cpu_seconds_total{app="shop", env="production", service="web", release="7", replica="a"} 0+57x30"#,
                r#"daybook_replica_cpu_limit_cores{app="shop", env="production", service="web", release="7", replica="a"} 1x30"#,
            ],
            quiet: &[
                r#"daybook_replica_cpu_seconds_total{app="shop", env="production", service="web", release="7", replica="a"} 0+48x30"#,
                r#"daybook_replica_cpu_limit_cores{app="shop", env="production", service="web", release="7", replica="a"} 1x30"#,
            ],
        },
    },
    Builtin {
        name: "ReplicaImbalance",
        severity: Severity::Ticket,
        expr: r#"
            (sum by (app, env, service, replica) (rate(daybook_replica_requests_total[10m]))
                and on (app, env, service, replica) daybook_replica_up == 1)
              > on (app, env, service) group_left
                1.7 * avg by (app, env, service) (
                  sum by (app, env, service, replica) (rate(daybook_replica_requests_total[10m]))
                    and on (app, env, service, replica) daybook_replica_up == 1)
            and on (app, env, service) sum by (app, env, service) (rate(daybook_replica_requests_total[10m])) > 2
            and on (app, env, service) count by (app, env, service) (daybook_replica_up == 1) >= 2"#,
        hold: "15m",
        keep: "5m",
        summary: "One replica of {{ $labels.service }} in {{ $labels.env }} gets far more requests than the others",
        description: "The replica {{ $labels.replica }} of {{ $labels.service }} of {{ $labels.app }} gets {{ $value | humanize }} requests a second, more than 1.7 times the mean.",
        runbook: "replica-imbalance",
        fixture: Fixture {
            every: "1m",
            at: "30m",
            fires: &[
                r#"daybook_replica_requests_total{app="shop", env="production", service="web", release="7", replica="a"} 0+300x30"#,
                r#"daybook_replica_requests_total{app="shop", env="production", service="web", release="7", replica="b"} 0+10x30"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x30"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="b"} 1x30"#,
            ],
            quiet: &[
                r#"daybook_replica_requests_total{app="shop", env="production", service="web", release="7", replica="a"} 0+300x30"#,
                r#"daybook_replica_requests_total{app="shop", env="production", service="web", release="7", replica="b"} 0+200x30"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="a"} 1x30"#,
                r#"daybook_replica_up{app="shop", env="production", service="web", release="7", replica="b"} 1x30"#,
            ],
        },
    },
];
