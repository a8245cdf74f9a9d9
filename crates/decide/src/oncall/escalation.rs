//! Whom to wake next.

use std::ops::Range;

use daybook_model::Timestamp;
use daybook_model::incident::Severity;
use daybook_model::oncall::{Level, Policy, Schedule, Target};

use super::schedule::{next_hand_over, on_call};
use crate::incident::{Incident, Page};

/// What is due for an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Wake these now; journal it as `Paged` first.
    Page {
        /// The level, from 1.
        level: u32,
        /// How often the policy had begun again.
        round: u32,
        /// Who. Empty: the levels that are due have nobody on call, which is itself to be told.
        who: Vec<String>,
    },
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Nothing, until something happens to the incident.
    Nothing,
}

/// After an incident was opened again it is left to who knows of it for so long before anybody is woken: milliseconds.
pub const REOPENED_MS: u64 = 15 * 60_000;

/// What is due for an incident now. Nothing is, unless it is open, pages, and nobody sees to it.
///
/// Each level is woken once in a round, at least its `wait_ms` after the level before. A level at which nobody is on
/// call is passed over at once; where the last ones were, whoever comes on call later and was not woken yet is woken then.
/// Who acknowledged before an incident was opened again still sees to it for [`REOPENED_MS`]; then the policy begins anew,
/// as it does at once where nobody ever acknowledged.
///
/// A policy that changes meanwhile goes on after the level that it woke last, as it is now. Another policy begins with its first
/// level, at once: what the one before woke counts for that one alone.
pub fn due(policy: &Policy, schedules: &[Schedule], incident: &Incident, now: Timestamp) -> Due {
    if !incident.is_open() || incident.severity < Severity::Page || policy.levels.is_empty() {
        return Due::Nothing;
    }
    if incident.is_seen_to() {
        return Due::Nothing;
    }
    // Whoever has seen it before is told, and not woken at once.
    if let Some(reopened) = incident.reopened
        && left_to(incident, now).is_some()
    {
        return Due::Wait(after(reopened, REOPENED_MS));
    }
    let is_its = |page: &&Page| page.policy == policy.name && incident.reopened.is_none_or(|at| page.at >= at);
    let pages: Vec<_> = incident.pages.iter().filter(is_its).collect();
    let Some(last) = pages.iter().max_by_key(|page| (page.round, page.level)) else {
        return page(policy, schedules, 0, 0, now);
    };
    let index = last.level.saturating_sub(1) as usize;
    let wait = policy.levels.get(index).map_or(0, |level| level.wait_ms);
    let until = after(last.at, wait);
    let (level, round) = match index + 1 {
        next if next < policy.levels.len() => (next, last.round),
        _ if last.round < policy.repeat => (0, last.round + 1),
        _ if last.who.is_empty() => return later(policy, schedules, &pages, last.round.saturating_add(1), now),
        _ => return Due::Nothing,
    };
    if now < until { Due::Wait(until) } else { page(policy, schedules, level, round, now) }
}

/// Whom an incident is left to: who sees to it, or who did before it was opened again, for [`REOPENED_MS`] longer.
pub fn left_to(incident: &Incident, now: Timestamp) -> Option<&str> {
    let is_left = incident.reopened.is_some_and(|reopened| now < after(reopened, REOPENED_MS));
    let before = incident.acknowledged.as_ref().filter(|_| is_left).map(|(who, _)| who.as_str());
    incident.seen_to_by().or(before)
}

/// The policy of an incident: the first that is for one of its services, or else the first that is for no certain ones.
pub fn policy_for<'p>(policies: &'p [Policy], incident: &Incident) -> Option<&'p Policy> {
    let is_its = |policy: &&Policy| !policy.services.is_disjoint(&incident.services);
    policies.iter().find(is_its).or_else(|| policies.iter().find(|policy| policy.services.is_empty()))
}

/// Levels at which nobody was on call when an incident's last page passed them over, from 1. A page that wakes somebody else
/// passes over those who were woken before: that is no want of people.
pub fn passed_over(incident: &Incident) -> Vec<u32> {
    let Some(last) = incident.pages.last() else { return Vec::new() };
    let pages: Vec<_> = incident.pages.iter().filter(|page| page.policy == last.policy).collect();
    let before = pages.iter().nth_back(1).filter(|before| before.round == last.round);
    let first = before.filter(|before| before.level < last.level).map_or(1, |before| before.level + 1);
    // Where nobody at all is on call, the last level is empty as well.
    let levels: Range<u32> = first..if last.who.is_empty() { last.level + 1 } else { last.level };
    let woke = |level: u32| pages.iter().any(|page| page.level == level && !page.who.is_empty());
    levels.filter(|level| last.who.is_empty() || !woke(*level)).collect()
}

