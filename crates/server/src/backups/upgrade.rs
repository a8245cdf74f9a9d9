//! Upgrades of database servers to another series. The new server begins beside the files of the old one and is filled
//! from a backup, while nobody writes. Until everything is there and runs, the release before is the way back, with its own
//! files as they were.
//!
//! What is begun is in the journal. While it is under way nothing else changes the environment, and a server that ends in its
//! midst leaves it to the next, which brings the old version back, or starts what uses it where the new one has every row.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use daybook_api::ErrorCode;
use daybook_api::backup::OperationView;
use daybook_api::upgrade::{Rehearsed, Upgrade, UpgradePlan};
use daybook_data::Dialect;
use daybook_data::upgrade as commands;
use daybook_decide::text::exact;
use daybook_decide::upgrade::{self, Open, Standing, Way, read_only, replaced, stopped};
use daybook_executor::{Databases as _, Resolved};
use daybook_manifest::Aim;
use daybook_model::backup::Holding;
use daybook_model::database::DatabaseServer;
use daybook_model::upgrade::UpgradeOutcome;
use daybook_model::{
    Actor, BackupId, DatabaseName, EnvKey, Event, Release, RunKind, Service, ServiceName, Spec, Verdict,
};
use uuid::Uuid;

use super::operations::Operation;
use super::rehearse::{counted, millis};
use super::restore::ASIDE;
use crate::App;
use crate::databases::{Reached, no_database};
use crate::error::ApiError;
use crate::sealing::{Sealing, Values};

/// How long a registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// Until it is tried again to bring an old version back, after that failed.
const AGAIN_MS: i64 = 60_000;

/// An upgrade that is meant.
pub(super) struct Wanted {
    pub(super) release: Release,
    pub(super) name: DatabaseName,
    /// The service that runs it.
    run_by: ServiceName,
    pub(super) from: DatabaseServer,
    pub(super) to: DatabaseServer,
    /// The release with the new server.
    pub(super) spec: Spec,
    users: BTreeSet<ServiceName>,
}

/// What is between the server that is there and the one that a manifest names.
enum Between {
    /// Nothing that has to be carried over, and why.
    Nothing { from: DatabaseServer, to: DatabaseServer, why: String },
    /// Files that the new one does not take over.
    Series(Box<Wanted>),
}

impl App {
    /// What an upgrade would do. Changes nothing.
    pub(crate) async fn plan_upgrade(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        asked: &Upgrade,
    ) -> Result<UpgradePlan, ApiError> {
        let wanted = match self.between(key, name, asked).await? {
            Between::Series(wanted) => wanted,
            Between::Nothing { from, to, why } => {
                return Ok(UpgradePlan {
                    from: from.to_string(),
                    to: to.to_string(),
                    needless: Some(why),
                    steps: Vec::new(),
                    left_out: Vec::new(),
                    rehearsed: None,
                });
            }
        };
        let Wanted { from, to, users, run_by, release, .. } = wanted.as_ref();
        let rehearsed = self.upgrades(key).await?.rehearsed(name, from, to, self.now());
        let old_place = release.spec.services.get(run_by).and_then(|service| upgrade::place(service));
        let stop_ms = rehearsed.map(|(_, stop_ms)| stop_ms);
        Ok(UpgradePlan {
            from: from.to_string(),
            to: to.to_string(),
            needless: None,
            steps: upgrade::steps(name, from, to, users, old_place.unwrap_or_default(), stop_ms),
            left_out: self.left_out(key, name).await?,
            rehearsed: rehearsed.map(|(at, stop_ms)| Rehearsed { at, stop_ms }),
        })
    }

    /// Begins to rehearse an upgrade on a copy.
    pub(crate) async fn rehearse_upgrade(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        asked: &Upgrade,
        actor: &Actor,
    ) -> Result<OperationView, ApiError> {
        self.refuse_if_upgrading(key).await?;
        let wanted = self.series(key, name, asked).await?;
        self.left_out(key, name).await?;
        self.begin_rehearsal(wanted, actor).await
    }

