//! What is usual of services at a time, and how far from it they are.
//!
//! Detectors follow the store: what rules record of services is read from there, a while at a time, whether it was recorded just
//! now or weeks ago. So a server that begins learns again what the one before knew, while all else goes on, and a gap
//! stays a gap. What they say is kept as series, which rules by default alert about as about any other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use daybook_decide::anomaly::{Detector, Options, Verdict};
use daybook_metrics::store::Store;
use daybook_metrics::{Labels, Matcher, NAME, Op, Series, Source};
use daybook_model::Timestamp;
use daybook_rules::builtin::{WATCHED, Watched};

use super::alerts::EVALUATE_EVERY;
use super::samples::{Base, Samples};
use crate::App;

const HOUR_MS: i64 = 3_600_000;
/// So far back is read when a server begins: detectors look no further.
const REMEMBERED_MS: i64 = 28 * 24 * HOUR_MS;
/// So much is read at once.
const PIECE_MS: i64 = 6 * HOUR_MS;
/// What is so old may still be recorded.
const LATE_MS: i64 = 60_000;
/// What was said longer ago is not about the present.
const PRESENT_MS: i64 = 120_000;
/// A series that was silent for so long is forgotten.
const SILENT_MS: i64 = 7 * 24 * HOUR_MS;
/// What all detectors may take of memory, and so how many there may be: 799.
const MEMORY: usize = 32 << 20;
const MOST: usize = MEMORY / Detector::MOST_BYTES;

impl App {
    /// Watches what is recorded, and keeps what is usual of it, until the server stops.
    pub(super) async fn tend_anomalies(self, store: Arc<Store>) {
        let mut watch = Watch::new(self.now().as_millisecond());
        let mut ticks = tokio::time::interval(EVALUATE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            watch = brought_up(watch, &store, self.now().as_millisecond()).await;
            let samples = watch.samples(self.now().as_millisecond());
            self.keep(&store, "anomalies", samples).await;
        }
    }
}

/// Reads on until nothing is left; where that fails, what is left is read the next time.
async fn brought_up(mut watch: Watch, store: &Arc<Store>, now: i64) -> Watch {
    loop {
        let store = store.clone();
        let followed = tokio::task::spawn_blocking(move || {
            let read = watch.follow(store.as_ref(), now);
            (watch, read)
        });
        match followed.await {
            Ok((known, Ok(true))) => return known,
            Ok((known, Ok(false))) => watch = known,
            Ok((known, Err(error))) => {
                tracing::warn!(%error, "what is unusual cannot be told now");
                return known;
            }
            Err(error) => {
                tracing::error!(%error, "watching what is unusual broke off, and begins anew");
                return Watch::new(now);
            }
        }
    }
}

/// A detector for each series that is watched.
struct Watch {
    /// All before was read.
    until: i64,
    followed: BTreeMap<(&'static str, Labels), Followed>,
    /// Series for which there was no room.
    beyond: usize,
}

struct Followed {
    detector: Detector,
    /// When its last sample was.
    at: i64,
    /// What was said of that.
    verdict: Option<Verdict>,
}

impl Watch {
    fn new(now: i64) -> Self {
        Self { until: now - REMEMBERED_MS, followed: BTreeMap::new(), beyond: 0 }
    }

    /// Reads the next piece. Whether that was the last one.
    fn follow<S: Source>(&mut self, source: &S, now: i64) -> Result<bool, S::Error> {
        // The clock was set back: what it was ahead is not known yet.
        if now < self.until - LATE_MS {
            *self = Self::new(now);
        }
        let until = now.min(self.until + PIECE_MS);
        let mut beyond = 0;
        for watched in WATCHED {
            let named = Matcher::new(NAME, Op::Equal, watched.series).expect("what is equal is no pattern");
            for series in source.select(&[named], self.until - LATE_MS, until)? {
                beyond += usize::from(!self.take(watched, &series));
            }
        }
        if beyond > self.beyond {
            tracing::warn!(beyond, most = MOST, "of these series nobody is told what is unusual: there are too many");
        }
        self.beyond = beyond;
        self.until = self.until.max(until);
        self.followed.retain(|_, one| until - one.at < SILENT_MS);
        Ok(until == now)
    }

    /// Takes samples of a series; whether there is room for it.
    fn take(&mut self, watched: &'static Watched, series: &Series) -> bool {
        let has_room = self.followed.len() < MOST;
        let followed = match self.followed.entry((watched.of, series.labels.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if has_room => new.insert(Followed::new(watched)),
            Entry::Vacant(_) => return false,
        };
        for sample in &series.samples {
            followed.take(sample.at, sample.value);
        }
        true
    }

    /// What there is to say of the present.
    fn samples(&self, now: i64) -> Samples {
        let mut samples = Samples::default();
        for ((of, labels), one) in &self.followed {
            let Some(verdict) = one.verdict.filter(|_| now - one.at < PRESENT_MS) else { continue };
            let label = |name| labels.get(name);
            let base =
                Base::new([("app", &label("app")), ("env", &label("env")), ("service", &label("service")), ("of", of)]);
            samples.add(&base, "daybook_anomaly_expected", verdict.expected);
            // Neither is ever less than nothing.
            samples.add(&base, "daybook_anomaly_lower", verdict.lower().max(0.0));
            samples.add(&base, "daybook_anomaly_upper", verdict.upper());
            samples.add(&base, "daybook_anomaly_away", verdict.away);
        }
        samples
    }
}

impl Followed {
    fn new(watched: &Watched) -> Self {
        let options = Options { least: watched.least, share: watched.share, ..Options::default() };
        Self { detector: Detector::new(options), at: 0, verdict: None }
    }

