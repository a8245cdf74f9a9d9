//! What was measured of an environment around the onset of an incident, as changes that may have caused it: more visitors
//! than usual, memory that grows, a machine that is used up, a database in trouble, a service that does not answer.
//!
//! Everything here is a question in PromQL and a decision of `daybook_decide::cause::measured`.

use std::collections::BTreeMap;

use daybook_decide::cause::measured::{self, Level, Step};
use daybook_decide::cause::{Change, DatabaseTrouble, Resource, Taker, What, Who};
use daybook_metrics::Labels;
use daybook_model::{DatabaseName, EnvKey, ServiceName, Timestamp};
use daybook_panels::Grid;
use daybook_promql::Point;
use daybook_runtime::{Error, ErrorKind};
use jiff::SignedDuration;

use super::ask::{NotAnswered, rows};
use super::suspect::WITHIN;
use super::tend::{MEASURE_EVERY, own_host};
use crate::App;
use crate::error::ApiError;

/// How long before an onset is looked at, and how long after it as finely.
const BEFORE: SignedDuration = SignedDuration::from_mins(45);
/// So many times of what comes later are looked at.
const LATER: i64 = 240;
/// So many times as many requests as usual are more, and so many times fewer are less.
const TRAFFIC: f64 = 2.0;
/// Changes of fewer requests a second mean nothing.
const TRAFFIC_LEAST: f64 = 1.0;
/// A machine whose processors are this busy makes everything on it slow; a share.
const BUSY: f64 = 0.9;
/// So much more of the processors than usual, a share of them, has begun at a time.
const BUSIER: f64 = 0.2;
/// Of memory, so much used is trouble; a share.
const MEMORY: f64 = 0.93;
/// Of a file system.
const DISK: f64 = 0.95;
/// Of what a replica may have, so much makes growth worth telling; a share.
const GROWN: f64 = 0.6;
/// Without a limit, this many bytes more make it so.
const GROWN_BYTES: f64 = 128.0 * 1024.0 * 1024.0;
/// Of the connections that a database lets in.
const CONNECTIONS: f64 = 0.85;
/// Statements that wait for one another, which are more than a moment's.
const WAITING: f64 = 2.0;
/// A statement that goes on for longer is none of those that answer users: seconds.
const LONG: f64 = 30.0;
/// So many times as slow as usual is slower.
const SLOWER: f64 = 3.0;
/// What takes less is felt by nobody: seconds.
const SLOW: f64 = 0.05;

/// A certificate that is valid for less than this may be what is felt.
const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Values over time, by the labels that were asked for.
type Rows = Vec<(Labels, Vec<(Timestamp, f64)>)>;

impl App {
    /// What was seen to begin around an onset, as far as it was measured.
    ///
    /// Without an environment: of the machine alone.
    pub(super) async fn seen(&self, key: Option<&EnvKey>, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let Some(key) = key else { return self.seen_machine(None, onset).await };
        let of = format!("app=\"{}\",env=\"{}\"", key.app, key.env);
        let mut all = Vec::new();
        all.extend(self.seen_traffic(&of, onset).await?);
        all.extend(self.seen_memory(&of, onset).await?);
        all.extend(self.seen_away(&of, onset).await?);
        all.extend(self.seen_databases(key, &of, onset).await?);
        all.extend(self.seen_certificates(&of, onset).await?);
        // Machines of a cluster are its own affair.
        if self.runs_here(key) {
            all.extend(self.seen_machine(Some(key), onset).await?);
        }
        Ok(all)
    }

    async fn seen_traffic(&self, of: &str, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let rows =
            self.over_time(&format!("sum by (service) (rate(daybook_http_requests_total{{{of}}}[1m]))"), onset).await?;
        let replicas = self.by_service(&format!("daybook_service_replicas{{{of}}}")).await;
        let mut all = Vec::new();
        for (service, points) in by_service(rows) {
            let Some(step) = measured::step(&points, onset, TRAFFIC) else { continue };
            if (step.now - step.usual).abs() < TRAFFIC_LEAST {
                continue;
            }
            let replicas = replicas.get(&service).copied().unwrap_or(1.0).max(1.0) as u32;
            let what = What::Traffic { usual: step.usual, now: step.now, replicas };
            // A rate over a minute passes the middle half a minute after what it measures.
            all.push(goes_on(
                step.at.checked_sub(SignedDuration::from_secs(30)).unwrap_or(step.at),
                what,
                Some(service),
            ));
        }
        Ok(all)
    }

