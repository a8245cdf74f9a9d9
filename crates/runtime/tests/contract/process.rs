//! The process runtime keeps the contract.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use daybook_model::Digest;
use daybook_model::name::EnvKey;
use daybook_model::spec::{Artifact, Build};
use daybook_runtime::Runtime;
use daybook_runtime::process::{Config, ProcessRuntime};

use crate::subject::Subject;

/// A state directory of its own, with the test program as a snapshot.
pub(crate) struct Machine {
    pub(crate) state: tempfile::TempDir,
    pub(crate) runtime: ProcessRuntime,
    artifact: Digest,
}

pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_daybook-testshim");

pub(crate) async fn open() -> Machine {
    open_at(tempfile::tempdir().unwrap()).await
}

pub(crate) async fn open_at(state: tempfile::TempDir) -> Machine {
    // Users that replicas run as must be able to enter it.
    std::fs::set_permissions(state.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let runtime = runtime(state.path());
    let source = tempfile::tempdir().unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_daybook-testapp"), source.path().join("testapp")).unwrap();
    let key = "contract/process".parse().unwrap();
    let mut build = build(source.path());
    let artifact = runtime.resolve(&key, &Artifact::Build(build.clone())).await.unwrap();
    build.digest = Some(artifact);
    runtime.prepare(&key, &Artifact::Build(build), &|_| ()).await.unwrap();
    Machine { state, runtime, artifact }
}

pub(crate) fn runtime(state: &Path) -> ProcessRuntime {
    let shim = vec![SHIM.to_owned(), "shim".to_owned()];
    ProcessRuntime::new(Config { state: PathBuf::from(state), shim }).unwrap()
}

fn build(directory: &Path) -> Build {
    Build {
        context: directory.display().to_string(),
        dockerfile: None,
        dockerfile_inline: None,
        target: None,
        args: BTreeMap::new(),
        labels: BTreeMap::new(),
        tag: None,
        digest: None,
    }
}

#[async_trait]
impl Subject for Machine {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.runtime.clone())
    }

    fn reopened(&self) -> Arc<dyn Runtime> {
        Arc::new(runtime(self.state.path()))
    }

    fn key(&self) -> EnvKey {
        "contract/process".parse().unwrap()
    }

    fn artifact(&self) -> (Digest, Option<String>) {
        (self.artifact, None)
    }

    fn program(&self) -> String {
        "./testapp".to_owned()
    }

    fn build(&self, directory: &Path) -> Artifact {
        Artifact::Build(build(directory))
    }
}

crate::contract_of_every_runtime!(open);
crate::contract_of_real_runtimes!(open);
