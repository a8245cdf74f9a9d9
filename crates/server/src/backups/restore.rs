//! Restoring for good: what is there is replaced by a backup, at once and as a whole where that can be.

use daybook_api::ErrorCode;
use daybook_api::backup::{OperationView, Restore, RestorePlan};
use daybook_data::dump::{Of, Owners};
use daybook_data::{Dialect, replace, witness};
use daybook_decide::backups::{BEFORE_RESTORE, Backup, FOUND, History, differences};
use daybook_decide::text::size;
use daybook_executor::Databases as _;
use daybook_model::backup::{Holding, Made};
use daybook_model::{Actor, BackupId, DatabaseName, EnvKey, Event, Release, Timestamp};
use uuid::Uuid;

use super::operations::Operation;
use super::repository::Home;
use super::save::Door;
use super::volume::UNSETTLED;
use super::{find, view};
use crate::App;
use crate::databases::{Reached, no_database, refused as server_refused};
use crate::error::ApiError;

/// The backup that is meant where nobody says which: the newest that was not made because of a restore. Where another
/// Daybook has made some, a person has to say.
fn newest<'h>(history: &'h History, of: &Holding) -> Result<&'h Backup, ApiError> {
    if let Some(found) = history.backups.iter().rev().find(|backup| backup.why == FOUND) {
        let message = format!("another Daybook has made backups of `{of}`: which one is meant?");
        return Err(ApiError::new(ErrorCode::Usage, message)
            .hint(format!("`daybook backup ls {of}` lists them; the newest of those: --backup {}", found.id.short())));
    }
    let made = |backup: &&Backup| backup.made().is_some() && backup.why != BEFORE_RESTORE;
    match history.backups.iter().rev().find(made) {
        Some(backup) => Ok(backup),
        None => find(history, of, None),
    }
}

/// Nothing is as old.
pub(super) fn none_of(of: &Holding, at: Timestamp) -> ApiError {
    ApiError::not_found(format!("{of} has no backup from {at} or before"))
        .hint(format!("`daybook backup ls {of}` lists them"))
}

/// What a restored database is called until it is known to be good.
pub(super) const FRESH: &str = "__restored";
/// What the one before is called afterwards.
pub(super) const ASIDE: &str = "__before";

/// What is to be restored.
pub(super) struct Wanted {
    pub(super) release: Release,
    pub(super) of: Holding,
    pub(super) home: Home,
    pub(super) backup: Backup,
    pub(super) made: Made,
    pub(super) without_backup: bool,
}

impl App {
    /// What a restore would do. Changes nothing.
    pub(crate) async fn plan_restore(&self, key: &EnvKey, wanted: &Restore) -> Result<RestorePlan, ApiError> {
        if let Some(plan) = self.plan_point(key, wanted).await? {
            return Ok(plan);
        }
        let wanted = self.find_backup(key, wanted).await?;
        let steps = match &wanted.of {
            Holding::Database(name) => steps_of_database(&wanted, name)?,
            Holding::Volume(name) => self.steps_of_volume(&wanted, name).await?,
        };
        Ok(RestorePlan { of: wanted.of.clone(), backup: view::backup(&wanted.backup), point_in_time: None, steps })
    }

    /// Begins to replace what is there by a backup.
    pub(crate) async fn restore(
        &self,
        key: &EnvKey,
        wanted: &Restore,
        actor: &Actor,
    ) -> Result<OperationView, ApiError> {
        self.refuse_if_locked(key).await?;
        self.refuse_if_upgrading(key).await?;
        if let Some(operation) = self.restore_point(key, wanted, actor).await? {
            return Ok(operation);
        }
        let wanted = self.find_backup(key, wanted).await?;
        let what = format!("about to be restored from {} of {}", wanted.backup.id.short(), wanted.made.as_of);
        self.note_restore(key, &wanted, actor, what).await?;
        let operation = self.begin_operation(BackupId(Uuid::now_v7()), format!("restore of {}", wanted.of));
        let view = operation.view();
        let (app, key, actor) = (self.clone(), key.clone(), actor.clone());
        self.spawn(async move {
            let planning = app.planning(&key);
            let _planning = planning.lock().await;
            // A run may have begun before this had its turn.
            let done = match app.refuse_if_locked(&key).await {
                Ok(()) => app.carry_restore(&key, &wanted, &operation, &actor).await,
                Err(error) => Err(error),
            };
            let is_open = done.as_ref().is_err_and(|error| error.0.hint.as_deref() == Some(UNSETTLED));
            let (what, said, good) = match done {
                Ok(said) => ("restored".to_owned(), said, true),
                Err(error) => {
                    let said = std::iter::once(error.0.message.clone()).chain(error.0.hint).collect();
                    (format!("not restored: {}", error.0.message), said, false)
                }
            };
            // What is open is settled by the next server, which has to know of it.
            if !is_open && let Err(error) = app.note_restore(&key, &wanted, &actor, what).await {
                tracing::warn!(%key, error = %error.0.message, "what came of a restore cannot be written down");
            }
            operation.end(good, said);
        });
        Ok(view)
    }

