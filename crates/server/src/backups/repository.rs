//! Where the backups of an environment are, and the way in.

use std::path::PathBuf;
use std::sync::Arc;

use daybook_api::ErrorCode;
use daybook_backup::{Error, Limits, ObjectLock, ObjectLockMode, Place, Repository, S3, Snapshot};
use daybook_decide::backups::{Backup, FOUND, History};
use daybook_model::backup::{BackupOutcome, BackupStore, Holding, Made};
use daybook_model::spec::SecretRef;
use daybook_model::{Actor, BackupId, EnvKey, SecretName, Spec};
use daybook_store::Store;
use zeroize::Zeroizing;

use super::PASSWORD;
use crate::App;
use crate::error::ApiError;

/// What a tag of a snapshot begins with that names the backup.
const TAG: &str = "backup:";

/// Where the backups of an environment are, with what opens them. Not `Debug`: it holds secrets.
#[derive(Clone)]
pub(super) struct Home {
    place: Place,
    /// The newest first.
    passwords: Arc<Vec<Zeroizing<String>>>,
    limits: Limits,
    /// For people.
    pub(super) shown: String,
}

impl App {
    /// Where the backups of an environment are.
    pub(super) async fn home(&self, spec: &Spec) -> Result<Home, ApiError> {
        let key = &spec.key;
        let below = format!("{}/{}", key.app, key.env);
        let place = match &spec.backups {
            None => Place::Directory(self.inner.state.join("backups").join(below)),
            Some(store) if !store.to.starts_with("s3://") => Place::Directory(PathBuf::from(&store.to).join(below)),
            Some(store) => Place::S3(Box::new(self.bucket(key, store, &below).await?)),
        };
        let shown = match &place {
            Place::Directory(path) => path.display().to_string(),
            Place::S3(s3) => format!("s3://{}/{}", s3.bucket, s3.prefix),
        };
        let bytes_per_second = spec.backups.as_ref().and_then(|store| store.bytes_per_second);
        let passwords = Arc::new(passwords(&self.inner.store, key).await?);
        let limits = Limits { bytes_per_second, is_in_background: true };
        Ok(Home { place, passwords, limits, shown })
    }

    /// Sees that there is a password for the repository of an environment.
    pub(super) async fn ensure_password(&self, key: &EnvKey, actor: &Actor) -> Result<(), ApiError> {
        self.ensure_secret(key, &password_name(), actor).await.map(drop)
    }

    /// The version of a secret that is made when it is needed for the first time: one, whoever else needs it then.
    pub(super) async fn ensure_secret(&self, key: &EnvKey, name: &SecretName, actor: &Actor) -> Result<u64, ApiError> {
        let _alone = self.inner.operations.making.lock().await;
        let store = &self.inner.store;
        match store.secret_version(key, name).await? {
            Some(version) => Ok(version),
            None => Ok(store.generate_secret(actor.clone(), key, name).await?),
        }
    }

    async fn bucket(&self, key: &EnvKey, store: &BackupStore, below: &str) -> Result<S3, ApiError> {
        let (bucket, prefix) = store.to["s3://".len()..].split_once('/').unwrap_or((&store.to["s3://".len()..], ""));
        let Some((who, proof)) = &store.access else {
            return Err(ApiError::invalid(format!("nothing says who writes to {}", store.to)));
        };
        let region = store.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        let usual = format!("https://s3.{region}.amazonaws.com");
        let endpoint = store.endpoint.as_deref().unwrap_or(&usual);
        let endpoint =
            endpoint.parse().map_err(|error| ApiError::invalid(format!("`{endpoint}` is no address: {error}")))?;
        Ok(S3 {
            endpoint,
            region,
            bucket: bucket.to_owned(),
            prefix: format!("{}/{below}", prefix.trim_end_matches('/')).trim_start_matches('/').to_owned(),
            access_key: self.text_of(key, who).await?,
            secret_key: Zeroizing::new(self.text_of(key, proof).await?),
            lock: store.locked_days.map(|days| ObjectLock { mode: ObjectLockMode::Compliance, days }),
            patience: S3::PATIENCE,
        })
    }

    async fn text_of(&self, key: &EnvKey, secret: &SecretRef) -> Result<String, ApiError> {
        let store = &self.inner.store;
        let version = match secret.version {
            Some(version) => Some(version),
            None => store.secret_version(key, &secret.name).await?,
        };
        let value = match version {
            Some(version) => store.open_secret(key, &secret.name, version).await?,
            None => None,
        };
        let value = value.ok_or_else(|| {
            ApiError::invalid(format!("the secret `{}`, which leads to the backups, is not set", secret.name))
                .hint(format!("daybook secret set {} -e {}", secret.name, key.env))
        })?;
        String::from_utf8(value.to_vec())
            .map_err(|_| ApiError::invalid(format!("the value of the secret `{}` is not text", secret.name)))
    }

