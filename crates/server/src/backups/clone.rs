//! Clones: first the servers of the databases, then their rows, then everything that uses them. What fails on the way
//! is cleared away: a clone is there as a whole, or not at all.

use std::collections::BTreeMap;

use daybook_api::ErrorCode;
use daybook_api::backup::OperationView;
use daybook_api::clone::{CloneEnvironment, ClonePlan, CloneView, UnmaskedColumn};
use daybook_data::Dialect;
use daybook_data::dump::{Look, Owners, Part};
use daybook_data::mask::{self, Copying};
use daybook_decide::backups::span;
use daybook_decide::clone::{Cloned, Standing, cloned, databases_alone, standing, volumes_of_files};
use daybook_decide::text::{plural, size};
use daybook_model::clone::{CloneData, CloneOutcome};
use daybook_model::database::Engine;
use daybook_model::masking::Masking;
use daybook_model::{Actor, BackupId, Database, DatabaseName, EnvKey, Event, Release, SecretName, Spec};
use tokio::sync::mpsc;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::operations::Operation;
use super::pipe::{NOBODY_READS, Piece, WAITING, drain, fill};
use super::point::shown;
use super::save::{Door, tool};
use super::scratch::scratch_key;
use super::then::{Origin, Then};
use crate::App;
use crate::error::ApiError;
use crate::sealing::{Sealing, Values};

/// A clone that is to be made.
struct Wanted {
    release: Release,
    clone: Cloned,
    asked: CloneEnvironment,
    unmasked: Vec<UnmaskedColumn>,
    /// Where the data is, if that of another moment is meant.
    then: Option<Then>,
    /// Whether the environment was not there before.
    is_new: bool,
}

impl App {
    /// What a clone would be. Changes nothing but that the masking of a database gets its seed.
    pub(crate) async fn plan_clone(
        &self,
        key: &EnvKey,
        asked: &CloneEnvironment,
        actor: &Actor,
    ) -> Result<ClonePlan, ApiError> {
        let wanted = self.clone_of(key, asked, actor).await?;
        let target = &wanted.clone.spec.key;
        let (is, number) = (wanted.then.as_ref().map(|then| shown(then.at)), wanted.release.number);
        let mut steps = vec![match is {
            Some(at) => format!("{target} with what {key} was at {at}: release {number}"),
            None => format!("{target} with what {key} is at release {number}"),
        }];
        for (name, database) in &wanted.release.spec.databases {
            let origin = wanted.then.as_ref().and_then(|then| then.databases.get(name));
            let words = data_words(name, database, asked.data);
            steps.push(match origin {
                Some(origin) => format!("{words}, {}", origin.words()),
                None if asked.data == CloneData::Full && database.engine == Engine::Postgres => {
                    match self.why_no_files(&wanted.release.spec, name).await? {
                        None => format!("{words}, by copies of its files"),
                        Some(why) => format!("{words}, by a dump: {why}"),
                    }
                }
                None => words,
            });
        }
        if wanted.then.is_some() && asked.data == CloneData::Masked {
            steps
                .push("columns without a rule are looked for in the data of then, before any row is copied".to_owned());
        }
        steps.extend(wanted.clone.told.iter().cloned());
        steps.extend(asked.ttl_ms.map(|ttl| format!("it goes by itself after {}", span(ttl))));
        Ok(ClonePlan { steps, unmasked: wanted.unmasked })
    }

    /// Begins to make a clone.
    pub(crate) async fn clone_environment(
        &self,
        key: &EnvKey,
        asked: &CloneEnvironment,
        actor: &Actor,
    ) -> Result<OperationView, ApiError> {
        self.refuse_if_upgrading(key).await?;
        let wanted = self.clone_of(key, asked, actor).await?;
        refuse_unmasked(&wanted.unmasked, asked)?;
        self.refuse_without_space()?;
        let target = wanted.clone.spec.key.clone();
        let id = BackupId(Uuid::now_v7());
        let event = Event::CloneStarted {
            from: key.env.clone(),
            data: asked.data,
            is_new: wanted.is_new,
            at: asked.at,
            scratch: asked.at.map(|_| id),
        };
        self.note_backup(&target, actor, event).await?;
        let operation = self.begin_operation(id, format!("clone {target}"));
        let view = operation.view();
        let (app, actor) = (self.clone(), actor.clone());
        self.spawn(async move { app.carry_clone(&wanted, &operation, &actor).await });
        Ok(view)
    }