/// Wakes a level, or the first after it at which somebody is on call.
fn page(policy: &Policy, schedules: &[Schedule], from: usize, round: u32, now: Timestamp) -> Due {
    let levels = policy.levels.iter().enumerate().skip(from);
    let manned = levels.map(|(index, level)| (index, who(level, schedules, now))).find(|(_, who)| !who.is_empty());
    let (index, who) = manned.unwrap_or((policy.levels.len() - 1, Vec::new()));
    Due::Page { level: u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1), round, who }
}

/// Wakes the first level at which somebody is on call who was not woken yet, or waits for a hand-over. Each time somebody
/// else is woken, so it comes to an end.
fn later(policy: &Policy, schedules: &[Schedule], pages: &[&Page], round: u32, now: Timestamp) -> Due {
    let is_new = |person: &String| !pages.iter().any(|page| page.who.contains(person));
    for (level, number) in policy.levels.iter().zip(1..) {
        let who = who(level, schedules, now);
        if who.iter().any(is_new) {
            return Due::Page { level: number, round, who };
        }
    }
    let targets: Vec<_> = policy.levels.iter().flat_map(|level| &level.targets).collect();
    let is_asked = |schedule: &&Schedule| targets.contains(&&Target::Schedule(schedule.name.clone()));
    let next = schedules.iter().filter(is_asked).filter_map(|schedule| next_hand_over(schedule, now));
    next.map(|(at, _)| at).min().map_or(Due::Nothing, Due::Wait)
}

/// Whom a level wakes at a moment; nobody twice.
pub fn who(level: &Level, schedules: &[Schedule], at: Timestamp) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for target in &level.targets {
        let person = match target {
            Target::Person(name) => Some(name.as_str()),
            Target::Schedule(name) => schedules.iter().find(|one| one.name == *name).and_then(|one| on_call(one, at)),
        };
        if let Some(person) = person.filter(|person| !all.iter().any(|known| known == person)) {
            all.push(person.to_owned());
        }
    }
    all
}

