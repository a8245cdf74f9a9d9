//! A runtime as the suite sees it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::{OutsideNames, Role};
use daybook_model::name::EnvKey;
use daybook_model::spec::{Artifact, Check, CheckTest, Container, Port, Protocol, Restart, Stop};
use daybook_model::{Digest, Launch, ReleaseNumber, ReplicaId, RunId, SeenReplica};
use daybook_runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A runtime that is tested, with a world of its own for each test.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// The runtime.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// A second one over the same world: another server, or the same one started anew.
    fn reopened(&self) -> Arc<dyn Runtime>;

    /// An environment that no other test uses.
    fn key(&self) -> EnvKey;

    /// The test program as an artifact that is here already, and the name of its image if it is one.
    fn artifact(&self) -> (Digest, Option<String>);

    /// How a replica calls the test program.
    fn program(&self) -> String;

    /// A build whose result holds the files of `directory`.
    fn build(&self, directory: &Path) -> Artifact;

    /// Leaves nothing behind.
    async fn clean(&self) {
        let (runtime, key) = (self.runtime(), self.key());
        let now = Stop { signal: "SIGKILL".to_owned(), grace_ms: 0 };
        let seen = runtime.observe(&key).await.unwrap();
        for replica in seen.replicas {
            runtime.stop(&key, &replica.id, replica.role, &now).await.unwrap();
            runtime.remove(&key, &replica.id, replica.role).await.unwrap();
        }
        for volume in seen.volumes {
            runtime.remove_volume(&key, &volume).await.unwrap();
        }
        for network in seen.networks {
            runtime.remove_network(&key, &network).await.unwrap();
        }
        runtime.release(&key).await.unwrap();
    }
}

/// The replica `web.1`, which runs the test program with these arguments.
pub(crate) fn launch(subject: &dyn Subject, arguments: &[&str]) -> Launch {
    let (artifact, image) = subject.artifact();
    let mut command = vec![subject.program()];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    Launch {
        key: subject.key(),
        id: replica(1),
        role: Role::Main,
        release: ReleaseNumber(7),
        run: RunId("018f0000-0000-7000-8000-000000000001".parse().unwrap()),
        fingerprint: fingerprint(&arguments.join(" ")),
        artifact,
        image,
        server: None,
        container: Container { command: Some(command), ..Container::default() },
        environment: vec![("PORT".to_owned(), "8080".to_owned())],
        files: Vec::new(),
        hosts: Vec::new(),
        ports: vec![Port { container: 8080, protocol: Protocol::Http, publish: None }],
        check: check(CheckTest::Http { path: "/healthz".to_owned(), port: 8080 }),
        restart: Restart::No,
        stop: Stop::default(),
        outside: OutsideNames::default(),
    }
}

/// `web.ordinal`.
pub(crate) fn replica(ordinal: u64) -> ReplicaId {
    ReplicaId::new("web".parse().unwrap(), ordinal)
}

/// A fingerprint of some configuration.
pub(crate) fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint(Digest::of(text.as_bytes()))
}

/// A check with short times.
pub(crate) fn check(test: CheckTest) -> Check {
    Check { test, interval_ms: 100, timeout_ms: 10_000, retries: 3, start_period_ms: 0, start_interval_ms: 100 }
}

/// The replica of this name, if it is there.
pub(crate) async fn seen(runtime: &dyn Runtime, key: &EnvKey, id: &ReplicaId, role: Role) -> Option<SeenReplica> {
    let seen = runtime.observe(key).await.unwrap();
    seen.replicas.into_iter().find(|replica| &replica.id == id && replica.role == role)
}

/// The replica once it is as `wanted` says. Panics with what it is instead when that takes too long.
pub(crate) async fn seen_when(
    subject: &dyn Subject,
    launch: &Launch,
    wanted: impl Fn(&SeenReplica) -> bool,
) -> SeenReplica {
    let runtime = subject.runtime();
    eventually(async || {
        let seen = seen(&*runtime, &launch.key, &launch.id, launch.role).await;
        match seen {
            Some(seen) if wanted(&seen) => Ok(seen),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// The replica once it runs.
pub(crate) async fn when_running(subject: &dyn Subject, launch: &Launch) -> SeenReplica {
    seen_when(subject, launch, SeenReplica::is_running).await
}

/// What `attempt` comes to, tried again and again for as long as it is an error. The bound only ends
/// a test that has failed.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(attempt: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match attempt().await {
            Ok(result) => return result,
            Err(why) if Instant::now() > deadline => panic!("it never came: {why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Where a replica's port is reached.
pub(crate) fn address(seen: &SeenReplica, port: u16) -> SocketAddr {
    SocketAddr::new(seen.address.expect("a running replica has an address"), seen.port(port))
}

/// The body of `GET target`, once the replica answers at all.
pub(crate) async fn get(seen: &SeenReplica, target: &str) -> String {
    let address = address(seen, 8080);
    eventually(async || try_get(address, target).await.map_err(|error| error.to_string())).await
}

async fn try_get(address: SocketAddr, target: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let end = std::io::ErrorKind::UnexpectedEof;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or_else(|| end.into())
}
