//! Which image a reference means, before and after it is here.

use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder,
    TagImageOptionsBuilder,
};
use daybook_model::Digest;
use daybook_model::spec::{Artifact, PullPolicy};
use daybook_runtime::{ErrorKind, Runtime};
use futures::TryStreamExt;

use crate::support::{BUSYBOX, World};

fn registry() -> String {
    std::env::var("DAYBOOK_TEST_REGISTRY").unwrap_or_else(|_| "127.0.0.1:5055".to_owned())
}

fn image(reference: &str, pull: PullPolicy) -> Artifact {
    Artifact::image(reference.into(), pull, None)
}

impl World {
    async fn resolve(&self, reference: &str, pull: PullPolicy) -> daybook_runtime::Result<Digest> {
        self.runtime.resolve(&self.key, &image(reference, pull)).await
    }

    async fn tag(&self, from: &str, repository: &str, tag: &str) {
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.docker.tag_image(from, Some(options)).await.unwrap();
    }

    async fn push(&self, repository: &str, tag: &str) {
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        // The API wants credentials even where there are none.
        let nobody = bollard::auth::DockerCredentials::default();
        self.docker.push_image(repository, Some(options), Some(nobody)).try_collect::<Vec<_>>().await.unwrap();
    }

    /// Forgets an image; not there is fine.
    async fn forget(&self, name: &str) {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        let _ = self.docker.remove_image(name, Some(options), None).await;
    }

    /// An image that nobody has ever had, under a tag of the registry, and nowhere else.
    async fn new_image(&self, repository: &str, tag: &str) {
        let body = bollard::models::ContainerCreateBody {
            image: Some(BUSYBOX.into()),
            cmd: Some(vec!["true".into()]),
            env: Some(vec![format!("NONCE={}", uuid::Uuid::now_v7())]),
            ..Default::default()
        };
        let name = format!("daybook-test-commit-{}", uuid::Uuid::now_v7());
        let named = CreateContainerOptionsBuilder::default().name(&name).build();
        self.docker.create_container(Some(named), body).await.unwrap();
        let commit = CommitContainerOptionsBuilder::default().container(&name).repo(repository).tag(tag).build();
        self.docker.commit_container(commit, bollard::models::ContainerConfig::default()).await.unwrap();
        self.docker.remove_container(&name, None::<bollard::query_parameters::RemoveContainerOptions>).await.unwrap();
        self.push(repository, tag).await;
    }
}

#[tokio::test]
async fn a_digest_is_the_same_before_and_after_the_pull_and_a_moved_tag_is_seen_when_asked_for() {
    let world = World::new("registry").await;
    let repository = format!("{}/daybook-test/moving-{}", registry(), uuid::Uuid::now_v7());
    let reference = format!("{repository}:v1");
    world.new_image(&repository, "v1").await;
    world.forget(&reference).await;

    let before = world.resolve(&reference, PullPolicy::Missing).await.unwrap();
    assert!(world.runtime.present(&world.key, &[before].into()).await.unwrap().is_empty());
    let resolved = Artifact::image(reference.clone(), PullPolicy::Missing, Some(before));
    world.runtime.prepare(&world.key, &resolved, &|_| {}).await.unwrap();
    world.runtime.prepare(&world.key, &resolved, &|line| panic!("there is nothing to do: {line}")).await.unwrap();
    assert_eq!(world.runtime.present(&world.key, &[before].into()).await.unwrap().len(), 1);
    for pull in [PullPolicy::Missing, PullPolicy::Always, PullPolicy::Never] {
        assert_eq!(world.resolve(&reference, pull).await.unwrap(), before, "{pull:?}");
    }

    // Somebody else moves the tag.
    world.tag(&format!("{repository}@{before}"), &repository, "kept").await;
    world.new_image(&repository, "v1").await;
    world.forget(&reference).await;
    world.tag(&format!("{repository}@{before}"), &repository, "v1").await;
    let moved = world.resolve(&reference, PullPolicy::Always).await.unwrap();
    assert_ne!(moved, before);
    assert_eq!(world.resolve(&reference, PullPolicy::Missing).await.unwrap(), before);

    // A replica of the first release still starts from what it was.
    let mut launch = world.launch("web.1", BUSYBOX, &["sh", "-c", "echo $NONCE"]).await;
    (launch.artifact, launch.image) = (before, Some(reference.clone()));
    world.runtime.start(&launch).await.unwrap();
    assert_eq!(world.inspect("web.1").await["Config"]["Image"], format!("{repository}@{before}"));

    let resolved = Artifact::image(reference.clone(), PullPolicy::Always, Some(moved));
    world.runtime.prepare(&world.key, &resolved, &|_| {}).await.unwrap();
    assert_eq!(world.resolve(&reference, PullPolicy::Missing).await.unwrap(), moved);
    world.clear().await;
    for name in [reference, format!("{repository}:kept")] {
        world.forget(&name).await;
    }
}

#[tokio::test]
async fn without_its_registry_an_image_that_is_here_is_used() {
    let world = World::new("registry-down").await;
    let reference = "127.0.0.1:1/daybook-test/local:1";
    world.tag(BUSYBOX, "127.0.0.1:1/daybook-test/local", "1").await;
    let local = world.resolve(reference, PullPolicy::Missing).await.unwrap();
    assert_eq!(world.resolve(reference, PullPolicy::Always).await.unwrap(), local);
    world.forget(reference).await;
    let error = world.resolve(reference, PullPolicy::Missing).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn an_image_that_nobody_has_is_not_found() {
    let world = World::new("no-image").await;
    for (reference, pull) in [
        (format!("{}/daybook-test/app:no-such-tag", registry()), PullPolicy::Missing),
        (format!("{}/no/such/repository:1", registry()), PullPolicy::Always),
        ("daybook-test/no-such-image:1".to_owned(), PullPolicy::Never),
    ] {
        let error = world.resolve(&reference, pull).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(error.hint.is_some());
    }
    assert_eq!(world.resolve("not an image", PullPolicy::Never).await.unwrap_err().kind, ErrorKind::Refused);
}
