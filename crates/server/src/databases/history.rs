//! A database that a manifest names: its history looked at and put right, and what would make it better.

use daybook_api::ErrorCode;
use daybook_api::database::{
    DatabaseView, GrowthView, HistoryChange, HistoryChanged, MigrationView, PlaceView, TuneView, VitalsView,
};
#[cfg(feature = "observe")]
use daybook_data::Dialect;
use daybook_data::migrations::error::Error as MigrationError;
use daybook_data::migrations::run::{Patience, Run};
use daybook_data::migrations::server::{Server, connect, dialect_of};
use daybook_data::migrations::set::{Migration, Migrations as Files};
use daybook_data::migrations::standing::{Standing, standings, version, wrong};
use daybook_data::migrations::version::Version;
use daybook_data::{look, tune, vitals};
use daybook_decide::backups::History;
use daybook_executor::databases::{Opened, Place};
use daybook_model::backup::Holding;
use daybook_model::database::{Engine, Migrations};
use daybook_model::{Actor, DatabaseName, EnvKey, Event, Spec};
use daybook_runtime::{Error, ErrorKind};
use daybook_store::{Journal as _, Write};

use super::{Reached, failed, refused};
use crate::App;
use crate::error::ApiError;

/// A database with a connection to it, and its files.
struct Joined {
    opened: Opened,
    server: Box<dyn Server>,
    url: String,
    files: Files,
    wanted: Migrations,
}

impl App {
    /// How the migrations of a database stand, by the files of the release in force.
    pub(crate) async fn database(&self, key: &EnvKey, name: &DatabaseName) -> Result<DatabaseView, ApiError> {
        let opened = self.opened(key, name).await?;
        let has_migrations = opened.migrations.is_some();
        let mut joined = self.join(opened, name).await?;
        let operation = format!("look at {name}");
        let told = |refusal| ApiError::from(refused(&operation, &refusal));
        let vitals = vitals::look(joined.server.dialect(), &joined.url).await.map_err(told)?;
        let growth = self.histories(key).await?.get(&Holding::Database(name.clone())).and_then(History::growth);
        let vitals = VitalsView {
            size_bytes: vitals.size_bytes,
            // One of them is ours.
            connections: vitals.connections.saturating_sub(1),
            most_connections: vitals.most_connections,
            growth: growth.map(|(bytes, within_ms)| GrowthView { bytes, within_ms }),
        };
        // A history that is somebody else's is not looked at.
        let rows = if has_migrations { joined.server.history().await.map_err(told)? } else { None };
        let rows = rows.unwrap_or_default();
        let mut options = look::options(&joined.wanted);
        options.know(joined.server.facts());
        let all = standings(&joined.files, &rows, &options);
        let wrong = wrong(&joined.files, &rows, &options).iter().map(ToString::to_string).collect();
        let logins = joined.opened.logins.iter().map(|login| login.service.clone()).collect();
        Ok(DatabaseView { logins, vitals: Some(vitals), ..view(joined.server.as_ref(), &all, wrong) })
    }

    /// How a database does.
    #[cfg(feature = "observe")]
    pub(crate) async fn vitals(&self, key: &EnvKey, name: &DatabaseName) -> Result<vitals::Vitals, ApiError> {
        let (dialect, url) = self.way_to(key, name).await?;
        let told = |refusal| refused(&format!("look at {name}"), &refusal);
        Ok(vitals::look(dialect, &url).await.map_err(told)?)
    }

    /// The queries that took most of a database's time, as far as they are counted and it tells.
    #[cfg(feature = "observe")]
    pub(crate) async fn most_time(&self, key: &EnvKey, name: &DatabaseName) -> Option<Vec<tune::Query>> {
        let (dialect, url) = self.way_to(key, name).await.ok()?;
        match dialect {
            Dialect::PostgreSql => tune::most_time(&url).await.ok()?,
            Dialect::MySql => None,
        }
    }

    /// Whom those wait for who wait for a lock of a database, in words, as far as it says so.
    #[cfg(feature = "observe")]
    pub(crate) async fn lock_holder(&self, key: &EnvKey, name: &DatabaseName) -> Option<String> {
        let (dialect, url) = self.way_to(key, name).await.ok()?;
        match dialect {
            Dialect::PostgreSql => vitals::holder(&url).await.ok()?.map(|holder| holder.to_string()),
            Dialect::MySql => None,
        }
    }

    #[cfg(feature = "observe")]
    async fn way_to(&self, key: &EnvKey, name: &DatabaseName) -> Result<(Dialect, String), ApiError> {
        let opened = self.opened(key, name).await?;
        let url = Reached::new(&self.inner.state).url(&opened, &format!("look at {name}")).await?;
        let dialect = dialect_of(&url).ok_or_else(|| ApiError::invalid(format!("{name} is asked in no SQL")))?;
        Ok((dialect, url))
    }

