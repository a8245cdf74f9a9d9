//! Restoring to a moment: a scratch copy is brought to it, and what it holds is carried over and put in its place.

use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_api::backup::{BackupState, BackupView, OperationView, Restore, RestorePlan};
use daybook_data::dump::{Of, Owners};
use daybook_data::{Dialect, archive as commands, replace, witness};
use daybook_decide::archive::{Archive, Base, Choice, Point, Segment, choose};
use daybook_decide::backups::differences;
use daybook_decide::text::{exact, plural};
use daybook_executor::Databases as _;
use daybook_model::backup::{ArchiveNote, Facts, Holding};
use daybook_model::{Actor, BackupId, Database, DatabaseName, EnvKey, Event, Release, Timestamp};
use uuid::Uuid;

use super::archive::{One, keeps_archive};
use super::clone::Ends;
use super::drill::Wrong;
use super::operations::Operation;
use super::repository::Home;
use super::restore::{ASIDE, FRESH};
use super::scratch::scratch_key;
use crate::App;
use crate::databases::{Reached, refused as server_refused};
use crate::error::ApiError;

/// Between two looks at what the server lays down.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What the server was asked to lay down is there within this.
const LAID_WITHIN: Duration = Duration::from_secs(120);

/// A moment that is to be had back.
struct Wanted {
    release: Release,
    name: DatabaseName,
    at: Timestamp,
    point: Point,
    home: Home,
    without_backup: bool,
}

impl App {
    /// What a restore to a moment would do. `None`: it is none, or no base backup is as old.
    pub(super) async fn plan_point(&self, key: &EnvKey, wanted: &Restore) -> Result<Option<RestorePlan>, ApiError> {
        let Some(wanted) = self.point_of(key, wanted).await? else { return Ok(None) };
        let kept = wanted.release.spec.databases[&wanted.name].kept();
        let (name, server) = (&wanted.name, kept.map_or("", |kept| kept.name.as_str()));
        let files = plural(wanted.point.files.len() as u64, "file");
        let steps = vec![
            match wanted.without_backup {
                true => "make no backup before".to_owned(),
                false => format!("back {name} up as it is now"),
            },
            format!(
                "bring a scratch copy to {}: base backup {} and {files} of what was written since",
                shown(wanted.at),
                wanted.point.base.id.short()
            ),
            format!("carry it over beside {name} as {server}{FRESH}, and compare every row"),
            format!("change their names at once; the one before stays as {server}{ASIDE}"),
        ];
        let backup = base_view(&wanted.point.base);
        let of = Holding::Database(wanted.name.clone());
        Ok(Some(RestorePlan { of, backup, point_in_time: Some(wanted.at), steps }))
    }

    /// Begins to bring a database back to a moment. `None`: it is none, or no base backup is as old.
    pub(super) async fn restore_point(
        &self,
        key: &EnvKey,
        wanted: &Restore,
        actor: &Actor,
    ) -> Result<Option<OperationView>, ApiError> {
        let Some(wanted) = self.point_of(key, wanted).await? else { return Ok(None) };
        self.refuse_without_space()?;
        let what = format!("about to be brought back to {}", shown(wanted.at));
        self.note_point(key, &wanted, actor, what).await?;
        let operation = self.begin_operation(BackupId(Uuid::now_v7()), format!("restore of {}", wanted.name));
        let view = operation.view();
        let (app, key, actor) = (self.clone(), key.clone(), actor.clone());
        self.spawn(async move {
            let planning = app.planning(&key);
            let _planning = planning.lock().await;
            // A run may have begun before this had its turn.
            let done = match app.refuse_if_locked(&key).await {
                Ok(()) => app.carry_point(&key, &wanted, &operation, &actor).await,
                Err(error) => Err(error),
            };
            let (what, said, good) = match done {
                Ok(said) => (format!("brought back to {}", shown(wanted.at)), said, true),
                Err(error) => {
                    let said = std::iter::once(error.0.message.clone()).chain(error.0.hint).collect();
                    (format!("not brought back: {}", error.0.message), said, false)
                }
            };
            if let Err(error) = app.note_point(&key, &wanted, &actor, what).await {
                tracing::warn!(%key, error = %error.0.message, "what came of a restore cannot be written down");
            }
            operation.end(good, said);
        });
        Ok(Some(view))
    }

