//! What is ours in a cluster, kept up to date by watches: an environment that nobody changes is looked at every few
//! seconds, and no question is asked for that.
//!
//! A watch tells of a change a little after it was made. So a look waits until the watches have come as far as what this
//! process has written ([`Written`]). When that takes long, or a watch is interrupted, the API server is asked.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use daybook_model::name::EnvKey;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::task::JoinSet;

use crate::charts;
use crate::cluster::{Cluster, Kept};
use crate::objects::{DAYBOOK, MANAGED_BY, Pairs};
use crate::written::{Written, version_of};

/// A watch that lags is given so long: it goes on as long as nothing is heard of an interruption, and asking for
/// thousands of objects takes longer and makes everything lag more.
const TELLS_WITHIN: Duration = Duration::from_secs(2);
/// Until it is looked at again.
const PAUSE: Duration = Duration::from_millis(5);
/// An interrupted watch is begun anew after so long, and after twice as long where that fails,
const REST: Duration = Duration::from_millis(500);
/// at most.
const REST_AT_MOST: Duration = Duration::from_secs(15);

/// Everything of ours.
pub(crate) struct Cache {
    deployments: Watched<Deployment>,
    stateful_sets: Watched<StatefulSet>,
    jobs: Watched<Job>,
    pods: Watched<Pod>,
    claims: Watched<PersistentVolumeClaim>,
    policies: Watched<NetworkPolicy>,
    quotas: Watched<ResourceQuota>,
    /// Helm's records of charts. Only what they are called by is known: what they hold is large.
    records: Watched<PartialObjectMeta<Secret>>,
    written: Arc<Written>,
    /// Ends the watches when it is dropped.
    _watches: JoinSet<()>,
}

/// What runs.
pub(crate) struct Workloads {
    pub(crate) deployments: Vec<Arc<Deployment>>,
    pub(crate) stateful_sets: Vec<Arc<StatefulSet>>,
    pub(crate) jobs: Vec<Arc<Job>>,
    pub(crate) pods: Vec<Arc<Pod>>,
}

/// Everything of one environment.
pub(crate) struct Parts {
    pub(crate) workloads: Workloads,
    pub(crate) claims: Vec<Arc<PersistentVolumeClaim>>,
    pub(crate) policies: Vec<Arc<NetworkPolicy>>,
    pub(crate) quotas: Vec<Arc<ResourceQuota>>,
    pub(crate) records: Vec<Arc<PartialObjectMeta<Secret>>>,
}

impl Cache {
    /// Begins to watch.
    pub(crate) fn begin(cluster: &Cluster) -> Self {
        let mut watches = JoinSet::new();
        let ours = format!("{MANAGED_BY}={DAYBOOK}");
        let (helm, value) = charts::OWNER;
        let records = format!("{ours},{helm}={value}");
        Self {
            deployments: Watched::begin(cluster, &ours, &mut watches),
            stateful_sets: Watched::begin(cluster, &ours, &mut watches),
            jobs: Watched::begin(cluster, &ours, &mut watches),
            pods: Watched::begin(cluster, &ours, &mut watches),
            claims: Watched::begin(cluster, &ours, &mut watches),
            policies: Watched::begin(cluster, &ours, &mut watches),
            quotas: Watched::begin(cluster, &ours, &mut watches),
            records: Watched::begin(cluster, &records, &mut watches),
            written: cluster.written.clone(),
            _watches: watches,
        }
    }

    /// What is known of an environment, with all that this process has written. `None`: ask.
    pub(crate) async fn parts(&self, key: &EnvKey, namespace: &str, labels: &Pairs) -> Option<Parts> {
        let place = Place { namespace, begins: "", labels, needed: self.written.needed(key)? };
        let begun = Instant::now();
        loop {
            match self.standing(&place) {
                Standing::Told => break,
                Standing::Behind if begun.elapsed() < TELLS_WITHIN => tokio::time::sleep(PAUSE).await,
                Standing::Behind | Standing::Interrupted => return None,
            }
        }
        Some(Parts {
            workloads: self.workloads_of(&place),
            claims: self.claims.of(&place),
            policies: self.policies.of(&place),
            quotas: self.quotas.of(&place),
            records: self.records.of(&place),
        })
    }

