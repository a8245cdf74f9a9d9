//! What this process has written, so that it reads what it wrote.
//!
//! The API server answers a write with the version of the object that it made. Versions are those of its store, which
//! grow with each write to anything, so that a watch that has told of one as large has told of this write.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_model::name::EnvKey;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// For so long after a write of which no version is known an environment is looked at by asking.
const SETTLES: Duration = Duration::from_secs(30);

/// The last writes to each environment.
#[derive(Default)]
pub(crate) struct Written(Mutex<BTreeMap<EnvKey, Last>>);

#[derive(Default)]
struct Last {
    /// The largest version that a write was answered with, by kind.
    versions: BTreeMap<String, u64>,
    /// The last write whose version is not known: a removal, or one that was not answered.
    unknown: Option<Instant>,
}

impl Written {
    /// A write was answered with an object.
    pub(crate) fn answered(&self, key: &EnvKey, kind: String, meta: &ObjectMeta) {
        match version_of(meta) {
            Some(version) => self.change(key, |last| {
                let known = last.versions.entry(kind).or_default();
                *known = version.max(*known);
            }),
            None => self.unknown(key),
        }
    }

    /// Something was written, and nobody can tell which version it made.
    pub(crate) fn unknown(&self, key: &EnvKey) {
        self.change(key, |last| last.unknown = Some(Instant::now()));
    }

    fn change(&self, key: &EnvKey, change: impl FnOnce(&mut Last)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(key.clone()).or_default());
    }

    /// How far the watch of each kind must have come to tell what is there of an environment. `None`: ask.
    pub(crate) fn needed(&self, key: &EnvKey) -> Option<BTreeMap<String, u64>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = all.get(key) else { return Some(BTreeMap::new()) };
        let settled = last.unknown.is_none_or(|at| at.elapsed() >= SETTLES);
        settled.then(|| last.versions.clone())
    }
}

/// The version of an object, as a number.
pub(crate) fn version_of(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(version: &str) -> ObjectMeta {
        ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() }
    }

    #[test]
    fn r15_what_was_written_is_read_from_a_watch_only_once_it_has_come_as_far() {
        let (written, key) = (Written::default(), "shop/production".parse().unwrap());
        assert_eq!(written.needed(&key), Some(BTreeMap::new()));
        written.answered(&key, "Deployment".to_owned(), &meta("12"));
        written.answered(&key, "Deployment".to_owned(), &meta("9"));
        assert_eq!(written.needed(&key), Some([("Deployment".to_owned(), 12)].into()));
        assert_eq!(written.needed(&"shop/other".parse().unwrap()), Some(BTreeMap::new()));
    }

    #[test]
    fn after_a_write_of_no_known_version_the_api_server_is_asked() {
        let (written, key) = (Written::default(), "shop/production".parse().unwrap());
        written.answered(&key, "Job".to_owned(), &meta("not a number"));
        assert_eq!(written.needed(&key), None);
    }
}
