//! Copies of the file: made while a server writes to it, and looked through before they are relied on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use daybook_model::Digest;
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::append::recorded_head;
use crate::chain::damaged;
use crate::database::{failed, unavailable};
use crate::key::KeySource;
use crate::sqlite::{self, FILE};
use crate::standings::{DELIVERIES, RECEIVED};
use crate::{Result, Store, internal};

const COPY: &str = "copy the database";
const LOOK: &str = "look through the database";

/// How long a copy waits for a writer.
const PATIENCE_MS: u32 = 30_000;

/// What a state holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Entries of the journal.
    pub entries: u64,
    /// The hash of the last one.
    pub head: Digest,
    /// Releases of all environments.
    pub releases: u64,
    /// Sealed versions of secrets.
    pub secrets: u64,
}

/// Copies the database of a state directory to `to`, which must not be there: as it is at one moment. A server may
/// write to it meanwhile, and waits for nothing.
pub async fn copy(state: &Path, to: &Path) -> Result<Holdings> {
    let text = to.to_str().ok_or_else(|| internal(COPY, "the path of the copy is not UTF-8"))?;
    let mut connection = connect(&state.join(FILE), COPY).await?;
    let copied = sqlx::query("VACUUM INTO $1").bind(text).execute(&mut connection).await.map_err(failed(COPY));
    let _ = connection.close().await;
    copied?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600)).map_err(|error| unavailable(COPY, &error))?;
    let mut connection = connect(to, COPY).await?;
    let held = holdings(&mut connection).await;
    let _ = connection.close().await;
    held
}

/// Looks through the database of a state directory that no server has: its pages, its journal and its releases; with a
/// key, each secret as well. Says what it holds.
///
/// # Errors
/// Among others [`crate::Error::Damaged`], and whatever is wrong with the key.
pub async fn examine(state: &Path, key: Option<&KeySource>, passphrase: Option<&str>) -> Result<Holdings> {
    look_at_pages(&state.join(FILE)).await?;
    let store = match key {
        Some(key) => Store::open_under(state, key, passphrase).await?,
        None => Store::without_key(state).await?,
    };
    let looked = store.examined(key.is_some()).await;
    store.close().await;
    looked
}

/// Sees that a restored state gives out no number again: what a later release left behind is found by its number, so `releases`
/// of them are left out; and whoever was sent a notice takes another one of the same number for that, so they begin anew.
/// What other tools told of is forgotten with that: what goes on they tell again.
pub async fn use_no_number_again(state: &Path, releases: u32) -> Result<()> {
    const SKIP: &str = "leave out numbers that may have been used";
    let mut connection = connect(&state.join(FILE), SKIP).await?;
    let sql = "UPDATE environments SET highest_release = highest_release + $1";
    let skipped = sqlx::query(sql).bind(i64::from(releases)).execute(&mut connection).await.map_err(failed(SKIP));
    let forget = sqlx::query("DELETE FROM standings WHERE what IN ($1, $2)").bind(DELIVERIES).bind(RECEIVED);
    let forgotten = forget.execute(&mut connection).await.map_err(failed(SKIP));
    // From now on it is one file, which can be moved.
    let whole = sqlx::raw_sql("PRAGMA journal_mode = DELETE").execute(&mut connection).await.map_err(failed(SKIP));
    let _ = connection.close().await;
    skipped.and(forgotten).and(whole).map(drop)
}

impl Store {
    async fn examined(&self, opens: bool) -> Result<Holdings> {
        self.verify().await?;
        for environment in self.environments().await? {
            self.releases(&environment.key, usize::MAX).await?;
        }
        if opens {
            self.open_all_secrets().await?;
        }
        holdings(&mut *self.reader(LOOK).await?).await
    }
}

async fn look_at_pages(file: &Path) -> Result<()> {
    let mut connection = connect(file, LOOK).await?;
    let rows = sqlx::query("PRAGMA integrity_check").fetch_all(&mut connection).await.map_err(failed(LOOK));
    let _ = connection.close().await;
    for row in rows? {
        let found: String = row.try_get(0).map_err(failed(LOOK))?;
        if found != "ok" {
            return Err(damaged(0, &found));
        }
    }
    Ok(())
}

async fn holdings(connection: &mut AnyConnection) -> Result<Holdings> {
    let (entries, head) = recorded_head(connection).await.map_err(failed(LOOK))?;
    let sql = "SELECT (SELECT count(*) FROM releases), (SELECT count(*) FROM secrets WHERE sealed IS NOT NULL)";
    let row = sqlx::query(sql).fetch_one(connection).await.map_err(failed(LOOK))?;
    let head: [u8; 32] = head.try_into().map_err(|_| damaged(entries, &"the hash of the last entry is none"))?;
    let count = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned).map_err(failed(LOOK));
    Ok(Holdings { entries, head: Digest::from_hash(&head), releases: count(0)?, secrets: count(1)? })
}

