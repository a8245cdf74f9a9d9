//! The cluster that benchmarks use, by its own `kubectl`.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::compare::output;

/// Where the edge of a cluster is.
const EDGE: (&str, &str) = ("daybook-system", "daybook-edge");

/// The target: `DAYBOOK_TARGET`, or the cluster and the registry of the tests.
pub fn target() -> String {
    let usual = || "kubernetes://daybook-test?registry=127.0.0.1:5055".to_owned();
    std::env::var("DAYBOOK_TARGET").unwrap_or_else(|_| usual())
}

/// A command of `kubectl`.
pub fn kubectl(arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.args(arguments);
    command
}

/// What `kubectl` prints.
pub async fn ask(arguments: &[&str]) -> Result<String> {
    output(&mut kubectl(arguments)).await
}

/// `kubectl COMMAND -f -` with these objects; what it prints.
pub async fn give(command: &[&str], objects: &str) -> Result<String> {
    let mut command = kubectl(command);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("run kubectl")?;
    let mut input = child.stdin.take().context("kubectl reads nothing")?;
    let objects = objects.to_owned();
    let written = tokio::spawn(async move { input.write_all(objects.as_bytes()).await });
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("kubectl ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    written.await?.context("write to kubectl")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The address of a Service inside of the cluster, which this machine must reach.
pub async fn address(namespace: &str, service: &str, port: u16) -> Result<SocketAddr> {
    let text = ask(&["get", "service", "-n", namespace, service, "-o", "jsonpath={.spec.clusterIP}"]).await?;
    let ip = text.trim().parse().with_context(|| format!("{service} has no address: {text}"))?;
    Ok(SocketAddr::new(ip, port))
}

/// Where the edge of the cluster answers HTTP.
pub async fn edge() -> Result<SocketAddr> {
    address(EDGE.0, EDGE.1, 80).await
}

/// The names of the pods of the edge: others share it, and may replace them while something is measured.
pub async fn edge_pods() -> Result<Vec<String>> {
    let text = ask(&["get", "pods", "-n", EDGE.0, "-o", "name"]).await?;
    Ok(text.lines().map(ToOwned::to_owned).collect())
}