    async fn note_restore(&self, key: &EnvKey, wanted: &Wanted, actor: &Actor, what: String) -> Result<(), ApiError> {
        let event = Event::Restored { of: wanted.of.clone(), backup: wanted.backup.id, what };
        self.note_backup(key, actor, event).await
    }

    async fn find_backup(&self, key: &EnvKey, wanted: &Restore) -> Result<Wanted, ApiError> {
        let release = self.require_release(key).await?;
        let of = super::named(&release.spec, &wanted.of)?;
        let home = self.home(&release.spec).await?;
        let history = self.whole_history(&release.spec, &of, &home).await?;
        if history.stopped.is_some() {
            let message = format!("a restore of {of} is not at its end");
            return Err(ApiError::new(ErrorCode::Unavailable, message).hint(UNSETTLED));
        }
        let backup = match (wanted.at, &wanted.backup) {
            (Some(_), Some(_)) => {
                return Err(ApiError::new(ErrorCode::Usage, "a backup is named by its id or by a time, not by both"));
            }
            (Some(at), None) => history.newest_of(at).ok_or_else(|| none_of(&of, at))?,
            (None, Some(id)) => find(&history, &of, Some(id))?,
            (None, None) => newest(&history, &of)?,
        };
        let made = backup.made().cloned().ok_or_else(|| ApiError::invalid("it is no backup"))?;
        let backup = backup.clone();
        Ok(Wanted { of, home, backup, made, release, without_backup: wanted.without_backup })
    }

    async fn carry_restore(
        &self,
        key: &EnvKey,
        wanted: &Wanted,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let mut said = Vec::new();
        if !wanted.without_backup {
            said.push(self.back_up_before(&wanted.release, &wanted.of, operation, actor).await?);
        }
        said.extend(match &wanted.of {
            Holding::Database(name) => self.restore_database(key, wanted, name, operation).await?,
            Holding::Volume(name) => self.restore_volume(wanted, name, operation, actor).await?,
        });
        let first = format!("{} is as it was at {}", wanted.of, wanted.made.as_of.strftime("%Y-%m-%d %H:%M:%S UTC"));
        said.insert(0, first);
        Ok(said)
    }

