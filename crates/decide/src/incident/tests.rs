use daybook_model::backup::BackupId;
use uuid::Uuid;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn id(number: u128) -> IncidentId {
    IncidentId(Uuid::from_u128(number))
}

fn alert(rule: &str, service: &str, started: i64) -> Alert {
    Alert {
        name: rule.to_owned(),
        labels: [("service".to_owned(), service.to_owned())].into(),
        severity: Severity::Page,
        summary: format!("{service}: {rule}"),
        started: at(started),
        ended: None,
        service: Some(name(service)),
        host: None,
        runbook: None,
    }
}

fn ended(mut alert: Alert, minute: i64) -> Alert {
    alert.ended = Some(at(minute));
    alert
}

/// web and worker need db; docs needs nothing.
fn related() -> Related {
    let mut related = Related::default();
    related.need(&name("web"), &name("db"));
    related.need(&name("worker"), &name("db"));
    related.place(&name("docs"), "host-1");
    related
}

/// Incidents as a server keeps them: whatever is to be written is.
#[derive(Default)]
struct Server {
    all: Incidents,
    next: u128,
    log: Vec<String>,
}

impl Server {
    fn look(&mut self, minute: i64, alerts: &[Alert]) {
        let next = &mut self.next;
        let mut ids = || {
            *next += 1;
            id(*next)
        };
        let events = tend(&self.all, alerts, &related(), &Options::default(), at(minute), &mut ids);
        for (id, event) in events {
            self.all.record(at(minute), &Actor::daybook("alerts"), id, &event).unwrap();
            self.log.push(format!("{minute} #{} {}", id.0.as_u128(), words(&event)));
        }
    }

    fn by(&mut self, who: &str, minute: i64, incident: u128, event: &IncidentEvent) -> Result<(), NotAllowed> {
        let actor = Actor { name: who.to_owned(), origin: "cli".to_owned() };
        self.all.record(at(minute), &actor, id(incident), event)
    }

    fn told(&self) -> String {
        self.log.join("\n")
    }
}

