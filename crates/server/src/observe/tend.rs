//! Measuring, again and again.

use std::sync::Arc;
use std::time::Duration;

use daybook_metrics::store::{NotKept, Store, Tier};
use daybook_model::EnvKey;
use daybook_model::traffic::Traffic;
use daybook_runtime::Usage;
use futures::{FutureExt as _, StreamExt as _};

use super::gather::{self, Kills, Moment};
use super::host::{self, Proc};
use super::records::Failures;
use super::samples::{Base, Samples};
use super::{keep_in_order, lock, records};
use crate::App;

/// Between two readings of what is counted and used.
pub(crate) const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// Between two readings of what changes slowly, or costs more to ask.
const RECORDS_EVERY: Duration = Duration::from_secs(60);
/// An environment whose runtime does not answer until then is not measured this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// Environments that are asked at once.
const AT_ONCE: usize = 8;

impl App {
    /// Measures environments and the machine, and keeps what replicas print, until the server stops.
    pub(crate) async fn tend_metrics(self) {
        if let Ok(lines) = self.inner.observatory.lines() {
            self.spawn(self.clone().tend_lines(lines));
        }
        self.spawn(self.clone().tend_notices());
        self.spawn(self.clone().tend_escalations());
        self.spawn(self.clone().tend_remedies());
        self.spawn(self.clone().tend_forward());
        let Ok(store) = self.inner.observatory.store() else { return };
        let (app, kept) = (self.clone(), store.clone());
        self.spawn(keep_in_order("measurements", move || kept.tend(app.now().as_millisecond())));
        self.spawn(self.clone().tend_records(store.clone()));
        self.spawn(self.clone().tend_scrapes(store.clone()));
        self.spawn(self.clone().tend_anomalies(store.clone()));
        self.spawn(self.clone().tend_suspicions());
        self.spawn(self.clone().tend_alerts(store.clone()));
        let mut kills = Kills::default();
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let samples = self.measure(&store, &mut kills).await;
            self.keep(&store, "measured", samples).await;
        }
    }

    async fn measure(&self, store: &Store, kills: &mut Kills) -> Samples {
        let mut samples = Samples::default();
        let host = own_host();
        host::machine(&Proc::read(), &host, &mut samples);
        host::file_system(&self.inner.state, &host, &mut samples);
        own(store, &mut samples);
        self.forwarded(&mut samples);
        let keys = self.managed().await;
        let asked = futures::stream::iter(keys.clone()).map(|key| self.clone().counted(key).boxed());
        let mut asked = asked.buffer_unordered(AT_ONCE);
        while let Some((key, answer)) = asked.next().await {
            let (Some((traffic, usage)), Some(observed)) = (answer, self.inner.observatory.last_seen(&key)) else {
                continue;
            };
            let moment = Moment { observed: &observed, traffic: &traffic, usage: &usage };
            gather::environment(&moment, kills, &mut samples);
        }
        drop(asked);
        kills.retain(|key, _| keys.contains(key));
        samples
    }

    /// What the edge and the runtime say of an environment, if they answer.
    async fn counted(self, key: EnvKey) -> (EnvKey, Option<(Traffic, Vec<Usage>)>) {
        let asked = async { tokio::join!(self.inner.router.traffic(&key), self.inner.runtime.usage(&key)) };
        let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await.ok();
        let answer = answer.map(|(traffic, usage)| (traffic.unwrap_or_default(), usage.unwrap_or_default()));
        (key, answer)
    }

    /// Reads what the journal says, and asks databases, until the server stops.
    async fn tend_records(self, store: Arc<Store>) {
        let mut failures = Failures::default();
        let mut ticks = tokio::time::interval(RECORDS_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let mut samples = Samples::default();
            for key in self.managed().await {
                self.read_records(&key, &mut failures, &mut samples).await;
            }
            self.keep(&store, "recorded", samples).await;
        }
    }

    /// What cannot be read now is left out.
    async fn read_records(&self, key: &EnvKey, failures: &mut Failures, samples: &mut Samples) {
        let Ok(Some(release)) = self.inner.store.current_release(key).await else { return };
        if let Ok(jobs) = self.inner.store.jobs(key).await {
            records::jobs(&release.spec, &jobs, failures, samples);
        }
        if let Some(observed) = self.inner.observatory.last_seen(key) {
            records::limits(&release.spec, &observed, samples);
        }
        records::certificates(&release.spec, |path| std::fs::read(path).ok(), samples);
        #[cfg(feature = "databases")]
        {
            if release.spec.backup_policies().next().is_some()
                && let Ok(histories) = self.histories(key).await
            {
                records::backups(&release.spec, release.accepted_at, |of| histories.get(of), samples);
            }
            records::asked(self, &release.spec, samples).await;
        }
    }

    /// Environments that are there, as far as the store can say.
    pub(super) async fn managed(&self) -> Vec<EnvKey> {
        self.try_managed().await.unwrap_or_default()
    }

    /// Environments that are there.
    pub(super) async fn try_managed(&self) -> Result<Vec<EnvKey>, daybook_store::Error> {
        let known = self.inner.store.environments().await?;
        Ok(known.into_iter().filter(|environment| !environment.retired).map(|environment| environment.key).collect())
    }

    /// Keeps samples, and remembers them as the last of what they are of.
    pub(super) async fn keep(&self, store: &Arc<Store>, of: &str, samples: Samples) {
        let now = self.now().as_millisecond();
        let batch = {
            let mut told = lock(&self.inner.observatory.told);
            let (batch, last) = samples.told(told.get(of), now);
            told.insert(of.to_owned(), last);
            batch
        };
        let store = store.clone();
        let kept = tokio::task::spawn_blocking(move || store.append(&batch, now)).await;
        match kept {
            Ok(Ok(receipt)) => {
                for (why, count) in &receipt.refused {
                    tracing::warn!(count, of, "samples are not kept: {why}");
                }
            }
            // A full disk is told by whoever watches it; measuring goes on when there is room.
            Ok(Err(NotKept::Full(error))) => tracing::debug!(%error, "samples are not kept"),
            Ok(Err(error)) => tracing::warn!(%error, "samples are not kept"),
            Err(error) => tracing::error!(%error, "keeping samples broke off"),
        }
    }
}

/// What this machine calls itself.
pub(super) fn own_host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What the store says of itself.
fn own(store: &Store, samples: &mut Samples) {
    let statistics = store.statistics();
    let of = Base::new([]);
    samples.add(&of, "daybook_metrics_series", statistics.series as f64);
    samples.add(&of, "daybook_metrics_samples_total", statistics.accepted as f64);
    for (why, count) in &statistics.refused {
        samples.add(&of.with([("why", why)]), "daybook_metrics_samples_refused_total", *count as f64);
    }
    for (tier, on_disk) in &statistics.tiers {
        let tier = match tier {
            Tier::Raw => "raw",
            Tier::FiveMinutes => "5m",
            Tier::Hour => "1h",
        };
        samples.add(&of.with([("tier", &tier)]), "daybook_metrics_disk_bytes", on_disk.bytes as f64);
    }
}
