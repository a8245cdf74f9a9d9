//! The daemon is killed while replicas run. It is a daemon of its own, so that other tests go on.

use std::path::{Path, PathBuf};
use std::process::Command;

use bollard::query_parameters::ImportImageOptions;
use daybook_model::observed::ReplicaState;
use daybook_runtime::Runtime;
use futures::StreamExt;

use crate::support::{APP, World, engine, socket};

/// A Docker Engine beneath a directory, ended when this is dropped.
struct Daemon {
    directory: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let daemon = Self { directory: tempfile::tempdir().unwrap() };
        let options = daemon.directory.path().join("docker/options");
        std::fs::create_dir_all(options.parent().unwrap()).unwrap();
        // Two daemons must not share bridges and packet filters. (With `--bridge=none` a daemon would
        // even remove the other's `docker0`.)
        ip(&["link", "add", BRIDGE, "type", "bridge"]);
        ip(&["address", "replace", "10.231.78.1/24", "dev", BRIDGE]);
        std::fs::write(options, format!("--bridge={BRIDGE} --iptables=false --ip6tables=false")).unwrap();
        daemon.script("start");
        daemon
    }

    fn script(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/dockerd");
        let done = Command::new(script).arg(verb).env("DAYBOOK_TEST_DIR", self.directory.path()).status().unwrap();
        assert!(done.success(), "scripts/dockerd {verb}");
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn kill(&self) {
        let id = std::fs::read_to_string(self.directory.path().join("docker/dockerd.pid")).unwrap();
        let id = rustix::process::Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.script("stop");
        ip(&["link", "del", BRIDGE]);
        // A killed daemon leaves these mounted, and what is mounted cannot be removed.
        for left in ["docker/data", "docker/exec/netns/default"] {
            Command::new("/usr/bin/umount").arg("-l").arg(self.directory.path().join(left)).status().unwrap();
        }
    }
}

const BRIDGE: &str = "daybook-crash0";

/// A bridge that an earlier, failed test left is as good as a new one.
fn ip(args: &[&str]) {
    Command::new("/usr/sbin/ip").args(args).status().unwrap();
}

#[tokio::test]
async fn r02_replicas_outlive_a_killed_daemon() {
    let daemon = Daemon::start();
    let image: Vec<_> = engine(&socket()).export_image(APP).map(Result::unwrap).collect().await;
    let image = bollard::body_full(image.concat().into());
    let own = engine(&daemon.socket());
    own.import_image(ImportImageOptions::default(), image, None).map(Result::unwrap).collect::<Vec<_>>().await;

    let world = World::at(&daemon.socket(), "crash").await;
    let mut launch = world.app("web.1").await;
    launch.container.options.network_mode = Some("host".into());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    launch.environment = vec![("PORT".into(), port.to_string())];
    world.runtime.start(&launch).await.unwrap();
    let check = crate::support::check(daybook_model::spec::CheckTest::Http { path: "/".into(), port });
    let before = world.ready("web.1", &check).await;

    daemon.kill();
    let error = world.runtime.observe(&world.key).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let place = (before.address.unwrap(), port);
    tokio::net::TcpStream::connect(place).await.expect("the replica serves on without the daemon");

    daemon.script("start");
    let after = world.replica("web.1").await;
    assert_eq!((after.state, after.started_at, after.restarts), (ReplicaState::Running, before.started_at, 0));
    world.runtime.start(&launch).await.unwrap();
    world.ready("web.1", &check).await;
    world.runtime.stop(&world.key, &launch.id, launch.role, &launch.stop).await.unwrap();
    assert_eq!(world.replica("web.1").await.state, ReplicaState::Exited);
    world.clear().await;
}
