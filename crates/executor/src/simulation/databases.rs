//! Databases of a simulated world: a count of migrations, who may log in, and how often each migration ran.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use daybook_model::database::{Migrations, Pending, SeenDatabase, Standing};
use daybook_model::event::Answer;
use daybook_model::{DatabaseName, Digest, EnvKey};
use daybook_runtime::{Error, ErrorKind, Progress, Result};

use crate::databases::{Databases, Opened, Place};

/// How long a migration takes.
const TAKES: Duration = Duration::from_millis(300);

/// One database, whatever it is called. The directory of migrations is called by the number of the newest.
#[derive(Clone, Default)]
pub struct SimulatedDatabases {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    version: u32,
    logins: BTreeSet<String>,
    times: BTreeMap<u32, u32>,
    fails: bool,
}

impl SimulatedDatabases {
    /// From now on the next migration fails, or does not.
    pub fn fail(&self, fails: bool) {
        self.state().fails = fails;
    }

    /// How often a migration ran.
    pub fn times(&self, version: u32) -> u32 {
        self.state().times.get(&version).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

fn newest(migrations: Option<&Migrations>) -> u32 {
    migrations.and_then(|migrations| migrations.sources.first()?.root.parse().ok()).unwrap_or(0)
}

fn between(from: u32, to: u32) -> Vec<Pending> {
    let one = |version| Pending {
        what: format!("version {version}"),
        script: format!("V{version}__.sql"),
        remarks: Vec::new(),
    };
    (from + 1..=to).map(one).collect()
}

#[async_trait]
impl Databases for SimulatedDatabases {
    async fn digest(&self, root: &Path) -> Result<Digest> {
        Ok(Digest::of(root.as_os_str().as_encoded_bytes()))
    }

    async fn look(&self, database: &Opened) -> SeenDatabase {
        let newest = newest(database.migrations.as_ref());
        match &database.place {
            Place::Nowhere => SeenDatabase::Absent { pending: between(0, newest) },
            Place::OutOfReach(why) => SeenDatabase::Silent { why: why.clone() },
            Place::Url(_) | Place::Server(_) => {
                let state = self.state();
                let locked_out = database.logins.iter().filter(|login| !state.logins.contains(&login.name));
                SeenDatabase::Answers(Box::new(Standing {
                    version: (state.version > 0).then(|| state.version.to_string()),
                    pending: between(state.version, newest),
                    wrong: Vec::new(),
                    beyond: between(newest, state.version),
                    locked_out: locked_out.map(|login| login.service.clone()).collect(),
                }))
            }
        }
    }

    async fn grant(&self, database: &Opened) -> Result<()> {
        let mut state = self.state();
        state.logins.retain(|name| database.keep.contains(name));
        state.logins.extend(database.logins.iter().map(|login| login.name.clone()));
        Ok(())
    }

    async fn back_up(&self, _: &EnvKey, _: &DatabaseName, _: Progress<'_>) -> Result<String> {
        tokio::time::sleep(TAKES).await;
        Ok("backed up".to_owned())
    }

    async fn migrate(&self, database: &Opened, progress: Progress<'_>) -> Result<String> {
        let newest = newest(database.migrations.as_ref());
        loop {
            let version = self.state().version;
            if version >= newest {
                return Ok(format!("at version {version}"));
            }
            progress(&format!("version {}", version + 1));
            tokio::time::sleep(TAKES).await;
            if self.state().fails {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("migrate to version {}", version + 1),
                    "no such table",
                ));
            }
            {
                let mut state = self.state();
                state.version = version + 1;
                *state.times.entry(version + 1).or_default() += 1;
            }
            // Who is broken off here has not heard of what it did.
            tokio::time::sleep(TAKES).await;
        }
    }

    async fn ask(&self, database: &Opened) -> Result<Answer> {
        let is_done = self.state().version >= newest(database.migrations.as_ref());
        Ok(if is_done { Answer::Happened } else { Answer::DidNotHappen })
    }
}
