//! Machines, and targets that are scraped.

use super::{Builtin, Fixture, Severity, Subject};

pub(super) const SUBJECT: Subject = Subject { name: "hosts", recorded: &[], alerts: ALERTS };

const ALERTS: &[Builtin] = &[
    Builtin {
        name: "DiskNearlyFull",
        severity: Severity::Page,
        expr: "daybook_host_filesystem_avail_bytes / daybook_host_filesystem_size_bytes < 0.05",
        hold: "5m",
        keep: "5m",
        summary: "{{ $labels.mountpoint }} of {{ $labels.host }} has {{ $value | humanizePercentage }} left",
        description: "Databases stop and logs are lost when {{ $labels.mountpoint }} of {{ $labels.host }} is full.",
        runbook: "disk-full",
        fixture: Fixture {
            every: "1m",
            at: "10m",
            fires: &[
                r#"daybook_host_filesystem_avail_bytes{host="one", mountpoint="/"} 4e9x10"#,
                r#"daybook_host_filesystem_size_bytes{host="one", mountpoint="/"} 1e11x10"#,
            ],
            quiet: &[
                r#"daybook_host_filesystem_avail_bytes{host="one", mountpoint="/"} 7e9x10"#,
                r#"daybook_host_filesystem_size_bytes{host="one", mountpoint="/"} 1e11x10"#,
            ],
        },
    },
    Builtin {
        name: "DiskFillsWithinHours",
        severity: Severity::Page,
        expr: r#"
            predict_linear(daybook_host_filesystem_avail_bytes[1h], 4 * 3600) < 0
            and predict_linear(daybook_host_filesystem_avail_bytes[15m], 4 * 3600) < 0
            and daybook_host_filesystem_avail_bytes / daybook_host_filesystem_size_bytes < 0.25
            and count_over_time(daybook_host_filesystem_avail_bytes[1h] offset 30m) > 0"#,
        hold: "15m",
        keep: "10m",
        summary: "{{ $labels.mountpoint }} of {{ $labels.host }} will be full within four hours",
        description: "If it goes on as in the last hour, nothing can be written to {{ $labels.mountpoint }} of {{ $labels.host }} any longer.",
        runbook: "disk-full",
        fixture: Fixture {
            every: "1m",
            at: "2h",
            fires: &[
                r#"daybook_host_filesystem_avail_bytes{host="one", mountpoint="/"} 2.6e10-1.5e8x120"#,
                r#"daybook_host_filesystem_size_bytes{host="one", mountpoint="/"} 1e11x120"#,
            ],
            // It falls as fast, from much more.
            quiet: &[
                r#"daybook_host_filesystem_avail_bytes{host="one", mountpoint="/"} 8e10-1.5e8x120"#,
                r#"daybook_host_filesystem_size_bytes{host="one", mountpoint="/"} 1e11x120"#,
            ],
        },
    },
    Builtin {
        name: "DiskFillsWithinDays",
        severity: Severity::Ticket,
        expr: r#"
            predict_linear(daybook_host_filesystem_avail_bytes[6h], 3 * 86400) < 0
            and predict_linear(daybook_host_filesystem_avail_bytes[1h], 3 * 86400) < 0
            and daybook_host_filesystem_avail_bytes / daybook_host_filesystem_size_bytes < 0.5
            and count_over_time(daybook_host_filesystem_avail_bytes[1h] offset 5h) > 0"#,
        hold: "1h",
        keep: "30m",
        summary: "{{ $labels.mountpoint }} of {{ $labels.host }} will be full within three days",
        description: "If it goes on as in the last six hours, {{ $labels.mountpoint }} of {{ $labels.host }} is full in less than three days.",
        runbook: "disk-full",
        fixture: Fixture {
            every: "5m",
            at: "9h",
            fires: &[
                r#"daybook_host_filesystem_avail_bytes{host="one", mountpoint="/"} 4.5e10-6e7x108"#,
                r#"daybook_host_filesystem_size_bytes{host="one", mountpoint="/"} 1e11x108"#,
            ],
            // Much at once, and then nothing.
            quiet: &[
                r#"daybook_host_filesystem_avail_bytes{host="one", mountpoint="/"} 4.5e10x9 4e10x99"#,
                r#"daybook_host_filesystem_size_bytes{host="one", mountpoint="/"} 1e11x108"#,
            ],
        },
    },
    Builtin {
        name: "HostMemoryLow",
        severity: Severity::Ticket,
        expr: "daybook_host_memory_available_bytes / daybook_host_memory_total_bytes < 0.05",
        hold: "10m",
        keep: "5m",
        summary: "{{ $labels.host }} has {{ $value | humanizePercentage }} of its memory left",
        description: "Something on {{ $labels.host }} will be killed when more is needed.",
        runbook: "host-memory",
        fixture: Fixture {
            every: "1m",
            at: "15m",
            fires: &[
                r#"daybook_host_memory_available_bytes{host="one"} 3e8x15"#,
                r#"daybook_host_memory_total_bytes{host="one"} 8e9x15"#,
            ],
            quiet: &[
                r#"daybook_host_memory_available_bytes{host="one"} 5e8x15"#,
                r#"daybook_host_memory_total_bytes{host="one"} 8e9x15"#,
            ],
        },
    },
    Builtin {
        name: "HostOverloaded",
        severity: Severity::Ticket,
        expr: "avg_over_time(daybook_host_load1[5m]) / daybook_host_cpus > 2",
        hold: "15m",
        keep: "5m",
        summary: "{{ $labels.host }} has {{ $value | printf \"%.1f\" }} times as much to do as it has processors",
        description: "Everything on {{ $labels.host }} has waited for processors for a quarter of an hour.",
        runbook: "host-overloaded",
        fixture: Fixture {
            every: "1m",
            at: "25m",
            fires: &[r#"daybook_host_load1{host="one"} 10x25"#, r#"daybook_host_cpus{host="one"} 4x25"#],
            quiet: &[r#"daybook_host_load1{host="one"} 7x25"#, r#"daybook_host_cpus{host="one"} 4x25"#],
        },
    },
    Builtin {
        name: "TargetDown",
        severity: Severity::Ticket,
        expr: "up == 0",
        hold: "10m",
        keep: "2m",
        summary: "{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
        description: "The metrics of {{ $labels.instance }} of {{ $labels.job }} have not been answered for ten minutes: alerts about them say nothing.",
        runbook: "target-down",
        fixture: Fixture {
            every: "1m",
            at: "15m",
            fires: &[r#"up{job="web", instance="web-1:9090"} 1x2 0x12"#],
            quiet: &[r#"up{job="web", instance="web-1:9090"} 1x2 0x6 1x6"#],
        },
    },
];
