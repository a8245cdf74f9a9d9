//! Cloning an environment with a large PostgreSQL, masked and as it is, against `pg_dump | psql`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use daybook_bench::daybook::Daybook;
use daybook_bench::process::{Memory, memory, working_beneath};
use serde_json::{Value, json};
use tokio::process::Command;

use super::say;

/// Rows that make a GiB, orders and customers together: tables with their indexes.
const CUSTOMERS_PER_GIB: f64 = 2_000_000.0;
/// Orders of each customer.
const ORDERS: u64 = 2;
/// What no value of a masked clone ends in.
const CANARY: &str = "@real.invalid";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// GiB that the database takes.
    #[arg(long, env = "GIB", default_value_t = 1.0)]
    gib: f64,
}

const MANIFEST: &str = r#"app: clone
services:
  web: {build: ./web, command: sleep 1000000, environment: {DATABASE_URL: "${db.url}"}}
databases:
  db:
    engine: postgres:MAJOR
    resources: {memory: 1Gi}
    masking:
      customers.name: fake name
      customers.email: fake email
      customers.phone: fake phone
      customers.born: shift 30d
      orders.comment: hash
"#;

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir_in("/tmp").context("make a directory")?;
    let bench = Bench::start(directory.path()).await?;
    let measured = bench.measure(arguments.gib).await;
    bench.daybook.end("clone").await?;
    say(&measured?.to_string());
    Ok(())
}

/// A server with one environment.
struct Bench {
    daybook: Daybook,
    state: PathBuf,
    manifest: PathBuf,
}

impl Bench {
    async fn start(path: &Path) -> Result<Self> {
        // PostgreSQL runs as a user of its own, which has to get there.
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let (state, manifest) = (path.join("state"), path.join("daybook.yaml"));
        std::fs::create_dir(&state)?;
        std::fs::create_dir(path.join("web"))?;
        std::fs::write(path.join("web/README"), "It only stands there.\n")?;
        std::fs::write(&manifest, MANIFEST.replace("MAJOR", &newest_postgres()?))?;
        let daybook = Daybook::start(&state, "process").await?;
        Ok(Self { daybook, state, manifest })
    }

    async fn measure(&self, gib: f64) -> Result<Value> {
        self.daybook(&["up", "--yes", "--no-input"]).await?;
        self.fill(gib).await?;
        let bytes: u64 = self.sql("production", "select pg_database_size('db')").await?.parse()?;
        let rows: u64 = self
            .sql("production", "select (select count(*) from customers) + (select count(*) from orders)")
            .await?
            .parse()?;
        say(&format!("{rows} rows, {:.2} GiB", bytes as f64 / f64::from(1 << 30)));
        let idle = self.peak().await?;

        let masked_s = self.clone_as("masked").await?;
        let peak = self.peak().await?;
        let asked = format!("select count(*) from customers where email like '%{CANARY}'");
        let found = self.sql("masked", &asked).await?;
        if found != "0" {
            bail!("{found} addresses are as they were in the masked clone");
        }
        self.forget("masked").await?;
        let full_s = self.clone_as("full").await?;
        self.forget("full").await?;

        // The peer fills a server of the very same settings, which is there already.
        self.clone_as("none").await?;
        let piped_s = self.pipe("none").await?;
        let theirs =
            self.sql("none", "select (select count(*) from customers) + (select count(*) from orders)").await?;
        if theirs != rows.to_string() {
            bail!("pg_dump | psql brought {theirs} rows of {rows}");
        }
        self.forget("none").await?;
        say(&format!(
            "clone, masked {masked_s:.1} s; as it is {full_s:.1} s; pg_dump | psql {piped_s:.1} s; server {:.0} MiB, {:.0} before",
            mebibytes(peak),
            mebibytes(idle)
        ));
        Ok(json!({
            "bytes": bytes, "rows": rows, "masked_s": masked_s, "full_s": full_s, "pg_dump_psql_s": piped_s,
            "masked_ratio": masked_s / piped_s, "full_ratio": full_s / piped_s,
            "server_peak": peak, "server_peak_before": idle,
        }))
    }

