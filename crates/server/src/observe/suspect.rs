//! What users feel of an incident, and what is suspected: measured, and read out of the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daybook_decide::cause::{self, Change, Changed, Symptom, What};
use daybook_decide::incident::Incident;
use daybook_model::event::Toward;
use daybook_model::incident::{Impact, IncidentEvent, IncidentId};
use daybook_model::spec::Artifact;
use daybook_model::{
    Action, Actor, DatabaseName, Entry, EnvKey, Event, Release, ReleaseNumber, RunId, RunKind, Service, ServiceName,
    Spec, Timestamp,
};
use daybook_promql::Answer;
use daybook_store::{Journal as _, Query};
use jiff::SignedDuration;

use super::ask::{When, ask};
use super::turns::Look;
use crate::App;
use crate::error::ApiError;

/// What happened longer before is not suspected.
const BEFORE: SignedDuration = SignedDuration::from_hours(3);
/// Entries that are looked at, at most.
const ENTRIES: usize = 5_000;
/// A question about what users feel takes no longer.
pub(super) const WITHIN: Duration = Duration::from_secs(10);

impl App {
    /// Measures what users feel of an incident, compares what changed before with it if the cause is looked for, and
    /// writes both down.
    pub(super) async fn suspect(&self, id: IncidentId, look: Look) -> Result<(), ApiError> {
        let Some((key, incident)) = self.inner.incidents.find(id).filter(|(_, incident)| incident.is_open()) else {
            return Ok(());
        };
        let (key, actor) = (key.as_ref(), Actor::daybook("alerts"));
        if let Some(key) = key {
            let impact = self.impact(key, &incident).await;
            if incident.impact.as_ref() != Some(&impact) {
                self.note_incident(Some(key), &actor, id, IncidentEvent::Felt { impact }).await?;
            }
        }
        if !is_to_be_suspected(&incident, look) {
            return Ok(());
        }
        let mut symptoms: Vec<Symptom> = incident.alerts.iter().map(Symptom::of).collect();
        if let Some(key) = key {
            for symptom in &mut symptoms {
                if let Some(service) = symptom.service.clone() {
                    symptom.by_release = self.errors_by_release(key, &service, incident.onset).await;
                }
            }
        }
        let related = self.related(key).await?;
        let mut changes = self.changes(key, incident.onset).await?;
        changes.extend(self.seen(key, incident.onset).await?);
        let suspects = cause::rank(&symptoms, &changes, &related, incident.onset);
        if suspects != incident.suspects {
            self.note_incident(key, &actor, id, IncidentEvent::Suspected { suspects }).await?;
        }
        Ok(())
    }

    /// The share of requests that fail, percent, by release: of those that serve since it hurts. That one which is gone
    /// served well before says nothing.
    async fn errors_by_release(
        &self,
        key: &EnvKey,
        service: &ServiceName,
        onset: Timestamp,
    ) -> BTreeMap<ReleaseNumber, f64> {
        let of = selector(key, Some(service));
        let since = self.now().duration_since(onset).as_secs().clamp(30, 300);
        let question = format!(
            "100 * sum by (release) (rate(daybook_http_requests_total{{{of},code=~\"5..\"}}[{since}s])) \
             / sum by (release) (rate(daybook_http_requests_total{{{of}}}[{since}s]))"
        );
        let elements = self.vector(&question).await;
        let number = |release: &str| release.parse().ok().map(ReleaseNumber);
        elements.into_iter().filter_map(|(labels, value)| Some((number(labels.get("release"))?, value))).collect()
    }

