//! What the store takes: `cargo run --release -p daybook-metrics --example measure [--hours H] [--write FILE] [CSV …]`.
//!
//! Generates what 20 containers with 60 series each tell every 15 seconds, appends it, lets it become blocks, asks for some of
//! it, and prints one JSON object as its last line. Rates are by processor time of this thread. Each directory that the CSV
//! files are in is kept as well, a sample of every column each 5 minutes, and its bytes for a sample are printed.
//! `--write FILE` writes two hours of it as OpenMetrics, for `promtool tsdb create-blocks-from openmetrics`.
//! `--read FILE` reads that, and says what it took.

#![allow(clippy::print_stdout, reason = "it is what this is for")]

mod containers;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use containers::{Container, SERIES, START, STEP};
use daybook_metrics::exposition::{Bounds, Format, Item, Reader, Writer};
use daybook_metrics::store::{Batch, DAY, HOUR, Options, SeriesId, Store, Tier};
use daybook_metrics::{Labels, Matcher, NAME, Op, Source};

type Failure = Box<dyn Error>;

const CONTAINERS: usize = 20;

fn main() -> Result<(), Failure> {
    let (mut hours, mut csv, mut write, mut read) = (50, Vec::new(), None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("a value is missing");
        match argument.as_str() {
            "--hours" => hours = value()?.parse()?,
            "--write" => write = Some(value()?),
            "--read" => read = Some(value()?),
            _ => csv.push(PathBuf::from(argument)),
        }
    }
    if let Some(path) = write {
        return write_openmetrics(Path::new(&path));
    }
    if let Some(path) = read {
        return read_openmetrics(Path::new(&path));
    }
    let traces = by_directory(csv)?;
    for (name, files) in &traces {
        println!("{name}: {:.2} bytes a sample of 5 minutes", bytes_of_traces(files)?);
    }
    println!("{}", containers(hours)?);
    Ok(())
}

/// The processor time of this thread, in seconds.
fn processor() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The memory of this process, in bytes.
fn resident() -> Result<u64, Failure> {
    let said = fs::read_to_string("/proc/self/statm")?;
    Ok(said.split(' ').nth(1).unwrap_or_default().parse::<u64>()? * 4096)
}

fn directory(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::temp_dir().join(format!("daybook-measure-{}-{name}", std::process::id()));
    fs::create_dir_all(&path)?;
    Ok(path)
}

fn settle(store: &Store, now: i64) -> Result<(), Failure> {
    while store.tend(now)?.is_some() {}
    Ok(())
}

fn containers(hours: i64) -> Result<String, Failure> {
    let path = directory("containers")?;
    let (store, _) = Store::open(&path, Options::default())?;
    let mut all: Vec<Container> = (0..CONTAINERS).map(Container::new).collect();
    let (mut appending, mut tending, mut samples, mut memory, mut series) = (0.0, 0.0, 0u64, 0, 0);
    let mut most = 0;
    let mut batch = Batch::default();
    let mut ids: Vec<Vec<Option<SeriesId>>> = vec![vec![None; SERIES.len()]; CONTAINERS];
    for at in (START..START + hours * HOUR).step_by(STEP as usize) {
        for (container, ids) in all.iter_mut().zip(&mut ids) {
            let told = container.tell(at);
            batch.clear();
            for ((labels, known), value) in container.series.iter().zip(&*ids).zip(&container.values) {
                match known {
                    Some(known) => batch.add_known(*known, told, *value),
                    None => batch.add(labels.clone(), told, *value),
                }
            }
            let before = processor();
            samples += store.append(&batch, told)?.accepted;
            appending += processor() - before;
            if ids[0].is_none() {
                *ids = container.series.iter().map(|labels| store.id(labels)).collect();
            }
        }
        if (at - START) % 60_000 == 0 {
            let before = processor();
            settle(&store, at)?;
            tending += processor() - before;
        }
        if (at - START) % (10 * 60_000) == 0 {
            let now = store.statistics();
            if now.memory > memory {
                (memory, series) = (now.memory, now.series);
            }
            most = resident()?.max(most);
        }
    }
    let end = START + hours * HOUR;
    settle(&store, end)?;
    let statistics = store.statistics();
    let raw = statistics.tiers[&Tier::Raw];
    let rest: u64 = statistics.tiers.iter().filter(|(tier, _)| **tier != Tier::Raw).map(|(_, of)| of.bytes).sum();
    let queries = queries(&store, end, hours * HOUR / 100)?;
    let resident = resident()?.max(most);
    drop(store);
    fs::remove_dir_all(&path)?;
    Ok(format!(
        "{{\"samples\":{samples},\"samples_per_s\":{:.0},\"samples_per_s_with_compaction\":{:.0},\"bytes_per_sample\":{:.3},\
         \"bytes_per_sample_with_rollups\":{:.3},\"active_series\":{series},\"memory_per_series\":{},\"rss\":{resident},{queries}}}",
        samples as f64 / appending,
        samples as f64 / (appending + tending),
        raw.bytes as f64 / raw.samples as f64,
        (raw.bytes + rest) as f64 / raw.samples as f64,
        memory / series.max(1),
    ))
}

