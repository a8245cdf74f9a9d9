//! Overrides of who is on call, and maintenance windows that people made: both are in the journal beside what the manifest says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use daybook_api::ErrorCode;
use daybook_api::oncall::{
    AddMaintenance, AddOverride, MaintenanceView, OnCallQuery, OverrideView, ScheduleView, ShiftView,
};
use daybook_decide::oncall::{maintenance, next_hand_over, on_call, shifts};
use daybook_model::oncall::{OnCall, Override, When, Window};
use daybook_model::{Actor, Entry, EnvKey, Event, Release, Spec, Timestamp};
use daybook_store::{Journal as _, Write};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::App;
use crate::error::ApiError;

/// How long what is over is listed.
const LISTED_FOR: SignedDuration = SignedDuration::from_hours(5 * 24);
/// The longest of both.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Days of shifts that are shown where nobody says how many, and at most.
const DAYS: u32 = 14;
const MOST_DAYS: u32 = 366;

/// What people made that holds, is to hold, or ended not long ago.
#[derive(Default)]
pub(crate) struct Made(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    windows: Vec<MadeWindow>,
    overrides: Vec<MadeOverride>,
    /// Who was told last that they are on call in a schedule. Those in which nobody is any more are not among them.
    on_call: BTreeMap<(EnvKey, String), String>,
}

struct MadeWindow {
    id: String,
    key: EnvKey,
    by: String,
    title: String,
    services: BTreeSet<daybook_model::ServiceName>,
    from: Timestamp,
    until: Timestamp,
}

struct MadeOverride {
    id: String,
    key: EnvKey,
    by: String,
    schedule: String,
    what: Override,
}

impl Made {
    fn all(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an entry of the journal says.
    pub(crate) fn record(&self, entry: &Entry) {
        let Some(key) = entry.key.clone() else { return };
        let (by, at) = (entry.actor.name.clone(), entry.at);
        let since = at.checked_sub(LISTED_FOR).unwrap_or(at);
        match &entry.event {
            Event::MaintenanceAdded { id, window } => {
                // Those of people are once.
                let When::Once { from, until } = window.when else { return };
                let Window { title, services, .. } = window.clone();
                let mut all = self.all();
                all.windows.retain(|window| window.until > since);
                all.windows.push(MadeWindow { id: id.clone(), key, by, title, services, from, until });
            }
            Event::MaintenanceEnded { id } => {
                let mut all = self.all();
                all.windows.iter_mut().filter(|window| window.id == *id).for_each(|window| {
                    window.until = window.until.min(at);
                    window.from = window.from.min(window.until);
                });
            }
            Event::OverrideAdded { id, schedule, what } => {
                let (schedule, what) = (schedule.clone(), what.clone());
                let mut all = self.all();
                all.overrides.retain(|one| one.what.until > since);
                all.overrides.push(MadeOverride { id: id.clone(), key, by, schedule, what });
            }
            Event::OverrideEnded { id } => {
                let mut all = self.all();
                all.overrides.iter_mut().filter(|one| one.id == *id).for_each(|one| {
                    one.what.until = one.what.until.min(at);
                    one.what.from = one.what.from.min(one.what.until);
                });
            }
            Event::ShiftBegan { schedule, person, .. } => {
                let place = (key, schedule.clone());
                let mut all = self.all();
                match person {
                    Some(person) => drop(all.on_call.insert(place, person.clone())),
                    None => drop(all.on_call.remove(&place)),
                }
            }
            _ => {}
        }
    }

    /// Who was on call in a schedule when that was written down last.
    pub(crate) fn last_on_call(&self, key: &EnvKey, schedule: &str) -> Option<String> {
        self.all().on_call.get(&(key.clone(), schedule.to_owned())).cloned()
    }

    /// The windows of an environment.
    fn windows(&self, key: &EnvKey) -> Vec<Window> {
        let all = self.all();
        let own = all.windows.iter().filter(|window| window.key == *key);
        own.map(|window| Window {
            title: window.title.clone(),
            services: window.services.clone(),
            when: When::Once { from: window.from, until: window.until },
        })
        .collect()
    }

    /// Adds overrides to what a release says. Somebody whom it does not know any more reaches nobody, so whose turn it is is
    /// on call.
    fn on_call(&self, spec: &Spec) -> OnCall {
        let mut said = spec.on_call.clone();
        let all = self.all();
        let is_known = |one: &&MadeOverride| spec.on_call.people.contains_key(&one.what.person);
        for one in all.overrides.iter().filter(|one| one.key == spec.key).filter(is_known) {
            let schedule = said.schedules.iter_mut().find(|schedule| schedule.name == one.schedule);
            schedule.into_iter().for_each(|schedule| schedule.overrides.push(one.what.clone()));
        }
        said
    }
}

impl App {
    /// Maintenance windows that people made of an environment.
    pub(crate) fn made_windows(&self, key: &EnvKey) -> Vec<Window> {
        self.inner.made.windows(key)
    }

