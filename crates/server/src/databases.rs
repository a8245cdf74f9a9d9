//! Users' databases, as the executor asks for them.

mod history;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use daybook_data::logins::{self, Kept, Rights};
use daybook_data::migrations::error::Error as MigrationError;
use daybook_data::migrations::history::TABLE;
use daybook_data::migrations::run::{Patience, Run};
use daybook_data::migrations::server::{Refusal, connect};
use daybook_data::migrations::set::Migrations as Files;
use daybook_data::{Dialect, look};
use daybook_executor::databases::{Databases, Login, Opened, Place, Server};
use daybook_model::database::{MigrationSource, Migrations, SeenDatabase, Standing};
use daybook_model::event::{Answer, Failure};
use daybook_model::{DatabaseName, Digest, EnvKey};
use daybook_runtime::artifacts::{Artifacts, Source};
use daybook_runtime::{Error, ErrorKind, Progress, Result};

use crate::App;
use crate::app::Inner;

pub(crate) use history::no_database;
pub use history::view;

/// Databases that are reached over the network. Files of migrations are kept as artifacts, so that a release finds
/// those that it was planned with.
pub(crate) struct Reached {
    artifacts: Artifacts,
    app: Handle,
}

/// The control plane that makes backups, as soon as there is one.
pub(crate) type Handle = Arc<OnceLock<Weak<Inner>>>;

impl Reached {
    /// With the artifacts of a state directory.
    pub(crate) fn new(state: &Path) -> Self {
        Self::making_backups(state, Handle::default())
    }

    /// The same, where backups can be made.
    pub(crate) fn making_backups(state: &Path, app: Handle) -> Self {
        Self { artifacts: Artifacts::of(state), app }
    }

    /// The directory that holds what was planned: the copy, or where that is not there yet what it is a copy of.
    fn directory(&self, source: &MigrationSource) -> PathBuf {
        match &source.digest {
            Some(digest) if self.artifacts.holds(digest) => self.artifacts.path(digest),
            _ => PathBuf::from(&source.root),
        }
    }

    fn files(&self, migrations: &Migrations) -> std::result::Result<Files, Vec<String>> {
        let directories: Vec<_> = migrations.sources.iter().map(|source| self.directory(source)).collect();
        look::read(&directories)
    }

    /// The files of migrations that are about to be run: the copies, which nobody changes any more.
    async fn taken(&self, migrations: &Migrations, operation: &str, progress: Progress<'_>) -> Result<Files> {
        for MigrationSource { root, digest } in &migrations.sources {
            let digest = digest.as_ref().ok_or_else(|| {
                Error::new(ErrorKind::Internal, operation, "nobody knows which files are meant").hint("plan again")
            })?;
            self.artifacts.take(Source::site(root), Some(digest), progress).await?;
        }
        self.files(migrations).map_err(|why| Error::new(ErrorKind::Refused, operation, why.join("\n")))
    }

    async fn standing(&self, database: &Opened) -> std::result::Result<SeenDatabase, Refusal> {
        let mut stands = Standing::default();
        let url = match &database.place {
            Place::Nowhere => return Ok(self.absent(database)),
            Place::OutOfReach(why) => return Ok(SeenDatabase::Silent { why: why.clone() }),
            Place::Url(url) => url.clone(),
            Place::Server(server) => {
                let kept = kept(database, server)?.proven().await?;
                if !kept.is_there().await? {
                    return Ok(self.absent(database));
                }
                for login in &database.logins {
                    let lets_in = match &login.password {
                        Some(password) => kept.lets_in(logins::Login { name: &login.name, password }).await?,
                        None => false,
                    };
                    if !lets_in {
                        stands.locked_out.push(login.service.clone());
                    }
                }
                kept.url().await?
            }
        };
        let Some(migrations) = &database.migrations else { return Ok(SeenDatabase::Answers(Box::new(stands))) };
        let files = match self.files(migrations) {
            Ok(files) => files,
            Err(why) => return Ok(SeenDatabase::Unreadable { why }),
        };
        let before = database.before.as_ref().and_then(|before| self.files(before).ok());
        let locked_out = stands.locked_out;
        stands = look::look(url, &files, migrations, before.as_ref()).await?;
        stands.locked_out = locked_out;
        Ok(SeenDatabase::Answers(Box::new(stands)))
    }

