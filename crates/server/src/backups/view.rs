//! Backups in the API's words.

use std::collections::{BTreeMap, BTreeSet};

use daybook_api::backup::{BackupState, BackupView, BackupsView, DrillView, HoldingBackups};
use daybook_backup::Repository;
use daybook_decide::backups::{self, Backup, Drill, History, Standing};
use daybook_model::backup::{BackupOutcome, DrillOutcome, Holding};
use daybook_model::{BackupId, EnvKey, Spec};

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
                for of in holdings(&release.spec) {
                    if let Holding::Database(name) = &of {
                        points.extend(self.point_in_time(&release.spec, name, &there).map(|one| (of.clone(), one)));
                    }
                    add_found(histories.entry(of.clone()).or_default(), &of, &there);
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
        // What has a policy is told of before its first backup as well.
        release.spec.backup_policies().for_each(|(of, _)| _ = histories.entry(of).or_default());
        let has_some = |(of, history): &(&Holding, &History)| {
            !history.backups.is_empty() || release.spec.backup_policy(of).is_some()
        };
        let shown = histories.iter().filter(has_some);
        let holdings = shown.map(|(of, history)| HoldingBackups {
            point_in_time: points.remove(of),
            ..backups_of(&release.spec, of, history, &gone)
        });
        let holdings = holdings.collect();
        Ok(BackupsView { place: home.shown, holdings, unseen })
    }
}

/// Everything that may have backups.
fn holdings(spec: &Spec) -> impl Iterator<Item = Holding> {
    let databases = spec.databases.keys().cloned().map(Holding::Database);
    databases.chain(spec.volumes.keys().cloned().map(Holding::Volume))
}

fn backups_of(spec: &Spec, of: &Holding, history: &History, gone: &BTreeSet<BackupId>) -> HoldingBackups {
    let proven = history.newest_proven();
    let since = |backup: &&Backup| backup.made().is_some() && proven.is_none_or(|proven| backup.begun > proven.begun);
    let shown = |one: &Backup| match gone.contains(&one.id) {
        true => BackupView { state: BackupState::Gone, ..backup(one) },
        false => backup(one),
    };
    HoldingBackups {
        of: of.clone(),
        policy: spec.backup_policy(of).map(backups::words),
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
        tables: made.filter(|made| made.tree.is_none()).map(|made| made.tables),
        rows: made.filter(|made| made.tree.is_none()).map(|made| made.rows),
        files: made.and_then(|made| made.tree.as_ref()).map(|tree| tree.files),
        remarks: made.map(|made| made.remarks.clone()).unwrap_or_default(),
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