    /// What runs by such labels under names that begin so, as the watches have told so far: it may be a little late.
    /// `None` while one is interrupted.
    pub(crate) fn workloads(&self, namespace: &str, begins: &str, labels: &Pairs) -> Option<Workloads> {
        let place = Place { namespace, begins, labels, needed: BTreeMap::new() };
        (self.standing_of_workloads(&place) != Standing::Interrupted).then(|| self.workloads_of(&place))
    }

    /// Helm's records by such labels, as the watch has told so far. `None` while it is interrupted.
    pub(crate) fn records(&self, namespace: &str, labels: &Pairs) -> Option<Vec<Arc<PartialObjectMeta<Secret>>>> {
        let place = Place { namespace, begins: "", labels, needed: BTreeMap::new() };
        (self.records.standing(&place) != Standing::Interrupted).then(|| self.records.of(&place))
    }

    /// How many workloads of ours there are in the cluster.
    pub(crate) fn count(&self) -> usize {
        self.deployments.count() + self.stateful_sets.count() + self.jobs.count()
    }

    fn workloads_of(&self, place: &Place<'_>) -> Workloads {
        Workloads {
            // Pods last: a pod without its workload is none of ours to tell of.
            deployments: self.deployments.of(place),
            stateful_sets: self.stateful_sets.of(place),
            jobs: self.jobs.of(place),
            pods: self.pods.of(place),
        }
    }

    fn standing_of_workloads(&self, place: &Place<'_>) -> Standing {
        let keepers = self.deployments.standing(place).max(self.stateful_sets.standing(place));
        keepers.max(self.jobs.standing(place)).max(self.pods.standing(place))
    }

    fn standing(&self, place: &Place<'_>) -> Standing {
        let standings = [
            self.standing_of_workloads(place),
            self.claims.standing(place),
            self.policies.standing(place),
            self.quotas.standing(place),
            self.records.standing(place),
        ];
        standings.into_iter().max().unwrap_or(Standing::Interrupted)
    }
}

/// How far a watch has come, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It has told all that must be known.
    Told,
    /// It will.
    Behind,
    /// Nobody knows when.
    Interrupted,
}

/// An environment or a part of it, and what must be known of it.
struct Place<'a> {
    namespace: &'a str,
    /// What the names of its objects begin with.
    begins: &'a str,
    labels: &'a Pairs,
    needed: BTreeMap<String, u64>,
}

/// Everything of ours of one kind.
struct Watched<K: Kept> {
    objects: Arc<RwLock<Objects<K>>>,
    /// The version of the newest object that the watch has told of.
    version: Arc<AtomicU64>,
    is_current: Arc<AtomicBool>,
}

/// Objects by namespace and name, in order: those of a replica are beside each other.
struct Objects<K>(BTreeMap<String, BTreeMap<String, Arc<K>>>);

impl<K: Kept> Objects<K> {
    fn put(&mut self, object: K) {
        let meta = object.meta();
        let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        self.0.entry(namespace).or_default().insert(name, Arc::new(object));
    }

    fn remove(&mut self, object: &K) {
        let meta = object.meta();
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let Some(inside) = self.0.get_mut(namespace.unwrap_or_default()) else { return };
        inside.remove(name.unwrap_or_default());
        if inside.is_empty() {
            self.0.remove(namespace.unwrap_or_default());
        }
    }
}

