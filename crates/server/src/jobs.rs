//! Scheduled jobs: begun when due, once each, and never two runs of one job at a time.
//!
//! The beginning is journaled before the replica is started. After a crash in between, the world is
//! asked: a replica that is there ran or runs; one that is not is started now, unless it is too late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daybook_decide::jobs::{self, DueJob, DueVerdict, LATE_MS};
use daybook_executor::{Aside, AsideState};
use daybook_model::launch::Role;
use daybook_model::spec::Kind;
use daybook_model::{Actor, EnvKey, Event, Release, ReplicaId, ReplicaState, RunId, RunKind, ServiceName, Timestamp};
use daybook_store::{Job, Journal as _, Write};

use crate::App;
use crate::error::ApiError;

/// Between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl App {
    /// Begins jobs as they come due and records their ends, until the server stops.
    pub(crate) async fn tend_jobs(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            match self.inner.store.environments().await {
                Ok(known) => {
                    for environment in known.into_iter().filter(|environment| !environment.retired) {
                        if let Err(error) = self.tend_jobs_of(&environment.key, environment.open_run).await {
                            tracing::warn!(key = %environment.key, error = %error.0.message, "jobs wait");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "jobs wait"),
            }
        }
    }

    /// Whether nobody can say yet at which target a job is to run.
    async fn is_moving(&self, open_run: Option<RunId>) -> bool {
        let Some(run) = open_run else { return false };
        let record = self.inner.store.run(run).await;
        let purpose = record.ok().flatten().map(|record| record.started.event);
        matches!(purpose, Some(Event::RunStarted { purpose: RunKind::Move, .. }))
    }

    pub(crate) async fn tend_jobs_of(&self, key: &EnvKey, open_run: Option<RunId>) -> Result<(), ApiError> {
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(()) };
        let known = self.inner.store.jobs(key).await?;
        let has_jobs = release.spec.services.values().any(|service| matches!(service.kind, Kind::Job(_)));
        if !has_jobs && known.values().all(|job| job.running.is_none()) {
            return Ok(());
        }
        if self.is_moving(open_run).await {
            return Ok(());
        }
        for (service, job) in &known {
            if let Some((replica, due)) = &job.running {
                self.settle(&release, service, replica, *due).await?;
            }
        }
        let known = self.inner.store.jobs(key).await?;
        for due in due(&release, &known, self.now()) {
            match &due.verdict {
                DueVerdict::Skip(why) => self.skip(key, &due.service, due.due, why).await?,
                DueVerdict::Run => self.begin_job(&release, &due).await?,
            }
        }
        Ok(())
    }

    async fn begin_job(&self, release: &Release, due: &DueJob) -> Result<(), ApiError> {
        let key = &release.spec.key;
        let planning = self.planning(key);
        let _planning = planning.lock().await;
        self.sweep(key, &due.service).await?;
        let replica = self.inner.executor.next_replica(key, &due.service).await?;
        let event = Event::JobStarted { service: due.service.clone(), due: due.due, replica: replica.clone() };
        self.journal_job(key, event).await?;
        self.start_job(release, &due.service, &replica, due.due).await
    }

    async fn start_job(
        &self,
        release: &Release,
        service: &ServiceName,
        replica: &ReplicaId,
        due: Timestamp,
    ) -> Result<(), ApiError> {
        let key = &release.spec.key;
        let aside = aside(release, replica, Role::Job);
        match self.inner.executor.start_aside(key, &aside).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = ApiError::from(error);
                if error.0.retry {
                    return Err(error);
                }
                self.skip(key, service, due, &format!("it could not be started: {}", error.0.message)).await
            }
        }
    }

    /// Records the end of a run that has ended; starts one that never was.
    async fn settle(
        &self,
        release: &Release,
        service: &ServiceName,
        replica: &ReplicaId,
        due: Timestamp,
    ) -> Result<(), ApiError> {
        let key = &release.spec.key;
        match self.inner.executor.aside_state(key, replica, Role::Job).await? {
            AsideState::Running => Ok(()),
            AsideState::Ended(exit) => {
                let event = Event::JobFinished { service: service.clone(), due, code: exit.code };
                self.journal_job(key, event).await
            }
            AsideState::Missing => self.start_late(release, service, replica, due).await,
        }
    }

    async fn start_late(
        &self,
        release: &Release,
        service: &ServiceName,
        replica: &ReplicaId,
        due: Timestamp,
    ) -> Result<(), ApiError> {
        let late = self.now().as_millisecond() - due.as_millisecond() > LATE_MS;
        if late || !release.spec.services.contains_key(service) {
            let why = "Daybook ended before it could be started";
            return self.skip(&release.spec.key, service, due, why).await;
        }
        self.start_job(release, service, replica, due).await
    }

    /// Removes ended runs of a job: the last one's log is kept until the next begins.
    async fn sweep(&self, key: &EnvKey, service: &ServiceName) -> Result<(), ApiError> {
        let seen = self.inner.runtime.observe(key).await?;
        let ended = seen.replicas.iter().filter(|replica| {
            replica.role == Role::Job && &replica.id.service == service && replica.state == ReplicaState::Exited
        });
        for replica in ended {
            self.inner.executor.remove_aside(key, &replica.id, Role::Job).await?;
        }
        Ok(())
    }

    async fn skip(&self, key: &EnvKey, service: &ServiceName, due: Timestamp, why: &str) -> Result<(), ApiError> {
        let event = Event::JobSkipped { service: service.clone(), due, why: why.to_owned() };
        self.journal_job(key, event).await
    }

    async fn journal_job(&self, key: &EnvKey, event: Event) -> Result<(), ApiError> {
        let actor = Actor::daybook("timer");
        self.inner.store.append(Write { key: Some(key.clone()), run: None, actor, event, expected: None }).await?;
        Ok(())
    }
}

