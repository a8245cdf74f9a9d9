//! What the store takes, beside `grep` on zstd files: `LINES=200000 cargo run --release -p daybook-logs --example measure_logs`.
//!
//! Generates lines of several services (access logs, JSON, logfmt, plain, stack traces), 10 million unless `LINES` says
//! otherwise, and keeps them. Then the same lines are written into zstd files, one for each service and hour, with the time and the
//! replica in front. Three things are searched for in both, warm: the request id of two lines, a pattern that finds few lines, the
//! errors of one service in ten minutes, for which `grep` gets only the files of that service and hour. Both have to find equally
//! many lines. Rates are by processor time of this thread, searches by the clock. The last line is one JSON object.

#![allow(clippy::print_stdout, reason = "it is what this is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use daybook_logs::query::Query;
use daybook_logs::store::{HOUR, MINUTE, Options, SECOND, Statistics, Store};
use daybook_logs::{Line, Stream};

type Failure = Box<dyn Error>;

/// Midnight of some day, in microseconds.
const START: i64 = 1_700_006_400_000_000;
/// So many lines are handed over at a time.
const BATCH: usize = 500;
/// A line comes each so many microseconds, on average: 10 million in 28 hours.
const GAP: u64 = 10_000;
/// Each search is done so many times.
const ROUNDS: usize = 5;

const SERVICES: [&str; 4] = ["proxy", "web", "api", "worker"];
const REPLICAS: u64 = 3;