impl<K: Kept> Watched<K> {
    fn begin(cluster: &Cluster, labels: &str, watches: &mut JoinSet<()>) -> Self {
        let api = cluster.within::<K>(cluster.only.as_deref());
        let config = watcher::Config::default().labels(labels);
        let watched = Self {
            objects: Arc::new(RwLock::new(Objects(BTreeMap::new()))),
            version: Arc::default(),
            is_current: Arc::default(),
        };
        let mut telling = Telling { watched: watched.clone(), listed: Objects(BTreeMap::new()), newest: 0 };
        watches.spawn(async move {
            let mut rest = REST;
            loop {
                // Who set which field is half of an object, and is not looked at.
                let events = watcher(api.clone(), config.clone());
                let mut events = std::pin::pin!(events.modify(|object| object.meta_mut().managed_fields = None));
                while let Some(event) = events.next().await {
                    let (is_interrupted, has_listed) = (event.is_err(), matches!(event, Ok(Event::InitDone)));
                    telling.take(event);
                    if is_interrupted {
                        break;
                    }
                    if has_listed {
                        rest = REST;
                    }
                }
                // Begun anew it lists everything first: one that goes on never tells that it has come as far as before.
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(REST_AT_MOST);
            }
        });
        watched
    }

    fn standing(&self, place: &Place<'_>) -> Standing {
        let needed = place.needed.get(&crate::cluster::kind::<K>()).copied().unwrap_or(0);
        if !self.is_current.load(Ordering::Acquire) {
            Standing::Interrupted
        } else if self.version.load(Ordering::Acquire) < needed {
            Standing::Behind
        } else {
            Standing::Told
        }
    }

    fn count(&self) -> usize {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.0.values().map(BTreeMap::len).sum()
    }

    fn of(&self, place: &Place<'_>) -> Vec<Arc<K>> {
        let is_of_this = |object: &K| {
            let labels = object.meta().labels.as_ref();
            place.labels.iter().all(|(name, value)| labels.is_some_and(|all| all.get(name) == Some(value)))
        };
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let Some(inside) = objects.0.get(place.namespace) else { return Vec::new() };
        let named = inside.range::<str, _>((Bound::Included(place.begins), Bound::Unbounded));
        let named = named.take_while(|(name, _)| name.starts_with(place.begins)).map(|(_, object)| object);
        named.filter(|object| is_of_this(object)).cloned().collect()
    }
}

impl<K: Kept> Clone for Watched<K> {
    fn clone(&self) -> Self {
        let Self { objects, version, is_current } = self;
        Self { objects: objects.clone(), version: version.clone(), is_current: is_current.clone() }
    }
}

/// A watch as it goes on.
struct Telling<K: Kept> {
    watched: Watched<K>,
    /// What a list that is not at its end has told so far, and the newest version in it.
    listed: Objects<K>,
    newest: u64,
}

impl<K: Kept> Telling<K> {
    fn take(&mut self, event: Result<Event<K>, watcher::Error>) {
        let version = |object: &K| version_of(object.meta()).unwrap_or(0);
        let objects = || self.watched.objects.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::Init) => (self.listed, self.newest) = (Objects(BTreeMap::new()), 0),
            Ok(Event::InitApply(object)) => {
                self.newest = self.newest.max(version(&object));
                self.listed.put(object);
            }
            Ok(Event::InitDone) => {
                *objects() = std::mem::replace(&mut self.listed, Objects(BTreeMap::new()));
                self.tell(self.newest);
                self.watched.is_current.store(true, Ordering::Release);
            }
            Ok(Event::Apply(object)) => {
                let version = version(&object);
                objects().put(object);
                self.tell(version);
            }
            Ok(Event::Delete(object)) => {
                objects().remove(&object);
                self.tell(version(&object));
            }
            Err(error) => {
                self.watched.is_current.store(false, Ordering::Release);
                tracing::debug!(kind = crate::cluster::kind::<K>(), %error, "a watch is interrupted");
            }
        }
    }

    /// What was told of is in place.
    fn tell(&self, version: u64) {
        self.watched.version.fetch_max(version, Ordering::Release);
    }
}
