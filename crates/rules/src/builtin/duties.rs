//! What has to happen in time: backups and their proof, certificates, jobs.

use super::{Builtin, Fixture, Severity, Subject};

pub(super) const SUBJECT: Subject = Subject { name: "duties", recorded: &[], alerts: ALERTS };

const ALERTS: &[Builtin] = &[
    Builtin {
        name: "CertificateExpires",
        severity: Severity::Ticket,
        expr: "daybook_certificate_expiry_timestamp_seconds - time() < 14 * 86400",
        hold: "1h",
        keep: "10m",
        summary: "The certificate of {{ $labels.domain }} expires in {{ $value | humanizeDuration }}",
        description: "Whoever visits {{ $labels.domain }} is warned of it from then on: put a new certificate where the manifest says that its files are.",
        runbook: "certificate-expires",
        fixture: Fixture {
            every: "5m",
            at: "2h",
            fires: &[
                r#"daybook_certificate_expiry_timestamp_seconds{app="shop", env="production", domain="shop.example.com"} 1e6x24"#,
            ],
            quiet: &[
                r#"daybook_certificate_expiry_timestamp_seconds{app="shop", env="production", domain="shop.example.com"} 2e6x24"#,
            ],
        },
    },
    Builtin {
        name: "CertificateExpiresSoon",
        severity: Severity::Page,
        expr: "daybook_certificate_expiry_timestamp_seconds - time() < 2 * 86400",
        hold: "10m",
        keep: "10m",
        summary: "The certificate of {{ $labels.domain }} {{ if lt $value 0.0 }}has expired{{ else }}expires in {{ $value | humanizeDuration }}{{ end }}",
        description: "Browsers refuse to show {{ $labels.domain }} once its certificate has expired.",
        runbook: "certificate-expires",
        fixture: Fixture {
            every: "1m",
            at: "20m",
            fires: &[
                r#"daybook_certificate_expiry_timestamp_seconds{app="shop", env="production", domain="shop.example.com"} 1e5x20"#,
            ],
            quiet: &[
                r#"daybook_certificate_expiry_timestamp_seconds{app="shop", env="production", domain="shop.example.com"} 2e5x20"#,
            ],
        },
    },
    Builtin {
        name: "BackupOverdue",
        severity: Severity::Ticket,
        expr: r#"
            time() - daybook_backup_last_success_timestamp_seconds
              > 2 * daybook_backup_interval_seconds"#,
        hold: "15m",
        keep: "5m",
        summary: "The last backup of {{ $labels.holding }} in {{ $labels.env }} is {{ $value | humanizeDuration }} old",
        description: "No backup of {{ $labels.holding }} of {{ $labels.app }} has been made for twice as long as it should take until the next.",
        runbook: "backup-overdue",
        fixture: Fixture {
            every: "5m",
            at: "3h",
            fires: &[
                r#"daybook_backup_last_success_timestamp_seconds{app="shop", env="production", holding="db"} 0x36"#,
                r#"daybook_backup_interval_seconds{app="shop", env="production", holding="db"} 3600x36"#,
            ],
            quiet: &[
                r#"daybook_backup_last_success_timestamp_seconds{app="shop", env="production", holding="db"} 0x23 7000x12"#,
                r#"daybook_backup_interval_seconds{app="shop", env="production", holding="db"} 3600x36"#,
            ],
        },
    },
    Builtin {
        name: "BackupUnproven",
        severity: Severity::Ticket,
        expr: r#"
            time() - daybook_backup_proven_timestamp_seconds
              > 1.5 * daybook_backup_drill_interval_seconds"#,
        hold: "1h",
        keep: "10m",
        summary: "No backup of {{ $labels.holding }} in {{ $labels.env }} has been proven for {{ $value | humanizeDuration }}",
        description: "A backup that was never restored may be none: the drill of {{ $labels.holding }} of {{ $labels.app }} fails or does not run.",
        runbook: "backup-unproven",
        fixture: Fixture {
            every: "30m",
            at: "40h",
            fires: &[
                r#"daybook_backup_proven_timestamp_seconds{app="shop", env="production", holding="db"} 0x80"#,
                r#"daybook_backup_drill_interval_seconds{app="shop", env="production", holding="db"} 86400x80"#,
            ],
            quiet: &[
                r#"daybook_backup_proven_timestamp_seconds{app="shop", env="production", holding="db"} 0x60 108000x20"#,
                r#"daybook_backup_drill_interval_seconds{app="shop", env="production", holding="db"} 86400x80"#,
            ],
        },
    },
    Builtin {
        name: "JobMissed",
        severity: Severity::Ticket,
        expr: "time() - daybook_job_next_due_timestamp_seconds > 300",
        hold: "5m",
        keep: "0s",
        summary: "The job {{ $labels.service }} in {{ $labels.env }} has not started",
        description: "{{ $labels.service }} of {{ $labels.app }} should have started {{ $value | humanizeDuration }} ago.",
        runbook: "job-missed",
        fixture: Fixture {
            every: "1m",
            at: "25m",
            fires: &[
                r#"daybook_job_next_due_timestamp_seconds{app="shop", env="production", service="report"} 600x30"#,
            ],
            // It starts late, but it starts.
            quiet: &[
                r#"daybook_job_next_due_timestamp_seconds{app="shop", env="production", service="report"} 600x15 4200x15"#,
            ],
        },
    },
    Builtin {
        name: "JobFails",
        severity: Severity::Ticket,
        expr: r#"
            increase(daybook_job_failures_total[1h]) > 0
            unless time() - daybook_job_last_success_timestamp_seconds < 600"#,
        hold: "10m",
        keep: "0s",
        summary: "The job {{ $labels.service }} in {{ $labels.env }} failed",
        description: "{{ $labels.service }} of {{ $labels.app }} failed in the last hour, and has not ended well since.",
        runbook: "job-fails",
        fixture: Fixture {
            every: "1m",
            at: "30m",
            fires: &[
                r#"daybook_job_failures_total{app="shop", env="production", service="report"} 0x10 1x20"#,
                r#"daybook_job_last_success_timestamp_seconds{app="shop", env="production", service="report"} 0x30"#,
            ],
            // The second attempt succeeds.
            quiet: &[
                r#"daybook_job_failures_total{app="shop", env="production", service="report"} 0x10 1x20"#,
                r#"daybook_job_last_success_timestamp_seconds{app="shop", env="production", service="report"} 0x13 840x4 1080x4 1320x4 1560x8"#,
            ],
        },
    },
];
