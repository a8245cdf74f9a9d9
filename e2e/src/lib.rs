//! A world for one scenario: a Daybook of its own and the example shop.
//!
//! Everything here panics with what was said, for these are tests. The binary under test is `DAYBOOK`,
//! or the one beside the test's own program.

pub mod cluster;
pub mod disk;
pub mod documents;
pub mod notes;
pub mod receiver;
pub mod workspace;

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::disk::{FileSystem, SmallDisk};
use daybook_bench::compare::output;
use daybook_bench::daybook::Daybook;
use daybook_bench::load::{Options, Reply, Report, get, post};
use daybook_bench::shop;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The environment that scenarios use.
pub const KEY: &str = "shop/production";

/// How long a scenario waits for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// A Daybook of its own, a manifest, and nothing else.
pub struct World {
    /// The server, the edge, and the state directory.
    pub daybook: Daybook,
    /// Where the shop answers, where that is not the server's own edge.
    pub entrance: Option<SocketAddr>,
    /// The disk of the state directory, where it is one of its own.
    pub disk: Option<SmallDisk>,
    directory: TempDir,
    _alone: Option<File>,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Panics unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code {}, not {code}:\n{self}", self.code);
        self
    }

    /// Everything that it printed.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}):\n{self}"))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What went wrong first: long outputs are cut where tests are reported.
        let tells = |line: &&str| line.starts_with("error") || line.contains('✗');
        let wrong: Vec<&str> = self.err.lines().chain(self.out.lines()).filter(tells).collect();
        write!(f, "exit {} {}\n--- output\n{}--- error\n{}", self.code, wrong.join(" | "), self.out, self.err)
    }
}

impl World {
    /// A server on the `process` runtime, and the shop's manifest.
    pub async fn new() -> Self {
        Self::on("process").await
    }

    /// A server on a runtime, and the shop's manifest with short times.
    pub async fn on(runtime: &str) -> Self {
        Self::with(runtime, None).await
    }

    /// A server on the `process` runtime whose state directory is a disk of so many mebibytes.
    pub async fn on_a_small_disk(mebibytes: u64) -> Self {
        Self::with("process", Some((FileSystem::Ext4, mebibytes))).await
    }

    /// A server on the `process` runtime whose state directory is a disk of so many mebibytes, where files share blocks.
    pub async fn on_a_disk_that_shares(mebibytes: u64) -> Self {
        Self::with("process", Some((FileSystem::Btrfs, mebibytes))).await
    }

