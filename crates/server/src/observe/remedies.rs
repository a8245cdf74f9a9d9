//! What rules of the manifest mend by themselves.
//!
//! They are asked about every incident that goes on, after its cause was looked for; [`daybook_decide::remedy`] decides. What
//! is done is in the journal, with its rule and its run, before the run begins: a server that is killed in between finds it
//! there, and tells that it was not begun. It is never done again for the same incident.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use daybook_api::change::{Change, Rollback, Scale, Services};
use daybook_api::run::RunRequest;
use daybook_decide::incident::{Incident, Incidents, Taken};
use daybook_decide::oncall::{left_to, muted_incident};
use daybook_decide::remedy::{Around, Decision, decide};
use daybook_model::incident::{IncidentEvent, IncidentId, NextStep};
use daybook_model::{Actor, Entry, EnvKey, Event, Release, ReleaseNumber, RunId, Timestamp};
use tokio::sync::broadcast::{self, error::TryRecvError};
use uuid::Uuid;

use super::lock;
use crate::App;
use crate::error::ApiError;
use crate::runs::Ready;

/// The problem of a plan that would bring a release back which cannot work with what was migrated since.
const BEHIND: &str = "P0118";

/// Between two looks at incidents.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why rules leave incidents alone, by incident; only where there are rules.
pub(super) type Left = BTreeMap<IncidentId, Vec<String>>;

/// What the journal says for the rules of an environment.
struct Read {
    release: Arc<Release>,
    around: Around,
}

/// What was read of the journal, by environment: once, and again only after the next entry about it.
struct Reading {
    entries: broadcast::Receiver<Entry>,
    /// Nothing, for an environment without rules.
    kept: BTreeMap<EnvKey, Option<Read>>,
}

impl Reading {
    fn of(entries: broadcast::Receiver<Entry>) -> Self {
        Self { entries, kept: BTreeMap::new() }
    }