    /// Maintenance windows of an environment: those of its release, and those that people made.
    pub(crate) fn windows(&self, release: &Release) -> Vec<Window> {
        let mut windows = release.spec.maintenance.clone();
        windows.extend(self.made_windows(&release.spec.key));
        windows
    }

    /// Who is on call by a release, and by overrides.
    pub(crate) fn on_call_by(&self, release: &Release) -> OnCall {
        self.inner.made.on_call(&release.spec)
    }

    /// Every schedule of an environment, with who is on call.
    pub(crate) async fn schedules(&self, query: &OnCallQuery) -> Result<Vec<ScheduleView>, ApiError> {
        let Some(release) = self.inner.store.current_release(&query.key).await? else { return Ok(Vec::new()) };
        let at = query.at.unwrap_or_else(|| self.now());
        let days = query.days.unwrap_or(DAYS);
        if days > MOST_DAYS {
            return Err(usage(format!("{days} days are too many")).hint(format!("at most {MOST_DAYS}")));
        }
        let end = at.checked_add(SignedDuration::from_hours(24 * i64::from(days)));
        let end = end.map_err(|_| usage("nobody knows what will be so late"))?;
        let overrides = self.overrides(&query.key);
        let views = self.on_call_by(&release).schedules.into_iter().map(|schedule| {
            let next = next_hand_over(&schedule, at);
            let shifts = shifts(&schedule, at, end).into_iter();
            let is_its = |one: &&OverrideView| one.schedule == schedule.name && one.until > at;
            ScheduleView {
                key: query.key.clone(),
                person: on_call(&schedule, at).map(ToOwned::to_owned),
                until: next.as_ref().map(|(until, _)| *until),
                next: next.and_then(|(_, person)| person),
                shifts: shifts.map(|one| ShiftView { person: one.person, from: one.from, until: one.until }).collect(),
                overrides: overrides.iter().filter(is_its).cloned().collect(),
                schedule: schedule.name,
                zone: schedule.zone,
            }
        });
        Ok(views.collect())
    }

    fn overrides(&self, key: &EnvKey) -> Vec<OverrideView> {
        let all = self.inner.made.all();
        all.overrides.iter().filter(|one| one.key == *key).map(override_view).collect()
    }

    /// Lets somebody take over for a while.
    pub(crate) async fn add_override(&self, asked: AddOverride, actor: &Actor) -> Result<OverrideView, ApiError> {
        let release = self.inner.store.current_release(&asked.key).await?;
        let said = release.map(|release| release.spec.on_call.clone()).unwrap_or_default();
        let schedules: Vec<_> = said.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
        let people: Vec<_> = said.people.keys().map(String::as_str).collect();
        for (what, name, known) in [("schedule", &asked.schedule, schedules), ("person", &asked.person, people)] {
            if !known.contains(&name.as_str()) {
                let hint = match known.as_slice() {
                    [] => "describe it in the manifest, under `on_call`, and run `daybook up`".to_owned(),
                    known => format!("it has {}", known.join(", ")),
                };
                let message = format!("{} has no {what} {name:.80} in `on_call`", asked.key);
                return Err(ApiError::not_found(message).hint(hint));
            }
        }
        let from = asked.from.unwrap_or_else(|| self.now());
        is_length(from, asked.until, self.now())?;
        let id = new_id();
        let what = Override { person: asked.person, from, until: asked.until };
        let event = Event::OverrideAdded { id: id.clone(), schedule: asked.schedule, what };
        self.note_made(&asked.key, actor, event).await?;
        let made = self.overrides(&asked.key).into_iter().find(|one| one.id == id);
        made.ok_or_else(|| ApiError::new(ErrorCode::Internal, "it was not kept"))
    }

