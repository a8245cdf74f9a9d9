//! A way to a port of a pod from a machine that does not reach pods: a port of this machine, handed on by the API server.

use std::net::{Ipv4Addr, SocketAddr};

use daybook_model::SeenReplica;
use daybook_model::name::EnvKey;
use daybook_runtime::{Error, ErrorKind, Reached, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::KubernetesRuntime;
use crate::cluster::answer;

impl KubernetesRuntime {
    pub(crate) async fn way_to(&self, key: &EnvKey, replica: &SeenReplica, port: u16) -> Result<Reached> {
        if let Some(ip) = replica.address.filter(|_| self.reaches_pods) {
            return Ok(Reached { address: SocketAddr::new(ip, port), way: None });
        }
        let operation = format!("reach port {port} of {}", replica.id);
        let pod = self.running_pod(&operation, key, &replica.id, replica.role).await?;
        let api = self.cluster.of::<Pod>(key);
        let failed = |error: std::io::Error| Error::new(ErrorKind::Unavailable, &operation, error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let way = AbortOnDropHandle::new(tokio::spawn(hand_on(listener, api, pod, port)));
        Ok(Reached { address, way: Some(Box::new(way)) })
    }
}

/// Hands connections on, each by one of its own, until it is ended.
async fn hand_on(listener: TcpListener, api: Api<Pod>, pod: String, port: u16) {
    let mut open = tokio::task::JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        let (api, pod) = (api.clone(), pod.clone());
        open.spawn(async move {
            if let Err(error) = join(connection, &api, &pod, port).await {
                tracing::debug!(%error, pod, port, "a connection to a pod ended");
            }
        });
        while open.try_join_next().is_some() {}
    }
}

async fn join(mut connection: TcpStream, api: &Api<Pod>, pod: &str, port: u16) -> Result<()> {
    let operation = format!("reach port {port} of {pod}");
    let mut forward = answer(&operation, api.portforward(pod, &[port])).await?;
    let lost = |why: String| Error::new(ErrorKind::Unavailable, &operation, why);
    let mut stream = forward.take_stream(port).ok_or_else(|| lost("the API server gave no connection".to_owned()))?;
    copy_bidirectional(&mut connection, &mut stream).await.map_err(|error| lost(error.to_string()))?;
    Ok(())
}