    /// Backs up what a restore is about to replace. Gives what was done, in words.
    pub(super) async fn back_up_before(
        &self,
        release: &Release,
        of: &Holding,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<String, ApiError> {
        operation.note("backs up what is there now");
        let before = self.begin_backup(release, of, BEFORE_RESTORE, actor).await?;
        self.make_backup(release, of, &before, actor).await.map_err(|error| {
            ApiError::invalid(format!("what is there now cannot be backed up: {}", error.0.message))
                .hint("where that may be lost: `--without-backup`")
        })?;
        Ok(format!("what was there is backup {}", before.id.short()))
    }

    async fn restore_database(
        &self,
        key: &EnvKey,
        wanted: &Wanted,
        name: &DatabaseName,
        operation: &Operation,
    ) -> Result<Vec<String>, ApiError> {
        let door = self.door(key, name).await?;
        if let Some(dialect) = Dialect::of(door.engine) {
            return self.restore_tables(key, wanted, name, &door, dialect, operation).await;
        }
        let argv = door.of().restore(Owners::Admin);
        self.pour(key, &door, &argv, &wanted.home, &wanted.made.snapshot, operation).await?;
        Ok(Vec::new())
    }

    /// Restores beside what is there, compares, and only then puts it in its place.
    async fn restore_tables(
        &self,
        key: &EnvKey,
        wanted: &Wanted,
        name: &DatabaseName,
        door: &Door,
        dialect: Dialect,
        operation: &Operation,
    ) -> Result<Vec<String>, ApiError> {
        let told = |refusal| ApiError::from(server_refused(&format!("restore {name}"), &refusal));
        let fresh = format!("{}{FRESH}", door.database);
        let (maintenance, url) = (door.url_of(dialect, ""), door.url_of(dialect, &fresh));
        replace::make_empty(dialect, &maintenance, &fresh).await.map_err(told)?;
        let beside = Of { database: &fresh, ..door.of() };
        let owners = if dialect == Dialect::PostgreSql { Owners::AsTheyWere } else { Owners::Admin };
        let restored = async {
            let argv = beside.restore(owners);
            self.pour(key, door, &argv, &wanted.home, &wanted.made.snapshot, operation).await?;
            operation.note("compares every row");
            let had = self.facts(&wanted.home, &wanted.made.snapshot).await?;
            let has = witness::count(&url).await.map_err(told)?;
            let differs = differences(&had, &has);
            if differs.is_empty() {
                return Ok(has);
            }
            let why = format!("what was restored is not what the backup had: {}", differs.join("; "));
            Err(ApiError::invalid(why).hint("the database is as it was; `daybook backup ls` shows what is proven"))
        };
        let has = match restored.await {
            Ok(has) => has,
            Err(error) => {
                // The one that is in use was not touched.
                let _ = replace::drop_it(dialect, &maintenance, &fresh).await;
                return Err(error);
            }
        };
        let mut said = vec![format!("{} rows of {} tables are as they were", has.rows(), has.tables.len())];
        operation.note("puts it in its place");
        match dialect {
            Dialect::PostgreSql => {
                let aside = format!("{}{ASIDE}", door.database);
                replace::carry_settings(&maintenance, &door.database, &fresh).await.map_err(told)?;
                replace::swap(&maintenance, &door.database, &fresh, &aside).await.map_err(told)?;
                said.push(format!("the one before is {aside}, until the next restore"));
            }
            Dialect::MySql => {
                replace::make_empty(dialect, &maintenance, &door.database).await.map_err(told)?;
                let argv = door.of().restore(owners);
                self.pour(key, door, &argv, &wanted.home, &wanted.made.snapshot, operation).await?;
                replace::drop_it(dialect, &maintenance, &fresh).await.map_err(told)?;
            }
        }
        let opened = self.opened(key, name).await?;
        Reached::new(&self.inner.state).grant(&opened).await?;
        Ok(said)
    }
}

fn steps_of_database(wanted: &Wanted, name: &DatabaseName) -> Result<Vec<String>, ApiError> {
    let spec = &wanted.release.spec;
    let database = spec.databases.get(name).ok_or_else(|| no_database(spec, name))?;
    let kept = database.kept().ok_or_else(|| no_database(spec, name))?;
    let used = kept.logins.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut steps = vec![match (wanted.without_backup, Dialect::of(database.engine)) {
        (false, _) => format!("back {name} up as it is now"),
        (true, Some(Dialect::PostgreSql)) => "make no backup before".to_owned(),
        (true, _) => "make no backup before: what is there now is lost".to_owned(),
    }];
    steps.push(match Dialect::of(database.engine) {
        Some(Dialect::PostgreSql) => format!(
            "restore {} beside it as {}{FRESH}, and compare every row with what the backup had",
            size(wanted.made.size_bytes),
            kept.name
        ),
        Some(Dialect::MySql) => {
            format!("restore {} beside it, compare every row, then into it", size(wanted.made.size_bytes))
        }
        None => format!("let {name} take in {}", size(wanted.made.size_bytes)),
    });
    if Dialect::of(database.engine) == Some(Dialect::PostgreSql) {
        let shown = if used.is_empty() { String::new() } else { format!("; {used} connect anew") };
        steps.push(format!("change their names at once{shown}; the one before stays as {}{ASIDE}", kept.name));
    }
    Ok(steps)
}
