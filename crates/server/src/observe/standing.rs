//! How what is tended stands, in the store: read when a server begins to lead, and written by it alone.
//!
//! [`Rows`] has a row for each environment, so that what changes of one rewrites nothing of others; [`Kept`] writes what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard};

use daybook_model::EnvKey;
use daybook_store::{Error, Standings, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex as Turn;

use super::lock;

/// What has a row for each environment.
pub(super) trait Row: Serialize + DeserializeOwned + Send + 'static {
    /// What the rows are of.
    const OF: &'static str;
}

/// What stands in rows, and knows which of them are not written yet.
pub(super) trait Stands: Send + 'static {
    /// Which those are.
    type Changed: Send + 'static;

    /// The rows of what has changed. It counts as written from now on.
    fn take_changed(&mut self) -> (Self::Changed, Standings);

    /// It was not written after all.
    fn not_written(&mut self, changed: Self::Changed);
}

/// Something of each environment that has it.
#[derive(Debug, Default)]
pub(super) struct Rows<T> {
    all: BTreeMap<EnvKey, T>,
    changed: BTreeSet<EnvKey>,
}

impl<T: Row> Rows<T> {
    /// As the store has them.
    ///
    /// # Errors
    /// The store cannot be read. A row that cannot be understood begins anew.
    pub(super) async fn read(store: &Store) -> Result<Self, Error> {
        let rows = store.standings(T::OF).await?;
        let understood =
            |(place, body): (String, String)| Some((place.parse::<EnvKey>().ok()?, understood::<T>(T::OF, &body)?));
        Ok(Self { all: rows.into_iter().filter_map(understood).collect(), changed: BTreeSet::new() })
    }

    pub(super) fn get(&self, key: &EnvKey) -> Option<&T> {
        self.all.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&EnvKey, &T)> {
        self.all.iter()
    }

    pub(super) fn keys(&self) -> BTreeSet<EnvKey> {
        self.all.keys().cloned().collect()
    }

    /// Each, to be changed in what no row has, or what follows from what it has.
    pub(super) fn each(&mut self) -> impl Iterator<Item = (&EnvKey, &mut T)> {
        self.all.iter_mut()
    }

    /// One that is to be changed, if it is there.
    pub(super) fn change(&mut self, key: &EnvKey) -> Option<&mut T> {
        let one = self.all.get_mut(key)?;
        self.changed.insert(key.clone());
        Some(one)
    }

    /// One that is to be changed; an empty one where there is none.
    pub(super) fn begin(&mut self, key: &EnvKey) -> &mut T
    where
        T: Default,
    {
        self.changed.insert(key.clone());
        self.all.entry(key.clone()).or_default()
    }

    /// Puts another in its place, or none.
    pub(super) fn replace(&mut self, key: &EnvKey, with: Option<T>)
    where
        T: PartialEq,
    {
        if self.all.get(key) == with.as_ref() {
            return;
        }
        self.changed.insert(key.clone());
        match with {
            Some(with) => drop(self.all.insert(key.clone(), with)),
            None => drop(self.all.remove(key)),
        }
    }

    pub(super) fn remove(&mut self, key: &EnvKey) -> Option<T> {
        let removed = self.all.remove(key)?;
        self.changed.insert(key.clone());
        Some(removed)
    }
}

impl<T: Row> Stands for Rows<T> {
    type Changed = BTreeSet<EnvKey>;

    fn take_changed(&mut self) -> (Self::Changed, Standings) {
        let changed = take(&mut self.changed);
        let rows = changed.iter().map(|key| ((T::OF, key.to_string()), self.all.get(key).map(text)));
        let rows = rows.collect();
        (changed, rows)
    }

    fn not_written(&mut self, mut changed: Self::Changed) {
        self.changed.append(&mut changed);
    }
}

/// Something that stands in the store, as it is now.
#[derive(Default)]
pub(super) struct Kept<S> {
    now: Mutex<S>,
    /// Whoever writes has this meanwhile, so that no older state replaces a newer one.
    writing: Turn<()>,
}

impl<S: Stands> Kept<S> {
    pub(super) fn lock(&self) -> MutexGuard<'_, S> {
        lock(&self.now)
    }

    /// Writes what has changed since it was written.
    ///
    /// # Errors
    /// It was not written, and is tried again the next time. [`Error::Deposed`]: another server leads.
    pub(super) async fn write(self: &Arc<Self>, store: &Store) -> Result<(), Error> {
        let (kept, store) = (Arc::clone(self), store.clone());
        // Whoever waits for it may go away: it is written all the same.
        let written = tokio::spawn(async move {
            let _turn = kept.writing.lock().await;
            let (changed, rows) = kept.lock().take_changed();
            let written = store.keep_standings(rows).await;
            if written.is_err() {
                kept.lock().not_written(changed);
            }
            written
        });
        let broke_off = |error: tokio::task::JoinError| {
            Err(Error::Internal { operation: "write down how something stands", message: error.to_string() })
        };
        written.await.unwrap_or_else(broke_off)
    }
}

/// What a row has.
pub(super) fn text(standing: &impl Serialize) -> String {
    serde_json::to_string(standing).expect("it is plain data")
}

/// What a row says. `None`: it cannot be understood, and begins anew.
pub(super) fn understood<T: DeserializeOwned>(of: &str, body: &str) -> Option<T> {
    serde_json::from_str(body).inspect_err(|error| tracing::warn!(%error, of, "how it stood is lost")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Row for u64 {
        const OF: &'static str = "numbers";
    }

    fn key(app: &str) -> EnvKey {
        format!("{app}/production").parse().unwrap()
    }

    fn told(rows: Standings) -> Vec<String> {
        let told = |((of, place), body): ((&str, String), Option<String>)| format!("{of} {place}: {body:?}");
        rows.into_iter().map(told).collect()
    }

    #[test]
    fn what_has_changed_is_written_once_and_again_if_it_was_not() {
        let mut rows = Rows::<u64>::default();
        *rows.begin(&key("a")) = 1;
        *rows.begin(&key("b")) = 2;
        let (changed, written) = rows.take_changed();
        assert_eq!(told(written), [r#"numbers a/production: Some("1")"#, r#"numbers b/production: Some("2")"#]);
        rows.each().for_each(|(_, number)| *number += 1);
        assert!(rows.take_changed().1.is_empty());
        rows.not_written(changed);
        assert_eq!(rows.remove(&key("a")), Some(2));
        rows.replace(&key("b"), Some(3));
        assert_eq!(told(rows.take_changed().1), ["numbers a/production: None", r#"numbers b/production: Some("3")"#]);
        rows.replace(&key("b"), Some(3));
        assert_eq!(rows.change(&key("c")), None);
        assert_eq!(rows.remove(&key("c")), None);
        assert!(rows.take_changed().1.is_empty(), "nothing has changed");
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let kept: Arc<Kept<Rows<u64>>> = Arc::default();
        *kept.lock().begin(&key("a")) = 1;
        kept.write(&store).await.unwrap();
        *kept.lock().begin(&key("a")) = 2;
        kept.write(&store).await.unwrap();
        store.close().await;
        *kept.lock().begin(&key("a")) = 3;
        assert!(kept.write(&store).await.is_err());
        let store = Store::open(dir.path()).await.unwrap();
        assert_eq!(Rows::<u64>::read(&store).await.unwrap().get(&key("a")), Some(&2));
        kept.write(&store).await.unwrap();
        assert_eq!(Rows::<u64>::read(&store).await.unwrap().get(&key("a")), Some(&3), "it is tried again");
    }
}
