//! A lane: what a receiver was not sent is read, and handed over until it has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use daybook_ingest::otlp::{self, export};
use daybook_ingest::remote::{self, Backoff, Verdict, Version, verdict};
use daybook_ingest::{Metadata, loki};
use daybook_logs::Kept;
use daybook_logs::query::{Condition, Direction, Op, Query};
use daybook_metrics::{Labels, Series, Source as _};
use daybook_model::EnvKey;
use daybook_rules::builtin::of_series;
use tokio::time::Instant;

use super::place::{Times, Way, next_lines};
use super::record::record;
use super::{Kind, Lane, Leads, Opened};
use crate::App;
use crate::observe::lock;

/// Between two looks at what is new.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Samples of one request.
const SAMPLES: usize = 2_000;
/// Bytes of lines of one request.
const BYTES: usize = 1 << 20;
/// What is said of metrics is said again.
const TELL_AGAIN: Duration = Duration::from_secs(600);
/// How long a receiver is left alone that takes nothing.
const BACKOFF: Backoff = Backoff { least: 500, most: 15_000 };
/// What is answered 500, and nothing else, for so long is what its receiver breaks at: it is given up.
const GIVE_UP_500: Duration = Duration::from_secs(600);
/// How far lines are is written down once it is so many further, if none of them was sent: so many are looked at again at most.
const MOVED: u64 = 10_000;
/// The labels of a line's stream that go along.
const LABELS: [&str; 4] = ["app", "environment", "service", "replica"];

/// Why a lane does not go on now.
enum Stopped {
    /// Where it leads is another one, or none.
    Changed,
    /// Something here cannot be read.
    Unreadable(String),
}

/// Something to be posted, and how many samples or lines are in it.
struct Parcel {
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    count: usize,
}

impl App {
    /// Hands over what is new again and again, until nothing leads there any more.
    pub(super) async fn run_lane(self, lane: Lane) -> Lane {
        let mut told: Option<Instant> = None;
        let mut kept = 0;
        loop {
            let Some(leads) = self.leads(&lane) else { return lane };
            let passed = match (&*leads, lane.1) {
                (Err(why), _) => Err(Stopped::Unreadable(why.clone())),
                (Ok(outlet), Kind::Metrics) => self.pass_samples(&lane, &leads, outlet, &mut told).await,
                (Ok(outlet), Kind::Logs(way)) => self.pass_lines((&lane, way), &leads, outlet, &mut kept).await,
            };
            match passed {
                Ok(()) => self.see(&lane, |seen| (seen.waits_since, seen.fails) = (None, None)),
                Err(Stopped::Changed) => {
                    self.see(&lane, |seen| seen.fails = None);
                    continue;
                }
                Err(Stopped::Unreadable(why)) => self.fails(&lane, why),
            }
            self.wait_or_change(&lane, &leads, LOOK_EVERY).await;
        }
    }

    /// Sends all samples that are due.
    async fn pass_samples(
        &self,
        lane: &Lane,
        leads: &Leads,
        outlet: &Opened,
        told: &mut Option<Instant>,
    ) -> Result<(), Stopped> {
        let key = &lane.0;
        let mut has_moved = false;
        while let Some((times, (from, to))) = self.due(key) {
            let series = self.samples_of(key, outlet, from, to).await?;
            if !series.is_empty() {
                let metadata = if told.is_none_or(|at| at.elapsed() > TELL_AGAIN) {
                    *told = Some(Instant::now());
                    self.about(&series)
                } else {
                    Vec::new()
                };
                self.set_times(key, times.sending(to));
                self.keep_places().await;
                for request in remote::requests(Version::One, &series, &metadata, SAMPLES) {
                    let headers = request.version.headers().to_vec();
                    let parcel = Parcel { headers, body: request.body, count: request.samples };
                    self.hand_over(lane, leads, outlet, parcel).await?;
                }
                has_moved = true;
            }
            self.set_times(key, times.sent(to));
        }
        if has_moved {
            self.keep_places().await;
        }
        Ok(())
    }