    async fn seen_memory(&self, of: &str, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let rows = self.over_time(&format!("max by (service) (daybook_replica_memory_bytes{{{of}}})"), onset).await?;
        let limits = self.by_service(&format!("min by (service) (daybook_replica_memory_limit_bytes{{{of}}})")).await;
        let mut all = Vec::new();
        for (service, points) in by_service(rows) {
            let Some((at, from, to)) = measured::growth(&points) else { continue };
            let limit = limits.get(&service).copied();
            if limit.map_or(to - from < GROWN_BYTES, |limit| to < GROWN * limit) {
                continue;
            }
            let limit_bytes = limit.map(|limit| limit as u64);
            let what = What::MemoryGrowth { from_bytes: from as u64, to_bytes: to as u64, limit_bytes };
            all.push(goes_on(at, what, Some(service)));
        }
        Ok(all)
    }

    /// Services of which no replica answers.
    async fn seen_away(&self, of: &str, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let rows = self.over_time(&format!("1 - max by (service) (daybook_replica_up{{{of}}})"), onset).await?;
        let mut all = Vec::new();
        for (service, points) in by_service(rows) {
            if let Some((at, _)) = measured::over(&points, 1.0) {
                let what =
                    What::Dependency { name: service.to_string(), seen: "none of its replicas answers".to_owned() };
                all.push(goes_on(at, what, Some(service)));
            }
        }
        Ok(all)
    }

    async fn seen_databases(&self, key: &EnvKey, of: &str, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let mut all = Vec::new();
        let down = format!("1 - daybook_database_up{{{of}}}");
        let down = troubled(self.over_time(&down, onset).await?, 1.0);
        all.extend(down.map(|(database, at, _)| trouble(database, at, DatabaseTrouble::Down)));
        let most = self.number(&format!("max(daybook_database_max_connections{{{of}}})")).await.unwrap_or(0.0);
        let used = format!("daybook_database_connections{{{of}}} / daybook_database_max_connections{{{of}}}");
        for (database, at, share) in troubled(self.over_time(&used, onset).await?, CONNECTIONS) {
            let used = (share * most).round() as u32;
            all.push(trouble(database, at, DatabaseTrouble::Connections { used, most: most as u32 }));
        }
        let waiting = format!("daybook_database_waiting_statements{{{of}}}");
        for (database, at, count) in troubled(self.over_time(&waiting, onset).await?, WAITING) {
            let holder = tokio::time::timeout(WITHIN, self.lock_holder(key, &database)).await.ok().flatten();
            all.push(trouble(database, at, DatabaseTrouble::Locks { waiting: count as u32, holder }));
        }
        let longest = format!("daybook_database_longest_statement_seconds{{{of}}}");
        for (database, at, seconds) in troubled(self.over_time(&longest, onset).await?, LONG) {
            // When it was seen first, it had gone on for so long.
            let began = at.checked_sub(SignedDuration::from_secs(LONG as i64)).unwrap_or(at);
            all.push(trouble(database, began, DatabaseTrouble::Long { seconds: seconds as u32 }));
        }
        all.extend(self.seen_queries(of, onset).await?);
        Ok(all)
    }

    /// The query of each database that became slower than any other, for all its calls together.
    async fn seen_queries(&self, of: &str, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let rate = |what: &str| {
            format!("sum by (database, query, id) (rate(daybook_database_query_{what}_total{{{of}}}[3m]))")
        };
        let rows = self.over_time(&format!("{} / {}", rate("seconds"), rate("calls")), onset).await?;
        let mut slowest: BTreeMap<DatabaseName, (String, Step)> = BTreeMap::new();
        for (labels, points) in rows {
            let Ok(database) = labels.get("database").parse::<DatabaseName>() else { continue };
            let step = measured::step(&points, onset, SLOWER);
            let Some(step) = step.filter(|step| step.now > step.usual && step.now >= SLOW) else { continue };
            if slowest.get(&database).is_none_or(|(_, other)| other.now < step.now) {
                slowest.insert(database, (labels.get("query").to_owned(), step));
            }
        }
        let slow = slowest.into_iter().map(|(database, (query, step))| {
            let (usual_ms, now_ms) = (1000.0 * step.usual, 1000.0 * step.now);
            trouble(database, step.at, DatabaseTrouble::SlowQuery { query, usual_ms, now_ms })
        });
        Ok(slow.collect())
    }

