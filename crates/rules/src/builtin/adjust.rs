//! Alerts by default that an environment wants different.

use super::{Builtin, Severity, expression, milliseconds, template};
use crate::rule::{Alerting, Rule};

/// What an environment wants different about an alert by default. What is not said stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish<'a> {
    /// The app.
    pub app: &'a str,
    /// The environment.
    pub env: &'a str,
    /// The name of the alert.
    pub alert: &'a str,
    /// It is not to be asked about.
    pub off: bool,
    /// The number that its query compares with.
    pub threshold: Option<&'a str>,
    /// How long it has to be true, in milliseconds.
    pub hold: Option<i64>,
    /// How much somebody has to hurry.
    pub severity: Option<Severity>,
}

/// Why an alert cannot be changed for an environment: whoever wrote the wish must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdjusted {
    /// No alert has this name.
    #[error("no alert by default is called `{name:.80}`")]
    Unknown {
        /// The name.
        name: String,
        /// What may have been meant.
        near: Option<&'static str>,
    },
    /// It is about a machine, which is not of one environment.
    #[error("`{0}` is about machines, which are not of one app")]
    OfMachines(&'static str),
    /// Its query compares with no number.
    #[error("`{0}` has no threshold")]
    NoThreshold(&'static str),
}

/// Where the queries have the number that is theirs to compare with: a text that is there once, of which it is the number.
const THRESHOLDS: &[(&str, &str, &str)] = &[
    ("HighErrorRate", "> 0.05", "0.05"),
    ("HighLatency", "> 2", "2"),
    ("LatencyRose", "> 3 *", "3"),
    ("LatencyJumped", "> 3 *", "3"),
    ("TrafficSpike", "> 2 *", "2"),
    ("TrafficDrop", "< 0.4 *", "0.4"),
    ("CrashLoop", ">= 4", "4"),
    ("MemoryNearlyFull", "> 0.9", "0.9"),
    ("CpuSaturated", "> 0.9", "0.9"),
    ("ReplicaImbalance", "1.7 *", "1.7"),
    ("DatabaseConnectionsNearlyUsedUp", "> 0.85", "0.85"),
    ("BackupOverdue", "> 2 *", "2"),
    ("BackupUnproven", "> 1.5 *", "1.5"),
    ("JobMissed", "> 300", "300"),
];

/// Whether a wish can be fulfilled; the alert that it is about.
pub fn check(wish: &Wish<'_>) -> Result<&'static Builtin, NotAdjusted> {
    let Some(found) = super::alerts().find(|builtin| builtin.name == wish.alert) else {
        let distance = |name: &str| strsim::damerau_levenshtein(name, wish.alert);
        let near = super::alerts().map(|builtin| builtin.name).min_by_key(|name| distance(name));
        let near = near.filter(|name| distance(name) <= name.len() / 3);
        return Err(NotAdjusted::Unknown { name: wish.alert.to_owned(), near });
    };
    match wish {
        _ if found.is_of_machines() => Err(NotAdjusted::OfMachines(found.name)),
        Wish { threshold: Some(_), .. } if found.threshold().is_none() => Err(NotAdjusted::NoThreshold(found.name)),
        _ => Ok(found),
    }
}

impl Builtin {
    /// The number that its query compares with, if it is one that may be changed.
    pub fn threshold(&self) -> Option<&'static str> {
        THRESHOLDS.iter().find(|(name, ..)| *name == self.name).map(|(.., number)| *number)
    }

    /// Whether it is about machines, and so about all that runs on them.
    pub fn is_of_machines(&self) -> bool {
        self.fixture.fires.iter().any(|series| series.contains("host=\""))
    }

    /// The alert as rules: one for all environments that want nothing different, and one for each other that wants it at all.
    pub(super) fn rules(&self, wishes: &[Wish<'_>]) -> Vec<Rule> {
        let own: Vec<&Wish<'_>> = wishes.iter().filter(|wish| wish.alert == self.name).collect();
        if own.is_empty() || self.is_of_machines() {
            return vec![self.rule()];
        }
        let all: Vec<String> = own.iter().map(|wish| only(wish)).collect();
        let rest = format!("({}) unless on (app, env) ({})", self.expr, all.join(" or "));
        let usual = self.changed(&rest, None);
        let changed = own.iter().filter(|wish| !wish.off).map(|wish| {
            let expr = match (wish.threshold, THRESHOLDS.iter().find(|(name, ..)| *name == self.name)) {
                (Some(number), Some((_, text, old))) => self.expr.replacen(text, &text.replace(old, number), 1),
                _ => self.expr.to_owned(),
            };
            self.changed(&format!("({expr}) and on (app, env) {}", only(wish)), Some(wish))
        });
        std::iter::once(usual).chain(changed).collect()
    }

    /// The alert with another query, and with what a wish says beside that.
    fn changed(&self, expr: &str, wish: Option<&Wish<'_>>) -> Rule {
        let severity = wish.and_then(|wish| wish.severity).unwrap_or(self.severity);
        let threshold = wish.and_then(|wish| wish.threshold).zip(self.threshold());
        // The usual text may name the usual number.
        let description = threshold.map_or_else(
            || self.description.to_owned(),
            |(threshold, usual)| {
                format!("The manifest has set the threshold of this alert to {threshold}; it is {usual} by default.")
            },
        );
        let annotations = [("description", description.as_str()), ("runbook", self.runbook), ("summary", self.summary)];
        Rule::Alert(Alerting {
            name: self.name.to_owned(),
            query: expression(expr),
            hold: wish.and_then(|wish| wish.hold).unwrap_or_else(|| milliseconds(self.hold)),
            keep: milliseconds(self.keep),
            labels: vec![("severity".to_owned(), template(severity.word()))],
            annotations: annotations.into_iter().map(|(name, text)| (name.to_owned(), template(text))).collect(),
            place: super::place(),
        })
    }

    /// The alert as a rule.
    pub fn rule(&self) -> Rule {
        self.changed(self.expr, None)
    }
}

/// A series with the labels of an environment.
fn only(wish: &Wish<'_>) -> String {
    format!(
        "label_replace(label_replace(vector(1), \"app\", {:?}, \"\", \"\"), \"env\", {:?}, \"\", \"\")",
        wish.app, wish.env
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::{alerts, groups_for};

    fn wish(alert: &'static str) -> Wish<'static> {
        Wish { app: "shop", env: "staging", alert, off: false, threshold: None, hold: None, severity: None }
    }

    #[test]
    fn each_threshold_is_once_in_its_query() {
        for (name, text, number) in THRESHOLDS {
            let builtin = alerts().find(|builtin| builtin.name == *name).unwrap();
            assert_eq!(builtin.expr.matches(text).count(), 1, "{name}");
            assert!(text.contains(number), "{name}");
            let all = groups_for(&[Wish { threshold: Some("7.5"), ..wish(name) }]);
            let changed = all.iter().flat_map(|group| &group.rules).find(|rule| rule.query().text.contains("7.5"));
            assert_eq!(changed.map(Rule::name), Some(*name));
        }
    }

    #[test]
    fn an_environment_may_want_less_or_something_else() {
        let off = Wish { off: true, ..wish("HighLatency") };
        let later = Wish { env: "preview", hold: Some(600_000), severity: Some(Severity::Page), ..wish("HighLatency") };
        let all = groups_for(&[off, later]);
        let rules: Vec<&Rule> =
            all.iter().flat_map(|group| &group.rules).filter(|rule| rule.name() == "HighLatency").collect();
        let [Rule::Alert(usual), Rule::Alert(own)] = rules.as_slice() else { panic!("{rules:?}") };
        assert!(usual.query.text.contains("unless on (app, env)") && usual.hold == 300_000, "{}", usual.query.text);
        assert!(own.query.text.contains("\"preview\"") && own.hold == 600_000, "{}", own.query.text);
        assert_eq!(own.labels[0].1.text(), "page");
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        assert!(check(&wish("HighLatency")).is_ok());
        let near = check(&wish("HighErorRate")).unwrap_err();
        assert_eq!(near, NotAdjusted::Unknown { name: "HighErorRate".to_owned(), near: Some("HighErrorRate") });
        assert_eq!(check(&wish("DiskNearlyFull")).unwrap_err(), NotAdjusted::OfMachines("DiskNearlyFull"));
        let threshold = Wish { threshold: Some("1"), ..wish("ServiceDown") };
        assert_eq!(check(&threshold).unwrap_err(), NotAdjusted::NoThreshold("ServiceDown"));
    }
}
