//! What an environment was at a moment that has passed: its release of then, and where the data of then is to be had.

use std::collections::BTreeMap;

use daybook_data::dump::Owners;
use daybook_data::mask::{self, Problem};
use daybook_data::{Dialect, witness};
use daybook_decide::archive::Point;
use daybook_decide::backups::{Backup, differences};
use daybook_decide::clone::volumes_of_files;
use daybook_decide::text::{plural, size};
use daybook_model::backup::{Holding, Made};
use daybook_model::clone::CloneData;
use daybook_model::masking::Masking;
use daybook_model::{Actor, DatabaseName, EnvKey, Release, Timestamp, VolumeName};

use super::clone::{is_empty, owners};
use super::operations::Operation;
use super::point::shown;
use super::repository::Home;
use super::restore::none_of;
use super::save::Door;
use crate::App;
use crate::databases::refused as server_refused;
use crate::error::ApiError;

/// Where the data of a moment is.
pub(super) struct Then {
    pub(super) at: Timestamp,
    pub(super) home: Home,
    pub(super) databases: BTreeMap<DatabaseName, Origin>,
    pub(super) volumes: BTreeMap<VolumeName, Made>,
}

/// Where the data of a database is.
pub(super) enum Origin {
    /// A base backup, and what was written from then on up to the moment.
    Point(Point),
    /// The newest backup that is not of a later time.
    Backup(Backup),
}

impl Origin {
    /// In words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Point(point) => {
                let files = plural(point.files.len() as u64, "file");
                format!("from base backup {} and {files} of what was written since", point.base.id.short())
            }
            Self::Backup(backup) => {
                let of = backup.made().map(|made| shown(made.as_of)).unwrap_or_default();
                format!("from backup {} of {of}", backup.id.short())
            }
        }
    }
}

impl App {
    /// The release that was in force at a moment, and where the data of then is. Of masking it has the rules of both
    /// times: what is personal today was so then.
    pub(super) async fn as_of(
        &self,
        current: &Release,
        at: Timestamp,
        data: CloneData,
    ) -> Result<(Release, Then), ApiError> {
        self.refuse_to_come(at)?;
        let key = &current.spec.key;
        let mut releases = self.inner.store.releases(key, usize::MAX).await?;
        let Some(nth) = releases.iter().position(|release| release.accepted_at <= at) else {
            let error = ApiError::not_found(format!("{key} had no release at {}", shown(at)));
            let first =
                releases.last().map(|first| format!("its first is in force since {}", shown(first.accepted_at)));
            return Err(first.into_iter().fold(error, ApiError::hint));
        };
        let mut release = releases.swap_remove(nth);
        for (name, database) in &mut release.spec.databases {
            let today = current.spec.databases.get(name).and_then(|database| database.masking.as_ref());
            let rules = today.iter().flat_map(|masking| &masking.rules).map(|(column, rule)| (column.clone(), *rule));
            let rules: Vec<_> = rules.collect();
            if !rules.is_empty() {
                database.masking.get_or_insert_default().rules.extend(rules);
            }
        }
        let home = self.home(&current.spec).await?;
        let mut then = Then { at, home, databases: BTreeMap::new(), volumes: BTreeMap::new() };
        for (name, database) in release.spec.databases.iter().filter(|(_, database)| !is_empty(database, data)) {
            if database.kept().is_some() {
                then.databases.insert(name.clone(), self.origin(current, name, &then.home, at).await?);
            }
        }
        if data == CloneData::Full {
            for name in volumes_of_files(&release.spec) {
                let backup = self.backup_of(current, &Holding::Volume(name.clone()), &then.home, at).await?;
                then.volumes.extend(backup.made().map(|made| (name.clone(), made.clone())));
            }
        }
        Ok((release, then))
    }

    async fn origin(
        &self,
        current: &Release,
        name: &DatabaseName,
        home: &Home,
        at: Timestamp,
    ) -> Result<Origin, ApiError> {
        // One that is there no more has no archive that goes on.
        if current.spec.databases.contains_key(name) {
            let point = self.point_at(current, name, home, at).await;
            if let Some(point) = point.map_err(|error| error.hint("`--at` a moment before it"))? {
                return Ok(Origin::Point(point));
            }
        }
        self.backup_of(current, &Holding::Database(name.clone()), home, at).await.map(Origin::Backup)
    }

