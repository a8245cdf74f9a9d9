//! Many migrations on an empty PostgreSQL, against Flyway.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use daybook_bench::compare::output;
use daybook_bench::shop;
use daybook_bench::statistics::median;
use serde_json::json;
use tokio::process::Command;

use super::say;
use crate::postgres::Postgres;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Migrations.
    #[arg(long, env = "MIGRATIONS", default_value_t = 1_000)]
    migrations: u32,
    /// Measurements; the medians are shown.
    #[arg(long, env = "COUNT", default_value_t = 3)]
    count: u32,
}

/// Whole commands, milliseconds.
#[derive(Default)]
struct Times {
    all: Vec<f64>,
    nothing: Vec<f64>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    write(directory.path(), arguments.migrations)?;
    let postgres = Postgres::listening();
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for number in 0..arguments.count {
        for (times, database) in [(&mut ours, format!("ours{number}")), (&mut theirs, format!("theirs{number}"))] {
            sql(&postgres, &format!("create database {database}")).await?;
            let text = postgres.text();
            let (server, _) = text.rsplit_once('/').context("the URL names a database")?;
            let url = format!("{server}/{database}");
            let is_ours = database.starts_with("ours");
            let command = || if is_ours { daybook(&url, directory.path()) } else { flyway(&url, directory.path()) };
            times.all.push(timed(command()?).await?);
            times.nothing.push(timed(command()?).await?);
        }
    }
    let value = |times: &mut Vec<f64>| median(times).context("COUNT is 0");
    let (all, nothing) = (value(&mut ours.all)?, value(&mut ours.nothing)?);
    let (flyway_all, flyway_nothing) = (value(&mut theirs.all)?, value(&mut theirs.nothing)?);
    let n = arguments.migrations;
    say(&format!("daybook  {n} migrations {all:>9.0} ms, again, with nothing to do {nothing:>7.0} ms"));
    say(&format!("flyway   {n} migrations {flyway_all:>9.0} ms, again, with nothing to do {flyway_nothing:>7.0} ms"));
    say(&json!({
        "n": n, "migrate_ms": all, "nothing_ms": nothing,
        "flyway_migrate_ms": flyway_all, "flyway_nothing_ms": flyway_nothing,
    })
    .to_string());
    Ok(())
}

/// Migrations as people write them: a table, a column, an index, some rows, in turns.
fn write(directory: &Path, migrations: u32) -> Result<()> {
    for number in 1..=migrations {
        let table = (number - 1) / 4;
        let step = match number % 4 {
            1 => format!("create table t{table} (\n    id bigint primary key,\n    name text not null\n);"),
            2 => format!("alter table t{table} add column price integer not null default 0;"),
            3 => format!("create index t{table}_by_name on t{table} (name);"),
            _ => format!(
                "insert into t{table} (id, name) values (1, 'one');\ninsert into t{table} values (2, 'two', 3);"
            ),
        };
        let text = format!("-- Step {number}\n{step}\n");
        std::fs::write(directory.join(format!("V{number}__step_{number}.sql")), text).context("write a migration")?;
    }
    Ok(())
}

fn daybook(url: &str, directory: &Path) -> Result<Command> {
    let mut command = Command::new(daybook_bench::daybook::binary()?);
    command.args(["db", "migrate", "--url", url, "--migrations"]).arg(directory);
    Ok(command)
}

fn flyway(url: &str, directory: &Path) -> Result<Command> {
    let address = url.split_once('@').context("the URL has a user")?.1;
    let mut command = Command::new(shop::root().join("scripts/flyway"));
    command.args(["migrate", &format!("jdbc:postgresql://{address}"), "postgres", ""]).arg(directory);
    Ok(command)
}

async fn sql(postgres: &Postgres, text: &str) -> Result<()> {
    output(Command::new("psql").args(["-q", "-d", &postgres.text(), "-c", text])).await.map(drop)
}

async fn timed(mut command: Command) -> Result<f64> {
    let started = Instant::now();
    output(&mut command).await?;
    Ok(started.elapsed().as_secs_f64() * 1_000.0)
}