    async fn seen_certificates(&self, of: &str, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let rows = self
            .over_time(
                &format!("max by (domain, service) (daybook_certificate_expiry_timestamp_seconds{{{of}}})"),
                onset,
            )
            .await?;
        let mut all = Vec::new();
        for (labels, points) in rows {
            let Some((_, expiry)) = points.last() else { continue };
            let Ok(expiry) = Timestamp::from_second(*expiry as i64) else { continue };
            if expiry <= self.now().checked_add(EXPIRES_SOON).unwrap_or(expiry) {
                let what = What::Certificate { name: labels.get("domain").to_owned(), until: expiry };
                all.push(goes_on(expiry.min(onset), what, labels.get("service").parse().ok()));
            }
        }
        Ok(all)
    }

    /// What the server's own machine has no more of, and who takes it.
    async fn seen_machine(&self, key: Option<&EnvKey>, onset: Timestamp) -> Result<Vec<Change>, ApiError> {
        let host = own_host();
        let of = format!("host=\"{host}\"");
        let mut all = Vec::new();
        let mut add = |at: Timestamp, resource, share: f64, most: Option<Taker>| {
            let what = What::Host { resource, percent: percent(share), most };
            all.push(Change { host: Some(host.clone()), ..goes_on(at, what, None) });
        };
        let cpus = format!("sum(daybook_host_cpus{{{of}}})");
        let busy = format!("1 - sum(rate(daybook_host_cpu_seconds_total{{{of},mode=~\"idle|iowait\"}}[1m])) / {cpus}");
        for (_, points) in self.over_time(&busy, onset).await? {
            let began = measured::step(&points, onset, 1.0 + BUSIER).filter(|step| step.now - step.usual >= BUSIER);
            if let (Some(step), Some((_, now))) = (began, measured::over(&points, BUSY)) {
                let shares = format!(
                    "sum by (app, env, service) (rate(daybook_replica_cpu_seconds_total[1m])) / scalar({cpus})"
                );
                let most = self.most(key, &shares, onset, measured::level(&points, onset)).await?;
                add(step.at, Resource::Cpu, now, most);
            }
        }
        let total = format!("daybook_host_memory_total_bytes{{{of}}}");
        let memory = format!("1 - daybook_host_memory_available_bytes{{{of}}} / {total}");
        for (_, points) in self.over_time(&memory, onset).await? {
            if let Some((at, now)) = measured::over(&points, MEMORY) {
                let shares =
                    format!("sum by (app, env, service) (daybook_replica_memory_bytes) / scalar(sum({total}))");
                let most = self.most(key, &shares, onset, measured::level(&points, onset)).await?;
                add(at, Resource::Memory, now, most);
            }
        }
        let disk =
            format!("1 - daybook_host_filesystem_avail_bytes{{{of}}} / daybook_host_filesystem_size_bytes{{{of}}}");
        for (_, points) in self.over_time(&disk, onset).await? {
            if let Some((at, now)) = measured::over(&points, DISK) {
                add(at, Resource::Disk, now, None);
            }
        }
        Ok(all)
    }

    /// Which service, of whatever environment, takes most of something, where `shares` asks for what each takes of a machine.
    async fn most(
        &self,
        key: Option<&EnvKey>,
        shares: &str,
        onset: Timestamp,
        all: Level,
    ) -> Result<Option<Taker>, ApiError> {
        let mut rows = self.over_time(shares, onset).await?;
        rows.retain(|(labels, _)| {
            let place = format!("{}/{}", labels.get("app"), labels.get("env")).parse::<EnvKey>();
            place.is_ok_and(|place| self.runs_here(&place))
        });
        let levels: Vec<_> = rows.iter().map(|(_, points)| measured::level(points, onset)).collect();
        let Some(first) = measured::most(&levels, all) else { return Ok(None) };
        let (labels, level) = (&rows[first].0, levels[first]);
        let (app, env, service) = (labels.get("app"), labels.get("env"), labels.get("service"));
        let is_own = key.is_some_and(|key| (app, env) == (key.app.as_str(), key.env.as_str()));
        let who = match service.parse::<ServiceName>() {
            Ok(service) if is_own => Who::Service(service),
            _ => Who::Neighbour(format!("{service} of {app}/{env}")),
        };
        Ok(Some(Taker { who, percent: percent(level.now), usual_percent: percent(level.usual) }))
    }

    async fn by_service(&self, question: &str) -> BTreeMap<ServiceName, f64> {
        let elements = self.vector(question).await;
        elements.into_iter().filter_map(|(labels, value)| Some((labels.get("service").parse().ok()?, value))).collect()
    }