    /// A server on the `process` runtime that finds programs in `directory` first.
    pub async fn finding_programs_in(directory: &Path) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let variables = vec![("PATH", format!("{}:{path}", directory.display()))];
        Self::make("process", None, None, variables).await
    }

    /// A server on the `process` runtime that answers in `directory` as well, to the group that this belongs to.
    pub async fn sharing(directory: &Path) -> Self {
        Self::make("process", None, None, vec![("DAYBOOK_SHARE", directory.display().to_string())]).await
    }

    /// A server on the `process` runtime that answers as a Prometheus at an address, and takes in there what is sent.
    pub async fn answering_as_prometheus(address: SocketAddr) -> Self {
        Self::make("process", None, None, vec![("DAYBOOK_PROMETHEUS", address.to_string())]).await
    }

    /// A server on the `process` runtime whose channels may lead to this machine, and that takes in at an address what others
    /// tell of.
    pub async fn telling_this_machine(receive: SocketAddr) -> Self {
        let allowed = ("DAYBOOK_NOTIFY_ALLOW", "127.0.0.0/8,::1".to_owned());
        Self::make("process", None, None, vec![allowed, ("DAYBOOK_RECEIVE", receive.to_string())]).await
    }

    /// A server on the `process` runtime that takes in at an address what others tell of, over TLS.
    pub async fn receiving_over_tls(address: SocketAddr, cert: &Path, key: &Path) -> Self {
        let files = [("DAYBOOK_RECEIVE_CERT", cert), ("DAYBOOK_RECEIVE_KEY", key)];
        let files = files.map(|(name, file)| (name, file.display().to_string()));
        let variables = [("DAYBOOK_RECEIVE", address.to_string())].into_iter().chain(files).collect();
        Self::make("process", None, None, variables).await
    }

    async fn with(runtime: &str, disk: Option<(FileSystem, u64)>) -> Self {
        let alone = if runtime == "docker" { Some(alone().await) } else { None };
        Self::make(runtime, disk, alone, Vec::new()).await
    }

    async fn make(
        runtime: &str,
        disk: Option<(FileSystem, u64)>,
        alone: Option<File>,
        variables: Vec<(&'static str, String)>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("make a directory");
        let state = directory.path().join("state");
        std::fs::create_dir(&state).expect("make a directory");
        let image = directory.path().join("disk");
        let disk = disk.map(|disk| SmallDisk::mount(&image, &state, disk));
        let daybook = Daybook::start_with(&state, runtime, variables).await.unwrap_or_else(|error| panic!("{error:#}"));
        let world = Self { daybook, entrance: None, disk, directory, _alone: alone };
        world.write("daybook.yaml", &manifest());
        world
    }

    /// The scenario's directory; the state is `state` in it.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Writes a file of the scenario's directory.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("write a file of the scenario");
    }

    /// A command in the scenario's directory. Variables of the shop have their defaults.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.daybook.command(arguments);
        command.current_dir(self.path());
        for name in
            ["SHOP_VERSION", "SHOP_BUILD", "SHOP_FAULT", "SHOP_FAULT_AFTER", "SHOP_PROBATION", "COMPOSE_PROFILES"]
        {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[]).await
    }

    /// Runs a command with variables to its end.
    pub async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        let (code, out, err) = self.daybook.run(&mut command).await.expect("daybook runs and ends");
        Ended { code, out, err }
    }

    /// Runs a command that reads `input`.
    pub async fn run_reading(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("run daybook");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        stdin.write_all(input.as_bytes()).await.expect("write to daybook");
        drop(stdin);
        let output = child.wait_with_output().await.expect("daybook ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// `daybook up` with a build of the shop; every build is another configuration.
    pub async fn up(&self, build: u32, variables: &[(&str, &str)]) -> Ended {
        self.run_with(&["up", "--yes", "--no-input"], &[&[("SHOP_BUILD", &*build.to_string())], variables].concat())
            .await
    }

    /// One request to the shop, through the edge.
    pub async fn get(&self, path: &str) -> Result<Reply, String> {
        get(self.address(), shop::HOST, path).await
    }

    /// Where the shop answers.
    pub fn address(&self) -> SocketAddr {
        self.entrance.unwrap_or(self.daybook.http)
    }

    /// Places an order for one pen.
    pub async fn order(&self) -> Reply {
        let order = r#"{"items": [{"product": "pen", "quantity": 1}]}"#.to_owned();
        post(self.address(), shop::HOST, "/api/orders", order).await.expect("the shop takes an order")
    }

    /// How many orders the shop knows.
    pub async fn orders(&self) -> u64 {
        let reply = self.get("/api/orders").await.expect("the shop counts its orders");
        reply.json()["orders"].as_u64().unwrap_or_else(|| panic!("no count: {reply:?}"))
    }

    /// The build that answers now.
    pub async fn build(&self) -> String {
        let reply = self.get("/api/about").await.unwrap_or_else(|why| panic!("the shop does not answer: {why}"));
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()["build"].as_str().unwrap_or_default().to_owned()
    }

    /// That a build serves as one that nothing interrupted would, after a rollout in which a server ended after some
    /// steps: two replicas, and the release hook ran once.
    pub async fn expect_whole(&self, build: u32, steps: usize) {
        let history = self.run(&["history"]).await;
        assert_eq!(self.build().await, build.to_string(), "after {steps} steps: {history}");
        self.until("only two replicas are left", async |world| world.replicas("web").await.len() == 2).await;
        let lines = self.get("/api/migrations").await.expect("the shop answers").json();
        let of_build = format!(" build {build} ");
        let ran = lines.as_array().into_iter().flatten().filter(|line| line.to_string().contains(&of_build)).count();
        assert_eq!(ran, 1, "the release hook ran once: {lines}");
    }

    /// What `status` shows, as data.
    pub async fn status(&self) -> Value {
        self.run(&["status", "-o", "json"]).await.expect(0).json()
    }

    /// Replicas of a service by observation.
    pub async fn replicas(&self, service: &str) -> Vec<Value> {
        let status = self.status().await;
        let services = status["services"].as_array().cloned().unwrap_or_default();
        let found = services.into_iter().find(|known| known["name"] == service);
        let replicas = found.and_then(|service| service["replicas"].as_array().cloned()).unwrap_or_default();
        replicas.into_iter().filter(|replica| replica["role"] == "main" || replica["role"] == "").collect()
    }

    /// The run that is open, with its steps.
    pub async fn open_run(&self) -> Option<Value> {
        let status = self.daybook.get(&format!("/v1/environments/{KEY}/status")).await.ok()?;
        let run = status["open_run"].as_str()?;
        self.daybook.get(&format!("/v1/runs/{run}")).await.ok()
    }

    /// Waits until something holds; asks again at once.
    pub async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self).await {
            assert!(started.elapsed() < PATIENCE, "waited {} s in vain until {what}", PATIENCE.as_secs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the open run has carried out so many steps.
    pub async fn until_steps(&self, count: usize) {
        let done = async |world: &Self| {
            let run = world.open_run().await.unwrap_or_default();
            let steps = run["steps"].as_array().cloned().unwrap_or_default();
            steps.iter().filter(|step| step["state"] == "done").count() >= count
        };
        self.until(&format!("{count} steps are done"), done).await;
    }

    /// A load that a scenario can afford, of every class.
    pub fn load(&self) -> Options {
        let options = Options::new(self.address(), shop::HOST);
        Options {
            keepalive_rate: 40,
            connect_rate: 20,
            http2_rate: 20,
            uploads: 2,
            streams: 2,
            websockets: 2,
            ..options
        }
    }

    /// Panics if a load had failures, with what the edge logged about bad answers.
    #[track_caller]
    pub fn expect_no_failure(&self, report: &Report) {
        let log = std::fs::read_to_string(self.state().join("edge/access.log")).unwrap_or_default();
        let is_bad = |line: &&str| {
            let entry: Value = serde_json::from_str(line).unwrap_or_default();
            entry["status"].as_u64().is_none_or(|status| status == 0 || status >= 400)
        };
        let bad: Vec<&str> = log.lines().filter(is_bad).take(10).collect();
        assert_eq!(report.failed(), 0, "{report}\nthe edge logged:\n{}", bad.join("\n"));
    }

    /// Takes everything down; the scenario is over.
    pub async fn end(self) {
        self.daybook.end("shop").await.unwrap_or_else(|error| panic!("{error:#}"));
    }
}

/// Waits until no other scenario uses the Docker daemon: whoever serves on a daemon takes on everything there
/// that carries Daybook's labels. The lock is let go when the file is dropped.
async fn alone() -> File {
    let directory = std::env::var_os("DAYBOOK_TEST_DIR").map_or_else(|| "/tmp/daybook-test".into(), PathBuf::from);
    std::fs::create_dir_all(&directory).expect("make the directory of the tests");
    let path = directory.join("scenarios.lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::options().create(true).append(true).open(path).expect("open the lock of the scenarios");
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("lock the scenarios");
        file
    });
    let file = locked.await.expect("the lock is waited for");
    for app in ["shop", "lost"] {
        remove_leftovers(app).await;
    }
    file
}

/// Removes what a scenario that failed has left on the Docker daemon.
async fn remove_leftovers(app: &str) {
    let filter = format!("label=dev.daybook.app={app}");
    for (list, remove) in [
        (&["ps", "--all", "--quiet"][..], &["rm", "--force", "--volumes"][..]),
        (&["network", "ls", "--quiet"], &["network", "rm"]),
        (&["volume", "ls", "--quiet"], &["volume", "rm"]),
    ] {
        let found = output(Command::new("docker").args(list).args(["--filter", &filter])).await;
        let found = found.unwrap_or_else(|error| panic!("Docker does not answer: {error:#}"));
        if !found.trim().is_empty() {
            let removed = output(Command::new("docker").args(remove).args(found.split_whitespace())).await;
            removed.unwrap_or_else(|error| panic!("leftovers of {app}: {error:#}"));
        }
    }
}

/// The example's manifest with the context by its absolute path and times that a test can wait for.
pub fn manifest() -> String {
    let directory = shop::directory().unwrap_or_else(|error| panic!("{error:#}"));
    let text = std::fs::read_to_string(directory.join("daybook.yaml")).expect("the example has a manifest");
    let context = format!("build: {}", directory.display());
    let text = text.replace("build: .", &context);
    text.replace("${SHOP_PROBATION:-10s}", "${SHOP_PROBATION:-1s}").replace("${SHOP_DRAIN:-10s}\"", "5s\", ready: 8s")
}
