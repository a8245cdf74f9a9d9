//! Drills: a backup is restored into a scratch copy, and compared with what was there when it was made.

use daybook_api::ErrorCode;
use daybook_api::backup::{OperationView, RunDrill};
use daybook_backup::Error;
use daybook_data::dump::{Owners, file_name};
use daybook_data::witness;
use daybook_decide::backups::{Backup, History, differences};
use daybook_decide::text::{exact, plural, size};
use daybook_model::backup::{BackupOutcome, DrillOutcome, Facts, Holding, Proof};
use daybook_model::database::Engine;
use daybook_model::{Actor, BackupId, DatabaseName, EnvKey, Event, Release, Spec};
use uuid::Uuid;

use super::operations::Operation;
use super::pipe::{fill, outlet};
use super::repository::{Home, refused};
use super::save::{Door, FACTS};
use super::scratch::scratch_key;
use super::{chosen, find};
use crate::App;
use crate::error::ApiError;

/// Why a drill found what it found.
pub(super) enum Wrong {
    /// Something about the backup.
    Backup(Vec<String>),
    /// Something else, which says nothing of the backup.
    Else(ApiError),
}

impl From<ApiError> for Wrong {
    fn from(error: ApiError) -> Self {
        Self::Else(error)
    }
}

impl App {
    /// Begins drills.
    pub(crate) async fn drill(
        &self,
        key: &EnvKey,
        wanted: &RunDrill,
        actor: &Actor,
    ) -> Result<Vec<OperationView>, ApiError> {
        self.refuse_if_upgrading(key).await?;
        let release = self.require_release(key).await?;
        let home = self.home(&release.spec).await?;
        let all = match wanted.of.is_empty() {
            true => with_backups(&release.spec, self.histories(key).await?.keys()),
            false => chosen(&release.spec, &wanted.of)?,
        };
        if wanted.backup.is_some() && all.len() > 1 {
            let error = ApiError::new(ErrorCode::Usage, "nothing says of what the backup is");
            return Err(error.hint("name the database or the volume as well"));
        }
        self.refuse_without_space()?;
        let mut chosen = Vec::with_capacity(all.len());
        for of in all {
            let history = self.whole_history(&release.spec, &of, &home).await?;
            match find(&history, &of, wanted.backup.as_deref()) {
                Ok(backup) => chosen.push((of, backup.clone())),
                // Of everything only what has one is meant.
                Err(_) if wanted.of.is_empty() && wanted.backup.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        if chosen.is_empty() {
            let error = ApiError::not_found(format!("{key} has no backup that could be restored"));
            return Err(error.hint("make one: `daybook backup create`"));
        }
        let mut begun = Vec::with_capacity(chosen.len());
        for (of, backup) in chosen {
            begun.push(self.begin_drill(&release, of, backup, home.clone(), actor).await?);
        }
        Ok(begun)
    }

    /// Begins one drill, in the background.
    pub(super) async fn begin_drill(
        &self,
        release: &Release,
        of: Holding,
        backup: Backup,
        home: Home,
        actor: &Actor,
    ) -> Result<OperationView, ApiError> {
        self.know(&release.spec.key, &of, &backup, actor).await?;
        let drill = BackupId(Uuid::now_v7());
        let event = Event::DrillStarted { drill, of: of.clone(), backup: backup.id };
        self.note_backup(&release.spec.key, actor, event).await?;
        let operation = self.begin_operation(drill, format!("drill of {of}"));
        let view = operation.view();
        let (app, release, actor) = (self.clone(), release.clone(), actor.clone());
        self.spawn(async move { app.carry_drill(&release, &of, &backup, &home, &operation, &actor).await });
        Ok(view)
    }

    /// Has a backup in the journal that was found in the repository.
    async fn know(&self, key: &EnvKey, of: &Holding, backup: &Backup, actor: &Actor) -> Result<(), ApiError> {
        let histories = self.histories(key).await?;
        let is_known = |history: &History| history.backups.iter().any(|known| known.id == backup.id);
        let Some(made) = backup.made().filter(|_| !histories.get(of).is_some_and(is_known)) else { return Ok(()) };
        let (id, of) = (backup.id, of.clone());
        let begun = Event::BackupStarted { backup: id, of: of.clone(), why: backup.why.clone() };
        self.note_backup(key, actor, begun).await?;
        let outcome = BackupOutcome::Made(made.clone());
        self.note_backup(key, actor, Event::BackupFinished { backup: id, of, outcome, took_ms: 0 }).await
    }

    async fn carry_drill(
        &self,
        release: &Release,
        of: &Holding,
        backup: &Backup,
        home: &Home,
        operation: &Operation,
        actor: &Actor,
    ) {
        operation.note("waits for others");
        let _turn = self.inner.operations.turn().await;
        let key = &release.spec.key;
        let proof = match of {
            Holding::Database(name) => self.prove(release, name, backup, home, operation, actor).await,
            Holding::Volume(_) => self.prove_volume(backup, home, operation).await,
        };
        operation.note("clears the scratch copy away");
        let cleared = self.clear_scratch(key, of, operation.id, actor).await;
        let (outcome, mut said) = match proof {
            Ok(proof) => (DrillOutcome::Proven(proof.clone()), proof_words(&proof)),
            Err(Wrong::Backup(why)) => {
                let first = format!("backup {} is no good", backup.id.short());
                let said = std::iter::once(first).chain(why.iter().cloned()).collect();
                (DrillOutcome::Failed { why }, said)
            }
            Err(Wrong::Else(error)) => {
                let why = error.0.message.clone();
                let said = vec![format!("the drill came to no end, which says nothing of the backup: {why}")];
                (DrillOutcome::Undecided { why }, said.into_iter().chain(error.0.hint).collect())
            }
        };
        if let Err(error) = cleared {
            said.push(format!("the scratch copy is still there: {}", error.0.message));
        }
        let good = matches!(outcome, DrillOutcome::Proven(_));
        let event = Event::DrillFinished {
            drill: operation.id,
            of: of.clone(),
            backup: backup.id,
            outcome,
            took_ms: operation.took_ms(),
        };
        if let Err(error) = self.note_backup(key, actor, event).await {
            said.push(format!("what came of it cannot be written down: {}", error.0.message));
        }
        operation.end(good, said);
    }

    /// Removes what a drill has made to restore into. Not there is fine.
    pub(super) async fn clear_scratch(
        &self,
        key: &EnvKey,
        of: &Holding,
        drill: BackupId,
        actor: &Actor,
    ) -> Result<(), ApiError> {
        match of {
            Holding::Database(_) => self.clear_environment(&scratch_key(key, drill), true, actor).await,
            Holding::Volume(_) => self.clear_scratch_directory(drill).await,
        }
    }

    async fn prove(
        &self,
        release: &Release,
        name: &DatabaseName,
        backup: &Backup,
        home: &Home,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Proof, Wrong> {
        let made = backup.made().ok_or_else(|| ApiError::invalid("it is no backup"))?;
        let rpo_ms = self.now().as_millisecond() - made.as_of.as_millisecond();
        operation.note("starts a scratch copy");
        let had = self.facts(home, &made.snapshot).await?;
        let scratch = self.raise_scratch(release, name, operation.id, actor).await?;
        let door = self.door(&scratch, name).await?;
        operation.note("restores");
        self.pour(&scratch, &door, &door.of().restore(Owners::Admin), home, &made.snapshot, operation).await?;
        let mut checks = vec![format!("restored {}", size(made.size_bytes))];
        let policy = release.spec.backup_policy(&Holding::Database(name.clone()));
        let mut why = Vec::new();
        // It answers: whoever would need it could have it from here on.
        let rto_ms = operation.took_ms();
        if let Some(url) = &door.url {
            operation.note("compares every row");
            let has = witness::count(url)
                .await
                .map_err(|refusal| Wrong::Backup(vec![format!("what was restored cannot be read: {refusal}")]))?;
            why.extend(differences(&had, &has));
            checks.push(compared(&has));
            for question in policy.iter().flat_map(|policy| &policy.expect) {
                match witness::is_true(url, question).await {
                    Ok(true) => checks.push(format!("yes: {question}")),
                    Ok(false) => why.push(format!("this is not so: {question}")),
                    Err(refusal) => why.push(format!("this cannot be answered: {question}: {refusal}")),
                }
            }
        }
        if !why.is_empty() {
            return Err(Wrong::Backup(why));
        }
        drop(door);
        if let Some(policy) = policy.filter(|policy| !policy.start.is_empty()) {
            operation.note("starts what uses it");
            checks.push(self.start_on(&release.spec, name, &scratch, &policy.start, actor).await?);
        }
        let mut rpo_ms = rpo_ms;
        if let Some((lost_ms, seen)) = self.prove_point(release, name, &scratch, home, operation).await? {
            rpo_ms = i64::try_from(lost_ms).unwrap_or(rpo_ms).min(rpo_ms);
            checks.extend(seen);
        }
        Ok(Proof { rpo_ms: u64::try_from(rpo_ms).unwrap_or(0), rto_ms, checks })
    }

    /// What the database held, as its backup has it written down.
    pub(super) async fn facts(&self, home: &Home, snapshot: &str) -> Result<Facts, Wrong> {
        let snapshot = snapshot.to_owned();
        let text = home.open(move |repository| {
            let mut text = Vec::new();
            Ok(repository.read(&snapshot, FACTS, &mut text).map(|_| text))
        });
        let text = match text.await {
            Ok(Some(read)) => read.map_err(of_repository)?,
            Ok(None) => return Err(Wrong::Backup(vec![format!("there is no repository in {}", home.shown)])),
            // A password that does not open it would not open it when it is needed either.
            Err(error) if error.0.code == ErrorCode::Invalid => return Err(Wrong::Backup(vec![error.0.message])),
            Err(error) => return Err(Wrong::Else(error)),
        };
        serde_json::from_slice(&text)
            .map_err(|error| Wrong::Backup(vec![format!("what it holds is not written down in it: {error}")]))
    }

    /// Lets a command beside a server read the dump of a backup.
    pub(super) async fn pour(
        &self,
        key: &EnvKey,
        door: &Door,
        argv: &[String],
        home: &Home,
        snapshot: &str,
        operation: &Operation,
    ) -> Result<(), Wrong> {
        let exec = self.run_beside(key, &door.replica, argv.to_vec()).await?;
        let (mut to, from) = outlet();
        let (snapshot, engine) = (snapshot.to_owned(), door.engine);
        let reading = home.open(move |repository| Ok(repository.read(&snapshot, file_name(engine), &mut to).map(drop)));
        let filling = fill(exec, &door.password, reader(engine), from, |sent| {
            operation.note(format!("{} restored", size(sent)));
        });
        let (read, filled) = tokio::join!(reading, filling);
        match read? {
            // A command that ends early reads no more: its own words say why.
            Some(Err(Error::Destination { .. })) | Some(Ok(())) => {}
            Some(Err(error)) => return Err(of_repository(error)),
            None => return Err(Wrong::Backup(vec![format!("there is no repository in {}", home.shown)])),
        }
        filled.map_err(|why| match why.contains("No space left on device") {
            // That of the scratch copy: it says nothing of the backup.
            true => Wrong::Else(ApiError::new(ErrorCode::Unavailable, why)),
            false => Wrong::Backup(vec![why]),
        })
    }
}

/// Where nothing is to be proven, it is an error like others.
impl From<Wrong> for ApiError {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Backup(why) => Self::invalid(why.join("\n")),
            Wrong::Else(error) => error,
        }
    }
}

/// What the repository refuses says something of the backup, unless it is only out of reach.
pub(super) fn of_repository(error: Error) -> Wrong {
    match error {
        Error::Storage(_) | Error::Locked { .. } => Wrong::Else(refused(&error)),
        error => Wrong::Backup(vec![error.to_string()]),
    }
}

/// The tool that restores, as people know it.
fn reader(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "pg_restore",
        Engine::Mysql => "mysql",
        Engine::Mariadb => "mariadb",
        Engine::Redis => "redis-server",
        Engine::Valkey => "valkey-server",
    }
}