fn main() -> Result<(), Failure> {
    let lines = std::env::var("LINES").ok().map(|lines| lines.parse()).transpose()?.unwrap_or(10_000_000);
    let directory = std::env::temp_dir().join(format!("daybook-measure-logs-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let measured = measure(&directory, lines);
    fs::remove_dir_all(&directory)?;
    println!("{}", measured?);
    Ok(())
}

fn measure(directory: &Path, lines: u64) -> Result<String, Failure> {
    let (store, ingested) = ingest(&directory.join("store"), lines)?;
    let statistics = store.statistics();
    println!("{lines} lines are kept: {}", ingested.json(&statistics));
    let files = ZstdFiles::write(&directory.join("files"), lines)?;
    println!("{:.2} bytes a line in {} zstd files", files.bytes as f64 / lines as f64, files.all.len());
    let mut searches = Vec::new();
    for search in searches_of(lines) {
        searches.push(search.run(&store, &files)?);
        println!("{}", searches[searches.len() - 1]);
    }
    Ok(format!(
        "{{\"lines\":{lines},{},\"zstd_bytes_per_line\":{:.2},{}}}",
        ingested.json(&statistics),
        files.bytes as f64 / lines as f64,
        searches.join(",")
    ))
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((bound as f64).powf(share) - 1.0) as u64
    }
}

fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The id of a request, which two services name.
fn request(number: u64) -> String {
    format!("{:016x}{:016x}", mixed(number + 1), mixed(number + 1).wrapping_mul(0x2545_f491_4f6c_dd1d))
}

/// A line that somebody printed.
struct Printed {
    at: i64,
    service: usize,
    replica: u64,
    text: String,
}

/// Lines as they come; each run has the same.
struct Generator {
    random: Random,
    at: i64,
    number: u64,
    requests: u64,
    /// The rest of a stack trace.
    trace: u64,
    replica: u64,
    /// Whether the next plain line is one that is seldom.
    seldom: bool,
}

impl Generator {
    fn new() -> Self {
        Self { random: Random(1), at: START, number: 0, requests: 0, trace: 0, replica: 0, seldom: false }
    }

    fn next(&mut self) -> Printed {
        self.at += self.random.below(2 * GAP) as i64;
        self.number += 1;
        self.seldom |= self.number % 1_999_993 == 77_777;
        let (service, text) = if self.trace > 0 {
            self.trace -= 1;
            (3, self.frame())
        } else {
            self.replica = self.random.below(REPLICAS);
            match self.random.below(100) {
                0..35 => (0, self.access()),
                35..65 => (1, self.json()),
                65..88 => (2, self.logfmt()),
                _ => (3, self.plain()),
            }
        };
        Printed { at: self.at, service, replica: self.replica, text }
    }

    fn path(&mut self) -> String {
        match self.random.skewed(8) {
            0 => "/".to_owned(),
            1 => format!("/products/{}", self.random.skewed(5000)),
            2 => "/cart".to_owned(),
            3 => format!("/orders/{}", 100_000 + self.random.below(900_000)),
            4 => format!("/search?q={}", WORDS[self.random.skewed(WORDS.len() as u64) as usize]),
            5 => "/healthz".to_owned(),
            _ => format!("/static/app.{:08x}.js", mixed(self.random.skewed(40)) as u32),
        }
    }

    fn status(&mut self) -> u64 {
        match self.random.below(1000) {
            0..920 => 200,
            920..950 => 304,
            950..980 => 404,
            980..993 => 302,
            993..997 => 500,
            _ => 503,
        }
    }

    fn access(&mut self) -> String {
        self.requests += 1;
        let second = (self.at - START) / SECOND;
        let (day, hour, minute, second) = (15 + second / 86400, second / 3600 % 24, second / 60 % 60, second % 60);
        let client = mixed(self.random.skewed(20_000));
        let agent = AGENTS[self.random.skewed(AGENTS.len() as u64) as usize];
        format!(
            "{}.{}.{}.{} - - [{day}/Nov/2023:{hour:02}:{minute:02}:{second:02} +0000] \"GET {} HTTP/1.1\" {} {} \"https://shop.example.com/\" \"{agent}\" {}",
            client & 0xff,
            client >> 8 & 0xff,
            client >> 16 & 0xff,
            client >> 24 & 0xff,
            self.path(),
            self.status(),
            self.random.skewed(60_000),
            request(self.requests),
        )
    }

    fn json(&mut self) -> String {
        let status = self.status();
        let level = if status >= 500 { 50 } else { 30 };
        let took = self.random.skewed(400_000) as f64 / 1000.0;
        let time = self.at / 1000;
        // A request that the proxy had lately.
        let id = request(self.requests.saturating_sub(self.random.below(3)));
        let (path, user) = (self.path(), self.random.skewed(200_000));
        format!(
            "{{\"level\":{level},\"time\":{time},\"pid\":17,\"hostname\":\"web-{}\",\"req\":{{\"id\":\"{id}\",\"method\":\"GET\",\"url\":\"{path}\"}},\"res\":{{\"statusCode\":{status}}},\"user\":{user},\"responseTime\":{took},\"msg\":\"request completed\"}}",
            self.replica,
        )
    }

    fn logfmt(&mut self) -> String {
        let id = self.random.next();
        let took = self.random.skewed(200_000) as f64 / 1000.0;
        let (level, message) = match self.random.below(1000) {
            0..700 => ("info", "query done"),
            700..950 => ("debug", "cache hit"),
            950..990 => ("warn", "slow query"),
            _ => ("error", "connection to database lost, trying again"),
        };
        let (table, rows) = (TABLES[self.random.skewed(TABLES.len() as u64) as usize], self.random.skewed(1000));
        format!("level={level} msg=\"{message}\" table={table} rows={rows} took={took}ms request_id={id:016x}")
    }

    fn plain(&mut self) -> String {
        let job = self.random.below(10_000_000);
        if std::mem::take(&mut self.seldom) {
            return format!("ERROR payments: card was declined: code=DX-{} gateway=north", 1000 + job % 9000);
        }
        match self.random.below(1000) {
            0..600 => format!("INFO jobs: job {job} of queue mail was done in {} ms", self.random.skewed(9000)),
            600..900 => format!("INFO jobs: job {job} of queue {} was taken", TABLES[(job % 6) as usize]),
            900..980 => format!("WARN jobs: job {job} is tried again, attempt {}", 2 + job % 4),
            _ => {
                self.trace = 4 + self.random.below(12);
                format!("ERROR jobs: job {job} failed: TypeError: cannot read property 'total' of undefined")
            }
        }
    }

    fn frame(&mut self) -> String {
        let at = self.random.skewed(12) as usize;
        format!("    at {}.{} (/app/src/{}.js:{}:17)", TABLES[at % 6], WORDS[at], TABLES[at % 6], 20 + at * 37)
    }
}

const WORDS: [&str; 12] =
    ["shoes", "socks", "jacket", "hat", "scarf", "gloves", "belt", "shirt", "trousers", "boots", "sandals", "umbrella"];
const TABLES: [&str; 6] = ["orders", "products", "users", "sessions", "payments", "stock"];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/119.0",
    "curl/8.4.0",
];

