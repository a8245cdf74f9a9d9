//! Faults that are put into a shop that serves, and what Daybook makes of them: how long until it tells, what it suspects
//! first, how often it wakes people. And releases that are bad from their start, beside good ones: which are swapped back.
//!
//! Every fault has a shop of its own, all at once on one server with plain processes, but for those that take the machine;
//! a disk that fills up has a server and a small file system of its own. What people wait for is minutes by the clock: the rules are those that hold where
//! nobody has written any.

mod list;
mod manifest;
mod swaps;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use daybook_bench::daybook::Daybook;
use daybook_bench::load::{Load, Options};
use daybook_bench::statistics::median;
use daybook_bench::{process, shop};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::say;
use list::{Fault, Injected, faults};
use manifest::{NEIGHBOUR, Shop, neighbour};

/// How long a shop serves before its fault, so that it is known what is usual.
const WARM_MINUTES: i64 = 5;
/// How long before its fault something harmless is done.
const DECOY: Duration = Duration::from_secs(120);
/// How long it may take until something is told.
const PATIENCE: Duration = Duration::from_secs(16 * 60);
/// How long the cause may be looked for once something was told.
const CAUSE_WITHIN: Duration = Duration::from_secs(60);
/// How long is watched for more that is told, after the first.
const AFTER: Duration = Duration::from_secs(90);
/// The size of the disk that fills up.
const DISK: &str = "size=400m";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only faults whose names contain this.
    #[arg(long, env = "FAULTS", default_value = "")]
    only: String,
    /// How many good releases are rolled out.
    #[arg(long, env = "COUNT", default_value_t = 100)]
    good: u32,
    /// How many releases of each bad kind.
    #[arg(long, env = "BAD", default_value_t = 3)]
    bad: u32,
    /// What was measured before, as JSON: it becomes a part of the result.
    #[arg(long)]
    series: Option<String>,
}

/// What came of a fault.
#[derive(Debug, Default)]
struct Outcome {
    name: &'static str,
    /// Seconds from the fault until something was told; `None`: nothing was.
    told_s: Option<f64>,
    /// The first suspect, in words.
    suspect: String,
    is_right: bool,
    /// Whom it woke, and how often.
    pages: usize,
}

/// Where everything runs.
struct Bench<'a> {
    daybook: Daybook,
    directory: &'a Path,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let state = directory.path().join("state");
    std::fs::create_dir(&state)?;
    prepare_contexts(directory.path())?;
    let mut daybook = Daybook::start(&state, "process").await?;
    daybook.patience = Duration::from_secs(300);
    let bench = Bench { daybook, directory: directory.path() };
    let chosen: Vec<_> = faults().into_iter().filter(|fault| fault.name.contains(&arguments.only)).collect();
    say(&format!("{} faults, each in a shop of its own; {WARM_MINUTES} minutes of peace first", chosen.len()));
    let (alone, together): (Vec<_>, Vec<_>) = chosen.iter().partition(|fault| fault.is_alone);
    let mut running: FuturesUnordered<_> = together.into_iter().map(|fault| bench.outcome_of(fault)).collect();
    let mut outcomes = Vec::new();
    while let Some(outcome) = running.next().await {
        say(&outcome.to_string());
        outcomes.push(outcome);
    }
    drop(running);
    for fault in alone {
        let outcome = bench.outcome_of(fault).await;
        say(&outcome.to_string());
        outcomes.push(outcome);
    }
    let swaps = swaps::run(&bench, arguments.good, arguments.bad).await?;
    let mut line = summary(&outcomes);
    line["rollouts"] = swaps;
    if let Some(series) = &arguments.series {
        line["series"] =
            serde_json::from_str::<Value>(series).context("read what was measured before")?["series"].take();
    }
    bench.daybook.end("nothing").await?;
    say(&line.to_string());
    Ok(())
}

