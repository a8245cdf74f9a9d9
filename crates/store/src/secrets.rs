//! Sealed secrets: set, listed and removed by name; opened only for replicas.

use daybook_model::{Actor, Entry, EnvKey, Event, SecretName, Timestamp};
use sqlx::{AnyConnection, Row as _};
use zeroize::Zeroizing;

use crate::append::append;
use crate::database::{Database, failed};
use crate::environments::parsed;
use crate::seal::{Place, random_value};
use crate::{Result, Store, Write, internal};

const SET: &str = "set a secret";
const READ: &str = "read the secrets";

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// Its latest version.
    pub version: u64,
    /// When that was set.
    pub set_at: Timestamp,
}

impl Store {
    /// Seals `value` unless it is the latest version's own, and returns the version that holds it.
    pub async fn set_secret(
        &self,
        actor: Actor,
        key: &EnvKey,
        name: &SecretName,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<u64> {
        self.write_secret(actor, key, name, value, Existing::KeepIfEqual).await
    }

    /// Sets a secret to a random value that nobody sees: 43 characters of URL-safe base64.
    pub async fn generate_secret(&self, actor: Actor, key: &EnvKey, name: &SecretName) -> Result<u64> {
        self.write_secret(actor, key, name, random_value(), Existing::Supersede).await
    }

    /// Every secret of an environment at its latest version, by name.
    pub async fn secrets(&self, key: &EnvKey) -> Result<Vec<Secret>> {
        let sql = "SELECT name, version, set_at FROM secrets s
                   WHERE key = $1 AND version = (SELECT max(version) FROM secrets
                       WHERE key = s.key AND name = s.name AND sealed IS NOT NULL)
                   ORDER BY name";
        let mut connection = self.reader(READ).await?;
        let rows = sqlx::query(sql).bind(key.to_string()).fetch_all(&mut *connection).await.map_err(failed(READ))?;
        let read = |row: &sqlx::any::AnyRow| {
            let version = row.try_get::<i64, _>(1)?.cast_unsigned();
            Ok(Secret { name: parsed(row, 0)?, version, set_at: parsed(row, 2)? })
        };
        rows.iter().map(|row| read(row).map_err(failed(READ))).collect()
    }

    /// The latest version of a secret, if it is set.
    pub async fn secret_version(&self, key: &EnvKey, name: &SecretName) -> Result<Option<u64>> {
        let mut connection = self.reader(READ).await?;
        Ok(latest(&mut connection, key, name).await.map_err(failed(READ))?.map(|(version, _)| version))
    }

    /// The version that [`Store::set_secret`] would return for `value`; `None` is a value that nobody
    /// has yet. Nothing is written.
    pub async fn foresee_secret(&self, key: &EnvKey, name: &SecretName, value: Option<&[u8]>) -> Result<u64> {
        let mut connection = self.reader(READ).await?;
        if let Some(value) = value
            && let Some(version) = self.holder(&mut connection, key, name, value).await?
        {
            return Ok(version);
        }
        Ok(highest(&mut connection, key, name).await.map_err(failed(READ))? + 1)
    }

    /// The value of one version, for a replica that is about to start. `None`: there is no such version.
    pub async fn open_secret(
        &self,
        key: &EnvKey,
        name: &SecretName,
        version: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let sql = "SELECT sealed FROM secrets WHERE key = $1 AND name = $2 AND version = $3 AND sealed IS NOT NULL";
        let mut connection = self.reader(READ).await?;
        let query = sqlx::query_scalar(sql).bind(key.to_string()).bind(name.as_str()).bind(version.cast_signed());
        let sealed: Option<Vec<u8>> = query.fetch_optional(&mut *connection).await.map_err(failed(READ))?;
        sealed.map(|sealed| self.inner.master.open(Place { key, name, version }, &sealed)).transpose()
    }

    /// Forgets every version of a secret. Returns whether there was one.
    pub async fn remove_secret(&self, actor: Actor, key: &EnvKey, name: &SecretName) -> Result<bool> {
        let (key, name) = (key.clone(), name.clone());
        self.transact("remove a secret", move |connection, at| {
            Box::pin(async move {
                let sql = "UPDATE secrets SET sealed = NULL WHERE key = $1 AND name = $2 AND sealed IS NOT NULL";
                let update = sqlx::query(sql).bind(key.to_string()).bind(name.as_str());
                let removed = update.execute(&mut *connection).await.map_err(failed("remove a secret"))?;
                if removed.rows_affected() == 0 {
                    return Ok((false, Vec::new()));
                }
                let entry = journal(connection, actor, &key, Event::SecretRemoved { name }, at).await?;
                Ok((true, vec![entry]))
            })
        })
        .await
    }

    /// Refuses a master key that is not the one under which secrets are sealed. One that was damaged does not tell.
    pub(crate) async fn refuse_other_key(&self) -> Result<()> {
        let sql =
            "SELECT key, name, version, sealed FROM secrets WHERE sealed IS NOT NULL ORDER BY set_at DESC LIMIT 5";
        let mut connection = self.reader(READ).await?;
        let rows = sqlx::query(sql).fetch_all(&mut *connection).await.map_err(failed(READ))?;
        let mut last = Ok(());
        for row in &rows {
            match self.open_row(row).map_err(failed(READ))? {
                Ok(_) => return Ok(()),
                Err(error) => {
                    last = Err(internal("check the master key", format!("{error}: put back the key that sealed it")));
                }
            }
        }
        last
    }

    /// Opens every version of every secret, and keeps none.
    pub(crate) async fn open_all_secrets(&self) -> Result<()> {
        let sql = "SELECT key, name, version, sealed FROM secrets WHERE sealed IS NOT NULL ORDER BY key, name, version";
        let mut connection = self.reader(READ).await?;
        let rows = sqlx::query(sql).fetch_all(&mut *connection).await.map_err(failed(READ))?;
        rows.iter().try_for_each(|row| self.open_row(row).map_err(failed(READ))?.map(drop))
    }

    fn open_row(&self, row: &sqlx::any::AnyRow) -> sqlx::Result<Result<Zeroizing<Vec<u8>>>> {
        let (key, name) = (parsed::<EnvKey>(row, 0)?, parsed::<SecretName>(row, 1)?);
        let version = row.try_get::<i64, _>(2)?.cast_unsigned();
        Ok(self.inner.master.open(Place { key: &key, name: &name, version }, &row.try_get::<Vec<u8>, _>(3)?))
    }

    async fn write_secret(
        &self,
        actor: Actor,
        key: &EnvKey,
        name: &SecretName,
        value: Zeroizing<Vec<u8>>,
        existing: Existing,
    ) -> Result<u64> {
        let (store, key, name) = (self.clone(), key.clone(), name.clone());
        self.transact(SET, move |connection, at| {
            Box::pin(async move {
                if existing == Existing::KeepIfEqual
                    && let Some(version) = store.holder(connection, &key, &name, &value).await?
                {
                    return Ok((version, Vec::new()));
                }
                let version = highest(connection, &key, &name).await.map_err(failed(SET))? + 1;
                let sealed = store.inner.master.seal(Place { key: &key, name: &name, version }, &value);
                insert(connection, Place { key: &key, name: &name, version }, at, &sealed)
                    .await
                    .map_err(failed(SET))?;
                let entry = journal(connection, actor, &key, Event::SecretSet { name, version }, at).await?;
                Ok((version, vec![entry]))
            })
        })
        .await
    }

    /// The latest version, if it holds `value`.
    async fn holder(
        &self,
        connection: &mut AnyConnection,
        key: &EnvKey,
        name: &SecretName,
        value: &[u8],
    ) -> Result<Option<u64>> {
        let Some((version, sealed)) = latest(connection, key, name).await.map_err(failed(SET))? else {
            return Ok(None);
        };
        let held = self.inner.master.open(Place { key, name, version }, &sealed)?;
        Ok((held.as_slice() == value).then_some(version))
    }
}

/// Refuses to go on without a master key where secrets were sealed under one.
pub(crate) async fn refuse_without_key(database: &Database) -> Result<()> {
    let mut connection = database.readers.acquire().await.map_err(failed(READ))?;
    let sql = "SELECT count(*) FROM secrets WHERE sealed IS NOT NULL";
    let sealed: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.map_err(failed(READ))?;
    if sealed == 0 {
        return Ok(());
    }
    Err(internal(
        "read the master key",
        "`master.key` is missing, and secrets are sealed under it: put the copy back that you keep elsewhere",
    ))
}

/// What becomes of a latest version that holds the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    Supersede,
    KeepIfEqual,
}

