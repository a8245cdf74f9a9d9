//! Whose things are: one daemon may serve several state directories.
//!
//! A state directory has an identity, made once and kept in it. Whatever is made carries it, with the
//! machine and the path of the directory. What carries another identity is left alone for as long as
//! its owner may live. It is evidently gone when, on this machine, the directory no longer holds that
//! identity; then what it left is there to be adopted. Where nobody can tell (another machine's name,
//! a directory that may not be read) it is taken to live, until a person gives it up by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use daybook_model::name::EnvKey;
use serde::{Deserialize, Serialize};

use crate::files::{failed, write_atomically};
use crate::identity::{ByName, Labels, environment};
use crate::{Error, ErrorKind, Owner, Result, labels};

/// Where a state directory keeps its identity.
const FILE: &str = "owner.json";

/// The machine of what several servers share.
const SHARED: &str = "servers that share a database";

/// Our identity, and what we took over from others.
#[derive(Debug)]
pub struct Owners {
    file: PathBuf,
    ours: Owner,
    taken: Mutex<Taken>,
}

/// Owners that a person has given up, by what was theirs.
type Taken = BTreeMap<EnvKey, BTreeSet<String>>;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    owner: Owner,
    #[serde(default)]
    taken: Taken,
}

impl Owners {
    /// The identity of a state directory: the one that it holds; else the one that things on the daemon
    /// say it had, for it was lost; else a new one. `labelled` are the labels of all that is there.
    pub fn open(state: &Path, labelled: &[Labels]) -> Result<Self> {
        let state = state.canonicalize().map_err(|e| failed("find", state, &e))?;
        let file = state.join(FILE);
        let machine = machine()?;
        let kept = read(&file).map_err(|e| failed("read", &file, &e))?;
        let kept = kept.filter(|kept| !is_copy(kept, &file, &machine));
        let lost = || {
            let all = labelled.iter().filter_map(of_labels);
            all.filter(|owner| owner.machine == machine && owner.state == state).map(|owner| owner.id).max()
        };
        let (id, taken) = match kept {
            Some(kept) => (kept.owner.id, kept.taken),
            None => (lost().unwrap_or_else(|| uuid::Uuid::now_v7().to_string()), Taken::default()),
        };
        let owners = Self { file, ours: Owner { id, machine, state }, taken: Mutex::default() };
        owners.keep(taken)?;
        Ok(owners)
    }

    /// The identity of several servers that share their state: none of them has it alone, and no machine. What was taken
    /// over from others is kept in this server's own directory.
    pub fn shared(state: &Path, id: String) -> Result<Self> {
        let state = state.canonicalize().map_err(|e| failed("find", state, &e))?;
        let file = state.join(FILE);
        let kept = read(&file).map_err(|e| failed("read", &file, &e))?.filter(|kept| kept.owner.id == id);
        let ours = Owner { id, machine: SHARED.to_owned(), state: PathBuf::from("/") };
        let owners = Self { file, ours, taken: Mutex::default() };
        owners.keep(kept.map(|kept| kept.taken).unwrap_or_default())?;
        Ok(owners)
    }

    /// The labels that say that something is ours.
    pub fn labels(&self) -> Labels {
        let Owner { id, machine, state } = &self.ours;
        let all = [
            (labels::OWNER, id.clone()),
            (labels::MACHINE, machine.clone()),
            (labels::STATE, state.to_string_lossy().into_owned()),
        ];
        all.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Who else something of an environment belongs to. `None`: it is ours, or was left by an owner that
    /// is gone, or tells of none.
    pub fn other(&self, key: &EnvKey, found: &impl ByName) -> Option<Owner> {
        if found.value(labels::OWNER)? == self.ours.id {
            return None;
        }
        let owner = of_labels(found)?;
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = taken.get(key).is_some_and(|ids| ids.contains(&owner.id));
        (!is_taken && lives(&owner, &self.ours.machine)).then_some(owner)
    }

    /// The environments that these labels name, and whose they are if they are not ours. Malformed ones are left alone.
    pub fn environments(&self, labelled: impl IntoIterator<Item = Labels>) -> BTreeMap<EnvKey, Option<Owner>> {
        let mut all: BTreeMap<EnvKey, Option<Owner>> = BTreeMap::new();
        for found in labelled {
            let key = match environment(&found) {
                Some(Ok(key)) => key,
                Some(Err(error)) => {
                    tracing::warn!(error, "labels of ours are malformed; what has them is left alone");
                    continue;
                }
                None => continue,
            };
            let other = self.other(&key, &found);
            let known = all.entry(key).or_default();
            *known = known.take().or(other);
        }
        all
    }

    /// An error of `operation` when something of an environment is another's.
    pub fn refuse(&self, operation: &str, key: &EnvKey, found: &impl ByName) -> Result<()> {
        match self.other(key, found) {
            None => Ok(()),
            Some(owner) => {
                let message = format!("{key} belongs to {owner}");
                Err(Error::new(ErrorKind::Conflict, operation, message).hint(format!(
                    "use that one (`--state {}`) or another name; once it is no more: `daybook env adopt {} --app {}`",
                    owner.state.display(),
                    key.env,
                    key.app
                )))
            }
        }
    }

    /// From now on what `owner` has of an environment is ours.
    pub fn take(&self, key: &EnvKey, owner: &Owner) -> Result<()> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone();
        taken.entry(key.clone()).or_default().insert(owner.id.clone());
        self.keep(taken)
    }

    fn keep(&self, taken: Taken) -> Result<()> {
        let kept = Kept { owner: self.ours.clone(), taken };
        let text = serde_json::to_vec_pretty(&kept).expect("an identity is plain data");
        write_atomically(&self.file, &text, 0o600)?;
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = kept.taken;
        Ok(())
    }
}

/// The owner that labels tell of.
fn of_labels(found: &impl ByName) -> Option<Owner> {
    let text = |name: &str| found.value(name).map(str::to_owned);
    Some(Owner { id: text(labels::OWNER)?, machine: text(labels::MACHINE)?, state: text(labels::STATE)?.into() })
}

/// Whether an owner may live, as far as it can be told on the machine `here`.
fn lives(owner: &Owner, here: &str) -> bool {
    if owner.machine != here {
        return true;
    }
    match read(&owner.state.join(FILE)) {
        Ok(kept) => kept.is_some_and(|kept| kept.owner.id == owner.id),
        Err(_) => true,
    }
}

/// Whether a directory's identity came with a copy of another directory that is still there. One that
/// was moved keeps its identity.
fn is_copy(kept: &Kept, file: &Path, here: &str) -> bool {
    let original = kept.owner.state.join(FILE);
    let place = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let is_elsewhere = place(&original).is_some_and(|there| Some(there) != place(file));
    kept.owner.machine == here && is_elsewhere && lives(&kept.owner, here)
}

/// `None` when there is no such file.
fn read(file: &Path) -> io::Result<Option<Kept>> {
    match fs::read(file) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The machine as far as paths go: its name, and which directory is its root. Servers in containers have
/// other paths than their machine, though perhaps the same name.
fn machine() -> Result<String> {
    let root = Path::new("/");
    let root = fs::metadata(root).map_err(|e| failed("look at", root, &e))?;
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(format!("{name} {}:{}", root.dev(), root.ino()))
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