    /// Forgets what entries were written about since.
    fn forget(&mut self) {
        loop {
            match self.entries.try_recv() {
                Ok(Entry { key: Some(key), .. }) => drop(self.kept.remove(&key)),
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => self.kept.clear(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }
}

impl App {
    /// Looks at incidents again and again, until the server stops.
    pub(super) async fn tend_remedies(self) {
        let mut reading = Reading::of(self.inner.store.subscribe());
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.mend_all(&mut reading).await;
        }
    }

    /// Has done what rules may have done about incidents that go on, and remembers why they leave the others alone.
    async fn mend_all(&self, reading: &mut Reading) {
        reading.forget();
        let mut left = Left::new();
        for key in self.inner.incidents.open_places().into_iter().flatten() {
            if let Err(error) = self.mend(&key, reading, &mut left).await {
                tracing::warn!(%key, error = %error.0.message, "remedies wait");
            }
        }
        *lock(&self.inner.observatory.left) = left;
    }

    /// Why rules leave an incident alone; nothing where there are none.
    pub(crate) fn left_alone(&self, id: IncidentId) -> Vec<String> {
        lock(&self.inner.observatory.left).get(&id).cloned().unwrap_or_default()
    }

    async fn mend(&self, key: &EnvKey, reading: &mut Reading, left: &mut Left) -> Result<(), ApiError> {
        let mut read = match reading.kept.remove(key) {
            Some(read) => read,
            None => self.read_for_rules(key).await?,
        };
        if let Some(read) = &mut read {
            let windows = self.windows(&read.release);
            for incident in self.inner.incidents.of(Some(key)).open() {
                let why = match muted_incident(&windows, incident, self.now()) {
                    Some(window) => vec![format!("it is worked on: {}", window.title)],
                    None => self.mend_one(read, incident.id).await?,
                };
                if !why.is_empty() {
                    left.insert(incident.id, why);
                }
            }
        }
        reading.kept.insert(key.clone(), read);
        Ok(())
    }

    /// Reads what the journal says for the rules of an environment; nothing where it has none.
    async fn read_for_rules(&self, key: &EnvKey) -> Result<Option<Read>, ApiError> {
        self.tell_what_was_not_begun(key, &self.inner.incidents.of(Some(key))).await?;
        let release = self.inner.store.current_release(key).await?;
        let Some(release) = release.filter(|release| !release.spec.remedies.is_empty()) else { return Ok(None) };
        let around = self.around(&release).await?;
        Ok(Some(Read { release, around }))
    }

    /// Has done what a rule may have done about an incident, or tells why none has.
    async fn mend_one(&self, read: &mut Read, id: IncidentId) -> Result<Vec<String>, ApiError> {
        let Read { release, around } = read;
        let (key, rules) = (&release.spec.key, &release.spec.remedies);
        if let Some(Decision::Leave { why }) = self.decided(release, id, around) {
            return Ok(why);
        }
        let planning = self.planning(key);
        let Ok(_planning) = planning.try_lock() else { return Ok(vec!["something else is under way".to_owned()]) };
        // Nobody begins anything from now on, and what has begun until now is in the journal.
        let no_way_back = std::mem::take(&mut around.no_way_back);
        *around = Around { no_way_back, ..self.around(release).await? };
        let (rule, step, why) = match self.decided(release, id, around) {
            Some(Decision::Start { rule, step, why }) => (rule, step, why),
            Some(Decision::Leave { why }) => return Ok(why),
            None => return Ok(Vec::new()),
        };
        match self.begin_remedy(release, id, &rule, &step, &why).await {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(not)) => Ok(vec![format!("{rule}: {not}")]),
            Err(error) if is_behind(&error) => {
                around.no_way_back.insert(release.number);
                let known = self.inner.incidents.of(Some(key));
                Ok(known.get(id).map_or_else(Vec::new, |one| reasons(decide(rules, one, around, self.now()))))
            }
            Err(error) => Ok(vec![format!("{rule}: {}", error.0.message)]),
        }
    }

    /// What rules would have done about an incident as it is now. `None`: it is not there.
    fn decided(&self, release: &Release, id: IncidentId, around: &Around) -> Option<Decision> {
        let known = self.inner.incidents.of(Some(&release.spec.key));
        Some(decide(&release.spec.remedies, known.get(id)?, around, self.now()))
    }

    /// Begins what a rule has done about an incident, as if a person had asked for it, or tells why not. Whatever refuses a
    /// person's command refuses this one, before anything is written down. Whoever calls it keeps others from planning.
    async fn begin_remedy(
        &self,
        release: &Release,
        incident: IncidentId,
        rule: &str,
        step: &NextStep,
        why: &str,
    ) -> Result<Option<&'static str>, ApiError> {
        let key = &release.spec.key;
        let Some(change) = change(key, step) else { return Ok(Some("a person has to look")) };
        let actor = Actor::daybook("remedy");
        let request = RunRequest { change, expect: None };
        let Ready::Run { mut desired, .. } = self.ready(key, &request, &actor).await? else {
            return Ok(Some("nothing would change"));
        };
        // What was decided about may have changed meanwhile: the next look decides anew.
        if desired.current.as_ref().is_none_or(|current| current.number != release.number) {
            return Ok(Some("another release came into force"));
        }
        let known = self.inner.incidents.of(Some(key));
        let waits = |incident: &Incident| incident.is_open() && left_to(incident, self.now()).is_none();
        if !known.get(incident).is_some_and(waits) {
            return Ok(Some("somebody saw to it"));
        }
        desired.reason = format!("{}: {why}", desired.reason);
        let run = RunId(Uuid::now_v7());
        let (what, rule) = (step.choice().text, Some(rule.to_owned()));
        tracing::info!(%key, rule, what, "a rule mends something by itself");
        let acted = IncidentEvent::Acted { what, run: Some(run), rule };
        self.note_incident(Some(key), &actor, incident, acted).await?;
        self.start_run(run, *desired, actor).await?;
        Ok(None)
    }