    async fn note_point(&self, key: &EnvKey, wanted: &Wanted, actor: &Actor, what: String) -> Result<(), ApiError> {
        let event = Event::Restored { of: Holding::Database(wanted.name.clone()), backup: wanted.point.base.id, what };
        self.note_backup(key, actor, event).await
    }

    async fn point_of(&self, key: &EnvKey, wanted: &Restore) -> Result<Option<Wanted>, ApiError> {
        let (Some(at), None) = (wanted.at, &wanted.backup) else { return Ok(None) };
        self.refuse_to_come(at)?;
        let release = self.require_release(key).await?;
        let Holding::Database(name) = wanted.of.clone() else { return Ok(None) };
        if release.spec.databases.get(&name).and_then(Database::kept).is_none() {
            return Ok(None);
        }
        let home = self.home(&release.spec).await?;
        let Some(point) = self.point_at(&release, &name, &home, at).await? else { return Ok(None) };
        Ok(Some(Wanted { release, name, at, point, home, without_backup: wanted.without_backup }))
    }

    /// Refuses a moment that is yet to come.
    pub(super) fn refuse_to_come(&self, at: Timestamp) -> Result<(), ApiError> {
        if at <= self.now() {
            return Ok(());
        }
        let error = ApiError::new(ErrorCode::Usage, format!("{} is yet to come", shown(at)));
        Err(error.hint(format!("it is {} now", shown(self.now()))))
    }

    /// What leads to a moment, as the repository has it now. `None`: no base backup is as old.
    pub(super) async fn point_at(
        &self,
        release: &Release,
        name: &DatabaseName,
        home: &Home,
        at: Timestamp,
    ) -> Result<Option<Point>, ApiError> {
        let archive = self.look_at_archive(name, home).await?;
        let live = self.live_cluster(release, name).await;
        chosen(&archive, live, at, name)
    }

    /// The same, after all that was written up to now is in the repository. Nothing may be removed from it meanwhile: the
    /// caller sees to that.
    pub(super) async fn up_to_now(
        &self,
        release: &Release,
        name: &DatabaseName,
        home: &Home,
        at: Timestamp,
        point: &Point,
        operation: &Operation,
    ) -> Result<Point, ApiError> {
        if self.live_cluster(release, name).await != Some(point.system) {
            return Ok(point.clone());
        }
        operation.note("takes what was written up to now");
        let one = self.archive_of(&release.spec.key, name);
        let live = self.take_up_to_now(release, name, &one).await?;
        let archive = self.look_at_archive(name, home).await?;
        let none = || ApiError::invalid("the base backup is not there any more");
        chosen(&archive, Some(live), at, name)?.ok_or_else(none)
    }

    /// The cluster that is in use, where all that it writes is archived.
    async fn live_cluster(&self, release: &Release, name: &DatabaseName) -> Option<u64> {
        release.spec.databases.get(name).filter(|database| keeps_archive(database))?;
        let replica = self.server_of(&release.spec, name).await.ok()??;
        self.spool(&release.spec.key, &replica).await.ok().map(|spool| spool.system)
    }

