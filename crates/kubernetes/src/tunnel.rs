//! The way to the server that leads in a cluster: a command in its pod, which hands on what its socket says.
//!
//! Who may run commands in the pods of the server's namespace (`pods/exec`) may use the server: there is no port of it
//! that anybody else could reach.

use daybook_model::target::ClusterTarget;
use daybook_runtime::{Error, ErrorKind, Result};
use k8s_openapi::api::coordination::v1::Lease as Object;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split};

use crate::cluster::{Cluster, answer};
use crate::objects::edge::NAMESPACE;

/// The Lease that names the leader.
const LEASE: &str = "daybook-leader";
/// The container of the server, and the program in it.
const CONTAINER: &str = "server";
const PROGRAM: &str = "/daybook";

/// A cluster in which servers of Daybook run.
pub struct Tunnel {
    cluster: Cluster,
    namespace: String,
}

impl Tunnel {
    /// Finds the cluster. The target's namespace is that of the servers, `daybook-system` where it names none.
    pub async fn connect(target: &ClusterTarget) -> Result<Self> {
        let cluster = Cluster::connect(target, None).await?;
        let namespace = cluster.only.clone().unwrap_or_else(|| NAMESPACE.to_owned());
        Ok(Self { cluster, namespace })
    }

    /// The pod of the server that leads. `ErrorKind::Unavailable` while nobody does or ever did.
    pub async fn leader(&self) -> Result<String> {
        let operation = format!("ask who leads the servers in namespace {}", self.namespace);
        let api: Api<Object> = self.cluster.within(Some(&self.namespace));
        let lease = answer(&operation, api.get_opt(LEASE)).await?;
        let Some(lease) = lease else {
            return Err(Error::new(ErrorKind::Unavailable, operation, format!("there is no Lease {LEASE}")).hint(
                "name the servers' namespace: kubernetes://CONTEXT/NAMESPACE; docs/kubernetes.md says how to run them",
            ));
        };
        let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
        // A process is called by its pod, and by what tells it from those that were in this pod before.
        let pod = holder.map(|holder| holder.rsplit_once('_').map_or(holder.clone(), |(pod, _)| pod.to_owned()));
        pod.ok_or_else(|| Error::new(ErrorKind::Unavailable, operation, "nobody leads now"))
    }

    /// Joins a connection to the socket of the server that leads now, until one of them ends it.
    pub async fn join(&self, connection: impl AsyncRead + AsyncWrite) -> Result<()> {
        let pod = self.leader().await?;
        let operation = format!("reach the server in pod {pod}");
        let params = AttachParams {
            container: Some(CONTAINER.to_owned()),
            stdin: true,
            stderr: false,
            ..AttachParams::default()
        };
        let api: Api<Pod> = self.cluster.within(Some(&self.namespace));
        let mut process = answer(&operation, api.exec(&pod, [PROGRAM, "dial"], &params)).await?;
        let (Some(mut input), Some(mut output)) = (process.stdin(), process.stdout()) else {
            return Err(Error::new(ErrorKind::Internal, operation, "the connection has no input or output"));
        };
        let (mut read, mut write) = split(connection);
        let forth = async {
            let _ = copy(&mut read, &mut input).await;
            let _ = input.shutdown().await;
            // What the client has said is not all: the answer is still to come.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = forth => {}
            _ = copy(&mut output, &mut write) => {}
        }
        let _ = write.shutdown().await;
        process.abort();
        Ok(())
    }
}
