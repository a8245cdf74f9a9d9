//! Measurements that services tell of themselves, asked for at each replica.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daybook_metrics::exposition::{Bounds, Format, Item, Kind, Reader};
use daybook_metrics::store::{Batch, Receipt, Store};
use daybook_metrics::{Label, Labels, NAME, STALE};
use daybook_model::launch::Role;
use daybook_model::spec::Scrape;
use daybook_model::{EnvKey, ReplicaId, SeenReplica};
use http::header;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::lock;
use crate::App;

/// Between two looks at which replicas are to be asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A replica has so long to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const LARGEST: usize = 16 << 20;
/// What one replica may tell.
const BOUNDS: Bounds = Bounds { line: 64 << 10, samples: 100_000, labels: 48 };
/// What is understood, the better first.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// Metrics whose kind is remembered, whoever told it.
pub(super) const KNOWN: usize = 50_000;

/// What is known of a metric that a service tells.
pub(super) type Metadata = BTreeMap<String, (Kind, String)>;

/// One replica that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    key: EnvKey,
    replica: ReplicaId,
}

/// What is remembered of a replica between two askings.
struct Asked {
    due: Instant,
    /// A question is under way.
    busy: bool,
    /// Series that the last answer had.
    series: BTreeSet<Labels>,
}

/// How an asking ended.
struct Ended {
    target: Target,
    series: BTreeSet<Labels>,
}

/// What a replica told.
struct Answer {
    text: String,
    format: Format,
}