    fn absent(&self, database: &Opened) -> SeenDatabase {
        let Some(migrations) = &database.migrations else { return SeenDatabase::Absent { pending: Vec::new() } };
        match self.files(migrations) {
            Ok(files) => SeenDatabase::Absent { pending: look::of_nothing(&files, migrations) },
            Err(why) => SeenDatabase::Unreadable { why },
        }
    }
}

#[async_trait]
impl Databases for Reached {
    async fn digest(&self, root: &Path) -> Result<Digest> {
        Source::site(&root.to_string_lossy()).digest().await
    }

    async fn look(&self, database: &Opened) -> SeenDatabase {
        match self.standing(database).await {
            Ok(seen) => seen,
            Err(refusal) => SeenDatabase::Silent { why: refusal.to_string() },
        }
    }

    async fn grant(&self, database: &Opened) -> Result<()> {
        let operation = format!("let services log in to {}", database.name);
        let server = of_ours(database, &operation)?;
        let kept = proven(database, server, &operation).await?;
        let mut wanted = Vec::with_capacity(database.logins.len());
        for Login { service, name, password } in &database.logins {
            let password = password.as_deref().ok_or_else(|| {
                let why = format!("the password of {service} cannot be had");
                Error::new(ErrorKind::Refused, &operation, why).hint("plan again")
            })?;
            wanted.push(logins::Login { name, password });
        }
        kept.grant(&wanted, &database.keep, rights(database)).await.map_err(|refusal| refused(&operation, &refusal))
    }

    async fn back_up(&self, key: &EnvKey, name: &DatabaseName, progress: Progress<'_>) -> Result<String> {
        let operation = format!("back {name} up");
        let app = self.app.get().and_then(Weak::upgrade).map(|inner| App { inner });
        let app = app.ok_or_else(|| Error::new(ErrorKind::Unavailable, &operation, "the server ends"))?;
        app.back_up_first(key, name, progress).await.map_err(|error| {
            let kind = if error.0.retry { ErrorKind::Unavailable } else { ErrorKind::Refused };
            let made = Error::new(kind, operation, error.0.message);
            match error.0.hint {
                Some(hint) => made.hint(hint),
                None => made,
            }
        })
    }

    async fn migrate(&self, database: &Opened, progress: Progress<'_>) -> Result<String> {
        let operation = format!("migrate {}", database.name);
        let Some(migrations) = &database.migrations else { return Ok("it has no migrations".to_owned()) };
        let files = self.taken(migrations, &operation, progress).await?;
        let url = self.url(database, &operation).await?;
        let refused = |refusal: &Refusal| refused(&operation, refusal);
        let mut connection = connect(&look::place(url, migrations)).await.map_err(|refusal| refused(&refusal))?;
        let tell = |told: daybook_data::migrations::run::Progress| progress(&told.to_string());
        let mut run = Run {
            server: connection.as_mut(),
            files: &files,
            options: look::options(migrations),
            patience: Patience::default(),
            progress: &tell,
        };
        let report = run.migrate().await.map_err(|error| failed(&operation, &error))?;
        if let Place::Server(server) = &database.place {
            let kept = proven(database, server, &operation).await?;
            kept.open_objects(rights(database)).await.map_err(|refusal| refused(&refusal))?;
        }
        let at = report.version.map_or("no version".to_owned(), |version| format!("version {version}"));
        Ok(match report.ran.len() {
            0 => format!("it was at {at}"),
            1 => format!("1 migration; it is at {at}"),
            many => format!("{many} migrations; it is at {at}"),
        })
    }

