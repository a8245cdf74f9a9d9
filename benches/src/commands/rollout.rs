//! Rollouts of the shop under constant load, the server killed in some of them, and the same load on
//! `docker-compose up -d`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use daybook_bench::daybook::Daybook;
use daybook_bench::load::{Load, Options, get};
use daybook_bench::shop;
use daybook_bench::statistics::median;
use serde_json::json;

use super::compose;
use super::say;

const KEY: &str = "shop/production";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What runs the shop: process or docker.
    #[arg(long, env = "RUNTIME", default_value = "docker")]
    runtime: String,
    /// How many rollouts.
    #[arg(long, env = "COUNT", default_value_t = 200)]
    count: u32,
    /// In how many of them the server is killed.
    #[arg(long, env = "KILLS", default_value_t = 10)]
    kills: u32,
    /// How many times docker-compose replaces the shop, for comparison.
    #[arg(long, env = "COMPOSE_COUNT", default_value_t = 5)]
    compose_count: u32,
}

/// Rollouts, one after the other.
struct Series {
    daybook: Daybook,
    manifest: PathBuf,
    took: Vec<f64>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let state = directory.path().join("state");
    std::fs::create_dir(&state).context("make a directory")?;
    let daybook = Daybook::start(&state, &arguments.runtime).await?;
    let address = daybook.http;
    let manifest = shop::directory()?.join("daybook.yaml");
    let mut series = Series { daybook, manifest, took: Vec::new() };
    series.roll_out(0).await.context("the first deployment")?;

    let before = shop::served(address).await?;
    let load = Load::start(Options::new(address, shop::HOST));
    let mut kills = 0;
    for number in 1..=arguments.count {
        // Kills are spread evenly over the rollouts, and over the length of one.
        if kills < arguments.kills && number * arguments.kills >= (kills + 1) * arguments.count {
            let share = (f64::from(kills) + 0.5) / f64::from(arguments.kills);
            series.roll_out_killed(number, share).await.with_context(|| format!("rollout {number}, killed"))?;
            kills += 1;
        } else {
            series.roll_out(number).await.with_context(|| format!("rollout {number}"))?;
        }
        if number % 10 == 0 {
            let report = load.report();
            say(&format!("{number} rollouts, {kills} kills: {} requests, {} failed", report.sent(), report.failed()));
        }
    }
    let report = load.stop().await;
    say(&format!("\n{report}"));
    let repeated = shop::reconcile(&report, &before, &shop::served(address).await?)?;
    say(&format!("median rollout {:.1} s; served more often than answered: {repeated:?}", series.median()));
    series.daybook.end("shop").await?;

    let compose_failed = compose_failed(directory.path(), arguments.compose_count).await?;
    let line = json!({
        "runtime": arguments.runtime, "rollouts": arguments.count, "kills": kills,
        "requests": report.sent(), "failed": report.failed(), "failed_by_class": report.failed_by_class(),
        "p99": report.p99_ms, "repeated": repeated.values().sum::<u64>(),
        "compose_rollouts": arguments.compose_count, "compose_failed": compose_failed,
    });
    say(&line.to_string());
    Ok(())
}

async fn compose_failed(directory: &Path, count: u32) -> Result<Option<u64>> {
    match compose::missing().await {
        Some(why) => {
            say(&format!("docker-compose is not compared: {why}"));
            Ok(None)
        }
        None => compose::failed(directory, count).await.map(Some),
    }
}

impl Series {
    fn up(&self, number: u32) -> tokio::process::Command {
        let manifest = self.manifest.to_string_lossy();
        let mut up = self.daybook.command(&["up", "--file", &manifest, "--yes", "--no-input"]);
        up.env("SHOP_VERSION", (number % 2 + 1).to_string()).env("SHOP_BUILD", number.to_string());
        up.env("SHOP_PROBATION", "1s").env("SHOP_DRAIN", "4s").env("SHOP_FAULT", "none").env("SHOP_FAULT_AFTER", "2");
        up
    }

    async fn roll_out(&mut self, number: u32) -> Result<()> {
        let started = Instant::now();
        self.daybook.succeed(&mut self.up(number)).await?;
        self.took.push(started.elapsed().as_secs_f64());
        self.reached(number).await
    }

    /// Kills the server after a share of a rollout's usual time, starts it again, and waits until the
    /// run has gone on by itself to its end.
    async fn roll_out_killed(&mut self, number: u32, share: f64) -> Result<()> {
        let mut up = self.daybook.spawn(&mut self.up(number))?;
        self.daybook.busy(KEY).await?;
        tokio::time::sleep(Duration::from_secs_f64(self.median() * share)).await;
        self.daybook.kill_server().await?;
        self.daybook.serve().await?;
        self.daybook.settled(KEY).await?;
        // Whatever the command says of the server it lost: what counts is where the run ended.
        tokio::time::timeout(Duration::from_secs(60), up.wait()).await.context("`daybook up` hangs")??;
        self.reached(number).await
    }

    /// Checks that users get this build now.
    async fn reached(&self, number: u32) -> Result<()> {
        let reply = get(self.daybook.http, shop::HOST, "/api/about").await.map_err(anyhow::Error::msg)?;
        let build = reply.json()["build"].clone();
        if build == json!(number.to_string()) { Ok(()) } else { bail!("build {build} answers, not {number}") }
    }

    fn median(&self) -> f64 {
        median(&mut self.took.clone()).unwrap_or(1.0)
    }
}