impl App {
    /// Asks every replica whose service has `metrics`, when it is time, until the server stops.
    pub(super) async fn tend_scrapes(self, store: Arc<Store>) {
        let mut known: HashMap<Target, Asked> = HashMap::new();
        let mut asking: JoinSet<Ended> = JoinSet::new();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(ended) = asking.join_next() => {
                    if let Ok(Ended { target, series }) = ended
                        && let Some(asked) = known.get_mut(&target)
                    {
                        (asked.busy, asked.series) = (false, series);
                    }
                    continue;
                }
            }
            let wanted = self.to_scrape().await;
            self.forget(&store, &mut known, &wanted).await;
            for (target, (scrape, replica)) in wanted {
                let every = Duration::from_millis(scrape.every_ms);
                let new = || Asked { due: Instant::now(), busy: false, series: BTreeSet::new() };
                let asked = known.entry(target.clone()).or_insert_with(new);
                if asked.busy || asked.due > Instant::now() {
                    continue;
                }
                (asked.busy, asked.due) = (true, Instant::now() + every);
                let before = std::mem::take(&mut asked.series);
                asking.spawn(self.clone().scrape(store.clone(), target, scrape, replica, before));
            }
        }
    }

    async fn to_scrape(&self) -> HashMap<Target, (Scrape, SeenReplica)> {
        let mut all = HashMap::new();
        for key in self.managed().await {
            let Some(seen) = self.inner.observatory.last_seen(&key) else { continue };
            let Ok(Some(release)) = self.inner.store.current_release(&key).await else { continue };
            let running = seen.replicas.iter().filter(|replica| replica.role == Role::Main && replica.is_running());
            for replica in running {
                let service = release.spec.services.get(&replica.id.service);
                let Some(scrape) = service.and_then(|service| service.metrics.clone()) else { continue };
                let target = Target { key: key.clone(), replica: replica.id.clone() };
                all.insert(target, (scrape, replica.clone()));
            }
        }
        all
    }

    /// The series of what is asked no more have ended.
    async fn forget(
        &self,
        store: &Arc<Store>,
        known: &mut HashMap<Target, Asked>,
        wanted: &HashMap<Target, (Scrape, SeenReplica)>,
    ) {
        let now = self.now().as_millisecond();
        let mut batch = Batch::default();
        known.retain(|target, asked| {
            let stays = asked.busy || wanted.contains_key(target);
            if !stays {
                asked.series.iter().for_each(|series| batch.add(series.clone(), now, STALE));
            }
            stays
        });
        if !batch.is_empty() {
            append(store, batch, now).await;
        }
    }

    async fn scrape(
        self,
        store: Arc<Store>,
        target: Target,
        scrape: Scrape,
        replica: SeenReplica,
        before: BTreeSet<Labels>,
    ) -> Ended {
        let (began, at) = (Instant::now(), self.now().as_millisecond());
        let within = ANSWER_WITHIN.min(Duration::from_millis(scrape.every_ms));
        let answer = tokio::time::timeout(within, self.ask_replica(&target.key, &replica, &scrape)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", within.as_secs_f64())));
        let of = labels_of(&target, &replica, &scrape);
        let answer = answer.inspect_err(|why| tracing::debug!(replica = %target.replica, why, "no measurements"));
        let told = answer.map(|answer| read(&answer, &of, at));
        let up = told.is_ok();
        let mut told = told.unwrap_or_default();
        if !told.metadata.is_empty() {
            let mut known = lock(&self.inner.observatory.metadata);
            let room = KNOWN.saturating_sub(known.len());
            known.extend(told.metadata.into_iter().take(room));
        }
        for ended in before.difference(&told.series) {
            told.batch.add(ended.clone(), at, STALE);
        }
        let mut own = |metric: &str, value: f64| told.batch.add(named(&of, metric), at, value);
        own("up", f64::from(u8::from(up)));
        own("scrape_duration_seconds", began.elapsed().as_secs_f64());
        own("scrape_samples_scraped", told.samples as f64);
        if let Some(receipt) = append(&store, told.batch, at).await {
            for (why, count) in &receipt.refused {
                tracing::warn!(key = %target.key, replica = %target.replica, count, "samples are not kept: {why}");
            }
        }
        Ended { target, series: told.series }
    }

    async fn ask_replica(&self, key: &EnvKey, replica: &SeenReplica, scrape: &Scrape) -> Result<Answer, String> {
        let reached = self.inner.runtime.reach(key, replica, scrape.port).await.map_err(|error| error.to_string())?;
        let stream = TcpStream::connect(reached.address).await.map_err(|error| error.to_string())?;
        let told = |error: hyper::Error| error.to_string();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
        let driving = tokio::spawn(connection);
        let request = http::Request::get(&scrape.path)
            .header(header::HOST, reached.address.to_string())
            .header(header::ACCEPT, ACCEPT)
            .header(header::USER_AGENT, concat!("daybook/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(told)?;
        if !response.status().is_success() {
            return Err(format!("it answers {}", response.status()));
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let format = Format::of(kind.unwrap_or_default());
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| error.to_string())?;
        driving.abort();
        let text = String::from_utf8(body.to_bytes().to_vec()).map_err(|_| "its answer is no UTF-8".to_owned())?;
        Ok(Answer { text, format })
    }
}

async fn append(store: &Arc<Store>, batch: Batch, now: i64) -> Option<Receipt> {
    let store = store.clone();
    let kept = tokio::task::spawn_blocking(move || store.append(&batch, now)).await;
    kept.ok()?.inspect_err(|error| tracing::debug!(%error, "samples are not kept")).ok()
}

/// What an answer says.
#[derive(Default)]
struct Said {
    batch: Batch,
    series: BTreeSet<Labels>,
    samples: usize,
    metadata: Metadata,
}

/// Reads an answer. A line that is broken is left out, and no other. Where a sample has a time of its own, its series never
/// ends by not being told.
fn read(answer: &Answer, of: &Labels, at: i64) -> Said {
    let mut said = Said::default();
    let mut reader = Reader::new(&answer.text, answer.format, BOUNDS);
    let mut broken = None;
    while let Some(item) = reader.next() {
        match item {
            Ok(Item::Sample(sample)) => {
                let labels = joined(&sample.series(), of);
                if sample.at.is_none() {
                    said.series.insert(labels.clone());
                }
                said.batch.add(labels, sample.at.unwrap_or(at), sample.value);
            }
            Ok(Item::Kind { metric, kind }) => said.metadata.entry(metric.into_owned()).or_default().0 = kind,
            Ok(Item::Help { metric, text }) => {
                said.metadata.entry(metric.into_owned()).or_default().1 = text.into_owned();
            }
            Ok(Item::Unit { .. }) => {}
            Err(error) => _ = broken.get_or_insert(error),
        }
    }
    said.samples = reader.samples();
    if let Some(first) = broken {
        tracing::debug!(broken = reader.broken(), %first, "lines of measurements cannot be read");
    }
    said
}

/// Who told it. The job is what limits are counted by.
fn labels_of(target: &Target, replica: &SeenReplica, scrape: &Scrape) -> Labels {
    let (app, environment, service) = (&target.key.app, &target.key.env, &target.replica.service);
    let host = replica.address.map_or_else(|| target.replica.to_string(), |address| address.to_string());
    Labels::new([
        ("app", app.to_string()),
        ("env", environment.to_string()),
        ("service", service.to_string()),
        ("replica", target.replica.to_string()),
        ("release", replica.release.to_string()),
        ("job", format!("{app}/{environment}/{service}")),
        ("instance", format!("{host}:{}", replica.port(scrape.port))),
    ])
}

/// A sample's labels with ours; one of the same name is kept as `exported_…`, as Prometheus does.
fn joined(sample: &Labels, of: &Labels) -> Labels {
    let theirs = sample.iter().map(|Label { name, value }| {
        let clashes = !of.get(name).is_empty();
        let name = if clashes { format!("exported_{name}") } else { name.to_string() };
        (name, value.to_string())
    });
    Labels::new(theirs.chain(of.iter().map(|label| (label.name.to_string(), label.value.to_string()))))
}

fn named(of: &Labels, metric: &str) -> Labels {
    of.with(NAME, metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        let of = Labels::new([("job", "shop/production/web"), ("replica", "web.1")]);
        read(&Answer { text: text.to_owned(), format: Format::Text }, &of, 7)
    }

    #[test]
    fn an_answer_becomes_series_of_its_replica() {
        let said = said("# TYPE hits counter\n# HELP hits Hits.\nhits{job=\"own\"} 3\nbroken{\ntimed 4 5000\n");
        assert_eq!(said.samples, 2);
        let hits = Labels::new([
            (NAME, "hits"),
            ("exported_job", "own"),
            ("job", "shop/production/web"),
            ("replica", "web.1"),
        ]);
        assert_eq!(said.series.into_iter().collect::<Vec<_>>(), [hits], "a series with times of its own never ends");
        assert_eq!(said.batch.len(), 2);
        assert_eq!(said.metadata.get("hits"), Some(&(Kind::Counter, "Hits.".to_owned())));
    }
}
