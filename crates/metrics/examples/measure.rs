//! What the store takes: `cargo run --release -p daybook-metrics --example measure [--hours H] [--write FILE] [CSV …]`.
//!
//! Generates what 20 containers with 60 series each tell every 15 seconds, appends it, lets it become blocks, asks for some of
//! it, and prints one JSON object as its last line. Rates are by processor time of this thread. Each directory that the CSV
//! files are in is kept as well, a sample of every column each 5 minutes, and its bytes for a sample are printed.
//! `--write FILE` writes two hours of it as OpenMetrics, for `promtool tsdb create-blocks-from openmetrics`.
//! `--read FILE` reads that, and says what it took.

#![allow(clippy::print_stdout, reason = "it is what this is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use daybook_metrics::exposition::{Bounds, Format, Item, Reader, Writer};
use daybook_metrics::store::{Batch, DAY, HOUR, Options, SeriesId, Store, Tier};
use daybook_metrics::{Labels, Matcher, NAME, Op, Source};

type Failure = Box<dyn Error>;

const CONTAINERS: usize = 20;
const STEP: i64 = 15_000;
/// Midnight of some day.
const START: i64 = 1_700_006_400_000;

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

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From zero to one.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Around zero, most of it within one.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }
}

/// How a value goes on.
#[derive(Clone, Copy)]
enum Shape {
    /// It stays.
    Constant(f64),
    /// It stays, but for one time in so many.
    Seldom(u64),
    /// Seconds of a processor in nanoseconds, by the load.
    Seconds(f64),
    /// Seconds of a processor in hundredths, by the load.
    Hundredths(f64),
    /// Events, by the load.
    Events(f64),
    /// Bytes that grow by the load, in units.
    Bytes(f64, f64),
    /// Bytes of memory in pages, which wander.
    Pages(f64),
    /// A small number that wanders.
    Few(f64),
    /// A share in hundredths of a percent.
    Percent,
    /// A duration in nanoseconds, each on its own.
    Duration(f64),
    /// The sum of durations, added one by one.
    Sum(f64),
    /// The time.
    Now,
}

use Shape::{Bytes, Constant, Duration, Events, Few, Hundredths, Now, Pages, Percent, Seconds, Seldom, Sum};

/// What a container tells, after cAdvisor and a program of its own.
const SERIES: [(&str, &str, &str, Shape); 60] = [
    ("container_cpu_usage_seconds_total", "cpu", "total", Seconds(1.0)),
    ("container_cpu_user_seconds_total", "", "", Hundredths(0.7)),
    ("container_cpu_system_seconds_total", "", "", Hundredths(0.3)),
    ("container_cpu_cfs_periods_total", "", "", Events(150.0)),
    ("container_cpu_cfs_throttled_periods_total", "", "", Seldom(40)),
    ("container_cpu_cfs_throttled_seconds_total", "", "", Seldom(40)),
    ("container_cpu_load_average_10s", "", "", Constant(0.0)),
    ("container_spec_cpu_period", "", "", Constant(100_000.0)),
    ("container_spec_cpu_quota", "", "", Constant(50_000.0)),
    ("container_spec_cpu_shares", "", "", Constant(512.0)),
    ("container_memory_usage_bytes", "", "", Pages(80e6)),
    ("container_memory_working_set_bytes", "", "", Pages(60e6)),
    ("container_memory_rss", "", "", Pages(50e6)),
    ("container_memory_cache", "", "", Pages(20e6)),
    ("container_memory_mapped_file", "", "", Seldom(20)),
    ("container_memory_swap", "", "", Constant(0.0)),
    ("container_memory_kernel_usage", "", "", Pages(3e6)),
    ("container_memory_max_usage_bytes", "", "", Seldom(100)),
    ("container_memory_failcnt", "", "", Constant(0.0)),
    ("container_memory_failures_total", "failure_type", "pgfault", Events(400.0)),
    ("container_memory_failures_total", "failure_type", "pgmajfault", Seldom(200)),
    ("container_spec_memory_limit_bytes", "", "", Constant(268_435_456.0)),
    ("container_spec_memory_reservation_limit_bytes", "", "", Constant(0.0)),
    ("container_spec_memory_swap_limit_bytes", "", "", Constant(0.0)),
    ("container_network_receive_bytes_total", "interface", "eth0", Bytes(40_000.0, 1.0)),
    ("container_network_transmit_bytes_total", "interface", "eth0", Bytes(90_000.0, 1.0)),
    ("container_network_receive_packets_total", "interface", "eth0", Events(120.0)),
    ("container_network_transmit_packets_total", "interface", "eth0", Events(140.0)),
    ("container_network_receive_errors_total", "interface", "eth0", Constant(0.0)),
    ("container_network_transmit_errors_total", "interface", "eth0", Constant(0.0)),
    ("container_network_receive_packets_dropped_total", "interface", "eth0", Constant(0.0)),
    ("container_network_transmit_packets_dropped_total", "interface", "eth0", Constant(0.0)),
    ("container_fs_reads_bytes_total", "device", "/dev/vda", Seldom(10)),
    ("container_fs_writes_bytes_total", "device", "/dev/vda", Bytes(60_000.0, 4096.0)),
    ("container_fs_reads_total", "device", "/dev/vda", Seldom(10)),
    ("container_fs_writes_total", "device", "/dev/vda", Events(12.0)),
    ("container_fs_usage_bytes", "device", "/dev/vda", Seldom(6)),
    ("container_fs_limit_bytes", "device", "/dev/vda", Constant(21_003_583_488.0)),
    ("container_fs_inodes_total", "device", "/dev/vda", Constant(1_310_720.0)),
    ("container_fs_inodes_free", "device", "/dev/vda", Seldom(30)),
    ("container_processes", "", "", Constant(3.0)),
    ("container_threads", "", "", Few(18.0)),
    ("container_file_descriptors", "", "", Few(40.0)),
    ("container_sockets", "", "", Few(12.0)),
    ("container_start_time_seconds", "", "", Constant(1_699_990_000.0)),
    ("container_last_seen", "", "", Now),
    ("container_restarts_total", "", "", Constant(1.0)),
    ("container_cpu_percent", "", "", Percent),
    ("http_requests_total", "code", "200", Events(300.0)),
    ("http_requests_total", "code", "404", Events(2.0)),
    ("http_requests_total", "code", "500", Seldom(60)),
    ("http_request_duration_seconds_bucket", "le", "0.005", Events(120.0)),
    ("http_request_duration_seconds_bucket", "le", "0.05", Events(250.0)),
    ("http_request_duration_seconds_bucket", "le", "0.5", Events(290.0)),
    ("http_request_duration_seconds_bucket", "le", "+Inf", Events(300.0)),
    ("http_request_duration_seconds_count", "", "", Events(300.0)),
    ("http_request_duration_seconds_sum", "", "", Sum(0.02)),
    ("up", "", "", Constant(1.0)),
    ("scrape_duration_seconds", "", "", Duration(0.006)),
    ("scrape_samples_scraped", "", "", Constant(57.0)),
];