    /// Begins an upgrade that was rehearsed.
    pub(crate) async fn upgrade(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        asked: &Upgrade,
        actor: &Actor,
    ) -> Result<OperationView, ApiError> {
        self.refuse_if_upgrading(key).await?;
        self.refuse_if_locked(key).await?;
        self.refuse_without_space()?;
        let wanted = self.series(key, name, asked).await?;
        self.left_out(key, name).await?;
        if self.upgrades(key).await?.rehearsed(name, &wanted.from, &wanted.to, self.now()).is_none() {
            let message = format!("from {} to {} was not rehearsed in the last day", wanted.from, wanted.to);
            return Err(
                ApiError::new(ErrorCode::Usage, message).hint(format!("`daybook db upgrade {name} --rehearse`"))
            );
        }
        let operation = self.begin_operation(BackupId(Uuid::now_v7()), format!("upgrade of {name}"));
        let view = operation.view();
        let (app, key, actor) = (self.clone(), key.clone(), actor.clone());
        self.spawn(async move {
            let planning = app.planning(&key);
            let _planning = planning.lock().await;
            // A run may have begun before this had its turn.
            let done = match app.refuse_if_changed(&key, &wanted).await {
                Ok(()) => app.carry_upgrade(&wanted, &operation, &actor).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(said) => operation.end(true, said),
                Err(error) => operation.end(false, std::iter::once(error.0.message).chain(error.0.hint).collect()),
            }
        });
        Ok(view)
    }

    /// Begins to remove the files that servers before upgrades have left.
    pub(crate) async fn finish_upgrade(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        actor: &Actor,
    ) -> Result<OperationView, ApiError> {
        self.refuse_if_upgrading(key).await?;
        let release = self.require_release(key).await?;
        let database = release.spec.databases.get(name).ok_or_else(|| no_database(&release.spec, name))?;
        let service = database.kept().and_then(|kept| release.spec.services.get(&kept.service));
        let left = self.upgrades(key).await?.left.remove(name).unwrap_or_default();
        let places = left.into_iter().filter_map(|server| Some((upgrade::place_of(service?, &server)?, server)));
        let places: Vec<_> = places.collect();
        if places.is_empty() {
            return Err(ApiError::not_found(format!("no server before has left files of {name}")));
        }
        let operation = self.begin_operation(BackupId(Uuid::now_v7()), format!("end of the upgrade of {name}"));
        let view = operation.view();
        let (app, key, name, actor) = (self.clone(), key.clone(), name.clone(), actor.clone());
        self.spawn(async move {
            let mut said = Vec::with_capacity(places.len());
            for (place, of) in places {
                operation.note(format!("removes the files of {of}"));
                let removed = async {
                    // It is known that they are no way back any more before the first of them goes.
                    let event = Event::OldFilesRemoved { database: name.clone(), of: of.clone() };
                    app.note_backup(&key, &actor, event).await?;
                    app.clear_place(&key, &name, &place).await
                };
                if let Err(error) = removed.await {
                    said.insert(0, error.0.message);
                    return operation.end(false, said);
                }
                said.push(format!("the files of {of} are gone"));
            }
            operation.end(true, said);
        });
        Ok(view)
    }

    /// What became of upgrades in an environment.
    async fn upgrades(&self, key: &EnvKey) -> Result<Standing, ApiError> {
        let entries = self.inner.store.backup_entries(key).await?;
        Ok(upgrade::standing(entries.iter().map(|entry| (entry.at, &entry.event))))
    }

    /// While a server is being replaced, nothing else changes an environment, and nothing is read that is half there.
    pub(crate) async fn refuse_if_upgrading(&self, key: &EnvKey) -> Result<(), ApiError> {
        let Some(Open { database, from, to, .. }) = self.upgrades(key).await?.open else { return Ok(()) };
        let message = format!("{database} is on its way from {from} to {to}");
        Err(ApiError::new(ErrorCode::Locked, message)
            .hint(format!("wait for it: `daybook events -e {}` tells", key.env)))
    }

    async fn refuse_if_changed(&self, key: &EnvKey, wanted: &Wanted) -> Result<(), ApiError> {
        self.refuse_if_locked(key).await?;
        self.refuse_if_upgrading(key).await?;
        if self.require_release(key).await?.number != wanted.release.number {
            return Err(ApiError::new(ErrorCode::Stale, "another release is in force by now").hint("ask again"));
        }
        Ok(())
    }

    async fn series(&self, key: &EnvKey, name: &DatabaseName, asked: &Upgrade) -> Result<Wanted, ApiError> {
        match self.between(key, name, asked).await? {
            Between::Series(wanted) => Ok(*wanted),
            Between::Nothing { why, .. } => {
                Err(ApiError::new(ErrorCode::Usage, why).hint("`daybook up` does the rest"))
            }
        }
    }