    /// What became of the backups of one thing: what the journal tells, and what is in the repository beside. The
    /// second is what is left after the journal was lost.
    pub(super) async fn whole_history(&self, spec: &Spec, of: &Holding, home: &Home) -> Result<History, ApiError> {
        let mut history = self.histories(&spec.key).await?.remove(of).unwrap_or_default();
        let snapshots = home.open(Repository::snapshots).await?.unwrap_or_default();
        add_found(&mut history, of, &snapshots);
        Ok(history)
    }
}

/// Adds backups that nobody has a record of.
pub(super) fn add_found(history: &mut History, of: &Holding, snapshots: &[Snapshot]) {
    let label = of.to_string();
    for snapshot in snapshots.iter().filter(|snapshot| snapshot.label == label) {
        let Some(id) = id_of(snapshot) else { continue };
        if history.backups.iter().any(|known| known.id == id) {
            continue;
        }
        let made = made(snapshot);
        let ended = Some((BackupOutcome::Made(made), 0));
        let why = FOUND.to_owned();
        history.backups.push(Backup { id, begun: snapshot.time, why, ended, drills: Vec::new() });
    }
    history.backups.sort_by_key(|backup| backup.begun);
}

/// The backup that a snapshot is, by its tag.
pub(super) fn id_of(snapshot: &Snapshot) -> Option<BackupId> {
    let id = snapshot.tags.iter().find_map(|tag| tag.strip_prefix(TAG))?;
    id.parse().ok()
}

/// The tag that names a backup.
pub(super) fn tag(id: BackupId) -> String {
    format!("{TAG}{id}")
}

/// What a snapshot has. How much was held is in its streams and trees.
pub(super) fn made(snapshot: &Snapshot) -> Made {
    Made {
        snapshot: snapshot.id.clone(),
        as_of: snapshot.time,
        size_bytes: snapshot.size_bytes.unwrap_or(0),
        added_bytes: snapshot.added_bytes.unwrap_or(0),
        tables: 0,
        rows: 0,
        tree: None,
        remarks: Vec::new(),
    }
}

impl Home {
    /// Works with the repository if there is one.
    pub(super) async fn open<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> daybook_backup::Result<T> + Send + 'static,
    ) -> Result<Option<T>, ApiError> {
        let home = self.clone();
        let done = blocking(move || match home.opened()? {
            Some(repository) => work(&repository).map(Some),
            None => Ok(None),
        });
        done.await?.map_err(|error| refused(&error))
    }

    /// Works with the repository, which is made where there is none.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> daybook_backup::Result<T> + Send + 'static,
    ) -> Result<daybook_backup::Result<T>, ApiError> {
        let home = self.clone();
        blocking(move || {
            let repository = match (home.opened()?, home.passwords.first()) {
                (Some(repository), _) => repository,
                (None, Some(newest)) => Repository::open_or_create(&home.place, newest)?,
                (None, None) => return Err(Error::WrongPassword { place: home.shown.clone() }),
            };
            work(&repository.with_limits(home.limits))
        })
        .await
    }

    /// The repository, by the newest password that opens it. One that does not yet does from now on: whoever set it
    /// means to get in by it.
    fn opened(&self) -> daybook_backup::Result<Option<Repository>> {
        let Some(newest) = self.passwords.first() else { return Ok(None) };
        let mut refused = None;
        for password in self.passwords.iter() {
            match Repository::open(&self.place, password) {
                Ok(Some(repository)) => {
                    if refused.is_some() {
                        repository.add_password(newest)?;
                    }
                    return Ok(Some(repository));
                }
                Ok(None) => return Ok(None),
                Err(error @ Error::WrongPassword { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(None), Err)
    }
}

/// Does what blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::new(ErrorCode::Internal, format!("work with the backups: {error}")))
}

/// A refusal of the repository.
pub(super) fn refused(error: &Error) -> ApiError {
    let code = match error {
        Error::Storage(_) | Error::Locked { .. } => ErrorCode::Unavailable,
        Error::NoSnapshot { .. } | Error::NoEntry { .. } => ErrorCode::NotFound,
        _ => ErrorCode::Invalid,
    };
    let is_password = matches!(error, Error::WrongPassword { .. });
    let made = ApiError::new(code, error.to_string());
    if is_password {
        made.hint(format!("it is the secret `{PASSWORD}`: `daybook secret set {PASSWORD}`"))
    } else {
        made
    }
}

/// Versions of a password that are tried: a new one opens what an older one has made only once it was let in by that.
const VERSIONS: u64 = 5;

/// The passwords of an environment's repository, the newest first.
async fn passwords(store: &Store, key: &EnvKey) -> Result<Vec<Zeroizing<String>>, ApiError> {
    let name = password_name();
    let latest = store.secret_version(key, &name).await?.unwrap_or(0);
    let mut all = Vec::new();
    for version in (latest.saturating_sub(VERSIONS - 1).max(1)..=latest).rev() {
        let Some(value) = store.open_secret(key, &name, version).await? else { continue };
        let text = String::from_utf8(value.to_vec());
        let text = text.map_err(|_| ApiError::invalid(format!("the value of the secret `{PASSWORD}` is not text")))?;
        all.push(Zeroizing::new(text));
    }
    Ok(all)
}

fn password_name() -> SecretName {
    PASSWORD.parse().expect("it is a name")
}
