//! The beginning of a server: what was open goes on, and what runs without a record is taken on.

use std::time::Duration;

use daybook_model::{Actor, EnvKey, Event};
use daybook_store::{Journal as _, Write};

use crate::App;
use crate::error::ApiError;

/// How long the beginning of a server waits for what runs to be taken on.
const ADOPT_WITHIN: Duration = Duration::from_secs(5);

/// Between two attempts to ask a runtime that is away.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl App {
    /// Starts what goes on by itself: open runs, adoption, jobs, health, measurements.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(&self) -> Result<(), daybook_store::Error> {
        self.open_metrics().await;
        #[cfg(feature = "observe")]
        {
            self.read_incidents().await?;
            self.read_standings().await?;
        }
        #[cfg(feature = "databases")]
        self.clear_staging().await;
        self.place_all().await?;
        self.resume_open_runs().await?;
        // Whoever asks first should find what runs; a runtime that is away delays nobody for long.
        if !matches!(tokio::time::timeout(ADOPT_WITHIN, self.adopt()).await, Ok(Ok(()))) {
            self.spawn(self.clone().adopt_until_asked());
        }
        self.spawn(self.clone().tend_jobs());
        self.spawn(self.clone().tend_health());
        self.spawn(self.clone().tend_metrics());
        self.spawn(self.clone().tend_status_pages());
        self.spawn(self.clone().keep_notes());
        self.spawn(self.clone().tend_vaults());
        self.spawn(self.clone().tend_backups());
        self.spawn(self.clone().tend_archives());
        Ok(())
    }

    /// Runs that a server before this one left go on; those that a person interrupted wait.
    async fn resume_open_runs(&self) -> Result<(), daybook_store::Error> {
        for environment in self.inner.store.environments().await? {
            let Some(run) = environment.open_run else { continue };
            let key = environment.key;
            match self.is_interrupted(&key, run).await {
                Ok(true) => tracing::info!(%key, %run, "the run is interrupted and waits to be resumed"),
                Ok(false) => {
                    tracing::info!(%key, %run, "the run goes on");
                    self.begin_traffic(&key, run).await;
                    self.drive(key, run);
                }
                Err(error) => tracing::error!(%key, %run, error = %error.0.message, "the run cannot be read"),
            }
        }
        Ok(())
    }

    async fn adopt_until_asked(self) {
        while let Err(error) = self.adopt().await {
            tracing::warn!(error = %error.0.message, "what runs without a record cannot be asked for now");
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Takes on environments that run and that no record knows: ours was lost.
    pub(crate) async fn adopt(&self) -> Result<(), ApiError> {
        for key in self.inner.runtime.environments().await? {
            let planning = self.planning(&key);
            let _planning = planning.lock().await;
            if self.inner.store.environment(&key).await?.is_none() {
                let replicas = self.inner.runtime.observe(&key).await?.replicas.len();
                if replicas > 0 {
                    self.record_adopted(&key, replicas, Actor::daybook("heal")).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes on an environment that a person names: of another Daybook that is no more, or one of ours
    /// that no record knows.
    pub(crate) async fn adopt_by_name(&self, key: &EnvKey, actor: Actor) -> Result<(), ApiError> {
        let planning = self.planning(key);
        let _planning = planning.lock().await;
        let runtime = &self.inner.runtime;
        if !runtime.environments().await?.contains(key) {
            runtime.take_over(key).await?;
        }
        let replicas = runtime.observe(key).await?.replicas.len();
        self.record_adopted(key, replicas, actor).await
    }

    async fn record_adopted(&self, key: &EnvKey, replicas: usize, actor: Actor) -> Result<(), ApiError> {
        let event = Event::Adopted { replicas: replicas as u64 };
        self.inner.store.append(Write { key: Some(key.clone()), run: None, actor, event, expected: None }).await?;
        tracing::warn!(%key, replicas, "taken on without a record: run `daybook up` to make a release of it");
        Ok(())
    }

    /// Keeps the last progress note of each step under way.
    async fn keep_notes(self) {
        use tokio::sync::broadcast::error::RecvError;
        let mut notes = self.inner.executor.notes();
        loop {
            match notes.recv().await {
                Ok(note) => {
                    self.live().notes.insert((note.run, note.step), note.text);
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}