    async fn between(&self, key: &EnvKey, name: &DatabaseName, asked: &Upgrade) -> Result<Between, ApiError> {
        let release = self.require_release(key).await?;
        let loaded = self.load(&asked.up, Aim::Act)?;
        if loaded.key() != *key {
            return Err(ApiError::new(
                ErrorCode::Usage,
                format!("the manifest is that of {}, not of {key}", loaded.key()),
            ));
        }
        let run_by = run_by(&release.spec, name)?;
        run_by_manifest(&loaded.spec, name, &run_by)?;
        let (Some(before), Some(after)) = (release.spec.services.get(&run_by), loaded.spec.services.get(&run_by))
        else {
            return Err(no_database(&loaded.spec, name));
        };
        let (Some(from), Some(to), Some(way)) =
            (upgrade::server_of(before), upgrade::server_of(after), upgrade::way(before, after))
        else {
            return Err(ApiError::invalid(format!("nothing says which server runs `{name}`")));
        };
        let (from, to) = (from.clone(), to.clone());
        match way {
            Way::Files => {
                let why = match (from == to, from.engine.has_tables()) {
                    (true, _) => {
                        format!("{name} has {to} already: write the version that it should have as its `engine`")
                    }
                    (false, true) => format!("{to} takes over the files of {from}"),
                    (false, false) => format!("{to} reads the files of older versions: there is nothing to carry over"),
                };
                return Ok(Between::Nothing { from, to, why });
            }
            Way::None { why, hint } => return Err(ApiError::invalid(format!("{from} → {to}: {why}")).hint(hint)),
            Way::Carried { .. } => {}
        }
        let spec = self.with_server(&release, after).await?;
        let users = upgrade::users(&release.spec, name, &run_by);
        let name = name.clone();
        Ok(Between::Series(Box::new(Wanted { release, name, run_by, from, to, spec, users })))
    }

    /// What is in force, with another server of one database. What else a manifest changes is for `up`.
    async fn with_server(&self, release: &Release, after: &Service) -> Result<Spec, ApiError> {
        let key = &release.spec.key;
        let target = release.spec.target.clone();
        let services = [(after.name.clone(), Box::new(after.clone()))].into();
        let alone = Spec { target, services, ..Spec::empty(key.clone()) };
        let Resolved { spec: mut alone, open, .. } = self.inner.executor.resolve(alone, PATIENCE).await;
        if let Some(first) = open.into_iter().next() {
            return Err(first.error.into());
        }
        let after = alone.services.remove(&after.name).ok_or_else(|| ApiError::invalid("the server is gone"))?;
        let mut spec = replaced(&release.spec, &after);
        let sealing = Sealing::of(&self.inner.store, &mut spec, Values::default()).await?;
        match sealing.missing.iter().next() {
            None => Ok(spec),
            Some(missing) => Err(ApiError::invalid(format!("the secret `{missing}` has no value"))
                .hint(format!("daybook secret set {missing} -e {}", key.env))),
        }
    }

    /// What is in the server and is not carried over, in words. An error where that could be somebody's only rows.
    async fn left_out(&self, key: &EnvKey, name: &DatabaseName) -> Result<Vec<String>, ApiError> {
        let door = self.door(key, name).await?;
        let (Some(dialect), Some(url)) = (Dialect::of(door.engine), &door.url) else { return Ok(Vec::new()) };
        let told = |refusal| ApiError::from(crate::databases::refused(&format!("look at {name}"), &refusal));
        let around = commands::around(dialect, url).await.map_err(told)?;
        let aside = format!("{}{ASIDE}", door.database);
        let mut left_out = Vec::new();
        for other in around.others {
            if other != aside {
                let message = format!("the server of {name} has another database, `{other}`, which no backup has");
                return Err(ApiError::invalid(message).hint(format!(
                    "bring it elsewhere and drop it first: `daybook db shell {name} -- -c 'drop database \"{other}\"'`"
                )));
            }
            left_out.push(format!("{other}, which the last restore has left: it stays with the old files"));
        }
        let opened = self.opened(key, name).await?;
        let is_ours = |login: &String| {
            let user = login.rsplit_once('@').map_or(login.as_str(), |(user, _)| user);
            opened.logins.iter().any(|known| known.name == user) || opened.keep.contains(user)
        };
        let strangers = around.logins.into_iter().filter(|login| !is_ours(login));
        left_out.extend(
            strangers.map(|login| format!("the login {login}, which no service has: make it again afterwards")),
        );
        Ok(left_out)
    }