/// A connection to a file that has to be there.
async fn connect(file: &Path, operation: &'static str) -> Result<AnyConnection> {
    sqlx::any::install_default_drivers();
    if let Err(error) = std::fs::metadata(file) {
        return Err(unavailable(operation, &format!("{}: {error}", file.display())));
    }
    let mut connection = AnyConnection::connect(&sqlite::url(file, "rw")?).await.map_err(failed(operation))?;
    let patience = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {PATIENCE_MS}"));
    sqlx::raw_sql(patience).execute(&mut connection).await.map_err(failed(operation))?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use daybook_model::{Actor, EnvKey, Event, SecretName};
    use zeroize::Zeroizing;

    use super::*;
    use crate::{Error, Journal as _, Write};

    fn key() -> EnvKey {
        "shop/production".parse().unwrap()
    }

    async fn a_state(dir: &Path) -> Store {
        let store = Store::open(dir).await.unwrap();
        let name: SecretName = "password".parse().unwrap();
        let value = Zeroizing::new(b"swordfish".to_vec());
        store.set_secret(Actor::daybook("test"), &key(), &name, value).await.unwrap();
        store
    }

    async fn write(store: &Store) {
        let event = Event::Adopted { replicas: 1 };
        let write = Write { key: Some(key()), run: None, actor: Actor::daybook("test"), event, expected: None };
        store.append(write).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_copy_is_of_one_moment_while_others_write() {
        let (dir, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = a_state(dir.path()).await;
        let stop = Arc::new(AtomicBool::new(false));
        let (writer, told) = (store.clone(), Arc::clone(&stop));
        let writing = tokio::spawn(async move {
            while !told.load(Ordering::SeqCst) {
                write(&writer).await;
            }
        });
        let mut before = 0;
        for number in 0..10 {
            let into = copies.path().join(number.to_string());
            std::fs::create_dir(&into).unwrap();
            let held = copy(dir.path(), &into.join(FILE)).await.unwrap();
            assert!(held.entries > before && held.secrets == 1, "{held:?}");
            before = held.entries;
            assert_eq!(examine(&into, None, None).await.unwrap(), held);
            std::fs::copy(dir.path().join("master.key"), into.join("master.key")).unwrap();
            assert_eq!(examine(&into, Some(&KeySource::Own), None).await.unwrap(), held);
        }
        stop.store(true, Ordering::SeqCst);
        writing.await.unwrap();
        assert_eq!(
            store.verify().await.unwrap().entries,
            copy(dir.path(), &copies.path().join("x")).await.unwrap().entries
        );
    }

    #[tokio::test]
    async fn a_copy_that_nobody_can_open_is_told() {
        let (dir, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = a_state(dir.path()).await;
        write(&store).await;
        store.close().await;
        copy(dir.path(), &into.path().join(FILE)).await.unwrap();
        let missing = examine(into.path(), Some(&KeySource::Own), None).await.unwrap_err();
        assert!(missing.to_string().contains("`master.key` is missing"), "{missing}");
        std::fs::write(into.path().join("other.key"), [9; 32]).unwrap();
        std::fs::set_permissions(into.path().join("other.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let other = KeySource::File(into.path().join("other.key"));
        assert!(examine(into.path(), Some(&other), None).await.is_err());
        let again = copy(dir.path(), &into.path().join(FILE)).await.unwrap_err();
        assert!(again.to_string().contains("already exists"), "{again}");

        let file = into.path().join(FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        let at = bytes.windows(7).rposition(|window| window == b"adopted").unwrap();
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(matches!(examine(into.path(), None, None).await, Err(Error::Damaged { .. })));
    }

    #[tokio::test]
    async fn a_state_that_was_brought_back_uses_no_number_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = a_state(dir.path()).await;
        let next = store.next_release_number(&key()).await.unwrap();
        let row = |what, body: &str| ((what, String::new()), Some(body.to_owned()));
        store.keep_standings([row(DELIVERIES, "1"), row(RECEIVED, "{}"), row("notices", "2")].into()).await.unwrap();
        store.close().await;
        use_no_number_again(dir.path(), 100).await.unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        assert_eq!(store.next_release_number(&key()).await.unwrap().0, next.0 + 100);
        for forgotten in [DELIVERIES, RECEIVED] {
            assert!(store.standings(forgotten).await.unwrap().is_empty(), "{forgotten}");
        }
        assert_eq!(store.standings("notices").await.unwrap().len(), 1, "what was to be told still is");
    }
}
