//! Databases of environments: found by way of what runs them, and changed by whoever knows their engines.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use async_trait::async_trait;
use daybook_model::database::{self, Engine, Keeper, Kept, Migrations, SeenDatabase};
use daybook_model::event::{Answer, StepOutcome};
use daybook_model::launch::Role;
use daybook_model::spec::SecretRef;
use daybook_model::{Database, DatabaseName, Digest, EnvKey, ReplicaId, ServiceName, Spec, Step};
use daybook_runtime::{ErrorKind, Progress, Reached, Runtime};

use crate::drive::RunContext;
use crate::patience::patiently;
use crate::{Error, Executor, Result, authority};

/// Whoever knows the engines of databases.
#[async_trait]
pub trait Databases: Send + Sync + 'static {
    /// The digest of a directory of migrations. `ErrorKind::NotFound` when there is none.
    async fn digest(&self, root: &Path) -> daybook_runtime::Result<Digest>;

    /// How a database stands. Changes nothing.
    async fn look(&self, database: &Opened) -> SeenDatabase;

    /// Sees that the database and its logins are there, and that nobody else of ours has one.
    async fn grant(&self, database: &Opened) -> daybook_runtime::Result<()>;

    /// Makes a backup of a database of the release in force. Tells of it in a few words.
    async fn back_up(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        progress: Progress<'_>,
    ) -> daybook_runtime::Result<String>;

    /// Runs what the database lacks, once, whoever else tries to. Tells what it did.
    async fn migrate(&self, database: &Opened, progress: Progress<'_>) -> daybook_runtime::Result<String>;

    /// Whether an interrupted migration came to its end. One that is still under way is waited for.
    async fn ask(&self, database: &Opened) -> daybook_runtime::Result<Answer>;
}

/// A database with all that is needed to work on it. The values of secrets are here, so that it is never shown: it has
/// no `Debug`.
pub struct Opened {
    /// Its name.
    pub name: DatabaseName,
    /// What it is.
    pub engine: Engine,
    /// Where it is.
    pub place: Place,
    /// Its migrations.
    pub migrations: Option<Migrations>,
    /// Those of the release in force.
    pub before: Option<Migrations>,
    /// Who is to log in.
    pub logins: Vec<Login>,
    /// Logins that stay beside those: replicas of the release in force have them.
    pub keep: BTreeSet<String>,
}

/// Where a database is.
pub enum Place {
    /// It was never made.
    Nowhere,
    /// It is there, and cannot be reached, for a reason.
    OutOfReach(String),
    /// At a URL, with a login.
    Url(String),
    /// In a server of ours.
    Server(Server),
}

/// A database server of ours.
pub struct Server {
    /// The replica that runs it.
    pub replica: ReplicaId,
    /// Where this machine reaches it.
    pub address: SocketAddr,
    /// Who may do everything.
    pub admin: String,
    /// The password that it is to have, then those that it may still have.
    pub passwords: Vec<String>,
    /// The certificate of the authority that it is to be proven by, then those that it may still be proven by. `None`:
    /// it is not asked for a proof. There is one of these at least.
    pub authorities: Vec<Option<String>>,
    /// The database in it.
    pub database: String,
    /// Keeps the way there open.
    pub way: Reached,
}

/// A login of a service.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The service.
    pub service: ServiceName,
    /// What it logs in as.
    pub name: String,
    /// Its password. `None`: it is made when a run begins.
    pub password: Option<String>,
}

/// Values of secrets that are not sealed yet.
pub type Unsealed<'a> = &'a (dyn Fn(&SecretRef) -> Option<Vec<u8>> + Send + Sync);

impl Executor {
    /// What the databases of `spec` hold, as a plan needs to know it. `current` is the release in force.
    pub async fn look_at_databases(
        &self,
        spec: &Spec,
        current: Option<&Spec>,
        unsealed: Unsealed<'_>,
    ) -> Result<BTreeMap<DatabaseName, SeenDatabase>> {
        let mut all = BTreeMap::new();
        if spec.databases.is_empty() {
            return Ok(all);
        }
        let home = self.inner.places.home();
        let side = self.inner.places.at(spec.target.as_ref().unwrap_or(&home)).await?;
        for name in spec.databases.keys() {
            let opened = self.open(side.runtime.as_ref(), spec, current, name, unsealed).await?;
            let Some(opened) = opened.filter(|opened| opened.migrations.is_some() || !opened.logins.is_empty()) else {
                continue;
            };
            all.insert(name.clone(), self.inner.databases.look(&opened).await);
        }
        Ok(all)
    }

