//! Rollouts of the shop under constant load, the server killed in some of them, and the same load on what people use
//! otherwise: `docker-compose up -d`, or a Deployment with the defaults of Kubernetes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use daybook_bench::cluster;
use daybook_bench::daybook::Daybook;
use daybook_bench::load::{Load, Options, get};
use daybook_bench::shop;
use daybook_bench::statistics::median;
use serde_json::json;

use super::compose;
use super::plain;
use super::say;

const APP: &str = "bench";
const KEY: &str = "bench/production";
/// The namespace of it.
const NAMESPACE: &str = "bench-production";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What runs the shop: process, docker or kubernetes.
    #[arg(long, env = "RUNTIME", default_value = "docker")]
    runtime: String,
    /// How many rollouts: 200, in a cluster 100.
    #[arg(long, env = "COUNT")]
    count: Option<u32>,
    /// In how many of them the server is killed.
    #[arg(long, env = "KILLS", default_value_t = 10)]
    kills: u32,
    /// How many times docker-compose, or Kubernetes by itself, replaces the shop, for comparison.
    #[arg(long, env = "COMPOSE_COUNT", default_value_t = 5)]
    compose_count: u32,
}

impl Arguments {
    fn is_cluster(&self) -> bool {
        self.runtime == "kubernetes"
    }

    fn count(&self) -> u32 {
        self.count.unwrap_or(if self.is_cluster() { 100 } else { 200 })
    }
}

/// Rollouts, one after the other.
struct Series {
    daybook: Daybook,
    manifest: PathBuf,
    /// Where the cluster is, if one runs the shop.
    target: Option<String>,
    /// Where users reach it.
    address: SocketAddr,
    host: String,
    took: Vec<f64>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let mut series = Series::start(directory.path(), &arguments).await?;
    let pods = edge_pods(&arguments).await?;
    let before = shop::served(series.address, &series.host).await?;
    let load = Load::start(Options::new(series.address, &series.host));
    let kills = series.roll_out_all(&arguments, &load).await?;
    let report = load.stop().await;
    say(&format!("\n{report}"));
    let repeated = shop::reconcile(&report, &before, &shop::served(series.address, &series.host).await?)?;
    say(&format!("median rollout {:.1} s; served more often than answered: {repeated:?}", series.median()));
    if edge_pods(&arguments).await? != pods {
        say("the pods of the cluster's edge were replaced meanwhile: somebody else uses it, too");
    }
    let mut line = json!({
        "runtime": arguments.runtime, "rollouts": arguments.count(), "kills": kills, "rollout_s": series.median(),
        "requests": report.sent(), "failed": report.failed(), "failed_by_class": report.failed_by_class(),
        "p99": report.p99_ms, "repeated": repeated.values().sum::<u64>(), "compose_failed": null,
    });
    let count = arguments.compose_count;
    if arguments.is_cluster() {
        let image = plain::image(NAMESPACE).await?;
        series.daybook.end(APP).await?;
        let plain = plain::replaced(&image, count).await?;
        line["kubernetes_rollouts"] = json!(count);
        line["kubernetes_requests"] = json!(plain.sent());
        line["kubernetes_failed"] = json!(plain.failed());
        line["kubernetes_failed_by_class"] = plain.failed_by_class();
    } else {
        series.daybook.end(APP).await?;
        line["compose_rollouts"] = json!(count);
        line["compose_failed"] = json!(compose_failed(directory.path(), count).await?);
    }
    say(&line.to_string());
    Ok(())
}

async fn edge_pods(arguments: &Arguments) -> Result<Vec<String>> {
    if arguments.is_cluster() { cluster::edge_pods().await } else { Ok(Vec::new()) }
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
    /// Deploys the shop for the first time.
    async fn start(directory: &Path, arguments: &Arguments) -> Result<Self> {
        let state = directory.join("state");
        std::fs::create_dir(&state).context("make a directory")?;
        let (manifest, host) = shop::manifest_as(APP, directory)?;
        // In a cluster, the server's own machine runs nothing.
        let home = if arguments.is_cluster() { "process" } else { &arguments.runtime };
        let daybook = Daybook::start(&state, home).await?;
        let address = daybook.http;
        let target = arguments.is_cluster().then(cluster::target);
        let mut series = Self { daybook, manifest, target, address, host, took: Vec::new() };
        series.daybook.succeed(&mut series.up(0)).await.context("the first deployment")?;
        if arguments.is_cluster() {
            series.address = cluster::edge().await?;
        }
        series.reached(0).await?;
        Ok(series)
    }

    /// Returns in how many rollouts the server was killed.
    async fn roll_out_all(&mut self, arguments: &Arguments, load: &Load) -> Result<u32> {
        let count = arguments.count();
        let mut kills = 0;
        for number in 1..=count {
            // Kills are spread evenly over the rollouts, and over the length of one.
            if kills < arguments.kills && number * arguments.kills >= (kills + 1) * count {
                let share = (f64::from(kills) + 0.5) / f64::from(arguments.kills);
                self.roll_out_killed(number, share).await.with_context(|| format!("rollout {number}, killed"))?;
                kills += 1;
            } else {
                self.roll_out(number).await.with_context(|| format!("rollout {number}"))?;
            }
            if number % 10 == 0 {
                let report = load.report();
                let (sent, failed) = (report.sent(), report.failed());
                say(&format!("{number} rollouts, {kills} kills: {sent} requests, {failed} failed"));
            }
        }
        Ok(kills)
    }

    fn up(&self, number: u32) -> tokio::process::Command {
        let manifest = self.manifest.to_string_lossy();
        let mut up = self.daybook.command(&["up", "--file", &manifest, "--yes", "--no-input"]);
        up.env("SHOP_VERSION", (number % 2 + 1).to_string()).env("SHOP_BUILD", number.to_string());
        up.envs(self.target.as_ref().map(|target| ("DAYBOOK_TARGET", target)));
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
        let reply = get(self.address, &self.host, "/api/about").await.map_err(anyhow::Error::msg)?;
        let build = reply.json()["build"].clone();
        if build == json!(number.to_string()) { Ok(()) } else { bail!("build {build} answers, not {number}") }
    }

    fn median(&self) -> f64 {
        median(&mut self.took.clone()).unwrap_or(1.0)
    }
}