    /// Carries an upgrade to its end, or back to where it began. Nobody else may plan meanwhile.
    async fn carry_upgrade(
        &self,
        wanted: &Wanted,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let Wanted { release, name, from, to, .. } = wanted;
        let key = &release.spec.key;
        let open = Open {
            id: operation.id,
            database: name.clone(),
            from: from.clone(),
            to: to.clone(),
            release: release.number,
            is_filled: false,
        };
        let event = Event::UpgradeStarted {
            upgrade: open.id,
            database: name.clone(),
            from: from.clone(),
            to: to.clone(),
            release: release.number,
        };
        self.note_backup(key, actor, event).await?;
        match self.replace_server(wanted, &open, operation, actor).await {
            Ok(said) => {
                self.end_upgrade(key, &open, UpgradeOutcome::Made, actor).await?;
                Ok(said)
            }
            Err(mut error) => {
                operation.note(format!("brings {from} back"));
                let why = error.0.message.clone();
                match self.go_back(&release.spec, &open, &why, actor).await {
                    Ok(()) => {
                        error.0.message = format!("{why}; {from} serves as before, with its own files");
                        Err(error)
                    }
                    Err(back) => {
                        let message = format!("{why}; and {from} could not be brought back: {}", back.0.message);
                        Err(ApiError::invalid(message)
                            .hint("that is tried again every minute; its files are as they were"))
                    }
                }
            }
        }
    }

    async fn replace_server(
        &self,
        wanted: &Wanted,
        open: &Open,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let Wanted { release, name, run_by, from, to, spec, users } = wanted;
        let key = &release.spec.key;
        let place = |spec: &Spec| spec.services.get(run_by).and_then(|one| upgrade::place(one)).map(str::to_owned);
        let new_place = place(spec);
        let new_place = new_place.ok_or_else(|| ApiError::invalid(format!("nothing says where files of {to} are")))?;
        let began = Instant::now();
        operation.note("stops what uses it");
        let quiet = stopped(&release.spec, users);
        self.come_to(quiet.clone(), &format!("upgrade of {name}: what uses it stops"), actor).await?;
        operation.note("lets nobody write any more");
        let held = read_only(&quiet, run_by);
        self.come_to(held, &format!("upgrade of {name}: nobody writes any more"), actor).await?;
        operation.note("backs it up");
        self.clear_place(key, name, &new_place).await?;
        let current = self.require_release(key).await?;
        let of = Holding::Database(name.clone());
        let backup = self.begin_backup(&current, &of, "before an upgrade", actor).await?;
        let made = self.make_backup(&current, &of, &backup, actor).await?;
        let along = self.take_along(key, &self.door(key, name).await?).await?;
        operation.note(format!("starts {to}"));
        self.come_to(stopped(spec, users), &format!("upgrade of {name}: {to} starts"), actor).await?;
        let home = self.home(spec).await?;
        let facts = self.fill_new(key, &self.door(key, name).await?, &home, &made.snapshot, &along, operation).await?;
        Reached::new(&self.inner.state).grant(&self.opened(key, name).await?).await?;
        let event = Event::UpgradeFilled { upgrade: open.id, database: name.clone() };
        self.note_backup(key, actor, event).await?;
        operation.note("starts what uses it");
        self.come_to(spec.clone(), &started(name), actor).await?;
        let mut said = vec![
            format!("{name} is on {to}, with {}", counted(&facts)),
            format!("what there was is backup {}", backup.id.short()),
        ];
        if !users.is_empty() {
            let names: Vec<_> = users.iter().map(ToString::to_string).collect();
            said.push(format!("{} stopped for {}", names.join(", "), exact(millis(began))));
        }
        said.extend(place(&release.spec).map(|old| format!("the files of {from} stay in {old} of its volume")));
        Ok(said)
    }

    /// Carries a step of an upgrade out. Nobody else may plan meanwhile: the caller sees to that.
    async fn come_to(&self, spec: Spec, reason: &str, actor: &Actor) -> Result<(), ApiError> {
        let current = self.require_release(&spec.key).await?;
        if current.spec == spec {
            return Ok(());
        }
        let mut desired = self.edit_of(current, spec).await?;
        desired.purpose = RunKind::Upgrade;
        desired.reason = reason.to_owned();
        let run = self.begin_desired(desired, actor.clone()).await?;
        self.come_to_end(run).await
    }