    /// How far samples are, and the times that are sent next.
    fn due(&self, key: &EnvKey) -> Option<(Times, (i64, i64))> {
        let times = self.forwarding().places.lock().get(key)?.metrics?;
        Some((times, times.next(self.now().as_millisecond())?))
    }

    /// Whoever is not sent anything any more has no place.
    fn set_times(&self, key: &EnvKey, times: Times) {
        if let Some(place) = self.forwarding().places.lock().change(key) {
            place.metrics = place.metrics.map(|_| times);
        }
    }

    /// The series with samples between two times, as they are known elsewhere.
    async fn samples_of(&self, key: &EnvKey, outlet: &Opened, from: i64, to: i64) -> Result<Vec<Series>, Stopped> {
        let store = self.inner.observatory.store().map_err(Stopped::Unreadable)?;
        let matchers = outlet.matchers(key).map_err(unreadable)?;
        let read = tokio::task::spawn_blocking(move || store.select(&matchers, from, to)).await;
        let mut series = read.map_err(unreadable)?.map_err(unreadable)?;
        for one in &mut series {
            one.labels = placed(&one.labels, key.env.as_str());
        }
        Ok(series)
    }

    /// What is known of the metrics of series.
    fn about(&self, series: &[Series]) -> Vec<Metadata> {
        let said = lock(&self.inner.observatory.metadata);
        let mut all: BTreeMap<&str, Metadata> = BTreeMap::new();
        for name in series.iter().map(|one| one.labels.metric()).collect::<BTreeSet<_>>() {
            let (metric, (kind, help)) = match (of_series(name), said.get(name)) {
                (Some(own), _) => (own.name, (own.kind, own.help.to_owned())),
                (None, Some(said)) => (name, said.clone()),
                (None, None) => continue,
            };
            all.insert(metric, Metadata { metric: metric.to_owned(), kind, help, unit: String::new() });
        }
        all.into_values().collect()
    }

    /// Sends all lines that are there, this way. `kept` is how far that was when it was last written down.
    async fn pass_lines(
        &self,
        (lane, way): (&Lane, Way),
        leads: &Leads,
        outlet: &Opened,
        kept: &mut u64,
    ) -> Result<(), Stopped> {
        let key = &lane.0;
        let lines = self.inner.observatory.lines().map_err(Stopped::Unreadable)?;
        let Some(here) = self.forwarding().here.get().copied() else { return Ok(()) };
        let end = self.next_line().await.unwrap_or_default();
        loop {
            let first = self.forwarding().places.lock().get(key).and_then(|place| place.line(way, here));
            let first = first.unwrap_or(end);
            let Some((from, until)) = next_lines(first, end) else { break };
            let mut query = query(key, from, until)?;
            let mut has_sent = false;
            loop {
                let (store, asked) = (lines.clone(), query.clone());
                let page = tokio::task::spawn_blocking(move || store.search(&asked, &|| false)).await;
                let page = page.map_err(unreadable)?.map_err(unreadable)?;
                for parcel in parcels(way, &page.lines) {
                    self.hand_over(lane, leads, outlet, parcel).await?;
                    has_sent = true;
                }
                if page.next.is_none() {
                    break;
                }
                query.after = page.next;
            }
            if let Some(place) = self.forwarding().places.lock().change(key) {
                place.sent_lines(way, here, until);
            }
            if has_sent || until.saturating_sub(*kept) >= MOVED {
                self.keep_places().await;
                *kept = until;
            }
        }
        Ok(())
    }