    async fn clone_of(&self, key: &EnvKey, asked: &CloneEnvironment, actor: &Actor) -> Result<Wanted, ApiError> {
        let current = self.require_release(key).await?;
        let to = EnvKey::new(key.app.clone(), asked.to.clone());
        if to == *key {
            return Err(ApiError::new(ErrorCode::Usage, format!("{key} cannot be a clone of itself")));
        }
        let there = self.inner.store.environment(&to).await?.filter(|known| !known.retired);
        if there.as_ref().is_some_and(|known| known.release.is_some() || known.open_run.is_some()) {
            let error = ApiError::new(ErrorCode::Usage, format!("{to} is there already"));
            return Err(error.hint(format!("take it down first: `daybook down -e {}`", to.env)));
        }
        let (release, then) = match asked.at {
            Some(at) => self.as_of(&current, at, asked.data).await.map(|(release, then)| (release, Some(then)))?,
            None => (current, None),
        };
        let clone = cloned(&release.spec, to, asked.data).map_err(|name| {
            ApiError::invalid(format!("the database `{name}` is run by somebody else: the clone would write to it too"))
                .hint("run that of the first by Daybook, or deploy the other by the manifest with a `url` of its own")
        })?;
        self.refuse_missing_secrets(&clone.spec).await?;
        let unmasked = match (asked.data, &then) {
            (CloneData::Masked, None) => self.unmasked(key, &release.spec, actor).await?,
            // Its columns are not known before it is restored.
            (CloneData::Masked, Some(_)) | (CloneData::None | CloneData::Full, _) => Vec::new(),
        };
        Ok(Wanted { release, clone, asked: asked.clone(), unmasked, then, is_new: there.is_none() })
    }

    /// A clone has secrets of its own: those that nobody generates have to be there.
    async fn refuse_missing_secrets(&self, spec: &Spec) -> Result<(), ApiError> {
        let mut probe = spec.clone();
        let sealing = Sealing::of(&self.inner.store, &mut probe, Values::default()).await?;
        let Some(first) = sealing.missing.iter().next() else { return Ok(()) };
        let all: Vec<_> = sealing.missing.iter().map(ToString::to_string).collect();
        let message = format!("{} has secrets of its own, and has no {}", spec.key, all.join(", "));
        let env = &spec.key.env;
        Err(ApiError::invalid(message).hint(format!("daybook env create {env}; daybook secret set {first} -e {env}")))
    }

    /// Columns that look personal and have no rule; an error where rules fit no column.
    async fn unmasked(&self, key: &EnvKey, spec: &Spec, actor: &Actor) -> Result<Vec<UnmaskedColumn>, ApiError> {
        let mut all = Vec::new();
        for (name, database) in &spec.databases {
            let Some(dialect) = Dialect::of(database.engine) else { continue };
            let door = self.door(key, name).await?;
            let seed = self.seed(key, name, actor).await?;
            let masking = database.masking.clone().unwrap_or_default();
            let copying = copying(&door, "", &masking, &seed, &|_| {});
            let looked = mask::look(dialect, &copying).await.map_err(|error| in_database(name, database, &error))?;
            all.extend(suspected(name, looked));
        }
        Ok(all)
    }

