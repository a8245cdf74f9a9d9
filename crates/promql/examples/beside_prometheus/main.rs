//! Our store and queries beside Prometheus, on the same data in the same run:
//! `HOURS=26 cargo run --release -p daybook-promql --example beside_prometheus`. Needs `prometheus` (Debian).
//!
//! Both are processes that listen on loopback, each with a directory of its own, and both get the same requests: remote write
//! 1.0, one for every 15 seconds with a sample of each series, then queries of the HTTP API. Ours is this program again
//! (`ours.rs`): the store, what reads remote write, and what answers queries, behind the least of HTTP. Processor time is that of
//! all threads of the one process, as the kernel counts it: what makes up the data and compares answers is in neither. It covers all
//! until both are at rest: blocks are made, garbage is collected. Bytes are those of blocks with their indexes. Memory is at rest too. Queries are
//! asked in turns, about times that lie between two samples, because versions of Prometheus differ in whether a sample at the
//! very edge of a range counts. The last line is one JSON object.

#![allow(clippy::print_stdout, reason = "it is what this is for")]

#[path = "../../../metrics/examples/measure/containers.rs"]
mod containers;
mod http;
mod ours;
mod peer;
mod questions;

use std::error::Error;
use std::path::Path;

use containers::{Container, SERIES, START, STEP};
use daybook_ingest::remote::{Version, requests};
use daybook_metrics::store::HOUR;
use daybook_metrics::{Sample, Series};
use peer::{Disk, Server};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, serve, directory] = &arguments[..]
        && serve == "--serve"
    {
        return ours::serve(Path::new(directory));
    }
    let hours = std::env::var("HOURS").ok().map(|hours| hours.parse()).transpose()?.unwrap_or(26);
    let mut result = measure(20, hours, true)?;
    result["many"] = measure(200, 1, false)?;
    println!("{result}");
    Ok(())
}

/// Feeds both with what some containers tell in some hours, and asks both the same if `ask`.
fn measure(containers: usize, hours: i64, ask: bool) -> Result<Value> {
    let directory = tempfile::tempdir()?;
    let ours = Server::ours(&directory.path().join("ours"))?;
    let theirs = Server::prometheus(&directory.path().join("prometheus"))?;
    let before = [&ours, &theirs].map(Server::processor);
    let (samples, last) = feed(&[&ours, &theirs], containers, hours)?;
    let mut result = json!({ "series": containers * SERIES.len(), "hours": hours, "samples": samples });
    for ((name, server), before) in [("ours", &ours), ("prometheus", &theirs)].into_iter().zip(before) {
        server.rest()?;
        let processor = server.processor()? - before?;
        let Disk { bytes, samples: kept } = server.disk()?;
        let memory = server.memory()?;
        let per_sample = if kept > 0 { json!(bytes as f64 / kept as f64) } else { Value::Null };
        println!(
            "{name}: {samples} samples in {processor:.1} s of processor time; {kept} in blocks of {bytes} bytes; {memory:?}"
        );
        result[name] = json!({
            "samples_per_processor_s": (samples as f64 / processor).round(),
            "processor_s": processor,
            "bytes_per_sample": per_sample,
            "samples_in_blocks": kept,
            "rss": memory.now, "rss_without_files": memory.anonymous, "peak_rss": memory.peak,
        });
    }
    if ask {
        result["queries"] = questions::ask(&ours, &theirs, last + STEP / 2)?;
    }
    Ok(result)
}

/// How many samples both have taken, and when the last was told.
fn feed(servers: &[&Server], containers: usize, hours: i64) -> Result<(u64, i64)> {
    let mut all: Vec<Container> = (0..containers).map(Container::new).collect();
    let (mut samples, mut last) = (0, START);
    for at in (START..START + hours * HOUR).step_by(STEP as usize) {
        let mut told = Vec::with_capacity(containers * SERIES.len());
        for container in &mut all {
            let at = container.tell(at);
            told.extend(container.series.iter().zip(&container.values).map(|(labels, value)| Series {
                labels: labels.clone(),
                samples: vec![Sample { at, value: *value }],
                ..Series::default()
            }));
        }
        for request in requests(Version::One, &told, &[], usize::MAX) {
            for server in servers {
                http::send(server.port, "/api/v1/write", Some((&Version::One.headers(), &request.body)))?;
            }
            samples += request.samples as u64;
        }
        last = at;
    }
    Ok((samples, last))
}
