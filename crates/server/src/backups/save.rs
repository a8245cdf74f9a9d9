//! Making a backup: a dump by the server's own tools, and what the database held at that moment, in one snapshot.

use std::net::SocketAddr;
use std::time::Duration;

use daybook_api::backup::OperationView;
use daybook_backup::{About, Entry, Error};
use daybook_data::dump::{self, Look};
use daybook_data::witness::Witness;
use daybook_data::{Dialect, Way};
use daybook_decide::backups::to_remove;
use daybook_decide::text::{plural, size};
use daybook_executor::databases::{Opened, Place};
use daybook_model::backup::{BackupOutcome, BackupPolicy, Facts, Holding, Made};
use daybook_model::database::Engine;
use daybook_model::{Actor, BackupId, DatabaseName, EnvKey, Event, Release, ReplicaId};
use daybook_runtime::{Exec, ExecRequest, Progress};
use uuid::Uuid;

use super::operations::Operation;
use super::pipe::{self, Piece, inlet};
use super::repository::{Home, made, refused, tag};
use super::volume::tree_words;
use super::{chosen, repository};
use crate::App;
use crate::databases::{proven, refused as server_refused};
use crate::error::ApiError;

/// Between two words about a backup that a run waits for.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// The stream of a snapshot that tells what the database held.
pub(super) const FACTS: &str = "facts.json";

/// How to get in to a database server, and what runs it.
pub(super) struct Door {
    pub(super) replica: ReplicaId,
    pub(super) password: String,
    pub(super) admin: String,
    /// What the database is called in its server.
    pub(super) database: String,
    /// For who may do everything. `None`: it has no tables.
    pub(super) url: Option<String>,
    address: SocketAddr,
    /// The certificate of the authority that it is proven by, if it is.
    authority: Option<String>,
    pub(super) engine: Engine,
    /// Keeps the way there open.
    _opened: Opened,
}

impl Door {
    /// The database, as a command names it.
    pub(super) fn of(&self) -> dump::Of<'_> {
        dump::Of { engine: self.engine, admin: &self.admin, database: &self.database }
    }

    /// The URL of another database in the same server; of the one that is always there without a name.
    pub(super) fn url_of(&self, dialect: Dialect, database: &str) -> String {
        let database = if database.is_empty() && dialect == Dialect::PostgreSql { "postgres" } else { database };
        let way = Way { dialect, address: self.address, authority: self.authority.as_deref() };
        daybook_data::url(way, &self.admin, &self.password, database)
    }
}

impl App {
    /// Begins to make backups.
    pub(crate) async fn back_up(
        &self,
        key: &EnvKey,
        wanted: &[Holding],
        why: &str,
        actor: &Actor,
    ) -> Result<Vec<OperationView>, ApiError> {
        self.refuse_if_upgrading(key).await?;
        let release = self.require_release(key).await?;
        let all = chosen(&release.spec, wanted)?;
        self.refuse_without_space()?;
        let mut begun = Vec::with_capacity(all.len());
        for of in all {
            let operation = self.begin_backup(&release, &of, why, actor).await?;
            begun.push(operation.view());
            let (app, release, actor) = (self.clone(), release.clone(), actor.clone());
            self.spawn(async move { drop(app.make_backup(&release, &of, &operation, &actor).await) });
        }
        Ok(begun)
    }

    /// Makes a backup before something is done that cannot be taken back.
    pub(crate) async fn back_up_first(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        progress: Progress<'_>,
    ) -> Result<String, ApiError> {
        let release = self.require_release(key).await?;
        let actor = Actor::daybook("rollout");
        let of = Holding::Database(name.clone());
        let operation = self.begin_backup(&release, &of, "before a rollout changes it", &actor).await?;
        let making = self.make_backup(&release, &of, &operation, &actor);
        tokio::pin!(making);
        loop {
            tokio::select! {
                made = &mut making => {
                    return Ok(format!("{}, backup {}", size(made?.size_bytes), operation.id.short()));
                }
                () = tokio::time::sleep(TELL_EVERY) => progress(&operation.view().note),
            }
        }
    }

