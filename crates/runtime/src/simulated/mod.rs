//! A world in memory, with virtual time and seeded faults.
//!
//! [`Simulated`] is a [`crate::Runtime`] and a [`crate::Router`] over one world, so that a simulation can
//! tell whether a request would have failed at any instant. Time is tokio's: with its clock paused,
//! minutes pass in microseconds. Each act takes a while, takes effect somewhere within that while, and may
//! be lost or repeated by whoever drives it: dropping the future is a crash of the driver.

mod router;
mod runtime;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use daybook_model::{Digest, EnvKey, ServiceName, Timestamp};
use tokio::time::Instant;

use crate::Owner;
use world::World;

/// How the replicas of an artifact behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// From start to the first good answer of its check, milliseconds. `None`: it never answers.
    pub ready_after_ms: Option<u64>,
    /// Its process ends by itself after so long, with this code.
    pub ends_after_ms: Option<(u64, i32)>,
    /// Requests of a hundred that it answers with 500.
    pub errors_percent: u64,
    /// Its check fails from so long after its start on.
    pub fails_after_ms: Option<u64>,
    /// How long requests in flight take to end once it gets nothing new, milliseconds.
    pub drains_ms: u64,
    /// What a release hook in this artifact ends with.
    pub hook_code: i32,
    /// It cannot be built or pulled.
    pub unavailable: bool,
    /// Nobody tells its digest: its registry does not answer.
    pub unknown: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ready_after_ms: Some(50),
            ends_after_ms: None,
            errors_percent: 0,
            fails_after_ms: None,
            drains_ms: 20,
            hook_code: 0,
            unavailable: false,
            unknown: false,
        }
    }
}

/// A simulated runtime and edge. Clones share their world.
#[derive(Clone)]
pub struct Simulated {
    world: Arc<Mutex<World>>,
    began: Instant,
}

impl Simulated {
    /// An empty world. The seed decides how long acts take and which of them fail for a while.
    pub fn new(seed: u64) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(seed))), began: Instant::now() }
    }

    /// Every act fails transiently in so many of a hundred cases, half of them after it took effect.
    #[must_use]
    pub fn with_faults(self, percent: u64) -> Self {
        self.lock().fault_percent = percent;
        self
    }

    /// Replicas of `artifact` behave so from now on.
    pub fn behave(&self, artifact: &Digest, behaviour: Behaviour) {
        self.lock().behaviours.insert(*artifact, behaviour);
    }

    /// Replicas of `service` with different configurations must never run at the same time.
    pub fn forbid_overlap(&self, service: &ServiceName) {
        self.lock().exclusive.insert(service.clone());
    }

    /// The time in this world.
    pub fn now(&self) -> Timestamp {
        let since = i64::try_from(self.began.elapsed().as_millis()).expect("a simulation ends within an age");
        Timestamp::from_millisecond(1_790_000_000_000 + since).expect("the time of a simulation is a valid one")
    }

    /// A clock of this world.
    pub fn clock(&self) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
        let world = self.clone();
        Arc::new(move || world.now())
    }

    /// What happened that must never happen, in words.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// How often each hook was executed, by its replica's name.
    pub fn hook_runs(&self) -> BTreeMap<String, u32> {
        self.lock().hook_runs.clone()
    }

    /// What is there, a line for each thing: replicas with their configuration and state, and routes.
    /// Two worlds that look the same to a user have the same text, whatever the replicas are numbered.
    pub fn picture(&self) -> String {
        let now = self.elapsed();
        self.lock().picture(now)
    }

    /// Someone other than Daybook removes a replica: a lost machine, a clumsy hand.
    pub fn lose(&self, replica: &str) {
        self.lock().replicas.retain(|(_, id, _), _| id.to_string() != replica);
    }

    /// Its disk has no room left, or has room again. Acts fail meanwhile.
    pub fn fill(&self, full: bool) {
        self.lock().full = full;
    }

    /// Machines begin one replica in so long, milliseconds, however many are started.
    pub fn begin_one_every(&self, span: u64) {
        self.lock().begins_every = span;
    }

    /// An environment belongs to another Daybook from now on.
    pub fn give_away(&self, key: &EnvKey, owner: Owner) {
        self.lock().others.insert(key.clone(), owner);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).expect("a simulation ends within an age")
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no holder of this lock panics")
    }

    /// Carries an act out: it takes a while, takes effect within it, and may fail transiently.
    async fn act<T>(
        &self,
        operation: &str,
        effect: impl FnOnce(&mut World, u64) -> crate::Result<T>,
    ) -> crate::Result<T> {
        let (before, after, fault) = self.lock().draw();
        tokio::time::sleep(Duration::from_millis(before)).await;
        if fault == world::Fault::Before {
            return Err(unavailable(operation));
        }
        if self.lock().full {
            return Err(crate::Error::new(crate::ErrorKind::Full, operation, "no space is left"));
        }
        let now = self.elapsed();
        let result = effect(&mut self.lock(), now);
        self.lock().check(now, operation);
        tokio::time::sleep(Duration::from_millis(after)).await;
        if fault == world::Fault::After { Err(unavailable(operation)) } else { result }
    }
}

fn unavailable(operation: &str) -> crate::Error {
    crate::Error::new(crate::ErrorKind::Unavailable, operation, "the simulated runtime is away for a moment")
}