    /// Writes down what rules were about to have done, and no run does: the server ended in between, or could not begin.
    async fn tell_what_was_not_begun(&self, key: &EnvKey, known: &Incidents) -> Result<(), ApiError> {
        for incident in known.open() {
            for (taken, run) in incident.actions.iter().filter(|taken| taken.rule.is_some()).filter_map(with_run) {
                let text = not_begun(taken);
                let is_told = incident.timeline.iter().any(|line| line.text.contains(&text));
                if !is_told && self.inner.store.run(run).await?.is_none() {
                    let noted = IncidentEvent::Noted { text };
                    self.note_incident(Some(key), &Actor::daybook("remedy"), incident.id, noted).await?;
                }
            }
        }
        Ok(())
    }

    /// What counts for rules of an environment beside its incidents.
    async fn around(&self, release: &Release) -> Result<Around, ApiError> {
        let key = &release.spec.key;
        let known = self.inner.incidents.of(Some(key));
        let replicas = release.spec.services.values().map(|service| (service.name.clone(), service.replicas()));
        let before = self.led(release.run).await?.and_then(|(from, _)| from);
        let environment = self.inner.store.environment(key).await?;
        let is_upgrading = match self.refuse_if_upgrading(key).await {
            Ok(()) => false,
            Err(error) if error.0.code == daybook_api::ErrorCode::Locked => true,
            Err(error) => return Err(error),
        };
        #[cfg(feature = "databases")]
        let is_backing_up = self.histories(key).await?.values().any(daybook_decide::backups::History::is_backing_up);
        #[cfg(not(feature = "databases"))]
        let is_backing_up = false;
        let busy = Busy {
            is_running: environment.is_some_and(|environment| environment.open_run.is_some()),
            is_upgrading,
            is_backing_up,
        };
        let mut by_rules = BTreeSet::new();
        for (_, run) in by_rule(&known).filter_map(with_run) {
            by_rules.extend(self.led(run).await?.map(|(_, to)| to));
        }
        Ok(Around {
            under_way: busy.word().map(str::to_owned),
            done: done(&known),
            release: Some(release.number),
            no_way_back: BTreeSet::new(),
            by_rules,
            before,
            replicas: replicas.collect(),
        })
    }

    /// From which release a run led, and to which.
    async fn led(&self, run: RunId) -> Result<Option<(Option<ReleaseNumber>, ReleaseNumber)>, ApiError> {
        let run = self.inner.store.run(run).await?;
        Ok(run.and_then(|run| match run.started.event {
            Event::RunStarted { from, to, .. } => Some((from, to)),
            _ => None,
        }))
    }
}

/// What changes an environment, or is not to be disturbed.
#[derive(Debug, Clone, Copy, Default)]
struct Busy {
    is_running: bool,
    is_upgrading: bool,
    is_backing_up: bool,
}

impl Busy {
    fn word(self) -> Option<&'static str> {
        match self {
            Self { is_running: true, .. } => Some("a run"),
            Self { is_upgrading: true, .. } => Some("an upgrade"),
            Self { is_backing_up: true, .. } => Some("a backup"),
            _ => None,
        }
    }
}

/// What rules had done, whichever incident it was for, oldest first.
fn by_rule(known: &Incidents) -> impl Iterator<Item = &Taken> {
    known.all().flat_map(|incident| &incident.actions).filter(|taken| taken.rule.is_some())
}

fn with_run(taken: &Taken) -> Option<(&Taken, RunId)> {
    Some((taken, taken.run?))
}

/// When each rule had something done, oldest first.
fn done(known: &Incidents) -> Vec<(String, Timestamp)> {
    let mut done: Vec<_> = by_rule(known).filter_map(|taken| Some((taken.rule.clone()?, taken.at))).collect();
    done.sort_by_key(|(_, at)| *at);
    done
}

/// What a person would ask for to take a step. `None`: nothing can be asked for.
fn change(key: &EnvKey, step: &NextStep) -> Option<Change> {
    let key = key.clone();
    Some(match step {
        NextStep::SwapBack { to } => Change::Rollback(Rollback { key, to: Some(*to) }),
        NextStep::Scale { service, replicas } => {
            Change::Scale(Scale { key, services: BTreeMap::from([(service.clone(), *replicas)]) })
        }
        NextStep::Restart { service } => Change::Restart(Services { key, services: vec![service.clone()] }),
        NextStep::ShowPlan { .. } | NextStep::Look { .. } => return None,
    })
}

