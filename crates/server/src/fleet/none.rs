//! A build without clusters.

use std::path::Path;
use std::sync::Arc;

use daybook_model::target::ClusterTarget;
use daybook_runtime::{Error, ErrorKind, Result, Router, Runtime};

/// A cluster that is connected to: there is none.
#[derive(Clone)]
pub(super) struct Joined {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) router: Arc<dyn Router>,
    pub(super) api_server: String,
    pub(super) namespace: Option<String>,
}

/// Says that this build cannot.
pub(super) async fn join(target: &ClusterTarget, _: &Path, _: Option<String>) -> Result<Joined> {
    let message = "this build of Daybook has no Kubernetes";
    Err(Error::new(ErrorKind::Refused, format!("connect to {target}"), message)
        .hint("build it with its default features"))
}
