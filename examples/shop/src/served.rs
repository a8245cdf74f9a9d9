//! Counts of what was answered, kept on disk beside the orders, so that a load test can compare both
//! ends even after replicas have gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// Answers by class of request.
pub(crate) struct Served {
    directory: PathBuf,
    file: PathBuf,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Served {
    /// Counts for one life of one replica.
    pub(crate) fn open(data: &Path, replica: &str) -> io::Result<Self> {
        let directory = data.join("served");
        fs::create_dir_all(&directory)?;
        let started = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_micros());
        let name = replica.replace(['/', ' '], "-");
        let file = directory.join(format!("{name}-{}-{started}.json", std::process::id()));
        Ok(Self { directory, file, counts: Mutex::default() })
    }

    /// One more answer of a class.
    pub(crate) fn count(&self, class: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(class).or_default() += 1;
    }

    /// Saves now and then, until `ended`.
    pub(crate) fn keep(&self, ended: impl Fn() -> bool) {
        while !ended() {
            std::thread::sleep(Duration::from_millis(500));
            self.save();
        }
    }

    /// Saves what was counted. A full disk loses counts, never answers.
    pub(crate) fn save(&self) {
        let counts = json!(*self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        let unfinished = self.file.with_extension("tmp");
        let _ = fs::write(&unfinished, counts.to_string()).and_then(|()| fs::rename(&unfinished, &self.file));
    }

    /// Counts of every life of every replica that shares the directory.
    pub(crate) fn all(&self) -> io::Result<Value> {
        self.save();
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let counts: BTreeMap<String, u64> = serde_json::from_str(&fs::read_to_string(&path)?).unwrap_or_default();
            for (class, count) in counts {
                *sums.entry(class).or_default() += count;
            }
        }
        Ok(json!(sums))
    }
}
