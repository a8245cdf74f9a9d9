//! `daybook-bench NAME`: measures, prints what it likes, and ends with one line of JSON.

mod commands;
#[path = "../../crates/data/tests/common/postgres.rs"]
mod postgres;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures Daybook. The last line of each benchmark is one JSON object.")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Rollouts under constant load; a user must not notice one.
    Rollout(commands::rollout::Arguments),
    /// The edge against nginx and HAProxy.
    Edge(commands::edge::Arguments),
    /// Memory, and time to the first answer.
    Footprint(commands::footprint::Arguments),
    /// What is priced, and how well replicas are packed.
    Cost(commands::cost::Arguments),
    /// Planning many services, against Terraform.
    Plan(commands::plan::Arguments),
    /// One plan in a process of its own, for `plan`.
    #[command(hide = true)]
    PlanOnce(commands::plan::OnceArguments),
    /// Many migrations, against Flyway.
    Migrate(commands::migrate::Arguments),
    /// A clone with masked data, against `pg_dump | psql`.
    Clone(commands::clone::Arguments),
    /// Backups, against restic.
    #[cfg(feature = "backup")]
    Backup(commands::backup::Arguments),
    /// One step of ours in a process of its own, for `backup`.
    #[cfg(feature = "backup")]
    #[command(hide = true)]
    BackupOnce(commands::backup::OnceArguments),
    /// Crashes in the simulation, and real ones.
    Crash(commands::crash::Arguments),
    /// Faults in a running shop: what is told, and what is suspected.
    Faults(commands::faults::Arguments),
    /// Many services in a cluster whose machines are fake, against kubectl.
    KubernetesScale(commands::kubernetes_scale::Arguments),
    /// Load on an address until a time is over: what `make demo` uses.
    Load(commands::load::Arguments),
    /// A server that answers at once: what proxies are measured in front of.
    Upstream,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse().benchmark).await else {
        return ExitCode::SUCCESS;
    };
    eprintln!("daybook-bench: {error:#}");
    ExitCode::FAILURE
}

async fn run(benchmark: Benchmark) -> anyhow::Result<()> {
    match benchmark {
        Benchmark::Rollout(arguments) => commands::rollout::run(arguments).await,
        Benchmark::Edge(arguments) => commands::edge::run(arguments).await,
        Benchmark::Footprint(arguments) => commands::footprint::run(arguments).await,
        Benchmark::Cost(arguments) => commands::cost::run(&arguments),
        Benchmark::Plan(arguments) => commands::plan::run(arguments).await,
        Benchmark::PlanOnce(arguments) => commands::plan::once(&arguments),
        Benchmark::Migrate(arguments) => commands::migrate::run(arguments).await,
        Benchmark::Clone(arguments) => commands::clone::run(arguments).await,
        #[cfg(feature = "backup")]
        Benchmark::Backup(arguments) => commands::backup::run(&arguments),
        #[cfg(feature = "backup")]
        Benchmark::BackupOnce(arguments) => commands::backup::once(&arguments),
        Benchmark::Crash(arguments) => commands::crash::run(arguments).await,
        Benchmark::Faults(arguments) => commands::faults::run(arguments).await,
        Benchmark::KubernetesScale(arguments) => commands::kubernetes_scale::run(arguments).await,
        Benchmark::Load(arguments) => commands::load::run(arguments).await,
        Benchmark::Upstream => commands::upstream::run().await,
    }
}