    async fn ask(&self, database: &Opened) -> Result<Answer> {
        let operation = format!("ask {} about its migrations", database.name);
        let Some(migrations) = &database.migrations else { return Ok(Answer::Happened) };
        let files = self.taken(migrations, &operation, &|_: &str| ()).await?;
        let url = self.url(database, &operation).await?;
        let mut connection =
            connect(&look::place(url, migrations)).await.map_err(|refusal| refused(&operation, &refusal))?;
        let mut run = Run {
            server: connection.as_mut(),
            files: &files,
            options: look::options(migrations),
            patience: Patience::default(),
            progress: &|_| (),
        };
        match run.settled().await {
            Ok(true) => Ok(Answer::Happened),
            Ok(false) => Ok(Answer::DidNotHappen),
            Err(error @ MigrationError::Wrong(_)) => {
                Ok(Answer::HappenedAndFailed(Failure { why: format!("{operation}: {error}"), ..Failure::default() }))
            }
            Err(error) => Err(failed(&operation, &error)),
        }
    }
}

impl Reached {
    async fn url(&self, database: &Opened, operation: &str) -> Result<String> {
        match &database.place {
            Place::Url(url) => Ok(url.clone()),
            _ => {
                let server = of_ours(database, operation)?;
                let kept = proven(database, server, operation).await?;
                kept.url().await.map_err(|refusal| refused(operation, &refusal))
            }
        }
    }
}

/// What services may do: where migrations change tables, nobody else has to.
fn rights(database: &Opened) -> Rights {
    if database.migrations.is_some() { Rights::Rows } else { Rights::Tables }
}

fn of_ours<'a>(database: &'a Opened, operation: &str) -> Result<&'a Server> {
    match &database.place {
        Place::Server(server) => Ok(server),
        Place::OutOfReach(why) => Err(Error::new(ErrorKind::Unavailable, operation, why.clone())),
        Place::Nowhere => Err(Error::new(ErrorKind::Unavailable, operation, "its service has no replica yet")),
        Place::Url(_) => Err(Error::new(ErrorKind::Internal, operation, "somebody else runs it")),
    }
}

/// The server of a database, by what proves it now.
pub(crate) async fn proven<'a>(opened: &'a Opened, server: &'a Server, operation: &str) -> Result<Kept<'a>> {
    let proven = async { kept(opened, server)?.proven().await };
    proven.await.map_err(|refusal| refused(operation, &refusal))
}

fn kept<'a>(opened: &'a Opened, server: &'a Server) -> std::result::Result<Kept<'a>, Refusal> {
    let dialect =
        Dialect::of(opened.engine).ok_or_else(|| Refusal::of(format!("{} has no tables", opened.engine.name())))?;
    let history = opened.migrations.as_ref().and_then(|migrations| migrations.table.as_deref()).unwrap_or(TABLE);
    let Server { address, admin, passwords, authorities, database, .. } = server;
    Ok(Kept { dialect, address: *address, admin, passwords, authorities, database, history })
}

/// A refusal of a server. A connection that is gone may come back.
pub(crate) fn refused(operation: &str, refusal: &Refusal) -> Error {
    let kind = if refusal.is_lost { ErrorKind::Unavailable } else { ErrorKind::Refused };
    let said: Vec<_> = std::iter::once(refusal.to_string()).chain(refusal.more.iter().cloned()).collect();
    let error = Error::new(kind, operation, said.join("\n"));
    if refusal.is_denied() {
        return error
            .hint("its files may have been made with another password: `daybook secret set database.NAME.admin`");
    }
    error
}

fn failed(operation: &str, error: &MigrationError) -> Error {
    let kind = if error.may_pass() { ErrorKind::Unavailable } else { ErrorKind::Refused };
    let made = Error::new(kind, operation, error.to_string());
    match error.hint() {
        Some(hint) => made.hint(hint),
        None => made,
    }
}
