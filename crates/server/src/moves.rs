//! Bringing an environment to another target.

use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_api::change::{Leave, Move};
use daybook_manifest::Aim;
use daybook_model::launch::Role;
use daybook_model::traffic::Traffic;
use daybook_model::{Release, Spec, Target};
use daybook_runtime::Apart;

use crate::App;
use crate::change::Desired;
use crate::error::ApiError;

/// How long an entrance is watched before it is said that nobody comes in there any more.
const QUIET_FOR: Duration = Duration::from_secs(2);

impl App {
    /// What the manifest of a move leads to at its target. What stands in the way is named all at once.
    pub(crate) async fn moved(&self, wanted: &Move, aim: Aim) -> Result<Desired, ApiError> {
        let mut loaded = self.load(&wanted.up, aim)?;
        self.name_target(&mut loaded.spec).await?;
        let current = self.require_release(&loaded.key()).await?;
        loaded.spec.leaving = self.left_by(&current.spec, &loaded.spec).await?;
        let shares_entrance = loaded.spec.leaving.is_none();
        let hindrances =
            daybook_decide::plan::hindrances(&current.spec, &loaded.spec, shares_entrance, wanted.empty_volumes);
        let from = current.spec.clone();
        let desired = self.up_of(loaded, Some(current), aim).await?;
        crate::runs::refuse_problems(&desired, &hindrances)?;
        self.refuse_while_jobs_run(&from).await?;
        Ok(desired)
    }

    /// The target that goes on to serve after the move, because clients come in there until they are told.
    async fn left_by(&self, from: &Spec, to: &Spec) -> Result<Option<Target>, ApiError> {
        let (key, places) = (&to.key, &self.inner.places);
        let (here, there) = (self.target_of(from), self.target_of(to));
        if here == there {
            return Err(ApiError::invalid(format!("{key} is on {here} already")));
        }
        if let Some(left) = from.leaving.as_ref().filter(|left| **left != there) {
            let message = format!("{key} has not left {left} yet");
            return Err(ApiError::new(ErrorCode::Usage, message)
                .hint(format!("finish that move first: `daybook env move {} --finish`", key.env)));
        }
        match places.apart(key, &here, &there).await? {
            Apart::OneEntrance => Ok(None),
            Apart::TwoEntrances => Ok(Some(here)),
            Apart::Nowhere => {
                let message = format!("{here} and {there} are the same place, and {key} is there already");
                Err(ApiError::invalid(message).hint("take it down to change how its target is reached"))
            }
        }
    }

    /// Where a spec is meant to run.
    pub(crate) fn target_of(&self, spec: &Spec) -> Target {
        spec.target.clone().unwrap_or_else(|| self.inner.places.home())
    }

    /// The environment without the target that it still serves from as well.
    pub(crate) async fn left(&self, leave: &Leave) -> Result<Desired, ApiError> {
        let current = self.require_release(&leave.key).await?;
        let Some(target) = current.spec.leaving.clone() else {
            return Err(ApiError::invalid(format!("{} runs at one target only: no move is to be finished", leave.key)));
        };
        if !leave.force {
            self.refuse_while_used(&current, &target).await?;
        }
        let mut spec = current.spec.clone();
        spec.leaving = None;
        self.edit_of(current, spec).await
    }

    /// An entrance that clients still use is not closed.
    async fn refuse_while_used(&self, current: &Release, target: &Target) -> Result<(), ApiError> {
        let key = &current.spec.key;
        let router = self.inner.places.at(target).await?.router;
        let before = requests(&router.traffic(key).await?);
        tokio::time::sleep(QUIET_FOR).await;
        let came = requests(&router.traffic(key).await?).saturating_sub(before);
        if came == 0 {
            return Ok(());
        }
        let message =
            format!("clients still come in at {target}: {came} requests in the last {} s", QUIET_FOR.as_secs());
        Err(ApiError::new(ErrorCode::Denied, message).hint(format!(
            "point their names at the new entrance (`daybook status -e {0}` shows it) and wait until they follow, or \
             close the old one all the same: `daybook env move {0} --finish --force`",
            key.env
        )))
    }

    /// A run of a job is not torn from the place where it runs.
    async fn refuse_while_jobs_run(&self, from: &Spec) -> Result<(), ApiError> {
        let side = self.inner.places.at(&self.target_of(from)).await?;
        let seen = side.runtime.observe(&from.key).await?;
        let mut jobs = seen
            .replicas
            .iter()
            .filter(|replica| matches!(replica.role, Role::Job | Role::OneOff) && replica.state.is_live());
        match jobs.next() {
            None => Ok(()),
            Some(replica) => {
                let message = format!("{} runs just now, and would be ended by a move", replica.id);
                Err(ApiError::new(ErrorCode::Denied, message).hint("move when it is over"))
            }
        }
    }
}

fn requests(traffic: &Traffic) -> u64 {
    let answered: u64 = traffic.replicas.values().map(daybook_model::traffic::ReplicaTraffic::requests).sum();
    answered + traffic.unserved.values().sum::<u64>()
}
