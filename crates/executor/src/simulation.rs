//! Whole runs in a simulated world, crashed at any journal write.
//!
//! A [`Scenario`] deploys a system, changes it, and compares what is there in the end with what an
//! uninterrupted run leaves. `tests/crash.rs` and `make bench-crash` enumerate its crash points.

mod databases;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daybook_model::database::{Engine, Keeper, Kept, MigrationSource, Migrations};
use daybook_model::spec::{
    Artifact, Chart, Check, CheckTest, Domain, Mount, MountSource, Port, Protocol, PullPolicy, Scale, SecretRef, Tls,
};
use daybook_model::{Actor, Database, Digest, EnvKey, ReleaseNumber, RunId, RunKind, Service, Spec, Verdict};
use daybook_runtime::Side;
use daybook_runtime::simulated::{Behaviour, Simulated};
use daybook_store::memory::{MemoryJournal, When};
use daybook_store::{Error as StoreError, Journal, Query};
use tokio_util::sync::CancellationToken;

pub use databases::SimulatedDatabases;

use crate::{Ending, Error, Executor, Parts, Result, RunStart, SecretValues};

/// A simulated world with its journal.
pub struct Simulation {
    /// What runs.
    pub world: Simulated,
    /// What was recorded.
    pub journal: MemoryJournal,
    /// What its databases hold.
    pub databases: SimulatedDatabases,
    runs: u128,
}

/// Knows no secret.
struct NoSecrets;

#[async_trait]
impl SecretValues for NoSecrets {
    async fn secret(&self, _key: &EnvKey, secret: &SecretRef) -> std::result::Result<Vec<u8>, String> {
        Ok(format!("value of {}", secret.name).into_bytes())
    }

    async fn redactor(&self, _key: &EnvKey) -> std::result::Result<Arc<daybook_decide::redact::Redactor>, String> {
        Ok(Arc::default())
    }
}

impl Simulation {
    /// An empty world. Must be made on a tokio runtime whose clock is paused.
    pub fn new(seed: u64, fault_percent: u64) -> Self {
        let world = Simulated::new(seed).with_faults(fault_percent);
        let clock = world.clone();
        let journal = MemoryJournal::with_clock(move || clock.now());
        Self { world, journal, databases: SimulatedDatabases::default(), runs: 0 }
    }

    /// The executor of a server that has just started.
    pub fn server(&self) -> Executor {
        Executor::new(Parts {
            ledger: Arc::new(self.journal.clone()),
            runtime: Arc::new(self.world.clone()),
            router: Arc::new(self.world.clone()),
            places: Arc::new(Side { runtime: Arc::new(self.world.clone()), router: Arc::new(self.world.clone()) }),
            secrets: Arc::new(NoSecrets),
            databases: Arc::new(self.databases.clone()),
            clock: self.world.clock(),
            artifacts: PathBuf::from("/artifacts"),
            pages: PathBuf::from("/status-pages"),
        })
    }

    /// Begins a run toward `spec`. A crash at this very write begins it again.
    pub async fn begin(&mut self, purpose: RunKind, spec: Spec) -> Result<(EnvKey, RunId)> {
        self.runs += 1;
        let run = RunId(uuid::Uuid::from_u128(self.runs));
        let key = spec.key.clone();
        let start = RunStart {
            run,
            purpose,
            reason: "simulated".to_owned(),
            actor: Actor::daybook("simulation"),
            from: self.journal.current_release(&key).map(|release| release.number),
            to: self.next_number(&key, purpose),
            manifest: None,
            expected: None,
            remove_volumes: BTreeSet::new(),
            spec: self.server().resolve(spec, Duration::from_secs(60)).await.spec,
        };
        match self.server().start(start.clone()).await {
            Err(Error::Journal(StoreError::Unavailable { .. })) => {
                self.journal.revive();
                let began = Query { run: Some(run), ..Query::default() };
                if self.journal.read(&began).await?.is_empty() {
                    self.server().start(start).await?;
                }
            }
            Err(Error::Journal(StoreError::Deposed { .. })) => {
                self.journal.lead();
                self.server().start(start).await?;
            }
            other => other?,
        }
        Ok((key, run))
    }

    fn next_number(&self, key: &EnvKey, purpose: RunKind) -> ReleaseNumber {
        match (purpose, self.journal.current_release(key)) {
            (RunKind::Heal, Some(release)) => release.number,
            _ => self.journal.next_release_number(key),
        }
    }

