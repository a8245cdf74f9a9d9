//! What a public status page says.
//!
//! It is made of components, each of which stands for services; nobody outside learns what those are called, what an
//! alert said or what is suspected. Of an incident it says when, which component, how bad, and what somebody has
//! published of it. [`html::render`] makes one page of it that needs nothing else.

mod html;

use daybook_model::Timestamp;
use daybook_model::incident::{IncidentId, Severity};
use daybook_model::oncall::Window;
use daybook_model::status_page::{PageComponent, StatusPage};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};
use serde::Serialize;

use crate::incident::{Incident, Incidents, Standing as Stands};
use crate::oncall::maintenance;
pub use html::render;

/// The page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// What it is about.
    pub title: String,
    /// IANA name of the zone in which it tells times.
    pub zone: String,
    /// When it was made.
    pub made: Timestamp,
    /// The worst of its components.
    pub standing: Standing,
    /// In their order.
    pub components: Vec<Component>,
    /// The newest first: those that go on, and those of the days that are shown.
    pub incidents: Vec<PublicIncident>,
    /// Work that goes on.
    pub maintenance: Vec<PublicWindow>,
    /// Work of the days to come, the earliest first.
    pub planned: Vec<PublicWindow>,
}

/// How something stands. The later are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As it should.
    Works,
    /// Somebody works on it.
    Maintenance,
    /// Some feel it.
    Degraded,
    /// Most feel it.
    Outage,
}

impl Standing {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Maintenance => "maintenance",
            Self::Degraded => "degraded",
            Self::Outage => "outage",
        }
    }
}

/// A component of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    /// What the public knows it as.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// The last ninety days, oldest first.
    pub days: Vec<Day>,
    /// The share of those days without an outage, percent.
    pub uptime: f64,
}

/// A day of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Which.
    pub date: Date,
    /// The worst of it.
    pub worst: Standing,
    /// How long it was out: milliseconds.
    pub outage_ms: i64,
    /// How long it was degraded: milliseconds.
    pub degraded_ms: i64,
}

/// What the public learns of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicIncident {
    /// Its id.
    pub id: IncidentId,
    /// "Checkout: outage".
    pub title: String,
    /// How bad it was.
    pub standing: Standing,
    /// When it began.
    pub from: Timestamp,
    /// When it ended. `None`: it goes on.
    pub until: Option<Timestamp>,
    /// What was published, oldest first.
    pub updates: Vec<(Timestamp, String)>,
}

/// Work that goes on, or is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicWindow {
    /// What for.
    pub title: String,
    /// From when on,
    pub from: Timestamp,
    /// until when.
    pub until: Timestamp,
}

/// Days that are shown.
pub const DAYS: i64 = 90;
/// Work that begins later is not shown yet.
const PLANNED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Where at least this share of requests fails, it is an outage: percent.
const OUTAGE_PERCENT: u64 = 50;

/// What the page says now. Incidents that wake nobody and of which nothing was published are no matter of the public.
pub fn page(settings: &StatusPage, incidents: &Incidents, windows: &[Window], now: Timestamp) -> Page {
    let zone = time_zone(&settings.zone);
    let today = zone.to_datetime(now).date();
    let first = today.saturating_sub((DAYS - 1).days());
    let begin = first.to_zoned(zone.clone()).map_or(now, |midnight| midnight.timestamp());
    let told: Vec<_> = incidents.all().filter(|one| is_public(one) && until(one, now) > begin).collect();
    let components: Vec<_> = settings
        .components
        .iter()
        .map(|component| {
            let of_it: Vec<_> = told.iter().filter(|one| concerns(one, component)).copied().collect();
            let open = of_it.iter().filter(|one| one.is_open()).map(|one| badness(one));
            let works =
                windows.iter().any(|window| maintenance::open(window, now).is_some() && covers(window, component));
            let works = works.then_some(Standing::Maintenance);
            let days = days(&of_it, first, &zone, now);
            Component {
                name: component.name.clone(),
                standing: open.chain(works).max().unwrap_or(Standing::Works),
                uptime: uptime(&days, begin, now),
                days,
            }
        })
        .collect();
    let mut incidents: Vec<_> = told.iter().filter_map(|one| public(one, settings)).collect();
    incidents.sort_by_key(|one| std::cmp::Reverse(one.from));
    let told = windows.iter().filter(|window| settings.components.iter().any(|one| covers(window, one)));
    let shown = |window: &Window, (from, until): (Timestamp, Timestamp)| PublicWindow {
        title: window.title.clone(),
        from,
        until,
    };
    let open = told.clone().filter_map(|window| Some(shown(window, maintenance::open(window, now)?)));
    let later = now.checked_add(PLANNED).unwrap_or(now);
    let soon = |window: &Window| maintenance::next(window, now).filter(|(from, _)| *from <= later);
    let mut planned: Vec<_> = told.filter_map(|window| Some(shown(window, soon(window)?))).collect();
    planned.sort_by_key(|one| one.from);
    Page {
        title: settings.title.clone(),
        zone: settings.zone.clone(),
        made: now,
        standing: components.iter().map(|one| one.standing).max().unwrap_or(Standing::Works),
        maintenance: open.collect(),
        planned,
        components,
        incidents,
    }
}

