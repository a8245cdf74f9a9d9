//! Backups and drills that come due, and what a server before this one has left undone.

use std::collections::BTreeSet;
use std::time::Duration;

use daybook_api::backup::{OperationView, VerifyQuery};
use daybook_backup::{Depth, Repository};
use daybook_decide::backups::{Due, History, due};
use daybook_model::backup::{BackupOutcome, DrillOutcome, Holding};
use daybook_model::{Actor, BackupId, EnvKey, Event, Release};
use uuid::Uuid;

use super::repository::{id_of, made};
use super::verify::{Said, found, mended};
use crate::App;
use crate::error::ApiError;

/// Between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl App {
    /// Settles what was left undone, then makes and proves backups as they come due, until the server stops.
    pub(crate) async fn tend_backups(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut settled = BTreeSet::new();
        loop {
            ticks.tick().await;
            let known = match self.inner.store.environments().await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "backups wait");
                    continue;
                }
            };
            for key in known.iter().filter(|environment| !environment.retired).map(|environment| &environment.key) {
                let tended = match (self.settle_upgrade(key, &Actor::daybook("timer")).await, settled.contains(key)) {
                    // What is half there is not backed up.
                    (Ok(true), _) => Ok(()),
                    (Ok(false), true) => self.tend_backups_of(key).await,
                    (Ok(false), false) => self.settle_backups(key).await.map(|()| {
                        settled.insert(key.clone());
                    }),
                    (Err(error), _) => Err(error),
                };
                if let Err(error) = tended {
                    tracing::warn!(%key, error = %error.0.message, "backups wait");
                }
            }
        }
    }

    /// Begins what is due in one environment.
    async fn tend_backups_of(&self, key: &EnvKey) -> Result<(), ApiError> {
        self.expire_clone(key, &Actor::daybook("timer")).await?;
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(()) };
        if release.spec.backup_policies().next().is_none() {
            return Ok(());
        }
        let mut histories = self.histories(key).await?;
        let actor = Actor::daybook("timer");
        for (of, policy) in release.spec.backup_policies() {
            let history = histories.remove(&of).unwrap_or_default();
            for what in due(policy, &history, release.accepted_at, self.now()) {
                self.begin_due(&release, &of, &history, what, &actor).await?;
            }
        }
        Ok(())
    }

    async fn begin_due(
        &self,
        release: &Release,
        of: &Holding,
        history: &History,
        due: Due,
        actor: &Actor,
    ) -> Result<(), ApiError> {
        let key = &release.spec.key;
        match due {
            Due::Backup(why) => {
                self.back_up(key, std::slice::from_ref(of), &why, actor).await?;
            }
            Due::Drill(id) => {
                let Some(backup) = history.backups.iter().find(|backup| backup.id == id) else { return Ok(()) };
                let home = self.home(&release.spec).await?;
                self.begin_drill(release, of.clone(), backup.clone(), home, actor).await?;
            }
            Due::Overdue(what) => {
                tracing::warn!(%key, %of, what, "a backup is overdue");
                let event = Event::BackupOverdue { of: of.clone(), what: what.to_owned() };
                self.note_backup(key, actor, event).await?;
            }
        }
        Ok(())
    }

    /// What a server before this one began and did not end: the repository is asked what became of it, and scratch
    /// copies go.
    pub(crate) async fn settle_backups(&self, key: &EnvKey) -> Result<(), ApiError> {
        let (actor, started) = (Actor::daybook("timer"), self.inner.started_at);
        self.settle_clone(key, &actor).await?;
        for (of, history) in self.histories(key).await? {
            self.settle_restore(key, &of, &history, &actor).await?;
            for backup in &history.backups {
                if backup.ended.is_none() && backup.begun < started {
                    let outcome = self.what_became_of(key, &of, backup.id).await?;
                    let event = Event::BackupFinished { backup: backup.id, of: of.clone(), outcome, took_ms: 0 };
                    self.note_backup(key, &actor, event).await?;
                }
                for drill in backup.drills.iter().filter(|drill| drill.ended.is_none() && drill.begun < started) {
                    self.clear_scratch(key, &of, drill.id, &actor).await?;
                    let outcome = DrillOutcome::Undecided { why: "the server ended while it went on".to_owned() };
                    let event = Event::DrillFinished {
                        drill: drill.id,
                        of: of.clone(),
                        backup: backup.id,
                        outcome,
                        took_ms: 0,
                    };
                    self.note_backup(key, &actor, event).await?;
                }
            }
        }
        Ok(())
    }

    async fn what_became_of(&self, key: &EnvKey, of: &Holding, id: BackupId) -> Result<BackupOutcome, ApiError> {
        let gone = BackupOutcome::Failed { why: "the server ended while it was made".to_owned() };
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(gone) };
        if let Holding::Volume(name) = of {
            self.let_go_after_kill(&release, name).await;
        }
        let home = self.home(&release.spec).await?;
        let snapshots = home.open(Repository::snapshots).await?.unwrap_or_default();
        let found = snapshots.iter().find(|snapshot| id_of(snapshot) == Some(id));
        Ok(found.map_or(gone, |snapshot| BackupOutcome::Made(made(snapshot))))
    }

    /// Begins to look for damage in the repository of an environment.
    pub(crate) async fn verify_backups(&self, key: &EnvKey, wanted: VerifyQuery) -> Result<OperationView, ApiError> {
        let release = self.require_release(key).await?;
        let home = self.home(&release.spec).await?;
        let operation = self.begin_operation(BackupId(Uuid::now_v7()), "look at the backups".to_owned());
        let view = operation.view();
        let app = self.clone();
        self.spawn(async move {
            operation.note("waits for others");
            let _turn = app.inner.operations.turn().await;
            operation.note(if wanted.everything { "reads every byte" } else { "looks at what should be there" });
            let depth = if wanted.everything { Depth::Everything } else { Depth::Structure };
            let shown = home.shown.clone();
            let looked = home.open(move |repository| match wanted.repair {
                true => mended(repository, depth, &shown),
                false => found(repository, depth, &shown),
            });
            match looked.await {
                Ok(Some(Said { good, lines })) => operation.end(good, lines),
                Ok(None) => operation.end(false, vec![format!("there are no backups in {}", home.shown)]),
                Err(error) => {
                    operation.end(false, std::iter::once(error.0.message).chain(error.0.hint).collect());
                }
            }
        });
        Ok(view)
    }
}