    /// Posts something until its receiver has it, or refuses it for good.
    async fn hand_over(&self, lane: &Lane, leads: &Leads, outlet: &Opened, parcel: Parcel) -> Result<(), Stopped> {
        let Parcel { headers, body: parcel, count } = parcel;
        let count = count as u64;
        self.see(lane, |seen| _ = seen.waits_since.get_or_insert(self.now()));
        let mut broken: Option<Instant> = None;
        for tries in 1.. {
            if !self.still_leads(lane, leads) {
                return Err(Stopped::Changed);
            }
            let answer = self.notices().sender().deliver(outlet.post(&headers, parcel.clone())).await;
            let (status, after, said, body) = match answer {
                Ok(answer) => {
                    (Some(answer.status), answer.retry_after, format!("it answers {}", answer.said), answer.body)
                }
                Err(why) => (None, None, why, Vec::new()),
            };
            broken = (status == Some(500)).then(|| broken.unwrap_or_else(Instant::now));
            let is_given_up = broken.is_some_and(|since| since.elapsed() >= GIVE_UP_500);
            let status = status.and_then(judged);
            match verdict(Version::One, status, after.as_deref(), None, tries, BACKOFF) {
                Verdict::Again(wait) if !is_given_up => {
                    self.fails(lane, said);
                    self.wait_or_change(lane, leads, Duration::from_millis(wait.unsigned_abs())).await;
                }
                Verdict::Taken => {
                    let (rejected, why) = rejected(lane.1, &body, count);
                    self.see(lane, |seen| (seen.sent, seen.fails) = (seen.sent + count - rejected, None));
                    if rejected > 0 {
                        self.refused(lane, rejected, format!("it takes only some: {}", outlet.hidden(&why)));
                    }
                    return Ok(());
                }
                // There is one version of each that is spoken.
                Verdict::Again(_) | Verdict::GiveUp | Verdict::Speak(_) => {
                    self.refused(lane, count, said);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits, but not longer than until the lane leads elsewhere.
    async fn wait_or_change(&self, lane: &Lane, leads: &Leads, time: Duration) {
        let end = Instant::now() + time;
        loop {
            // It hears of what changes from here on.
            let changed = self.forwarding().changed.notified();
            if !self.still_leads(lane, leads) || tokio::time::timeout_at(end, changed).await.is_err() {
                return;
            }
        }
    }

    fn still_leads(&self, lane: &Lane, leads: &Leads) -> bool {
        self.leads(lane).is_some_and(|now| Arc::ptr_eq(&now, leads))
    }

    fn leads(&self, lane: &Lane) -> Option<Leads> {
        lock(&self.forwarding().outlets).get(lane).cloned()
    }

    fn see(&self, lane: &Lane, saw: impl FnOnce(&mut super::Seen)) {
        saw(lock(&self.forwarding().seen).entry(lane.clone()).or_default());
    }

    /// Its receiver takes nothing now. That is told when it begins.
    fn fails(&self, (key, kind): &Lane, why: String) {
        let now = self.now();
        self.see(&(key.clone(), *kind), |seen| {
            if seen.fails.is_none() {
                tracing::warn!(%key, of = kind.word(), why, "a receiver takes nothing; it waits here");
            }
            let since = seen.fails.as_ref().map_or(now, |(since, _)| *since);
            seen.fails = Some((since, why));
            seen.waits_since.get_or_insert(now);
        });
    }

    /// Its receiver will never take something. That is told once for each reason.
    fn refused(&self, (key, kind): &Lane, count: u64, why: String) {
        let now = self.now();
        self.see(&(key.clone(), *kind), |seen| {
            if seen.refused.as_ref().is_none_or(|(_, known)| *known != why) {
                tracing::warn!(%key, of = kind.word(), count, why, "a receiver refuses something; it is dropped");
            }
            seen.dropped += count;
            (seen.fails, seen.refused) = (None, Some((now, why)));
        });
    }
}

fn unreadable(error: impl std::fmt::Display) -> Stopped {
    Stopped::Unreadable(error.to_string())
}

/// A status as its verdict counts it. Whoever leads elsewhere, lets nobody in, is not there or loses patience is asked again, as if
/// nobody had answered: somebody may mend that, and nothing is wrong with what is sent. Redirects are not followed.
fn judged(status: u16) -> Option<u16> {
    let may_be_mended = matches!(status, 300..=399 | 401 | 403 | 404 | 408);
    (!may_be_mended).then_some(status)
}

/// The labels of a series with that of its environment, as lines have it; one of the same name is kept as `exported_…`, as
/// Prometheus does.
fn placed(labels: &Labels, environment: &str) -> Labels {
    let mut free = "exported_environment".to_owned();
    while !labels.get(&free).is_empty() {
        free.insert_str(0, "exported_");
    }
    labels.with(&free, labels.get("environment")).with("environment", environment)
}

/// Lines of an environment by their numbers.
fn query(key: &EnvKey, from: u64, until: u64) -> Result<Query, Stopped> {
    let place = [("app", key.app.as_str()), ("environment", key.env.as_str())];
    let labels = place.into_iter().map(|(name, value)| Condition::new(name, Op::Equal, value));
    let labels = labels.collect::<Result<_, _>>().map_err(unreadable)?;
    let limit = usize::try_from(until - from).unwrap_or(usize::MAX);
    Ok(Query { labels, numbers: Some((from, until)), direction: Direction::Oldest, limit, ..Query::default() })
}

/// Lines, ready to be sent this way.
fn parcels(way: Way, lines: &[Kept]) -> Vec<Parcel> {
    match way {
        Way::Loki => {
            let lines: Vec<loki::Line> = lines.iter().map(line).collect();
            let parcel = |of: loki::Request| Parcel { headers: loki::HEADERS.to_vec(), body: of.body, count: of.lines };
            loki::requests(&lines, BYTES).into_iter().map(parcel).collect()
        }
        Way::Otlp => {
            let headers = || export::HEADERS.to_vec();
            let parcel = |of: export::Request| Parcel { headers: headers(), body: of.body, count: of.records };
            export::requests(lines.iter().map(record), BYTES).into_iter().map(parcel).collect()
        }
    }
}

/// How many of what was sent its receiver says that it did not take, though it took the rest, and why.
fn rejected(kind: Kind, body: &[u8], sent: u64) -> (u64, String) {
    let said = match kind {
        Kind::Logs(Way::Otlp) => otlp::rejected(body),
        Kind::Metrics | Kind::Logs(Way::Loki) => None,
    };
    said.map_or_else(Default::default, |(count, why)| (count.min(sent), why))
}

fn line(kept: &Kept) -> loki::Line {
    let line = &kept.line;
    let labels = LABELS.into_iter().map(|name| (name.to_owned(), line.stream.get(name).to_owned()));
    loki::Line {
        labels: labels.filter(|(_, value)| !value.is_empty()).collect(),
        at: i128::from(line.at) * 1_000,
        text: line.text().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_may_mend_waits_and_what_is_wrong_itself_does_not() {
        let is_asked_again = |status: u16| {
            let verdict = verdict(Version::One, judged(status), None, None, 1, BACKOFF);
            matches!(verdict, Verdict::Again(_))
        };
        assert!([301, 401, 403, 404, 408, 429, 500, 502, 503, 504].into_iter().all(is_asked_again));
        assert!(![204, 400, 409, 413, 422].into_iter().any(is_asked_again));
    }

    #[test]
    fn what_is_said_not_to_be_taken_counts_where_that_is_part_of_an_answer() {
        let mut skipped = remote::Skipped::default();
        skipped.add(3, "too old");
        let body = otlp::response(&skipped);
        let otlp = Kind::Logs(Way::Otlp);
        assert_eq!(rejected(otlp, &body, 9), (3, "too old".to_owned()));
        assert_eq!(rejected(otlp, &body, 2), (2, "too old".to_owned()), "no more than was sent");
        assert_eq!(rejected(otlp, b"<html>", 9), (0, String::new()));
        assert_eq!(rejected(Kind::Logs(Way::Loki), &body, 9), (0, String::new()));
    }

    #[test]
    fn series_stay_apart_whatever_labels_they_have() {
        let said = |labels: &[(&str, &str)]| placed(&Labels::new(labels.iter().copied()), "production").to_string();
        assert_eq!(said(&[("job", "a")]), r#"{environment="production", job="a"}"#);
        let own = r#"{environment="production", exported_environment="eu"}"#;
        assert_eq!(said(&[("environment", "eu")]), own);
        assert_eq!(
            said(&[("environment", "eu"), ("exported_environment", "us")]),
            r#"{environment="production", exported_environment="us", exported_exported_environment="eu"}"#
        );
    }
}
