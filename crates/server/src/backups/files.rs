//! A full clone takes the files of a PostgreSQL as they are: shared with those of the first where the file system can, else
//! by a base backup. What stands against it is told, and its rows are carried over instead.
//!
//! The server of the clone begins on files of its own, beside the place that those of the first are put in. There they are
//! brought to one state, get passwords of the clone, and only then does it start on them: nobody gets in by a password of the
//! first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use daybook_data::archive as commands;
use daybook_data::dump::Look;
use daybook_data::files::{Held, why_not};
use daybook_data::upgrade::clear;
use daybook_decide::clone::{Files, databases_alone, files, run_meanwhile};
use daybook_decide::text::size;
use daybook_executor::Databases as _;
use daybook_model::clone::CloneData;
use daybook_model::{Actor, Database, DatabaseName, EnvKey, Release, Spec};

use super::clone::{Carrier, Ends};
use super::copy::{can_share, share, share_rest};
use super::operations::Operation;
use super::pipe::hear;
use super::volume::on_disk;
use crate::App;
use crate::databases::Reached;
use crate::error::ApiError;

/// The files of one database.
pub(super) struct Taken {
    /// Where its server runs meanwhile.
    meanwhile: String,
    /// What was taken and how, or why nothing was.
    pub(super) came: Result<String, String>,
}

impl App {
    /// Why a clone carries the rows of a database over instead of taking its files. `None`: it takes them.
    pub(super) async fn why_no_files(&self, spec: &Spec, name: &DatabaseName) -> Result<Option<String>, ApiError> {
        if files(spec, name).is_none() {
            return Ok(Some("its files are in no volume of its own".to_owned()));
        }
        let door = self.door(&spec.key, name).await?;
        // One that cannot be asked is told by whoever needs it.
        Ok(why_not(door.url.as_deref().unwrap_or_default()).await.unwrap_or_else(|refusal| Some(refusal.to_string())))
    }

