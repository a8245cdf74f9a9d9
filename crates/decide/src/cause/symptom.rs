//! What is felt.

use std::collections::BTreeMap;

use daybook_model::incident::Alert;
use daybook_model::{ReleaseNumber, ServiceName, Timestamp};

/// Something that is felt of an incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Symptom {
    /// What.
    pub felt: Felt,
    /// Since when.
    pub at: Timestamp,
    /// Where.
    pub service: Option<ServiceName>,
    /// The machine, where it is felt at one.
    pub host: Option<String>,
    /// The share of requests that fail, percent, by the release of the replicas that answered.
    pub by_release: BTreeMap<ReleaseNumber, f64>,
}

/// What is felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Felt {
    /// Requests fail.
    Errors,
    /// Requests take longer.
    Latency,
    /// Nothing answers.
    Unreachable,
    /// TLS fails.
    Tls,
    /// Replicas end.
    Crash,
    /// Replicas are killed for want of memory, or are about to be.
    Memory,
    /// Processors are used up.
    Cpu,
    /// A disk is full, or slow.
    Disk,
    /// A database refuses, or waits.
    Database,
    /// There is more traffic than usual.
    TrafficUp,
    /// There is less.
    TrafficDown,
    /// A job failed or was missed.
    Job,
}

/// Words in a rule's name, and what it therefore feels. The first that is found counts.
const WORDS: [(&str, Felt); 34] = [
    ("cert", Felt::Tls),
    ("tls", Felt::Tls),
    ("oom", Felt::Memory),
    ("outofmemory", Felt::Memory),
    ("memory", Felt::Memory),
    ("crash", Felt::Crash),
    ("restart", Felt::Crash),
    ("disk", Felt::Disk),
    ("filesystem", Felt::Disk),
    ("volume", Felt::Disk),
    ("connection", Felt::Database),
    ("database", Felt::Database),
    ("postgres", Felt::Database),
    ("mysql", Felt::Database),
    ("replication", Felt::Database),
    ("lock", Felt::Database),
    ("job", Felt::Job),
    ("backup", Felt::Job),
    ("latency", Felt::Latency),
    ("slow", Felt::Latency),
    ("duration", Felt::Latency),
    ("cpu", Felt::Cpu),
    ("saturation", Felt::Cpu),
    ("throttl", Felt::Cpu),
    ("trafficdrop", Felt::TrafficDown),
    ("trafficlow", Felt::TrafficDown),
    ("traffic", Felt::TrafficUp),
    ("down", Felt::Unreachable),
    ("absent", Felt::Unreachable),
    ("unreachable", Felt::Unreachable),
    ("unavailable", Felt::Unreachable),
    ("error", Felt::Errors),
    ("burn", Felt::Errors),
    ("fail", Felt::Errors),
];

impl Felt {
    /// In words, as what fits or does not.
    pub fn words(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "slow answers",
            Self::Unreachable => "that nothing answers",
            Self::Tls => "TLS failures",
            Self::Crash => "crashes",
            Self::Memory => "want of memory",
            Self::Cpu => "used-up processors",
            Self::Disk => "a full or slow disk",
            Self::Database => "a database that refuses or waits",
            Self::TrafficUp => "more traffic",
            Self::TrafficDown => "less traffic",
            Self::Job => "a failed job",
        }
    }

    /// What a rule of this name feels; errors where its name says nothing.
    pub fn of_rule(name: &str) -> Self {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        WORDS.iter().find(|(word, _)| name.contains(word)).map_or(Self::Errors, |(_, felt)| *felt)
    }
}

impl Symptom {
    /// What an alert tells, by its label `symptom` or by its name.
    pub fn of(alert: &Alert) -> Self {
        let rule = alert.labels.get("symptom").unwrap_or(&alert.name);
        Self {
            felt: Felt::of_rule(rule),
            at: alert.started,
            service: alert.service.clone(),
            host: alert.host.clone(),
            by_release: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rules_say_what_is_felt() {
        for (rule, felt) in [
            ("HighErrorRate", Felt::Errors),
            ("ErrorBudgetBurn", Felt::Errors),
            ("daybook_latency_p95", Felt::Latency),
            ("CertificateExpires", Felt::Tls),
            ("CrashLoop", Felt::Crash),
            ("DiskFillsIn", Felt::Disk),
            ("TrafficDrop", Felt::TrafficDown),
            ("JobMissed", Felt::Job),
            ("SomethingElse", Felt::Errors),
        ] {
            assert_eq!(Felt::of_rule(rule), felt, "{rule}");
        }
    }
}
