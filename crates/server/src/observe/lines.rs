//! What replicas print is kept: it is followed, its secrets are taken out, and it can be searched when the replicas are long gone.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_api::logs::{FoundLine, LogSearch, LogsFound};
use daybook_logs::query::{Condition, Direction, Op, Query};
use daybook_logs::store::{NotKept, NotSearched, Options, Store};
use daybook_logs::{Field, Kept, Line, Stream};
use daybook_model::launch::Role;
use daybook_model::observed::ReplicaState;
use daybook_model::{EnvKey, ReplicaId, SeenReplica, Timestamp};
use daybook_runtime::LogQuery;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::{alerts, keep_in_order, unavailable};
use crate::App;
use crate::error::ApiError;
use crate::view::status::word;

/// Between two looks for replicas that began.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A replica whose log ended before a line of it came is followed again after so long, then after four times as long, at most
const AFTER: Duration = Duration::from_secs(1);
/// after this.
const AFTER_AT_MOST: Duration = Duration::from_secs(10 * 60);
/// A line waits so long for others, at most, before it is kept.
const GATHER_FOR: Duration = Duration::from_millis(300);
/// Lines that are kept together, at most.
const TOGETHER: usize = 2_000;
/// Lines that wait to be kept; then replicas' streams wait, and nothing is lost that the runtime still has.
const WAITING: usize = 8_000;
/// Until it is tried again to keep lines that found no room.
const AGAIN: Duration = Duration::from_secs(5);
/// A search takes no longer.
const SEARCH_WITHIN: Duration = Duration::from_secs(30);
/// Lines of one answer.
const USUAL: usize = 100;
const MOST: usize = 10_000;

/// One life of one replica: its log ends when its process does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Life {
    key: EnvKey,
    id: ReplicaId,
    role: Role,
    began: Option<Timestamp>,
}

/// How a life is followed.
#[derive(Debug, Default)]
struct Followed {
    is_under_way: bool,
    /// It ran when its log ended: what it said last may not have been read.
    owes: bool,
    /// How often its log ended, one time after the other, before a line came.
    silent: u32,
    ended: Option<Instant>,
}

impl Followed {
    fn begun(&mut self) {
        (self.is_under_way, self.owes) = (true, false);
    }

    fn ended(&mut self, said: bool) {
        self.is_under_way = false;
        self.silent = if said { 0 } else { self.silent.saturating_add(1) };
        self.ended = Some(Instant::now());
    }

    /// Whether it is to be followed again: as long as it runs, after a while, because a machine that gives no logs would
    /// be asked for each of its replicas every second; and once when it has ended meanwhile.
    fn is_due(&mut self, is_running: bool) -> bool {
        if self.is_under_way {
            return false;
        }
        self.owes |= is_running;
        let after = AFTER.saturating_mul(1 << (2 * self.silent.saturating_sub(1)).min(16)).min(AFTER_AT_MOST);
        if is_running { self.ended.is_none_or(|ended| ended.elapsed() >= after) } else { self.owes }
    }
}

/// Opens the lines of before. Where they cannot be opened none are kept, and everything else goes on.
pub(super) fn open(directory: &Path) -> Result<Arc<Store>, String> {
    let (store, report) = Store::open(directory, Options::default()).map_err(|error| {
        tracing::error!(%error, directory = %directory.display(), "no lines are kept");
        error.to_string()
    })?;
    for aside in &report.aside {
        tracing::warn!(?aside, "lines that cannot be read were set aside");
    }
    Ok(Arc::new(store))
}

/// By which the lines of a directory are known, wherever it is. One whose name cannot be kept is another one the next time.
pub(super) fn identity(directory: &Path) -> Uuid {
    let file = directory.join("id");
    if let Some(known) = alerts::read(&file, "numbers of lines") {
        return known;
    }
    let new = Uuid::now_v7();
    if let Err(error) = alerts::write(&file, &new) {
        tracing::warn!(%error, file = %file.display(), "by which its lines are known is not kept");
    }
    new
}