    /// Nobody takes over any more.
    pub(crate) async fn end_override(&self, id: &str, actor: &Actor) -> Result<OverrideView, ApiError> {
        let now = self.now();
        let found = {
            let all = self.inner.made.all();
            all.overrides.iter().find(|one| one.id == id && one.what.until > now).map(override_view)
        };
        let known = found.ok_or_else(|| {
            ApiError::not_found(format!("there is no override {id:.80}")).hint("see `daybook oncall`")
        })?;
        self.note_made(&known.key, actor, Event::OverrideEnded { id: known.id.clone() }).await?;
        Ok(known)
    }

    /// Maintenance windows of an environment, or those that people made of all: that are open or planned, or also those that ended
    /// not long ago.
    pub(crate) async fn maintenance(
        &self,
        key: Option<&EnvKey>,
        also_over: bool,
    ) -> Result<Vec<MaintenanceView>, ApiError> {
        let now = self.now();
        let mut views = Vec::new();
        if let Some(key) = key
            && let Some(release) = self.inner.store.current_release(key).await?
        {
            views.extend(release.spec.maintenance.iter().filter_map(|window| said_view(key, window, now)));
        }
        {
            let all = self.inner.made.all();
            let own = all.windows.iter().filter(|window| key.is_none_or(|key| window.key == *key));
            views.extend(own.map(|window| made_view(window, now)));
        }
        views.retain(|view| also_over || view.state != "over");
        views.sort_by_key(|view| view.from);
        Ok(views)
    }

    /// Makes a maintenance window.
    pub(crate) async fn add_maintenance(
        &self,
        asked: AddMaintenance,
        actor: &Actor,
    ) -> Result<MaintenanceView, ApiError> {
        let title = asked.title.trim().to_owned();
        if title.is_empty() || title.chars().count() > 200 {
            return Err(usage("a window has a title of at most 200 characters").hint("the public may read it"));
        }
        let release = self.inner.store.current_release(&asked.key).await?;
        let mut services = BTreeSet::new();
        for name in &asked.services {
            let known = release.iter().flat_map(|release| release.spec.services.keys());
            let Some(service) = known.clone().find(|service| service.as_str() == name) else {
                let names: Vec<_> = known.map(daybook_model::ServiceName::as_str).collect();
                let error = ApiError::not_found(format!("{} has no service {name:.80}", asked.key));
                return Err(error.hint(format!("it has {}", names.join(", "))));
            };
            services.insert(service.clone());
        }
        let from = asked.from.unwrap_or_else(|| self.now());
        let length = SignedDuration::from_millis(i64::try_from(asked.for_ms).unwrap_or(i64::MAX));
        let until = from.checked_add(length).map_err(|_| usage("it would never end"))?;
        is_length(from, until, self.now())?;
        let id = new_id();
        let window = Window { title, services, when: When::Once { from, until } };
        self.note_made(&asked.key, actor, Event::MaintenanceAdded { id: id.clone(), window }).await?;
        self.made_window(&id).ok_or_else(|| ApiError::new(ErrorCode::Internal, "the window was not kept"))
    }

    fn made_window(&self, id: &str) -> Option<MaintenanceView> {
        let (now, all) = (self.now(), self.inner.made.all());
        all.windows.iter().find(|window| window.id == id).map(|window| made_view(window, now))
    }