/// A container, and what it told last.
struct Container {
    series: Vec<Labels>,
    values: Vec<f64>,
    known: Vec<Option<SeriesId>>,
    random: Random,
    load: f64,
}

impl Container {
    fn new(number: usize) -> Self {
        let labels = |(name, label, value, _): &(&str, &str, &str, Shape)| {
            let service = format!("service-{}", number / 2);
            let instance = format!("10.0.0.{number}:8080");
            let id = format!("/docker/{:064x}", Random(number as u64).next());
            Labels::new([
                (NAME, *name),
                ("job", "containers"),
                ("instance", &instance),
                ("environment", "production"),
                ("service", &service),
                ("id", &id),
                (label, value),
            ])
        };
        let mut random = Random(number as u64 + 1);
        let values = SERIES.map(|(.., shape)| match shape {
            Constant(value) => value,
            Pages(mean) => (mean / 4096.0).round() * 4096.0,
            Few(mean) => mean,
            Percent => 20.0,
            Seldom(_) => (random.share() * 4096.0).round() * 4096.0,
            _ => (random.share() * 1e6).round(),
        });
        let series: Vec<Labels> = SERIES.iter().map(labels).collect();
        Self { known: vec![None; series.len()], series, values: values.into(), random, load: 0.3 }
    }

    /// What it tells now, some milliseconds after it was asked.
    fn tell(&mut self, at: i64) -> i64 {
        let day = ((at - START) as f64 / DAY as f64 * std::f64::consts::TAU).sin();
        self.load = (self.load * 0.9 + 0.1 * (0.35 + 0.2 * day) + 0.02 * self.random.normal()).clamp(0.01, 2.0);
        for ((.., shape), value) in SERIES.iter().zip(&mut self.values) {
            let (random, load) = (&mut self.random, self.load);
            let noisy =
                |mean: f64, random: &mut Random| (mean * load + (mean * load).sqrt() * random.normal()).max(0.0);
            match *shape {
                Constant(_) => {}
                Seldom(times) => {
                    *value += if random.one_in(times) { (random.share() * 8.0).ceil() * 4096.0 } else { 0.0 }
                }
                Seconds(share) => {
                    *value = round(*value + load * share * 15.0 * (1.0 + 0.1 * random.normal()).max(0.0), 1e9);
                }
                Hundredths(share) => *value = round(*value + noisy(share * 15.0, random) * 0.9, 100.0),
                Events(mean) => *value += noisy(mean, random).round(),
                Bytes(mean, unit) => {
                    *value += (noisy(mean, random) / unit).round() * unit * (1.0 + 9.0 * f64::from(random.one_in(20)));
                }
                Pages(mean) => {
                    if random.one_in(3) {
                        let pull = (mean * (1.0 + 0.2 * load) - *value) * 0.02;
                        *value = ((*value + pull + mean * 0.002 * random.normal()) / 4096.0).round() * 4096.0;
                    }
                }
                Few(mean) => {
                    *value =
                        (*value + if random.one_in(5) { random.normal().round() } else { 0.0 }).clamp(1.0, mean * 2.0);
                }
                Percent => *value = round((load * 100.0 + random.normal()).max(0.0), 100.0),
                Duration(mean) => *value = round(mean * (1.0 + 0.3 * random.normal().abs()), 1e9),
                Sum(mean) => {
                    for _ in 0..noisy(300.0, random) as usize {
                        *value += round(mean * random.share(), 1e9);
                    }
                }
                Now => *value = (at / 1000) as f64,
            }
        }
        at + (self.random.share() * 5.0) as i64
    }
}

fn round(value: f64, units: f64) -> f64 {
    (value * units).round() / units
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
    for at in (START..START + hours * HOUR).step_by(STEP as usize) {
        for container in &mut all {
            let told = container.tell(at);
            batch.clear();
            for ((labels, known), value) in container.series.iter().zip(&container.known).zip(&container.values) {
                match known {
                    Some(known) => batch.add_known(*known, told, *value),
                    None => batch.add(labels.clone(), told, *value),
                }
            }
            let before = processor();
            samples += store.append(&batch, told)?.accepted;
            appending += processor() - before;
            if container.known[0].is_none() {
                container.known = container.series.iter().map(|labels| store.id(labels)).collect();
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
