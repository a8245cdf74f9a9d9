//! Backups of databases: made, kept, restored into scratch copies to prove them, and restored for good.
//!
//! What is begun is in the journal before it is done, and what came of it afterwards. A server that ends in between
//! leaves that to the next one, which asks the repository and clears away what was half done.

mod archive;
mod base;
mod clone;
mod drill;
mod operations;
mod pipe;
mod point;
mod recover;
mod repository;
mod restore;
mod save;
mod scratch;
mod tend;
mod view;

use std::collections::BTreeMap;

use daybook_decide::backups::{Backup, History, fold};
use daybook_model::{Actor, DatabaseName, EnvKey, Event, Spec};
use daybook_store::{Journal as _, Write};

use crate::App;
use crate::databases::no_database;
use crate::error::ApiError;

pub(crate) use operations::Operations;

/// The secret that opens the repository of an environment.
const PASSWORD: &str = "backup.password";

impl App {
    /// What became of the backups of each database, as the journal tells it.
    async fn histories(&self, key: &EnvKey) -> Result<BTreeMap<DatabaseName, History>, ApiError> {
        let entries = self.inner.store.backup_entries(key).await?;
        Ok(fold(entries.iter().map(|entry| (entry.at, &entry.event))))
    }

    async fn note_backup(&self, key: &EnvKey, actor: &Actor, event: Event) -> Result<(), ApiError> {
        let write = Write { key: Some(key.clone()), run: None, actor: actor.clone(), event, expected: None };
        self.inner.store.append(write).await?;
        Ok(())
    }
}

/// The databases that are meant: those that are named, or every one that Daybook runs.
fn chosen(spec: &Spec, wanted: &[DatabaseName]) -> Result<Vec<DatabaseName>, ApiError> {
    if wanted.is_empty() {
        let kept = spec.databases.iter().filter(|(_, database)| database.kept().is_some());
        let all: Vec<_> = kept.map(|(name, _)| name.clone()).collect();
        if all.is_empty() {
            let error = ApiError::not_found(format!("{} has no database that Daybook runs", spec.key));
            return Err(error.hint("`databases: {db: {engine: \"postgres:16\"}}` in the manifest makes one"));
        }
        return Ok(all);
    }
    for name in wanted {
        let database = spec.databases.get(name).ok_or_else(|| no_database(spec, name))?;
        if database.kept().is_none() {
            let error = ApiError::invalid(format!("the database `{name}` is run by somebody else"));
            return Err(error.hint("it is backed up where it runs"));
        }
    }
    Ok(wanted.to_vec())
}

/// The backup of this id, or whose id ends so; the newest that was made without one.
fn find<'h>(history: &'h History, name: &DatabaseName, wanted: Option<&str>) -> Result<&'h Backup, ApiError> {
    let none = || {
        ApiError::not_found(format!("the database `{name}` has no backup"))
            .hint(format!("make one: `daybook backup create {name}`"))
    };
    let Some(wanted) = wanted else { return history.newest().ok_or_else(none) };
    let made: Vec<_> = history.backups.iter().filter(|backup| backup.made().is_some()).collect();
    let plain = wanted.replace('-', "");
    let ends = |backup: &&&Backup| backup.id.0.simple().to_string().ends_with(&plain) && plain.len() >= 4;
    let mut found = made.iter().filter(ends);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(ApiError::invalid(format!("the ids of several backups end in `{wanted}`"))),
        (None, _) if made.is_empty() => Err(none()),
        (None, _) => Err(ApiError::not_found(format!("the database `{name}` has no backup `{wanted}`"))
            .hint(format!("`daybook backup ls {name}` lists them"))),
    }
}