    /// What masked values of a database depend on: the same for every clone of it, and known to nobody.
    async fn seed(&self, key: &EnvKey, name: &DatabaseName, actor: &Actor) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        let secret = SecretName::new(format!("database.{name}.masking"))
            .map_err(|error| ApiError::invalid(format!("the seed of masking: {error}")))?;
        let version = self.ensure_secret(key, &secret, actor).await?;
        let value = self.inner.store.open_secret(key, &secret, version).await?;
        value.ok_or_else(|| ApiError::invalid(format!("the secret `{secret}` was removed")))
    }

    async fn carry_clone(&self, wanted: &Wanted, operation: &Operation, actor: &Actor) {
        operation.note("waits for others");
        let _turn = self.inner.operations.turn().await;
        let key = &wanted.clone.spec.key;
        // This and what it calls are apart on the heap: all in one they would not fit the stack of a thread.
        let made = Box::pin(self.make_clone(wanted, operation, actor)).await;
        let (outcome, good, mut said) = match made {
            Ok(said) => {
                let ttl = wanted.asked.ttl_ms.and_then(|ttl| i64::try_from(ttl).ok());
                let expires = ttl.and_then(|ttl| {
                    daybook_model::Timestamp::from_millisecond(self.now().as_millisecond().saturating_add(ttl)).ok()
                });
                (CloneOutcome::Made { expires }, true, said)
            }
            Err(error) => {
                operation.note("clears away what was made");
                let mut why = error.0.message.clone();
                if let Err(error) = self.clear_environment(key, wanted.is_new, actor).await {
                    why.push_str(&format!("; what was made is still there: {}", error.0.message));
                }
                let said = std::iter::once(format!("there is none: {why}")).chain(error.0.hint).collect();
                (CloneOutcome::Failed { why }, false, said)
            }
        };
        if let Err(error) = self.note_backup(key, actor, Event::CloneFinished { outcome }).await {
            said.push(format!("what came of it cannot be written down: {}", error.0.message));
        }
        operation.end(good, said);
    }

    async fn make_clone(&self, wanted: &Wanted, operation: &Operation, actor: &Actor) -> Result<Vec<String>, ApiError> {
        let from = &wanted.release.spec.key;
        let mut said = vec![format!("it is there, data: {}", wanted.asked.data)];
        let volumes: Vec<_> = match wanted.asked.data {
            CloneData::Full => volumes_of_files(&wanted.release.spec).cloned().collect(),
            CloneData::Masked | CloneData::None => Vec::new(),
        };
        if !wanted.release.spec.databases.is_empty() || !volumes.is_empty() {
            let taken = match &wanted.then {
                Some(_) => BTreeMap::new(),
                None => {
                    let (release, clone) = (&wanted.release, &wanted.clone.spec);
                    Box::pin(self.take_files(release, clone, wanted.asked.data, operation, actor)).await?
                }
            };
            operation.note("starts its databases");
            self.bring(databases_alone(&wanted.clone.spec), "clone: what its data goes to", actor).await?;
            for name in &volumes {
                operation.note(format!("copies {name}"));
                let (source, target) = (&wanted.release.spec, &wanted.clone.spec);
                let of_then = wanted.then.as_ref().and_then(|then| Some((then, then.volumes.get(name)?)));
                said.push(match of_then {
                    Some((then, made)) => Box::pin(self.fill_volume(target, name, &then.home, made, operation)).await?,
                    None => Box::pin(self.copy_volume(source, target, name, operation)).await?,
                });
            }
            for (name, database) in &wanted.release.spec.databases {
                let taken = taken.get(name);
                if let Some(taken) = taken {
                    self.settle_files(&wanted.clone.spec, name, taken).await?;
                }
                match taken.map(|taken| &taken.came) {
                    Some(Ok(words)) => said.push(words.clone()),
                    Some(Err(why)) => {
                        said.extend(Box::pin(self.carry_data(wanted, name, database, operation, actor)).await?);
                        said.push(format!("{name}: by a dump, since its files could not be taken: {why}"));
                    }
                    None => said.extend(Box::pin(self.carry_data(wanted, name, database, operation, actor)).await?),
                }
            }
        }
        operation.note("starts what uses them");
        self.bring(wanted.clone.spec.clone(), &format!("clone of {}", from.env), actor).await?;
        Ok(said)
    }

    async fn carry_data(
        &self,
        wanted: &Wanted,
        name: &DatabaseName,
        database: &Database,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let (from, to) = (&wanted.release.spec.key, &wanted.clone.spec.key);
        if is_empty(database, wanted.asked.data) {
            return Ok(vec![format!("{name} is empty")]);
        }
        let target = self.door(to, name).await?;
        let Some(then) = &wanted.then else {
            let source = self.door(from, name).await?;
            let masking = database.masking.clone().unwrap_or_default();
            let ends = Ends { from, source: &source, to, target: &target, operation };
            return self.carry_rows(wanted, name, database, ends, &masking, actor).await;
        };
        if let (CloneData::Full, Some(Origin::Backup(backup))) = (wanted.asked.data, then.databases.get(name)) {
            let owners = owners(database);
            return Ok(vec![self.fill_database(to, name, &target, owners, backup, &then.home, operation).await?]);
        }
        let carried = self.carry_rows_of(wanted, name, database, then, &target, operation, actor).await;
        operation.note(format!("{name}: clears the scratch copy away"));
        let cleared = self.clear_environment(&scratch_key(from, operation.id), true, actor).await;
        carried.and_then(|said| cleared.map(|()| said))
    }

    /// Carries over what a database was, out of a scratch copy.
    #[allow(clippy::too_many_arguments, reason = "what, from where, to where, and who is told")]
    async fn carry_rows_of(
        &self,
        wanted: &Wanted,
        name: &DatabaseName,
        database: &Database,
        then: &Then,
        target: &Door,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let (from, to) = (&wanted.release.spec.key, &wanted.clone.spec.key);
        let (scratch, source) = self.raise_as_of(&wanted.release, name, then, operation, actor).await?;
        let (mut masking, mut said) = (database.masking.clone().unwrap_or_default(), Vec::new());
        if let (CloneData::Masked, Some(dialect)) = (wanted.asked.data, Dialect::of(database.engine)) {
            let seed = self.seed(from, name, actor).await?;
            let fitted = self.fitting(dialect, &source, &masking, &seed).await;
            let (fitting, looked, left_out) = fitted.map_err(|error| in_database(name, database, &error))?;
            refuse_unmasked(&suspected(name, looked).collect::<Vec<_>>(), &wanted.asked)?;
            masking = fitting;
            said.extend(left_out.iter().map(|rule| format!("{name}: there was no {rule} then")));
        }
        let ends = Ends { from: &scratch, source: &source, to, target, operation };
        let carried = self.carry_rows(wanted, name, database, ends, &masking, actor).await?;
        said.splice(0..0, carried);
        Ok(said)
    }

    async fn carry_rows(
        &self,
        wanted: &Wanted,
        name: &DatabaseName,
        database: &Database,
        ends: Ends<'_>,
        masking: &Masking,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let Ends { source, target, operation, .. } = ends;
        let restore = target.of().restore(owners(database));
        let masked = Dialect::of(database.engine).filter(|_| wanted.asked.data == CloneData::Masked);
        let Some(dialect) = masked else {
            let bytes = self.pour_across(ends, source.of().dump(None), restore).await?;
            return Ok(vec![format!("{name}: {} as they are", size(bytes))]);
        };
        let part = |part| source.of().dump_part(part).unwrap_or_default();
        self.pour_across(ends, part(Part::Before), restore.clone()).await?;
        let seed = self.seed(&wanted.release.spec.key, name, actor).await?;
        let told = |told: mask::Progress| {
            operation.note(format!("{name}: table {} of {}, {} rows", told.nth, told.of, told.rows));
        };
        let url = target.url.clone().unwrap_or_default();
        let copying = copying(source, &url, masking, &seed, &told);
        let copied = mask::copy(dialect, &copying).await.map_err(|error| in_database(name, database, &error))?;
        self.pour_across(ends, part(Part::After), restore).await?;
        let rows: u64 = copied.tables.iter().map(|table| table.rows).sum();
        let (tables, masked) = (copied.tables.len() as u64, copied.masked.len() as u64);
        let (rows, tables, masked) = (plural(rows, "row"), plural(tables, "table"), plural(masked, "column"));
        let mut said = vec![format!("{name}: {rows} of {tables}, {masked} masked")];
        said.extend(copied.along.iter().map(|along| format!("{name}: {} is masked as {}", along.column, along.with)));
        said.extend(copied.not_carried.iter().map(|what| format!("{name}: not carried: {what}")));
        Ok(said)
    }

    /// Carries a dump of one server over to another. Gives the bytes.
    pub(super) async fn pour_across(
        &self,
        ends: Ends<'_>,
        dump: Vec<String>,
        restore: Vec<String>,
    ) -> Result<u64, ApiError> {
        let engine = ends.source.engine;
        let (dump, restore) =
            (Carrier { argv: dump, tool: tool(engine) }, Carrier { argv: restore, tool: "the restore" });
        self.carry_across(ends, dump, restore, Look::new(engine)).await
    }

    /// Lets a command beside one server read what a command beside another writes. Gives the bytes.
    pub(super) async fn carry_across(
        &self,
        ends: Ends<'_>,
        writer: Carrier,
        reader: Carrier,
        mut look: Look,
    ) -> Result<u64, ApiError> {
        let Ends { from, source, to, target, operation } = ends;
        let reads = self.run_beside(to, &target.replica, reader.argv).await?;
        let writes = self.run_beside(from, &source.replica, writer.argv).await?;
        let (pieces, mut taken) = mpsc::channel(WAITING);
        let (bytes, given) = mpsc::channel(WAITING);
        let forward = async move {
            while let Some(Piece::Bytes(piece)) = taken.recv().await {
                if bytes.send(piece).await.is_err() {
                    break;
                }
            }
        };
        let see = |look: &Look| operation.note(format!("{} carried over", size(look.bytes)));
        let mut held = None;
        let writing = drain(writes, &source.password, writer.tool, &mut look, &mut held, pieces, see);
        let reading = fill(reads, &target.password, reader.tool, given, |_| {});
        let (wrote, (), read) = tokio::join!(writing, forward, reading);
        // What was not written to its end is not read to its end either: the first of them says why.
        match (wrote, read) {
            (Err(why), _) if why != NOBODY_READS => return Err(ApiError::invalid(why)),
            (_, Err(why)) | (Err(why), Ok(())) => return Err(ApiError::invalid(why)),
            (Ok(()), Ok(())) => {}
        }
        Ok(look.bytes)
    }

    /// Whether an environment is a clone, as its journal tells it.
    async fn clone_standing(&self, key: &EnvKey) -> Result<Option<Standing>, ApiError> {
        let entries = self.inner.store.backup_entries(key).await?;
        Ok(standing(entries.iter().map(|entry| (entry.at, &entry.event))))
    }

    /// The clone that an environment is.
    pub(crate) async fn clone_view(&self, key: &EnvKey) -> Result<Option<CloneView>, ApiError> {
        let standing = self.clone_standing(key).await?;
        Ok(standing.map(|standing| CloneView {
            expires: standing.expires(),
            under_way: standing.ended.is_none(),
            from: standing.from,
            data: standing.data,
            at: standing.at,
        }))
    }

    /// Clears away a clone that a server before this one left half done.
    pub(super) async fn settle_clone(&self, key: &EnvKey, actor: &Actor) -> Result<(), ApiError> {
        let left = |standing: &Standing| standing.ended.is_none() && standing.begun < self.inner.started_at;
        let Some(standing) = self.clone_standing(key).await?.filter(left) else { return Ok(()) };
        self.clear_environment(key, standing.is_new, actor).await?;
        if let Some(scratch) = standing.scratch {
            let from = EnvKey::new(key.app.clone(), standing.from);
            self.clear_environment(&scratch_key(&from, scratch), true, actor).await?;
        }
        let outcome = CloneOutcome::Failed { why: "the server ended while it was made".to_owned() };
        self.note_backup(key, actor, Event::CloneFinished { outcome }).await
    }

    /// Takes a clone away whose time has come.
    pub(super) async fn expire_clone(&self, key: &EnvKey, actor: &Actor) -> Result<(), ApiError> {
        let expires = self.clone_standing(key).await?.and_then(|standing| standing.expires());
        if expires.is_none_or(|expires| self.now() < expires) {
            return Ok(());
        }
        tracing::info!(%key, "the clone has come to its end");
        self.clear_environment(key, true, actor).await
    }
}

