//! Watching environments: what crashed is noticed, and what is not as its release says is brought back.
//!
//! This only wakes the one path: a heal run is planned and carried out like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use daybook_decide::heal::Healing;
use daybook_decide::{PlanContext, Progress};
use daybook_model::launch::Role;
use daybook_model::{Actor, EnvKey, Event, Observed, Release, ReplicaId, ReplicaState, RunKind, SeenReplica};
use daybook_store::{Environment, Journal as _, Write};

use crate::App;
use crate::error::ApiError;

/// Between two looks at all environments.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is remembered of an environment between looks.
#[derive(Default)]
struct Watched {
    healing: Healing,
    restarts: BTreeMap<(ReplicaId, Role), u32>,
}

impl App {
    /// Looks at every environment again and again, until the server stops.
    pub(crate) async fn tend_health(self) {
        let mut watched: BTreeMap<EnvKey, Watched> = BTreeMap::new();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let known = match self.inner.store.environments().await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "the environments cannot be watched now");
                    continue;
                }
            };
            for environment in known.into_iter().filter(|environment| !environment.retired) {
                let watched = watched.entry(environment.key.clone()).or_default();
                if let Err(error) = self.look_at(&environment, watched).await {
                    tracing::debug!(key = %environment.key, error = %error.0.message, "it cannot be looked at now");
                }
            }
        }
    }

    async fn look_at(&self, environment: &Environment, watched: &mut Watched) -> Result<(), ApiError> {
        let key = &environment.key;
        let release = self.inner.store.current_release(key).await?;
        let spec = release.as_ref().map(|release| &release.spec);
        let seen = self.inner.executor.observe(key, spec).await?;
        self.notice(key, &seen, watched).await?;
        let Some(release) = release.filter(|_| environment.open_run.is_none()) else {
            watched.healing.look(false, self.now());
            self.inner.observatory.saw(seen);
            return Ok(());
        };
        let amiss = self.what_is_amiss(&release, &seen).await?;
        self.inner.observatory.saw(seen);
        if watched.healing.look(amiss.is_some(), self.now()) {
            let why = amiss.unwrap_or_default();
            tracing::info!(%key, %why, "healing");
            self.begin_heal(Arc::unwrap_or_clone(release), &why).await?;
        }
        Ok(())
    }

    /// What is amiss in an environment, in a few words; `None` when it is as its release says, or when
    /// it cannot be brought back.
    pub(crate) async fn what_is_amiss(&self, release: &Release, seen: &Observed) -> Result<Option<String>, ApiError> {
        let capabilities = self.inner.runtime.capabilities_for(&release.spec.key);
        let cx = PlanContext {
            current: Some(release),
            to: release.number,
            purpose: RunKind::Heal,
            recovery: false,
            parent: None,
            progress: &Progress::default(),
            next_ordinals: &self.inner.store.next_ordinals(&release.spec.key).await?,
            remove_volumes: &BTreeSet::new(),
            able: daybook_executor::able(&capabilities),
        };
        let (plan, problems) = daybook_decide::plan(&release.spec, seen, &cx);
        if plan.is_empty() || !problems.is_empty() {
            return Ok(None);
        }
        let first = plan.steps.first().map(|step| step.cause.why.clone());
        Ok(Some(first.map_or_else(|| "what runs is not what should run".to_owned(), Into::into)))
    }

    /// Journals crashes that no step caused. The first look only learns.
    async fn notice(&self, key: &EnvKey, seen: &Observed, watched: &mut Watched) -> Result<(), ApiError> {
        let mut restarts = BTreeMap::new();
        for replica in &seen.replicas {
            let id = (replica.id.clone(), replica.role);
            if let Some(before) = watched.restarts.get(&id)
                && replica.restarts > *before
            {
                let event = Event::Noticed { replica: replica.id.clone(), what: crash_words(replica) };
                let actor = Actor::daybook("heal");
                let write = Write { key: Some(key.clone()), run: None, actor, event, expected: None };
                self.inner.store.append(write).await?;
            }
            restarts.insert(id, replica.restarts);
        }
        watched.restarts = restarts;
        Ok(())
    }
}

fn crash_words(replica: &SeenReplica) -> String {
    let how = match &replica.last_exit {
        Some(exit) if exit.oom => "was killed for using more memory than its limit".to_owned(),
        Some(exit) => format!("ended with exit code {}", exit.code),
        None => "ended".to_owned(),
    };
    let then = match replica.state {
        ReplicaState::Running => "was started again",
        ReplicaState::Exited => "stays ended",
        ReplicaState::Restarting | ReplicaState::Starting | ReplicaState::Created => "will be started again",
    };
    let times = if replica.restarts == 1 { "restart" } else { "restarts" };
    format!("{how} and {then} ({} {times})", replica.restarts)
}
