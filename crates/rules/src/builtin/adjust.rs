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
    /// The service; all of the environment that have no wish of their own, if none is named.
    pub service: Option<&'a str>,
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
    /// It is about something else than services.
    #[error("`{0}` is not about services")]
    NotOfServices(&'static str),
    /// Its query compares with no number.
    #[error("`{0}` has no threshold")]
    NoThreshold(&'static str),
    /// What its query compares never reaches the number.
    #[error("`{name}` would never fire: its threshold has to be less than {below}")]
    OutOfReach {
        /// The name.
        name: &'static str,
        /// What thresholds have to be less than.
        below: u32,
    },
}

/// Where the queries have the number that is theirs to compare with: a text that is there once, of which it is the number.
const THRESHOLDS: &[(&str, &str, &str)] = &[
    ("HighErrorRate", "> 0.05", "0.05"),
    ("HighLatency", "> 2", "2"),
    ("LatencyRose", "> 1", "1"),
    ("LatencyJumped", "> 3 *", "3"),
    ("TrafficSpike", "> 1", "1"),
    ("TrafficDrop", "< -1", "1"),
    ("CrashLoop", ">= 4", "4"),
    ("MemoryNearlyFull", "> 0.9", "0.9"),
    ("CpuSaturated", "> 0.9", "0.9"),
    ("ReplicaImbalance", "1.7 *", "1.7"),
    ("DatabaseConnectionsNearlyUsedUp", "> 0.85", "0.85"),
    ("BackupOverdue", "> 2 *", "2"),
    ("BackupUnproven", "> 1.5 *", "1.5"),
    ("JobMissed", "> 300", "300"),
];

/// Thresholds that what is compared never reaches, nor what is above them. No traffic at all is at most two tolerances away,
/// since a tolerance is at least half of what is expected ([`super::WATCHED`]).
const OUT_OF_REACH: &[(&str, u32)] = &[("TrafficDrop", 2)];

/// Whether a wish can be fulfilled; the alert that it is about.
pub fn check(wish: &Wish<'_>) -> Result<&'static Builtin, NotAdjusted> {
    let Some(found) = super::alerts().find(|builtin| builtin.name == wish.alert) else {
        let distance = |name: &str| strsim::damerau_levenshtein(name, wish.alert);
        let near = super::alerts().map(|builtin| builtin.name).min_by_key(|name| distance(name));
        let near = near.filter(|name| distance(name) <= name.len() / 3);
        return Err(NotAdjusted::Unknown { name: wish.alert.to_owned(), near });
    };
    let out_of_reach = OUT_OF_REACH.iter().find(|(name, _)| *name == found.name).map(|(_, below)| *below);
    let threshold = wish.threshold.and_then(|number| number.parse::<f64>().ok());
    match wish {
        _ if found.is_of_machines() => Err(NotAdjusted::OfMachines(found.name)),
        Wish { service: Some(_), .. } if !found.is_of_services() => Err(NotAdjusted::NotOfServices(found.name)),
        Wish { threshold: Some(_), .. } if found.threshold().is_none() => Err(NotAdjusted::NoThreshold(found.name)),
        _ => match (threshold, out_of_reach) {
            (Some(threshold), Some(below)) if threshold >= f64::from(below) => {
                Err(NotAdjusted::OutOfReach { name: found.name, below })
            }
            _ => Ok(found),
        },
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

    /// Whether it is about services, each for itself.
    pub fn is_of_services(&self) -> bool {
        self.fixture.fires.iter().any(|series| series.contains("service=\""))
    }

    /// The alert as rules: one for all that want nothing different, and one for each environment and each service that wants it
    /// otherwise.
    pub(super) fn rules(&self, wishes: &[Wish<'_>]) -> Vec<Rule> {
        let own: Vec<&Wish<'_>> = wishes.iter().filter(|wish| wish.alert == self.name).collect();
        if own.is_empty() || self.is_of_machines() {
            return vec![self.rule()];
        }
        let usual = self.changed(&without(self.expr.to_owned(), &own), None);
        let changed = own.iter().filter(|wish| !wish.off).map(|wish| {
            let expr = match (wish.threshold, THRESHOLDS.iter().find(|(name, ..)| *name == self.name)) {
                (Some(number), Some((_, text, old))) => self.expr.replacen(text, &text.replace(old, number), 1),
                _ => self.expr.to_owned(),
            };
            let expr = format!("({expr}) and on ({}) {}", on(wish), only(wish));
            let within = own.iter().copied().filter(|other| wish.service.is_none() && other.is_within(wish));
            self.changed(&without(expr, &within.collect::<Vec<_>>()), Some(wish))
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

impl Wish<'_> {
    /// Whether it is of one service of the environment of another.
    fn is_within(&self, other: &Self) -> bool {
        self.service.is_some() && (self.app, self.env) == (other.app, other.env)
    }
}

/// A query, but for what it says of whom wishes are of.
fn without(expr: String, wishes: &[&Wish<'_>]) -> String {
    let (services, whole): (Vec<&Wish<'_>>, Vec<&Wish<'_>>) =
        wishes.iter().copied().partition(|wish| wish.service.is_some());
    [whole, services].into_iter().filter(|wishes| !wishes.is_empty()).fold(expr, |expr, wishes| {
        let all: Vec<String> = wishes.iter().map(|wish| only(wish)).collect();
        format!("({expr}) unless on ({}) ({})", on(wishes[0]), all.join(" or "))
    })
}

/// The labels that say whom a wish is of.
fn on(wish: &Wish<'_>) -> &'static str {
    if wish.service.is_some() { "app, env, service" } else { "app, env" }
}

/// A series with these labels.
fn only(wish: &Wish<'_>) -> String {
    let labels = [Some(("app", wish.app)), Some(("env", wish.env)), wish.service.map(|service| ("service", service))];
    labels.into_iter().flatten().fold("vector(1)".to_owned(), |series, (name, value)| {
        format!("label_replace({series}, {name:?}, {value:?}, \"\", \"\")")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::{alerts, groups_for};

    fn wish(alert: &'static str) -> Wish<'static> {
        Wish {
            app: "shop",
            env: "staging",
            service: None,
            alert,
            off: false,
            threshold: None,
            hold: None,
            severity: None,
        }
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
    fn a_service_may_want_what_its_environment_does_not() {
        let env = Wish { threshold: Some("1.8"), ..wish("TrafficDrop") };
        let off = Wish { service: Some("admin"), off: true, ..wish("TrafficDrop") };
        let own = Wish { service: Some("web"), threshold: Some("1.2"), ..wish("TrafficDrop") };
        let all = groups_for(&[env, off, own]);
        let rules = all.iter().flat_map(|group| &group.rules).filter(|rule| rule.name() == "TrafficDrop");
        let texts: Vec<&str> = rules.map(|rule| rule.query().text.as_str()).collect();
        let [usual, of_env, of_web] = texts.as_slice() else { panic!("{texts:?}") };
        let count = |text: &str, part: &str| text.matches(part).count();
        assert_eq!((count(usual, "unless on (app, env) "), count(usual, "unless on (app, env, service) ")), (1, 1));
        assert!(of_env.contains("< -1.8") && of_env.contains(" and on (app, env) label_replace"), "{of_env}");
        assert!(of_env.contains("unless on (app, env, service) ") && of_env.contains("\"admin\""), "{of_env}");
        assert!(of_web.contains("< -1.2") && of_web.contains(" and on (app, env, service) label_replace"), "{of_web}");
        assert!(!of_web.contains("unless") && of_web.contains("\"web\""), "{of_web}");
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        assert!(check(&wish("HighLatency")).is_ok());
        let near = check(&wish("HighErorRate")).unwrap_err();
        assert_eq!(near, NotAdjusted::Unknown { name: "HighErorRate".to_owned(), near: Some("HighErrorRate") });
        assert_eq!(check(&wish("DiskNearlyFull")).unwrap_err(), NotAdjusted::OfMachines("DiskNearlyFull"));
        let service = Wish { service: Some("web"), ..wish("DatabaseDown") };
        assert_eq!(check(&service).unwrap_err(), NotAdjusted::NotOfServices("DatabaseDown"));
        let threshold = Wish { threshold: Some("1"), ..wish("ServiceDown") };
        assert_eq!(check(&threshold).unwrap_err(), NotAdjusted::NoThreshold("ServiceDown"));
    }

    #[test]
    fn a_threshold_that_is_never_reached_is_refused() {
        let with = |threshold, alert| check(&Wish { threshold: Some(threshold), ..wish(alert) });
        let refused = with("2", "TrafficDrop").unwrap_err();
        assert_eq!(refused, NotAdjusted::OutOfReach { name: "TrafficDrop", below: 2 });
        assert_eq!(refused.to_string(), "`TrafficDrop` would never fire: its threshold has to be less than 2");
        assert!(with("1.99", "TrafficDrop").is_ok() && with("2", "TrafficSpike").is_ok());
        let least = crate::builtin::WATCHED.iter().find(|watched| watched.of == "requests").unwrap().share;
        assert_eq!(OUT_OF_REACH, [("TrafficDrop", (1.0 / least) as u32)], "nothing is further away");
    }
}