/// The processor time of some questions, in milliseconds; each is asked 50 times, about times so far apart.
fn queries(store: &Store, end: i64, apart: i64) -> Result<String, Failure> {
    let equal = |name: &str, value: &str| Matcher::new(name, Op::Equal, value);
    let cpu = equal(NAME, "container_cpu_usage_seconds_total")?;
    let one = [cpu.clone(), equal("instance", "10.0.0.7:8080")?];
    let questions = [
        ("one_hour_of_one", one.to_vec(), HOUR),
        ("one_day_of_one", one.to_vec(), DAY),
        ("one_hour_of_20", vec![cpu.clone()], HOUR),
        ("one_day_of_20", vec![cpu], DAY),
        ("one_day_of_80_buckets", vec![equal(NAME, "http_request_duration_seconds_bucket")?], DAY),
        ("one_hour_of_a_pattern", vec![Matcher::new(NAME, Op::Like, "container_memory_.*")?], HOUR),
        ("five_minutes_of_1200", vec![equal("job", "containers")?], HOUR / 12),
    ];
    let (mut out, mut all) = (Vec::new(), Vec::new());
    for (name, matchers, range) in questions {
        let mut times = Vec::new();
        for round in 0..50 {
            let to = end - round * apart;
            let before = processor();
            let found = store.select(&matchers, to - range, to)?;
            times.push((processor() - before) * 1000.0);
            assert!(!found.is_empty(), "{name} finds nothing");
        }
        times.sort_by(f64::total_cmp);
        out.push(format!("\"{name}\":{:.3}", times[25]));
        all.extend(times);
    }
    all.sort_by(f64::total_cmp);
    let (middle, high) = (all[all.len() / 2], all[all.len() * 99 / 100]);
    Ok(format!("\"query_p50\":{middle:.3},\"query_p99\":{high:.3},\"queries\":{{{}}}", out.join(",")))
}

fn write_openmetrics(path: &Path) -> Result<(), Failure> {
    let mut writer = Writer::new(Format::OpenMetrics);
    let mut all: Vec<Container> = (0..CONTAINERS).map(Container::new).collect();
    for at in (START..START + 2 * HOUR - STEP).step_by(STEP as usize) {
        for container in &mut all {
            let told = container.tell(at);
            for (labels, value) in container.series.iter().zip(&container.values) {
                writer.sample(labels, *value, Some(told));
            }
        }
    }
    Ok(fs::write(path, writer.finish())?)
}

fn read_openmetrics(path: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(path)?;
    let directory = directory("read")?;
    let (store, _) = Store::open(&directory, Options::default())?;
    let before = processor();
    let bounds = Bounds { samples: usize::MAX, ..Bounds::default() };
    let mut reader = Reader::new(&text, Format::OpenMetrics, bounds);
    let (mut batch, mut now) = (Batch::default(), START);
    while let Some(item) = reader.next() {
        if let Item::Sample(sample) = item? {
            now = sample.at.unwrap_or(now);
            batch.add(sample.series(), now, sample.value);
        }
        if batch.len() == CONTAINERS * SERIES.len() {
            store.append(&batch, now)?;
            batch.clear();
        }
    }
    let parsed = processor() - before;
    batch.clear();
    batch.add(Labels::new([(NAME, "later")]), START + 3 * HOUR, 0.0);
    store.append(&batch, START + 3 * HOUR)?;
    settle(&store, START + 3 * HOUR)?;
    let took = processor() - before;
    let raw = store.statistics().tiers[&Tier::Raw];
    drop(store);
    fs::remove_dir_all(&directory)?;
    println!(
        "{{\"samples\":{},\"read_and_append_s\":{parsed:.2},\"processor_s\":{took:.2},\"bytes\":{},\"bytes_per_sample\":{:.3}}}",
        raw.samples,
        raw.bytes,
        raw.bytes as f64 / raw.samples as f64
    );
    Ok(())
}

/// CSV files by the directory they are in; of a directory, all that are below.
fn by_directory(paths: Vec<PathBuf>) -> Result<BTreeMap<String, Vec<PathBuf>>, Failure> {
    let mut all: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut left: Vec<(PathBuf, Option<String>)> = paths.into_iter().map(|path| (path, None)).collect();
    while let Some((path, of)) = left.pop() {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for entry in fs::read_dir(&path)? {
                left.push((entry?.path(), of.clone().or_else(|| Some(name.clone()))));
            }
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            all.entry(of.unwrap_or_default()).or_default().push(path);
        }
    }
    Ok(all)
}

/// A sample of each column that is measured, each 5 minutes.
fn bytes_of_traces(files: &[PathBuf]) -> Result<f64, Failure> {
    const MEASURED: [&str; 7] = ["cpu_mhz", "mem_kb", "cpu_percent", "mem_percent", "value", "Value", "cpu_usage"];
    let mut columns: Vec<(Labels, Vec<f64>)> = Vec::new();
    for file in files {
        let text = fs::read_to_string(file)?;
        let mut lines = text.lines().map(|line| line.split(',').map(|field| field.trim_matches('"')));
        let names: Vec<&str> = lines.next().into_iter().flatten().collect();
        let rows: Vec<Vec<&str>> = lines.map(Iterator::collect).collect();
        for (at, name) in names.iter().enumerate().filter(|(_, name)| MEASURED.contains(name)) {
            let values = rows.iter().filter_map(|row| row.get(at)?.parse().ok()).collect();
            let labels = Labels::new([(NAME, *name), ("file", &file.to_string_lossy())]);
            columns.push((labels, values));
        }
    }
    let path = directory("traces")?;
    let (store, _) = Store::open(&path, Options::default())?;
    let longest = columns.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let mut batch = Batch::default();
    let mut now = START;
    for row in 0..longest {
        now = START + row as i64 * 300_000;
        batch.clear();
        for (labels, values) in columns.iter().filter(|(_, values)| row < values.len()) {
            batch.add(labels.clone(), now, values[row]);
        }
        store.append(&batch, now)?;
        store.tend(now)?;
    }
    settle(&store, now)?;
    let raw = store.statistics().tiers.get(&Tier::Raw).copied().unwrap_or_default();
    drop(store);
    fs::remove_dir_all(&path)?;
    Ok(raw.bytes as f64 / raw.samples.max(1) as f64)
}
