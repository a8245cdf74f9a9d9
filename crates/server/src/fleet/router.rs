//! The edge of a cluster as a [`Router`]: several pods that serve by one table.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daybook_edge::{Client, ClientError, Connection, Dial, pack, unpack};
use daybook_kubernetes::{EdgeFiles, Hosts, KeptTable, KubernetesRuntime};
use daybook_model::route::{Entry, Target};
use daybook_model::spec::Tls;
use daybook_model::traffic::Traffic;
use daybook_model::{EnvKey, EnvRoutes, RouteTable};
use daybook_runtime::{Entrance, Error, ErrorKind, Result, Router};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;

/// Pods that are told at once.
const AT_ONCE: usize = 8;
/// How long the first pod of an edge may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(120);
/// Until it is looked for again.
const AGAIN: Duration = Duration::from_millis(300);

/// Speaks to the edge of one cluster, and makes it when the first route is set.
pub(crate) struct ClusterRouter {
    cluster: Arc<KubernetesRuntime>,
    /// Where the development authority of this machine's edge is: clients trust one for all.
    authority: PathBuf,
    /// Held while the table is changed.
    made: Mutex<Made>,
}

/// What this process has made in the cluster.
#[derive(Default)]
struct Made {
    /// The ports that were published when it last saw to the edge.
    published: Option<BTreeSet<u16>>,
    /// The hosts whose requests it has led to the edge.
    opened: BTreeMap<EnvKey, Hosts>,
}

impl ClusterRouter {
    /// A router over the edge of `cluster`.
    pub(crate) fn new(cluster: Arc<KubernetesRuntime>, authority: PathBuf) -> Self {
        Self { cluster, authority, made: Mutex::default() }
    }

    /// Tells each pod that comes, or comes back, what to serve, for as long as the server lives.
    pub(crate) async fn tend(self: Arc<Self>) {
        let mut changes = self.cluster.edge().changes();
        while let Some(pod) = changes.next().await {
            let table = match self.table().await {
                Ok((table, _)) => table,
                Err(error) => {
                    tracing::warn!(pod, %error, "a pod of the edge is not told what to serve");
                    continue;
                }
            };
            if let Err(error) = self.tell(&pod, &table).await {
                tracing::debug!(pod, %error, "a pod of the edge is not told what to serve yet");
            }
        }
    }

    /// The table that the cluster keeps, and which writing of it that is.
    async fn table(&self) -> Result<(RouteTable, KeptTable)> {
        let kept = self.cluster.edge().table().await?;
        let table = kept.packed.as_deref().map(unpack).transpose().map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                "read the routes of the cluster's edge",
                format!("they are damaged: {error}"),
            )
        })?;
        Ok((table.unwrap_or_default(), kept))
    }

    fn client(&self, pod: &str) -> Client {
        Client::elsewhere(Arc::new(Pod { cluster: self.cluster.clone(), name: pod.to_owned() }))
    }

    /// Makes a pod serve by a table. Returns when it does, by this one or one that is newer.
    async fn tell(&self, pod: &str, table: &RouteTable) -> Result<()> {
        let client = self.client(pod);
        let told = client.set_table(table).await;
        let said = match told {
            Ok(()) => return Ok(()),
            Err(said) => said,
        };
        // It may have read the table from its file first.
        if matches!(said, ClientError::Refused(_))
            && client.table().await.is_ok_and(|there| there.version >= table.version)
        {
            return Ok(());
        }
        Err(failed(&format!("tell {pod} what to serve"), &said))
    }

    /// Makes every pod that runs serve by a table. One that goes away meanwhile needs not.
    async fn tell_all(&self, table: &RouteTable) -> Result<()> {
        let begun = tokio::time::Instant::now();
        let pods = loop {
            let pods = self.cluster.edge().pods().await?;
            if !pods.is_empty() {
                break pods;
            }
            if begun.elapsed() > COMES_WITHIN {
                let message = "no pod of the edge runs";
                return Err(Error::new(ErrorKind::Unavailable, "tell the cluster's edge what to serve", message)
                    .hint("`kubectl -n daybook-system get pods` shows why"));
            }
            tokio::time::sleep(AGAIN).await;
        };
        let told = pods.into_iter().map(|pod| self.tell_one(pod, table));
        stream::iter(told).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn tell_one(&self, pod: String, table: &RouteTable) -> Result<()> {
        match self.tell(&pod, table).await {
            Err(error) if error.is_transient() && !self.cluster.edge().pods().await?.contains(&pod) => Ok(()),
            other => other,
        }
    }

    /// Sees to it that the edge is there and offers what is published.
    async fn make(&self, made: &mut Made, table: &RouteTable) -> Result<()> {
        let published = published(table);
        if made.published.as_ref() == Some(&published) {
            return Ok(());
        }
        self.cluster.edge().keep(self.files().await?, &published).await?;
        made.published = Some(published);
        Ok(())
    }

    /// Sees to it that requests for an environment's hosts come to the edge.
    async fn open(&self, made: &mut Made, key: &EnvKey, hosts: Hosts) -> Result<()> {
        if made.opened.get(key) == Some(&hosts) {
            return Ok(());
        }
        made.opened.remove(key);
        let edge = self.cluster.edge();
        if hosts.all.is_empty() {
            edge.close(key).await?;
        } else {
            edge.open(key, &hosts).await?;
        }
        made.opened.insert(key.clone(), hosts);
        Ok(())
    }

    async fn files(&self) -> Result<EdgeFiles> {
        let read = async |name: &str| tokio::fs::read(self.authority.join(name)).await;
        let failed = |error: io::Error| Error::new(ErrorKind::Internal, "read the development authority", error);
        Ok(EdgeFiles { certificate: read("ca.pem").await.map_err(failed)?, key: read("ca.key").await.map_err(failed)? })
    }
}

