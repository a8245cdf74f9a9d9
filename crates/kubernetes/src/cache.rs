//! What is ours in a cluster, kept up to date by watches: an environment that nobody changes is looked at every few
//! seconds, and no question is asked for that.
//!
//! A watch tells of a change a little after it was made. So an environment that this process has just written to is
//! looked at by asking, and so is everything while a watch is interrupted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_model::name::EnvKey;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, Store, reflector};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Kept};
use crate::objects::{DAYBOOK, MANAGED_BY, Pairs};

/// For so long after a write an environment is looked at by asking.
const SETTLES: Duration = Duration::from_secs(30);

/// Everything of ours.
pub(crate) struct Cache {
    deployments: Watched<Deployment>,
    stateful_sets: Watched<StatefulSet>,
    jobs: Watched<Job>,
    pods: Watched<Pod>,
    claims: Watched<PersistentVolumeClaim>,
    policies: Watched<NetworkPolicy>,
    written: Mutex<BTreeMap<EnvKey, Instant>>,
    /// Ends the watches when it is dropped.
    _watches: JoinSet<()>,
}

/// Everything of one environment.
pub(crate) struct Parts {
    pub(crate) deployments: Vec<Arc<Deployment>>,
    pub(crate) stateful_sets: Vec<Arc<StatefulSet>>,
    pub(crate) jobs: Vec<Arc<Job>>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) claims: Vec<Arc<PersistentVolumeClaim>>,
    pub(crate) policies: Vec<Arc<NetworkPolicy>>,
}

impl Cache {
    /// Begins to watch.
    pub(crate) fn begin(cluster: &Cluster) -> Self {
        let mut watches = JoinSet::new();
        Self {
            deployments: Watched::begin(cluster, &mut watches),
            stateful_sets: Watched::begin(cluster, &mut watches),
            jobs: Watched::begin(cluster, &mut watches),
            pods: Watched::begin(cluster, &mut watches),
            claims: Watched::begin(cluster, &mut watches),
            policies: Watched::begin(cluster, &mut watches),
            written: Mutex::default(),
            _watches: watches,
        }
    }

    /// Notes that something of an environment is written now.
    pub(crate) fn write(&self, key: &EnvKey) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, at| at.elapsed() < SETTLES);
        written.insert(key.clone(), Instant::now());
    }

    /// What is known of an environment. `None`: ask.
    pub(crate) fn parts(&self, key: &EnvKey, namespace: &str, labels: &Pairs) -> Option<Parts> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied();
        if written.is_some_and(|at| at.elapsed() < SETTLES) {
            return None;
        }
        Some(Parts {
            // Workloads first: a pod without its workload is none of ours to tell of.
            deployments: self.deployments.of(namespace, labels)?,
            stateful_sets: self.stateful_sets.of(namespace, labels)?,
            jobs: self.jobs.of(namespace, labels)?,
            pods: self.pods.of(namespace, labels)?,
            claims: self.claims.of(namespace, labels)?,
            policies: self.policies.of(namespace, labels)?,
        })
    }
}

/// Everything of ours of one kind.
struct Watched<K: Kept> {
    store: Store<K>,
    is_current: Arc<AtomicBool>,
}

impl<K: Kept> Watched<K> {
    fn begin(cluster: &Cluster, watches: &mut JoinSet<()>) -> Self {
        let (store, writer) = reflector::store();
        let api = cluster.within::<K>(cluster.only.as_deref());
        let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={DAYBOOK}"));
        // Who set which field is half of an object, and is not looked at.
        let events = watcher(api, config).modify(|object| object.meta_mut().managed_fields = None).default_backoff();
        let is_current = Arc::new(AtomicBool::new(false));
        let current = is_current.clone();
        watches.spawn(async move {
            let mut events = std::pin::pin!(reflector(writer, events));
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::InitDone) => current.store(true, Ordering::Release),
                    Ok(_) => {}
                    Err(error) => {
                        current.store(false, Ordering::Release);
                        tracing::debug!(kind = crate::cluster::kind::<K>(), %error, "a watch is interrupted");
                    }
                }
            }
        });
        Self { store, is_current }
    }

    fn of(&self, namespace: &str, labels: &Pairs) -> Option<Vec<Arc<K>>> {
        if !self.is_current.load(Ordering::Acquire) {
            return None;
        }
        let is_of_this = |object: &Arc<K>| {
            let meta = object.meta();
            let has = |(name, value): (&String, &String)| {
                meta.labels.as_ref().is_some_and(|all| all.get(name) == Some(value))
            };
            meta.namespace.as_deref() == Some(namespace) && labels.iter().all(has)
        };
        Some(self.store.state().into_iter().filter(is_of_this).collect())
    }
}