    /// Finds a database, and opens the secrets that lead in.
    async fn open(
        &self,
        runtime: &dyn Runtime,
        spec: &Spec,
        current: Option<&Spec>,
        name: &DatabaseName,
        unsealed: Unsealed<'_>,
    ) -> Result<Option<Opened>> {
        let Some(database) = spec.databases.get(name) else { return Ok(None) };
        let before = current.and_then(|spec| spec.databases.get(name));
        let mut opened = Opened {
            name: name.clone(),
            engine: database.engine,
            place: Place::Nowhere,
            migrations: database.migrations.clone(),
            before: before.and_then(|before| before.migrations.clone()),
            logins: Vec::new(),
            keep: BTreeSet::new(),
        };
        match &database.keeper {
            Keeper::Elsewhere { url } => {
                opened.place = match self.value(&spec.key, url, unsealed).await {
                    Ok(url) => Place::Url(url),
                    Err(why) => Place::OutOfReach(why),
                };
            }
            Keeper::Service(kept) => {
                if database.engine.has_tables() {
                    opened.logins = self.logins(&spec.key, kept, unsealed).await;
                    opened.keep = before.and_then(Database::kept).into_iter().flat_map(names).collect();
                }
                let before = before.and_then(Database::kept);
                opened.place = self.find(runtime, &spec.key, kept, before, unsealed).await?;
            }
        }
        Ok(Some(opened))
    }

    async fn value(
        &self,
        key: &EnvKey,
        secret: &SecretRef,
        unsealed: Unsealed<'_>,
    ) -> std::result::Result<String, String> {
        let value = match unsealed(secret) {
            Some(value) => value,
            None => {
                let value = self.inner.secrets.secret(key, secret).await;
                value.map_err(|why| format!("secret {}: {why}", secret.name))?
            }
        };
        String::from_utf8(value).map_err(|_| format!("the value of the secret {} is not text", secret.name))
    }

    async fn logins(&self, key: &EnvKey, kept: &Kept, unsealed: Unsealed<'_>) -> Vec<Login> {
        let mut all = Vec::with_capacity(kept.logins.len());
        for (service, secret) in &kept.logins {
            let name = database::login(service, secret.version.unwrap_or(1));
            let password = self.value(key, secret, unsealed).await.ok();
            all.push(Login { service: service.clone(), name, password });
        }
        all
    }

    async fn find(
        &self,
        runtime: &dyn Runtime,
        key: &EnvKey,
        kept: &Kept,
        before: Option<&Kept>,
        unsealed: Unsealed<'_>,
    ) -> Result<Place> {
        let seen = runtime.observe(key).await?;
        let mut replicas = seen.replicas.iter().filter(|one| one.id.service == kept.service && one.role == Role::Main);
        let Some(replica) = replicas.clone().find(|replica| replica.is_running()) else {
            return Ok(match replicas.next() {
                Some(_) => Place::OutOfReach(format!("no replica of {} runs", kept.service)),
                None if before.is_some() => Place::OutOfReach(format!("{} has no replica", kept.service)),
                None => Place::Nowhere,
            });
        };
        let mut passwords = Vec::new();
        for secret in std::iter::once(&kept.password).chain(before.map(|before| &before.password)) {
            match self.value(key, secret, unsealed).await {
                Ok(value) if !passwords.contains(&value) => passwords.push(value),
                Err(why) if passwords.is_empty() && before.is_none() => return Ok(Place::OutOfReach(why)),
                _ => {}
            }
        }
        let mut authorities = Vec::new();
        for secret in std::iter::once(&kept.authority).chain(before.map(|before| &before.authority)) {
            let certificate = match secret {
                Some(secret) => match self.value(key, secret, unsealed).await {
                    Ok(value) => authority::certificate(&value).map_err(|error| format!("{}: {error}", secret.name)),
                    Err(why) => Err(why),
                }
                .map(Some),
                None => Ok(None),
            };
            match certificate {
                Ok(certificate) if !authorities.contains(&certificate) => authorities.push(certificate),
                Err(why) if before.is_none() => return Ok(Place::OutOfReach(why)),
                _ => {}
            }
        }
        if authorities.is_empty() {
            return Ok(Place::OutOfReach("nothing says by whose certificate it is known".to_owned()));
        }
        let way = match runtime.reach(key, replica, kept.port).await {
            Ok(way) => way,
            Err(error) => return Ok(Place::OutOfReach(error.to_string())),
        };
        let (address, admin, database) = (way.address, kept.admin.clone(), kept.name.clone());
        let replica = replica.id.clone();
        Ok(Place::Server(Server { replica, address, admin, passwords, authorities, database, way }))
    }

