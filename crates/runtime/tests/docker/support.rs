//! An environment for one test, and launches in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::{API_DEFAULT_VERSION, Docker};
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::{OutsideNames, Role};
use daybook_model::name::EnvKey;
use daybook_model::spec::{
    Artifact, Attachment, Check, CheckTest, Container, Network, Port, Protocol, PullPolicy, Restart, Stop,
};
use daybook_model::{Digest, Launch, ReleaseNumber, RunId, SeenReplica};
use daybook_runtime::docker::{Config, DockerRuntime};
use daybook_runtime::{Answer, ExecRequest, LogQuery, Runtime};
use futures::{StreamExt, TryStreamExt};

/// The image with the test application (`scripts/images/app`).
pub(crate) const APP: &str = "daybook-test/app:1";
/// The image with a shell.
pub(crate) const BUSYBOX: &str = "busybox:1.35";

/// The daemon that the tests use.
pub(crate) fn socket() -> PathBuf {
    let socket = std::env::var("DAYBOOK_DOCKER_SOCKET");
    socket.expect("set DAYBOOK_DOCKER_SOCKET to the socket of a Docker Engine (scripts/dockerd start)").into()
}

/// Where `scripts/` keeps its things.
pub(crate) fn test_directory() -> PathBuf {
    socket().parent().unwrap().to_owned()
}

/// A client of a daemon that goes round the runtime.
pub(crate) fn engine(socket: &Path) -> Docker {
    Docker::connect_with_unix(socket.to_str().unwrap(), 60, API_DEFAULT_VERSION).unwrap()
}

/// An environment that nothing is in.
pub(crate) struct World {
    pub(crate) key: EnvKey,
    pub(crate) runtime: DockerRuntime,
    pub(crate) docker: Docker,
    pub(crate) state: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(app: &str) -> Self {
        Self::at(&socket(), app).await
    }

    pub(crate) async fn at(socket: &Path, app: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        // Logins of the state directory's own: a test writes them there if it has any.
        let logins = Some(state.path().join("logins"));
        let config = Config { socket: Some(socket.to_owned()), state: state.path().to_owned(), logins };
        let runtime = DockerRuntime::connect(config).await.unwrap();
        let docker = engine(socket).negotiate_version().await.unwrap();
        let world = Self { key: format!("docker-{app}/test").parse().unwrap(), runtime, docker, state };
        world.clear().await;
        world
    }

    /// Removes everything of the environment: what an earlier, failed test left, and what this one made.
    pub(crate) async fn clear(&self) {
        let seen = self.runtime.observe(&self.key).await.unwrap();
        for replica in seen.replicas {
            let stop = Stop { signal: "SIGKILL".into(), grace_ms: 0 };
            self.runtime.stop(&self.key, &replica.id, replica.role, &stop).await.unwrap();
            self.runtime.remove(&self.key, &replica.id, replica.role).await.unwrap();
        }
        for volume in seen.volumes {
            self.runtime.remove_volume(&self.key, &volume).await.unwrap();
        }
        for network in seen.networks {
            self.runtime.remove_network(&self.key, &network).await.unwrap();
        }
        self.runtime.release(&self.key).await.unwrap();
    }

    pub(crate) async fn network(&self, name: &str) {
        self.runtime.create_network(&self.key, &name.parse().unwrap(), &Network::default()).await.unwrap();
    }

    /// A launch of a local image, with a command for images that have a shell.
    pub(crate) async fn launch(&self, id: &str, image: &str, command: &[&str]) -> Launch {
        let artifact = Artifact::image(image.into(), PullPolicy::Missing, None);
        let artifact = self.runtime.resolve(&self.key, &artifact).await.unwrap();
        let command = (!command.is_empty()).then(|| command.iter().map(ToString::to_string).collect());
        Launch {
            key: self.key.clone(),
            id: id.parse().unwrap(),
            role: Role::Main,
            release: ReleaseNumber(1),
            run: RunId(uuid::Uuid::now_v7()),
            fingerprint: Fingerprint(Digest::of(id.as_bytes())),
            artifact,
            image: Some(image.into()),
            server: None,
            container: Container { command, ..Default::default() },
            environment: Vec::new(),
            files: Vec::new(),
            hosts: Vec::new(),
            ports: Vec::new(),
            check: check(CheckTest::Running),
            restart: Restart::No,
            stop: Stop { signal: "SIGTERM".into(), grace_ms: 2_000 },
            outside: OutsideNames::default(),
        }
    }

    /// A launch of the test application.
    pub(crate) async fn app(&self, id: &str) -> Launch {
        let mut launch = self.launch(id, APP, &[]).await;
        launch.ports = vec![Port { container: 8080, protocol: Protocol::Http, publish: None }];
        launch.check = check(CheckTest::Http { path: "/".into(), port: 8080 });
        launch
    }

    pub(crate) async fn replica(&self, id: &str) -> SeenReplica {
        let seen = self.runtime.observe(&self.key).await.unwrap();
        seen.replicas.into_iter().find(|replica| replica.id.to_string() == id).expect("the replica is there")
    }

    /// Asks until the replica is as wanted.
    pub(crate) async fn until(&self, id: &str, wanted: impl Fn(&SeenReplica) -> bool) -> SeenReplica {
        let begun = Instant::now();
        loop {
            let replica = self.replica(id).await;
            if wanted(&replica) {
                return replica;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "never as wanted: {replica:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks until the check is answered well.
    pub(crate) async fn ready(&self, id: &str, check: &Check) -> SeenReplica {
        let begun = Instant::now();
        loop {
            let replica = self.replica(id).await;
            let answer = self.runtime.probe(&self.key, &replica, check).await.unwrap();
            if matches!(answer, Answer::Good(_)) {
                return replica;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "never ready: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a command inside and takes what it prints and its code.
    pub(crate) async fn run(&self, id: &str, argv: &[&str]) -> (String, i32) {
        let argv = argv.iter().map(ToString::to_string).collect();
        let request = ExecRequest { argv, tty: None, user: None, working_dir: None };
        let exec = self.runtime.exec(&self.key, &id.parse().unwrap(), &request).await.unwrap();
        drop(exec.input);
        let pieces: Vec<_> = exec.output.try_collect().await.unwrap();
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        (String::from_utf8(bytes).unwrap(), exec.code.await.unwrap())
    }

    /// Waits until a replica has ended, and takes its log.
    pub(crate) async fn log_to_the_end(&self, id: &str) -> String {
        let query = LogQuery { follow: true, ..Default::default() };
        let lines = self.runtime.logs(&self.key, &id.parse().unwrap(), Role::Main, &query).await.unwrap();
        lines.map(|line| line.unwrap().text + "\n").collect().await
    }

    /// What the daemon says about a replica's container, whole.
    pub(crate) async fn inspect(&self, id: &str) -> serde_json::Value {
        let name = format!("{}-{}-{}", self.key.app, self.key.env, id.replace('.', "-"));
        serde_json::to_value(self.docker.inspect_container(&name, None).await.unwrap()).unwrap()
    }
}

/// A check with bounds that suit tests.
pub(crate) fn check(test: CheckTest) -> Check {
    Check { test, interval_ms: 1_000, timeout_ms: 2_000, retries: 1, start_period_ms: 0, start_interval_ms: 100 }
}

/// The network `default`, without further names.
pub(crate) fn on_default<M: FromIterator<(daybook_model::NetworkName, Attachment)>>() -> M {
    std::iter::once(("default".parse().unwrap(), Attachment::default())).collect()
}