fn compared(facts: &Facts) -> String {
    let counted = [
        (facts.tables.len() as u64, "table"),
        (facts.indexes, "index"),
        (facts.constraints, "constraint"),
        (facts.sequences.len() as u64, "sequence"),
    ];
    let counted = counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| plural(*count, word));
    let counted: Vec<_> = std::iter::once(plural(facts.rows(), "row")).chain(counted).collect();
    format!("as they were: {}", counted.join(", "))
}

/// Everything that may have backups: what could have some now, and volumes that had some.
fn with_backups<'h>(spec: &Spec, known: impl Iterator<Item = &'h Holding>) -> Vec<Holding> {
    let usual = chosen(spec, &[]).unwrap_or_default();
    let known = known
        .filter(|of| matches!(of, Holding::Volume(name) if spec.volumes.contains_key(name)) && !usual.contains(of));
    let known: Vec<_> = known.cloned().collect();
    usual.into_iter().chain(known).collect()
}

fn proof_words(proof: &Proof) -> Vec<String> {
    let (back, lost) = (exact(proof.rto_ms), exact(proof.rpo_ms));
    let first = format!("proven: back in {back} (RTO), and {lost} of writes would have been lost (RPO)");
    std::iter::once(first).chain(proof.checks.iter().cloned()).collect()
}
