//! The edge in a cluster: its objects, its table, and the way to its pods.
//!
//! The table is kept in a Secret, which is also a file in each pod: an edge that starts while no control plane is there
//! serves by it. A control plane tells each pod by itself as well, because files take up to a minute to get there.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use daybook_model::EnvKey;
use daybook_model::target::ClusterEntry;
use daybook_runtime::{Entrance, Error, ErrorKind, Result};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use kube::Resource as _;
use kube::api::{Api, ListParams, Patch, PatchParams, Portforwarder, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::KubernetesRuntime;
use crate::cluster::{Cluster, Kept, MANAGER, answer, kind};
use crate::images::Images;
use crate::objects::edge::{self, CONTROL, NAME, NAMESPACE, ROUTES, TABLE};
use crate::objects::selector;
use crate::pods::{has_ended, is_running, status};
use crate::program::Program;

/// The development authority that edges sign certificates with: `ca.pem` and `ca.key`.
#[derive(Clone)]
pub struct EdgeFiles {
    /// The certificate, PEM.
    pub certificate: Vec<u8>,
    /// Its key, PEM.
    pub key: Vec<u8>,
}

/// The edge of one cluster.
pub struct ClusterEdge<'a> {
    pub(crate) cluster: &'a Cluster,
    images: &'a Images,
    /// What is before it.
    pub(crate) entry: &'a ClusterEntry,
}

/// The table as the cluster keeps it, and which writing of it that is.
#[derive(Debug, Clone, Default)]
pub struct KeptTable {
    /// The packed table; `None` before the first.
    pub packed: Option<Vec<u8>>,
    version: Option<String>,
}

impl KubernetesRuntime {
    /// The edge in this cluster.
    pub fn edge(&self) -> ClusterEdge<'_> {
        ClusterEdge { cluster: &self.cluster, images: &self.images, entry: &self.target.entry }
    }
}