fn after(at: Timestamp, ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(at.as_millisecond().saturating_add(ms)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use daybook_model::incident::{Ending, IncidentEvent, IncidentId};
    use daybook_model::oncall::{Layer, Restriction, Turn};
    use daybook_model::{Actor, ServiceName};
    use uuid::Uuid;

    use super::*;
    use crate::incident::Incidents;

    const MINUTE: u64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
    }

    fn policy() -> Policy {
        let level = |targets: Vec<Target>, minutes| Level { targets, wait_ms: minutes * MINUTE };
        Policy {
            name: "web".to_owned(),
            services: BTreeSet::new(),
            levels: vec![
                level(vec![Target::Schedule("web".to_owned())], 5),
                level(vec![Target::Schedule("empty".to_owned())], 5),
                level(vec![Target::Person("lead".to_owned()), Target::Person("lead".to_owned())], 10),
            ],
            repeat: 1,
        }
    }

    fn schedules() -> Vec<Schedule> {
        let layer = Layer {
            people: vec!["ada".to_owned()],
            start: "2020-01-06T09:00".parse().unwrap(),
            until: None,
            turn: Turn::Weeks(1),
            only: Vec::new(),
        };
        let schedule = |name: &str, layers| Schedule {
            name: name.to_owned(),
            zone: "UTC".to_owned(),
            layers,
            overrides: Vec::new(),
            handover: false,
        };
        vec![schedule("web", vec![layer]), schedule("empty", Vec::new())]
    }

    /// Looks every minute, and does what is due.
    struct Watch {
        all: Incidents,
        log: Vec<String>,
        policy: Policy,
        schedules: Vec<Schedule>,
    }

    const ID: IncidentId = IncidentId(Uuid::from_u128(1));

    impl Watch {
        fn new(severity: Severity) -> Self {
            let mut watch =
                Self { all: Incidents::default(), log: Vec::new(), policy: policy(), schedules: schedules() };
            let services = [ServiceName::new("web").unwrap()].into();
            watch.happens(0, &IncidentEvent::Opened { title: "x".to_owned(), severity, services, alert: None });
            watch
        }

        fn happens(&mut self, minute: i64, event: &IncidentEvent) {
            let actor = Actor { name: "ada".to_owned(), origin: "cli".to_owned() };
            self.all.record(at(minute), &actor, ID, event).unwrap();
        }

        fn due(&self, minute: i64) -> Due {
            due(&self.policy, &self.schedules, self.all.get(ID).unwrap(), at(minute))
        }

        fn paged(&self, level: u32, round: u32, who: Vec<String>) -> IncidentEvent {
            IncidentEvent::Paged { policy: self.policy.name.clone(), level, round, who }
        }

        fn look(&mut self, minutes: std::ops::Range<i64>) {
            for minute in minutes {
                if let Due::Page { level, round, who } = self.due(minute) {
                    self.log.push(format!("{minute}: level {level}, round {round}: {}", who.join(" ")));
                    let paged = self.paged(level, round, who);
                    self.happens(minute, &paged);
                }
            }
        }
    }

    #[test]
    fn levels_follow_each_other_until_the_policy_has_begun_again_as_often_as_it_says() {
        let mut watch = Watch::new(Severity::Page);
        watch.look(0..120);
        insta::assert_snapshot!(watch.log.join("\n"), @"
        0: level 1, round 0: ada
        5: level 3, round 0: lead
        15: level 1, round 1: ada
        20: level 3, round 1: lead
        ");
    }

    #[test]
    fn an_acknowledgement_stops_it() {
        let mut watch = Watch::new(Severity::Page);
        watch.look(0..2);
        watch.happens(2, &IncidentEvent::Acknowledged);
        watch.look(3..120);
        assert_eq!(watch.log, ["0: level 1, round 0: ada"], "one incident, one page");
    }

    #[test]
    fn an_incident_that_opens_again_wakes_nobody_who_sees_to_it() {
        let mut watch = Watch::new(Severity::Page);
        watch.look(0..2);
        watch.happens(2, &IncidentEvent::Acknowledged);
        watch.happens(30, &IncidentEvent::Resolved { ending: Ending::ByHand, note: String::new() });
        watch.look(31..40);
        watch.happens(40, &IncidentEvent::Reopened { alert: None, why: String::new() });
        watch.look(41..50);
        assert_eq!(watch.log.len(), 1);
        let by = |minute| left_to(watch.all.get(ID).unwrap(), at(minute));
        assert_eq!([by(41), by(54), by(55)], [Some("ada"), Some("ada"), None]);
        watch.look(50..57);
        assert_eq!(watch.log[1..], ["55: level 1, round 0: ada"], "nobody has said that they see to it");
        watch.happens(57, &IncidentEvent::Acknowledged);
        watch.look(58..120);
        assert_eq!(watch.log.len(), 2);
    }

    #[test]
    fn an_incident_that_opens_again_and_that_nobody_ever_saw_to_wakes_at_once() {
        let mut watch = Watch::new(Severity::Page);
        watch.look(0..2);
        watch.happens(2, &IncidentEvent::Resolved { ending: Ending::Quiet, note: String::new() });
        watch.look(3..40);
        watch.happens(40, &IncidentEvent::Reopened { alert: None, why: String::new() });
        watch.look(40..46);
        assert_eq!(watch.log[1..], ["40: level 1, round 0: ada", "45: level 3, round 0: lead"]);
    }

    #[test]
    fn whoever_comes_on_call_later_is_woken_where_nobody_was_on_call() {
        let mut watch = Watch::new(Severity::Page);
        // The incident opens at 14:13 UTC.
        let evening = Restriction { days: Vec::new(), from: "16:00".parse().unwrap(), until: "18:00".parse().unwrap() };
        watch.schedules[0].layers[0].only = vec![evening];
        watch.policy.levels.truncate(2);
        watch.policy.repeat = 0;
        watch.look(0..200);
        assert_eq!(watch.log, ["0: level 2, round 0: ", "107: level 1, round 1: ada", "112: level 2, round 1: "]);
        let gone = at(0).as_second() - 14 * 3_600 - 13 * 60 - 20;
        let six = Timestamp::from_second(gone + 18 * 3_600).unwrap();
        assert_eq!(watch.due(200), Due::Wait(six), "ada was woken already");
    }

    #[test]
    fn nobody_is_woken_anew_because_the_level_after_them_has_nobody() {
        let mut watch = Watch::new(Severity::Page);
        watch.policy.levels.truncate(2);
        watch.policy.repeat = 0;
        watch.look(0..120);
        assert_eq!(watch.log, ["0: level 1, round 0: ada", "5: level 2, round 0: "]);
        assert_eq!(watch.due(120), Due::Nothing, "nothing will ever change");
    }

    #[test]
    fn a_ticket_wakes_nobody_until_it_is_more() {
        let mut watch = Watch::new(Severity::Ticket);
        watch.look(0..30);
        assert!(watch.log.is_empty());
        watch.happens(30, &IncidentEvent::Regraded { severity: Severity::Page, why: String::new() });
        watch.look(30..32);
        assert_eq!(watch.log, ["30: level 1, round 0: ada"]);
    }

    #[test]
    fn what_was_passed_over_is_known() {
        let mut watch = Watch::new(Severity::Page);
        watch.look(0..1);
        assert_eq!(passed_over(watch.all.get(ID).unwrap()), [0; 0], "nothing");
        watch.look(1..6);
        assert_eq!(passed_over(watch.all.get(ID).unwrap()), [2]);
        watch.look(6..16);
        assert_eq!(passed_over(watch.all.get(ID).unwrap()), [0; 0], "it began again");
        let paged = watch.paged(3, 2, Vec::new());
        watch.happens(17, &paged);
        assert_eq!(passed_over(watch.all.get(ID).unwrap()), [1, 2, 3], "nobody at all");
        let paged = watch.paged(2, 3, vec!["bob".to_owned()]);
        watch.happens(18, &paged);
        assert_eq!(passed_over(watch.all.get(ID).unwrap()), [0; 0], "the first was woken before");
    }

    #[test]
    fn a_policy_that_changes_goes_on_after_the_level_that_it_woke() {
        let mut watch = Watch::new(Severity::Page);
        watch.look(0..3);
        let second = Level { targets: vec![Target::Person("bob".to_owned())], wait_ms: 5 * MINUTE };
        watch.policy.levels.insert(1, second);
        watch.policy.levels[0].wait_ms = 10 * MINUTE;
        watch.look(3..11);
        assert_eq!(watch.log[1..], ["10: level 2, round 0: bob"], "with the time that it waits now");
        watch.policy.levels.truncate(1);
        watch.policy.repeat = 0;
        watch.look(11..120);
        assert_eq!(watch.log.len(), 2, "there is no level after that any more");
    }

    #[test]
    fn another_policy_begins_with_its_first_level() {
        let mut watch = Watch::new(Severity::Page);
        watch.look(0..6);
        let first = watch.policy.clone();
        let all = Level { targets: vec![Target::Person("bob".to_owned())], wait_ms: 5 * MINUTE };
        let last = Level { targets: vec![Target::Person("cy".to_owned())], wait_ms: 5 * MINUTE };
        watch.policy = Policy { name: "all".to_owned(), levels: vec![all, last], repeat: 0, ..policy() };
        watch.look(6..12);
        assert_eq!(watch.log[2..], ["6: level 1, round 0: bob", "11: level 2, round 0: cy"]);
        assert_eq!(passed_over(watch.all.get(ID).unwrap()), [0; 0], "levels of the other one do not count");
        watch.policy = first;
        watch.look(12..16);
        assert_eq!(watch.log[4..], ["15: level 1, round 1: ada"], "and the first goes on where it was");
    }

    #[test]
    fn the_policy_of_an_incident_is_that_of_its_services_or_else_that_of_all() {
        let of = |name: &str, services: &[&str]| Policy {
            name: name.to_owned(),
            services: services.iter().map(|name| ServiceName::new(name).unwrap()).collect(),
            ..policy()
        };
        let watch = Watch::new(Severity::Page);
        let incident = watch.all.get(ID).unwrap();
        let named = |policies: &[Policy]| policy_for(policies, incident).map(|policy| policy.name.clone());
        assert_eq!(named(&[of("all", &[]), of("db", &["db"]), of("web", &["web"])]).as_deref(), Some("web"));
        assert_eq!(named(&[of("db", &["db"]), of("all", &[])]).as_deref(), Some("all"));
        assert_eq!(named(&[of("db", &["db"])]), None);
    }

    #[test]
    fn a_policy_with_nobody_on_call_says_so() {
        let nobody = Policy { levels: policy().levels[1..2].to_vec(), ..policy() };
        let watch = Watch::new(Severity::Page);
        let due = due(&nobody, &schedules(), watch.all.get(ID).unwrap(), at(1));
        assert_eq!(due, Due::Page { level: 1, round: 0, who: Vec::new() });
    }
}
