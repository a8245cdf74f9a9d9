//! What replicas print: the logs of many as one.

use std::collections::BTreeSet;
use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_api::logs::{LogLineView, LogsQuery};
use daybook_model::launch::Role;
use daybook_model::{EnvKey, ReplicaId, SeenReplica, ServiceName};
use daybook_runtime::LogQuery;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::App;
use crate::error::ApiError;
use crate::view::status::word;

/// Between two looks for replicas that started meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Lines that wait for a slow reader; then the replicas' streams wait.
const WAITING: usize = 256;

/// Lines of one answer, at most: the newest.
const AT_ONCE: usize = 100_000;

/// Whose lines are wanted.
#[derive(Clone)]
struct Selection {
    services: BTreeSet<ServiceName>,
    replica: Option<ReplicaId>,
}

impl Selection {
    fn of(query: &LogsQuery) -> Result<Self, ApiError> {
        let services = query.services().map(str::parse::<ServiceName>).collect::<Result<_, _>>();
        let services = services.map_err(|error| ApiError::new(ErrorCode::Usage, error.to_string()))?;
        Ok(Self { services, replica: query.replica.clone() })
    }

    fn takes(&self, replica: &SeenReplica) -> bool {
        let service = self.services.is_empty() || self.services.contains(&replica.id.service);
        service && self.replica.as_ref().is_none_or(|id| id == &replica.id)
    }
}

impl App {
    /// Lines that are there already, oldest first.
    pub(crate) async fn logs(&self, key: &EnvKey, query: &LogsQuery) -> Result<Vec<LogLineView>, ApiError> {
        let selection = Selection::of(query)?;
        let seen = self.inner.runtime.observe(key).await?;
        let mut lines = Vec::new();
        for replica in seen.replicas.iter().filter(|replica| selection.takes(replica)) {
            let wanted = LogQuery { since: query.since, tail: query.tail, follow: false };
            let mut log = self.inner.executor.logs(key, &replica.id, replica.role, &wanted).await?;
            while let Some(line) = log.next().await {
                lines.push(view(&replica.id, replica.role, line?));
            }
            keep_newest(&mut lines, 2 * AT_ONCE);
        }
        keep_newest(&mut lines, AT_ONCE);
        Ok(lines)
    }

    /// Lines that are there already, then new ones, of replicas that start later too. Ends when the
    /// reader is gone, the server stops, or the one replica that is asked for has ended.
    pub(crate) fn follow_logs(&self, key: EnvKey, query: LogsQuery) -> Result<ReceiverStream<LogLineView>, ApiError> {
        let selection = Selection::of(&query)?;
        let (lines, receiver) = mpsc::channel(WAITING);
        let app = self.clone();
        self.spawn(async move { app.pump_logs(key, query, selection, lines).await });
        Ok(ReceiverStream::new(receiver))
    }

    async fn pump_logs(&self, key: EnvKey, query: LogsQuery, selection: Selection, lines: mpsc::Sender<LogLineView>) {
        let mut known: BTreeSet<(ReplicaId, Role)> = BTreeSet::new();
        let mut first = true;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = lines.closed() => return,
                _ = ticks.tick() => {}
            }
            let Ok(seen) = self.inner.runtime.observe(&key).await else { continue };
            known.retain(|(id, role)| seen.replicas.iter().any(|replica| &replica.id == id && replica.role == *role));
            for replica in seen.replicas.iter().filter(|replica| selection.takes(replica)) {
                if known.insert((replica.id.clone(), replica.role)) {
                    // Of a replica that starts later, everything is new.
                    let (since, tail) = if first { (query.since, query.tail) } else { (None, None) };
                    let wanted = LogQuery { since, tail, follow: true };
                    if selection.replica.is_some() {
                        // Nothing comes after the last line of the only one that is asked for.
                        return self.clone().pump(key, replica.id.clone(), replica.role, wanted, lines).await;
                    }
                    self.spawn(self.clone().pump(key.clone(), replica.id.clone(), replica.role, wanted, lines.clone()));
                }
            }
            first = false;
        }
    }

    async fn pump(self, key: EnvKey, id: ReplicaId, role: Role, wanted: LogQuery, lines: mpsc::Sender<LogLineView>) {
        let Ok(mut log) = self.inner.executor.logs(&key, &id, role, &wanted).await else { return };
        loop {
            let line = tokio::select! {
                () = lines.closed() => return,
                line = log.next() => line,
            };
            let Some(Ok(line)) = line else { return };
            if lines.send(view(&id, role, line)).await.is_err() {
                return;
            }
        }
    }
}

fn view(id: &ReplicaId, role: Role, line: daybook_runtime::LogLine) -> LogLineView {
    LogLineView { at: line.at, replica: id.clone(), role: word(&role), stderr: line.stderr, text: line.text }
}

/// Sorts by time, and keeps the newest. Lines of one replica keep their order.
fn keep_newest(lines: &mut Vec<LogLineView>, count: usize) {
    lines.sort_by_key(|line| line.at);
    let excess = lines.len().saturating_sub(count);
    lines.drain(..excess);
}
