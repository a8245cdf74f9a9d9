//! What is ours in a cluster, kept up to date by watches: an environment that nobody changes is looked at every few
//! seconds, and no question is asked for that.
//!
//! A watch tells of a change a little after it was made. So a look waits until the watches have come as far as what this
//! process has written ([`Written`]). When that takes long, or a watch is interrupted, the API server is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use daybook_model::name::EnvKey;
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, Store, reflector};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::task::JoinSet;

use crate::charts;
use crate::cluster::{Cluster, Kept};
use crate::objects::{DAYBOOK, MANAGED_BY, Pairs};
use crate::written::{Written, version_of};

/// A watch that lags is given so long.
const TELLS_WITHIN: Duration = Duration::from_millis(200);
/// Until it is looked at again.
const PAUSE: Duration = Duration::from_millis(5);

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
        let place = Place { namespace, labels, needed: self.written.needed(key)? };
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

    /// What runs by such labels, as the watches have told so far: it may be a little late. `None` while one is interrupted.
    pub(crate) fn workloads(&self, namespace: &str, labels: &Pairs) -> Option<Workloads> {
        let place = Place { namespace, labels, needed: BTreeMap::new() };
        (self.standing_of_workloads(&place) != Standing::Interrupted).then(|| self.workloads_of(&place))
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

/// An environment, and what must be known of it.
struct Place<'a> {
    namespace: &'a str,
    labels: &'a Pairs,
    needed: BTreeMap<String, u64>,
}

/// Everything of ours of one kind.
struct Watched<K: Kept> {
    store: Store<K>,
    /// The version of the newest object that the watch has told of.
    version: Arc<AtomicU64>,
    is_current: Arc<AtomicBool>,
}

impl<K: Kept> Watched<K> {
    fn begin(cluster: &Cluster, labels: &str, watches: &mut JoinSet<()>) -> Self {
        let (store, writer) = reflector::store();
        let api = cluster.within::<K>(cluster.only.as_deref());
        let config = watcher::Config::default().labels(labels);
        // Who set which field is half of an object, and is not looked at.
        let events = watcher(api, config).modify(|object| object.meta_mut().managed_fields = None).default_backoff();
        let is_current = Arc::new(AtomicBool::new(false));
        let current = is_current.clone();
        let version = Arc::new(AtomicU64::new(0));
        let told = version.clone();
        watches.spawn(async move {
            let mut events = std::pin::pin!(reflector(writer, events));
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = &event {
                    told.fetch_max(version_of(object.meta()).unwrap_or(0), Ordering::Release);
                }
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
        Self { store, version, is_current }
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

    fn of(&self, place: &Place<'_>) -> Vec<Arc<K>> {
        let Place { namespace, labels, .. } = *place;
        let is_of_this = |object: &Arc<K>| {
            let meta = object.meta();
            let has = |(name, value): (&String, &String)| {
                meta.labels.as_ref().is_some_and(|all| all.get(name) == Some(value))
            };
            meta.namespace.as_deref() == Some(namespace) && labels.iter().all(has)
        };
        self.store.state().into_iter().filter(is_of_this).collect()
    }
}
