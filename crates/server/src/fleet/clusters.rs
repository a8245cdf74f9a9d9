//! Clusters that are connected to.

use std::path::Path;
use std::sync::Arc;

use daybook_kubernetes::{Config, KubernetesRuntime};
use daybook_model::target::ClusterTarget;
use daybook_runtime::docker::{self, DockerRuntime};
use daybook_runtime::{Result, Router, Runtime};

use super::router::ClusterRouter;

/// A cluster that is connected to.
#[derive(Clone)]
pub(super) struct Joined {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) router: Arc<dyn Router>,
    /// Where its API server is.
    pub(super) api_server: String,
    /// The one namespace of all environments, where the target names one.
    pub(super) namespace: Option<String>,
}

/// Connects to a cluster.
pub(super) async fn join(target: &ClusterTarget, state: &Path, owner: Option<String>) -> Result<Joined> {
    let docker = docker::Config { socket: None, state: state.to_owned(), logins: None };
    let config = Config {
        target: target.clone(),
        kubeconfig: None,
        state: state.to_owned(),
        owner,
        // Without one, images that a registry has can still run.
        builder: DockerRuntime::connect(docker).await.ok(),
    };
    let runtime = Arc::new(KubernetesRuntime::connect(config).await?);
    let authority = state.join("edge").join("certs");
    let router = Arc::new(ClusterRouter::new(runtime.clone(), authority));
    if !target.reaches_pods {
        tokio::spawn(router.clone().tend());
    }
    let (api_server, namespace) = (runtime.api_server().to_owned(), runtime.only_namespace().map(str::to_owned));
    Ok(Joined { runtime, router, api_server, namespace })
}