fn time_zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn is_public(incident: &Incident) -> bool {
    let is_whole = !matches!(incident.standing, Stands::Merged { .. });
    is_whole && (incident.severity == Severity::Page || !incident.published.is_empty())
}

fn until(incident: &Incident, now: Timestamp) -> Timestamp {
    incident.felt_until().unwrap_or(now)
}

fn concerns(incident: &Incident, component: &PageComponent) -> bool {
    !component.services.is_disjoint(&incident.services)
}

fn covers(window: &Window, component: &PageComponent) -> bool {
    window.services.is_empty() || !window.services.is_disjoint(&component.services)
}

fn badness(incident: &Incident) -> Standing {
    let most = incident.impact.as_ref().is_some_and(|one| one.failed * 100 >= one.requests.max(1) * OUTAGE_PERCENT);
    if most { Standing::Outage } else { Standing::Degraded }
}

fn public(incident: &Incident, settings: &StatusPage) -> Option<PublicIncident> {
    let names: Vec<_> =
        settings.components.iter().filter(|one| concerns(incident, one)).map(|one| one.name.as_str()).collect();
    if names.is_empty() && incident.published.is_empty() {
        return None;
    }
    let standing = badness(incident);
    let of = if names.is_empty() { settings.title.clone() } else { names.join(", ") };
    Some(PublicIncident {
        id: incident.id,
        title: format!("{of}: {}", standing.words()),
        standing,
        from: incident.onset,
        until: incident.felt_until(),
        updates: incident.published.clone(),
    })
}

fn days(incidents: &[&Incident], first: Date, zone: &TimeZone, now: Timestamp) -> Vec<Day> {
    let dates = (0..DAYS).filter_map(|offset| first.checked_add(offset.days()).ok());
    dates.filter_map(|date| day(incidents, date, zone, now)).collect()
}

fn day(incidents: &[&Incident], date: Date, zone: &TimeZone, now: Timestamp) -> Option<Day> {
    let midnight = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp());
    let (from, to) = (midnight(date)?, midnight(date.tomorrow().ok()?)?);
    let of = |bad: Standing| {
        let spans = incidents.iter().filter(|one| badness(one) == bad);
        let spans = spans.map(|one| (one.onset.max(from), until(one, now).min(to))).filter(|(from, to)| from < to);
        together(spans.collect())
    };
    let (outage_ms, degraded_ms) = (of(Standing::Outage), of(Standing::Degraded));
    let worst = match (outage_ms, degraded_ms) {
        (0, 0) => Standing::Works,
        (0, _) => Standing::Degraded,
        _ => Standing::Outage,
    };
    Some(Day { date, worst, outage_ms, degraded_ms })
}

/// How long spans last together; what two of them cover counts once.
fn together(mut spans: Vec<(Timestamp, Timestamp)>) -> i64 {
    spans.sort_unstable();
    let (mut sum, mut reached) = (0, i64::MIN);
    for (from, to) in spans {
        let (from, to) = (from.as_millisecond().max(reached), to.as_millisecond());
        sum += (to - from).max(0);
        reached = reached.max(to);
    }
    sum
}

fn uptime(days: &[Day], begin: Timestamp, now: Timestamp) -> f64 {
    let out: i64 = days.iter().map(|day| day.outage_ms).sum();
    let whole = (now.as_millisecond() - begin.as_millisecond()).max(1);
    (100.0 * (1.0 - out as f64 / whole as f64)).clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests;