    async fn impact(&self, key: &EnvKey, incident: &Incident) -> Impact {
        let felt = self.now().duration_since(incident.onset).as_secs().clamp(60, 24 * 3600);
        let one = (incident.services.len() == 1).then(|| incident.services.first()).flatten();
        let of = selector(key, one);
        let all = format!("sum(increase(daybook_http_requests_total{{{of}}}[{felt}s]))");
        let failed = format!("sum(increase(daybook_http_requests_total{{{of},code=~\"5..\"}}[{felt}s]))");
        let p95 = |offset: &str| {
            format!(
                "1000 * histogram_quantile(0.95, sum by (le) \
                 (rate(daybook_http_request_duration_seconds_bucket{{{of}}}[5m]{offset})))"
            )
        };
        let (requests, failed) = (self.number(&all).await, self.number(&failed).await);
        let (usual, now) = (self.number(&p95(" offset 30m")).await, self.number(&p95("")).await);
        let count = |value: Option<f64>| value.unwrap_or(0.0).round().max(0.0) as u64;
        let p95_ms = usual.zip(now).map(|(usual, now)| (count(Some(usual)), count(Some(now))));
        let by_route = format!("sum by (route) (increase(daybook_route_requests_total{{{of},code=\"5xx\"}}[{felt}s]))");
        let by_route = self.vector(&by_route).await;
        let by_route = by_route.into_iter().map(|(labels, value)| (labels.get("route").to_owned(), count(Some(value))));
        Impact { requests: count(requests), failed: count(failed), p95_ms, routes: worst(by_route.collect()) }
    }

    pub(super) async fn number(&self, question: &str) -> Option<f64> {
        self.vector(question).await.first().map(|(_, value)| *value).filter(|value| value.is_finite())
    }

    /// What a question answers now; nothing where it cannot be asked.
    pub(super) async fn vector(&self, question: &str) -> Vec<(daybook_metrics::Labels, f64)> {
        let when = When::At(self.now().as_millisecond());
        let answer = ask(&self.inner.observatory, question, when, Some(WITHIN)).await;
        let Ok(Answer::Vector(elements)) = answer.map(|output| output.answer) else { return Vec::new() };
        elements.into_iter().filter_map(|element| Some((element.labels, element.value.float()?))).collect()
    }

    /// What changed before an incident began, and until now.
    async fn changes(&self, key: Option<&EnvKey>, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let query = Query { key: key.cloned(), limit: Some(ENTRIES), newest: true, ..Query::default() };
        let entries = self.inner.store.read(&query).await?;
        let from = onset.checked_sub(BEFORE).unwrap_or(onset);
        let mut releases = BTreeMap::new();
        for number in entries.iter().filter_map(|entry| release_of(&entry.event)) {
            if let (Some(key), false) = (key, releases.contains_key(&number)) {
                releases.extend(self.inner.store.release(key, number).await?.map(|release| (number, release)));
            }
        }
        Ok(read(&entries, &releases, from))
    }
}

/// Whether a cause is found better now than before. What is measured shows what is so now: when an alert has ended,
/// locks and slow queries may be over with it, and what was suspected while it fired is nearer the truth.
fn is_to_be_suspected(incident: &Incident, look: Look) -> bool {
    incident.suspects.is_empty() || (look == Look::Cause && incident.firing().next().is_some())
}

/// Routes that are told of, at most.
const ROUTES: usize = 3;

/// The routes with the most failed requests, worst first, without those that had none.
fn worst(mut routes: Vec<(String, u64)>) -> Vec<(String, u64)> {
    routes.retain(|(_, failed)| *failed > 0);
    routes.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
    routes.truncate(ROUTES);
    routes
}

/// The release before a change, whose specification is compared.
fn release_of(event: &Event) -> Option<ReleaseNumber> {
    match event {
        Event::RunStarted { from, .. } => *from,
        _ => None,
    }
}

fn selector(key: &EnvKey, service: Option<&ServiceName>) -> String {
    let service = service.map(|service| format!(",service=\"{service}\"")).unwrap_or_default();
    format!("app=\"{}\",env=\"{}\"{service}", key.app, key.env)
}