/// A command beside a server that writes or reads what is carried.
pub(super) struct Carrier {
    pub(super) argv: Vec<String>,
    /// What people call it.
    pub(super) tool: &'static str,
}

/// Two servers between which something is carried.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub(super) from: &'a EnvKey,
    pub(super) source: &'a Door,
    pub(super) to: &'a EnvKey,
    pub(super) target: &'a Door,
    pub(super) operation: &'a Operation,
}

pub(super) fn copying<'a>(
    source: &'a Door,
    target: &'a str,
    masking: &'a Masking,
    seed: &'a [u8],
    progress: &'a (dyn Fn(mask::Progress) + Send + Sync),
) -> Copying<'a> {
    let source = source.url.as_deref().unwrap_or_default();
    Copying { source, target, masking, seed, without: &[], progress }
}

fn in_database(name: &DatabaseName, database: &Database, error: &mask::Error) -> ApiError {
    let line = database.line.map(|line| format!(" (manifest line {line})")).unwrap_or_default();
    ApiError::invalid(format!("{name}{line}: {error}"))
}

/// Whether a database of a clone has no rows to begin with.
pub(super) fn is_empty(database: &Database, data: CloneData) -> bool {
    data == CloneData::None || (data == CloneData::Masked && Dialect::of(database.engine).is_none())
}

