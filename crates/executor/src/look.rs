//! Looking at what is there, and reading what the edge has counted.
//!
//! Many steps wait for replicas at the same time. They share looks: one observation of an environment
//! serves all who ask within a moment, unless something was done to it meanwhile, and whoever asked before it began.
//! Where a look takes long, because thousands of replicas are there, others get a moment before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;

use daybook_model::launch::Role;
use daybook_model::observed::Away;
use daybook_model::traffic::Traffic;
use daybook_model::{EnvKey, Observed, ReplicaId, SeenReplica, Spec, Target};
use daybook_runtime::{Apart, Seen, Side};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Executor, Result};

/// How old a shared look may be.
const FRESH: Duration = Duration::from_millis(100);
/// Between two looks is so many times what the first one took: they take a fifth of a processor at most,
const REST: u32 = 4;
/// unless that would be longer.
const REST_AT_MOST: Duration = Duration::from_millis(500);

/// The last looks at each environment.
#[derive(Default)]
pub(crate) struct Looks {
    by_key: Lock<BTreeMap<EnvKey, Arc<Look>>>,
}

/// The last looks at one environment: at what runs, and at what the edge has counted.
#[derive(Default)]
struct Look {
    seen: Shared<Seen>,
    traffic: Shared<Traffic>,
}

impl Looks {
    fn of(&self, key: &EnvKey) -> Arc<Look> {
        let mut looks = self.by_key.lock().expect("no holder of this lock panics");
        looks.entry(key.clone()).or_default().clone()
    }

    /// Something was done to an environment: looks that began before are not served any more.
    pub(crate) fn outdate(&self, key: &EnvKey) {
        let look = self.of(key);
        look.seen.outdate();
        look.traffic.outdate();
    }
}

/// What was read last, for all who ask within a moment.
struct Shared<T> {
    last: Mutex<Option<Taken<T>>>,
    changed: Lock<Option<Instant>>,
}

struct Taken<T> {
    began: Instant,
    ended: Instant,
    what: Arc<T>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { last: Mutex::default(), changed: Lock::default() }
    }
}

impl<T> Shared<T> {
    fn outdate(&self) {
        *self.changed.lock().expect("no holder of this lock panics") = Some(Instant::now());
    }

    fn serves(&self, began: Instant) -> bool {
        let changed = *self.changed.lock().expect("no holder of this lock panics");
        began.elapsed() < FRESH && changed.is_none_or(|changed| began > changed)
    }

    /// What was read a moment ago, or else what `read` tells.
    async fn get(&self, read: impl Future<Output = Result<T>>) -> Result<Arc<T>> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(taken) = last.as_ref() {
            if taken.began > asked || self.serves(taken.began) {
                return Ok(taken.what.clone());
            }
            let took = taken.ended - taken.began;
            tokio::time::sleep_until(taken.ended + (took * REST).min(REST_AT_MOST)).await;
        }
        let began = Instant::now();
        let what = Arc::new(read.await?);
        *last = Some(Taken { began, ended: Instant::now(), what: what.clone() });
        Ok(what)
    }
}

impl Executor {
    /// What is there now: replicas, volumes, networks, routes, and which of the spec's artifacts.
    pub async fn observe(&self, key: &EnvKey, spec: Option<&Spec>) -> Result<Observed> {
        let side = Side { runtime: self.inner.runtime.clone(), router: self.inner.router.clone() };
        observe_at(&side, key, spec).await
    }

    /// What is there on the way to `spec`: at its own target, wherever the environment is placed now, and at the
    /// target that it leaves, which is one of those in `before`.
    pub async fn survey(&self, spec: &Spec, before: &[&Spec]) -> Result<Observed> {
        let (key, places) = (&spec.key, &self.inner.places);
        let home = places.home();
        let here = spec.target.as_ref().unwrap_or(&home);
        let side = places.at(here).await?;
        let mut seen = observe_at(&side, key, Some(spec)).await?;
        let Some(target) = daybook_decide::plan::left(spec, before.iter().copied(), &home) else { return Ok(seen) };
        let shares_entrance = match places.apart(key, here, &target).await? {
            Apart::Nowhere => return Ok(seen),
            Apart::OneEntrance => true,
            Apart::TwoEntrances => false,
        };
        let Seen { replicas, volumes, .. } = places.at(&target).await?.runtime.observe(key).await?;
        seen.away = Some(Away { target, shares_entrance, replicas, volumes });
        Ok(seen)
    }

