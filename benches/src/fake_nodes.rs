//! Pods on machines that exist in name only.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Pods that are given a machine at once.
const AT_ONCE: usize = 16;
/// Between two looks for pods that have none.
const PAUSE: Duration = Duration::from_millis(200);

/// Gives the pods of one namespace a fake machine each, since Daybook's pods tolerate none of those, and nobody else's
/// should come there. Ends with this value.
pub struct Binder(JoinHandle<()>);

impl Binder {
    /// Begins. The fake machines must be there.
    pub async fn start(namespace: &str) -> Result<Self> {
        let client = Client::try_default().await.context("connect to the cluster")?;
        let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default().labels("type=kwok")).await?;
        let nodes: Vec<String> = nodes.items.iter().map(ResourceExt::name_any).collect();
        anyhow::ensure!(!nodes.is_empty(), "there are no fake machines");
        let pods = Api::namespaced(client, namespace);
        Ok(Self(tokio::spawn(async move {
            let mut next = 0;
            loop {
                next = bind(&pods, &nodes, next).await;
                tokio::time::sleep(PAUSE).await;
            }
        })))
    }
}

impl Drop for Binder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Binds what is unbound, in turns. What fails is tried again at the next look.
async fn bind(pods: &Api<Pod>, nodes: &[String], next: usize) -> usize {
    let Ok(unbound) = pods.list(&ListParams::default().fields("spec.nodeName=").limit(500)).await else { return next };
    let names: Vec<String> = unbound.items.iter().map(ResourceExt::name_any).collect();
    let bound = names.iter().enumerate().map(|(index, name)| {
        let node = &nodes[(next + index) % nodes.len()];
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        async move {
            // It may be going away.
            let _ = pods.create_subresource::<Value, Value>("binding", name, &PostParams::default(), &binding).await;
        }
    });
    let bound: Vec<_> = bound.collect();
    futures::stream::iter(bound).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    next + names.len()
}
