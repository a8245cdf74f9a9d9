//! Backups in the API's words.

use std::collections::{BTreeMap, BTreeSet};

use daybook_api::backup::{BackupState, BackupView, BackupsView, DatabaseBackups, DrillView};
use daybook_backup::Repository;
use daybook_decide::backups::{self, Backup, Drill, History, Standing};
use daybook_model::backup::{BackupOutcome, DrillOutcome};
use daybook_model::{BackupId, DatabaseName, EnvKey, Spec};

use super::repository::{add_found, id_of};
use crate::App;
use crate::error::ApiError;

impl App {
    /// The backups of an environment, and whether they are proven.
    pub(crate) async fn backups(&self, key: &EnvKey) -> Result<BackupsView, ApiError> {
        let release = self.require_release(key).await?;
        let home = self.home(&release.spec).await?;
        let mut histories = self.histories(key).await?;
        let mut gone = BTreeSet::new();
        let mut points = BTreeMap::new();
        let unseen = match home.open(Repository::snapshots).await {
            Ok(snapshots) => {
                let there = snapshots.unwrap_or_default();
                for name in release.spec.databases.keys() {
                    points.extend(self.point_in_time(&release.spec, name, &there).map(|one| (name.clone(), one)));
                    add_found(histories.entry(name.clone()).or_default(), name, &there);
                }
                let is_gone =
                    |backup: &Backup| backup.made().is_some() && !there.iter().any(|one| id_of(one) == Some(backup.id));
                for history in histories.values_mut() {
                    gone.extend(history.backups.iter().filter(|backup| is_gone(backup)).map(|backup| backup.id));
                    // What is not there can bring nothing back, whatever was seen of it before.
                    history.backups.iter_mut().filter(|one| is_gone(one)).for_each(|one| one.drills.clear());
                }
                None
            }
            Err(error) => Some(error.0.message),
        };
        let databases = histories.iter().filter(|(name, history)| {
            !history.backups.is_empty() || release.spec.databases.get(*name).is_some_and(|one| one.backup.is_some())
        });
        let databases = databases.map(|(name, history)| DatabaseBackups {
            point_in_time: points.remove(name),
            ..of_database(&release.spec, name, history, &gone)
        });
        let databases = databases.collect();
        Ok(BackupsView { place: home.shown, databases, unseen })
    }
}

fn of_database(spec: &Spec, name: &DatabaseName, history: &History, gone: &BTreeSet<BackupId>) -> DatabaseBackups {
    let proven = history.newest_proven();
    let since = |backup: &&Backup| backup.made().is_some() && proven.is_none_or(|proven| backup.begun > proven.begun);
    let shown = |one: &Backup| match gone.contains(&one.id) {
        true => BackupView { state: BackupState::Gone, ..backup(one) },
        false => backup(one),
    };
    let policy = spec.databases.get(name).and_then(|database| database.backup.as_ref());
    DatabaseBackups {
        database: name.clone(),
        policy: policy.map(backups::words),
        proven: proven.map(|backup| backup.id),
        unproven_since: history.backups.iter().find(since).map(|backup| backup.begun),
        overdue: history.overdue.clone(),
        point_in_time: None,
        backups: history.backups.iter().rev().map(shown).collect(),
    }
}

/// One backup.
pub(super) fn backup(backup: &Backup) -> BackupView {
    let made = backup.made();
    let failed = match &backup.ended {
        Some((BackupOutcome::Failed { why }, _)) => Some(why.clone()),
        _ => None,
    };
    BackupView {
        id: backup.id,
        snapshot: made.map(|made| made.snapshot.clone()),
        begun: backup.begun,
        why: backup.why.clone(),
        state: state(backup),
        as_of: made.map(|made| made.as_of),
        size_bytes: made.map(|made| made.size_bytes),
        added_bytes: made.map(|made| made.added_bytes),
        tables: made.map(|made| made.tables),
        rows: made.map(|made| made.rows),
        took_ms: backup.ended.as_ref().map(|(_, took_ms)| *took_ms).filter(|took_ms| *took_ms > 0),
        failed,
        drill: decided(backup).and_then(drill),
    }
}

fn state(backup: &Backup) -> BackupState {
    match (&backup.ended, backup.standing()) {
        (None, _) => BackupState::UnderWay,
        (Some((BackupOutcome::Failed { .. }, _)), _) => BackupState::Failed,
        _ if backup.drills.iter().any(|drill| drill.ended.is_none()) => BackupState::Drilling,
        (_, Standing::Proven { .. }) => BackupState::Proven,
        (_, Standing::Refuted { .. }) => BackupState::Refuted,
        (_, Standing::Unproven) => BackupState::Unproven,
    }
}

/// The drill that says how the backup stands; the last one, where none does.
fn decided(backup: &Backup) -> Option<&Drill> {
    let says = |drill: &&Drill| matches!(&drill.ended, Some((_, outcome, _)) if !matches!(outcome, DrillOutcome::Undecided { .. }));
    backup.drills.iter().rev().find(says).or(backup.drills.last())
}

fn drill(drill: &Drill) -> Option<DrillView> {
    let (at, outcome, _) = drill.ended.as_ref()?;
    let none = DrillView { at: *at, rpo_ms: None, rto_ms: None, checks: Vec::new(), why: Vec::new() };
    Some(match outcome {
        DrillOutcome::Proven(proof) => {
            DrillView { rpo_ms: Some(proof.rpo_ms), rto_ms: Some(proof.rto_ms), checks: proof.checks.clone(), ..none }
        }
        DrillOutcome::Failed { why } => DrillView { why: why.clone(), ..none },
        DrillOutcome::Undecided { why } => DrillView { why: vec![why.clone()], ..none },
    })
}
