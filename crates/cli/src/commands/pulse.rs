//! What services did over the last hour, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_api::Client;
use daybook_api::query::{MatrixRow, QueryAnswer, QueryData};
use daybook_model::{EnvKey, Timestamp};
use daybook_panels::{Grid, Unit, last, sparkline};
use futures::future::join_all;
use serde::Serialize;

use super::query::{over, placed};
use crate::output::table::Table;

/// Over how much time.
const SPAN: i64 = 3_600_000;

/// How long an answer is waited for: what people asked for is there already.
const WITHIN: Duration = Duration::from_secs(2);

/// How many numbers a line in a table has.
pub(super) const SPARK: i64 = 20;

/// One service. Where nothing was measured there is a gap.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Pulse {
    /// Its name.
    pub(super) service: String,
    /// Requests in each second.
    pub(super) requests_per_second: Vec<Option<f64>>,
    /// The share of requests that failed through no fault of the client; a gap where there were none.
    pub(super) failed_share: Vec<Option<f64>>,
    /// What 95 of 100 answers took at most, in seconds.
    pub(super) p95_seconds: Vec<Option<f64>>,
    /// Cores that its replicas used.
    pub(super) cpu_cores: Vec<Option<f64>>,
    /// Memory of its replicas.
    pub(super) memory_bytes: Vec<Option<f64>>,
}

/// Where the numbers of a measure belong.
type Place = fn(&mut Pulse) -> &mut Vec<Option<f64>>;

/// The measures: `OF` is which environment, `WIN` how much time a rate is of.
const MEASURES: [(&str, Place); 5] = [
    ("sum by (service) (rate(daybook_http_requests_total{OF}[WIN]))", |pulse| &mut pulse.requests_per_second),
    (
        "sum by (service) (rate(daybook_http_requests_total{OF,code=~\"5..|5xx\"}[WIN])) / sum by (service) (rate(daybook_http_requests_total{OF}[WIN]))",
        |pulse| &mut pulse.failed_share,
    ),
    (
        "histogram_quantile(0.95, sum by (service, le) (rate(daybook_http_request_duration_seconds_bucket{OF}[WIN])))",
        |pulse| &mut pulse.p95_seconds,
    ),
    ("sum by (service) (rate(daybook_replica_cpu_seconds_total{OF}[WIN]))", |pulse| &mut pulse.cpu_cores),
    ("sum by (service) (daybook_replica_memory_bytes{OF})", |pulse| &mut pulse.memory_bytes),
];

/// What each service of an environment did over the last hour, in about `count` numbers, by name. What cannot be told, or not soon,
/// is left out: nobody has to know it.
pub(super) async fn pulses(client: &Client, key: &EnvKey, now: Timestamp, count: i64) -> Vec<Pulse> {
    let grid = Grid::stepped(now.as_millisecond(), SPAN, count);
    let of = format!("app=\"{}\",env=\"{}\"", key.app, key.env);
    let window = format!("{}s", (grid.step / 1_000).max(60));
    let asked = MEASURES.map(|(query, _)| ask(client, query.replace("OF", &of).replace("WIN", &window), grid));
    let mut pulses: BTreeMap<String, Pulse> = BTreeMap::new();
    for (rows, (_, place)) in join_all(asked).await.into_iter().zip(MEASURES) {
        for row in rows {
            let Some(service) = row.metric.get("service") else { continue };
            let pulse = pulses.entry(service.clone()).or_default();
            pulse.service.clone_from(service);
            *place(pulse) = placed(&row, grid);
        }
    }
    pulses.into_values().collect()
}

/// What a question answers over time; nothing if it cannot be answered, or not soon.
async fn ask(client: &Client, query: String, grid: Grid) -> Vec<MatrixRow> {
    let query = over(query, grid);
    match tokio::time::timeout(WITHIN, client.query_range(&query)).await {
        Ok(Ok(QueryAnswer { data: QueryData::Matrix(rows), .. })) => rows,
        _ => Vec::new(),
    }
}

/// A line over time and its newest number.
fn cell(numbers: &[Option<f64>], unit: Unit) -> String {
    last(numbers).map_or(String::new(), |last| format!("{} {}", sparkline(numbers.iter().copied()), unit.show(last)))
}

/// What users felt: services that had requests.
pub(super) fn felt(pulses: &[Pulse]) -> String {
    let mut table = Table::new(&["LAST HOUR", "REQUESTS", "FAILED", "P95"]);
    let had_requests = |pulse: &&Pulse| pulse.requests_per_second.iter().flatten().any(|rate| *rate > 0.0);
    let mut felt = pulses.iter().filter(had_requests).peekable();
    if felt.peek().is_none() {
        return String::new();
    }
    for pulse in felt {
        table.row([
            pulse.service.clone(),
            cell(&pulse.requests_per_second, Unit::RequestsPerSecond),
            cell(&pulse.failed_share, Unit::Share),
            cell(&pulse.p95_seconds, Unit::Seconds),
        ]);
    }
    format!("\n{}", table.render())
}

/// What services used.
pub(super) fn used(pulses: &[Pulse]) -> String {
    let mut table = Table::new(&["LAST HOUR", "CPU", "MEMORY"]);
    let mut known = pulses.iter().filter(|pulse| last(&pulse.memory_bytes).is_some()).peekable();
    if known.peek().is_none() {
        return String::new();
    }
    for pulse in known {
        let cells = [cell(&pulse.cpu_cores, Unit::Number), cell(&pulse.memory_bytes, Unit::Bytes)];
        table.row([pulse.service.clone()].into_iter().chain(cells));
    }
    format!("\n{}", table.render())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::output::style::plain;

    pub(in crate::commands) fn shop() -> Vec<Pulse> {
        let line = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
        let web = Pulse {
            service: "web".to_owned(),
            requests_per_second: line(&[2.0, 4.0, 8.0, 12.0, 11.0]),
            failed_share: vec![None, Some(0.0), Some(0.0), Some(0.25), Some(0.02)],
            p95_seconds: line(&[0.01, 0.012, 0.011, 0.09, 0.014]),
            cpu_cores: line(&[0.1, 0.2, 0.3, 0.2, 0.21]),
            memory_bytes: line(&[5e7, 6e7, 6.2e7, 6.4e7, 6.5e7]),
        };
        let worker = Pulse {
            service: "worker".to_owned(),
            cpu_cores: line(&[0.0, 0.0]),
            memory_bytes: line(&[1e7, 1e7]),
            ..Pulse::default()
        };
        vec![web, worker]
    }

    #[test]
    fn the_last_hour_is_small_and_quiet() {
        insta::assert_snapshot!(plain(felt(&shop()).trim_start()), @r"
        LAST HOUR  REQUESTS    FAILED     P95
        web        ▁▂▅█▇ 11/s  ·▁▁█▁ 2 %  ▁▁▁█▁ 14 ms
        ");
        insta::assert_snapshot!(plain(used(&shop()).trim_start()), @r"
        LAST HOUR  CPU         MEMORY
        web        ▁▄█▄▄ 0.21  ▁▅▆▇█ 62 MB
        worker     ▁▁ 0        ▄▄ 9.54 MB
        ");
        assert_eq!(felt(&shop()[1..]), "", "who has no requests is not told of");
    }
}
