//! Images built from Dockerfiles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use daybook_model::spec::{Artifact, Build};
use daybook_runtime::{ErrorKind, Runtime};

use crate::support::{World, test_directory};

fn build(context: &Path) -> Build {
    Build {
        context: context.display().to_string(),
        dockerfile: None,
        dockerfile_inline: None,
        target: None,
        args: BTreeMap::new(),
        labels: BTreeMap::new(),
        tag: None,
        digest: None,
    }
}

/// Prepares, and takes the lines of progress.
async fn prepare(world: &World, build: &Build) -> (daybook_runtime::Result<()>, Vec<String>) {
    let lines = Mutex::new(Vec::new());
    let result = {
        let progress = |line: &str| lines.lock().unwrap().push(line.to_owned());
        world.runtime.prepare(&world.key, &Artifact::Build(build.clone()), &progress).await
    };
    (result, lines.into_inner().unwrap())
}

#[tokio::test]
async fn a_build_makes_what_runs_and_is_not_made_twice() {
    let world = World::new("build").await;
    let context = tempfile::tempdir().unwrap();
    fs::copy(test_directory().join("images/app/app"), context.path().join("app")).unwrap();
    fs::write(context.path().join(".dockerignore"), "secret").unwrap();
    fs::write(context.path().join("secret"), "not for the image").unwrap();
    let nonce = uuid::Uuid::now_v7().to_string();
    let text = "FROM scratch AS base\nCOPY app /app\nENTRYPOINT [\"/app\"]\nARG GREETING\nENV MESSAGE=$GREETING\n\
                FROM base AS whole\nCOPY . /context/\nFROM base AS other\nENV MESSAGE=wrong\n";
    fs::write(context.path().join("Dockerfile"), text).unwrap();
    let mut build = build(context.path());
    build.target = Some("whole".into());
    build.args = [("GREETING".to_owned(), nonce.clone())].into();

    let digest = world.runtime.resolve(&world.key, &Artifact::Build(build.clone())).await.unwrap();
    build.digest = Some(digest);
    let wanted = [digest].into();
    assert!(world.runtime.present(&world.key, &wanted).await.unwrap().is_empty());
    let (result, lines) = prepare(&world, &build).await;
    result.unwrap();
    assert!(lines.iter().any(|line| line.starts_with("Step 1/")), "{lines:?}");
    assert_eq!(world.runtime.present(&world.key, &wanted).await.unwrap(), wanted);
    assert_eq!(prepare(&world, &build).await.1, Vec::<String>::new());

    let mut launch = world.app("web.1").await;
    (launch.artifact, launch.image) = (digest, None);
    world.runtime.start(&launch).await.unwrap();
    let replica = world.ready("web.1", &launch.check).await;
    let body = get(&replica, "/").await;
    assert!(body.ends_with(&nonce), "{body}");
    assert!(get(&replica, "/file/context/Dockerfile").await.contains("FROM scratch"));
    assert!(get(&replica, "/file/context/secret").await.starts_with("HTTP/1.1 404"));
    world.clear().await;
    let built = format!("daybook/docker-build-test:{}", digest.short());
    world.docker.remove_image(&built, None::<bollard::query_parameters::RemoveImageOptions>, None).await.unwrap();
}

#[tokio::test]
async fn a_failed_build_shows_its_last_lines() {
    let world = World::new("build-fails").await;
    let context = tempfile::tempdir().unwrap();
    let mut build = build(context.path());
    build.dockerfile_inline = Some("FROM busybox:1.35\nRUN echo the reason; exit 3\n".into());
    let (result, lines) = prepare(&world, &build).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BuildFailed);
    assert!(error.message.contains("the reason") && error.message.contains("non-zero code: 3"), "{error}");
    assert!(lines.iter().any(|line| line == "the reason"), "{lines:?}");

    build.dockerfile_inline = Some("NONSENSE\n".into());
    let error = prepare(&world, &build).await.0.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BuildFailed, "{error}");
    assert!(error.message.contains("NONSENSE"), "{error}");
}

#[tokio::test]
async fn files_that_changed_since_the_plan_are_not_built() {
    let world = World::new("build-changed").await;
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    let mut build = build(context.path());
    build.digest = Some(world.runtime.resolve(&world.key, &Artifact::Build(build.clone())).await.unwrap());
    fs::write(context.path().join("new"), "new").unwrap();
    assert_eq!(prepare(&world, &build).await.0.unwrap_err().kind, ErrorKind::Conflict);
}

/// The whole response to a request.
async fn get(replica: &daybook_model::SeenReplica, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = (replica.address.unwrap(), replica.port(8080));
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_static_site_is_a_snapshot_and_no_image() {
    let world = World::new("site").await;
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("index.html"), uuid::Uuid::now_v7().to_string()).unwrap();
    let mut artifact = Artifact::Static { root: site.path().display().to_string(), digest: None };
    let digest = world.runtime.resolve(&world.key, &artifact).await.unwrap();
    let wanted = [digest].into();
    assert!(world.runtime.present(&world.key, &wanted).await.unwrap().is_empty());

    let Artifact::Static { digest: known, .. } = &mut artifact else { unreachable!() };
    *known = Some(digest);
    world.runtime.prepare(&world.key, &artifact, &|_| {}).await.unwrap();
    assert_eq!(world.runtime.present(&world.key, &wanted).await.unwrap(), wanted);

    fs::write(site.path().join("index.html"), "changed meanwhile").unwrap();
    let Artifact::Static { digest: known, .. } = &mut artifact else { unreachable!() };
    *known = Some(daybook_model::Digest::of(b"what it was"));
    let error = world.runtime.prepare(&world.key, &artifact, &|_| {}).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
}
