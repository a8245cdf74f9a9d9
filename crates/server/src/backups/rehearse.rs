//! Rehearsals of upgrades: a copy of the new server takes in what the database holds, and everything is compared. The
//! upgrade itself fills the new server in the same way.

use std::time::Instant;

use daybook_api::backup::OperationView;
use daybook_data::dump::Owners;
use daybook_data::upgrade::{self as commands, Around};
use daybook_data::{Dialect, replace, witness};
use daybook_decide::backups::differences;
use daybook_decide::text::{plural, seconds};
use daybook_model::backup::{DrillOutcome, Facts, Holding, Made, Proof};
use daybook_model::upgrade::RehearsalOutcome;
use daybook_model::{Actor, BackupId, DatabaseName, EnvKey, Event, Release};
use uuid::Uuid;

use super::operations::Operation;
use super::pipe::{finish, hear};
use super::repository::Home;
use super::save::Door;
use super::upgrade::Wanted;
use crate::App;
use crate::databases::refused as server_refused;
use crate::error::ApiError;

/// What goes to the new server beside the rows. It may hold hashes of passwords, so that it is never shown.
pub(super) struct Along {
    /// The roles of a PostgreSQL, as statements.
    roles: String,
    /// Whom everything belongs to.
    around: Around,
}

impl App {
    /// Begins to rehearse an upgrade. The database itself is only read.
    pub(super) async fn begin_rehearsal(&self, wanted: Wanted, actor: &Actor) -> Result<OperationView, ApiError> {
        self.refuse_without_space()?;
        let what = format!("rehearsal of the upgrade of {}", wanted.name);
        let operation = self.begin_operation(BackupId(Uuid::now_v7()), what);
        let view = operation.view();
        let (app, actor) = (self.clone(), actor.clone());
        self.spawn(async move { app.carry_rehearsal(&wanted, &operation, &actor).await });
        Ok(view)
    }

    async fn carry_rehearsal(&self, wanted: &Wanted, operation: &Operation, actor: &Actor) {
        let (outcome, mut said) = match self.rehearse(wanted, operation, actor).await {
            Ok((stop_ms, said)) => (RehearsalOutcome::Passed { stop_ms }, said),
            Err(error) => {
                let first = format!("{} does not take over what {} holds", wanted.to, wanted.name);
                let why = error.0.message.clone();
                let last = "nothing was changed".to_owned();
                let said = [first, why.clone()].into_iter().chain(error.0.hint).chain([last]).collect();
                (RehearsalOutcome::Failed { why }, said)
            }
        };
        let good = matches!(outcome, RehearsalOutcome::Passed { .. });
        let (database, from, to) = (wanted.name.clone(), wanted.from.clone(), wanted.to.clone());
        let event = Event::UpgradeRehearsed { database, from, to, outcome };
        if let Err(error) = self.note_backup(&wanted.release.spec.key, actor, event).await {
            said.push(format!("what came of it cannot be written down: {}", error.0.message));
        }
        operation.end(good, said);
    }