impl App {
    /// Follows every replica until the server stops.
    pub(super) async fn tend_lines(self, store: Arc<Store>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.spawn(self.clone().keep_lines(store.clone(), receiver));
        let (app, kept) = (self.clone(), store.clone());
        self.spawn(keep_in_order("lines", move || kept.tend(app.now().as_microsecond())));
        // What was followed to its end is remembered while it is there.
        let mut known: HashMap<Life, Followed> = HashMap::new();
        let mut following: JoinSet<(Life, bool)> = JoinSet::new();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(ended) = following.join_next() => {
                    if let Ok((life, said)) = ended
                        && let Some(followed) = known.get_mut(&life)
                    {
                        followed.ended(said);
                    }
                    continue;
                }
            }
            let mut there = HashMap::new();
            for key in self.managed().await {
                let Some(seen) = self.inner.observatory.last_seen(&key) else { continue };
                // What has not begun has said nothing, and whoever waits for it asks again and again.
                let has_begun = |state| !matches!(state, ReplicaState::Created | ReplicaState::Starting);
                for replica in seen.replicas.iter().filter(|replica| has_begun(replica.state)) {
                    let life = Life {
                        key: key.clone(),
                        id: replica.id.clone(),
                        role: replica.role,
                        began: replica.started_at,
                    };
                    there.insert(life, (stream(&key, replica), replica.is_running()));
                }
            }
            known.retain(|life, followed| followed.is_under_way || there.contains_key(life));
            for (life, (stream, is_running)) in there {
                let is_new = !known.contains_key(&life);
                let followed = known.entry(life.clone()).or_default();
                // The stream of what runs may have been cut off.
                if is_new || followed.is_due(is_running) {
                    followed.begun();
                    following.spawn(self.clone().follow(store.clone(), life, stream, sender.clone()));
                }
            }
        }
    }

    /// Hands on what a replica prints, from where it was left, until its process ends. Tells whether it said anything.
    async fn follow(self, store: Arc<Store>, life: Life, stream: Stream, lines: mpsc::Sender<Line>) -> (Life, bool) {
        let mut said_something = false;
        let since = newest(&store, &stream).and_then(|at| Timestamp::from_microsecond(at + 1).ok());
        let wanted = LogQuery { since, tail: None, follow: true };
        let Ok(mut log) = self.inner.executor.logs(&life.key, &life.id, life.role, &wanted).await else {
            return (life, said_something);
        };
        while let Some(Ok(said)) = log.next().await {
            let mut line = Line::read(said.at.as_microsecond(), stream.clone(), said.text);
            if said.stderr {
                line.fields.push(Field { name: "stderr".into(), value: "true".into() });
            }
            if life.role != Role::Main {
                line.fields.push(Field { name: "role".into(), value: word(&life.role).into() });
            }
            if lines.send(line).await.is_err() {
                break;
            }
            said_something = true;
        }
        (life, said_something)
    }

    /// Keeps lines as they come, many at a time.
    async fn keep_lines(self, store: Arc<Store>, mut lines: mpsc::Receiver<Line>) {
        let mut batch = Vec::with_capacity(TOGETHER);
        loop {
            if lines.recv_many(&mut batch, TOGETHER).await == 0 {
                return;
            }
            let full = async { while batch.len() < TOGETHER && lines.recv_many(&mut batch, TOGETHER).await > 0 {} };
            let _ = tokio::time::timeout(GATHER_FOR, full).await;
            let all = Arc::new(std::mem::take(&mut batch));
            while !self.kept(&store, all.clone()).await {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Whether lines need not be tried again.
    async fn kept(&self, store: &Arc<Store>, lines: Arc<Vec<Line>>) -> bool {
        let (store, now) = (store.clone(), self.now().as_microsecond());
        match tokio::task::spawn_blocking(move || store.append(&lines, now)).await {
            Ok(Ok(receipt)) => {
                for ((stream, why), amount) in &receipt.dropped {
                    tracing::warn!(%stream, lines = amount.lines, "lines are not kept: {why}");
                }
                true
            }
            Ok(Err(NotKept::Full(error))) => {
                tracing::debug!(%error, "lines wait for room");
                false
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "lines wait");
                false
            }
            Err(error) => {
                tracing::error!(%error, "keeping lines broke off");
                true
            }
        }
    }

    /// Lines of an environment that are kept.
    pub(crate) async fn search_logs(&self, key: &EnvKey, asked: LogSearch) -> Result<LogsFound, ApiError> {
        let store = self.inner.observatory.lines().map_err(unavailable)?;
        let query = query(key, &asked, self.now())?;
        let ends = super::ask::Ends::default();
        let ended = ends.flag();
        let found = tokio::task::spawn_blocking(move || {
            store.search(&query, &|| ended.load(std::sync::atomic::Ordering::Relaxed))
        });
        let found = tokio::time::timeout(SEARCH_WITHIN, found).await.map_err(|_| {
            let why = format!("the search took longer than {} s and was ended", SEARCH_WITHIN.as_secs());
            ApiError::new(ErrorCode::Unavailable, why).hint("search a shorter time, or one service")
        })?;
        drop(ends);
        let page = match found {
            Ok(Ok(page)) => page,
            Ok(Err(NotSearched::Io(error))) => return Err(unavailable(format!("lines cannot be read: {error}"))),
            Ok(Err(error)) => return Err(ApiError::invalid(error.to_string())),
            Err(error) => return Err(ApiError::new(ErrorCode::Internal, error.to_string())),
        };
        Ok(LogsFound {
            lines: page.lines.iter().map(view).collect(),
            next: page.next.map(|next| next.to_string()),
            scanned_lines: page.scanned.lines,
            ruled_out_chunks: page.scanned.ruled_out,
        })
    }
}

fn stream(key: &EnvKey, replica: &SeenReplica) -> Stream {
    Stream::new([
        ("app", key.app.to_string()),
        ("environment", key.env.to_string()),
        ("service", replica.id.service.to_string()),
        ("release", replica.release.to_string()),
        ("replica", replica.id.to_string()),
    ])
}

/// The time of the newest line of a stream.
fn newest(store: &Store, stream: &Stream) -> Option<i64> {
    let labels = stream.iter().map(|(name, value)| Condition::new(name, Op::Equal, value)).collect::<Result<_, _>>();
    let query = Query { labels: labels.ok()?, direction: Direction::Newest, limit: 1, ..everything() };
    let page = store.search(&query, &|| false).ok()?;
    page.lines.first().map(|line| line.position.at)
}

fn everything() -> Query {
    Query::parse("").expect("what has no term searches for everything")
}

fn query(key: &EnvKey, asked: &LogSearch, now: Timestamp) -> Result<Query, ApiError> {
    let bad = |why: String| ApiError::new(ErrorCode::Usage, why);
    let text = asked.query.as_deref().unwrap_or_default();
    let mut query = Query::parse(text).map_err(|error| bad(error.to_string()))?;
    for (name, value) in [("app", key.app.to_string()), ("environment", key.env.to_string())] {
        query.labels.push(Condition::new(name, Op::Equal, value).map_err(|error| bad(error.to_string()))?);
    }
    let services: Vec<_> = asked.services().collect();
    if !services.is_empty() {
        let any = services.iter().map(|name| name.replace('.', "\\.")).collect::<Vec<_>>().join("|");
        query.labels.push(Condition::new("service", Op::Like, any).map_err(|error| bad(error.to_string()))?);
    }
    query.from = asked.from.map_or(i64::MIN, Timestamp::as_microsecond);
    query.to = asked.to.unwrap_or(now).as_microsecond().max(query.from);
    query.direction = if asked.oldest_first { Direction::Oldest } else { Direction::Newest };
    query.limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    query.after = match &asked.after {
        Some(after) => Some(after.parse().map_err(|error: daybook_logs::BadPosition| bad(error.to_string()))?),
        None => None,
    };
    Ok(query)
}

fn view(kept: &Kept) -> FoundLine {
    let line = &kept.line;
    let label = |name: &str| line.stream.get(name).to_owned();
    FoundLine {
        at: Timestamp::from_microsecond(line.at).unwrap_or_default(),
        service: label("service"),
        replica: label("replica"),
        release: label("release"),
        level: line.level.map(|level| level.name().to_owned()),
        request: line.request(),
        stderr: line.fields.iter().any(|field| field.name == "stderr"),
        text: line.text().into_owned(),
    }
}
