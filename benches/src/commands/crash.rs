//! Crashes: every journal boundary and many seeds in the simulation, and real kills of the server.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use daybook_bench::compare::is_there;
use daybook_bench::daybook::Daybook;
use daybook_bench::load::get;
use daybook_bench::shop;
use daybook_executor::simulation::{Findings, Scenario, Second, play};
use daybook_model::Verdict;
use daybook_store::memory::When;
use serde_json::{Value, json};

use super::say;

const KEY: &str = "shop/production";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seeds of the simulation.
    #[arg(long, env = "SEEDS", default_value_t = 10_000)]
    seeds: u64,
    /// Real kills.
    #[arg(long, env = "COUNT", default_value_t = 30)]
    count: u32,
    /// What runs the shop while its server is killed.
    #[arg(long, env = "RUNTIME", default_value = "docker")]
    runtime: String,
}

/// What is counted in the simulation.
#[derive(Default)]
struct Counts {
    played: AtomicU64,
    converged: AtomicU64,
    repeated: AtomicU64,
    orphans: AtomicU64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let seeds = arguments.seeds;
    let simulated = tokio::task::spawn_blocking(move || simulate(seeds));
    let (boundaries, counts) = simulated.await.context("the simulation")??;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    say(&format!(
        "simulation: {} runs, {} converged, {boundaries} boundaries before and after the commit",
        count(&counts.played),
        count(&counts.converged),
    ));
    let (kills, ok) = if arguments.runtime == "docker" && !is_there("docker", "info").await {
        say("no real kill with Docker: no Docker daemon answers");
        (Value::Null, Value::Null)
    } else {
        let directory = tempfile::tempdir().context("make a directory")?;
        let ok = kill_really(directory.path(), &arguments.runtime, arguments.count).await?;
        (json!(arguments.count), json!(ok))
    };
    let line = json!({
        "seeds": seeds, "boundaries": boundaries, "runs": count(&counts.played), "converged": count(&counts.converged),
        "once_effects_repeated": count(&counts.repeated), "orphans": count(&counts.orphans),
        "runtime": arguments.runtime, "real_kills": kills, "real_kills_ok": ok,
    });
    say(&line.to_string());
    Ok(())
}

/// Plays every boundary, and every seed with transient faults and one crash, on two threads.
fn simulate(seeds: u64) -> Result<(usize, Counts)> {
    let quiet = Scenario { seed: 1, crash: None, fault_percent: 0, second: Second::Good };
    let expected = play(quiet)?;
    let boundaries = expected.writes;
    let mut scenarios = Vec::new();
    for write in 1..=boundaries {
        scenarios.extend([When::Before, When::After].map(|when| Scenario { crash: Some((write, when)), ..quiet }));
    }
    for seed in 1..=seeds {
        let write = 1 + usize::try_from(seed)? % (boundaries + 10);
        let when = if seed.is_multiple_of(2) { When::Before } else { When::After };
        scenarios.push(Scenario { seed, crash: Some((write, when)), fault_percent: 5, second: Second::Good });
    }
    let counts = Counts::default();
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(|| work(&scenarios, &next, &expected, &counts)));
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker of the simulation ends"))
    })?;
    Ok((boundaries, counts))
}

fn work(scenarios: &[Scenario], next: &AtomicU64, expected: &Findings, counts: &Counts) -> Result<()> {
    loop {
        let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed))?;
        let Some(scenario) = scenarios.get(at) else { return Ok(()) };
        let found = play(*scenario).with_context(|| format!("{scenario:?}"))?;
        let add = |counter: &AtomicU64, by: usize| counter.fetch_add(by as u64, Ordering::Relaxed);
        let sound =
            found.verdict == Verdict::Reached && found.violations.is_empty() && found.picture == expected.picture;
        let whole = found.left.is_empty() && found.hooks_not_once.is_empty();
        if !(sound && whole) {
            say(&format!("{scenario:?} ended with {found:?}"));
        }
        add(&counts.played, 1);
        add(&counts.converged, usize::from(sound && whole));
        add(&counts.repeated, found.hooks_not_once.len());
        add(&counts.orphans, found.left.len());
    }
}

/// Kills the server `count` times, each time at a later moment of a rollout; returns how often the run ended as it
/// should: the new version serves, with two replicas, and its hook ran once.
async fn kill_really(path: &Path, runtime: &str, count: u32) -> Result<u32> {
    let state = path.join("state");
    std::fs::create_dir(&state)?;
    let mut daybook = Daybook::start(&state, runtime).await?;
    let mut ok = 0;
    let started = std::time::Instant::now();
    daybook.succeed(&mut up(&daybook, 0)?).await?;
    let usual = started.elapsed();
    for number in 1..=count {
        let mut up = daybook.spawn(&mut up(&daybook, number)?)?;
        let moment = usual.mul_f64(f64::from(number - 1) / f64::from(count));
        daybook.busy(KEY).await?;
        tokio::time::sleep(moment).await;
        daybook.kill_server().await?;
        daybook.serve().await?;
        let status = daybook.settled(KEY).await?;
        tokio::time::timeout(Duration::from_secs(60), up.wait()).await.context("`daybook up` hangs")??;
        let why = wrong(&daybook, number, &status).await;
        match &why {
            None => ok += 1,
            Some(why) => say(&format!("kill {number}, {} ms into the run: {why}", moment.as_millis())),
        }
    }
    say(&format!("{runtime}: {ok} of {count} real kills ended as an uninterrupted run"));
    daybook.end("shop").await?;
    Ok(ok)
}

fn up(daybook: &Daybook, number: u32) -> Result<tokio::process::Command> {
    let manifest = shop::directory()?.join("daybook.yaml");
    let mut up = daybook.command(&["up", "--file", &manifest.to_string_lossy(), "--yes", "--no-input"]);
    up.env("SHOP_BUILD", number.to_string())
        .env("SHOP_PROBATION", "1s")
        .env("SHOP_DRAIN", "4s")
        .env("SHOP_FAULT", "none");
    Ok(up)
}

/// What is not as an uninterrupted run would have left it.
async fn wrong(daybook: &Daybook, number: u32, status: &Value) -> Option<String> {
    let build = number.to_string();
    let about = get(daybook.http, shop::HOST, "/api/about").await;
    let Ok(about) = about else { return Some("nobody answers".to_owned()) };
    let replicas = status.pointer("/services").and_then(Value::as_array).into_iter().flatten();
    let web = replicas.filter(|service| service["name"] == "web").filter_map(|service| service["replicas"].as_array());
    let main = web.flatten().filter(|replica| replica["role"] == "main").count();
    let migrations = get(daybook.http, shop::HOST, "/api/migrations").await.ok()?.json();
    let line = format!(" build {build} ");
    let ran = migrations.as_array().into_iter().flatten().filter(|text| text.to_string().contains(&line)).count();
    match (about.json()["build"] == json!(build), main, ran) {
        (true, 2, 1) => None,
        _ => Some(format!("build {}, {main} replicas, the hook ran {ran} times", about.json()["build"])),
    }
}