    /// Has it in the journal that a backup is to be made.
    pub(super) async fn begin_backup(
        &self,
        release: &Release,
        of: &Holding,
        why: &str,
        actor: &Actor,
    ) -> Result<Operation, ApiError> {
        let id = BackupId(Uuid::now_v7());
        let event = Event::BackupStarted { backup: id, of: of.clone(), why: why.to_owned() };
        self.note_backup(&release.spec.key, actor, event).await?;
        Ok(self.begin_operation(id, format!("backup of {of}")))
    }

    /// Makes a backup that is in the journal already, and has in there what came of it.
    pub(super) async fn make_backup(
        &self,
        release: &Release,
        of: &Holding,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Made, ApiError> {
        operation.note("waits for others");
        let _turn = self.inner.operations.turn().await;
        let key = &release.spec.key;
        let saved = async {
            self.ensure_password(key, actor).await?;
            let home = self.home(&release.spec).await?;
            let made = match of {
                Holding::Database(name) => self.save(release, name, operation, &home).await?,
                Holding::Volume(name) => self.save_volume(release, name, operation, &home).await?,
            };
            Ok::<_, ApiError>((home, made))
        };
        let saved = saved.await;
        let outcome = match &saved {
            Ok((_, made)) => BackupOutcome::Made(made.clone()),
            Err(error) => BackupOutcome::Failed { why: error.0.message.clone() },
        };
        let event =
            Event::BackupFinished { backup: operation.id, of: of.clone(), outcome, took_ms: operation.took_ms() };
        if let Err(error) = self.note_backup(key, actor, event).await {
            operation.end(false, vec![format!("what came of it cannot be written down: {}", error.0.message)]);
            return Err(error);
        }
        match saved {
            Ok((home, made)) => {
                if let Err(error) = self.thin_out(release, of, &home, actor).await {
                    tracing::warn!(%key, %of, error = %error.0.message, "old backups stay for now");
                }
                operation.end(true, std::iter::once(made_words(&made)).chain(made.remarks.iter().cloned()).collect());
                Ok(made)
            }
            Err(error) => {
                operation.end(false, std::iter::once(error.0.message.clone()).chain(error.0.hint.clone()).collect());
                Err(error)
            }
        }
    }

    async fn save(
        &self,
        release: &Release,
        name: &DatabaseName,
        operation: &Operation,
        home: &Home,
    ) -> Result<Made, ApiError> {
        let key = &release.spec.key;
        let door = self.door(key, name).await?;
        let told = |refusal| ApiError::from(server_refused(&format!("count what {name} holds"), &refusal));
        let mut held = None;
        let mut witness = None;
        if let Some(url) = &door.url {
            operation.note("holds the database still");
            let (one, hold) = Witness::of(url).await.map_err(told)?;
            (witness, held) = (Some(one), Some(hold));
        }
        let as_of = self.now();
        let snapshot = witness.as_ref().and_then(Witness::snapshot).map(str::to_owned);
        let exec = self.run_beside(key, &door.replica, door.of().dump(snapshot.as_deref())).await?;
        let (to_dump, from_dump) = inlet();
        let (to_facts, from_facts) = inlet();
        let of = Holding::Database(name.clone());
        let (about, engine) = (about(key, &of, operation.id, as_of), door.engine);
        let saving = home.make(move |repository| {
            let entries = vec![
                Entry { name: dump::file_name(engine).to_owned(), content: Box::new(from_dump) },
                Entry { name: FACTS.to_owned(), content: Box::new(from_facts) },
            ];
            repository.save(&about, entries)
        });
        let counting = async {
            let facts = match &mut witness {
                Some(witness) => witness.facts().await,
                None => Ok(Facts::default()),
            };
            let piece = match &facts {
                Ok(facts) => Piece::Bytes(serde_json::to_vec_pretty(facts).expect("it is plain data").into()),
                Err(refusal) => Piece::Broken(format!("count its rows: {refusal}")),
            };
            // A repository that takes no more has an error of its own.
            let _ = to_facts.send(piece).await;
            let _ = to_facts.send(Piece::End).await;
            facts
        };
        let mut look = Look::new(engine);
        let mut shown = 0;
        let see = |look: &Look| {
            if look.bytes >= shown {
                operation.note(format!("{} read", size(look.bytes)));
                shown = look.bytes + (1 << 20);
            }
        };
        let dumping = pipe::drain(exec, &door.password, tool(engine), &mut look, &mut held, to_dump, see);
        let (saved, facts, dumped) = tokio::join!(saving, counting, dumping);
        if let Some(witness) = witness {
            // What it held is let go with its connection in any case.
            let _ = witness.end().await;
        }
        let facts = facts.map_err(told)?;
        // A tool that fails makes the repository refuse; one that nobody listens to any more is not at fault.
        let snapshot = match (dumped, saved?) {
            (Err(why), Ok(_) | Err(Error::Source { .. })) => return Err(ApiError::invalid(why)),
            (_, saved) => saved.map_err(|error| refused(&error))?,
        };
        Ok(Made { tables: facts.tables.len() as u64, rows: facts.rows(), ..made(&snapshot) })
    }

    /// The way in to a database that Daybook runs.
    pub(super) async fn door(&self, key: &EnvKey, name: &DatabaseName) -> Result<Door, ApiError> {
        let opened = self.opened(key, name).await?;
        let Place::Server(server) = &opened.place else {
            let error = ApiError::invalid(format!("the database `{name}` is run by somebody else"));
            return Err(error.hint("it is backed up where it runs"));
        };
        let (replica, admin, database) = (server.replica.clone(), server.admin.clone(), server.database.clone());
        let engine = opened.engine;
        let (password, url) = if engine.has_tables() {
            let operation = format!("log in to {name}");
            let told = |refusal| server_refused(&operation, &refusal);
            let kept = proven(&opened, server, &operation).await?;
            (kept.password().await.map_err(told)?.to_owned(), Some(kept.url().await.map_err(told)?))
        } else {
            (server.passwords.first().cloned().unwrap_or_default(), None)
        };
        let (address, authority) = (server.address, server.authorities.first().cloned().flatten());
        Ok(Door { replica, password, admin, database, url, address, authority, engine, _opened: opened })
    }

    /// Runs a command beside a replica.
    pub(super) async fn run_beside(
        &self,
        key: &EnvKey,
        replica: &ReplicaId,
        argv: Vec<String>,
    ) -> Result<Exec, ApiError> {
        let request = ExecRequest { argv, tty: None, user: None, working_dir: None };
        Ok(self.inner.runtime.exec(key, replica, &request).await?)
    }

    /// Removes what no rule keeps any more.
    async fn thin_out(&self, release: &Release, of: &Holding, home: &Home, actor: &Actor) -> Result<(), ApiError> {
        let policy = release.spec.backup_policy(of);
        // What nobody has said how long to keep stays.
        let Some(BackupPolicy { keep, .. }) = policy else { return Ok(()) };
        let key = &release.spec.key;
        let history = self.histories(key).await?.remove(of).unwrap_or_default();
        let gone = to_remove(keep, &history, self.now());
        if gone.is_empty() {
            return Ok(());
        }
        let wanted = gone.clone();
        home.open(move |repository| {
            let there = repository.snapshots()?;
            // Those that a server before this one has removed are gone already.
            let ids = there.into_iter().filter(|one| repository::id_of(one).is_some_and(|id| wanted.contains(&id)));
            let ids: Vec<_> = ids.map(|one| one.id).collect();
            repository.forget(&ids)?;
            if ids.is_empty() { Ok(()) } else { repository.prune().map(drop) }
        })
        .await?;
        self.note_backup(key, actor, Event::BackupsRemoved { of: of.clone(), backups: gone }).await
    }
}

/// What is said of a backup in its snapshot.
pub(super) fn about(key: &EnvKey, of: &Holding, id: BackupId, time: daybook_model::Timestamp) -> About {
    About { host: key.to_string(), label: of.to_string(), tags: vec![of.to_string(), tag(id)], time, description: None }
}

/// The tool that dumps, as people know it.
pub(super) fn tool(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "pg_dump",
        Engine::Mysql => "mysqldump",
        Engine::Mariadb => "mariadb-dump",
        Engine::Redis => "redis-cli --rdb",
        Engine::Valkey => "valkey-cli --rdb",
    }
}

fn made_words(made: &Made) -> String {
    let what = match (&made.tree, made.tables) {
        (Some(tree), _) => format!(", {}", tree_words(tree)),
        (None, 0) => String::new(),
        (None, tables) => format!(", {} with {}", plural(tables, "table"), plural(made.rows, "row")),
    };
    format!("{} read, {} added{what}", size(made.size_bytes), size(made.added_bytes))
}
