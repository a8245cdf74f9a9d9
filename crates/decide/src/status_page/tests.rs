use daybook_model::incident::{Ending, Impact, IncidentEvent};
use daybook_model::oncall::When;
use daybook_model::{Actor, Event, ServiceName};
use uuid::Uuid;

use super::*;
use crate::incident::fold;

const NOON: i64 = 1_796_040_000; // 2026-11-30T12:00:00Z

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(NOON + minute * 60).unwrap()
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn settings() -> StatusPage {
    let component = |shown: &str, services: &[&str]| PageComponent {
        name: shown.to_owned(),
        services: services.iter().map(|one| name(one)).collect(),
    };
    StatusPage {
        title: "Shop <b>".to_owned(),
        components: vec![component("Checkout", &["web", "api"]), component("Reports", &["report"])],
        zone: "UTC".to_owned(),
    }
}

struct Journal(Vec<(Timestamp, Event)>);

impl Journal {
    fn add(&mut self, number: u128, minute: i64, what: IncidentEvent) {
        let event = Event::Incident { incident: IncidentId(Uuid::from_u128(number)), what: Box::new(what) };
        self.0.push((at(minute), event));
    }

    fn open(&mut self, number: u128, minute: i64, service: &str, severity: Severity) {
        let title = format!("secret host of {service} at 10.0.0.7");
        let services = [name(service)].into();
        self.add(number, minute, IncidentEvent::Opened { title, severity, services, alert: None });
    }

    fn end(&mut self, number: u128, minute: i64) {
        self.add(number, minute, IncidentEvent::Resolved { ending: Ending::ByHand, note: "10.0.0.7".to_owned() });
    }

    fn page(&self, windows: &[Window]) -> Page {
        let actor = Actor::daybook("test");
        page(&settings(), &fold(self.0.iter().map(|(at, event)| (*at, &actor, event))), windows, at(0))
    }
}

fn out() -> IncidentEvent {
    IncidentEvent::Felt { impact: Impact { requests: 100, failed: 90, ..Impact::default() } }
}

#[test]
fn without_incidents_everything_works() {
    let page = Journal(Vec::new()).page(&[]);
    assert_eq!(page.standing, Standing::Works);
    assert_eq!(page.components[0].days.len(), 90);
    assert_eq!(page.components[0].days[89].date.to_string(), "2026-11-30");
    assert!(page.components.iter().all(|one| one.uptime >= 100.0));
}

#[test]
fn days_have_what_was_out_in_them_and_what_two_cover_counts_once() {
    let mut journal = Journal(Vec::new());
    // From 23:00 two days ago until 01:00 yesterday, and another half an hour of the same.
    journal.open(1, -37 * 60, "web", Severity::Page);
    journal.add(1, -37 * 60, out());
    journal.end(1, -35 * 60);
    journal.open(2, -36 * 60, "api", Severity::Page);
    journal.add(2, -36 * 60, out());
    journal.end(2, -36 * 60 + 30);
    let page = journal.page(&[]);
    let days = &page.components[0].days;
    assert_eq!((days[87].outage_ms, days[88].outage_ms, days[89].outage_ms), (3_600_000, 3_600_000, 0));
    assert_eq!(days[88].worst, Standing::Outage);
    assert_eq!(page.standing, Standing::Works, "it is over");
    let expected = 100.0 * (1.0 - 2.0 / (89.0 * 24.0 + 12.0));
    assert!((page.components[0].uptime - expected).abs() < 1e-9);
    assert!(page.components[1].uptime >= 100.0, "reports were not concerned");
}

#[test]
fn the_public_learns_what_was_published_and_nothing_else() {
    let mut journal = Journal(Vec::new());
    journal.open(1, -30, "web", Severity::Page);
    journal.add(1, -20, IncidentEvent::Published { text: "Payments fail for <some>.".to_owned() });
    journal.open(2, -10, "report", Severity::Ticket);
    journal.open(3, -5, "internal", Severity::Page);
    let page = journal.page(&[]);
    assert_eq!(page.incidents.len(), 1, "a ticket is no matter of the public, nor is what no component stands for");
    assert_eq!(page.incidents[0].title, "Checkout: degraded");
    let html = render(&page);
    assert!(!html.contains("10.0.0.7") && !html.contains("secret host"), "{html}");
    assert!(html.contains("Payments fail for &lt;some&gt;."));
    assert!(html.contains("<title>Shop &lt;b&gt;"));
}

#[test]
fn times_are_those_of_where_the_public_is() {
    let mut journal = Journal(Vec::new());
    journal.open(1, -30, "web", Severity::Page);
    let actor = Actor::daybook("test");
    let incidents = fold(journal.0.iter().map(|(at, event)| (*at, &actor, event)));
    let settings = StatusPage { zone: "Europe/Paris".to_owned(), ..settings() };
    let html = render(&page(&settings, &incidents, &[], at(0)));
    assert!(html.contains("Since <time datetime=\"2026-11-30T11:30:00Z\">2026-11-30 12:30 CET</time>"), "{html}");
}

#[test]
fn maintenance_is_shown_and_is_not_an_outage() {
    let when = When::Once { from: at(-5), until: at(55) };
    let window = Window { title: "Larger machines".to_owned(), services: [name("web")].into(), when };
    let page = Journal(Vec::new()).page(&[window]);
    assert_eq!((page.standing, page.components[1].standing), (Standing::Maintenance, Standing::Works));
    assert!(render(&page).contains("Larger machines until <time datetime=\"2026-11-30T12:55:00Z\">"));
}

#[test]
fn planned_work_of_the_days_to_come_is_shown() {
    let window = |title: &str, service: &str, minute| Window {
        title: title.to_owned(),
        services: [name(service)].into(),
        when: When::Once { from: at(minute), until: at(minute + 60) },
    };
    let day = 24 * 60;
    let windows = [window("second", "web", 2 * day), window("first", "web", day), window("late", "web", 30 * day)];
    let page = Journal(Vec::new()).page(&[&windows[..], &[window("ours", "inside", day)]].concat());
    let titles: Vec<_> = page.planned.iter().map(|one| one.title.as_str()).collect();
    assert_eq!((titles, page.standing), (vec!["first", "second"], Standing::Works));
    assert!(render(&page).contains("Planned: first from <time datetime=\"2026-12-01T12:00:00Z\">"));
}

#[test]
fn the_page_needs_nothing_else() {
    let mut journal = Journal(Vec::new());
    journal.open(1, -90, "web", Severity::Page);
    journal.add(1, -80, out());
    let html = render(&journal.page(&[]));
    for absent in ["<script", "http://", "https://", "<link", "<img", "url(", "onload"] {
        assert!(!html.contains(absent), "{absent}");
    }
    for present in
        ["lang=\"en\"", "name=\"viewport\"", "prefers-color-scheme:dark", "role=\"img\" aria-label=", "<h1>", "<main>"]
    {
        assert!(html.contains(present), "{present}");
    }
    assert!(html.contains("out for 1:30:00") && html.contains("✗ outage"), "{html}");
    assert!(html.len() < 40_000, "{}", html.len());
    let opens = |tag: &str| html.matches(&format!("<{tag}")).count();
    for tag in ["ul", "main", "body", "svg", "footer"] {
        assert_eq!(opens(tag), html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}
