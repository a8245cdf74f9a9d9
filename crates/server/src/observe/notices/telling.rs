//! What is told of incidents and releases, and to whom. Pure.

use std::collections::{BTreeMap, BTreeSet};

use daybook_decide::incident::{Incident, Incidents, Line, words};
use daybook_decide::oncall::passed_over;
use daybook_model::incident::{IncidentEvent, IncidentId, Severity};
use daybook_model::notify::{Channel, Receiver};
use daybook_model::{Actor, EnvKey, ReleaseNumber, Timestamp};
use daybook_notify::{Kind, Link, Moment, Notice};
use serde::{Deserialize, Serialize};

/// What was told of an incident that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The most that it ever mattered: whoever was told of it is told when it is over.
    worst: Severity,
}

/// What was told of incidents that go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    incidents: BTreeMap<IncidentId, Known>,
    /// What was suspected most: its kind and services. Titles hold numbers, which change while the cause is the same.
    causes: BTreeMap<IncidentId, String>,
    /// Who was woken for them.
    #[serde(default)]
    woken: BTreeMap<IncidentId, BTreeSet<String>>,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Telling {
    notice: Notice,
    /// Channels for what matters more are left out.
    severity: Severity,
    /// Of what says more about an incident that was told: its title. A pager takes that as the same page again, everybody
    /// else as a note.
    update_of: Option<String>,
    /// Just for those, through their own channels. `None`: for everybody, through the others.
    people: Option<BTreeSet<String>>,
    /// Of an incident that is a part of this one. Pagers have an alert for each; everybody else heard of this one.
    of_part: bool,
}

impl Telling {
    /// The notice for a channel, which may be of some people, if it is told there.
    pub(super) fn to(&self, channel: &Channel, people: &[String]) -> Option<Notice> {
        let is_pager = matches!(channel.receiver, Receiver::Pagerduty { .. });
        if let Some(who) = &self.people {
            let is_theirs = people.iter().any(|one| who.contains(one)) && (is_pager || !self.of_part);
            return is_theirs.then(|| self.notice.clone());
        }
        let wanted = match self.notice.kind {
            _ if !people.is_empty() => false,
            Kind::Change => channel.changes,
            Kind::Note => self.severity >= channel.least && (!is_pager || self.update_of.is_some()),
            _ => self.severity >= channel.least,
        };
        let notice = || match &self.update_of {
            Some(title) if is_pager => Notice { kind: Kind::Triggered, title: title.clone(), ..self.notice.clone() },
            _ => self.notice.clone(),
        };
        wanted.then(notice)
    }
}