    /// Gives for how long what uses the database would have been stopped, and what was seen.
    async fn rehearse(
        &self,
        wanted: &Wanted,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<(u64, Vec<String>), ApiError> {
        let (release, name) = (&wanted.release, &wanted.name);
        let (key, of) = (&release.spec.key, Holding::Database(name.clone()));
        operation.note("backs up what is there");
        let backup = self.begin_backup(release, &of, "before a rehearsal of an upgrade", actor).await?;
        let began = Instant::now();
        let made = self.make_backup(release, &of, &backup, actor).await?;
        let backup_ms = millis(began);
        operation.note("waits for others");
        let _turn = self.inner.operations.turn().await;
        // It is a drill, with another server: one that is broken off is cleared away like others.
        let event = Event::DrillStarted { drill: operation.id, of: of.clone(), backup: backup.id };
        self.note_backup(key, actor, event).await?;
        let tried = self.try_on_copy(wanted, &made, operation, actor).await;
        operation.note("clears the copy away");
        let cleared = self.clear_scratch(key, &of, operation.id, actor).await;
        let outcome = match &tried {
            Ok((fill_ms, facts)) => {
                let checks = vec![format!("{} has every row: {}", wanted.to, counted(facts))];
                DrillOutcome::Proven(Proof { rpo_ms: 0, rto_ms: *fill_ms, checks })
            }
            // The backup may well be good for the server that it is of.
            Err(error) => DrillOutcome::Undecided { why: format!("{}: {}", wanted.to, error.0.message) },
        };
        let (drill, took_ms) = (operation.id, operation.took_ms());
        let event = Event::DrillFinished { drill, of, backup: backup.id, outcome, took_ms };
        self.note_backup(key, actor, event).await?;
        let (fill_ms, facts) = tried?;
        let stop_ms = backup_ms + fill_ms;
        let mut said = vec![
            format!("{} holds what {} holds: {}", wanted.to, wanted.from, counted(&facts)),
            format!("what uses {name} would be stopped for about {}; nothing was changed", seconds(stop_ms)),
        ];
        if let Err(error) = cleared {
            said.push(format!("the copy is still there: {}", error.0.message));
        }
        Ok((stop_ms, said))
    }

    /// Fills a copy of the new server. Gives how long that takes with what is around it, and what the copy holds.
    async fn try_on_copy(
        &self,
        wanted: &Wanted,
        made: &Made,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<(u64, Facts), ApiError> {
        let (name, key) = (&wanted.name, &wanted.release.spec.key);
        let along = self.take_along(key, &self.door(key, name).await?).await?;
        let home = self.home(&wanted.release.spec).await?;
        operation.note(format!("starts a copy of {}", wanted.to));
        let began = Instant::now();
        let to = Release { spec: wanted.spec.clone(), ..wanted.release.clone() };
        let copy = self.raise_scratch(&to, name, operation.id, actor).await?;
        let start_ms = millis(began);
        let door = self.door(&copy, name).await?;
        let facts = self.fill_new(&copy, &door, &home, &made.snapshot, &along, operation).await?;
        // The old server is started once more before, and what uses it once more afterwards.
        Ok((millis(began) + 2 * start_ms, facts))
    }

    /// What goes along with the rows, from the server that has them.
    pub(super) async fn take_along(&self, key: &EnvKey, door: &Door) -> Result<Along, ApiError> {
        let mut along = Along { roles: String::new(), around: Around::default() };
        let (Some(dialect), Some(url)) = (Dialect::of(door.engine), &door.url) else { return Ok(along) };
        let told = |refusal| ApiError::from(server_refused("look at what belongs to whom", &refusal));
        along.around = commands::around(dialect, url).await.map_err(told)?;
        if dialect == Dialect::PostgreSql {
            let exec = self.run_beside(key, &door.replica, commands::roles(&door.admin)).await?;
            let said = hear(exec, format!("{}\n", door.password).as_bytes(), "pg_dumpall").await;
            let said = said.map_err(|why| ApiError::invalid(format!("its roles cannot be read: {why}")))?;
            along.roles = commands::roles_of_others(&said, &door.admin);
        }
        Ok(along)
    }

    /// Fills a new server from a backup, and compares every row and every owner. Gives what it holds.
    pub(super) async fn fill_new(
        &self,
        key: &EnvKey,
        door: &Door,
        home: &Home,
        snapshot: &str,
        along: &Along,
        operation: &Operation,
    ) -> Result<Facts, ApiError> {
        let (Some(dialect), Some(url)) = (Dialect::of(door.engine), &door.url) else {
            return Err(ApiError::invalid(format!("{} has no tables to carry over", door.engine.name())));
        };
        let told = |refusal| ApiError::from(server_refused("fill the new server", &refusal));
        let maintenance = door.url_of(dialect, "");
        let restore = match dialect {
            Dialect::PostgreSql => {
                operation.note("makes its roles");
                // Who starts a server makes it already, with groups that hold its rights. The dump has it as it was.
                replace::drop_it(dialect, &maintenance, &door.database).await.map_err(told)?;
                let exec = self.run_beside(key, &door.replica, commands::take_roles(&door.admin)).await?;
                let input = format!("{}\n{}", door.password, along.roles);
                let made = hear(exec, input.as_bytes(), "psql").await;
                made.map_err(|why| ApiError::invalid(format!("its roles cannot be made: {why}")))?;
                door.of().recreate()
            }
            Dialect::MySql => {
                replace::make_empty(dialect, &maintenance, &door.database).await.map_err(told)?;
                if let Some(letters) = &along.around.letters {
                    commands::spell(url, &door.database, letters).await.map_err(told)?;
                }
                door.of().restore(Owners::Admin)
            }
        };
        operation.note("fills it");
        self.pour(key, door, &restore, home, snapshot, operation).await?;
        operation.note("compares every row");
        let had = self.facts(home, snapshot).await?;
        let has = witness::count(url).await.map_err(told)?;
        let mut differs = differences(&had, &has);
        let around = commands::around(dialect, url).await.map_err(told)?;
        differs.extend(commands::other_owners(&along.around, &around));
        if !differs.is_empty() {
            return Err(ApiError::invalid(format!("it does not hold what there was: {}", differs.join("; "))));
        }
        if dialect == Dialect::PostgreSql {
            operation.note("has its planner know the rows");
            commands::analyze(url).await.map_err(told)?;
        }
        Ok(has)
    }

    /// Removes the files in a place that no server uses, by way of the server beside it.
    pub(super) async fn clear_place(&self, key: &EnvKey, name: &DatabaseName, place: &str) -> Result<(), ApiError> {
        let door = self.door(key, name).await?;
        let exec = self.run_beside(key, &door.replica, commands::clear(place)).await?;
        let cleared = finish(exec, "rm").await;
        cleared.map_err(|why| ApiError::invalid(format!("{place} cannot be removed: {why}")))
    }
}

/// What a database holds, in a few words.
pub(super) fn counted(facts: &Facts) -> String {
    format!("{} of {}", plural(facts.rows(), "row"), plural(facts.tables.len() as u64, "table"))
}

/// Milliseconds since a moment.
pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