/// A replica beside the plan, in the configuration of a release and in the name of its run.
pub(crate) fn aside(release: &Release, replica: &ReplicaId, role: Role) -> Aside {
    Aside {
        release: release.number,
        spec: Arc::new(release.spec.clone()),
        replica: replica.clone(),
        role,
        run: release.run,
        command: None,
        environment: Vec::new(),
    }
}

fn due(release: &Release, known: &BTreeMap<ServiceName, Job>, now: Timestamp) -> Vec<DueJob> {
    let handled = known.iter().map(|(service, job)| (service.clone(), job.settled)).collect();
    let running = |service: &ServiceName| known.get(service).is_some_and(|job| job.running.is_some());
    jobs::due(&release.spec, &handled, &running, release.accepted_at, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    use daybook_model::spec::{Artifact, EnvValue, Schedule};
    use daybook_model::{Digest, ReleaseNumber, Spec};
    use daybook_runtime::Runtime as _;
    use daybook_runtime::simulated::{Behaviour, Simulated};
    use daybook_store::{Query, Store};

    use crate::Parts;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A release with one job, hourly, that was accepted at midnight.
    fn release() -> Release {
        let mut spec = Spec::empty("shop/production".parse().unwrap());
        let service = serde_json::json!({
            "name": "report", "kind": {"job": Schedule { cron: "0 * * * *".to_owned(), zone: "UTC".to_owned() }},
            "artifact": Artifact::image("report:1".to_owned(), Default::default(), Some(Digest::of(b"report:1"))),
            "container": daybook_model::spec::Container {
                environment: [("A".to_owned(), EnvValue::Text("1".to_owned()))].into_iter().collect(), ..Default::default()
            },
            "scale": daybook_model::spec::Scale::default(), "ports": [], "routes": [], "check": null,
            "depends_on": [], "restart": "no", "stop": daybook_model::spec::Stop::default(),
            "rollout": daybook_model::spec::Rollout::default(), "release_hook": null
        });
        spec.services.insert("report".parse().unwrap(), serde_json::from_value(service).unwrap());
        Release {
            number: ReleaseNumber(1),
            run: RunId(uuid::Uuid::from_u128(1)),
            accepted_at: at("2026-01-01T00:00:00Z"),
            spec,
            manifest: None,
            reason: "up".to_owned(),
        }
    }

    async fn accept(store: &Store, release: &Release) {
        let write = |event| Write {
            key: Some(release.spec.key.clone()),
            run: Some(release.run),
            actor: Actor::daybook("test"),
            event,
            expected: None,
        };
        let began = Event::RunStarted {
            purpose: daybook_model::RunKind::Up,
            reason: "up".to_owned(),
            to: release.number,
            from: None,
            spec: Box::new(release.spec.clone()),
            manifest: None,
            remove_volumes: Default::default(),
        };
        store.append(write(began)).await.unwrap();
        store.accept(write(Event::ReleaseAccepted { number: release.number }), release).await.unwrap();
        let verdict = daybook_model::Verdict::Reached;
        store.append(write(Event::RunFinished { verdict })).await.unwrap();
    }

    struct Scene {
        app: App,
        world: Simulated,
        now: Arc<Mutex<Timestamp>>,
        store: Store,
        key: EnvKey,
    }

    impl Scene {
        async fn new(dir: &std::path::Path, behaviour: Behaviour) -> Self {
            let (world, now) = (Simulated::new(1), Arc::new(Mutex::new(at("2026-01-01T00:00:00Z"))));
            world.behave(&Digest::of(b"report:1"), behaviour);
            let store = Store::open(dir).await.unwrap();
            accept(&store, &release()).await;
            let clock = {
                let now = now.clone();
                Arc::new(move || *now.lock().unwrap())
            };
            let app = App::new(Parts {
                store: store.clone(),
                runtime: Arc::new(world.clone()),
                router: Arc::new(world.clone()),
                places: Arc::new(daybook_runtime::Side {
                    runtime: Arc::new(world.clone()),
                    router: Arc::new(world.clone()),
                }),
                edge: None,
                clock,
                state: dir.to_owned(),
                landing_zone: None,
            });
            Self { app, world, now, store, key: release().spec.key }
        }

        async fn tend_at(&self, time: &str) {
            *self.now.lock().unwrap() = at(time);
            self.app.tend_jobs_of(&self.key, None).await.unwrap();
        }

        /// The job's events so far, in short.
        async fn told(&self) -> Vec<String> {
            let entries = self.store.read(&Query::default()).await.unwrap();
            let short = |event: &Event| match event {
                Event::JobStarted { due, replica, .. } => Some(format!("{replica} for {due}")),
                Event::JobFinished { due, code, .. } => Some(format!("code {code} for {due}")),
                Event::JobSkipped { due, .. } => Some(format!("skipped {due}")),
                _ => None,
            };
            entries.iter().filter_map(|entry| short(&entry.event)).collect()
        }

        async fn wait_for_the_end(&self) {
            while self
                .world
                .observe(&self.key)
                .await
                .unwrap()
                .replicas
                .iter()
                .any(daybook_model::SeenReplica::is_running)
            {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn r08_a_job_runs_once_for_each_time_and_never_beside_itself() {
        let dir = tempfile::tempdir().unwrap();
        let quick = Behaviour { ends_after_ms: Some((30, 0)), ..Behaviour::default() };
        let scene = Scene::new(dir.path(), quick).await;
        scene.tend_at("2026-01-01T00:59:59Z").await;
        assert!(scene.told().await.is_empty());
        scene.tend_at("2026-01-01T01:00:01Z").await;
        scene.tend_at("2026-01-01T02:00:00Z").await;
        scene.wait_for_the_end().await;
        scene.tend_at("2026-01-01T02:00:01Z").await;
        scene.tend_at("2026-01-01T02:00:02Z").await;
        let (one, two) = ("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z");
        let expected = [format!("report.1 for {one}"), format!("skipped {two}"), format!("code 0 for {one}")];
        assert_eq!(scene.told().await, expected);
    }

    #[tokio::test]
    async fn r13_a_jump_of_a_day_makes_no_job_run_late() {
        let dir = tempfile::tempdir().unwrap();
        let scene = Scene::new(dir.path(), Behaviour::default()).await;
        scene.tend_at("2026-01-02T00:30:00Z").await;
        scene.tend_at("2026-01-01T12:00:00Z").await;
        assert_eq!(scene.told().await, ["skipped 2026-01-02T00:00:00Z"]);
    }

    #[tokio::test]
    async fn r02_a_job_whose_start_was_lost_is_started_and_not_doubled() {
        let dir = tempfile::tempdir().unwrap();
        let scene = Scene::new(dir.path(), Behaviour { ends_after_ms: Some((30, 4)), ..Behaviour::default() }).await;
        let due = at("2026-01-01T01:00:00Z");
        let (service, replica) = ("report".parse().unwrap(), "report.1".parse().unwrap());
        scene.app.journal_job(&scene.key, Event::JobStarted { service, due, replica }).await.unwrap();
        scene.tend_at("2026-01-01T01:00:10Z").await;
        scene.tend_at("2026-01-01T01:00:10Z").await;
        assert_eq!(scene.world.observe(&scene.key).await.unwrap().replicas.len(), 1);
        scene.wait_for_the_end().await;
        scene.tend_at("2026-01-01T01:00:11Z").await;
        assert_eq!(scene.told().await, [format!("report.1 for {due}"), format!("code 4 for {due}")]);
    }
}
