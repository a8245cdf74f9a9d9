//! The Docker runtime keeps the contract, with the daemon at `DAYBOOK_DOCKER_SOCKET`: Docker's or
//! Podman's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use daybook_model::Digest;
use daybook_model::name::EnvKey;
use daybook_model::spec::{Artifact, Build};
use daybook_runtime::Runtime;
use daybook_runtime::docker::{Config, DockerRuntime};
use tokio::sync::OnceCell;

use crate::subject::Subject;

/// An environment of its own on the daemon that all tests share.
struct Daemon {
    state: tempfile::TempDir,
    runtime: Arc<DockerRuntime>,
    key: EnvKey,
    artifact: Digest,
}

async fn open() -> Daemon {
    let state = tempfile::tempdir().unwrap();
    let runtime = Arc::new(connect(state.path()).await);
    let key: EnvKey = format!("contract-{}/docker", uuid::Uuid::now_v7().simple()).parse().unwrap();
    let artifact = image(&runtime).await;
    Daemon { state, runtime, key, artifact }
}

pub(crate) async fn connect(state: &Path) -> DockerRuntime {
    let socket = std::env::var("DAYBOOK_DOCKER_SOCKET");
    let socket = socket.expect("set DAYBOOK_DOCKER_SOCKET to the socket of a Docker Engine (scripts/dockerd start)");
    DockerRuntime::connect(Config { socket: Some(socket.into()), state: state.to_owned(), logins: None }).await.unwrap()
}

/// The image with the test program, built once.
async fn image(runtime: &DockerRuntime) -> Digest {
    static IMAGE: OnceCell<Digest> = OnceCell::const_new();
    let digest = IMAGE.get_or_init(|| async {
        let context = tempfile::tempdir().unwrap();
        pack(Path::new(env!("CARGO_BIN_EXE_daybook-testapp")), context.path());
        let key = "contract/docker".parse().unwrap();
        let mut build = build(context.path());
        let digest = runtime.resolve(&key, &Artifact::Build(build.clone())).await.unwrap();
        build.digest = Some(digest);
        runtime.prepare(&key, &Artifact::Build(build), &|_| ()).await.unwrap();
        digest
    });
    *digest.await
}

/// Copies a program to `/testapp` of a tree, and the libraries it loads to where it looks for them.
pub(crate) fn pack(program: &Path, tree: &Path) {
    std::fs::copy(program, tree.join("testapp")).unwrap();
    let loaded = Command::new("ldd").arg(program).output().unwrap();
    for word in String::from_utf8(loaded.stdout).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
        let inside = tree.join(word.trim_start_matches('/'));
        std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
        std::fs::copy(word, inside).unwrap();
    }
}

pub(crate) fn build(directory: &Path) -> Build {
    Build {
        context: directory.display().to_string(),
        dockerfile: None,
        dockerfile_inline: Some("FROM scratch\nCOPY . /\n".to_owned()),
        target: None,
        args: BTreeMap::new(),
        labels: BTreeMap::new(),
        tag: None,
        digest: None,
    }
}

#[async_trait]
impl Subject for Daemon {
    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }

    fn reopened(&self) -> Arc<dyn Runtime> {
        let state = PathBuf::from(self.state.path());
        tokio::task::block_in_place(|| Arc::new(tokio::runtime::Handle::current().block_on(connect(&state))))
    }

    fn key(&self) -> EnvKey {
        self.key.clone()
    }

    fn artifact(&self) -> (Digest, Option<String>) {
        (self.artifact, None)
    }

    fn program(&self) -> String {
        "/testapp".to_owned()
    }

    fn build(&self, directory: &Path) -> Artifact {
        Artifact::Build(build(directory))
    }
}

crate::contract_of_every_runtime!(open);
crate::contract_of_real_runtimes!(open);
