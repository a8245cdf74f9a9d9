//! Release hooks: run once, and asked about when nobody knows.

use std::time::Duration;

use daybook_model::event::{Answer, Failure, StepOutcome};
use daybook_model::launch::Role;
use daybook_model::spec::Stop;
use daybook_model::{EnvKey, ReplicaId, ReplicaState, Service};

use tokio::time::Instant;

use crate::act::service;
use crate::await_steps::PAUSE;
use crate::drive::RunContext;
use crate::evidence::{ending, exit_words};
use crate::hindrance::Hindrance;
use crate::patience::patiently;
use crate::{Executor, Result};

/// What runs once may wait so long for a machine and its image, where the manifest says nothing. How long it then takes
/// is its own affair.
pub(crate) const STARTS_WITHIN: Duration = Duration::from_secs(300);

impl Executor {
    /// Runs a hook to its end. One that is there already is not started again: an earlier attempt at
    /// this step got so far without hearing of it.
    pub(crate) async fn run_hook(&self, cx: &RunContext, replica: &ReplicaId) -> Result<StepOutcome> {
        self.inner.looks.outdate(&cx.key);
        let there = self.glance_at(&cx.key, replica, Role::Hook).await?;
        if there.is_none_or(|hook| hook.state == ReplicaState::Created) {
            let launch = self.launch(cx, replica, Role::Hook).await?;
            self.inner.runtime.start(&launch).await?;
            self.inner.looks.outdate(&cx.key);
        }
        let service = service(cx, &replica.service)?;
        Ok(match self.hook_ended(&cx.key, replica, Some(service)).await? {
            Answer::HappenedAndFailed(failure) => StepOutcome::Failed(failure),
            Answer::Happened => StepOutcome::Done("exit code 0".to_owned()),
            Answer::DidNotHappen => StepOutcome::Failed(ending("the release hook vanished while it ran", None)),
        })
    }

    /// Whether an interrupted hook ran. One that still runs is waited for.
    pub(crate) async fn ask_hook(&self, key: &EnvKey, replica: &ReplicaId) -> Result<Answer> {
        self.hook_ended(key, replica, None).await
    }

    async fn hook_ended(&self, key: &EnvKey, id: &ReplicaId, service: Option<&Service>) -> Result<Answer> {
        let starts_within = service.map_or(STARTS_WITHIN, |service| Duration::from_millis(service.rollout.ready_ms));
        let began = Instant::now();
        let mut known = Hindrance::new();
        loop {
            let Some(seen) = self.glance_at(key, id, Role::Hook).await? else { return Ok(Answer::DidNotHappen) };
            match seen.state {
                ReplicaState::Created => return Ok(Answer::DidNotHappen),
                ReplicaState::Starting => {
                    self.ask_what_hinders(key, &id.service, &mut known).await;
                    let no_use = known.no_use(service);
                    if no_use.is_some() || began.elapsed() > starts_within {
                        let cause = no_use.unwrap_or_else(|| known.cause(&seen, service));
                        self.inner.runtime.stop(key, id, Role::Hook, &Stop::default()).await?;
                        let failure = ending(&format!("the release hook did not start: {cause}"), None);
                        return Ok(Answer::HappenedAndFailed(Failure { cause: Some(cause), ..failure }));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                ReplicaState::Running | ReplicaState::Restarting => {
                    tokio::time::sleep(PAUSE).await;
                }
                ReplicaState::Exited => {
                    let exit = seen.last_exit.as_ref();
                    if exit.is_some_and(|exit| exit.code == 0) {
                        return Ok(Answer::Happened);
                    }
                    let mut failure = ending("the release hook failed", exit);
                    failure.evidence.extend(exit.map(exit_words));
                    failure.log = self.last_lines(key, id, Role::Hook).await;
                    return Ok(Answer::HappenedAndFailed(failure));
                }
            }
        }
    }

    /// Removes a hook's replica. What remains is swept by a later plan.
    pub(crate) async fn forget_hook(&self, key: &EnvKey, replica: &ReplicaId) {
        let removed =
            patiently(|| Box::pin(async { Ok(self.inner.runtime.remove(key, replica, Role::Hook).await?) })).await;
        if let Err(error) = removed {
            tracing::warn!(%error, %replica, "the replica of a finished hook stays for now");
        }
    }
}