fn not_begun(taken: &Taken) -> String {
    let rule = taken.rule.as_deref().unwrap_or_default();
    format!("{} (rule {rule}) was not begun, and no rule tries it again", taken.what)
}

/// Whether the release before cannot work with what was migrated since.
fn is_behind(error: &ApiError) -> bool {
    error.0.diagnostics.iter().any(|found| found.code == BEHIND)
}

fn reasons(decision: Decision) -> Vec<String> {
    match decision {
        Decision::Leave { why } => why,
        Decision::Start { rule, .. } => vec![format!("{rule}: another step comes first")],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use daybook_decide::incident::fold;
    use daybook_model::incident::{Severity, Suspect};
    use daybook_model::remedy::{Remedy, Rule};
    use daybook_model::spec::{Artifact, Container, EnvValue, Schedule};
    use daybook_model::{Digest, RunKind, ServiceName, Spec, Verdict};
    use daybook_runtime::Side;
    use daybook_runtime::simulated::Simulated;
    use daybook_store::{Journal as _, Query, Store, Write};

    use super::*;
    use crate::Parts;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
    }

    fn acted_by(run: u128) -> IncidentEvent {
        let run = Some(RunId(Uuid::from_u128(run)));
        IncidentEvent::Acted { what: "swap back to release 11".to_owned(), run, rule: Some("go-back".to_owned()) }
    }

    fn acted(rule: Option<&str>) -> IncidentEvent {
        let (what, run) = ("swap back to release 11".to_owned(), Some(RunId(Uuid::from_u128(1))));
        IncidentEvent::Acted { what, run, rule: rule.map(str::to_owned) }
    }

    /// Incidents of which each had something done: by which rule, and in which minute.
    fn known(actions: &[(i64, Option<&str>)]) -> Incidents {
        let actor = Actor::daybook("remedy");
        let events: Vec<_> = actions
            .iter()
            .enumerate()
            .flat_map(|(number, (minute, rule))| {
                let incident = IncidentId(Uuid::from_u128(number as u128));
                let title = "web fails".to_owned();
                let opened =
                    IncidentEvent::Opened { title, severity: Severity::Page, services: [].into(), alert: None };
                [opened, acted(*rule)].map(|what| (at(*minute), Event::Incident { incident, what: Box::new(what) }))
            })
            .collect();
        fold(events.iter().map(|(at, event)| (*at, &actor, event)))
    }

    #[test]
    fn what_rules_did_is_in_the_journal_of_incidents() {
        let known = known(&[(9, Some("go-back")), (3, Some("restart")), (5, None)]);
        assert_eq!(done(&known), [("restart".to_owned(), at(3)), ("go-back".to_owned(), at(9))]);
        assert_eq!(by_rule(&known).filter_map(with_run).count(), 2);
    }

    #[test]
    fn what_was_not_begun_is_told_once() {
        let known = known(&[(9, Some("go-back"))]);
        let taken = by_rule(&known).next().unwrap();
        let text = not_begun(taken);
        assert_eq!(text, "swap back to release 11 (rule go-back) was not begun, and no rule tries it again");
        let incident = known.open().next().unwrap();
        assert!(!incident.timeline.iter().any(|line| line.text.contains(&text)), "the action itself does not say so");
    }

    #[test]
    fn whatever_changes_an_environment_comes_first() {
        let busy = [
            Busy::default(),
            Busy { is_running: true, is_backing_up: true, ..Busy::default() },
            Busy { is_upgrading: true, ..Busy::default() },
            Busy { is_backing_up: true, ..Busy::default() },
        ];
        assert_eq!(busy.map(Busy::word), [None, Some("a run"), Some("an upgrade"), Some("a backup")]);
    }

    #[test]
    fn a_step_is_what_a_person_would_ask_for() {
        let key: EnvKey = "shop/production".parse().unwrap();
        let web = ServiceName::new("web").unwrap();
        let look = NextStep::Look { what: "look".to_owned(), command: "daybook top".to_owned() };
        let steps = [
            NextStep::SwapBack { to: ReleaseNumber(11) },
            NextStep::Scale { service: web.clone(), replicas: 4 },
            NextStep::Restart { service: web },
            look,
        ];
        let reasons: Vec<_> = steps.iter().map(|step| change(&key, step).map(|change| change.reason())).collect();
        let wanted = ["rollback to 11", "scale web=4", "restart web"];
        assert_eq!(reasons[..3], wanted.map(|reason| Some(reason.to_owned())));
        assert_eq!(reasons[3], None, "a person has to look");
    }

    fn key() -> EnvKey {
        "shop/production".parse().unwrap()
    }

    /// A release with one job, which differs from others of its kind by a variable.
    pub(in crate::observe) fn release(number: u64) -> Release {
        let mut spec = Spec::empty(key());
        let service = serde_json::json!({
            "name": "report", "kind": {"job": Schedule { cron: "0 3 * * *".to_owned(), zone: "UTC".to_owned() }},
            "artifact": Artifact::image("report:1".to_owned(), Default::default(), Some(Digest::of(b"report:1"))),
            "container": Container {
                environment: [("A".to_owned(), EnvValue::Text(number.to_string()))].into_iter().collect(),
                ..Default::default()
            },
            "scale": daybook_model::spec::Scale::default(), "ports": [], "routes": [], "check": null,
            "depends_on": [], "restart": "no", "stop": daybook_model::spec::Stop::default(),
            "rollout": daybook_model::spec::Rollout::default(), "release_hook": null
        });
        spec.services.insert("report".parse().unwrap(), serde_json::from_value(service).unwrap());
        spec.remedies = vec![Rule {
            name: "go-back".to_owned(),
            may: [Remedy::SwapBack].into(),
            services: [].into(),
            least_share: 60,
            most: 1,
            within_ms: 3_600_000,
            most_replicas: 10,
            line: 1,
        }];
        Release {
            number: ReleaseNumber(number),
            run: RunId(Uuid::from_u128(u128::from(number))),
            accepted_at: at(0),
            spec,
            manifest: None,
            reason: "up".to_owned(),
        }
    }

    async fn accept(store: &Store, release: &Release) {
        let write = |event| Write {
            key: Some(key()),
            run: Some(release.run),
            actor: Actor::daybook("test"),
            event,
            expected: None,
        };
        let began = Event::RunStarted {
            purpose: RunKind::Up,
            reason: "up".to_owned(),
            to: release.number,
            from: (release.number.0 > 1).then(|| ReleaseNumber(release.number.0 - 1)),
            spec: Box::new(release.spec.clone()),
            manifest: None,
            remove_volumes: Default::default(),
        };
        store.append(write(began)).await.unwrap();
        store.accept(write(Event::ReleaseAccepted { number: release.number }), release).await.unwrap();
        store.append(write(Event::RunFinished { verdict: Verdict::Reached })).await.unwrap();
    }

    /// A server of a simulated world.
    pub(in crate::observe) struct Scene {
        pub(in crate::observe) app: App,
        pub(in crate::observe) store: Store,
        pub(in crate::observe) incident: IncidentId,
    }

    impl Scene {
        /// Release 2 is in force, and an incident goes on of which it is suspected.
        pub(in crate::observe) async fn new(directory: &std::path::Path) -> Self {
            let store = Store::open(directory).await.unwrap();
            accept(&store, &release(1)).await;
            accept(&store, &release(2)).await;
            let world = Simulated::new(1);
            let app = App::new(Parts {
                store: store.clone(),
                runtime: Arc::new(world.clone()),
                router: Arc::new(world.clone()),
                places: Arc::new(Side { runtime: Arc::new(world.clone()), router: Arc::new(world) }),
                edge: None,
                clock: Arc::new(|| at(5)),
                state: directory.to_owned(),
                landing_zone: None,
            });
            let scene = Self { app, store, incident: IncidentId(Uuid::from_u128(7)) };
            let services: BTreeSet<ServiceName> = ["report".parse().unwrap()].into();
            let title = "report fails".to_owned();
            let opened =
                IncidentEvent::Opened { title, severity: Severity::Page, services: services.clone(), alert: None };
            scene.note(opened).await;
            let suspect = Suspect {
                kind: "release".to_owned(),
                title: "release 2 of report".to_owned(),
                at: at(1),
                services,
                share: 80,
                evidence: Vec::new(),
                factors: Vec::new(),
                next: Some(NextStep::SwapBack { to: ReleaseNumber(1) }),
            };
            scene.note(IncidentEvent::Suspected { suspects: vec![suspect] }).await;
            scene
        }

        pub(in crate::observe) async fn note(&self, event: IncidentEvent) {
            let actor = Actor::daybook("alerts");
            assert!(self.app.note_incident(Some(&key()), &actor, self.incident, event).await.is_ok());
        }

        /// What the journal says since release 2 of runs that began, and of what was done or noted about incidents.
        async fn told(&self) -> Vec<String> {
            let entries = self.store.read(&Query::default()).await.unwrap();
            let short = |event: &Event| match event {
                Event::RunStarted { purpose: RunKind::Up, .. } => None,
                Event::RunStarted { reason, .. } => Some(format!("began: {reason}")),
                Event::Incident { what, .. } => match &**what {
                    what @ (IncidentEvent::Acted { .. } | IncidentEvent::Noted { .. }) => {
                        Some(daybook_decide::incident::words(what))
                    }
                    _ => None,
                },
                _ => None,
            };
            entries.iter().filter_map(|entry| short(&entry.event)).collect()
        }
    }

    #[tokio::test]
    async fn an_action_is_in_the_journal_before_its_run_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::new(directory.path()).await;
        let mut reading = Reading::of(scene.store.subscribe());
        scene.app.mend_all(&mut reading).await;
        assert_eq!(scene.app.left_alone(scene.incident), [""; 0]);
        scene.app.mend_all(&mut reading).await;
        let expected = [
            "swap back to release 1 (rule go-back)",
            "began: rollback to 1: release 2 of report (80 % of what is suspected), incident 00000007",
        ];
        assert_eq!(scene.told().await, expected);
        let why = ["a rule did something about this incident already: swap back to release 1"];
        assert_eq!(scene.app.left_alone(scene.incident), why);
    }

    #[tokio::test]
    async fn what_a_killed_server_was_about_to_do_is_told_and_not_done() {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::new(directory.path()).await;
        scene.note(acted_by(99)).await;
        let mut reading = Reading::of(scene.store.subscribe());
        scene.app.mend_all(&mut reading).await;
        scene.app.mend_all(&mut reading).await;
        let expected = [
            "swap back to release 11 (rule go-back)",
            "note: swap back to release 11 (rule go-back) was not begun, and no rule tries it again",
        ];
        assert_eq!(scene.told().await, expected);
    }

    #[tokio::test]
    async fn who_sees_to_it_decides() {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::new(directory.path()).await;
        scene.note(IncidentEvent::Acknowledged).await;
        scene.app.mend_all(&mut Reading::of(scene.store.subscribe())).await;
        assert_eq!(scene.told().await, [""; 0]);
        assert_eq!(scene.app.left_alone(scene.incident), ["daybook sees to it"]);
    }

    #[tokio::test]
    async fn the_journal_is_read_again_only_after_an_entry_about_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::new(directory.path()).await;
        scene.note(IncidentEvent::Acknowledged).await;
        let mut reading = Reading::of(scene.store.subscribe());
        scene.app.mend_all(&mut reading).await;
        let before = |reading: &Reading| reading.kept[&key()].as_ref().unwrap().around.before;
        assert_eq!(before(&reading), Some(ReleaseNumber(1)));
        reading.kept.get_mut(&key()).unwrap().as_mut().unwrap().around.before = None;
        scene.app.mend_all(&mut reading).await;
        assert_eq!(before(&reading), None, "nothing was written, so nothing was read");
        scene.note(IncidentEvent::Noted { text: "the shop is slow".to_owned() }).await;
        scene.app.mend_all(&mut reading).await;
        assert_eq!(before(&reading), Some(ReleaseNumber(1)));
    }
}