/// What is told of an incident after some of its events, which the incident knows of already. `whole` is what it is a part of now,
/// or else itself; `acknowledged` are incidents of which is told beside that somebody sees to them now.
pub(super) fn of_incident(
    memory: &mut Memory,
    key: Option<&EnvKey>,
    incident: &Incident,
    whole: &Incident,
    acknowledged: &BTreeSet<IncidentId>,
    events: &[(Timestamp, &Actor, &IncidentEvent)],
) -> Vec<Telling> {
    let before = memory.incidents.get(&incident.id).copied();
    let severity = before.map_or(incident.severity, |before| before.worst.max(incident.severity));
    let telling = |kind, at, by: Option<&Actor>, title: String| {
        let by = by.filter(|by| by.name != "daybook").map(|by| by.name.clone());
        let notice = Notice { by, ..notice(key, incident, kind, at, title) };
        Telling { notice, severity, update_of: None, people: None, of_part: false }
    };
    let mut told: Vec<Telling> = Vec::new();
    let (mut last, mut is_paged) = (None, false);
    let mut woken = memory.woken.remove(&incident.id).unwrap_or_default();
    for (at, by, event) in events {
        last = Some(*at);
        let title = incident.title.clone();
        match event {
            IncidentEvent::Opened { .. } | IncidentEvent::Reopened { .. } => {
                told.push(telling(Kind::Triggered, *at, Some(by), title));
            }
            IncidentEvent::Acknowledged => {
                tell_all(&mut told, telling(Kind::Acknowledged, *at, Some(by), title), incident, &woken);
            }
            IncidentEvent::Resolved { .. } => {
                tell_all(&mut told, telling(Kind::Resolved, *at, Some(by), title), incident, &woken);
            }
            // For whom it woke it goes on as a part of the other: they hear of the end of that one.
            IncidentEvent::MergedInto { .. } => {
                if !woken.is_empty() {
                    let is_told = acknowledged.contains(&whole.id);
                    if let Some(who) = seen_to_at(whole, *at).filter(|_| !is_told) {
                        let title = format!("a part of {} now, which {who} sees to: {title}", whole.id.short());
                        let mut seen_to = telling(Kind::Acknowledged, *at, None, title);
                        seen_to.notice.by = Some(who.to_owned());
                        told.push(Telling { people: Some(woken.clone()), ..seen_to });
                    }
                    memory.woken.entry(whole.id).or_default().append(&mut woken);
                }
                told.push(telling(Kind::Resolved, *at, Some(by), title));
            }
            IncidentEvent::Paged { level, who, .. } => {
                let mut page = telling(Kind::Triggered, *at, None, title);
                page.notice.labels.insert("level".to_owned(), level.to_string());
                let who: BTreeSet<_> = who.iter().cloned().collect();
                woken.extend(who.iter().cloned());
                told.push(Telling { people: Some(who), ..page });
                is_paged = true;
            }
            IncidentEvent::HandedOver { .. }
            | IncidentEvent::Noted { .. }
            | IncidentEvent::Acted { .. }
            | IncidentEvent::Published { .. } => {
                let title = format!("{}: {title}", words(event));
                told.push(telling(Kind::Note, *at, Some(by), title));
            }
            IncidentEvent::Joined { .. }
            | IncidentEvent::AlertEnded { .. }
            | IncidentEvent::Regraded { .. }
            | IncidentEvent::Felt { .. }
            | IncidentEvent::Suspected { .. } => {}
        }
    }
    let cause = incident.suspects.first().map(|suspect| {
        let services: Vec<_> = suspect.services.iter().map(ToString::to_string).collect();
        format!("{} of {}", suspect.kind, services.join(", "))
    });
    if let Some(at) = last.filter(|_| incident.is_open()) {
        let is_told = told.iter().any(|told| told.notice.kind == Kind::Triggered && told.people.is_none());
        let is_worse = before.is_none_or(|before| incident.severity > before.worst);
        let is_found = cause.is_some() && memory.causes.get(&incident.id) != cause.as_ref();
        if !is_told && is_worse {
            told.push(telling(Kind::Triggered, at, None, incident.title.clone()));
        } else if !is_told && is_found {
            let title = format!("suspected cause found: {}", incident.title);
            told.push(Telling { update_of: Some(incident.title.clone()), ..telling(Kind::Note, at, None, title) });
        }
        let nobody = passed_over(incident);
        if is_paged && !nobody.is_empty() {
            let levels: Vec<_> = nobody.iter().map(u32::to_string).collect();
            let title = format!("nobody is on call at level {}: {}", levels.join(", "), incident.title);
            told.push(Telling { update_of: Some(incident.title.clone()), ..telling(Kind::Note, at, None, title) });
        }
    }
    if incident.is_open() {
        memory.incidents.insert(incident.id, Known { worst: severity });
        cause.and_then(|cause| memory.causes.insert(incident.id, cause));
        if !woken.is_empty() {
            memory.woken.insert(incident.id, woken);
        }
    } else {
        memory.incidents.remove(&incident.id);
        memory.causes.remove(&incident.id);
    }
    told
}

/// Who sees to an incident that goes on, if somebody did at a moment already: whoever does later is told of then.
fn seen_to_at(incident: &Incident, at: Timestamp) -> Option<&str> {
    let (_, since) = incident.acknowledged.as_ref().filter(|_| incident.is_open())?;
    incident.seen_to_by().filter(|_| *since <= at)
}

/// Tells everybody, and those who were woken for it or for a part of it.
fn tell_all(told: &mut Vec<Telling>, telling: Telling, incident: &Incident, woken: &BTreeSet<String>) {
    if !woken.is_empty() {
        let theirs = Telling { people: Some(woken.clone()), ..telling.clone() };
        told.extend(incident.merged.iter().map(|part| {
            let notice = Notice { key: part.to_string(), ..theirs.notice.clone() };
            Telling { notice, of_part: true, ..theirs.clone() }
        }));
        told.push(theirs);
    }
    told.push(telling);
}