fn summary(outcomes: &[Outcome]) -> Value {
    let mut told: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome.told_s).collect();
    let right = outcomes.iter().filter(|outcome| outcome.is_right).count();
    let pages = outcomes.iter().map(|outcome| outcome.pages).max();
    let missed: Vec<_> = outcomes.iter().filter(|one| one.told_s.is_none()).map(|one| one.name).collect();
    json!({"faults": {
        "count": outcomes.len(), "told": told.len(), "not_told": missed, "first_suspect_right": right,
        "median_s_to_alert": median(&mut told), "slowest_s_to_alert": told.iter().copied().reduce(f64::max),
        "most_pages_an_incident": pages,
    }})
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.is_right { "✓" } else { "✗" };
        let told = self.told_s.map_or("nothing told".to_owned(), |seconds| format!("told after {seconds:.0} s"));
        write!(f, "{mark} {:<32} {told:<20} {} pages   {}", self.name, self.pages, self.suspect)
    }
}

/// The shop, and one whose program is another, which fails.
fn prepare_contexts(directory: &Path) -> Result<()> {
    let real = shop::directory()?.join("bin/shop");
    for context in ["good", "broken"] {
        std::fs::create_dir_all(directory.join(context).join("bin"))?;
    }
    std::fs::copy(&real, directory.join("good/bin/shop")).context("copy the shop")?;
    std::fs::copy(&real, directory.join("broken/bin/real")).context("copy the shop")?;
    let script = "#!/bin/sh\nSHOP_FAULT=errors SHOP_FAULT_AFTER=20 exec \"${0%shop}real\" \"$@\"\n";
    let path = directory.join("broken/bin/shop");
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The minute and hour, in UTC, that is so many minutes away, as a schedule.
fn in_minutes(minutes: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
    at.strftime("%M %H * * *").to_string()
}

/// A certificate that will be valid for an hour, in files.
fn with_certificate(shop: &mut Shop) {
    let directory = shop.context.with_file_name("certificate");
    let made = || -> Result<(PathBuf, PathBuf)> {
        std::fs::create_dir_all(&directory)?;
        let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        let mut params = rcgen::CertificateParams::new(vec![shop.host()])?;
        params.not_after = (std::time::SystemTime::now() + Duration::from_secs(3600)).into();
        let pair = rcgen::KeyPair::generate()?;
        std::fs::write(&cert, params.self_signed(&pair)?.pem())?;
        std::fs::write(&key, pair.serialize_pem())?;
        Ok((cert, key))
    };
    shop.certificate = made().ok();
}

impl Bench<'_> {
    fn shop(&self, name: &str) -> Shop {
        Shop::new(name, self.directory.join("good"))
    }

    /// Deploys a shop as it is now. Returns the exit code.
    async fn up(&self, daybook: &Daybook, shop: &Shop) -> Result<i32> {
        let migrations = self.place(&shop.app).join("migrations");
        std::fs::create_dir_all(&migrations)?;
        for (file, text) in &shop.migrations {
            std::fs::write(migrations.join(file), text)?;
        }
        self.deploy(daybook, &shop.app, &shop.to_string()).await
    }

    /// Deploys what a manifest describes. Returns the exit code.
    async fn deploy(&self, daybook: &Daybook, app: &str, manifest: &str) -> Result<i32> {
        let file = self.place(app).join("daybook.yaml");
        std::fs::create_dir_all(self.place(app))?;
        std::fs::write(&file, manifest)?;
        let mut up = daybook.command(&["up", "--yes", "--no-input", "-f"]);
        let (code, out, err) = daybook.run(up.arg(&file)).await?;
        if !matches!(code, 0 | 4) {
            bail!("{app}: daybook up ended with {code}:\n{out}{err}");
        }
        Ok(code)
    }

    async fn down(&self, app: &str) -> Result<()> {
        self.daybook.succeed(&mut self.daybook.command(&["down", "--app", app, "--yes", "--no-input"])).await.map(drop)
    }

    /// Where the manifest of an app is.
    fn place(&self, app: &str) -> PathBuf {
        self.directory.join("manifests").join(app)
    }

    /// What came of one fault. One that could not be tried counts as not told, and the others go on.
    async fn outcome_of(&self, fault: &Fault) -> Outcome {
        let tried = self.outcome(fault).await;
        tried.unwrap_or_else(|error| Outcome { name: fault.name, suspect: format!("{error:#}"), ..Outcome::default() })
    }

    /// Puts one fault into a shop of its own, and sees what is told of it.
    async fn outcome(&self, fault: &Fault) -> Result<Outcome> {
        if matches!(fault.injected, Injected::Disk) {
            return self.full_disk(fault).await;
        }
        let mut shop = self.shop(fault.name);
        (fault.before)(&mut shop);
        let outcome = self.outcome_in(fault, &mut shop).await;
        // What one leaves behind would be a neighbour of all that come after it.
        let neighbour = if matches!(fault.injected, Injected::Neighbour) { self.down(NEIGHBOUR).await } else { Ok(()) };
        let own = self.down(fault.name).await;
        let outcome = outcome?;
        neighbour.and(own)?;
        Ok(outcome)
    }

    /// Puts a fault into a shop that is not there yet, and sees what is told of it.
    async fn outcome_in(&self, fault: &Fault, shop: &mut Shop) -> Result<Outcome> {
        if self.up(&self.daybook, shop).await? != 0 {
            bail!("{}: the shop does not come up", fault.name);
        }
        let load = Load::start(requests(&self.daybook, shop, fault.rate));
        let warm = Duration::from_secs(WARM_MINUTES.unsigned_abs() * 60);
        tokio::time::sleep(warm - DECOY).await;
        if let Some(decoy) = &fault.decoy {
            drop(self.inject(decoy, shop).await?);
        }
        tokio::time::sleep(DECOY).await;
        let injected = Instant::now();
        let at = jiff::Timestamp::now();
        let more = self.inject(&fault.injected, shop).await?;
        let outcome = self.told(&self.daybook, fault, Some(&shop.app), (injected, at)).await?;
        drop(more);
        load.stop().await;
        Ok(outcome)
    }

    /// Does what is to be done. What goes on until the end of it is returned.
    async fn inject(&self, injected: &Injected, shop: &mut Shop) -> Result<Option<Going>> {
        match injected {
            Injected::Release(change) => {
                change(shop);
                if self.up(&self.daybook, shop).await? != 0 {
                    bail!("{}: the release is swapped back before its fault begins", shop.app);
                }
                Ok(None)
            }
            Injected::Command(words) => {
                let mut command = self.daybook.command(&words[..1]);
                command.args(["--app", &shop.app]).args(&words[1..]);
                self.daybook.succeed(&mut command).await?;
                Ok(None)
            }
            Injected::Load(rate) => Ok(Some(Going::Load(Load::start(requests(&self.daybook, shop, *rate))))),
            Injected::Hang(service) => {
                Ok(Some(Going::Hanging(hang(&self.directory.join("state"), &shop.app, service))))
            }
            Injected::Neighbour => {
                let manifest = neighbour(&self.directory.join("good"));
                if self.deploy(&self.daybook, NEIGHBOUR, &manifest).await? != 0 {
                    bail!("the neighbour does not come up");
                }
                Ok(None)
            }
            Injected::Time | Injected::Disk => Ok(None),
        }
    }

    /// Waits until something is told of an application, and for what is suspected.
    async fn told(
        &self,
        daybook: &Daybook,
        fault: &Fault,
        app: Option<&str>,
        (injected, at): (Instant, jiff::Timestamp),
    ) -> Result<Outcome> {
        let mut outcome = Outcome { name: fault.name, ..Outcome::default() };
        let mut first: Option<Instant> = None;
        while injected.elapsed() < PATIENCE {
            let incidents = incidents(daybook, app).await?;
            if let Some(incident) = incidents.last() {
                let began = *first.get_or_insert_with(Instant::now);
                let opened = incident["opened"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
                outcome.told_s = opened.map(|opened| opened.duration_since(at).as_secs_f64());
                if let Some(suspect) = incident["suspects"].get(0)
                    && outcome.suspect.is_empty()
                {
                    outcome.suspect = suspect["title"].as_str().unwrap_or_default().to_owned();
                    outcome.is_right = is_right(fault, suspect);
                }
                outcome.pages = incidents.iter().filter(|one| one["severity"] == "page").count();
                let is_known = !outcome.suspect.is_empty() || began.elapsed() > CAUSE_WITHIN;
                if is_known && began.elapsed() > AFTER {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Ok(outcome)
    }

    /// A server of its own on a small file system, which is filled.
    async fn full_disk(&self, fault: &Fault) -> Result<Outcome> {
        let state = self.directory.join("small");
        std::fs::create_dir_all(&state)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&state).status()?;
        if !mounted.success() {
            bail!("disk-full needs root, for a file system of its own: leave it out with FAULTS");
        }
        let unmount = Mounted(state.clone());
        let daybook = Daybook::start(&state, "process").await?;
        let shop = self.shop(fault.name);
        self.up(&daybook, &shop).await?;
        tokio::time::sleep(Duration::from_secs(WARM_MINUTES.unsigned_abs() * 60)).await;
        let (injected, at) = (Instant::now(), jiff::Timestamp::now());
        let room = rustix::fs::statvfs(&state)?;
        let fill = room.f_bavail * room.f_frsize - (8 << 20);
        let file = std::fs::File::create(state.join("filling"))?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, fill)?;
        let outcome = self.told(&daybook, fault, None, (injected, at)).await?;
        // What is open takes its room, whatever it is called.
        drop(file);
        std::fs::remove_file(state.join("filling"))?;
        daybook.end(fault.name).await?;
        drop(unmount);
        Ok(outcome)
    }
}

/// What goes on until it is dropped.
enum Going {
    #[allow(dead_code, reason = "it is held, so that it goes on")]
    Load(Load),
    Hanging(tokio::task::JoinHandle<()>),
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Self::Hanging(task) = self {
            task.abort();
        }
    }
}

/// A file system that goes with this value.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Only the plain kinds of requests, at so many a second.
fn requests(daybook: &Daybook, shop: &Shop, rate: u32) -> Options {
    Options {
        keepalive_rate: rate,
        connect_rate: 0,
        http2_rate: 0,
        uploads: 0,
        streams: 0,
        websockets: 0,
        ..Options::new(daybook.http, &shop.host())
    }
}

/// Stops the processes of a service without ending them, also those that are started in their place.
fn hang(state: &Path, app: &str, service: &str) -> tokio::task::JoinHandle<()> {
    let (state, place, replica) = (state.to_owned(), format!("/{app}/"), format!("DAYBOOK_REPLICA={service}."));
    tokio::spawn(async move {
        loop {
            for pid in process::of_state(&state) {
                let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                let environ = String::from_utf8_lossy(&read("environ")).into_owned();
                let works_in = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
                if environ.contains(&replica) && works_in.to_string_lossy().contains(&place) {
                    process::signal(pid, Signal::STOP);
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
}

/// Incidents of an application, or of the machine; newest first.
async fn incidents(daybook: &Daybook, app: Option<&str>) -> Result<Vec<Value>> {
    let all = daybook.get("/v1/incidents?all=true").await?;
    let key = app.map(|app| format!("{app}/production"));
    let is_its = |incident: &&Value| incident["key"].as_str() == key.as_deref();
    Ok(all.as_array().into_iter().flatten().filter(is_its).cloned().collect())
}

fn is_right(fault: &Fault, suspect: &Value) -> bool {
    let kind = suspect["kind"].as_str().unwrap_or_default();
    let title = suspect["title"].as_str().unwrap_or_default();
    let words = || title.split(|letter: char| !letter.is_alphanumeric());
    let named = fault.service.is_none_or(|service| words().any(|word| word == service));
    fault.kinds.contains(&kind) && named
}
