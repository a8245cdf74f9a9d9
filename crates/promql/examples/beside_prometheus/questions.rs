//! What both are asked, how long it takes them, and whether they answer the same.

use std::collections::BTreeMap;
use std::time::Instant;

use daybook_metrics::store::{DAY, HOUR, MINUTE};
use serde_json::{Value, json};

use crate::peer::Server;
use crate::{Result, http};

/// Each is asked so many times, about other times.
const ROUNDS: i64 = 11;
/// So far apart, in milliseconds.
const APART: i64 = 7 * MINUTE;

/// About one time.
const INSTANT: [&str; 15] = [
    "up",
    r#"container_memory_working_set_bytes{instance="10.0.0.7:8080"}"#,
    "sum by (service) (container_memory_working_set_bytes)",
    "rate(http_requests_total[5m])",
    "sum by (service) (rate(http_requests_total[5m]))",
    r#"sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))"#,
    "histogram_quantile(0.95, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m])))",
    "topk(5, rate(container_cpu_usage_seconds_total[5m]))",
    r#"{__name__=~"container_memory_.*",service=~"service-[1-3]"}"#,
    "avg_over_time(container_memory_rss[1h])",
    "quantile_over_time(0.9, container_cpu_percent[6h])",
    "max_over_time(sum by (service) (container_memory_rss)[1h:1m])",
    "container_memory_working_set_bytes / on (instance) container_spec_memory_limit_bytes > 0.1",
    r#"count by (__name__) ({job="containers"})"#,
    "predict_linear(container_fs_usage_bytes[1h], 14400)",
];

