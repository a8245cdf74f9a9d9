//! Incidents: alerts that belong together, what users feel of them, what is suspected, and what people did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Choice;
use crate::id::{ReleaseNumber, RunId};
use crate::name::ServiceName;

/// One incident. UUID version 7, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub Uuid);

impl IncidentId {
    /// The end of it, which tells it from others for people: the beginning is a time.
    pub fn short(&self) -> String {
        let hex = self.0.simple().to_string();
        hex[hex.len() - 8..].to_owned()
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for IncidentId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// How much something matters. The later matter more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; it opens no incident.
    Info,
    /// Somebody should see to it on a working day.
    Ticket,
    /// Users are hurt, or will be soon: somebody is woken.
    Page,
}

impl Severity {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

impl std::str::FromStr for Severity {
    type Err = ();

    /// Words that other tools use are understood as well: `critical` pages, `warning` is a ticket.
    fn from_str(word: &str) -> Result<Self, ()> {
        match word.to_ascii_lowercase().as_str() {
            "page" | "critical" | "emergency" => Ok(Self::Page),
            "ticket" | "error" | "warning" => Ok(Self::Ticket),
            "info" | "none" => Ok(Self::Info),
            _ => Err(()),
        }
    }
}

/// Something that a rule has found, for as long as it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Name of the rule.
    pub name: String,
    /// What tells it from other alerts of the rule. The rule's name is not among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence with numbers.
    pub summary: String,
    /// Since when it fires.
    pub started: Timestamp,
    /// When it ceased. `None`: it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The service that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The machine that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The page that says what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
}

impl Alert {
    /// What it has in common with itself when it fires again: the rule and the labels.
    pub fn identity(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }

    /// Whether it fires.
    pub fn is_firing(&self) -> bool {
        self.ended.is_none()
    }
}

/// What users feel, in numbers, from the onset until these were taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// Requests in that time.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// The 95th percentile of how long they took, milliseconds: usually, and now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<(u64, u64)>,
    /// Routes that are worst, each with the requests that failed there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<(String, u64)>,
}

/// What may have caused an incident, with what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// What kind of thing it is: `release`, `certificate`, …
    pub kind: String,
    /// In one sentence: "release 12 of web, 3 min before".
    pub title: String,
    /// When it began.
    pub at: Timestamp,
    /// Services that it is about. Empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<ServiceName>,
    /// Its share of everything that is suspected, percent.
    pub share: u8,
    /// What speaks for it and against it: a sentence each, with numbers.
    pub evidence: Vec<String>,
    /// How its score came about: each factor in thousandths, in the order in which they are multiplied.
    pub factors: Vec<(String, u32)>,
    /// What may be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextStep>,
}

/// What may be done about a suspected cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Go back to a release.
    SwapBack {
        /// Which.
        to: ReleaseNumber,
    },
    /// Run so many replicas.
    Scale {
        /// Of which service.
        service: ServiceName,
        /// How many.
        replicas: u32,
    },
    /// Replace its replicas by equal ones.
    Restart {
        /// Of which service.
        service: ServiceName,
    },
    /// Look at what would change, which asks for a decision: more memory, another schedule.
    ShowPlan {
        /// What to change, in words.
        what: String,
    },
    /// Look closer; nothing is to be changed before.
    Look {
        /// What to look at, in words.
        what: String,
        /// The command that shows it.
        command: String,
    },
}

impl NextStep {
    /// In words, with the command for it.
    pub fn choice(&self) -> Choice {
        let (text, command) = match self {
            Self::SwapBack { to } => (format!("swap back to release {to}"), format!("daybook rollback {to}")),
            Self::Scale { service, replicas } => {
                (format!("run {replicas} replicas of {service}"), format!("daybook scale {service}={replicas}"))
            }
            Self::Restart { service } => (format!("restart {service}"), format!("daybook restart {service}")),
            Self::ShowPlan { what } => (format!("{what}, and look at the plan"), "daybook plan".to_owned()),
            Self::Look { what, command } => (what.clone(), command.clone()),
        };
        Choice { text, command }
    }
}

/// How an incident came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All its alerts had ceased for a while.
    Quiet,
    /// Somebody said so.
    ByHand,
}

/// Something that happened to an incident. Who caused it, and when, is in its journal entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentEvent {
    /// It was opened.
    Opened {
        /// In one sentence.
        title: String,
        /// How much it matters.
        severity: Severity,
        /// Services that it is about, where it was opened by hand.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        services: BTreeSet<ServiceName>,
        /// The alert that opened it. `None`: a person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert: Option<Alert>,
    },
    /// Another alert belongs to it, or one of its own fires again.
    Joined {
        /// The alert.
        alert: Alert,
        /// Why it belongs here, in words.
        why: String,
    },
    /// One of its alerts ceased.
    AlertEnded {
        /// [`Alert::identity`] of it.
        alert: String,
        /// When.
        ended: Timestamp,
    },
    /// Somebody gave it another severity, which alerts do not change any more.
    Regraded {
        /// Which.
        severity: Severity,
        /// Why.
        why: String,
    },
    /// People were woken.
    Paged {
        /// The escalation policy, by its name.
        policy: String,
        /// Its level, from 1.
        level: u32,
        /// How often the policy had begun again.
        round: u32,
        /// Who.
        who: Vec<String>,
    },
    /// Somebody sees to it.
    Acknowledged,
    /// Somebody else sees to it from now on.
    HandedOver {
        /// Who.
        to: String,
        /// What they have to know.
        note: String,
    },
    /// Somebody wrote something down.
    Noted {
        /// What.
        text: String,
    },
    /// Something was told to the public.
    Published {
        /// What.
        text: String,
    },
    /// What users feel was measured; the later replaces the earlier.
    Felt {
        /// In numbers.
        impact: Impact,
    },
    /// What changed before was compared with what is felt; the later replaces the earlier.
    Suspected {
        /// The first is suspected most.
        suspects: Vec<Suspect>,
    },
    /// Something was done about it.
    Acted {
        /// What, in words.
        what: String,
        /// The run that does it, if one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// The rule that had it done. `None`: a person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// It is a part of another one, which has its alerts from now on.
    MergedInto {
        /// The other.
        other: IncidentId,
        /// Why, in words.
        why: String,
    },
    /// It is over.
    Resolved {
        /// How that was told.
        ending: Ending,
        /// What was said of it; may be empty.
        note: String,
    },
    /// It was not over.
    Reopened {
        /// The alert that says so. `None`: a person does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alert: Option<Alert>,
        /// Why, in words.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_tools_are_severities() {
        assert_eq!("critical".parse(), Ok(Severity::Page));
        assert_eq!("warning".parse(), Ok(Severity::Ticket));
        assert_eq!("high".parse::<Severity>(), Err(()));
        for severity in [Severity::Info, Severity::Ticket, Severity::Page] {
            assert_eq!(severity.word().parse(), Ok(severity));
        }
        assert!(Severity::Info < Severity::Ticket && Severity::Ticket < Severity::Page);
    }

    #[test]
    fn a_next_step_has_its_command() {
        let choice = NextStep::SwapBack { to: ReleaseNumber(11) }.choice();
        assert_eq!(choice.command, "daybook rollback 11");
        let service = ServiceName::new("web").unwrap();
        assert_eq!(NextStep::Scale { service, replicas: 4 }.choice().command, "daybook scale web=4");
    }
}
