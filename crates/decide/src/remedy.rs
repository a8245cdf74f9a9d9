//! Whether a rule may mend something by itself, and how.
//!
//! Nothing is mended unless a rule of the manifest asks for it. A rule is bounded: so many times in a window, never
//! while something else changes the environment, and never twice for one incident. What is decided is a plan like any
//! other that a person could have started.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::incident::{NextStep, Suspect};
use daybook_model::remedy::{Remedy, Rule};
use daybook_model::{ReleaseNumber, ServiceName, Timestamp};

use crate::backups::{lies_back, span};
use crate::incident::Incident;
use crate::oncall::left_to;

/// The name of who is no person.
const ITSELF: &str = "daybook";

/// What else counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Around {
    /// What is under way, in words, where something changes the environment or is about to: a run, a backup, an upgrade.
    pub under_way: Option<String>,
    /// When each rule had something done, newest last.
    pub done: Vec<(String, Timestamp)>,
    /// The release in force.
    pub release: Option<ReleaseNumber>,
    /// Releases that something keeps one from going back to: a migration that the release before cannot work with.
    pub no_way_back: BTreeSet<ReleaseNumber>,
    /// Releases that rules made: none undoes what another did.
    pub by_rules: BTreeSet<ReleaseNumber>,
    /// The release that was in force before it.
    pub before: Option<ReleaseNumber>,
    /// How many replicas each service has by the release in force.
    pub replicas: BTreeMap<ServiceName, u32>,
}

/// What would be started, or why nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Start this.
    Start {
        /// By which rule.
        rule: String,
        /// What.
        step: NextStep,
        /// Why, in words: it becomes the reason of the run.
        why: String,
    },
    /// Nothing is started.
    Leave {
        /// Why, in words; one line for each rule.
        why: Vec<String>,
    },
}

/// What the rules have done about an incident now. The first that may do something does.
pub fn decide(rules: &[Rule], incident: &Incident, around: &Around, now: Timestamp) -> Decision {
    let leave = |why: &str| Decision::Leave { why: vec![why.to_owned()] };
    if rules.is_empty() {
        return leave("no rule mends anything by itself");
    }
    if !incident.is_open() {
        return leave("the incident is over");
    }
    if let Some(taken) = incident.actions.iter().find(|taken| taken.rule.is_some()) {
        return leave(&format!("a rule did something about this incident already: {}", taken.what));
    }
    if let Some(taken) = incident.actions.iter().find(|taken| taken.by != ITSELF) {
        return leave(&format!("{} did something about it: {}", taken.by, taken.what));
    }
    if let Some(who) = left_to(incident, now) {
        return leave(&format!("{who} sees to it"));
    }
    if let Some(what) = &around.under_way {
        return leave(&format!("{what} is under way"));
    }
    let Some(suspect) = incident.suspects.first() else { return leave("nothing is suspected") };
    let mut why = Vec::new();
    for rule in rules {
        match apply(rule, suspect, around, now) {
            Ok(step) => {
                let share = suspect.share;
                let why =
                    format!("{} ({share} % of what is suspected), incident {}", suspect.title, incident.id.short());
                return Decision::Start { rule: rule.name.clone(), step, why };
            }
            Err(not) => why.push(format!("{}: {not}", rule.name)),
        }
    }
    Decision::Leave { why }
}

/// What a rule would have done, or why it would not.
fn apply(rule: &Rule, suspect: &Suspect, around: &Around, now: Timestamp) -> Result<NextStep, String> {
    let Some((remedy, step)) = suspect.next.as_ref().and_then(|step| Some((remedy_of(step)?, step))) else {
        return Err(format!("{} is nothing that can be mended by itself", suspect.title));
    };
    if !rule.may.contains(&remedy) {
        return Err(format!("it may not {}", remedy.word()));
    }
    let is_covered = rule.services.is_empty()
        || (!suspect.services.is_empty() && suspect.services.iter().all(|service| rule.services.contains(service)));
    if !is_covered {
        return Err("it is about other services".to_owned());
    }
    if suspect.share < rule.least_share {
        return Err(format!("{} % is suspected of it, and {} % is asked for", suspect.share, rule.least_share));
    }
    let times = around.done.iter().filter(|(name, at)| *name == rule.name && lies_back(*at, now) < rule.within_ms);
    let times = times.count();
    if times >= usize::try_from(rule.most).unwrap_or(usize::MAX) {
        return Err(format!("it was done {times} times within {}", span(rule.within_ms)));
    }
    match step {
        NextStep::SwapBack { to } => {
            let from = around.release.ok_or("there is no release in force")?;
            if *to >= from {
                return Err(format!("release {from} is in force, which release {to} is not before"));
            }
            // Somebody else's newer release is not what is suspected.
            if around.before != Some(*to) {
                return Err(format!("release {from} came into force since"));
            }
            if around.by_rules.contains(&from) {
                return Err(format!("release {from} is what a rule did, and none undoes that"));
            }
            if around.no_way_back.contains(&from) {
                return Err(format!("the release before cannot work with what release {from} has migrated"));
            }
        }
        NextStep::Scale { service, replicas } => {
            if *replicas > rule.most_replicas {
                return Err(format!("{service} would have {replicas} replicas, at most {} may be", rule.most_replicas));
            }
            if let Some(now) = around.replicas.get(service).filter(|now| replicas <= *now) {
                return Err(format!("{service} has {now} already, and none takes any away"));
            }
        }
        _ => {}
    }
    Ok(step.clone())
}

