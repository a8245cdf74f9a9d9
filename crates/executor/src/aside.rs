//! Replicas beside the plan: runs of scheduled jobs, and commands that a person runs once.

use std::sync::Arc;

use daybook_model::launch::Role;
use daybook_model::observed::Exit;
use daybook_model::{EnvKey, ReleaseNumber, ReplicaId, ReplicaState, RunId, ServiceName, Spec};

use crate::drive::RunContext;
use crate::{Executor, Result};

/// A replica beside the plan.
#[derive(Debug, Clone)]
pub struct Aside {
    /// The release whose configuration it has.
    pub release: ReleaseNumber,
    /// That release's spec.
    pub spec: Arc<Spec>,
    /// Its name. Ordinals of jobs and one-off runs are taken from the service's, and never used twice.
    pub replica: ReplicaId,
    /// [`Role::Job`] or [`Role::OneOff`].
    pub role: Role,
    /// What names it in the journal.
    pub run: RunId,
    /// Another command than the service's.
    pub command: Option<Vec<String>>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
}

/// Where a replica beside the plan is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsideState {
    /// There is none of this name.
    Missing,
    /// Its process runs.
    Running,
    /// Its process ended.
    Ended(Exit),
}

impl Executor {
    /// The next unused name for a replica of `service`.
    pub async fn next_replica(&self, key: &EnvKey, service: &ServiceName) -> Result<ReplicaId> {
        let unused = self.inner.ledger.next_ordinals(key).await?.get(service).copied().unwrap_or(1);
        let seen = self.inner.runtime.observe(key).await?;
        let there = seen.replicas.iter().filter(|replica| &replica.id.service == service && replica.role != Role::Hook);
        let highest = there.map(|replica| replica.id.ordinal).max().unwrap_or(0);
        Ok(ReplicaId::new(service.clone(), unused.max(highest + 1)))
    }

    /// Gets its artifact and starts it, unless it is there already.
    pub async fn start_aside(&self, key: &EnvKey, aside: &Aside) -> Result<()> {
        if self.aside_state(key, &aside.replica, aside.role).await? != AsideState::Missing {
            return Ok(());
        }
        let context = RunContext {
            backlog: Arc::default(),
            key: key.clone(),
            run: aside.run,
            spec: aside.spec.clone(),
            previous: None,
            release: aside.release,
            behind: None,
        };
        let service = crate::act::service(&context, &aside.replica.service)?;
        self.inner.runtime.prepare(key, &service.artifact, &|_: &str| ()).await?;
        let mut launch = self.launch(&context, &aside.replica, aside.role).await?;
        if let Some(command) = &aside.command {
            launch.container.command = Some(command.clone());
        }
        launch.environment.extend(aside.environment.iter().cloned());
        self.inner.runtime.start(&launch).await?;
        self.inner.looks.outdate(key);
        Ok(())
    }

    /// Where it is now.
    pub async fn aside_state(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<AsideState> {
        let seen = self.inner.runtime.observe(key).await?;
        let Some(replica) = seen.replicas.into_iter().find(|replica| &replica.id == id && replica.role == role) else {
            return Ok(AsideState::Missing);
        };
        let unknown = Exit { code: -1, oom: false, error: None, at: None };
        Ok(match replica.state {
            ReplicaState::Created => AsideState::Missing,
            ReplicaState::Starting | ReplicaState::Running | ReplicaState::Restarting => AsideState::Running,
            ReplicaState::Exited => AsideState::Ended(replica.last_exit.unwrap_or(unknown)),
        })
    }

    /// Removes it, once it has ended and its outcome is recorded.
    pub async fn remove_aside(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
        Ok(self.inner.runtime.remove(key, id, role).await?)
    }
}
