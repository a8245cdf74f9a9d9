//! Load by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use daybook_bench::load::{Load, Options};
use daybook_bench::shop;
use serde_json::json;

use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to send requests.
    #[arg(long)]
    address: SocketAddr,
    /// Host to ask for.
    #[arg(long, default_value = shop::HOST)]
    host: String,
    /// For so long.
    #[arg(long, env = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// End early once this file is there.
    #[arg(long)]
    until: Option<PathBuf>,
    /// The server does not speak HTTP/2.
    #[arg(long)]
    no_http2: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut options = Options::new(arguments.address, &arguments.host);
    if arguments.no_http2 {
        options.http2_rate = 0;
    }
    let before = shop::served(arguments.address, &arguments.host).await?;
    let load = Load::start(options);
    say("the load has begun");
    let started = Instant::now();
    let asked = || arguments.until.as_ref().is_some_and(|path| path.exists());
    while started.elapsed().as_secs() < arguments.seconds && !asked() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let report = load.stop().await;
    say(&report.to_string());
    let repeated = shop::reconcile(&report, &before, &shop::served(arguments.address, &arguments.host).await?)?;
    let line = json!({
        "requests": report.sent(), "failed": report.failed(), "failed_by_class": report.failed_by_class(),
        "p99": report.p99_ms, "repeated": repeated.values().sum::<u64>(),
    });
    say(&line.to_string());
    Ok(())
}
