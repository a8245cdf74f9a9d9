//! A registry that asks who is there.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use daybook_model::Digest;
use daybook_model::spec::{Artifact, PullPolicy};
use daybook_runtime::{ErrorKind, Runtime};
use futures::TryStreamExt;

use crate::support::{BUSYBOX, World};

const USER: &str = "ada";
const PASSWORD: &str = "a-password-of-tests";
/// [`PASSWORD`], as htpasswd(1) keeps it.
const HASHED: &str = "$2y$05$abcdefghijklmnopqrstuueA.5djcjiTIZGfiZPkCs0FT7mnizswe";

/// Debian's `docker-registry` with a password, ended when this is dropped.
struct Registry {
    address: String,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Registry {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = free.to_string();
        std::fs::write(path.join("htpasswd"), format!("{USER}:{HASHED}\n")).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {0}/images}}}}\n\
             http: {{addr: \"{address}\"}}\nauth: {{htpasswd: {{realm: tests, path: {0}/htpasswd}}}}\n",
            path.display()
        );
        std::fs::write(path.join("config.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path.join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("apt-get install docker-registry");
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the registry does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { address, process, _directory: directory }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As `docker login` leaves it.
fn log_in(world: &World, registry: &str, password: &str) {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
    let config = serde_json::json!({"auths": {registry: {"auth": auth}}});
    let directory = world.state.path().join("logins");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
}

impl World {
    async fn push_with_password(&self, repository: &str, tag: &str) {
        let named = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.docker.tag_image(BUSYBOX, Some(named)).await.unwrap();
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let login = DockerCredentials {
            username: Some(USER.into()),
            password: Some(PASSWORD.into()),
            ..DockerCredentials::default()
        };
        self.docker.push_image(repository, Some(options), Some(login)).try_collect::<Vec<_>>().await.unwrap();
        self.untag(&format!("{repository}:{tag}")).await;
    }

    async fn untag(&self, name: &str) {
        let options = RemoveImageOptionsBuilder::default().noprune(true).build();
        let _ = self.docker.remove_image(name, Some(options), None).await;
    }

    async fn resolve_and_pull(&self, reference: &str) -> daybook_runtime::Result<Digest> {
        let artifact = |digest| Artifact::image(reference.into(), PullPolicy::Missing, digest);
        let digest = self.runtime.resolve(&self.key, &artifact(None)).await?;
        self.runtime.prepare(&self.key, &artifact(Some(digest)), &|line| assert!(!line.contains(PASSWORD))).await?;
        Ok(digest)
    }
}

#[tokio::test]
async fn r31_a_login_is_used_for_questions_and_pulls_and_never_told() {
    let (world, registry) = (World::new("logins").await, Registry::start().await);
    let repository = format!("{}/daybook-test/private", registry.address);
    let reference = format!("{repository}:1");
    world.push_with_password(&repository, "1").await;

    let nobody = world.resolve_and_pull(&reference).await.unwrap_err();
    assert_eq!(nobody.kind, ErrorKind::NotFound, "{nobody}");
    let login = format!("`docker login {}`", registry.address);
    assert!(nobody.hint.as_ref().unwrap().contains(&login), "{nobody:?}");

    log_in(&world, &registry.address, "wrong-password");
    let wrong = world.resolve_and_pull(&reference).await.unwrap_err();
    assert!(wrong.hint.as_ref().unwrap().contains("is not accepted"), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong-password"));

    log_in(&world, &registry.address, PASSWORD);
    let digest = world.resolve_and_pull(&reference).await.unwrap();
    assert_eq!(world.runtime.present(&world.key, &[digest].into()).await.unwrap().len(), 1);
    world.untag(&reference).await;
    world.untag(&format!("{repository}@{digest}")).await;
}
