//! Sets tables of an edge whose power will fail, for `tests/power_loss.rs`: says on standard output which version was
//! acknowledged, after each.
//!
//! Usage: `power_loss_tables DIRECTORY`

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use daybook_edge::{Client, Config, serve};
use daybook_model::RouteTable;
use daybook_model::route::{Backend, Endpoint, Entry, EnvRoutes, Target};
use daybook_model::spec::{Check, CheckTest, Tls};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Tables after each other.
const TABLES: u64 = 8;

/// Services of each: a table of many sectors.
const SERVICES: u64 = 24;

#[tokio::main]
async fn main() -> Result<()> {
    let directory = std::env::args().nth(1).ok_or("write where?")?;
    let state = Path::new(&directory);
    // The state directory is the server's to make, and to make sure of.
    std::fs::create_dir(state)?;
    File::open(state.parent().ok_or("a directory within another is needed")?)?.sync_all()?;
    let config = Config { http: Vec::new(), https: Vec::new(), ..Config::new(state) };
    let edge = std::thread::spawn(move || serve(config).map_err(|error| error.to_string()));
    let client = Client::new(state);
    while client.status().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for version in 1..=TABLES {
        client.set_table(&table(version)?).await?;
        acknowledged(version);
    }
    client.stop().await?;
    edge.join().map_err(|_| "the edge panicked")??;
    Ok(())
}

/// A table each of whose services says its version.
fn table(version: u64) -> Result<RouteTable> {
    let check = Check {
        test: CheckTest::Running,
        interval_ms: version,
        timeout_ms: 1_000,
        retries: 3,
        start_period_ms: 0,
        start_interval_ms: 100,
    };
    let mut backends = BTreeMap::new();
    for number in 0..SERVICES {
        let host = format!("service-{number}.example");
        let entries = vec![Entry::Domain { host, path: "/".to_owned(), port: 80, tls: Tls::Off }];
        let ports = BTreeMap::from([(80, "127.0.0.1:9".parse()?)]);
        let endpoint = Endpoint { replica: format!("service-{number}.1").parse()?, ports, weight: 1 };
        let target = Target::Endpoints(vec![endpoint]);
        let backend = Backend { entries, target, check: check.clone(), hold_ms: None, drain_ms: 100 };
        backends.insert(format!("service-{number}").parse()?, backend);
    }
    Ok(RouteTable { version, environments: BTreeMap::from([("shop/test".parse()?, EnvRoutes { backends })]) })
}

#[expect(clippy::print_stdout, reason = "it is what the test reads")]
fn acknowledged(version: u64) {
    println!("acknowledged {version}");
}