    /// Brings the old version back as it was, and has that in the journal.
    async fn go_back(&self, before: &Spec, open: &Open, why: &str, actor: &Actor) -> Result<(), ApiError> {
        let name = &open.database;
        let reason = format!("upgrade of {name} failed: {} as before", open.from);
        self.come_to(before.clone(), &reason, actor).await?;
        // What was half made only takes room; the next upgrade begins without it in any case.
        let service =
            before.databases.get(name).and_then(|one| one.kept()).and_then(|kept| before.services.get(&kept.service));
        if let Some(place) = service.and_then(|service| upgrade::place_of(service, &open.to))
            && let Err(error) = self.clear_place(&before.key, name, &place).await
        {
            tracing::warn!(key = %before.key, error = %error.0.message, "what an upgrade has left stays for now");
        }
        let outcome = UpgradeOutcome::Failed { why: why.to_owned() };
        self.end_upgrade(&before.key, open, outcome, actor).await
    }

    async fn end_upgrade(
        &self,
        key: &EnvKey,
        open: &Open,
        outcome: UpgradeOutcome,
        actor: &Actor,
    ) -> Result<(), ApiError> {
        let event = Event::UpgradeFinished { upgrade: open.id, database: open.database.clone(), outcome };
        self.note_backup(key, actor, event).await
    }

    /// Brings an upgrade to its end that nobody carries any more. Gives whether one is still under way.
    pub(super) async fn settle_upgrade(&self, key: &EnvKey, actor: &Actor) -> Result<bool, ApiError> {
        let Some(open) = self.upgrades(key).await?.open else { return Ok(false) };
        let planning = self.planning(key);
        // Whoever upgrades holds this.
        let Ok(_planning) = planning.try_lock() else { return Ok(true) };
        let Some(open) = self.upgrades(key).await?.open.filter(|now| now.id == open.id) else { return Ok(true) };
        // A run that was under way goes on first.
        self.refuse_if_locked(key).await?;
        if self.has_just_failed(key).await? {
            return Ok(true);
        }
        let before = self.inner.store.release(key, open.release).await?;
        let before = before.ok_or_else(|| ApiError::not_found(format!("{key} has no release {}", open.release)))?;
        let mut why = "the server of Daybook ended meanwhile".to_owned();
        let current = self.require_release(key).await?;
        let by = run_by(&current.spec, &open.database).ok();
        let new =
            by.and_then(|by| current.spec.services.get(&by)).filter(|one| upgrade::server_of(one) == Some(&open.to));
        if let Some(new) = new.filter(|_| open.is_filled) {
            match self.come_to(replaced(&before.spec, new), &started(&open.database), actor).await {
                Ok(()) => {
                    self.end_upgrade(key, &open, UpgradeOutcome::Made, actor).await?;
                    return Ok(false);
                }
                Err(error) => why = error.0.message,
            }
        }
        self.go_back(&before.spec, &open, &why, actor).await?;
        Ok(false)
    }

    /// Whether the last run of an environment has failed not long ago: what it was for is tried again later.
    async fn has_just_failed(&self, key: &EnvKey) -> Result<bool, ApiError> {
        let last = self.inner.store.runs(Some(key), 1).await?.into_iter().next().and_then(|run| run.finished);
        Ok(last.is_some_and(|last| {
            let reached = matches!(last.event, Event::RunFinished { verdict: Verdict::Reached });
            !reached && self.now().as_millisecond() - last.at.as_millisecond() < AGAIN_MS
        }))
    }
}

fn started(name: &DatabaseName) -> String {
    format!("upgrade of {name}: what uses it starts")
}

/// The service that runs a database.
fn run_by(spec: &Spec, name: &DatabaseName) -> Result<ServiceName, ApiError> {
    let database = spec.databases.get(name).ok_or_else(|| no_database(spec, name))?;
    let kept = database.kept().ok_or_else(|| {
        ApiError::invalid(format!("the database `{name}` is run by somebody else"))
            .hint("whoever runs it upgrades it; nothing changes here, for its `url` stays")
    })?;
    Ok(kept.service.clone())
}

/// That the manifest has it run by the same.
fn run_by_manifest(spec: &Spec, name: &DatabaseName, run_by: &ServiceName) -> Result<(), ApiError> {
    let database = spec.databases.get(name).ok_or_else(|| no_database(spec, name))?;
    if database.is_run_by(run_by) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("the manifest has `{name}` run by somebody else"))
        .hint("bring its rows there by a dump, then `daybook up`"))
}