impl ClusterEdge<'_> {
    /// Makes sure that the edge is there, as this program, with the ports that services publish.
    pub async fn keep(&self, files: EdgeFiles, published: &BTreeSet<u16>) -> Result<()> {
        let image = self.images.publish_program(Program::own().await?).await?;
        let namespaces: Api<Namespace> = Api::all(self.cluster.client.clone());
        let operation = format!("make namespace {NAMESPACE}");
        let params = PatchParams::apply(MANAGER);
        let found = answer(&operation, namespaces.get_opt(NAMESPACE)).await?;
        // Others may run in it what needs another level: that is for whoever set it.
        let level = found.and_then(|found| found.metadata.labels?.get(edge::ENFORCE).cloned());
        let wanted = edge::namespace(level.as_deref());
        answer(&operation, namespaces.patch(NAMESPACE, &params, &Patch::Apply(&wanted))).await?;
        self.apply(&edge::authority(files.certificate, files.key)).await?;
        match self.entry {
            ClusterEntry::Balancer => self.apply(&edge::service(published)).await?,
            ClusterEntry::Ingress(_) | ClusterEntry::Gateway { .. } => {
                self.apply(&edge::service_behind()).await?;
                // Controllers bring in HTTP. One that other environments come in by stays as it is.
                if !published.is_empty() {
                    self.apply(&edge::service(published)).await?;
                }
            }
        }
        self.apply(&edge::budget()).await?;
        self.apply(&edge::deployment(&image)).await
    }

    async fn apply<K: Kept>(&self, object: &K) -> Result<()> {
        let name = object.meta().name.clone().unwrap_or_default();
        let operation = format!("apply {} {name}", kind::<K>());
        let params = PatchParams::apply(MANAGER);
        answer(&operation, self.of::<K>().patch(&name, &params, &Patch::Apply(object))).await.map(drop)
    }

    pub(crate) fn of<K: Kept>(&self) -> Api<K> {
        Api::namespaced(self.cluster.client.clone(), NAMESPACE)
    }

    /// Whether the edge was ever made here.
    pub async fn is_there(&self) -> Result<bool> {
        Ok(answer("look for the edge", self.of::<Deployment>().get_opt(NAME)).await?.is_some())
    }

    /// The table that is kept.
    pub async fn table(&self) -> Result<KeptTable> {
        let operation = "read the routes of the cluster's edge";
        let Some(found) = answer(operation, self.of::<Secret>().get_opt(ROUTES)).await? else {
            return Ok(KeptTable::default());
        };
        let packed = found.data.and_then(|mut data| data.remove(TABLE)).map(|bytes| bytes.0);
        Ok(KeptTable { packed, version: found.metadata.resource_version })
    }

    /// Keeps a packed table in the place of the one that was read. [`ErrorKind::Unavailable`] when somebody else was
    /// first: read it again.
    pub async fn keep_table(&self, before: &KeptTable, packed: Vec<u8>) -> Result<()> {
        let operation = "keep the routes of the cluster's edge";
        let mut secret = edge::routes(packed);
        secret.metadata.resource_version.clone_from(&before.version);
        let api = self.of::<Secret>();
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let kept = async {
            match &before.version {
                Some(_) => api.replace(ROUTES, &params, &secret).await,
                None => api.create(&params, &secret).await,
            }
        };
        match answer(operation, kept).await {
            Err(error) if error.kind == ErrorKind::Conflict => Err(Error { kind: ErrorKind::Unavailable, ..error }),
            other => other.map(drop),
        }
    }

    /// The pods of the edge that run, by name.
    pub async fn pods(&self) -> Result<Vec<String>> {
        let params = ListParams::default().labels(&selector(&edge::labels()));
        let pods = answer("list the pods of the edge", self.of::<Pod>().list(&params)).await?;
        Ok(pods.items.iter().filter(|pod| runs(pod)).filter_map(|pod| pod.metadata.name.clone()).collect())
    }

    /// The names of pods of the edge, each whenever it has changed and runs.
    pub fn changes(&self) -> BoxStream<'static, String> {
        let config = watcher::Config::default().labels(&selector(&edge::labels()));
        let events = watcher(self.of::<Pod>(), config).default_backoff().applied_objects();
        events.filter_map(async |pod| pod.ok().filter(runs).and_then(|pod| pod.metadata.name)).boxed()
    }

    /// A connection to the control port of a pod.
    pub async fn dial(&self, pod: &str) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
        let operation = format!("reach {pod}");
        let api = self.of::<Pod>();
        let mut forward = answer(&operation, api.portforward(pod, &[CONTROL])).await?;
        match forward.take_stream(CONTROL) {
            Some(stream) => Ok(Forwarded { stream, forward }),
            None => Err(Error::new(ErrorKind::Unavailable, operation, "the API server gave no connection")),
        }
    }

    /// Where users of an environment come in.
    pub async fn entrance(&self, key: &EnvKey) -> Result<Entrance> {
        if *self.entry != ClusterEntry::Balancer {
            return self.entrance_before(key).await;
        }
        let outside = self.outside().await?;
        let port = |usual: u16| {
            if outside.addresses.is_empty() { outside.node_ports.get(&usual).copied() } else { Some(usual) }
        };
        Ok(Entrance { http: port(80), https: port(443), addresses: outside.addresses.clone() })
    }

    /// Where users reach the edge from outside of the cluster: the addresses of its load balancer, or the ports on every
    /// machine that lead to it, by the port that is asked for.
    pub async fn outside(&self) -> Result<Outside> {
        let found = answer("look for the edge's Service", self.of::<Service>().get_opt(NAME)).await?;
        let Some(service) = found else { return Ok(Outside::default()) };
        let ingress = service.status.and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
        let spec = service.spec.unwrap_or_default();
        let ports = spec.ports.unwrap_or_default();
        let number = |port: i32| u16::try_from(port).ok();
        Ok(Outside {
            addresses: ingress.into_iter().filter_map(|at| at.hostname.or(at.ip)).collect(),
            node_ports: ports.iter().filter_map(|port| Some((number(port.port)?, number(port.node_port?)?))).collect(),
            cluster_ip: spec.cluster_ip.filter(|ip| ip != "None"),
        })
    }
}

/// Where users reach the edge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outside {
    /// Names or addresses of the load balancer; empty while there is none.
    pub addresses: Vec<String>,
    /// The port of every machine that leads to a port of the edge.
    pub node_ports: std::collections::BTreeMap<u16, u16>,
    /// Its address inside of the cluster.
    pub cluster_ip: Option<String>,
}

fn runs(pod: &Pod) -> bool {
    let leaves = pod.meta().deletion_timestamp.is_some();
    !leaves && !has_ended(pod) && status(pod).is_some_and(is_running)
}

/// A forwarded connection; the forwarding ends with it.
struct Forwarded<S> {
    stream: S,
    forward: Portforwarder,
}

impl<S> Drop for Forwarded<S> {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Forwarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Forwarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