    /// Has all that was written up to now in the repository.
    async fn take_up_to_now(&self, release: &Release, name: &DatabaseName, one: &One) -> Result<u64, ApiError> {
        let key = &release.spec.key;
        let door = self.door(key, name).await?;
        let told = |refusal| ApiError::from(server_refused(&format!("let {name} lay down what it wrote"), &refusal));
        let wanted = commands::switch(door.url.as_deref().unwrap_or_default()).await.map_err(told)?;
        let until = tokio::time::Instant::now() + LAID_WITHIN;
        loop {
            let system = self.take_all(release, name, one).await?;
            let archive = match one.archive() {
                Some(archive) => archive,
                None => self.look_at_archive(name, &self.home(&release.spec).await?).await?,
            };
            let is_there = archive.clusters.get(&system).is_some_and(|cluster| {
                let wanted = Segment::parse(&wanted, cluster.segment_bytes).map(|segment| segment.number);
                let all = cluster.batches.iter().flat_map(|batch| &batch.segments).max();
                wanted.is_some_and(|wanted| all.is_some_and(|last| *last >= wanted))
            });
            if is_there {
                return Ok(system);
            }
            if tokio::time::Instant::now() > until {
                let why = format!("{name} has not laid {wanted} down within {} s", LAID_WITHIN.as_secs());
                return Err(
                    ApiError::new(ErrorCode::Unavailable, why).hint(format!("its log says why: daybook logs {name}"))
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn carry_point(
        &self,
        key: &EnvKey,
        wanted: &Wanted,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let (release, name) = (&wanted.release, &wanted.name);
        let mut said = Vec::new();
        if !wanted.without_backup {
            let of = Holding::Database(name.clone());
            said.push(self.back_up_before(release, &of, operation, actor).await?);
        }
        let one = self.archive_of(key, name);
        let _nothing_goes = one.reading.lock().await;
        let point = self.up_to_now(release, name, &wanted.home, wanted.at, &wanted.point, operation).await?;
        let recovery = operation.id;
        self.note_archive(key, name, &one, ArchiveNote::RecoveryStarted { recovery }).await?;
        let carried = self.carry_over(key, wanted, &point, operation, actor).await;
        operation.note("clears the scratch copy away");
        match self.clear_environment(&scratch_key(key, recovery), true, actor).await {
            Ok(()) => self.note_archive(key, name, &one, ArchiveNote::RecoveryEnded { recovery }).await?,
            Err(error) => said.push(format!("the scratch copy is still there: {}", error.0.message)),
        }
        let (has, last) = carried?;
        said.insert(0, format!("{name} is as it was at {}", shown(wanted.at)));
        said.extend(last.map(|last| format!("the last transaction in it was at {last}")));
        said.push(format!("{} rows of {} tables are as in the scratch copy", has.rows(), has.tables.len()));
        let server = release.spec.databases[name].kept().map_or("", |kept| kept.name.as_str());
        said.push(format!("the one before is {server}{ASIDE}, until the next restore"));
        Ok(said)
    }

    /// Brings a scratch copy to the moment, and puts what it holds in the place of what is there.
    async fn carry_over(
        &self,
        key: &EnvKey,
        wanted: &Wanted,
        point: &Point,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<(Facts, Option<String>), ApiError> {
        let (release, name) = (&wanted.release, &wanted.name);
        operation.note("starts a scratch copy");
        let scratch = self.raise_scratch(release, name, operation.id, actor).await?;
        let recovered = self.recover(release, name, &scratch, &wanted.home, point, Some(wanted.at), operation).await?;
        let door = self.door(key, name).await?;
        let told = |refusal| ApiError::from(server_refused(&format!("restore {name}"), &refusal));
        let fresh = format!("{}{FRESH}", door.database);
        let (maintenance, url) = (door.url_of(Dialect::PostgreSql, ""), door.url_of(Dialect::PostgreSql, &fresh));
        replace::make_empty(Dialect::PostgreSql, &maintenance, &fresh).await.map_err(told)?;
        let carried = async {
            let restore = Of { database: &fresh, ..door.of() }.restore(Owners::AsTheyWere);
            let ends = Ends { from: &scratch, source: &recovered.door, to: key, target: &door, operation };
            self.pour_across(ends, recovered.door.of().dump(None), restore).await?;
            operation.note("compares every row");
            let had = witness::count(recovered.door.url.as_deref().unwrap_or_default()).await.map_err(told)?;
            let has = witness::count(&url).await.map_err(told)?;
            let differs = differences(&had, &has);
            if differs.is_empty() {
                return Ok(has);
            }
            let why = format!("what was carried over is not what the scratch copy has: {}", differs.join("; "));
            Err(ApiError::invalid(why).hint("the database is as it was"))
        };
        let has = match carried.await {
            Ok(has) => has,
            Err(error) => {
                // The one that is in use was not touched.
                let _ = replace::drop_it(Dialect::PostgreSql, &maintenance, &fresh).await;
                return Err(error);
            }
        };
        operation.note("puts it in its place");
        let aside = format!("{}{ASIDE}", door.database);
        replace::carry_settings(&maintenance, &door.database, &fresh).await.map_err(told)?;
        replace::swap(&maintenance, &door.database, &fresh, &aside).await.map_err(told)?;
        let opened = self.opened(key, name).await?;
        Reached::new(&self.inner.state).grant(&opened).await?;
        Ok((has, recovered.last))
    }

    /// Brings the scratch copy of a drill to the last moment of all. Gives how much would have been lost before, and what was
    /// seen. `None`: nothing is archived, or there is no base backup yet.
    pub(super) async fn prove_point(
        &self,
        release: &Release,
        name: &DatabaseName,
        scratch: &EnvKey,
        home: &Home,
        operation: &Operation,
    ) -> Result<Option<(u64, Vec<String>)>, Wrong> {
        let key = &release.spec.key;
        if !release.spec.databases.get(name).is_some_and(keeps_archive) {
            return Ok(None);
        }
        let one = self.archive_of(key, name);
        let Some(lost) = self.would_be_lost(&release.spec, name) else { return Ok(None) };
        operation.note("takes what was written up to now");
        let _nothing_goes = one.reading.lock().await;
        let live = self.take_up_to_now(release, name, &one).await?;
        let archive = self.look_at_archive(name, home).await?;
        let point = match choose(&archive, Some(live), None) {
            Choice::From(point) => point,
            Choice::Gap { missing, .. } => {
                return Err(Wrong::Backup(vec![format!("what was written has a gap: {missing} is missing")]));
            }
            Choice::TooOld | Choice::TooLate { .. } => return Ok(None),
        };
        let recovered = self.recover(release, name, scratch, home, &point, None, operation).await?;
        operation.note("counts what it holds");
        let unread = |refusal| Wrong::Backup(vec![format!("what was recovered cannot be read: {refusal}")]);
        let has = witness::count(recovered.door.url.as_deref().unwrap_or_default()).await.map_err(unread)?;
        let cluster = archive.clusters.get(&point.system);
        let last = cluster.map(|cluster| cluster.name(point.last)).unwrap_or_default();
        Ok(Some((
            lost,
            vec![format!(
                "brought to the last moment from base backup {}: {} up to {last}, {}; {} at most would have been lost",
                point.base.id.short(),
                plural(point.files.len() as u64, "file"),
                plural(has.rows(), "row"),
                exact(lost)
            )],
        )))
    }
}

/// What leads to a moment. `None`: no base backup is as old.
fn chosen(archive: &Archive, live: Option<u64>, at: Timestamp, name: &DatabaseName) -> Result<Option<Point>, ApiError> {
    let up_to = |until: Option<Timestamp>| match until {
        Some(until) => format!("every moment up to {} can be had", shown(until)),
        None => "no moment after its base backup can be had".to_owned(),
    };
    let hint = format!("`--at` a moment before it, or a backup: `daybook backup ls {name}`, then `--backup ID`");
    match choose(archive, live, Some(at)) {
        Choice::From(point) => Ok(Some(*point)),
        Choice::TooOld => Ok(None),
        Choice::Gap { until, missing } => {
            let why =
                format!("what {name} wrote up to {} has a gap: {missing} is missing; {}", shown(at), up_to(until));
            Err(ApiError::invalid(why).hint(hint))
        }
        Choice::TooLate { until } => {
            let why =
                format!("what {name} wrote up to {} is not all there: its server is gone; {}", shown(at), up_to(until));
            Err(ApiError::invalid(why).hint(hint))
        }
    }
}

pub(super) fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S%.f UTC").to_string()
}

fn base_view(base: &Base) -> BackupView {
    BackupView {
        id: base.id,
        snapshot: Some(base.snapshot.clone()),
        begun: base.whole,
        why: "base backup".to_owned(),
        state: BackupState::Unproven,
        as_of: Some(base.whole),
        size_bytes: None,
        added_bytes: None,
        tables: None,
        rows: None,
        files: None,
        remarks: Vec::new(),
        took_ms: None,
        failed: None,
        drill: None,
    }
}
