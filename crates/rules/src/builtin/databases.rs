//! Databases.

use super::{Builtin, Fixture, Severity, Subject};

pub(super) const SUBJECT: Subject = Subject { name: "databases", recorded: &[], alerts: ALERTS };

const ALERTS: &[Builtin] = &[
    Builtin {
        name: "DatabaseDown",
        severity: Severity::Page,
        expr: "daybook_database_up == 0",
        hold: "1m",
        keep: "2m",
        summary: "The database {{ $labels.database }} in {{ $labels.env }} does not answer",
        description: "Nothing can be read from or written to {{ $labels.database }} of {{ $labels.app }}.",
        runbook: "database-down",
        fixture: Fixture {
            every: "1m",
            at: "5m",
            fires: &[r#"daybook_database_up{app="shop", env="production", database="db"} 1 0x5"#],
            quiet: &[r#"daybook_database_up{app="shop", env="production", database="db"} 1 0 1x5"#],
        },
    },
    Builtin {
        name: "DatabaseConnectionsNearlyUsedUp",
        severity: Severity::Ticket,
        expr: "daybook_database_connections / daybook_database_max_connections > 0.85",
        hold: "5m",
        keep: "5m",
        summary: "{{ $value | humanizePercentage }} of the connections to {{ $labels.database }} in {{ $labels.env }} are taken",
        description: "When none is left, {{ $labels.database }} of {{ $labels.app }} refuses whoever connects next.",
        runbook: "database-connections",
        fixture: Fixture {
            every: "1m",
            at: "10m",
            fires: &[
                r#"daybook_database_connections{app="shop", env="production", database="db"} 90x10"#,
                r#"daybook_database_max_connections{app="shop", env="production", database="db"} 100x10"#,
            ],
            quiet: &[
                r#"daybook_database_connections{app="shop", env="production", database="db"} 90x4 50x6"#,
                r#"daybook_database_max_connections{app="shop", env="production", database="db"} 100x10"#,
            ],
        },
    },
    Builtin {
        name: "DatabaseReplicationLags",
        severity: Severity::Ticket,
        expr: "daybook_database_replication_lag_seconds > 60",
        hold: "5m",
        keep: "5m",
        summary: "A standby of {{ $labels.database }} in {{ $labels.env }} is {{ $value | humanizeDuration }} behind",
        description: "What was written to {{ $labels.database }} of {{ $labels.app }} is not at {{ $labels.standby }} yet: whoever reads there sees what was, and what is lost with the primary is lost.",
        runbook: "database-replication",
        fixture: Fixture {
            every: "1m",
            at: "10m",
            fires: &[
                r#"daybook_database_replication_lag_seconds{app="shop", env="production", database="db", standby="db2@10.0.0.2"} 61+60x10"#,
            ],
            // A standby that catches up.
            quiet: &[
                r#"daybook_database_replication_lag_seconds{app="shop", env="production", database="db", standby="db2@10.0.0.2"} 120x4 1x6"#,
            ],
        },
    },
    Builtin {
        name: "DatabaseReplicationStopped",
        severity: Severity::Ticket,
        expr: "daybook_database_replication_running == 0",
        hold: "5m",
        keep: "5m",
        summary: "A standby of {{ $labels.database }} in {{ $labels.env }} takes nothing in any longer",
        description: "Nothing of {{ $labels.database }} of {{ $labels.app }} arrives at {{ $labels.standby }}; a primary that keeps its log for it fills its disk.",
        runbook: "database-replication",
        fixture: Fixture {
            every: "1m",
            at: "10m",
            fires: &[
                r#"daybook_database_replication_running{app="shop", env="production", database="db", standby="itself"} 1 0x10"#,
            ],
            // A standby that was restarted.
            quiet: &[
                r#"daybook_database_replication_running{app="shop", env="production", database="db", standby="itself"} 1 0x3 1x6"#,
            ],
        },
    },
];