/// Over a range of so many milliseconds, at each of such steps.
const RANGE: [(&str, i64, i64); 10] = [
    ("container_cpu_percent", HOUR, 15_000),
    ("sum by (service) (rate(http_requests_total[5m]))", HOUR, 15_000),
    ("histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))", HOUR, 15_000),
    ("topk(3, container_memory_working_set_bytes)", HOUR, 15_000),
    ("sum by (service) (rate(container_cpu_usage_seconds_total[5m]))", DAY, 5 * MINUTE),
    ("histogram_quantile(0.5, sum by (le, service) (rate(http_request_duration_seconds_bucket[5m])))", DAY, 5 * MINUTE),
    (r#"sum by (__name__) ({__name__=~"container_memory_(rss|cache)"})"#, DAY, 5 * MINUTE),
    (r#"rate(container_network_receive_bytes_total{service=~"service-(1|4)"}[10m])"#, DAY, 5 * MINUTE),
    ("max_over_time(container_threads[30m])", DAY, 5 * MINUTE),
    (
        r#"sum(rate(http_requests_total{code="500"}[30m])) / sum(rate(http_requests_total[30m])) > bool 0.001"#,
        DAY,
        5 * MINUTE,
    ),
];

/// Values by series and time.
type Answer = BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>>;

/// Asks both everything about times until `end`.
pub(crate) fn ask(ours: &Server, theirs: &Server, end: i64) -> Result<Value> {
    let instants = INSTANT.into_iter().map(|query| (query, None));
    let ranges = RANGE.into_iter().map(|(query, range, step)| (query, Some((range, step))));
    let mut all = Totals::default();
    for (query, range) in instants.chain(ranges) {
        all.ask([ours, theirs], query, range, end)?;
    }
    Ok(all.told())
}

/// What came of all questions; ours first.
#[derive(Default)]
struct Totals {
    queries: usize,
    answers: usize,
    equal: usize,
    milliseconds: [Vec<f64>; 2],
    processor: [Vec<f64>; 2],
}

impl Totals {
    fn ask(&mut self, servers: [&Server; 2], query: &str, range: Option<(i64, i64)>, end: i64) -> Result<()> {
        let mut times = [Vec::new(), Vec::new()];
        let mut equal = 0;
        let before = [servers[0].processor()?, servers[1].processor()?];
        for round in 0..ROUNDS {
            let target = target(query, range, end - round * APART);
            let mut answers = [Answer::new(), Answer::new()];
            // Who is first changes.
            for turn in 0..2 {
                let of = (turn + round as usize) % 2;
                let begun = Instant::now();
                let body = http::send(servers[of].port, &target, None)?;
                times[of].push(begun.elapsed().as_secs_f64() * 1000.0);
                answers[of] = read(&body)?;
            }
            let [ours, theirs] = &answers;
            if ours.is_empty() && !query.contains("> 0.1") {
                return Err(format!("{query} finds nothing").into());
            }
            equal += usize::from(is_equal(ours, theirs));
        }
        let after = [servers[0].processor()?, servers[1].processor()?];
        let wall = times.map(median);
        let processor = [0, 1].map(|of| (after[of] - before[of]) * 1000.0 / ROUNDS as f64);
        let over = range.map_or("now".to_owned(), |(range, step)| format!("{} h / {} s", range / HOUR, step / 1000));
        println!(
            "{:>8.2} ms {:>8.2} ms; processor {:>7.2} ms {:>7.2} ms; {equal:>2} of {ROUNDS} equal; {over:>12}: {query}",
            wall[0], wall[1], processor[0], processor[1],
        );
        self.queries += 1;
        self.answers += ROUNDS as usize;
        self.equal += equal;
        for of in 0..2 {
            self.milliseconds[of].push(wall[of]);
            self.processor[of].push(processor[of]);
        }
        Ok(())
    }

    fn told(self) -> Value {
        let slower =
            |times: &[Vec<f64>; 2]| times[0].iter().zip(&times[1]).filter(|(ours, theirs)| ours > theirs).count();
        let ratio = |times: &[Vec<f64>; 2]| median(times[0].iter().zip(&times[1]).map(|(a, b)| a / b).collect());
        json!({
            "queries": self.queries,
            "answers": self.answers,
            "equal": self.equal,
            "slower": slower(&self.milliseconds),
            "slower_by_processor": slower(&self.processor),
            "median_ratio": ratio(&self.milliseconds),
            "median_ratio_by_processor": ratio(&self.processor),
            "median_ms": self.milliseconds.map(median),
            "processor_ms": self.processor.map(|times| times.iter().sum::<f64>()),
        })
    }
}

fn target(query: &str, range: Option<(i64, i64)>, at: i64) -> String {
    let query = http::encode(query);
    let seconds = |at: i64| format!("{}.{:03}", at / 1000, at % 1000);
    match range {
        None => format!("/api/v1/query?query={query}&time={}", seconds(at)),
        Some((range, step)) => format!(
            "/api/v1/query_range?query={query}&start={}&end={}&step={}",
            seconds(at - range),
            seconds(at),
            seconds(step)
        ),
    }
}

fn read(body: &[u8]) -> Result<Answer> {
    let told: Value = serde_json::from_slice(body)?;
    let mut answer = Answer::new();
    for series in told["data"]["result"].as_array().ok_or("an answer has no series")? {
        let labels = series["metric"].as_object().ok_or("a series has no labels")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = labels.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let one = series.get("value").cloned().into_iter();
        let points = one.chain(series["values"].as_array().cloned().unwrap_or_default());
        answer.insert(labels, points.map(|point| at_and_value(&point)).collect::<Result<_>>()?);
    }
    Ok(answer)
}

fn at_and_value(point: &Value) -> Result<(i64, f64)> {
    let at = point[0].as_f64().ok_or("a value has no time")?;
    let value = point[1].as_str().ok_or("a value is no text")?.parse()?;
    Ok(((at * 1000.0).round() as i64, value))
}

/// Whether all series, times and values are the same, but for a billionth of a value.
fn is_equal(ours: &Answer, theirs: &Answer) -> bool {
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    let same = |a: &[(i64, f64)], b: &[(i64, f64)]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
    };
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
