//! Replicas that run once beside a release: scheduled jobs, and what people run by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_model::launch::Role;
use daybook_model::{EnvKey, Release, ReplicaId, RunId};

use crate::drive::RunContext;
use crate::{Executor, Result};

/// A replica to be started once, in the configuration that a service has in a release.
#[derive(Clone)]
pub struct Once<'a> {
    /// The environment.
    pub key: &'a EnvKey,
    /// Whose artifact, configuration and secrets it gets.
    pub release: &'a Release,
    /// Its name.
    pub replica: &'a ReplicaId,
    /// What it is for.
    pub role: Role,
    /// What it runs instead of the service's own command.
    pub argv: Option<Vec<String>>,
    /// Further environment variables; they replace the service's own.
    pub environment: BTreeMap<String, String>,
}

impl Executor {
    /// Starts it, unless it is there already. Does not wait for its end.
    pub async fn start_once(&self, once: Once<'_>) -> Result<()> {
        let cx = RunContext {
            key: once.key.clone(),
            run: RunId(once.release.run.0),
            spec: Arc::new(once.release.spec.clone()),
            previous: None,
            release: once.release.number,
        };
        let mut launch = self.launch(&cx, once.replica, once.role).await?;
        if let Some(argv) = once.argv {
            launch.container.entrypoint = None;
            launch.container.command = Some(argv);
        }
        launch.environment.retain(|(name, _)| !once.environment.contains_key(name));
        launch.environment.extend(once.environment);
        self.inner.runtime.start(&launch).await?;
        self.inner.looks.outdate(once.key);
        Ok(())
    }
}