    async fn fill(&self, gib: f64) -> Result<()> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of rows")]
        let customers = (CUSTOMERS_PER_GIB * gib) as u64;
        let text = format!(
            "create table customers (id bigint primary key, name text not null, email text not null unique, phone text, \
             born date, city text, note text);
             create table orders (id bigint primary key, customer bigint not null references customers, placed timestamptz, \
             total numeric(12, 2), comment text);
             insert into customers select n, 'Customer ' || n, 'customer' || n || '{CANARY}', '+49 30 ' || n, \
             date '1950-01-01' + (n % 20000)::int, 'City ' || n % 900, md5(n::text) || md5((n + 1)::text) from generate_series(1, {customers}) n;
             insert into orders select n, n % {customers} + 1, now() - n * interval '1 second', n % 10000 / 7.0, \
             'comment on ' || md5(n::text) from generate_series(1, {orders}) n;
             create index on orders (customer);
             create index on orders (placed);
             vacuum analyze;",
            orders = customers * ORDERS,
        );
        for statement in text.split(";\n") {
            self.sql("production", statement).await?;
        }
        Ok(())
    }

    /// Makes a clone named after its data. Seconds.
    async fn clone_as(&self, data: &str) -> Result<f64> {
        let started = Instant::now();
        self.daybook(&["env", "clone", "production", data, "--data", data, "--accept-unmasked"]).await?;
        Ok(started.elapsed().as_secs_f64())
    }

    async fn forget(&self, environment: &str) -> Result<()> {
        let confirm = format!("--confirm=clone/{environment}");
        self.daybook(&["down", "-e", environment, "--volumes=db-data", &confirm, "--yes", "--no-input"]).await
    }

    /// The peak of the server's resident memory so far, bytes.
    async fn peak(&self) -> Result<u64> {
        let (server, _) = self.daybook.pids().await?;
        memory(server, Memory::Peak)
    }

    async fn daybook(&self, words: &[&str]) -> Result<()> {
        let mut command = self.daybook.command(words);
        command.arg("--file").arg(&self.manifest);
        self.daybook.succeed(&mut command).await.map(drop)
    }

    async fn sql(&self, environment: &str, text: &str) -> Result<String> {
        let mut psql = self.client("psql", environment)?;
        let said = psql.args(["-qtAX", "-v", "ON_ERROR_STOP=1", "-c", text]).output().await.context("run psql")?;
        if !said.status.success() {
            bail!("{text}: {}", String::from_utf8_lossy(&said.stderr));
        }
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }

    /// What people do without Daybook. Seconds.
    async fn pipe(&self, to: &str) -> Result<f64> {
        let started = Instant::now();
        let mut dump = self.client("pg_dump", "production")?.stdout(Stdio::piped()).spawn().context("run pg_dump")?;
        let written: Stdio = dump.stdout.take().context("pg_dump writes")?.try_into()?;
        let mut psql = self.client("psql", to)?;
        psql.args(["-qX", "-v", "ON_ERROR_STOP=1", "--single-transaction"]).stdin(written).stdout(Stdio::null());
        let read = psql.status().await.context("run psql")?;
        let dumped = dump.wait().await.context("wait for pg_dump")?;
        if !read.success() || !dumped.success() {
            bail!("pg_dump ended with {dumped}, psql with {read}");
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// A client of an environment's database, as who may do everything.
    fn client(&self, program: &str, environment: &str) -> Result<Command> {
        let wanted = format!("DAYBOOK_ENV={environment}\0");
        let environs = working_beneath(&self.state).into_iter().map(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environ).into_owned()
        });
        let mut environs = environs.filter(|environ| environ.contains(&wanted));
        let environ = environs.find(|environ| environ.contains("POSTGRES_PASSWORD="));
        let environ = environ.with_context(|| format!("no PostgreSQL runs for {environment}"))?;
        let value = |name: &str| {
            let found = environ.split('\0').find_map(|one| one.strip_prefix(&format!("{name}=")));
            found.map(str::to_owned).with_context(|| format!("the server has no {name}"))
        };
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &value("PORT")?, "-d", "db"]);
        command.env("PGPASSWORD", value("POSTGRES_PASSWORD")?).kill_on_drop(true);
        Ok(command)
    }
}

/// The newest major version that is installed.
fn newest_postgres() -> Result<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let newest = versions.flatten().filter_map(|one| one.file_name().to_str()?.parse::<u32>().ok()).max();
    newest.map(|major| major.to_string()).context("PostgreSQL is not installed")
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
