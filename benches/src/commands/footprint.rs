//! Memory of server and edge, and how long it takes from a command to the first answer.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use daybook_bench::compare::{build_image, is_there, output};
use daybook_bench::daybook::{Daybook, binary};
use daybook_bench::load::get;
use daybook_bench::process::{Memory, memory, of_state};
use daybook_bench::shop;
use daybook_bench::statistics::median;
use serde_json::json;
use tokio::process::Command;

use super::say;

const IMAGE: &str = "daybook-bench-shop";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measurements of each time; the medians are shown.
    #[arg(long, env = "COUNT", default_value_t = 5)]
    count: u32,
    /// Services of the large app.
    #[arg(long, env = "SERVICES", default_value_t = 50)]
    services: u32,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let path = directory.path();
    let (idle, fifty) = footprints(path, arguments.services).await?;
    let process = first_answers(path, "process", arguments.count).await?;
    let docker = if is_there("docker", "info").await {
        Some((first_answers(path, "docker", arguments.count).await?, docker_runs(arguments.count).await?))
    } else {
        say("Docker is not measured: no Docker daemon answers");
        None
    };
    let line = json!({
        "idle_rss": idle, "fifty_rss": fifty, "first_answer_process_ms": process,
        "first_answer_docker_ms": docker.map(|(daybook, _)| daybook),
        "docker_run_first_answer_ms": docker.map(|(_, docker)| docker),
        "binary_bytes": std::fs::metadata(binary()?)?.len(),
    });
    say(&line.to_string());
    Ok(())
}

/// Resident bytes of server and edge together, with nothing and with many services.
async fn footprints(path: &Path, services: u32) -> Result<(u64, u64)> {
    let state = path.join("footprint");
    std::fs::create_dir(&state)?;
    let daybook = Daybook::start(&state, "process").await?;
    let idle = settled(&daybook, &state, "idle").await?;
    let file = many(path, services)?;
    let mut up = daybook.command(&["up", "--file", &file.to_string_lossy(), "--yes", "--no-input"]);
    daybook.succeed(&mut up).await?;
    let fifty = settled(&daybook, &state, &format!("{services} services")).await?;
    daybook.end("many").await?;
    Ok((idle, fifty))
}

/// Lets the processes come to rest, and adds up.
async fn settled(daybook: &Daybook, state: &Path, what: &str) -> Result<u64> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (server, edge) = daybook.pids().await?;
    let sum = |kind| Ok::<u64, anyhow::Error>(memory(server, kind)? + memory(edge, kind)?);
    let (rss, pss) = (sum(Memory::Rss)?, sum(Memory::Pss)?);
    let others: Vec<u32> = of_state(state).into_iter().filter(|pid| ![server, edge].contains(pid)).collect();
    let shims: u64 = others.iter().filter_map(|pid| memory(*pid, Memory::Pss).ok()).sum();
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    say(&format!(
        "{what}: server and edge {:.1} MiB resident, {:.1} MiB by share; {} other processes {:.1} MiB by share",
        megabytes(rss),
        megabytes(pss),
        others.len(),
        megabytes(shims),
    ));
    Ok(rss)
}

/// A manifest of many copies of the shop's web service.
fn many(path: &Path, services: u32) -> Result<PathBuf> {
    let context = shop::directory()?;
    let mut text = "app: many\nservices:\n".to_owned();
    for number in 1..=services {
        writeln!(
            text,
            "  web{number}:\n    build: {}\n    command: [bin/shop, web]\n    port: 8080\n    \
domain: web{number}.localhost\n    healthcheck: /healthz\n    rollout: {{probation: 0s}}\n    \
environment: {{SHOP_DATA: '{}'}}",
            context.display(),
            path.join("data").display(),
        )?;
    }
    let file = path.join("many.yaml");
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Median milliseconds from `daybook up` to the first answer, the server running.
async fn first_answers(path: &Path, runtime: &str, count: u32) -> Result<f64> {
    let state = path.join(runtime);
    std::fs::create_dir(&state)?;
    let daybook = Daybook::start(&state, runtime).await?;
    let file = path.join("one.yaml");
    let context = shop::directory()?;
    let manifest = "app: one\nservices:\n  web:\n    build: CONTEXT\n    command: [bin/shop, web]\n    port: 8080\n    \
domain: one.localhost\n    healthcheck: /healthz\n    environment: {SHOP_DATA: '${DATA:-/tmp}'}\n";
    std::fs::write(&file, manifest.replace("CONTEXT", &context.to_string_lossy()))?;
    let mut times = Vec::new();
    // The first time also makes the snapshot or image, as everybody's first time does: not counted.
    for number in 0..=count {
        let mut up = daybook.command(&["up", "--file", &file.to_string_lossy(), "--yes", "--no-input"]);
        if runtime == "process" {
            up.env("DATA", path.join("data"));
        }
        let started = Instant::now();
        let mut child = daybook.spawn(&mut up)?;
        let took = first_answer(daybook.http, "one.localhost", started).await?;
        if number > 0 {
            times.push(took);
        }
        if !child.wait().await?.success() {
            bail!("`daybook up` failed");
        }
        daybook.succeed(&mut daybook.command(&["down", "--app", "one", "--yes", "--no-input"])).await?;
    }
    daybook.end("one").await?;
    say(&format!("{runtime}: first answers after {times:.0?} ms"));
    median(&mut times).context("COUNT is 0")
}

/// Median milliseconds from `docker run` of the same image to the first answer.
async fn docker_runs(count: u32) -> Result<f64> {
    build_image(&shop::directory()?, IMAGE).await?;
    let mut times = Vec::new();
    for _ in 0..count {
        let address = shop::free_address()?;
        let started = Instant::now();
        let publish = format!("{address}:8080");
        let container = output(Command::new("docker").args(["run", "--detach", "--publish", &publish, IMAGE])).await?;
        let took = first_answer(address, "one.localhost", started).await;
        output(Command::new("docker").args(["rm", "--force", container.trim()])).await?;
        times.push(took?);
    }
    say(&format!("docker run: first answers after {times:.0?} ms"));
    median(&mut times).context("COUNT is 0")
}

async fn first_answer(address: SocketAddr, host: &str, started: Instant) -> Result<f64> {
    while started.elapsed() < Duration::from_secs(60) {
        if get(address, host, "/healthz").await.is_ok_and(|reply| reply.status == 200) {
            return Ok(started.elapsed().as_secs_f64() * 1_000.0);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("no answer on {address} within 60 s")
}