    /// Looks at and acts on an environment at `target` from now on. What was seen where it was before is no look
    /// at it any more: a replica that comes back there would seem gone.
    pub(crate) async fn place(&self, key: &EnvKey, target: Option<&Target>) -> Result<()> {
        self.inner.runtime.place(key, target).await?;
        self.inner.looks.outdate(key);
        Ok(())
    }

    /// A look that is at most a moment old.
    pub(crate) async fn glance(&self, key: &EnvKey) -> Result<Arc<Seen>> {
        let observe = async {
            let mut seen = self.inner.runtime.observe(key).await?;
            seen.replicas.sort_by(|a, b| (&a.id, a.role).cmp(&(&b.id, b.role)));
            Ok(seen)
        };
        self.inner.looks.of(key).seen.get(observe).await
    }

    /// One replica, as of a moment ago.
    pub(crate) async fn glance_at(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<Option<SeenReplica>> {
        Ok(replica(&*self.glance(key).await?, id, role).cloned())
    }

    /// What the edge has counted, as of a moment ago.
    pub(crate) async fn counted(&self, key: &EnvKey) -> Result<Arc<Traffic>> {
        let count = async { Ok(self.inner.router.traffic(key).await?) };
        self.inner.looks.of(key).traffic.get(count).await
    }
}

/// One replica of a look that was taken by [`Executor::glance`]: they are in order.
pub(crate) fn replica<'a>(seen: &'a Seen, id: &ReplicaId, role: Role) -> Option<&'a SeenReplica> {
    let place = seen.replicas.binary_search_by(|replica| (&replica.id, replica.role).cmp(&(id, role)));
    place.ok().map(|place| &seen.replicas[place])
}

async fn observe_at(side: &Side, key: &EnvKey, spec: Option<&Spec>) -> Result<Observed> {
    let seen = side.runtime.observe(key).await?;
    let routes = side.router.get(key).await?;
    let services = spec.into_iter().flat_map(|spec| spec.services.values());
    let digests: BTreeSet<_> = services.filter_map(|service| service.artifact.digest().copied()).collect();
    let artifacts = side.runtime.present(key, &digests).await?;
    let Seen { replicas, volumes, networks, charts, quota } = seen;
    let databases = BTreeMap::new();
    let key = key.clone();
    Ok(Observed { key, replicas, volumes, networks, artifacts, routes, charts, databases, quota, away: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::{Simulation, shop};

    #[tokio::test(start_paused = true)]
    async fn r04_a_look_from_before_a_move_is_not_served() {
        let simulation = Simulation::new(1, 0);
        let (server, key) = (simulation.server(), shop("1").key);
        let before = server.glance(&key).await.unwrap();
        assert!(Arc::ptr_eq(&before, &server.glance(&key).await.unwrap()), "looks are shared");
        server.place(&key, None).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &server.glance(&key).await.unwrap()), "a look at another target");
    }

    #[tokio::test(start_paused = true)]
    async fn r01_what_was_counted_before_a_change_is_not_told_after_it() {
        let simulation = Simulation::new(1, 0);
        let (server, key) = (simulation.server(), shop("1").key);
        let before = server.counted(&key).await.unwrap();
        assert!(Arc::ptr_eq(&before, &server.counted(&key).await.unwrap()), "counts are shared");
        server.inner.looks.outdate(&key);
        assert!(!Arc::ptr_eq(&before, &server.counted(&key).await.unwrap()), "a drain would take it for its own");
    }
}