    /// Drives a run to its end; each crash is followed by a new server that goes on. One that is deposed is asked to
    /// go on beside the next, and must not.
    pub async fn until_over(&mut self, key: &EnvKey, run: RunId) -> Result<Verdict> {
        loop {
            let server = self.server();
            match server.drive(key, run, CancellationToken::new()).await {
                Err(Error::Journal(StoreError::Deposed { .. })) => {
                    self.journal.lead();
                    let before = (self.journal.len(), self.world.picture());
                    let again = server.drive(key, run, CancellationToken::new()).await;
                    let refused = matches!(again, Err(Error::Journal(StoreError::Deposed { .. })));
                    assert!(refused, "a deposed server went on: {again:?}");
                    assert_eq!(before, (self.journal.len(), self.world.picture()), "a deposed server acted");
                }
                Ok(Ending::Over(verdict)) => return Ok(verdict),
                Ok(Ending::Parked) => unreachable!("nobody interrupts"),
                Err(Error::Journal(StoreError::Unavailable { .. })) if self.journal.has_crashed() => {
                    self.journal.revive();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Carries `spec` out, from beginning to end.
    pub async fn run(&mut self, purpose: RunKind, spec: Spec) -> Result<Verdict> {
        let (key, run) = self.begin(purpose, spec).await?;
        self.until_over(&key, run).await
    }

    /// What a plan toward the release in force would still do.
    pub async fn left_to_do(&self, key: &EnvKey) -> Result<Vec<String>> {
        let Some(release) = self.journal.current_release(key) else { return Ok(Vec::new()) };
        let server = self.server();
        let none = BTreeSet::new();
        let mut seen = server.survey(&release.spec, &[]).await?;
        seen.databases = server.look_at_databases(&release.spec, Some(&release.spec), &|_| None).await?;
        let (plan, _) =
            server.preview(&release.spec, &seen, RunKind::Up, Some(&release), release.number, &none).await?;
        Ok(plan.steps.iter().map(daybook_decide::text::step).collect())
    }
}

/// A crash somewhere in the second of two deployments.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Decides latencies and transient faults.
    pub seed: u64,
    /// Which write of the second deployment crashes, from 1; `None`: none does.
    pub crash: Option<(usize, When)>,
    /// Share of acts that fail transiently, percent.
    pub fault_percent: u64,
    /// What the second deployment is like.
    pub second: Second,
}

/// What the second deployment is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// It works.
    Good,
    /// The web service's check never answers.
    NeverReady,
    /// The web service answers half of its requests with 500.
    Errors,
    /// The web service's check fails a while after it got ready.
    FailsLater,
    /// A migration fails, and leaves nothing.
    MigrationFails,
    /// The release hook fails.
    HookFails,
    /// The image cannot be had.
    NoImage,
    /// What a chart makes never gets ready.
    ChartFails,
}

impl Second {
    /// Every kind that must be swapped back.
    pub const BAD: [Self; 7] = [
        Self::NeverReady,
        Self::Errors,
        Self::FailsLater,
        Self::MigrationFails,
        Self::HookFails,
        Self::NoImage,
        Self::ChartFails,
    ];

    /// What of the second deployment is so.
    fn culprit(self) -> &'static str {
        match self {
            Self::ChartFails => "cache:2",
            _ => "web:2",
        }
    }

    fn behaviour(self) -> Behaviour {
        let good = Behaviour::default();
        match self {
            Self::Good | Self::MigrationFails => good,
            Self::NeverReady | Self::ChartFails => Behaviour { ready_after_ms: None, ..good },
            Self::Errors => Behaviour { errors_percent: 50, ..good },
            Self::FailsLater => Behaviour { fails_after_ms: Some(1_000), ..good },
            Self::HookFails => Behaviour { hook_code: 3, ..good },
            Self::NoImage => Behaviour { unavailable: true, ..good },
        }
    }
}

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// How the second deployment ended.
    pub verdict: Verdict,
    /// What is there.
    pub picture: String,
    /// What must never have happened.
    pub violations: Vec<String>,
    /// Hooks that ran more than once, or not at all.
    pub hooks_not_once: Vec<String>,
    /// Migrations that ran more than once, or not at all.
    pub migrations_not_once: Vec<String>,
    /// What a plan would still do: nothing, if nothing was left behind.
    pub left: Vec<String>,
    /// Journal writes of the second deployment.
    pub writes: usize,
}

impl Scenario {
    /// Whether a hook should have run: without an image there is nothing to run it in, and it waits for the chart and
    /// for the database.
    fn runs_hook(self, hook: &str) -> bool {
        hook == "web.1" || !matches!(self.second, Second::NoImage | Second::ChartFails | Second::MigrationFails)
    }

    /// Whether a migration should have run: the database itself is replaced before, which waits for images and the chart.
    fn runs_migration(self, version: u32) -> bool {
        version == 1 || !matches!(self.second, Second::NoImage | Second::ChartFails | Second::MigrationFails)
    }