/// What entries of the journal say of changes.
fn read(entries: &[Entry], releases: &BTreeMap<ReleaseNumber, Release>, from: Timestamp) -> Vec<Change> {
    let mut changes = Vec::new();
    for entry in entries.iter().filter(|entry| entry.at >= from) {
        let at = entry.at;
        let one = |what, service: Option<&ServiceName>| Change {
            at,
            ended: Some(at),
            what,
            services: service.into_iter().cloned().collect(),
            host: None,
        };
        match &entry.event {
            Event::RunStarted { purpose, reason, to, from, spec, .. } => {
                let before = from.and_then(|from| releases.get(&from)).map(|release| &release.spec);
                let differing: Vec<_> = spec
                    .services
                    .values()
                    .filter_map(|service| Some((service.as_ref(), before?.services.get(&service.name)?.as_ref())))
                    .filter(|(now, before)| is_changed(now, before))
                    .collect();
                let come = come_or_gone(spec, before);
                let changed = run(*purpose, reason, (*to, *from), &differing, come, migrated(entries, entry.run));
                // What a run has changed stays when the run is over.
                changes.extend(changed.map(|(what, services)| Change { services, ..one(what, None) }));
            }
            Event::Noticed { replica, what } => {
                let service = Some(&replica.service);
                changes.push(match what.contains("more memory than its limit") {
                    true => one(What::OutOfMemory { times: 1, limit_bytes: None }, service),
                    false => one(What::Crash { times: 1, code: exit_code(what) }, service),
                });
            }
            Event::JobStarted { service, .. } => {
                let finished = entries.iter().find(|later| {
                    later.seq > entry.seq
                        && matches!(&later.event, Event::JobFinished { service: other, .. } if other == service)
                });
                let job = What::Job { job: service.clone() };
                changes.push(Change { ended: finished.map(|entry| entry.at), ..one(job, Some(service)) });
            }
            Event::BackupStarted { of, .. } => changes.push(one(What::Backup { of: of.to_string() }, None)),
            Event::Restored { of, .. } => {
                changes.push(one(What::Hand { what: format!("{of} was restored from a backup") }, None));
            }
            Event::Executed { replica, program } => {
                let what = format!("{program} was run in {replica}");
                changes.push(one(What::Hand { what }, Some(&replica.service)));
            }
            _ => {}
        }
    }
    together(changes)
}