/// That a release is in force.
pub(super) fn of_release(key: &EnvKey, number: ReleaseNumber, why: Option<&str>, by: &Actor, at: Timestamp) -> Telling {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let title = format!("Release {number} of {key} is in force{why}");
    let severity = daybook_notify::Severity::Info;
    let notice = Notice::new(format!("release-{key}-{number}"), Kind::Change, severity, title, at);
    let notice = Notice {
        app: Some(key.app.to_string()),
        environment: Some(key.env.to_string()),
        by: Some(by.name.clone()),
        ..notice
    };
    Telling { notice, severity: Severity::Info, update_of: None, people: None, of_part: false }
}

/// A shift that has begun.
pub(super) struct Shift<'s> {
    /// Of its entry in the journal.
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) schedule: &'s str,
    pub(super) person: &'s str,
    /// Until when, in words. `None`: for good.
    pub(super) until: Option<String>,
}

/// That somebody goes on call, and what goes on then. It wakes nobody: a pager takes it as a change.
pub(super) fn of_shift(key: &EnvKey, shift: &Shift<'_>, incidents: &Incidents) -> Telling {
    let Shift { number, at, schedule, person, until } = shift;
    let until = until.as_deref().map_or_else(|| "for good".to_owned(), |until| format!("until {until}"));
    let title = format!("{person} is on call in {schedule} of {key}, {until}");
    let open: Vec<_> = incidents.open().collect();
    let goes_on = match open.len() {
        0 => "No incident goes on.".to_owned(),
        1 => "An incident goes on.".to_owned(),
        many => format!("{many} incidents go on."),
    };
    let severity = daybook_notify::Severity::Info;
    let notice = Notice {
        app: Some(key.app.to_string()),
        environment: Some(key.env.to_string()),
        impact: Some(goes_on),
        timeline: open.into_iter().rev().take(LINES).rev().map(left).collect(),
        labels: BTreeMap::from([("schedule".to_owned(), (*schedule).to_owned())]),
        ..Notice::new(format!("shift-{key}-{number}"), Kind::Change, severity, title, *at)
    };
    let people = Some(BTreeSet::from([(*person).to_owned()]));
    Telling { notice, severity: Severity::Info, update_of: None, people, of_part: false }
}

/// An incident that whoever goes on call is left with.
fn left(incident: &Incident) -> Moment {
    let who = incident.seen_to_by().unwrap_or("nobody");
    let text = format!(
        "incident {} ({}): {}; {who} sees to it",
        incident.id.short(),
        incident.severity.word(),
        incident.title
    );
    Moment { at: incident.opened, text: text.chars().take(CHARACTERS).collect() }
}

fn notice(key: Option<&EnvKey>, incident: &Incident, kind: Kind, at: Timestamp, title: String) -> Notice {
    let severity = match incident.severity {
        Severity::Page => daybook_notify::Severity::Critical,
        Severity::Ticket => daybook_notify::Severity::Warning,
        Severity::Info => daybook_notify::Severity::Info,
    };
    let services: Vec<_> = incident.services.iter().map(ToString::to_string).collect();
    let runbooks = incident.alerts.iter().filter_map(|alert| Some((alert.name.as_str(), alert.runbook.as_deref()?)));
    let runbooks = runbooks.filter_map(|(name, url)| Link::new(format!("runbook of {name}"), url).ok());
    let alerts: Vec<_> = incident.alerts.iter().map(|alert| alert.name.as_str()).collect();
    let mut labels = BTreeMap::from([("incident".to_owned(), incident.id.short())]);
    if !alerts.is_empty() {
        labels.insert("alerts".to_owned(), alerts.join(", "));
    }
    Notice {
        app: key.map(|key| key.app.to_string()),
        environment: key.map(|key| key.env.to_string()),
        service: (!services.is_empty()).then(|| services.join(", ")),
        impact: felt(incident),
        cause: cause(incident),
        timeline: incident.timeline.iter().rev().take(LINES).rev().map(moment).collect(),
        links: runbooks.collect(),
        labels,
        ..Notice::new(incident.id.to_string(), kind, severity, title, at)
    }
}

/// Lines of a timeline that a notice has, the newest; more than any channel shows.
const LINES: usize = 50;
/// Characters of one.
const CHARACTERS: usize = 500;

fn moment(line: &Line) -> Moment {
    Moment { at: line.at, text: line.text.chars().take(CHARACTERS).collect() }
}