    /// Ends a maintenance window before its time.
    pub(crate) async fn end_maintenance(&self, id: &str, actor: &Actor) -> Result<MaintenanceView, ApiError> {
        let known = self.made_window(id).filter(|view| view.state != "over").ok_or_else(|| {
            let error = ApiError::not_found(format!("no maintenance {id:.80} is open or planned"));
            error.hint("see `daybook maintenance ls`; what the manifest says is ended there")
        })?;
        self.note_made(&known.key, actor, Event::MaintenanceEnded { id: id.to_owned() }).await?;
        Ok(MaintenanceView { state: "over".to_owned(), until: self.now().min(known.until), ..known })
    }

    /// Writes down what is remembered here.
    pub(crate) async fn note_made(&self, key: &EnvKey, actor: &Actor, event: Event) -> Result<(), ApiError> {
        let write = Write { key: Some(key.clone()), run: None, actor: actor.clone(), event, expected: None };
        let entry = self.inner.store.append(write).await?;
        self.inner.made.record(&entry);
        self.write_status_pages(key).await;
        Ok(())
    }
}

fn usage(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Usage, message.into())
}

fn is_length(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(), ApiError> {
    if until <= from || until <= now {
        return Err(usage("it would be over before it begins"));
    }
    if until.duration_since(from) > LONGEST {
        return Err(usage("it would be longer than 90 days").hint("say it in the manifest"));
    }
    Ok(())
}

fn new_id() -> String {
    let id = Uuid::now_v7().simple().to_string();
    id[id.len() - 8..].to_owned()
}

fn override_view(one: &MadeOverride) -> OverrideView {
    let Override { person, from, until } = one.what.clone();
    let (id, key, by, schedule) = (one.id.clone(), one.key.clone(), one.by.clone(), one.schedule.clone());
    OverrideView { id, key, schedule, person, from, until, by }
}

fn made_view(window: &MadeWindow, now: Timestamp) -> MaintenanceView {
    let state = match (window.until <= now, window.from <= now) {
        (true, _) => "over",
        (false, true) => "open",
        (false, false) => "planned",
    };
    MaintenanceView {
        id: Some(window.id.clone()),
        key: window.key.clone(),
        title: window.title.clone(),
        services: window.services.iter().map(ToString::to_string).collect(),
        state: state.to_owned(),
        from: window.from,
        until: window.until,
        every: None,
        by: Some(window.by.clone()),
    }
}

/// A window of the manifest: as it is open, or will be next; one that never comes again as it was.
fn said_view(key: &EnvKey, window: &Window, now: Timestamp) -> Option<MaintenanceView> {
    let (state, (from, until)) = match (maintenance::open(window, now), maintenance::next(window, now), &window.when) {
        (Some(open), ..) => ("open", open),
        (None, Some(next), _) => ("planned", next),
        (None, None, When::Once { from, until }) => ("over", (*from, *until)),
        (None, None, When::Every { .. }) => return None,
    };
    let every = match &window.when {
        When::Every { begins, .. } => Some(format!("{} {}", begins.cron, begins.zone)),
        When::Once { .. } => None,
    };
    Some(MaintenanceView {
        id: None,
        key: key.clone(),
        title: window.title.clone(),
        services: window.services.iter().map(ToString::to_string).collect(),
        state: state.to_owned(),
        from,
        until,
        every,
        by: None,
    })
}

#[cfg(test)]
mod tests {
    use daybook_model::oncall::Schedule;

    use super::*;
    use crate::fixture::entry;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(from: &str, until: &str) -> Window {
        let when = When::Once { from: at(from), until: at(until) };
        Window { title: "the disk".to_owned(), services: BTreeSet::new(), when }
    }

    #[test]
    fn a_window_holds_for_its_environment_until_somebody_ends_it() {
        let made = Made::default();
        let key = "shop/production".parse().unwrap();
        let added = window("2026-12-01T10:00:00Z", "2026-12-01T12:00:00Z");
        let id = "w1".to_owned();
        made.record(&entry(Event::MaintenanceAdded { id: id.clone(), window: added.clone() }, "2026-12-01T09:00:00Z"));
        assert_eq!(made.windows(&key), [added]);
        assert!(made.windows(&"shop/staging".parse().unwrap()).is_empty());
        made.record(&entry(Event::MaintenanceEnded { id }, "2026-12-01T10:30:00Z"));
        assert_eq!(made.windows(&key), [window("2026-12-01T10:00:00Z", "2026-12-01T10:30:00Z")]);
        let state = |time: &str| made_view(&made.all().windows[0], at(time)).state;
        assert_eq!([state("2026-12-01T09:00:00Z"), state("2026-12-01T10:10:00Z")], ["planned", "open"]);
        assert_eq!(state("2026-12-01T10:30:00Z"), "over");
    }

    #[test]
    fn a_window_that_is_ended_before_it_begins_never_opens() {
        let made = Made::default();
        let (id, window) = ("w1".to_owned(), window("2026-12-01T10:00:00Z", "2026-12-01T12:00:00Z"));
        made.record(&entry(Event::MaintenanceAdded { id: id.clone(), window }, "2026-12-01T08:00:00Z"));
        made.record(&entry(Event::MaintenanceEnded { id }, "2026-12-01T09:00:00Z"));
        let left = &made.windows(&"shop/production".parse().unwrap())[0];
        assert_eq!(maintenance::open(left, at("2026-12-01T11:00:00Z")), None);
        assert_eq!(maintenance::next(left, at("2026-12-01T09:00:00Z")), None);
    }

    #[test]
    fn the_shift_that_was_told_last_is_known_by_schedule() {
        let (made, key) = (Made::default(), "shop/production".parse().unwrap());
        let began = |person: Option<&str>| {
            let (schedule, person) = ("web".to_owned(), person.map(ToOwned::to_owned));
            entry(Event::ShiftBegan { schedule, person, until: None }, "2026-12-01T09:00:00Z")
        };
        made.record(&began(Some("ada")));
        assert_eq!((made.last_on_call(&key, "web").as_deref(), made.last_on_call(&key, "db")), (Some("ada"), None));
        made.record(&began(None));
        assert_eq!(made.last_on_call(&key, "web"), None);
    }

    #[test]
    fn whoever_takes_over_is_on_call_until_they_do_not_any_more() {
        let made = Made::default();
        let mut spec = Spec::empty("shop/production".parse().unwrap());
        let (name, zone) = ("web".to_owned(), "UTC".to_owned());
        let (layers, overrides) = (Vec::new(), Vec::new());
        spec.on_call.schedules = vec![Schedule { name: name.clone(), zone, layers, overrides, handover: false }];
        spec.on_call.people.insert("ada".to_owned(), Vec::new());
        let (from, until) = (at("2026-12-01T10:00:00Z"), at("2026-12-01T12:00:00Z"));
        let what = Override { person: "ada".to_owned(), from, until };
        let id = "o1".to_owned();
        made.record(&entry(Event::OverrideAdded { id: id.clone(), schedule: name, what }, "2026-12-01T09:00:00Z"));
        let who = |time: &str| on_call(&made.on_call(&spec).schedules[0], at(time)).map(ToOwned::to_owned);
        assert_eq!((who("2026-12-01T11:00:00Z").as_deref(), who("2026-12-01T12:00:00Z")), (Some("ada"), None));
        let without = Spec { on_call: OnCall { people: Default::default(), ..spec.on_call.clone() }, ..spec.clone() };
        let left = made.on_call(&without);
        assert_eq!(on_call(&left.schedules[0], at("2026-12-01T11:00:00Z")), None, "nothing reaches ada any more");
        made.record(&entry(Event::OverrideEnded { id }, "2026-12-01T10:30:00Z"));
        assert_eq!(who("2026-12-01T11:00:00Z"), None);
    }
}