    /// A database of the release in force. `None`: it has none of this name.
    pub async fn open_database(&self, spec: &Spec, name: &DatabaseName) -> Result<Option<Opened>> {
        self.open(self.inner.runtime.as_ref(), spec, Some(spec), name, &|_| None).await
    }

    async fn open_for(&self, cx: &RunContext, name: &DatabaseName) -> Result<Opened> {
        let runtime = self.inner.runtime.as_ref();
        let opened = self.open(runtime, &cx.spec, cx.previous.as_deref(), name, &|_| None).await?;
        opened.ok_or_else(|| Error::Illegal {
            run: cx.run,
            why: format!("the plan names database {name}, and its spec does not have it"),
        })
    }

    pub(crate) async fn grant_logins(&self, cx: &RunContext, name: &DatabaseName) -> Result<()> {
        let opened = self.open_for(cx, name).await?;
        Ok(self.inner.databases.grant(&opened).await?)
    }

    pub(crate) async fn back_up(&self, cx: &RunContext, step: &Step, name: &DatabaseName) -> Result<StepOutcome> {
        let progress = |text: &str| self.note(cx, step, text);
        Ok(StepOutcome::Done(self.inner.databases.back_up(&cx.key, name, &progress).await?))
    }

    pub(crate) async fn migrate(&self, cx: &RunContext, step: &Step, name: &DatabaseName) -> Result<StepOutcome> {
        let opened = self.open_for(cx, name).await?;
        let progress = |text: &str| self.note(cx, step, text);
        Ok(StepOutcome::Done(self.inner.databases.migrate(&opened, &progress).await?))
    }

    /// Whether an interrupted migration happened. A database that nobody runs now is asked again by the migration
    /// itself, which does only what the database lacks.
    pub(crate) async fn ask_migration(
        &self,
        spec: &Spec,
        current: Option<&Spec>,
        name: &DatabaseName,
    ) -> Result<Answer> {
        patiently(|| {
            Box::pin(async {
                let runtime = self.inner.runtime.as_ref();
                let opened = self.open(runtime, spec, current, name, &|_| None).await?;
                match opened {
                    Some(Opened { place: Place::Nowhere | Place::OutOfReach(_), .. }) | None => {
                        Ok(Answer::DidNotHappen)
                    }
                    Some(opened) => Ok(self.inner.databases.ask(&opened).await?),
                }
            })
        })
        .await
    }
}

fn names(kept: &Kept) -> impl Iterator<Item = String> {
    kept.logins.iter().map(|(service, secret)| database::login(service, secret.version.unwrap_or(1)))
}

/// Knows no engine: a build without them.
pub struct NoDatabases;

#[async_trait]
impl Databases for NoDatabases {
    async fn digest(&self, root: &Path) -> daybook_runtime::Result<Digest> {
        Err(without(&format!("read the migrations in {}", root.display())))
    }

    async fn look(&self, database: &Opened) -> SeenDatabase {
        SeenDatabase::Silent { why: without(&format!("look at {}", database.name)).to_string() }
    }

    async fn grant(&self, database: &Opened) -> daybook_runtime::Result<()> {
        Err(without(&format!("let services log in to {}", database.name)))
    }

    async fn back_up(&self, _: &EnvKey, name: &DatabaseName, _: Progress<'_>) -> daybook_runtime::Result<String> {
        Err(without(&format!("back {name} up")))
    }

    async fn migrate(&self, database: &Opened, _: Progress<'_>) -> daybook_runtime::Result<String> {
        Err(without(&format!("migrate {}", database.name)))
    }

    async fn ask(&self, database: &Opened) -> daybook_runtime::Result<Answer> {
        Err(without(&format!("ask {} about its migrations", database.name)))
    }
}

fn without(operation: &str) -> daybook_runtime::Error {
    daybook_runtime::Error::new(ErrorKind::Refused, operation, "this build of Daybook knows no databases")
        .hint("build it with the feature `databases`")
}
