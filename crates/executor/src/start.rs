//! The beginning of a run.

use daybook_decide::plan::Able;
use daybook_decide::{PlanContext, Problem, Progress};
use daybook_model::{
    Actor, Digest, EnvKey, Event, Observed, Plan, Release, ReleaseNumber, RunId, RunKind, Spec, Verdict, VolumeName,
};
use daybook_runtime::Capabilities;
use daybook_store::Write;
use std::collections::BTreeSet;

use crate::{Executor, Result};

/// A run to be started.
#[derive(Debug, Clone)]
pub struct RunStart {
    /// Its id.
    pub run: RunId,
    /// What it is for.
    pub purpose: RunKind,
    /// Why, in words.
    pub reason: String,
    /// Who asked.
    pub actor: Actor,
    /// The desired state, resolved.
    pub spec: Spec,
    /// Hash of the manifest it came from.
    pub manifest: Option<Digest>,
    /// The release in force.
    pub from: Option<ReleaseNumber>,
    /// The release it leads to.
    pub to: ReleaseNumber,
    /// Sequence number of the environment's latest journal entry as the caller knows it.
    pub expected: Option<u64>,
    /// Volumes to remove, by name.
    pub remove_volumes: BTreeSet<VolumeName>,
}

impl Executor {
    /// Plans from what was `seen`, without doing anything.
    pub async fn preview(
        &self,
        spec: &Spec,
        seen: &Observed,
        purpose: RunKind,
        current: Option<&Release>,
        to: ReleaseNumber,
        remove_volumes: &BTreeSet<VolumeName>,
    ) -> Result<(Plan, Vec<Problem>)> {
        let next_ordinals = self.inner.ledger.next_ordinals(&spec.key).await?;
        let cx = PlanContext {
            current,
            to,
            purpose,
            recovery: false,
            parent: None,
            progress: &Progress::default(),
            next_ordinals: &next_ordinals,
            remove_volumes,
            able: self.able(spec).await?,
        };
        Ok(daybook_decide::plan(spec, seen, &cx))
    }

    /// Journals that a run begins. Refused while another run of the environment is open.
    pub async fn start(&self, start: RunStart) -> Result<()> {
        let RunStart { run, purpose, reason, actor, spec, manifest, from, to, expected, remove_volumes } = start;
        let key = Some(spec.key.clone());
        let spec = Box::new(spec);
        let event = Event::RunStarted { purpose, reason, to, from, spec, manifest, remove_volumes };
        self.inner.ledger.append(Write { key, run: Some(run), actor, event, expected }).await?;
        Ok(())
    }

    /// Journals that an interrupted run goes on. It still has to be driven.
    pub async fn resume(&self, key: &EnvKey, run: RunId, actor: Actor) -> Result<()> {
        self.write_for(key, run, actor, Event::RunResumed).await
    }

    /// Journals that an interrupted run is given up, so that another change can begin.
    pub async fn abandon(&self, key: &EnvKey, run: RunId, actor: Actor) -> Result<()> {
        self.write_for(key, run, actor, Event::RunFinished { verdict: Verdict::Abandoned }).await
    }

    async fn write_for(&self, key: &EnvKey, run: RunId, actor: Actor, event: Event) -> Result<()> {
        let write = Write { key: Some(key.clone()), run: Some(run), actor, event, expected: None };
        self.inner.ledger.append(write).await?;
        Ok(())
    }

    pub(crate) async fn able(&self, spec: &Spec) -> Result<Able> {
        let home = self.inner.places.home();
        let side = self.inner.places.at(spec.target.as_ref().unwrap_or(&home)).await?;
        Ok(able(&side.runtime.capabilities_for(&spec.key)))
    }
}

/// What a plan has to know of a runtime.
pub fn able(capabilities: &Capabilities) -> Able {
    let Capabilities { images, networks, charts, quotas, .. } = *capabilities;
    Able { images, networks, charts, quotas }
}
