//! docker-compose, doing what its users do: `up -d` with another configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use daybook_bench::compare::{build_image, is_there, output};
use daybook_bench::load::{Load, Options, get};
use daybook_bench::shop;
use tokio::process::Command;

use super::say;

const IMAGE: &str = "daybook-bench-shop";
const PROJECT: &str = "daybook-bench";

/// Why the comparison cannot be run here, if it cannot.
pub(crate) async fn missing() -> Option<&'static str> {
    if !is_there("docker-compose", "version").await {
        return Some("docker-compose is not installed");
    }
    (!is_there("docker", "info").await).then_some("no Docker daemon answers")
}

/// Replaces the shop `count` times under the same load (but for HTTP/2, which nothing in front of a
/// published port speaks), and returns how many requests failed.
pub(crate) async fn failed(directory: &Path, count: u32) -> Result<u64> {
    build_image(&shop::directory()?, IMAGE).await?;
    let address = shop::free_address()?;
    let file = directory.join("compose.yaml");
    std::fs::write(&file, manifest(address)).context("write compose.yaml")?;
    let result = replace(&file, address, count).await;
    let down = compose(&file, &["down", "--volumes", "--timeout", "5"]).await;
    let failed = result?;
    down?;
    Ok(failed)
}

async fn replace(file: &Path, address: SocketAddr, count: u32) -> Result<u64> {
    up(file, 0).await?;
    answers(address).await?;
    let load = Load::start(Options { http2_rate: 0, ..Options::new(address, shop::HOST) });
    for number in 1..=count {
        tokio::time::sleep(Duration::from_secs(2)).await;
        up(file, number).await?;
        answers(address).await?;
    }
    let report = load.stop().await;
    say(&format!("docker-compose, {count} times `up -d`:\n{report}"));
    Ok(report.failed())
}

async fn up(file: &Path, number: u32) -> Result<()> {
    let mut command = command(file, &["up", "-d"]);
    output(command.env("SHOP_VERSION", (number % 2 + 1).to_string()).env("SHOP_BUILD", number.to_string())).await?;
    Ok(())
}

async fn answers(address: SocketAddr) -> Result<()> {
    for _ in 0..600 {
        if get(address, shop::HOST, "/healthz").await.is_ok_and(|reply| reply.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the shop under docker-compose never answered")
}

async fn compose(file: &Path, arguments: &[&str]) -> Result<()> {
    output(&mut command(file, arguments)).await.map(drop)
}

fn command(file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker-compose");
    command.args(["--project-name", PROJECT, "--file"]).arg(file).args(arguments);
    command.env("SHOP_VERSION", "1").env("SHOP_BUILD", "0");
    command
}

fn manifest(address: SocketAddr) -> String {
    format!(
        "version: '3.7'
services:
  web:
    image: {IMAGE}
    environment: {{SHOP_VERSION: '${{SHOP_VERSION}}', SHOP_BUILD: '${{SHOP_BUILD}}', SHOP_DATA: /data}}
    ports: ['{address}:8080']
    volumes: ['orders:/data']
volumes: {{orders: {{}}}}
"
    )
}
