//! Scenarios on a Kubernetes cluster: `scripts/cluster start` gives one; without it they fail.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use daybook_bench::compare::output;
use tokio::process::Command;

use crate::{World, alone, manifest};

/// The namespace of the shop.
pub const NAMESPACE: &str = "shop-production";

/// Where the controller that `scripts/cluster entry` starts takes requests.
const CONTROLLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 85, 0, 1)), 80);

fn directory() -> PathBuf {
    let tests = std::env::var_os("DAYBOOK_TEST_DIR").map_or_else(|| "/tmp/daybook-test".into(), PathBuf::from);
    tests.join("cluster")
}

/// Runs `kubectl`, which must succeed, and returns what it prints.
pub async fn kubectl(arguments: &[&str]) -> String {
    let mut command = Command::new(directory().join("bin/kubectl"));
    command.env("KUBECONFIG", directory().join("kubeconfig")).args(arguments);
    output(&mut command).await.unwrap_or_else(|error| panic!("kubectl {}: {error:#}", arguments.join(" ")))
}

/// Runs `helm`, which must succeed.
pub async fn helm(arguments: &[&str]) {
    let mut command = Command::new(directory().join("bin/helm"));
    command.env("KUBECONFIG", directory().join("kubeconfig")).args(arguments);
    let done = output(&mut command).await;
    done.unwrap_or_else(|error| panic!("helm {}: {error:#}", arguments.join(" ")));
}

/// Does something with a part of the cluster: `kill apiserver`, `restart etcd`, `start`.
pub async fn cluster(arguments: &[&str]) {
    let script = crate::workspace::root().join("scripts/cluster");
    let done = output(Command::new(script).args(arguments)).await;
    done.unwrap_or_else(|error| panic!("scripts/cluster {}: {error:#}", arguments.join(" ")));
}

/// The target of scenarios: the cluster for tests, with the registry for tests.
pub fn target() -> String {
    let registry = std::env::var("DAYBOOK_REGISTRY").expect("DAYBOOK_REGISTRY names the registry for tests");
    format!("kubernetes://daybook-test?registry={registry}")
}

/// The shop's manifest with the cluster as its target and nothing else changed.
pub fn manifest_on_the_cluster() -> String {
    format!("target: {}\n{}", target(), patient_manifest())
}

/// The shop's manifest with times that a cluster needs: its parts come back some seconds after an API server that was
/// away, and a volume of a namespace that was made again is sometimes tried twice, ten seconds apart.
pub fn patient_manifest() -> String {
    manifest().replace("ready: 8s", "ready: 30s")
}

impl World {
    /// A server of this machine, and the shop's manifest with the cluster as its target and nothing else changed.
    pub async fn on_the_cluster() -> Self {
        let world = Self::beside_the_cluster().await;
        world.write("daybook.yaml", &manifest_on_the_cluster());
        world
    }

    /// A server of this machine with the shop's manifest as it is, while nothing of the shop is in the cluster.
    pub async fn beside_the_cluster() -> Self {
        let alone = alone().await;
        kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s"]).await;
        let path = std::env::var("PATH").unwrap_or_default();
        let with_helm = format!("{}:{path}", directory().join("bin").display());
        let world = Self::make("process", None, Some(alone), vec![("PATH", with_helm)]).await;
        world.write("daybook.yaml", &patient_manifest());
        world
    }

    /// The same, with a controller of Gateways and Ingresses before the cluster's edge: `gateway/entry/public`.
    pub async fn behind(entry: &str) -> Self {
        cluster(&["entry"]).await;
        let mut world = Self::beside_the_cluster().await;
        world.come_in_by(entry);
        world.entrance = Some(CONTROLLER);
        world
    }

    /// Writes the manifest with another way in.
    pub fn come_in_by(&self, entry: &str) {
        self.write("daybook.yaml", &format!("target: {}&entry={entry}\n{}", target(), patient_manifest()));
    }

    /// Where the cluster's own edge answers.
    pub async fn entrance_of_the_cluster(&self) -> SocketAddr {
        let service = ["-n", "daybook-system", "get", "service", "daybook-edge", "-o", "jsonpath={.spec.clusterIP}"];
        let address = kubectl(&service).await;
        SocketAddr::new(address.trim().parse().expect("the edge has an address"), 80)
    }

    /// Deploys a build of the shop and finds out where it answers.
    pub async fn up_on_the_cluster(&mut self, build: u32) {
        self.up(build, &[]).await.expect(0);
        self.entrance = Some(self.entrance_of_the_cluster().await);
    }

    /// Takes the shop down with its data; the scenario is over.
    pub async fn end_on_the_cluster(self) {
        self.run(&["down", "--volumes", "orders", "--confirm=shop/production", "--no-input"]).await.expect(0);
        self.end().await;
    }
}