/// A rule in a line.
pub fn words(rule: &Rule) -> String {
    let may: Vec<_> = rule.may.iter().map(|remedy| remedy.word()).collect();
    let services: Vec<_> = rule.services.iter().map(ServiceName::as_str).collect();
    let of = if services.is_empty() { String::new() } else { format!(" of {}", services.join(", ")) };
    let replicas = match rule.may.contains(&Remedy::Scale) {
        true => format!(", to at most {} replicas", rule.most_replicas),
        false => String::new(),
    };
    let times = if rule.most == 1 { "once".to_owned() } else { format!("{} times", rule.most) };
    let within = span(rule.within_ms);
    format!("may {}{of}{replicas}, where {} % is suspected, {times} in {within}", may.join(", "), rule.least_share)
}

fn remedy_of(step: &NextStep) -> Option<Remedy> {
    match step {
        NextStep::SwapBack { .. } => Some(Remedy::SwapBack),
        NextStep::Scale { .. } => Some(Remedy::Scale),
        NextStep::Restart { .. } => Some(Remedy::Restart),
        NextStep::ShowPlan { .. } | NextStep::Look { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use daybook_model::incident::{IncidentEvent, IncidentId, Severity};
    use daybook_model::{Actor, Event};
    use uuid::Uuid;

    use super::*;
    use crate::incident::{Taken, fold};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
    }

    fn web() -> ServiceName {
        ServiceName::new("web").unwrap()
    }

    fn rule() -> Rule {
        Rule {
            name: "swap-back".to_owned(),
            may: [Remedy::SwapBack, Remedy::Scale].into(),
            services: [web()].into(),
            least_share: 60,
            most: 2,
            within_ms: 3_600_000,
            most_replicas: 6,
            line: 1,
        }
    }

    fn suspect(share: u8, next: NextStep) -> Suspect {
        Suspect {
            kind: "release".to_owned(),
            title: "release 12 of web, 3 min before the onset".to_owned(),
            at: at(0),
            services: [web()].into(),
            share,
            evidence: Vec::new(),
            factors: Vec::new(),
            next: Some(next),
        }
    }

    fn back() -> NextStep {
        NextStep::SwapBack { to: ReleaseNumber(11) }
    }

    fn incident(more: Vec<IncidentEvent>) -> Incident {
        let opened = IncidentEvent::Opened {
            title: "web fails".to_owned(),
            severity: Severity::Page,
            services: [web()].into(),
            alert: None,
        };
        let id = IncidentId(Uuid::from_u128(7));
        let events: Vec<_> = std::iter::once(opened)
            .chain(more)
            .map(|what| Event::Incident { incident: id, what: Box::new(what) })
            .collect();
        let actor = Actor::daybook("alerts");
        fold(events.iter().map(|event| (at(1), &actor, event))).get(id).cloned().unwrap()
    }

    fn suspected(share: u8, next: NextStep) -> IncidentEvent {
        IncidentEvent::Suspected { suspects: vec![suspect(share, next)] }
    }

    fn around() -> Around {
        let replicas = [(web(), 4)].into();
        Around { release: Some(ReleaseNumber(12)), before: Some(ReleaseNumber(11)), replicas, ..Around::default() }
    }

    fn told(rules: &[Rule], incident: &Incident, around: &Around) -> String {
        match decide(rules, incident, around, at(5)) {
            Decision::Start { rule, step, why } => format!("{rule}: {}: {why}", step.choice().command),
            Decision::Leave { why } => format!("nothing: {}", why.join("; ")),
        }
    }

    #[test]
    fn a_rule_goes_back_when_a_release_is_to_blame() {
        insta::assert_snapshot!(told(&[rule()], &incident(vec![suspected(80, back())]), &around()), @"swap-back: daybook rollback 11: release 12 of web, 3 min before the onset (80 % of what is suspected), incident 00000007");
    }

    #[test]
    fn it_is_bounded() {
        let open = incident(vec![suspected(80, back())]);
        let weak = incident(vec![suspected(40, back())]);
        let wide = incident(vec![suspected(80, NextStep::Scale { service: web(), replicas: 9 })]);
        let restart = incident(vec![suspected(80, NextStep::Restart { service: web() })]);
        let acted = IncidentEvent::Acted {
            what: "swapped back to release 11".to_owned(),
            run: None,
            rule: Some("swap-back".to_owned()),
        };
        let twice = incident(vec![suspected(80, back()), acted]);
        let seen = incident(vec![suspected(80, back()), IncidentEvent::Acknowledged]);
        let often = Around { done: vec![("swap-back".to_owned(), at(1)), ("swap-back".to_owned(), at(3))], ..around() };
        let long_ago = Around { done: vec![("swap-back".to_owned(), at(-90)); 5], ..around() };
        let busy = Around { under_way: Some("a run".to_owned()), ..around() };
        let gone = Around { release: Some(ReleaseNumber(11)), ..around() };
        let stuck = Around { no_way_back: [ReleaseNumber(12)].into(), ..around() };
        let newer = Around { release: Some(ReleaseNumber(13)), before: Some(ReleaseNumber(12)), ..around() };
        let fewer = incident(vec![suspected(80, NextStep::Scale { service: web(), replicas: 4 })]);
        let own = Around { by_rules: [ReleaseNumber(12)].into(), ..around() };
        let other = Rule { services: [ServiceName::new("docs").unwrap()].into(), ..rule() };
        let cases = [
            told(&[], &open, &around()),
            told(&[rule()], &weak, &around()),
            told(&[rule()], &wide, &around()),
            told(&[rule()], &restart, &around()),
            told(&[rule()], &twice, &around()),
            told(&[rule()], &seen, &around()),
            told(&[rule()], &open, &often),
            told(&[rule()], &open, &busy),
            told(&[rule()], &open, &gone),
            told(&[rule()], &open, &stuck),
            told(&[rule()], &open, &own),
            told(&[rule()], &open, &newer),
            told(&[rule()], &fewer, &around()),
            told(&[other], &open, &around()),
            told(&[rule()], &incident(Vec::new()), &around()),
        ];
        insta::assert_snapshot!(cases.join("\n"), @"
        nothing: no rule mends anything by itself
        nothing: swap-back: 40 % is suspected of it, and 60 % is asked for
        nothing: swap-back: web would have 9 replicas, at most 6 may be
        nothing: swap-back: it may not restart
        nothing: a rule did something about this incident already: swapped back to release 11
        nothing: daybook sees to it
        nothing: swap-back: it was done 2 times within 1 h
        nothing: a run is under way
        nothing: swap-back: release 11 is in force, which release 11 is not before
        nothing: swap-back: the release before cannot work with what release 12 has migrated
        nothing: swap-back: release 12 is what a rule did, and none undoes that
        nothing: swap-back: release 13 came into force since
        nothing: swap-back: web has 4 already, and none takes any away
        nothing: swap-back: it is about other services
        nothing: nothing is suspected
        ");
        assert!(told(&[rule()], &open, &long_ago).starts_with("swap-back"));
    }

    #[test]
    fn an_incident_that_opens_again_is_left_to_who_saw_to_it_for_a_while() {
        let mut open = incident(vec![suspected(80, back())]);
        open.acknowledged = Some(("ada".to_owned(), at(-60)));
        open.reopened = Some(at(4));
        assert_eq!(told(&[rule()], &open, &around()), "nothing: ada sees to it");
        open.reopened = Some(at(-30));
        assert!(told(&[rule()], &open, &around()).starts_with("swap-back"), "nobody does any more");
    }

    #[test]
    fn where_a_person_acts_no_rule_does() {
        let mut open = incident(vec![suspected(80, back())]);
        let taken =
            |by: &str| Taken { at: at(2), what: "restart web".to_owned(), run: None, rule: None, by: by.to_owned() };
        open.actions.push(taken("daybook"));
        assert!(told(&[rule()], &open, &around()).starts_with("swap-back"), "it was healed");
        open.actions.push(taken("ada"));
        assert_eq!(told(&[rule()], &open, &around()), "nothing: ada did something about it: restart web");
    }

    #[test]
    fn a_rule_is_told_in_a_line() {
        let one = Rule { may: [Remedy::SwapBack].into(), services: [].into(), most: 1, ..rule() };
        insta::assert_snapshot!(format!("{}\n{}", words(&rule()), words(&one)), @"
        may swap back, scale of web, to at most 6 replicas, where 60 % is suspected, 2 times in 1 h
        may swap back, where 60 % is suspected, once in 1 h
        ");
    }
}
