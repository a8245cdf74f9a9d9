//! Backups of databases and volumes: made, kept, restored into scratch copies to prove them, and restored for good.
//!
//! What is begun is in the journal before it is done, and what came of it afterwards. A server that ends in between
//! leaves that to the next one, which asks the repository and clears away what was half done.

mod archive;
mod base;
mod beside;
mod clone;
mod copy;
mod drill;
mod files;
mod operations;
mod pipe;
mod place;
mod point;
mod probe;
mod recover;
mod rehearse;
mod repository;
mod restore;
mod save;
mod scratch;
mod tend;
mod then;
mod upgrade;
mod verify;
mod view;
mod volume;

use std::collections::BTreeMap;

use daybook_decide::backups::{Backup, History, fold};
use daybook_model::backup::Holding;
use daybook_model::{Actor, EnvKey, Event, Spec};
use daybook_store::{Journal as _, Write};

use crate::App;
use crate::databases::no_database;
use crate::error::ApiError;

pub(crate) use operations::Operations;

/// The secret that opens the repository of an environment.
const PASSWORD: &str = "backup.password";

impl App {
    /// What became of the backups of each database and volume, as the journal tells it.
    pub(crate) async fn histories(&self, key: &EnvKey) -> Result<BTreeMap<Holding, History>, ApiError> {
        let entries = self.inner.store.backup_entries(key).await?;
        Ok(fold(entries.iter().map(|entry| (entry.at, &entry.event))))
    }

    async fn note_backup(&self, key: &EnvKey, actor: &Actor, event: Event) -> Result<(), ApiError> {
        let write = Write { key: Some(key.clone()), run: None, actor: actor.clone(), event, expected: None };
        self.inner.store.append(write).await?;
        Ok(())
    }
}

/// What is meant: what is named, or every database that Daybook runs and every volume that has a policy.
fn chosen(spec: &Spec, wanted: &[Holding]) -> Result<Vec<Holding>, ApiError> {
    if !wanted.is_empty() {
        return wanted.iter().map(|written| named(spec, written)).collect();
    }
    let kept = spec.databases.iter().filter(|(_, database)| database.kept().is_some());
    let databases = kept.map(|(name, _)| Holding::Database(name.clone()));
    let volumes = spec.volumes.iter().filter(|(_, volume)| volume.backup.is_some());
    let all: Vec<_> = databases.chain(volumes.map(|(name, _)| Holding::Volume(name.clone()))).collect();
    if all.is_empty() {
        let error = ApiError::not_found(format!("{} has no database that Daybook runs", spec.key));
        let first = spec.volumes.keys().next();
        return Err(error.hint(match first {
            Some(volume) => format!("name a volume: `volume:{volume}`"),
            None => "`databases: {db: {engine: \"postgres:16\"}}` in the manifest makes one".to_owned(),
        }));
    }
    Ok(all)
}

/// What somebody has written: a plain name that no database has may be that of a volume.
fn named(spec: &Spec, written: &Holding) -> Result<Holding, ApiError> {
    match written {
        Holding::Database(name) => match spec.databases.get(name) {
            Some(database) if database.kept().is_some() => Ok(written.clone()),
            Some(_) => {
                let error = ApiError::invalid(format!("the database `{name}` is run by somebody else"));
                Err(error.hint("it is backed up where it runs"))
            }
            None => match spec.volumes.keys().find(|volume| volume.as_str() == name.as_str()) {
                Some(volume) => volume::of_files(spec, volume).map(|()| Holding::Volume(volume.clone())),
                None => Err(no_database(spec, name)),
            },
        },
        Holding::Volume(name) if spec.volumes.contains_key(name) => {
            volume::of_files(spec, name).map(|()| written.clone())
        }
        Holding::Volume(name) => {
            let all: Vec<_> = spec.volumes.keys().map(ToString::to_string).collect();
            let error = ApiError::not_found(format!("{} has no volume `{name}`", spec.key));
            Err(if all.is_empty() { error } else { error.hint(format!("it has {}", all.join(", "))) })
        }
    }
}

/// The backup of this id, or whose id ends so; the newest that was made without one.
fn find<'h>(history: &'h History, of: &Holding, wanted: Option<&str>) -> Result<&'h Backup, ApiError> {
    let (kind, name) = (of.kind(), of.name());
    let none = || {
        ApiError::not_found(format!("the {kind} `{name}` has no backup"))
            .hint(format!("make one: `daybook backup create {of}`"))
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
        (None, _) => Err(ApiError::not_found(format!("the {kind} `{name}` has no backup `{wanted}`"))
            .hint(format!("`daybook backup ls {of}` lists them"))),
    }
}