/// The ports that entries of a table listen at.
fn published(table: &RouteTable) -> BTreeSet<u16> {
    let backends = table.environments.values().flat_map(|routes| routes.backends.values());
    let entries = backends.flat_map(|backend| &backend.entries);
    let ports = entries.filter_map(|entry| match entry {
        Entry::Address { listen, .. } => Some(listen.port()),
        Entry::Domain { .. } => None,
    });
    ports.collect()
}

/// The hosts that entries of an environment are for.
fn hosts(routes: &EnvRoutes) -> Hosts {
    let mut hosts = Hosts::default();
    for entry in routes.backends.values().flat_map(|backend| &backend.entries) {
        let Entry::Domain { host, tls, .. } = entry else { continue };
        hosts.all.insert(host.clone());
        if *tls != Tls::Off {
            hosts.secure.insert(host.clone());
        }
    }
    hosts
}

/// What a pod of the edge cannot have: files of the server's machine.
fn refuse_files(key: &EnvKey, routes: &EnvRoutes) -> Result<()> {
    for (service, backend) in &routes.backends {
        let is_site = matches!(backend.target, Target::Files { .. });
        let from_files = |entry: &Entry| matches!(entry, Entry::Domain { tls: Tls::Files { .. }, .. });
        let what = match (is_site, backend.entries.iter().any(from_files)) {
            (true, _) => "a static site",
            (_, true) => "a certificate from files",
            _ => continue,
        };
        let message = format!("{service} of {key} has {what}, which the edge of a cluster cannot be given yet");
        return Err(Error::new(ErrorKind::Refused, "change the routes of the cluster's edge", message)
            .hint("serve it from an image, or run it on the server's machine"));
    }
    Ok(())
}

#[async_trait]
impl Router for ClusterRouter {
    async fn set(&self, key: &EnvKey, routes: EnvRoutes) -> Result<()> {
        refuse_files(key, &routes)?;
        let mut made = self.made.lock().await;
        let (mut table, before) = self.table().await?;
        let hosts = hosts(&routes);
        if routes.backends.is_empty() {
            table.environments.remove(key);
        } else {
            table.environments.insert(key.clone(), routes);
        }
        table.version += 1;
        self.make(&mut made, &table).await?;
        // First: what is in the table counts as served.
        self.open(&mut made, key, hosts).await?;
        let packed = pack(&table)
            .map_err(|error| Error::new(ErrorKind::Internal, "pack the routes of the cluster's edge", error))?;
        self.cluster.edge().keep_table(&before, packed).await?;
        self.tell_all(&table).await
    }

    async fn get(&self, key: &EnvKey) -> Result<EnvRoutes> {
        let (mut table, _) = self.table().await?;
        Ok(table.environments.remove(key).unwrap_or_default())
    }

    async fn traffic(&self, key: &EnvKey) -> Result<Traffic> {
        let pods = self.cluster.edge().pods().await?;
        let counted = pods.iter().map(|pod| {
            let client = self.client(pod);
            async move { client.traffic().await }
        });
        let counted: Vec<_> = stream::iter(counted.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        let mut total = Traffic::default();
        for traffic in counted {
            match traffic {
                Ok(mut traffic) => total.add(traffic.environments.remove(key).unwrap_or_default()),
                // One that went away has nothing in flight.
                Err(error) => tracing::debug!(%error, "a pod of the edge does not tell what it counted"),
            }
        }
        Ok(total)
    }

    async fn entrance(&self, key: &EnvKey) -> Result<Option<Entrance>> {
        self.cluster.edge().entrance(key).await.map(Some)
    }
}

/// The way to one pod of the edge.
struct Pod {
    cluster: Arc<KubernetesRuntime>,
    name: String,
}

impl std::fmt::Debug for Pod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pod {}", self.name)
    }
}

impl Dial for Pod {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async {
            let stream = self.cluster.edge().dial(&self.name).await.map_err(io::Error::other)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}

fn failed(operation: &str, error: &ClientError) -> Error {
    let kind = match error {
        ClientError::Refused(_) => ErrorKind::Conflict,
        error if error.is_transient() => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, operation, error)
}