/// What a run has done to databases, as far as it came: the migrations of those steps that it began.
fn migrated(entries: &[Entry], run: Option<RunId>) -> Vec<(DatabaseName, String)> {
    let (mut plans, mut begun) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| run.is_some() && entry.run == run) {
        match &entry.event {
            Event::Planned { plan, toward: Toward::Target } => plans.push(plan),
            Event::StepStarted { plan, step, .. } => begun.push((plan, *step)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for plan in plans {
        for step in plan.steps.iter().filter(|step| begun.contains(&(&plan.id, step.id))) {
            let Action::Migrate { database, migrations } = &step.action else { continue };
            for pending in migrations {
                let one = (database.clone(), pending.what.clone());
                // A plan that was made anew after a crash may have it once more.
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
    }
    all
}

/// Whether a service is another, wherever in the manifest it stands.
fn is_changed(now: &Service, before: &Service) -> bool {
    now != &Service { line: now.line, ..before.clone() }
}

/// Services that only one of two specifications has. Of what nobody knows how it was before, all.
fn come_or_gone(now: &Spec, before: Option<&Spec>) -> Vec<ServiceName> {
    let is_in = |spec: Option<&Spec>, name: &ServiceName| spec.is_some_and(|spec| spec.services.contains_key(name));
    let come = now.services.keys().filter(|name| !is_in(before, name));
    let gone = before.into_iter().flat_map(|before| before.services.keys()).filter(|name| !is_in(Some(now), name));
    come.chain(gone).cloned().collect()
}

/// What a run changes, and of which services.
fn run(
    purpose: RunKind,
    reason: &str,
    (to, from): (ReleaseNumber, Option<ReleaseNumber>),
    differing: &[(&Service, &Service)],
    mut others: Vec<ServiceName>,
    migrated: Vec<(DatabaseName, String)>,
) -> Option<(What, BTreeSet<ServiceName>)> {
    let databases = migrated.iter().filter_map(|(database, _)| database.as_str().parse().ok());
    let services = differing.iter().map(|(now, _)| now.name.clone()).chain(databases).collect();
    if purpose == RunKind::Heal {
        return None;
    }
    if reason.starts_with("restart") {
        return Some((What::Restart, services));
    }
    if reason.starts_with("stop") {
        return Some((What::Stopped, services));
    }
    let scaled: Vec<_> = differing.iter().filter(|(now, before)| now.scale != before.scale).collect();
    let mut changed = changed(differing);
    // A migration that came with anything else is not all that the release is.
    if changed.is_empty() && !migrated.is_empty() {
        others.extend(differing.iter().map(|(now, _)| now.name.clone()));
        changed.extend((!others.is_empty()).then_some(Changed::Others { services: others }));
    }
    changed.extend(migrated.into_iter().map(|(database, what)| Changed::Migration { database, what }));
    if let ([(now, before)], true) = (scaled.as_slice(), changed.is_empty()) {
        return Some((What::Scale { from: before.replicas(), to: now.replicas() }, services));
    }
    Some((What::Release { number: to, previous: from, changed }, services))
}

fn changed(differing: &[(&Service, &Service)]) -> Vec<Changed> {
    let mut all: Vec<Changed> = Vec::new();
    // What changes in many services alike is said once.
    let mut add = |changed: Changed| {
        if !all.contains(&changed) {
            all.push(changed);
        }
    };
    for (now, before) in differing {
        if now.artifact != before.artifact {
            add(Changed::Image { from: artifact(&before.artifact), to: artifact(&now.artifact) });
        }
        let (new, old) = (&now.container, &before.container);
        let names = new.environment.keys().chain(old.environment.keys()).collect::<BTreeSet<_>>();
        let mut keys: Vec<_> = names
            .into_iter()
            .filter(|name| new.environment.get(*name) != old.environment.get(*name))
            .map(ToString::to_string)
            .collect();
        if new.command != old.command || new.entrypoint != old.entrypoint {
            keys.push("command".to_owned());
        }
        if new.files != old.files {
            keys.push("files".to_owned());
        }
        if !keys.is_empty() {
            add(Changed::Configuration { keys });
        }
        let less = |new: Option<u64>, old: Option<u64>| new.zip(old).filter(|(new, old)| new < old);
        if let Some((new, old)) = less(new.resources.memory_bytes, old.resources.memory_bytes) {
            let size = daybook_decide::text::size;
            let what = format!("{} → {}", size(old), size(new));
            add(Changed::Less { resource: cause::Resource::Memory, what });
        }
        if now.routes != before.routes {
            add(Changed::Routes);
        }
    }
    all
}

fn artifact(artifact: &Artifact) -> String {
    match artifact {
        Artifact::Image { reference, digest, .. } => {
            digest.as_ref().map_or_else(|| reference.clone(), |digest| format!("{reference} {}", digest.short()))
        }
        Artifact::Build(build) => build.tag.clone().unwrap_or_else(|| build.context.clone()),
        Artifact::Static { root, .. } => root.clone(),
        Artifact::Chart(chart) => chart.reference.clone(),
        Artifact::StatusPage(page) => page.title.clone(),
    }
}

/// The exit code that words of a crash name.
fn exit_code(words: &str) -> i32 {
    let code = words.split("exit code ").nth(1).and_then(|rest| rest.split([' ', ',']).next());
    code.and_then(|code| code.parse().ok()).unwrap_or(-1)
}

/// Ends of replicas of one service count as one change, which began with the first.
fn together(changes: Vec<Change>) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    for change in changes {
        let same = all.iter_mut().find(|other| {
            other.services == change.services
                && match (&other.what, &change.what) {
                    (What::OutOfMemory { .. }, What::OutOfMemory { .. }) => true,
                    (What::Crash { code: one, .. }, What::Crash { code: other, .. }) => one == other,
                    _ => false,
                }
        });
        match same {
            Some(known) => {
                known.ended = change.ended;
                if let What::OutOfMemory { times, .. } | What::Crash { times, .. } = &mut known.what {
                    *times += 1;
                }
            }
            None => all.push(change),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use daybook_model::database::Pending;
    use daybook_model::{Cause, Digest, Effect, Plan, PlanId, Step, StepId};

    use super::*;
    use crate::observe::remedies::tests::release;

    fn entry(seq: u64, second: i64, event: Event) -> Entry {
        Entry {
            seq,
            at: Timestamp::from_second(second).unwrap(),
            key: Some("shop/production".parse().unwrap()),
            run: None,
            actor: Actor::daybook("heal"),
            event,
            previous: Digest::of(b""),
            hash: Digest::of(b""),
        }
    }

    #[test]
    fn routes_that_fail_are_told_worst_first() {
        let of = |routes: &[(&str, u64)]| {
            routes.iter().map(|(route, failed)| ((*route).to_owned(), *failed)).collect::<Vec<_>>()
        };
        let told = worst(of(&[("a/", 0), ("d/", 2), ("c/", 2), ("a/api", 9), ("b/", 1)]));
        assert_eq!(told, of(&[("a/api", 9), ("c/", 2), ("d/", 2)]));
        assert!(worst(of(&[("a/", 0)])).is_empty());
    }

    #[test]
    fn crashes_of_a_service_are_one_change() {
        let noticed = |seq, second, what: &str| {
            entry(seq, second, Event::Noticed { replica: "web.1".parse().unwrap(), what: what.to_owned() })
        };
        let entries = [
            noticed(1, 10, "ended with exit code 3 and was started again (1 restart)"),
            noticed(2, 20, "ended with exit code 3 and was started again (2 restarts)"),
            noticed(3, 30, "was killed for using more memory than its limit and was started again (3 restarts)"),
        ];
        let changes = read(&entries, &BTreeMap::new(), Timestamp::UNIX_EPOCH);
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[0].what, What::Crash { times: 2, code: 3 });
        assert_eq!(changes[1].what, What::OutOfMemory { times: 1, limit_bytes: None });
        assert!(read(&entries, &BTreeMap::new(), Timestamp::from_second(60).unwrap()).is_empty(), "too long before");
    }

    #[test]
    fn a_release_that_migrates_is_told_as_what_it_did_to_the_database() {
        let database: DatabaseName = "db".parse().unwrap();
        let pending =
            |what: &str| Pending { what: what.to_owned(), script: "V2__a.sql".to_owned(), remarks: Vec::new() };
        let step = |id, what: &str| Step {
            id: StepId(id),
            action: Action::Migrate { database: database.clone(), migrations: vec![pending(what)] },
            cause: Cause { why: "a migration".into(), line: None },
            needs: Vec::new(),
        };
        let plan = Plan {
            id: PlanId(Digest::of(b"plan")),
            parent: None,
            key: "shop/production".parse().unwrap(),
            from: Some(ReleaseNumber(1)),
            to: ReleaseNumber(2),
            steps: vec![step(0, "version 2 (drop index)"), step(1, "version 3 (never begun)")],
            changes: Vec::new(),
        };
        let run_id = RunId(uuid::Uuid::from_u128(7));
        let of_run = |seq, event| Entry { run: Some(run_id), ..entry(seq, 10, event) };
        let started = |spec| Event::RunStarted {
            purpose: RunKind::Up,
            reason: "up".to_owned(),
            to: ReleaseNumber(2),
            from: Some(ReleaseNumber(1)),
            spec: Box::new(spec),
            manifest: None,
            remove_volumes: BTreeSet::new(),
        };
        let began = Event::StepStarted { plan: plan.id.clone(), step: StepId(0), effect: Effect::Once };
        let planned = Event::Planned { plan: Box::new(plan), toward: Toward::Target };
        // What a release from one specification to another is told as.
        let told = |before: &Release, now: &Release| {
            let entries = [of_run(1, started(now.spec.clone())), of_run(2, planned.clone()), of_run(3, began.clone())];
            read(&entries, &[(ReleaseNumber(1), before.clone())].into(), Timestamp::UNIX_EPOCH)
        };
        let with = release(1);
        let without = Release { spec: Spec::empty("shop/production".parse().unwrap()), ..with.clone() };
        let mut otherwise = with.clone();
        otherwise.spec.services.values_mut().for_each(|service| service.generation += 1);
        let migration = Changed::Migration { database, what: "version 2 (drop index)".to_owned() };
        let others = Changed::Others { services: vec!["report".parse().unwrap()] };
        for (before, now, others) in [
            (&with, &with, None),
            (&without, &with, Some(&others)),
            (&with, &without, Some(&others)),
            (&with, &otherwise, Some(&others)),
        ] {
            let changes = told(before, now);
            let changed = others.into_iter().chain([&migration]).cloned().collect();
            let what = What::Release { number: ReleaseNumber(2), previous: Some(ReleaseNumber(1)), changed };
            assert_eq!(changes.iter().map(|change| &change.what).collect::<Vec<_>>(), [&what]);
            assert!(changes[0].services.iter().any(|service| service.as_str() == "db"), "{changes:?}");
        }
    }
}
