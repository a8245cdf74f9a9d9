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
use daybook_model::{Actor, EnvKey, Event, Release, ReplicaId, ReplicaState, ServiceName, Timestamp};
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
                        if let Err(error) = self.tend_jobs_of(&environment.key).await {
                            tracing::warn!(key = %environment.key, error = %error.0.message, "jobs wait");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "jobs wait"),
            }
        }
    }

    pub(crate) async fn tend_jobs_of(&self, key: &EnvKey) -> Result<(), ApiError> {
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(()) };
        let known = self.inner.store.jobs(key).await?;
        let has_jobs = release.spec.services.values().any(|service| matches!(service.kind, Kind::Job(_)));
        if !has_jobs && known.values().all(|job| job.running.is_none()) {
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
