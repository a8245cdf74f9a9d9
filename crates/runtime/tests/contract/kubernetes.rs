//! The Kubernetes runtime keeps the contract, with the cluster that `DAYBOOK_KUBECONFIG` leads to. Images are built by
//! the daemon at `DAYBOOK_DOCKER_SOCKET` and put into the registry at `DAYBOOK_REGISTRY`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use daybook_kubernetes::{Config, KubernetesRuntime};
use daybook_model::Digest;
use daybook_model::name::EnvKey;
use daybook_model::spec::{Artifact, PullPolicy};
use daybook_model::target::ClusterTarget;
use daybook_runtime::Runtime;
use tokio::sync::OnceCell;

use crate::docker::{build, pack};
use crate::subject::{Subject, launch};

/// An environment of its own in the cluster that all tests share.
struct Cluster {
    state: tempfile::TempDir,
    runtime: Arc<KubernetesRuntime>,
    key: EnvKey,
    artifact: Digest,
}

async fn open() -> Cluster {
    let state = tempfile::tempdir().unwrap();
    let runtime = Arc::new(connect(state.path()).await);
    let key: EnvKey = format!("contract-{}/kubernetes", uuid::Uuid::now_v7().simple()).parse().unwrap();
    let artifact = image(&runtime).await;
    Cluster { state, runtime, key, artifact }
}

async fn connect(state: &Path) -> KubernetesRuntime {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("set {name} (scripts/cluster start)"));
    let config = Config {
        target: ClusterTarget {
            registry: Some(variable("DAYBOOK_REGISTRY")),
            reaches_pods: true,
            ..ClusterTarget::default()
        },
        kubeconfig: Some(variable("DAYBOOK_KUBECONFIG").into()),
        state: state.to_owned(),
        owner: None,
        builder: Some(crate::docker::connect(state).await),
    };
    KubernetesRuntime::connect(config).await.unwrap()
}

/// The image with the test program, built once.
async fn image(runtime: &KubernetesRuntime) -> Digest {
    static IMAGE: OnceCell<Digest> = OnceCell::const_new();
    let digest = IMAGE.get_or_init(|| async {
        let context = tempfile::tempdir().unwrap();
        pack(Path::new(env!("CARGO_BIN_EXE_daybook-testapp")), context.path());
        let key = "contract/kubernetes".parse().unwrap();
        let mut build = build(context.path());
        let digest = runtime.resolve(&key, &Artifact::Build(build.clone())).await.unwrap();
        build.digest = Some(digest);
        runtime.prepare(&key, &Artifact::Build(build), &|_| ()).await.unwrap();
        digest
    });
    *digest.await
}

#[async_trait]
impl Subject for Cluster {
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

/// An environment whose images a registry has is as it should be: otherwise each look at it would find something to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_runs_is_present_for_a_new_server_too() {
    let subject = open().await;
    let reference = format!("{}/busybox:1.35", std::env::var("DAYBOOK_REGISTRY").unwrap());
    let image = Artifact::image(reference.clone(), PullPolicy::default(), None);
    let digest = subject.runtime.resolve(&subject.key, &image).await.unwrap();
    let wanted = [digest].into();
    assert_eq!(subject.runtime.present(&subject.key, &wanted).await.unwrap(), wanted);
    assert!(subject.reopened().present(&subject.key, &wanted).await.unwrap().is_empty());

    let mut launch = launch(&subject, &[]);
    (launch.artifact, launch.image) = (digest, Some(reference));
    launch.container.command = Some(["sleep", "100"].map(str::to_owned).into());
    subject.runtime.start(&launch).await.unwrap();
    assert_eq!(subject.reopened().present(&subject.key, &wanted).await.unwrap(), wanted);
    subject.clean().await;
}
