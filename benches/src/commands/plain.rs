//! Kubernetes by itself, doing what its users do: `kubectl apply` of a Deployment with another configuration.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use daybook_bench::cluster::{address, ask, give};
use daybook_bench::load::{Load, Options, Report, get};
use daybook_bench::shop;

use super::say;

const NAMESPACE: &str = "bench-plain";

/// The image that the shop of Daybook runs.
pub(crate) async fn image(namespace: &str) -> Result<String> {
    let found = "jsonpath={.items[0].spec.template.spec.containers[0].image}";
    let text = ask(&["get", "statefulset", "-n", namespace, "-o", found]).await?;
    if text.is_empty() { bail!("there is no shop in {namespace}") } else { Ok(text) }
}

/// Replaces the shop `count` times under the same load (but for HTTP/2, which nothing in front of a Service speaks),
/// and returns what was counted.
pub(crate) async fn replaced(image: &str, count: u32) -> Result<Report> {
    let report = replace(image, count).await;
    ask(&["delete", "namespace", NAMESPACE, "--ignore-not-found"]).await?;
    report
}

async fn replace(image: &str, count: u32) -> Result<Report> {
    apply(image, 0).await?;
    let address = address(NAMESPACE, "web", 80).await?;
    answers(address).await?;
    let load = Load::start(Options { http2_rate: 0, ..Options::new(address, shop::HOST) });
    for number in 1..=count {
        tokio::time::sleep(Duration::from_secs(2)).await;
        apply(image, number).await?;
    }
    // The old pods have ended when this rollout's last requests have.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let report = load.stop().await;
    say(&format!("Kubernetes by itself, {count} times `kubectl apply` and `kubectl rollout status`:\n{report}"));
    Ok(report)
}

async fn apply(image: &str, number: u32) -> Result<()> {
    give(&["apply"], &objects(image, number)).await?;
    let status = ["rollout", "status", "deployment/web", "-n", NAMESPACE, "--timeout=120s"];
    ask(&status).await.context("wait for the rollout")?;
    Ok(())
}

async fn answers(address: SocketAddr) -> Result<()> {
    for _ in 0..300 {
        if get(address, shop::HOST, "/healthz").await.is_ok_and(|reply| reply.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the shop by itself never answered on {address}")
}

/// What a careful user writes: a readiness probe, limits, and everything else as Kubernetes has it.
fn objects(image: &str, number: u32) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: orders, namespace: {NAMESPACE}}}
spec:
  accessModes: [ReadWriteMany]
  resources: {{requests: {{storage: 1Gi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: {image}
          args: [bin/shop, web]
          ports: [{{containerPort: 8080}}]
          env:
            - {{name: SHOP_VERSION, value: '{version}'}}
            - {{name: SHOP_BUILD, value: '{number}'}}
            - {{name: SHOP_DATA, value: data}}
          readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
          resources: {{requests: {{cpu: 50m, memory: 128Mi}}, limits: {{cpu: 500m, memory: 128Mi}}}}
          volumeMounts: [{{name: orders, mountPath: /data}}]
      volumes:
        - {{name: orders, persistentVolumeClaim: {{claimName: orders}}}}
",
        version = number % 2 + 1,
    )
}
