//! What says who hears of which alert.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use daybook_metrics::Labels;

use super::interval::TimeInterval;
use super::matchers::Matchers;
use crate::problem::Problem;

/// An `alertmanager.yml`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The root of the tree of routes, which every alert is for.
    pub route: Route,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Which alerts others make needless.
    pub inhibitions: Vec<Inhibition>,
    /// Times by name.
    pub intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// After how long an alert of which nothing more is heard counts as ended, if it does not say; in milliseconds.
    pub resolve_timeout: i64,
    /// What all integrations share, such as the address of a mail server.
    pub global: Settings,
    /// Files of templates; they are named, not read.
    pub templates: Vec<String>,
    /// What was read but will not do what it says.
    pub notes: Vec<Problem>,
}

/// A node of the tree of routes. What it does not say it has from the node above.
#[derive(Debug, Clone)]
pub struct Route {
    /// What it is known by: the matchers from the root to it.
    pub key: String,
    /// Who is told.
    pub receiver: String,
    /// Which alerts it is for.
    pub matchers: Matchers,
    /// Whether the nodes beside it are asked too (`continue`).
    pub goes_on: bool,
    /// What alerts of one notification have in common.
    pub group_by: GroupBy,
    /// How long the first notification of a group waits for more, in milliseconds.
    pub group_wait: i64,
    /// How long the next one waits, in milliseconds.
    pub group_interval: i64,
    /// After how long the same is told again, in milliseconds.
    pub repeat_interval: i64,
    /// Names of times at which nothing is told.
    pub mute: Vec<String>,
    /// Names of times outside of which nothing is told.
    pub active: Vec<String>,
    /// The nodes below.
    pub routes: Vec<Route>,
}

/// What alerts are grouped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// All labels: every alert is a group (`...`).
    All,
    /// These labels.
    Labels(BTreeSet<String>),
}

impl GroupBy {
    /// The labels of the group that an alert belongs to.
    pub fn labels(&self, alert: &Labels) -> Labels {
        match self {
            Self::All => alert.clone(),
            Self::Labels(names) => alert.filtered(|label| names.contains(label.name.as_str())),
        }
    }
}

impl Route {
    /// The routes that an alert takes: depth first, ending at the first that has no `continue`; a node takes what none of
    /// those below it does.
    pub fn matching<'r>(&'r self, labels: &Labels) -> Vec<&'r Self> {
        if !self.matchers.choose(labels) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for route in &self.routes {
            let taken = route.matching(labels);
            let stops = !taken.is_empty() && !route.goes_on;
            all.extend(taken);
            if stops {
                break;
            }
        }
        if all.is_empty() { vec![self] } else { all }
    }

    /// The node with a key.
    pub fn find(&self, key: &str) -> Option<&Self> {
        if self.key == key {
            return Some(self);
        }
        self.routes.iter().find_map(|route| route.find(key))
    }

    /// The node and all below it.
    pub fn all(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.routes.iter().flat_map(Self::all)).collect()
    }
}

/// Somebody who can be told, in several ways.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// The name.
    pub name: String,
    /// The ways.
    pub integrations: Vec<Integration>,
}

/// A way to tell somebody.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Which way.
    pub kind: &'static Kind,
    /// Whether the end of alerts is told too.
    pub send_resolved: bool,
    /// What is written about it, secrets among it.
    pub settings: Settings,
}

/// A kind of integrations that Alertmanager knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The key in a receiver.
    pub key: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether the end of alerts is told if nothing is said.
    pub send_resolved: bool,
    /// Whether Daybook can tell somebody this way.
    pub supported: bool,
}

const fn kind(key: &'static str, name: &'static str, send_resolved: bool, supported: bool) -> Kind {
    Kind { key, name, send_resolved, supported }
}

/// All kinds that Alertmanager knows.
pub const KINDS: &[Kind] = &[
    kind("discord_configs", "discord", true, false),
    kind("email_configs", "email", false, true),
    kind("incidentio_configs", "incidentio", true, false),
    kind("jira_configs", "jira", true, false),
    kind("mattermost_configs", "mattermost", true, false),
    kind("msteams_configs", "msteams", true, true),
    kind("msteamsv2_configs", "msteamsv2", true, true),
    kind("opsgenie_configs", "opsgenie", true, false),
    kind("pagerduty_configs", "pagerduty", true, true),
    kind("pushover_configs", "pushover", true, false),
    kind("rocketchat_configs", "rocketchat", false, false),
    kind("slack_configs", "slack", false, true),
    kind("sns_configs", "sns", true, false),
    kind("telegram_configs", "telegram", true, false),
    kind("victorops_configs", "victorops", true, false),
    kind("webex_configs", "webex", true, false),
    kind("webhook_configs", "webhook", true, true),
    kind("wechat_configs", "wechat", false, false),
];

/// Settings as they are written. They may hold secrets, so that their debug form shows names only.
#[derive(Clone, PartialEq, Default)]
pub struct Settings(pub serde_json::Map<String, serde_json::Value>);

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Alerts that are not told of while certain others fire.
#[derive(Debug, Clone)]
pub struct Inhibition {
    /// The others.
    pub source: Matchers,
    /// Those that are not told of.
    pub target: Matchers,
    /// Labels that both have to have the same values of.
    pub equal: Vec<String>,
}

impl Config {
    /// The receiver with a name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// Whether a route tells nothing at a time.
    pub fn is_muted(&self, route: &Route, at: i64) -> bool {
        let within = |name: &String| {
            self.intervals.get(name).is_some_and(|intervals| intervals.iter().any(|interval| interval.contains(at)))
        };
        route.mute.iter().any(within) || !(route.active.is_empty() || route.active.iter().any(within))
    }
}