    async fn backup_of(&self, current: &Release, of: &Holding, home: &Home, at: Timestamp) -> Result<Backup, ApiError> {
        let history = self.whole_history(&current.spec, of, home).await?;
        history.newest_of(at).cloned().ok_or_else(|| none_of(of, at))
    }

    /// Raises a scratch copy of a database as it was then. What it holds is what was backed up, row by row.
    pub(super) async fn raise_as_of(
        &self,
        release: &Release,
        name: &DatabaseName,
        then: &Then,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<(EnvKey, Door), ApiError> {
        let none = || ApiError::invalid(format!("nothing says where the data of {name} is"));
        let origin = then.databases.get(name).ok_or_else(none)?;
        operation.note(format!("{name}: starts a scratch copy"));
        let scratch = self.raise_scratch(release, name, operation.id, actor).await?;
        match origin {
            Origin::Point(point) => {
                let one = self.archive_of(&release.spec.key, name);
                let _nothing_goes = one.reading.lock().await;
                let point = self.up_to_now(release, name, &then.home, then.at, point, operation).await?;
                let at = Some(then.at);
                let recovered = self.recover(release, name, &scratch, &then.home, &point, at, operation).await?;
                Ok((scratch, recovered.door))
            }
            Origin::Backup(backup) => {
                let door = self.door(&scratch, name).await?;
                let owners = release.spec.databases.get(name).map_or(Owners::Admin, owners);
                self.fill_database(&scratch, name, &door, owners, backup, &then.home, operation).await?;
                Ok((scratch, door))
            }
        }
    }

    /// Fills a database, which is empty, from a backup, and compares every row. Gives what was done, in words.
    #[allow(clippy::too_many_arguments, reason = "what, from where, to where, and who is told")]
    pub(super) async fn fill_database(
        &self,
        to: &EnvKey,
        name: &DatabaseName,
        door: &Door,
        owners: Owners,
        backup: &Backup,
        home: &Home,
        operation: &Operation,
    ) -> Result<String, ApiError> {
        let made = backup.made().ok_or_else(|| ApiError::invalid("it is no backup"))?;
        let had = self.facts(home, &made.snapshot).await?;
        operation.note(format!("{name}: restores"));
        self.pour(to, door, &door.of().restore(owners), home, &made.snapshot, operation).await?;
        if let Some(url) = &door.url {
            operation.note(format!("{name}: compares every row"));
            let told = |refusal| ApiError::from(server_refused(&format!("restore {name}"), &refusal));
            let has = witness::count(url).await.map_err(told)?;
            let differs = differences(&had, &has);
            if !differs.is_empty() {
                let why = format!("what was restored is not what the backup had: {}", differs.join("; "));
                return Err(ApiError::invalid(why).hint("`daybook backup ls` shows what is proven"));
            }
        }
        Ok(format!("{name}: {} as they were at {}", size(made.size_bytes), shown(made.as_of)))
    }

    /// The rules that fit a database of then. Those about columns that it did not have are given as well.
    pub(super) async fn fitting(
        &self,
        dialect: Dialect,
        source: &Door,
        masking: &Masking,
        seed: &[u8],
    ) -> Result<(Masking, mask::Look, Vec<String>), mask::Error> {
        let (mut masking, mut left_out) = (masking.clone(), Vec::new());
        loop {
            let copying = super::clone::copying(source, "", &masking, seed, &|_| {});
            let problems = match mask::look(dialect, &copying).await {
                Ok(look) => return Ok((masking, look, left_out)),
                Err(mask::Error::Rules(problems)) => problems,
                Err(error) => return Err(error),
            };
            let nowhere = problems.iter().map(|problem| match problem {
                Problem::NoColumn { rule, .. } => masking.rules.contains_key(rule).then(|| rule.clone()),
                _ => None,
            });
            let Some(nowhere) = nowhere.collect::<Option<Vec<_>>>().filter(|rules| !rules.is_empty()) else {
                return Err(mask::Error::Rules(problems));
            };
            masking.rules.retain(|rule, _| !nowhere.contains(rule));
            left_out.extend(nowhere);
        }
    }
}