/// What users feel, in one line; else what the alerts say.
fn felt(incident: &Incident) -> Option<String> {
    let Some(impact) = incident.impact.as_ref().filter(|impact| impact.requests > 0) else {
        let firing: Vec<_> = incident.firing().map(|alert| alert.summary.as_str()).collect();
        return (!firing.is_empty()).then(|| firing.join("\n"));
    };
    let p95 = impact.p95_ms.map(|(usual, now)| format!("; p95 {now} ms, usually {usual} ms")).unwrap_or_default();
    let most = impact.routes.first().map(|(route, _)| format!(", most at {route}")).unwrap_or_default();
    Some(format!("{} of {} requests failed{most}{p95}", impact.failed, impact.requests))
}

/// What is suspected most, with what speaks for it, and what may be done.
fn cause(incident: &Incident) -> Option<String> {
    let first = incident.suspects.first()?;
    let mut lines = vec![format!("{} ({} %)", first.title, first.share)];
    lines.extend(first.evidence.iter().map(|evidence| format!("- {evidence}")));
    if let Some(next) = &first.next {
        let choice = next.choice();
        lines.push(format!("→ {}: {}", choice.text, choice.command));
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use daybook_model::incident::{Ending, Suspect};
    use daybook_model::spec::SecretRef;
    use uuid::Uuid;

    use super::*;

    fn channel(receiver: Receiver, least: Severity) -> Channel {
        let name = "a".parse().unwrap();
        Channel { name, receiver, least, changes: false, authority: None, line: None }
    }

    fn secret() -> SecretRef {
        SecretRef { name: "a".parse().unwrap(), version: Some(1), generate: false }
    }

    fn pager() -> Channel {
        channel(Receiver::Pagerduty { routing_key: secret(), server: None, webhooks: None }, Severity::Page)
    }

    fn chat() -> Channel {
        channel(Receiver::Slack { url: secret() }, Severity::Ticket)
    }

    /// An incident, and what is told of it.
    struct Story {
        incidents: Incidents,
        memory: Memory,
        at: i64,
    }

    impl Story {
        fn new() -> Self {
            Self { incidents: Incidents::default(), memory: Memory::default(), at: 1_800_000_000 }
        }

        /// What the pager and the chat are told after these events, which came at once.
        fn tell(&mut self, events: &[IncidentEvent]) -> [Vec<String>; 2] {
            let (id, actor) =
                (IncidentId(Uuid::from_u128(7)), Actor { name: "ann".to_owned(), origin: "cli".to_owned() });
            self.at += 60;
            let at = Timestamp::from_second(self.at).unwrap();
            for event in events {
                self.incidents.record(at, &actor, id, event).unwrap();
            }
            let events: Vec<_> = events.iter().map(|event| (at, &actor, event)).collect();
            let incident = self.incidents.get(id).unwrap();
            let told = of_incident(&mut self.memory, None, incident, incident, &BTreeSet::new(), &events);
            [pager(), chat()].map(|channel| {
                let notices = told.iter().filter_map(|told| told.to(&channel, &[]));
                notices.map(|notice| format!("{}: {}", notice.kind, notice.title)).collect()
            })
        }
    }

    fn opened(severity: Severity) -> IncidentEvent {
        IncidentEvent::Opened { title: "web fails".to_owned(), severity, services: BTreeSet::new(), alert: None }
    }

    fn suspected(title: &str) -> IncidentEvent {
        let suspect = Suspect {
            kind: title.split(' ').next().unwrap_or_default().to_owned(),
            title: title.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            services: BTreeSet::new(),
            share: 80,
            evidence: vec!["it came before".to_owned()],
            factors: Vec::new(),
            next: None,
        };
        IncidentEvent::Suspected { suspects: vec![suspect] }
    }

    fn resolved() -> IncidentEvent {
        IncidentEvent::Resolved { ending: Ending::ByHand, note: String::new() }
    }

    #[test]
    fn an_incident_is_told_from_its_beginning_to_its_end() {
        let mut story = Story::new();
        let triggered = vec!["Triggered: web fails".to_owned()];
        let told = story.tell(&[opened(Severity::Page), suspected("release 2")]);
        assert_eq!(told, [triggered.clone(), triggered.clone()], "what is known at once is one message");
        let found = "Note: suspected cause found: web fails".to_owned();
        assert_eq!(story.tell(&[suspected("host at 97 %")]), [triggered.clone(), vec![found]]);
        assert_eq!(
            story.tell(&[suspected("host at 98 %")]),
            [Vec::<String>::new(), Vec::new()],
            "the same cause is no news, whatever its numbers"
        );
        let acknowledged = vec!["Acknowledged: web fails".to_owned()];
        assert_eq!(story.tell(&[IncidentEvent::Acknowledged]), [acknowledged.clone(), acknowledged]);
        let noted = vec!["Note: note: it is the disk: web fails".to_owned()];
        assert_eq!(story.tell(&[IncidentEvent::Noted { text: "it is the disk".to_owned() }]), [vec![], noted]);
        let over = vec!["Resolved: web fails".to_owned()];
        assert_eq!(story.tell(&[resolved()]), [over.clone(), over]);
        let reopened = IncidentEvent::Reopened { alert: None, why: "again".to_owned() };
        assert_eq!(story.tell(&[reopened]), [triggered.clone(), triggered]);
    }

    #[test]
    fn who_is_woken_only_by_pages_hears_of_a_ticket_that_becomes_one_and_of_its_end() {
        let mut story = Story::new();
        assert!(story.tell(&[opened(Severity::Ticket)])[0].is_empty());
        assert!(story.tell(&[IncidentEvent::Acknowledged])[0].is_empty());
        let regraded = |severity| IncidentEvent::Regraded { severity, why: String::new() };
        assert_eq!(story.tell(&[regraded(Severity::Page)])[0], ["Triggered: web fails"]);
        assert!(story.tell(&[regraded(Severity::Ticket)])[0].is_empty());
        assert_eq!(story.tell(&[resolved()])[0], ["Resolved: web fails"]);
    }

    #[test]
    fn who_is_on_call_hears_of_what_they_were_woken_for_and_nothing_else() {
        let (mut incidents, mut memory) = (Incidents::default(), Memory::default());
        let (id, at) = (IncidentId(Uuid::from_u128(7)), Timestamp::from_second(1_800_000_000).unwrap());
        let actor = Actor { name: "ann".to_owned(), origin: "cli".to_owned() };
        let mut tell = |events: &[IncidentEvent]| {
            for event in events {
                incidents.record(at, &actor, id, event).unwrap();
            }
            let events: Vec<_> = events.iter().map(|event| (at, &actor, event)).collect();
            let incident = incidents.get(id).unwrap();
            let told = of_incident(&mut memory, None, incident, incident, &BTreeSet::new(), &events);
            let heard = |people: &[&str]| {
                let people: Vec<_> = people.iter().map(|one| (*one).to_owned()).collect();
                let notices = told.iter().filter_map(|told| told.to(&chat(), &people));
                notices.map(|notice| format!("{}: {}", notice.kind, notice.title)).collect::<Vec<_>>().join("; ")
            };
            [heard(&["ada"]), heard(&["bob", "cy"]), heard(&[])]
        };
        let fails = "Triggered: web fails";
        assert_eq!(tell(&[opened(Severity::Page)]), ["", "", fails]);
        assert_eq!(tell(&[paged(1, &["ada"])]), [fails, "", ""]);
        let nobody = "Note: nobody is on call at level 2: web fails";
        assert_eq!(tell(&[paged(3, &["bob"])]), ["", fails, nobody]);
        let acknowledged = "Acknowledged: web fails";
        assert_eq!(tell(&[IncidentEvent::Acknowledged]), [acknowledged; 3]);
        assert_eq!(tell(&[IncidentEvent::Noted { text: "it is the disk".to_owned() }])[..2], ["", ""]);
        assert_eq!(tell(&[resolved()]), ["Resolved: web fails"; 3]);
        let reopened = IncidentEvent::Reopened { alert: None, why: "again".to_owned() };
        assert_eq!(tell(&[reopened]), ["", "", fails]);
        let nobody = "Note: nobody is on call at level 1: web fails";
        assert_eq!(tell(&[paged(1, &[])]), ["", "", nobody], "nobody at all is told to everybody");
    }

    #[test]
    fn who_was_woken_for_a_part_hears_of_the_end_of_the_whole() {
        let (mut incidents, mut memory) = (Incidents::default(), Memory::default());
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let actor = Actor { name: "ann".to_owned(), origin: "cli".to_owned() };
        let [part, whole] = [7, 8].map(|id| IncidentId(Uuid::from_u128(id)));
        let mut tell = |id: IncidentId, event: IncidentEvent| {
            incidents.record(at, &actor, id, &event).unwrap();
            let (incident, whole) = (incidents.get(id).unwrap(), incidents.whole(id).unwrap());
            let told = of_incident(&mut memory, None, incident, whole, &BTreeSet::new(), &[(at, &actor, &event)]);
            [(chat(), vec!["ada".to_owned()]), (pager(), vec!["ada".to_owned()]), (chat(), Vec::new())].map(
                |(channel, people)| {
                    let notices = told.iter().filter_map(|told| told.to(&channel, &people));
                    notices.map(|notice| (notice.kind.to_string(), notice.key)).collect::<Vec<_>>()
                },
            )
        };
        let said = |kind: &str, id: IncidentId| (kind.to_owned(), id.to_string());
        tell(part, opened(Severity::Page));
        tell(whole, opened(Severity::Page));
        let woken = tell(part, paged(1, &["ada"]));
        assert_eq!(woken[0], [said("Triggered", part)]);
        let merged = tell(part, IncidentEvent::MergedInto { other: whole, why: String::new() });
        assert_eq!(merged, [vec![], vec![], vec![said("Resolved", part)]], "it is not over for ada");
        let over = tell(whole, resolved());
        assert_eq!(over[0], [said("Resolved", whole)]);
        assert_eq!(over[1], [said("Resolved", part), said("Resolved", whole)], "a pager has both");
        assert_eq!(over[2], [said("Resolved", whole)]);
    }

    /// An incident that woke somebody, one that it becomes a part of, and one that this becomes a part of.
    struct Parts {
        incidents: Incidents,
        memory: Memory,
        /// Those of which is told beside that somebody sees to them.
        acknowledged: BTreeSet<IncidentId>,
    }

    const PARTS: [IncidentId; 3] =
        [IncidentId(Uuid::from_u128(9)), IncidentId(Uuid::from_u128(8)), IncidentId(Uuid::from_u128(7))];

    impl Parts {
        fn new() -> Self {
            let (incidents, memory) = (Incidents::default(), Memory::default());
            let mut parts = Self { incidents, memory, acknowledged: BTreeSet::new() };
            for (id, who) in PARTS.into_iter().zip(["ada", "bob", "cy"]) {
                parts.happens(id, &opened(Severity::Page));
                parts.happens(id, &paged(1, &[who]));
                parts.tell(id, &[opened(Severity::Page), paged(1, &[who])], "");
            }
            parts
        }

        fn happens(&mut self, id: IncidentId, event: &IncidentEvent) {
            let actor = Actor { name: "ann".to_owned(), origin: "cli".to_owned() };
            self.incidents.record(Timestamp::from_second(1_800_000_000).unwrap(), &actor, id, event).unwrap();
        }

        /// What somebody hears through a chat of their own.
        fn tell(&mut self, id: IncidentId, events: &[IncidentEvent], who: &str) -> Vec<String> {
            let actor = Actor { name: "ann".to_owned(), origin: "cli".to_owned() };
            let at = Timestamp::from_second(1_800_000_000).unwrap();
            let events: Vec<_> = events.iter().map(|event| (at, &actor, event)).collect();
            let (incident, whole) = (self.incidents.get(id).unwrap(), self.incidents.whole(id).unwrap());
            let told = of_incident(&mut self.memory, None, incident, whole, &self.acknowledged, &events);
            let notices = told.iter().filter_map(|told| told.to(&chat(), &[who.to_owned()]));
            notices.map(|notice| format!("{}: {}", notice.kind, notice.title)).collect()
        }
    }

    fn paged(level: u32, who: &[&str]) -> IncidentEvent {
        let who = who.iter().map(|one| (*one).to_owned()).collect();
        IncidentEvent::Paged { policy: "web".to_owned(), level, round: 0, who }
    }

    fn merged(other: IncidentId) -> IncidentEvent {
        IncidentEvent::MergedInto { other, why: String::new() }
    }

    #[test]
    fn who_was_woken_for_what_is_a_part_of_another_now_hears_who_sees_to_that() {
        let mut parts = Parts::new();
        let [part, whole, _] = PARTS;
        parts.happens(whole, &IncidentEvent::Acknowledged);
        parts.tell(whole, &[IncidentEvent::Acknowledged], "");
        parts.happens(part, &merged(whole));
        let heard = parts.tell(part, &[merged(whole)], "ada");
        assert_eq!(heard, [format!("Acknowledged: a part of {} now, which ann sees to: web fails", whole.short())]);
        parts.happens(whole, &resolved());
        assert_eq!(parts.tell(whole, &[resolved()], "ada"), ["Resolved: web fails"]);
    }

    #[test]
    fn who_sees_to_the_whole_is_told_once_where_that_is_told_at_the_same_time() {
        let mut parts = Parts::new();
        let [part, whole, _] = PARTS;
        parts.happens(whole, &IncidentEvent::Acknowledged);
        parts.happens(part, &merged(whole));
        parts.acknowledged.insert(whole);
        assert!(parts.tell(part, &[merged(whole)], "ada").is_empty());
        assert_eq!(parts.tell(whole, &[IncidentEvent::Acknowledged], "ada"), ["Acknowledged: web fails"]);
    }

    #[test]
    fn who_was_woken_for_what_nobody_sees_to_yet_hears_when_somebody_does() {
        let mut parts = Parts::new();
        let [part, whole, _] = PARTS;
        parts.happens(part, &merged(whole));
        assert!(parts.tell(part, &[merged(whole)], "ada").is_empty());
        parts.happens(whole, &IncidentEvent::Acknowledged);
        assert_eq!(parts.tell(whole, &[IncidentEvent::Acknowledged], "ada"), ["Acknowledged: web fails"]);
    }

    #[test]
    fn parts_of_parts_end_with_the_last_whole_in_whichever_order_they_are_told() {
        let [first, second, last] = PARTS;
        for order in [[first, second], [second, first]] {
            let mut parts = Parts::new();
            parts.happens(first, &merged(second));
            parts.happens(second, &merged(last));
            for id in order {
                let into = if id == first { second } else { last };
                assert!(parts.tell(id, &[merged(into)], "ada").is_empty());
            }
            assert_eq!(parts.memory.woken.keys().copied().collect::<Vec<_>>(), [last]);
            parts.happens(last, &resolved());
            assert_eq!(parts.tell(last, &[resolved()], "ada"), ["Resolved: web fails"]);
            assert!(parts.memory.woken.is_empty());
        }
    }

    #[test]
    fn who_goes_on_call_is_told_what_goes_on_and_nobody_else_is() {
        let (key, mut incidents) = ("shop/production".parse().unwrap(), Incidents::default());
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let actor = Actor { name: "ann".to_owned(), origin: "cli".to_owned() };
        let until = Some("Mon 8 Dec 09:00 CET".to_owned());
        let shift = Shift { number: 7, at, schedule: "web", person: "ada", until };
        let told = of_shift(&key, &shift, &incidents);
        let heard = |told: &Telling, channel: &Channel, people: &[&str]| {
            told.to(channel, &people.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        let quiet = heard(&told, &chat(), &["ada"]).unwrap();
        assert_eq!(quiet.title, "ada is on call in web of shop/production, until Mon 8 Dec 09:00 CET");
        assert_eq!((quiet.impact.as_deref(), quiet.timeline.len()), (Some("No incident goes on."), 0));
        for (people, channel) in [(&["bob"][..], chat()), (&[][..], Channel { changes: true, ..chat() })] {
            assert_eq!(heard(&told, &channel, people), None, "{people:?}");
        }
        for (id, event) in
            [(1, opened(Severity::Page)), (2, opened(Severity::Ticket)), (1, IncidentEvent::Acknowledged)]
        {
            incidents.record(at, &actor, IncidentId(Uuid::from_u128(id)), &event).unwrap();
        }
        let busy = heard(&of_shift(&key, &shift, &incidents), &pager(), &["ada"]).unwrap();
        assert_eq!((busy.kind, busy.impact.as_deref()), (Kind::Change, Some("2 incidents go on.")), "it wakes nobody");
        let lines: Vec<_> = busy.timeline.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            lines,
            [
                "incident 00000001 (page): web fails; ann sees to it",
                "incident 00000002 (ticket): web fails; nobody sees to it"
            ]
        );
    }

    #[test]
    fn a_release_is_told_where_releases_are() {
        let key = "shop/production".parse().unwrap();
        let actor = Actor::daybook("api");
        let told = of_release(&key, ReleaseNumber(3), Some("up"), &actor, Timestamp::UNIX_EPOCH);
        assert_eq!(told.to(&chat(), &[]), None);
        let notice = told.to(&Channel { changes: true, ..pager() }, &[]).unwrap();
        assert_eq!(notice.title, "Release 3 of shop/production is in force: up");
    }
}