    /// What was taken before, or marks an end, changes nothing.
    fn take(&mut self, at: i64, value: f64) {
        let Ok(time) = Timestamp::from_millisecond(at) else { return };
        if at > self.at && value.is_finite() {
            (self.at, self.verdict) = (at, self.detector.push(time, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use daybook_metrics::STALE;
    use daybook_promql::Value;
    use daybook_promql::testfile::Storage;

    use super::*;

    const MINUTE: i64 = 60_000;
    const START: i64 = 1_800_000_000_000;
    const DAYS: i64 = 9;

    /// Requests a second, more by day than by night.
    fn usual(at: i64) -> f64 {
        let day = (at % (24 * HOUR_MS)) as f64 / (24 * HOUR_MS) as f64 * std::f64::consts::TAU;
        100.0 - 60.0 * day.cos()
    }

    fn recorded(service: &str) -> Labels {
        let labels = [(NAME, WATCHED[0].series), ("app", "shop"), ("env", "production"), ("service", service)];
        Labels::new(labels)
    }

    /// Every five minutes from the start until some days are over.
    fn times() -> impl Iterator<Item = i64> {
        (1..=DAYS * 288).map(|slot| START + slot * 5 * MINUTE)
    }

    fn storage(service: &str, values: impl Iterator<Item = (i64, f64)>) -> Storage {
        let mut storage = Storage::default();
        storage.append(recorded(service), values.map(|(at, value)| (at, Value::Float(value))));
        storage
    }

    fn end() -> i64 {
        START + DAYS * 24 * HOUR_MS
    }

    /// Reads all that there is.
    fn all_of(storage: &Storage, now: i64) -> Watch {
        let mut watch = Watch::new(now);
        while watch.follow(storage, now).is_ok_and(|is_last| !is_last) {}
        watch
    }

    /// A value of a service that was said.
    fn said(watch: &Watch, metric: &str) -> Option<f64> {
        let text = watch.samples(end()).text();
        let line = text.lines().find(|line| line.starts_with(metric))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    #[test]
    fn what_is_usual_is_told_and_every_metric_of_it_is_listed() {
        let watch = all_of(&storage("web", times().map(|at| (at, usual(at)))), end());
        let samples = watch.samples(end());
        samples.all_are_listed();
        let away = r#"daybook_anomaly_away{app="shop",env="production",job="daybook",of="requests",service="web"}"#;
        assert!(samples.text().contains(away), "{}", samples.text());
        assert!(said(&watch, "daybook_anomaly_away").unwrap().abs() <= 1.0);
        let (lower, upper) = (said(&watch, "daybook_anomaly_lower"), said(&watch, "daybook_anomaly_upper"));
        assert!(lower.unwrap() < usual(end()) && usual(end()) < upper.unwrap(), "{lower:?} {upper:?}");
    }

    #[test]
    fn a_server_that_begins_knows_what_the_one_before_knew() {
        let storage = storage("web", times().map(|at| (at, if at == end() { 1.0 } else { usual(at) })));
        let mut before = Watch::new(START);
        for hours in 1..=DAYS * 24 {
            let now = START + hours * HOUR_MS;
            while before.follow(&storage, now).is_ok_and(|is_last| !is_last) {}
        }
        let after = all_of(&storage, end());
        assert_eq!(after.samples(end()).text(), before.samples(end()).text());
        assert!(said(&after, "daybook_anomaly_away").unwrap() < -1.0);
    }

    #[test]
    fn a_gap_is_not_nothing() {
        let is_gap = |at: i64| (end() - 30 * HOUR_MS..end() - 20 * HOUR_MS).contains(&at);
        let values = times().map(|at| (at, if is_gap(at) { STALE } else { usual(at) }));
        let watch = all_of(&storage("web", values), end());
        assert!(said(&watch, "daybook_anomaly_away").unwrap().abs() <= 1.0);
        assert!((said(&watch, "daybook_anomaly_expected").unwrap() - usual(end())).abs() < 20.0);
    }

    #[test]
    fn what_has_ended_is_not_the_present_and_is_forgotten() {
        let storage = storage("web", times().map(|at| (at, usual(at))));
        let mut watch = all_of(&storage, end());
        assert!(watch.samples(end() + 3 * MINUTE).text().is_empty());
        let later = end() + 8 * 24 * HOUR_MS;
        while watch.follow(&storage, later).is_ok_and(|is_last| !is_last) {}
        assert!(watch.followed.is_empty());
    }

    #[test]
    fn a_clock_that_was_ahead_is_forgotten() {
        let storage = storage("web", times().map(|at| (at, usual(at))));
        let mut watch = all_of(&storage, end());
        while watch.follow(&storage, end() + 24 * HOUR_MS).is_ok_and(|is_last| !is_last) {}
        while watch.follow(&storage, end()).is_ok_and(|is_last| !is_last) {}
        assert_eq!(watch.samples(end()).text(), all_of(&storage, end()).samples(end()).text());
    }

    #[test]
    fn there_are_no_more_detectors_than_memory_is_for() {
        let mut storage = Storage::default();
        for service in 0..MOST + 3 {
            storage.append(recorded(&format!("s{service}")), [(end(), Value::Float(1.0))]);
        }
        let watch = all_of(&storage, end());
        assert_eq!((watch.followed.len(), watch.beyond, MOST), (MOST, 3, 799));
    }
}