    /// Puts a history right. What is meant to be done is in the journal before it is, and what came of it afterwards.
    pub(crate) async fn change_history(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        change: &HistoryChange,
        actor: Actor,
    ) -> Result<HistoryChanged, ApiError> {
        let planning = self.planning(key);
        let _planning = planning.lock().await;
        self.refuse_if_locked(key).await?;
        let opened = self.opened(key, name).await?;
        if opened.migrations.is_none() {
            let message = format!("the database `{name}` has no migrations");
            return Err(ApiError::invalid(message).hint("`migrations: DIRECTORY` in the manifest names them"));
        }
        let mut joined = self.join(opened, name).await?;
        let parse = |text: &str| {
            Version::parse(text).ok_or_else(|| {
                ApiError::new(ErrorCode::Usage, format!("`{text}` is no version")).hint("numbers with dots: 1.2")
            })
        };
        let baseline = match change {
            HistoryChange::Baseline(version) => Some(parse(version)?),
            _ => None,
        };
        let target = match change {
            HistoryChange::Undo(Some(version)) => Some(parse(version)?),
            _ => None,
        };
        self.note_history(key, name, &actor, change.to_string()).await?;
        let mut run = Run {
            server: joined.server.as_mut(),
            files: &joined.files,
            options: look::options(&joined.wanted),
            patience: Patience::default(),
            progress: &|_| (),
        };
        let done = match &baseline {
            Some(version) => run.baseline(version, None).await,
            None if *change == HistoryChange::Repair => run.repair().await,
            None => run.undo(target.as_ref()).await,
        };
        let came = match &done {
            Ok(report) if report.ran.is_empty() => format!("{change}: there was nothing to do"),
            Ok(report) => format!("{change}: {}", report.ran.join(", ")),
            Err(error) => format!("{change} failed: {error}"),
        };
        self.note_history(key, name, &actor, came).await?;
        let report = done.map_err(|error: MigrationError| failed(&format!("change the history of {name}"), &error))?;
        Ok(HistoryChanged { did: report.ran, version: report.version })
    }

    async fn note_history(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        actor: &Actor,
        what: String,
    ) -> Result<(), ApiError> {
        let event = Event::HistoryChanged { database: name.clone(), what };
        let write = Write { key: Some(key.clone()), run: None, actor: actor.clone(), event, expected: None };
        self.inner.store.append(write).await?;
        Ok(())
    }

    /// What would make a database faster, smaller or safer.
    pub(crate) async fn tune(&self, key: &EnvKey, name: &DatabaseName) -> Result<TuneView, ApiError> {
        let opened = self.opened(key, name).await?;
        if opened.engine != Engine::Postgres {
            let message = format!("`{name}` is {}, and only PostgreSQL is looked at", opened.engine.name());
            return Err(ApiError::invalid(message));
        }
        let operation = format!("look at {name}");
        let url = Reached::new(&self.inner.state).url(&opened, &operation).await?;
        let seen = tune::look(&url).await.map_err(|refusal| refused(&operation, &refusal))?;
        Ok(TuneView::of(tune::advise(&seen), seen.could_try))
    }

    /// A database of the release in force that can be reached.
    pub(crate) async fn opened(&self, key: &EnvKey, name: &DatabaseName) -> Result<Opened, ApiError> {
        let release = self.require_release(key).await?;
        let opened = self.inner.executor.open_database(&release.spec, name).await?;
        let opened = opened.ok_or_else(|| no_database(&release.spec, name))?;
        let unreachable = |why: String| Error::new(ErrorKind::Unavailable, format!("look at {name}"), why);
        match &opened.place {
            Place::Nowhere => Err(unreachable("it is not there yet".to_owned()).into()),
            Place::OutOfReach(why) => Err(unreachable(why.clone()).into()),
            Place::Url(_) | Place::Server(_) => Ok(opened),
        }
    }

    async fn join(&self, opened: Opened, name: &DatabaseName) -> Result<Joined, ApiError> {
        let operation = format!("look at {name}");
        let wanted = opened.migrations.clone().unwrap_or_default();
        let reached = Reached::new(&self.inner.state);
        let files = reached.files(&wanted).map_err(|why| ApiError::invalid(why.join("\n")))?;
        let url = reached.url(&opened, &operation).await?;
        let connected = connect(&look::place(url.clone(), &wanted)).await;
        let server = connected.map_err(|refusal| refused(&operation, &refusal))?;
        Ok(Joined { opened, server, url, files, wanted })
    }
}

pub(crate) fn no_database(spec: &Spec, name: &DatabaseName) -> ApiError {
    let error = ApiError::not_found(format!("{} has no database `{name}`", spec.key));
    let known: Vec<_> = spec.databases.keys().map(DatabaseName::as_str).collect();
    if known.is_empty() { error } else { error.hint(format!("it has {}", known.join(", "))) }
}

fn place(server: &dyn Server, all: &[Standing<'_>]) -> PlaceView {
    let facts = server.facts();
    let engine = if facts.version.contains("MariaDB") { "MariaDB" } else { server.dialect().name() };
    PlaceView {
        engine: engine.to_owned(),
        // Debian and MariaDB add what they are.
        server: facts.version.split([' ', '-']).next().unwrap_or_default().to_owned(),
        database: facts.database.clone(),
        schema: facts.schema.clone(),
        version: version(all).map(ToString::to_string),
    }
}

fn migration(standing: &Standing<'_>) -> MigrationView {
    let script = standing.migration.map(|migration| migration.script.clone());
    let row = standing.row;
    MigrationView {
        version: standing.version.map(ToString::to_string),
        description: standing.description().to_owned(),
        state: standing.state.to_string(),
        script: script.or_else(|| row.map(|row| row.script.clone())).unwrap_or_default(),
        checksum: standing.migration.map(Migration::checksum),
        installed_on: row.map(|row| row.on.clone()),
        installed_by: row.map(|row| row.by.clone()),
        took_ms: row.map(|row| row.took_ms),
    }
}

/// How a database stands, as people are shown it.
pub fn view(server: &dyn Server, all: &[Standing<'_>], wrong: Vec<String>) -> DatabaseView {
    let (place, migrations) = (place(server, all), all.iter().map(migration).collect());
    DatabaseView { place, migrations, wrong, logins: Vec::new(), vitals: None }
}