async fn journal(
    connection: &mut AnyConnection,
    actor: Actor,
    key: &EnvKey,
    event: Event,
    at: Timestamp,
) -> Result<Entry> {
    let write = Write { key: Some(key.clone()), run: None, actor, event, expected: None };
    append(connection, write, at).await
}

async fn latest(
    connection: &mut AnyConnection,
    key: &EnvKey,
    name: &SecretName,
) -> sqlx::Result<Option<(u64, Vec<u8>)>> {
    let sql = "SELECT version, sealed FROM secrets WHERE key = $1 AND name = $2 AND sealed IS NOT NULL
               ORDER BY version DESC LIMIT 1";
    let row = sqlx::query(sql).bind(key.to_string()).bind(name.as_str()).fetch_optional(connection).await?;
    row.map(|row| Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), row.try_get(1)?))).transpose()
}

/// The highest version that was ever given out, of removed secrets too.
async fn highest(connection: &mut AnyConnection, key: &EnvKey, name: &SecretName) -> sqlx::Result<u64> {
    let sql = "SELECT coalesce(max(version), 0) FROM secrets WHERE key = $1 AND name = $2";
    let highest: i64 = sqlx::query_scalar(sql).bind(key.to_string()).bind(name.as_str()).fetch_one(connection).await?;
    Ok(highest.cast_unsigned())
}

async fn insert(connection: &mut AnyConnection, place: Place<'_>, at: Timestamp, sealed: &[u8]) -> sqlx::Result<()> {
    let sql = "INSERT INTO secrets (key, name, version, set_at, sealed) VALUES ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(place.key.to_string())
        .bind(place.name.as_str())
        .bind(place.version.cast_signed())
        .bind(at.to_string())
        .bind(sealed)
        .execute(connection)
        .await?;
    Ok(())
}