/// Services that migrate by themselves change what they find: it has to be theirs.
pub(super) fn owners(database: &Database) -> Owners {
    if database.migrations.is_some() { Owners::Admin } else { Owners::AsTheyWere }
}

/// Columns of a database that look personal and have no rule.
fn suspected(name: &DatabaseName, looked: mask::Look) -> impl Iterator<Item = UnmaskedColumn> {
    looked.suspects.into_iter().map(|suspect| UnmaskedColumn {
        database: name.to_string(),
        column: suspect.column.to_string(),
        why: suspect.why,
        suggested: suspect.suggested.to_string(),
    })
}

fn refuse_unmasked(unmasked: &[UnmaskedColumn], asked: &CloneEnvironment) -> Result<(), ApiError> {
    if unmasked.is_empty() || asked.accept_unmasked {
        return Ok(());
    }
    let lines = unmasked.iter().map(|one| {
        format!("\n  {} of {}: {}; for example `{}: {}`", one.column, one.database, one.why, one.column, one.suggested)
    });
    let message = format!("columns look personal and have no rule of masking:{}", lines.collect::<String>());
    Err(ApiError::new(ErrorCode::Denied, message)
        .hint("write rules under `masking` of the database (`keep` for what may stay), or: `--accept-unmasked`"))
}

fn data_words(name: &DatabaseName, database: &Database, data: CloneData) -> String {
    match (data, Dialect::of(database.engine)) {
        (CloneData::None, _) => format!("{name} is empty"),
        (CloneData::Masked, None) => format!("{name} is empty: what it has cannot be masked"),
        (CloneData::Masked, Some(_)) => {
            let rules = database.masking.as_ref().map_or(0, |masking| masking.rules.len());
            format!("{name} with every row, masked by {}", plural(rules as u64, "rule"))
        }
        (CloneData::Full, _) => format!("{name} with every row as it is"),
    }
}