    /// Plays it.
    pub async fn play(self) -> Result<Findings> {
        let mut simulation = Simulation::new(self.seed, self.fault_percent);
        simulation.world.forbid_overlap(&name("worker"));
        simulation.world.forbid_overlap(&name("db"));
        simulation.run(RunKind::Up, shop("1")).await?;
        simulation.world.behave(&Digest::of(self.second.culprit().as_bytes()), self.second.behaviour());
        simulation.databases.fail(self.second == Second::MigrationFails);
        let before = simulation.journal.len();
        if let Some((write, when)) = self.crash {
            simulation.journal.crash_at(write, when);
        }
        let verdict = simulation.run(RunKind::Up, shop("2")).await?;
        simulation.journal.revive();
        let key = shop("2").key;
        let hooks = simulation.world.hook_runs();
        Ok(Findings {
            verdict,
            picture: simulation.world.picture(),
            violations: simulation.world.violations(),
            hooks_not_once: ["web.1", "web.2"]
                .iter()
                .filter(|hook| hooks.get(**hook).copied().unwrap_or(0) != u32::from(self.runs_hook(hook)))
                .map(|hook| format!("{hook} ran {} times", hooks.get(*hook).copied().unwrap_or(0)))
                .collect(),
            migrations_not_once: (1..=2)
                .filter(|version| simulation.databases.times(*version) != u32::from(self.runs_migration(*version)))
                .map(|version| format!("migration {version} ran {} times", simulation.databases.times(version)))
                .collect(),
            left: simulation.left_to_do(&key).await?,
            writes: simulation.journal.len() - before,
        })
    }
}

/// A shop with every kind of service: a web service with a release hook and a canary, a worker, a
/// database with a volume and migrations, and a chart that the web service waits for.
pub fn shop(version: &str) -> Spec {
    let key: EnvKey = "shop/production".parse().expect("a valid key");
    let mut spec = Spec::empty(key);
    let image = |name: &str| format!("{name}:{version}");
    let mut web = service("web", &image("web"));
    web.scale = Scale { min: 2, max: 2 };
    web.ports = vec![port(8080, Protocol::Http)];
    web.routes = vec![Domain { host: "shop.localhost".to_owned(), path: "/".to_owned(), port: 8080, tls: Tls::Off }];
    web.check = Some(http_check());
    web.release_hook = Some(vec!["migrate".to_owned()]);
    web.rollout.canary_percent = Some(25);
    web.rollout.canary_ms = 500;
    web.depends_on = ["db", "cache"].map(|name| needs(name, daybook_model::spec::Condition::Healthy)).into();
    let worker = service("worker", &image("web"));
    let mut db = service("db", &image("db"));
    db.ports = vec![port(5432, Protocol::Tcp)];
    db.container.mounts = vec![Mount {
        target: "/data".to_owned(),
        source: MountSource::Volume { name: "data".parse().expect("a valid name"), subpath: None, nocopy: false },
        read_only: false,
    }];
    spec.volumes.insert("data".parse().expect("a valid name"), Default::default());
    spec.networks.insert("default".parse().expect("a valid name"), Default::default());
    let chart = Chart {
        reference: image("cache"),
        repository: None,
        version: None,
        values: serde_json::json!({"replicas": 2}),
        digest: None,
        made: None,
    };
    let cache = Service::new(name("cache"), Artifact::Chart(Box::new(chart)));
    spec.databases.insert("db".parse().expect("a valid name"), database(version));
    for service in [web, worker, db, cache] {
        spec.services.insert(service.name.clone(), Box::new(service));
    }
    spec
}

/// The database that the service `db` runs: version 2 of the shop has a migration more.
fn database(version: &str) -> Database {
    let secret = |name: &str| SecretRef { name: name.parse().expect("a valid name"), version: Some(1), generate: true };
    let kept = Kept {
        service: name("db"),
        port: 5432,
        name: "shop".to_owned(),
        admin: "postgres".to_owned(),
        password: secret("admin"),
        logins: [(name("web"), secret("login"))].into(),
        authority: None,
    };
    let migrations = Migrations {
        sources: vec![MigrationSource { root: version.to_owned(), digest: None }],
        schema: None,
        table: None,
        placeholders: Default::default(),
        out_of_order: false,
    };
    let keeper = Keeper::Service(Box::new(kept));
    Database { line: None, engine: Engine::Postgres, keeper, migrations: Some(migrations), backup: None, masking: None }
}

/// A service whose rollout is quick enough to simulate by the thousand.
fn service(name_: &str, image: &str) -> Service {
    let (reference, pull) = (image.to_owned(), PullPolicy::Missing);
    let artifact = Artifact::image(reference, pull, None);
    let mut service = Service::new(name(name_), artifact);
    service.rollout.probation_ms = 1_000;
    service.rollout.ready_ms = 5_000;
    service
}

fn name(text: &str) -> daybook_model::ServiceName {
    text.parse().expect("a valid name")
}

fn needs(service: &str, condition: daybook_model::spec::Condition) -> daybook_model::spec::Dependency {
    daybook_model::spec::Dependency { service: name(service), condition }
}

fn port(container: u16, protocol: Protocol) -> Port {
    Port { container, protocol, publish: None }
}

fn http_check() -> Check {
    Check {
        test: CheckTest::Http { path: "/healthz".to_owned(), port: 8080 },
        interval_ms: 500,
        timeout_ms: 500,
        retries: 3,
        start_period_ms: 0,
        start_interval_ms: 100,
    }
}

/// Runs `scenario` on a clock of its own that jumps whenever nothing is left to do.
pub fn play(scenario: Scenario) -> Result<Findings> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a single-threaded runtime can always be made");
    runtime.block_on(scenario.play())
}
