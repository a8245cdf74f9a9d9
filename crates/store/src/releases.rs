//! Releases: what `rollback` goes back to. All are kept.

use std::sync::{Arc, PoisonError};

use daybook_model::{Entry, EnvKey, Event, Release, ReleaseNumber};
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::append::append;
use crate::chain::{FORM, Versioned, damaged};
use crate::database::failed;
use crate::{Result, Store, Write, internal};

const READ: &str = "read a release";
const ACCEPT: &str = "accept a release";

impl Store {
    /// Writes `ReleaseAccepted`, keeps the release and makes it the one in force, as one.
    ///
    /// A release that was accepted before (by a rollback or a heal of the same number) is kept as it
    /// was first accepted.
    pub async fn accept(&self, write: Write, release: &Release) -> Result<Entry> {
        let key = write.key.clone().ok_or_else(|| internal(ACCEPT, "no environment was named"))?;
        if !matches!(write.event, Event::ReleaseAccepted { number } if number == release.number) {
            return Err(internal(ACCEPT, "the event is about something else"));
        }
        let body = serde_json::to_string(&Versioned { v: FORM, body: release }).map_err(|e| internal(ACCEPT, e))?;
        let number = release.number;
        self.transact(ACCEPT, move |connection, at| {
            Box::pin(async move {
                let entry = append(connection, write, at).await?;
                keep(connection, &key, number, &body).await.map_err(failed(ACCEPT))?;
                Ok((entry.clone(), vec![entry]))
            })
        })
        .await
    }

    /// The newest releases of an environment, newest first.
    pub async fn releases(&self, key: &EnvKey, limit: usize) -> Result<Vec<Release>> {
        let sql = "SELECT number, body, digest FROM releases WHERE key = $1 ORDER BY number DESC LIMIT $2";
        let mut connection = self.reader(READ).await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(sql).bind(key.to_string()).bind(limit).fetch_all(&mut *connection).await;
        rows.map_err(failed(READ))?.iter().map(read).collect()
    }

    /// One release.
    pub async fn release(&self, key: &EnvKey, number: ReleaseNumber) -> Result<Option<Release>> {
        let sql = "SELECT number, body, digest FROM releases WHERE key = $1 AND number = $2";
        let mut connection = self.reader(READ).await?;
        let query = sqlx::query(sql).bind(key.to_string()).bind(number.0.cast_signed());
        query.fetch_optional(&mut *connection).await.map_err(failed(READ))?.as_ref().map(read).transpose()
    }

    /// The release in force. It is asked for all the time, and read once.
    pub async fn current_release(&self, key: &EnvKey) -> Result<Option<Arc<Release>>> {
        let in_force = || self.inner.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(number) = self.current_number(key).await? else {
            in_force().remove(key);
            return Ok(None);
        };
        if let Some(known) = in_force().get(key).filter(|known| known.number == number) {
            return Ok(Some(known.clone()));
        }
        let release = self.release(key, number).await?.map(Arc::new);
        if let Some(release) = &release {
            in_force().insert(key.clone(), release.clone());
        }
        Ok(release)
    }

    async fn current_number(&self, key: &EnvKey) -> Result<Option<ReleaseNumber>> {
        let mut connection = self.reader(READ).await?;
        let query = sqlx::query_scalar("SELECT number FROM current_releases WHERE key = $1").bind(key.to_string());
        let number: Option<i64> = query.fetch_optional(&mut *connection).await.map_err(failed(READ))?;
        Ok(number.map(|number| ReleaseNumber(number.cast_unsigned())))
    }

    /// A number that no release and no run of the environment has used.
    pub async fn next_release_number(&self, key: &EnvKey) -> Result<ReleaseNumber> {
        let mut connection = self.reader(READ).await?;
        let query = sqlx::query_scalar("SELECT highest_release FROM environments WHERE key = $1");
        let highest: Option<i64> =
            query.bind(key.to_string()).fetch_optional(&mut *connection).await.map_err(failed(READ))?;
        Ok(ReleaseNumber(highest.unwrap_or(0).cast_unsigned() + 1))
    }
}

async fn keep(connection: &mut AnyConnection, key: &EnvKey, number: ReleaseNumber, body: &str) -> sqlx::Result<()> {
    let sql = "INSERT INTO releases (key, number, body, digest) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    sqlx::query(sql)
        .bind(key.to_string())
        .bind(number.0.cast_signed())
        .bind(body)
        .bind(Sha256::digest(body.as_bytes()).as_slice())
        .execute(&mut *connection)
        .await?;
    let sql = "INSERT INTO current_releases (key, number) VALUES ($1, $2)
               ON CONFLICT (key) DO UPDATE SET number = excluded.number";
    sqlx::query(sql).bind(key.to_string()).bind(number.0.cast_signed()).execute(connection).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Release> {
    let number: i64 = row.try_get(0).map_err(failed(READ))?;
    let body: String = row.try_get(1).map_err(failed(READ))?;
    let digest: Vec<u8> = row.try_get(2).map_err(failed(READ))?;
    if Sha256::digest(body.as_bytes()).as_slice() != digest {
        return Err(damaged(0, &format!("release {number} does not match its digest")));
    }
    let release: Versioned<Release> = serde_json::from_str(&body).map_err(|error| internal(READ, error))?;
    Ok(release.body)
}