    /// Takes the files of databases that a full clone is to have as they are. Their servers run beside them then.
    pub(super) async fn take_files(
        &self,
        release: &Release,
        clone: &Spec,
        data: CloneData,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<BTreeMap<DatabaseName, Taken>, ApiError> {
        let (mut all, mut alone) = (BTreeMap::new(), databases_alone(clone));
        if data != CloneData::Full {
            return Ok(all);
        }
        let mut places = BTreeMap::new();
        for name in release.spec.databases.keys() {
            let (Some(from), Some(to)) = (files(&release.spec, name), files(clone, name)) else { continue };
            if self.why_no_files(&release.spec, name).await?.is_some() {
                continue;
            }
            let run_by = clone.databases.get(name).and_then(Database::kept).map(|kept| &kept.service);
            let service = run_by.and_then(|run_by| alone.services.get_mut(run_by));
            if let Some(meanwhile) = service.and_then(|service| run_meanwhile(service)) {
                places.insert(name, (from, to, meanwhile));
            }
        }
        if places.is_empty() {
            return Ok(all);
        }
        operation.note("starts its databases beside the files that they get");
        self.bring(alone, "clone: its files are put beside it", actor).await?;
        for (name, (from, to, meanwhile)) in places {
            let came = self.take_files_of(&release.spec, clone, name, (&from, &to), operation).await;
            if let Err(why) = &came {
                tracing::warn!(key = %clone.key, database = %name, why, "its rows are carried over instead of files");
                for place in [to.place.clone(), format!("{}.wal", to.place)] {
                    self.clear_files(&clone.key, name, &place).await?;
                }
            }
            all.insert(name.clone(), Taken { meanwhile, came });
        }
        Ok(all)
    }

    /// Removes what a server ran on meanwhile, once it runs on the files that it got, and sees that the clone's own logins and
    /// no others are there.
    pub(super) async fn settle_files(&self, clone: &Spec, name: &DatabaseName, taken: &Taken) -> Result<(), ApiError> {
        let opened = self.opened(&clone.key, name).await?;
        Reached::new(&self.inner.state).grant(&opened).await?;
        drop(opened);
        self.clear_files(&clone.key, name, &taken.meanwhile).await
    }

    /// Removes files on which no server runs.
    async fn clear_files(&self, key: &EnvKey, name: &DatabaseName, place: &str) -> Result<(), ApiError> {
        let door = self.door(key, name).await?;
        let exec = self.run_beside(key, &door.replica, clear(place)).await?;
        hear(exec, b"", "rm").await.map(drop).map_err(ApiError::invalid)
    }

    /// Gives what was done, in words.
    async fn take_files_of(
        &self,
        first: &Spec,
        clone: &Spec,
        name: &DatabaseName,
        (from, to): (&Files, &Files),
        operation: &Operation,
    ) -> Result<String, String> {
        let told = |error: ApiError| error.0.message;
        let source = self.door(&first.key, name).await.map_err(told)?;
        let target = self.door(&clone.key, name).await.map_err(told)?;
        let refused = |refusal: daybook_data::migrations::server::Refusal| refusal.to_string();
        let mut held = Held::new(source.url.as_deref().unwrap_or_default()).await.map_err(refused)?;
        let label = format!("daybook clone {}", operation.id);
        operation.note(format!("{name}: shares its files"));
        let words = match self.share_files((first, from), (clone, to), &mut held, &label).await {
            Ok(bytes) => format!("{name}: {} of files as they are, shared with {}", size(bytes), first.key.env),
            Err(why) => {
                tracing::debug!(key = %clone.key, database = %name, why, "its files are not shared");
                let ends = Ends { from: &first.key, source: &source, to: &clone.key, target: &target, operation };
                let base = Carrier { argv: commands::whole_base(&source.admin, &label), tool: "pg_basebackup" };
                let take = Carrier { argv: commands::take_base(&to.directory), tool: "tar" };
                let bytes = self.carry_across(ends, base, take, Look::of_files()).await.map_err(told)?;
                format!("{name}: {} of files as they are, by a base backup", size(bytes))
            }
        };
        // All that the copy needs is in it.
        held.let_go().await.map_err(refused)?;
        operation.note(format!("{name}: brings its files to one state"));
        let adopt = commands::adopt(&to.directory, &target.admin, &target.database);
        let exec = self.run_beside(&clone.key, &target.replica, adopt).await.map_err(told)?;
        hear(exec, format!("{}\n", target.password).as_bytes(), "the clone of its files").await?;
        Ok(words)
    }

    /// Shares files with those of the first, where the file system of both can. Gives their bytes.
    async fn share_files(
        &self,
        (first, from): (&Spec, &Files),
        (clone, to): (&Spec, &Files),
        held: &mut Held,
        label: &str,
    ) -> Result<u64, String> {
        let told = |error: ApiError| error.0.message;
        let from = self.files_on_disk(first, from).await.map_err(told)?;
        let to = self.files_on_disk(clone, to).await.map_err(told)?;
        let (source, target) = (from.clone(), to.clone());
        on_disk("share blocks of files", move || can_share(&source, &target)).await.map_err(told)?;
        held.begin(label).await.map_err(|refusal| refusal.to_string())?;
        let (source, target) = (from.clone(), to.clone());
        let shared = on_disk("share files", move || share(&source, &target)).await.map_err(told);
        let end = held.end().await.map_err(|refusal| refusal.to_string());
        let (_, label) = (shared?, end?);
        on_disk("share files", move || share_rest(&from, &to, &label)).await.map_err(told)
    }

    async fn files_on_disk(&self, spec: &Spec, files: &Files) -> Result<PathBuf, ApiError> {
        let elsewhere = || ApiError::invalid(format!("the volume {} is not on this machine", files.volume));
        let volume = self.volume_directory(spec, &files.volume).await?.ok_or_else(elsewhere)?;
        Ok(volume.join(&files.directory))
    }
}