    /// What a question answered at each time from a while before an onset until now; nothing where it cannot be answered.
    /// An error where that only took too long: without the answer, something else would be suspected.
    async fn over_time(&self, question: &str, onset: Timestamp) -> Result<Rows, ApiError> {
        let mut all: BTreeMap<Labels, Vec<(Timestamp, f64)>> = BTreeMap::new();
        for grid in grids(onset, self.now()) {
            let rows = match rows(&self.inner.observatory, question, grid, Some(WITHIN)).await {
                Ok(rows) => rows,
                Err(error @ NotAnswered::TooLong(_)) => {
                    return Err(Error::new(ErrorKind::Unavailable, "ask what was measured", error).into());
                }
                Err(NotAnswered::Unavailable(_)) => return Ok(Rows::new()),
                // Asking again would not help.
                Err(error) => {
                    tracing::warn!(question, %error, "what was measured is not compared with an incident");
                    return Ok(Rows::new());
                }
            };
            for row in rows {
                let float = |point: Point| {
                    let value = point.value.float().filter(|value| value.is_finite())?;
                    Some((Timestamp::from_millisecond(point.at).ok()?, value))
                };
                all.entry(row.labels).or_default().extend(row.points.into_iter().filter_map(float));
            }
        }
        Ok(all.into_iter().collect())
    }
}

/// The times that are asked for: finely around the onset, and after that as many as tell how it is now, however long
/// the incident goes on. The last is now.
fn grids(onset: Timestamp, now: Timestamp) -> Vec<Grid> {
    let (onset, now) = (onset.as_millisecond(), now.as_millisecond());
    let (around, step) = (BEFORE.as_millis() as i64, MEASURE_EVERY.as_millis() as i64);
    let until = now.min(onset + around);
    if until < onset - around {
        return Vec::new();
    }
    let mut all = vec![Grid { from: onset - around, to: until, step }];
    let left = now - until;
    if left >= step {
        let step = step.max(left / LATER);
        all.push(Grid { from: now - (left / step - 1) * step, to: now, step });
    }
    all
}

/// A share in percent.
fn percent(share: f64) -> u8 {
    (100.0 * share).round().clamp(0.0, 100.0) as u8
}

/// Databases of which something is over a bound: since when, and how much it is now.
fn troubled(rows: Rows, bound: f64) -> impl Iterator<Item = (DatabaseName, Timestamp, f64)> {
    rows.into_iter().filter_map(move |(labels, points)| {
        let (at, now) = measured::over(&points, bound)?;
        Some((labels.get("database").parse::<DatabaseName>().ok()?, at, now))
    })
}

/// Trouble of a database; the service of its name runs it.
fn trouble(database: DatabaseName, at: Timestamp, trouble: DatabaseTrouble) -> Change {
    let service = database.as_str().parse().ok();
    goes_on(at, What::Database { database, trouble }, service)
}

fn by_service(rows: Rows) -> impl Iterator<Item = (ServiceName, Vec<(Timestamp, f64)>)> {
    rows.into_iter().filter_map(|(labels, points)| Some((labels.get("service").parse().ok()?, points)))
}

/// What began at a time and has not ended.
fn goes_on(at: Timestamp, what: What, service: Option<ServiceName>) -> Change {
    Change { at, ended: None, what, services: service.into_iter().collect(), host: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_an_incident_goes_on_few_times_are_asked_for() {
        let onset = Timestamp::from_second(1_790_000_000).unwrap();
        for (minutes, count) in [(5, 1), (45, 1), (46, 2), (24 * 60, 2), (90 * 24 * 60, 2)] {
            let now = onset + SignedDuration::from_mins(minutes);
            let all = grids(onset, now);
            assert_eq!(all.len(), count, "{minutes} minutes");
            let points: i64 = all.iter().map(|grid| (grid.to - grid.from) / grid.step + 1).sum();
            assert!(points <= 800, "{points} points of {minutes} minutes");
            assert_eq!(all[0].from, (onset - BEFORE).as_millisecond());
            let last = &all[count - 1];
            let (end, is_last) = (now.as_millisecond(), (last.to - last.from) % last.step == 0);
            assert!(last.to == end && is_last, "{minutes} minutes: the last is not now");
            assert!(all.windows(2).all(|two| two[0].to < two[1].from), "{minutes} minutes: times come twice");
        }
        assert!(grids(onset, onset - SignedDuration::from_hours(1)).is_empty(), "a clock was set back");
    }
}