#[test]
fn what_is_related_is_one_incident() {
    let mut server = Server::default();
    server.look(1, &[alert("Errors", "web", 0)]);
    server.look(3, &[alert("Errors", "web", 0), alert("Stuck", "worker", 2), alert("Down", "docs", 2)]);
    server.look(5, &[alert("Errors", "web", 0), alert("Connections", "db", 4)]);
    insta::assert_snapshot!(server.told(), @r"
    1 #1 opened: web: Errors
    3 #2 opened: docs: Down
    3 #1 Stuck fires (worker and web need the same): worker: Stuck
    5 #1 Connections fires (web needs db): db: Connections
    ");
    assert_eq!(server.all.open().count(), 2);
}

#[test]
fn looking_twice_writes_nothing_twice() {
    let mut server = Server::default();
    let alerts = [alert("Errors", "web", 0), alert("Latency", "web", 1)];
    server.look(2, &alerts);
    server.look(3, &alerts);
    assert_eq!(server.log.len(), 2, "{}", server.told());
}

#[test]
fn an_incident_ends_when_it_was_quiet_and_opens_again_when_it_was_not() {
    let mut server = Server::default();
    let first = alert("Errors", "web", 0);
    server.look(1, std::slice::from_ref(&first));
    server.look(5, &[ended(first.clone(), 4)]);
    server.look(13, &[]);
    server.look(14, &[]);
    server.look(30, &[alert("Errors", "web", 29)]);
    server.look(40, &[ended(alert("Errors", "web", 29), 35)]);
    server.look(45, &[]);
    server.look(90, &[alert("Errors", "web", 90)]);
    insta::assert_snapshot!(server.told(), @r"
    1 #1 opened: web: Errors
    5 #1 Errors ceased
    14 #1 over: its alerts have ceased: quiet for 10 min
    30 #1 opened again: Errors fires 15 min after it ended
    40 #1 Errors ceased
    45 #1 over: its alerts have ceased: quiet for 10 min
    90 #2 opened: web: Errors
    ");
}

#[test]
fn what_is_called_over_while_it_fires_stays_over_until_it_fires_anew() {
    let mut server = Server::default();
    let first = alert("Errors", "web", 0);
    server.look(1, std::slice::from_ref(&first));
    server.by("ada", 2, 1, &IncidentEvent::Resolved { ending: Ending::ByHand, note: String::new() }).unwrap();
    server.look(3, std::slice::from_ref(&first));
    server.look(9, &[ended(first, 8)]);
    assert_eq!(server.all.open().count(), 0);
    server.look(20, &[alert("Errors", "web", 20)]);
    assert_eq!(server.all.open().count(), 1);
    assert_eq!(server.all.all().count(), 1, "it is the same incident");
}

#[test]
fn an_alert_that_links_two_incidents_makes_them_one() {
    let mut server = Server::default();
    let mut apart = Related::default();
    apart.need(&name("web"), &name("api"));
    apart.need(&name("api"), &name("db"));
    let mut ids = [id(1), id(2)].into_iter();
    let mut next = || ids.next().unwrap();
    let options = Options::default();
    let (one, two) = (alert("Errors", "web", 0), alert("Errors", "docs", 0));
    let on_host = Alert { host: Some("h1".to_owned()), service: None, ..alert("HostDown", "web", 2) };
    apart.place(&name("web"), "h1");
    apart.place(&name("docs"), "h1");
    for (minute, alerts) in [(1, vec![one.clone(), two.clone()]), (3, vec![one, two, on_host])] {
        for (id, event) in tend(&server.all, &alerts, &apart, &options, at(minute), &mut next) {
            server.all.record(at(minute), &Actor::daybook("alerts"), id, &event).unwrap();
        }
    }
    let whole = server.all.open().next().unwrap();
    assert_eq!(server.all.open().count(), 1);
    assert_eq!((whole.alerts.len(), whole.merged.len()), (3, 1));
    let part = server.all.all().find(|incident| !incident.is_open()).unwrap();
    assert_eq!(part.standing, Standing::Merged { into: whole.id });
}

#[test]
fn alerts_that_inform_open_nothing() {
    let mut server = Server::default();
    let quiet = Alert { severity: Severity::Info, ..alert("Deploys", "web", 0) };
    server.look(1, std::slice::from_ref(&quiet));
    assert!(server.log.is_empty());
    server.look(2, &[quiet, Alert { severity: Severity::Ticket, ..alert("Slow", "web", 2) }]);
    assert_eq!(server.all.open().next().map(|incident| incident.severity), Some(Severity::Ticket));
    server.look(3, &[alert("Errors", "web", 3)]);
    assert_eq!(server.all.open().next().map(|incident| incident.severity), Some(Severity::Page), "the worst counts");
}

#[test]
fn what_people_do_is_kept() {
    let mut server = Server::default();
    server.look(1, &[alert("Errors", "web", 0)]);
    server.by("ada", 2, 1, &IncidentEvent::Acknowledged).unwrap();
    server.by("ada", 3, 1, &IncidentEvent::Noted { text: "looks like the cache".to_owned() }).unwrap();
    server
        .by("ada", 4, 1, &IncidentEvent::Regraded { severity: Severity::Ticket, why: "few feel it".to_owned() })
        .unwrap();
    server
        .by("ada", 5, 1, &IncidentEvent::HandedOver { to: "bob".to_owned(), note: "see the note".to_owned() })
        .unwrap();
    server.look(6, &[alert("Errors", "web", 0), alert("Latency", "web", 5)]);
    let incident = server.all.get(id(1)).unwrap();
    assert_eq!(incident.acknowledged, Some(("ada".to_owned(), at(2))));
    assert_eq!(incident.owner.as_deref(), Some("bob"));
    assert_eq!(incident.severity, Severity::Ticket, "alerts do not change what a person has said");
    let texts: Vec<_> = incident.timeline.iter().map(|line| format!("{} {}", line.by, line.text)).collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    daybook opened: web: Errors
    ada acknowledged
    ada note: looks like the cache
    ada severity is ticket now: few feel it
    ada handed over to bob: see the note
    daybook Latency fires (also web): web: Latency
    ");
}

#[test]
fn what_a_person_opened_a_person_ends() {
    let mut server = Server::default();
    let opened = IncidentEvent::Opened {
        title: "checkout looks odd".to_owned(),
        severity: Severity::Ticket,
        services: [name("web")].into(),
        alert: None,
    };
    server.by("ada", 0, 9, &opened).unwrap();
    let first = alert("Errors", "web", 1);
    server.look(2, std::slice::from_ref(&first));
    server.look(30, &[ended(first, 5)]);
    assert!(server.all.get(id(9)).unwrap().is_open());
    assert_eq!(server.all.all().count(), 1);
}

#[test]
fn what_is_not_allowed_is_an_error_and_changes_nothing() {
    let mut server = Server::default();
    server.look(1, &[alert("Errors", "web", 0), alert("Down", "docs", 0)]);
    let before = server.all.clone();
    let resolved = || IncidentEvent::Resolved { ending: Ending::ByHand, note: String::new() };
    let merged = |other| IncidentEvent::MergedInto { other: id(other), why: String::new() };
    let reopened = || IncidentEvent::Reopened { alert: None, why: String::new() };
    assert_eq!(server.by("ada", 2, 7, &resolved()), Err(NotAllowed::Unknown(id(7))));
    assert_eq!(server.by("ada", 2, 1, &reopened()), Err(NotAllowed::Open(id(1))));
    assert_eq!(server.by("ada", 2, 1, &merged(1)), Err(NotAllowed::Itself(id(1))));
    assert_eq!(server.by("ada", 2, 1, &merged(7)), Err(NotAllowed::Unknown(id(7))));
    assert_eq!(server.all, before);
    server.by("ada", 3, 1, &resolved()).unwrap();
    assert_eq!(server.by("ada", 4, 1, &IncidentEvent::Acknowledged), Err(NotAllowed::Over(id(1))));
    assert_eq!(server.by("ada", 4, 2, &merged(1)), Err(NotAllowed::Over(id(1))));
    server.by("ada", 5, 1, &reopened()).unwrap();
    server.by("ada", 6, 2, &merged(1)).unwrap();
    assert_eq!(server.by("ada", 7, 2, &resolved()), Err(NotAllowed::Merged { id: id(2), into: id(1) }));
}

#[test]
fn the_journal_tells_the_same_again() {
    let alert = alert("Errors", "web", 0);
    let opened = IncidentEvent::Opened {
        title: alert.summary.clone(),
        severity: alert.severity,
        services: BTreeSet::new(),
        alert: Some(alert),
    };
    let event = Event::Incident { incident: id(1), what: Box::new(opened) };
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    let actor = Actor::daybook("alerts");
    let other = Event::BackupsRemoved { of: "db".parse().unwrap(), backups: Vec::<BackupId>::new() };
    let all = fold([(at(0), &actor, &event), (at(1), &actor, &other), (at(2), &actor, &event)]);
    assert_eq!(all.all().count(), 1, "an entry that is not allowed changes nothing");
}

#[test]
fn what_is_suspected_is_to_be_written_down_after_each_alert_that_comes() {
    let mut server = Server::default();
    let is_unsuspected = |server: &mut Server| {
        let before = server.all.get(id(1)).unwrap().is_unsuspected;
        server.by("daybook", 9, 1, &IncidentEvent::Suspected { suspects: Vec::new() }).unwrap();
        before && !server.all.get(id(1)).unwrap().is_unsuspected
    };
    server.look(1, &[alert("Errors", "web", 0)]);
    assert!(is_unsuspected(&mut server), "it was opened");
    server.look(3, &[alert("Errors", "web", 0), alert("Stuck", "worker", 2)]);
    assert!(is_unsuspected(&mut server), "another alert joined it");
    server.look(5, &[ended(alert("Errors", "web", 0), 4), alert("Stuck", "worker", 2)]);
    assert!(!server.all.get(id(1)).unwrap().is_unsuspected, "what caused one that ended may be over with it");
    server.by("alice", 6, 1, &IncidentEvent::Acknowledged).unwrap();
    assert!(!server.all.get(id(1)).unwrap().is_unsuspected, "people bring no alerts");
}