/// The processor time of this thread, in seconds.
fn processor() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that this process had, in bytes.
fn peak() -> Result<u64, Failure> {
    let said = fs::read_to_string("/proc/self/status")?;
    let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("VmHWM is missing")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

/// What it took to keep all lines.
struct Ingested {
    lines: u64,
    appending: f64,
    with_tending: f64,
    memory: usize,
    peak: u64,
}

fn ingest(path: &Path, lines: u64) -> Result<(Store, Ingested), Failure> {
    let (store, _) = Store::open(path, Options::default())?;
    let streams: Vec<Vec<Stream>> = SERVICES
        .iter()
        .map(|service| {
            let labels = |replica: u64| {
                let replica = format!("{service}-{replica}");
                [("app", "shop"), ("environment", "production"), ("release", "41")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into_iter()
                    .chain([("service".to_owned(), (*service).to_owned()), ("replica".to_owned(), replica)])
            };
            (0..REPLICAS).map(|replica| Stream::new(labels(replica))).collect()
        })
        .collect();
    let mut ingested = Ingested { lines, appending: 0.0, with_tending: 0.0, memory: 0, peak: 0 };
    let mut generator = Generator::new();
    let mut left = lines;
    while left > 0 {
        let printed: Vec<Printed> = (0..left.min(BATCH as u64)).map(|_| generator.next()).collect();
        left -= printed.len() as u64;
        let before = processor();
        let batch: Vec<Line> = printed
            .into_iter()
            .map(|one| Line::read(one.at, streams[one.service][one.replica as usize].clone(), one.text))
            .collect();
        let receipt = store.append(&batch, generator.at)?;
        assert_eq!(receipt.accepted, batch.len() as u64, "lines are dropped");
        ingested.appending += processor() - before;
        while store.tend(generator.at)?.is_some() {}
        ingested.with_tending += processor() - before;
        if left.is_multiple_of(BATCH as u64 * 20) {
            ingested.memory = ingested.memory.max(store.statistics().memory);
        }
    }
    ingested.peak = peak()?;
    Ok((store, ingested))
}

impl Ingested {
    fn json(&self, statistics: &Statistics) -> String {
        format!(
            "\"lines_per_s\":{:.0},\"lines_per_s_without_blocks\":{:.0},\"plain_bytes_per_line\":{:.1},\"bytes_per_line\":{:.2},\
             \"blocks\":{},\"memory\":{},\"peak_rss\":{}",
            self.lines as f64 / self.with_tending,
            self.lines as f64 / self.appending,
            statistics.plain as f64 / statistics.lines.max(1) as f64,
            statistics.bytes as f64 / statistics.lines.max(1) as f64,
            statistics.blocks,
            self.memory,
            self.peak,
        )
    }
}

/// The same lines for `grep`.
struct ZstdFiles {
    /// By service and hour.
    all: BTreeMap<(usize, i64), PathBuf>,
    bytes: u64,
}

type Encoder = zstd::stream::write::Encoder<'static, BufWriter<File>>;

impl ZstdFiles {
    fn write(directory: &Path, lines: u64) -> Result<Self, Failure> {
        fs::create_dir_all(directory)?;
        let mut all = BTreeMap::new();
        let mut open: Vec<Option<(i64, Encoder)>> = SERVICES.map(|_| None).into();
        let mut generator = Generator::new();
        for _ in 0..lines {
            let one = generator.next();
            let hour = (one.at - START) / HOUR;
            if open[one.service].as_ref().is_none_or(|(of, _)| *of != hour) {
                let path = directory.join(format!("{}-{hour:04}.log.zst", SERVICES[one.service]));
                let encoder = Encoder::new(BufWriter::new(File::create(&path)?), 3)?;
                all.insert((one.service, hour), path);
                if let Some((_, before)) = open[one.service].replace((hour, encoder)) {
                    before.finish()?.flush()?;
                }
            }
            if let Some((_, file)) = &mut open[one.service] {
                writeln!(file, "{} {}-{} {}", one.at, SERVICES[one.service], one.replica, one.text)?;
            }
        }
        for (_, file) in open.into_iter().flatten() {
            file.finish()?.flush()?;
        }
        let mut bytes = 0;
        for path in all.values() {
            bytes += fs::metadata(path)?.len();
        }
        Ok(Self { all, bytes })
    }

    /// How many lines `zstd -dc FILES | grep ARGUMENTS` finds.
    fn grep(&self, of: impl Fn(usize, i64) -> bool, arguments: &[&str]) -> Result<String, Failure> {
        let files = self.all.iter().filter(|((service, hour), _)| of(*service, *hour)).map(|(_, path)| path);
        let mut zstd = Command::new("zstd").arg("-dcq").args(files).stdout(Stdio::piped()).spawn()?;
        let input = zstd.stdout.take().ok_or("zstd has no output")?;
        let found = Command::new("grep").args(arguments).env("LC_ALL", "C").stdin(input).output()?;
        if !zstd.wait()?.success() || found.status.code().is_none_or(|code| code > 1) {
            return Err("`zstd -dc | grep` failed".into());
        }
        Ok(String::from_utf8(found.stdout)?)
    }
}

/// One search, as the store and as `grep` are asked.
struct Search {
    name: &'static str,
    query: String,
    pattern: Vec<String>,
    /// Of which service, and in which ten minutes.
    bound: Option<(usize, i64)>,
}

fn searches_of(lines: u64) -> [Search; 3] {
    let mut generator = Generator::new();
    let mut middle = 0;
    for _ in 0..lines / 3 {
        middle = generator.next().at;
    }
    // The request of an access log that both the proxy and others name.
    let id = request(generator.requests);
    let fixed = |text: &str| vec!["-F".to_owned(), "--".to_owned(), text.to_owned()];
    let window = (middle - middle.rem_euclid(HOUR)).max(START) + 20 * MINUTE;
    [
        Search { name: "request_id", query: id.clone(), pattern: fixed(&id), bound: None },
        Search {
            name: "pattern",
            query: r"/declined: code=DX-\d+ gateway/".to_owned(),
            pattern: ["-E", "--", "declined: code=DX-[0-9]+ gateway"].map(ToOwned::to_owned).into(),
            bound: None,
        },
        Search {
            name: "errors_of_a_service_in_10_minutes",
            query: "level>=error service:api".to_owned(),
            pattern: ["-E", "--", "level=(error|fatal)"].map(ToOwned::to_owned).into(),
            bound: Some((2, window)),
        },
    ]
}

impl Search {
    fn run(&self, store: &Store, files: &ZstdFiles) -> Result<String, Failure> {
        let mut query = Query { limit: 100_000, ..Query::parse(&self.query)? };
        if let Some((_, from)) = self.bound {
            (query.from, query.to) = (from, from + 10 * MINUTE - 1);
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let (mut found, mut scanned) = (0, daybook_logs::store::Scanned::default());
        let mut grepped = 0;
        for _ in 0..ROUNDS {
            let before = Instant::now();
            let page = store.search(&query, &|| false)?;
            ours.push(before.elapsed().as_secs_f64() * 1000.0);
            (found, scanned) = (page.lines.len(), page.scanned);
            let arguments: Vec<&str> = self.pattern.iter().map(String::as_str).collect();
            let before = Instant::now();
            let lines = match self.bound {
                None => files.grep(|_, _| true, &arguments)?,
                Some((of, from)) => {
                    files.grep(|service, hour| service == of && hour == (from - START) / HOUR, &arguments)?
                }
            };
            theirs.push(before.elapsed().as_secs_f64() * 1000.0);
            let at = |line: &str| line.split(' ').next().and_then(|at| at.parse::<i64>().ok()).unwrap_or_default();
            grepped = lines.lines().filter(|line| (query.from..=query.to).contains(&at(line))).count();
        }
        assert_eq!(found, grepped, "{}: both find the same", self.name);
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        Ok(format!(
            "\"{}\":{{\"ms\":{:.2},\"grep_ms\":{:.1},\"found\":{found},\"chunks\":{},\"ruled_out\":{}}}",
            self.name,
            median(&mut ours),
            median(&mut theirs),
            scanned.chunks,
            scanned.ruled_out,
        ))
    }
}
