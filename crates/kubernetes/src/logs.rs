//! Logs, as the machines keep them.
//!
//! Kubernetes keeps both streams in one, and for each container the process before the present one's too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::observed::ReplicaState;
use daybook_model::{ReplicaId, Timestamp};
use daybook_runtime::{Error, ErrorKind, LogLine, LogQuery, Result};
use futures::io::AsyncBufReadExt as _;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::sync::mpsc;

use crate::cluster::{Cluster, answer};
use crate::keeper::Keeper;
use crate::objects::of_replica;
use crate::pods::{is_running, newest_last, status};
use crate::seen::seen;
use crate::silence::{Silence, machine_has_answered};
use crate::{KubernetesRuntime, names};

/// Lines that wait for whoever reads them.
const AHEAD: usize = 256;
/// Until a replica whose process has ended is looked at again.
const AGAIN: Duration = Duration::from_millis(300);
/// How much earlier than the line before it a line may be.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

impl KubernetesRuntime {
    pub(crate) async fn log_lines(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let operation = format!("read the log of {id}");
        // Thousands may be followed at once, and what is late does no harm there: the watches need not be asked.
        let told = if query.follow { self.told_of(key, id, role) } else { None };
        // What has ended is asked for once, and by nobody again.
        let running = told.iter().flat_map(|(_, pods)| pods).rfind(|pod| status(pod).is_some_and(is_running));
        let machine = running.and_then(machine);
        if let Some(machine) = machine.filter(|machine| !self.silence.may_ask(machine, Instant::now())) {
            let message = format!("its machine {machine} has not answered of late");
            return Err(Error::new(ErrorKind::Unavailable, operation, message));
        }
        let (keeper, pods) = match told {
            Some((keeper, pods)) => (keeper, Some(pods)),
            None => (self.known(&operation, key, id, role).await?, None),
        };
        let (lines, received) = mpsc::channel(AHEAD);
        let reader = Reader {
            cluster: self.cluster.clone(),
            silence: self.silence.clone(),
            operation,
            keeper,
            query: query.clone(),
            pods,
            position: Position { floor: query.since, ..Position::default() },
            lines,
        };
        tokio::spawn(reader.read());
        let stream = futures::stream::unfold(received, async |mut received| Some((received.recv().await?, received)));
        Ok(stream.boxed())
    }

    /// The workload of a replica and its pods, the newest last, as the watches have told.
    fn told_of(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Option<(Keeper, Vec<Pod>)> {
        let (namespace, name) = (self.cluster.namespace(key), names::workload(id, role));
        let told = self.cache.workloads(&namespace, &name, &of_replica(key, id, role))?;
        let keepers = self.keepers_among(key, &told.deployments, &told.stateful_sets, &told.jobs).ok()?;
        let keeper = keepers.into_iter().find(|keeper| keeper.identity.id == *id && keeper.identity.role == role)?;
        let mut pods: Vec<_> = told.pods.into_iter().map(Arc::unwrap_or_clone).collect();
        newest_last(&mut pods);
        Some((Arc::unwrap_or_clone(keeper), pods))
    }
}

/// How far a log was read. Streams that follow one another overlap, for their beginnings are told in whole seconds.
///
/// containerd reads a process's two streams apart from one another, and takes a line's time before it writes the line:
/// lines are in their file a little out of the order of their times.
#[derive(Debug, Default)]
struct Position {
    /// Lines of before are not wanted.
    floor: Option<Timestamp>,
    earliest: Option<Timestamp>,
    latest: Option<Timestamp>,
    /// Lines handed on, the last [`OUT_OF_ORDER`] of them.
    recent: BTreeSet<Timestamp>,
    /// Lines handed on before the present stream began.
    repeated: BTreeSet<Timestamp>,
}

impl Position {
    /// Where the next stream begins; `None`: at the log's beginning.
    fn resume(&mut self) -> Option<Timestamp> {
        if let Some(latest) = self.latest {
            let from = begin_again(latest);
            self.repeated.append(&mut self.recent);
            self.repeated = self.repeated.split_off(&from);
            self.floor = self.floor.max(self.earliest).max(Some(from));
        }
        self.floor
    }

    /// Whether a line of this time was not handed on before; from now on it was.
    fn is_new(&mut self, at: Timestamp) -> bool {
        if self.floor.is_some_and(|floor| at < floor) {
            return false;
        }
        if self.latest.is_some_and(|latest| latest.as_second() < at.as_second()) {
            self.recent = self.recent.split_off(&begin_again(at));
        }
        self.recent.insert(at);
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
        self.latest = self.latest.max(Some(at));
        !self.repeated.remove(&at)
    }
}

/// Where a stream begins that goes on after a line of `latest`.
fn begin_again(latest: Timestamp) -> Timestamp {
    whole_second(latest.saturating_sub(OUT_OF_ORDER).unwrap_or(latest))
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Reads one replica's log into a channel.
struct Reader {
    cluster: Cluster,
    silence: Arc<Silence>,
    operation: String,
    keeper: Keeper,
    query: LogQuery,
    /// Its pods, where they are known when it begins.
    pods: Option<Vec<Pod>>,
    position: Position,
    lines: mpsc::Sender<Result<LogLine>>,
}

impl Reader {
    async fn read(mut self) {
        let read = self.all().await;
        if let Err(error) = read {
            // Nobody may be left who reads.
            let _ = self.lines.send(Err(error)).await;
        }
    }

    async fn all(&mut self) -> Result<()> {
        let mut tail = self.query.tail;
        let mut is_first = true;
        loop {
            let pods = match self.pods.take() {
                Some(pods) => pods,
                None => self.pods().await?,
            };
            let pod = pods.iter().rev().find(|pod| has_begun(pod));
            if let Some(pod) = pod {
                if is_first && status(pod).is_some_and(|status| status.restart_count > 0) {
                    self.earlier(pod, &mut tail).await;
                }
                let follows = self.query.follow && status(pod).is_some_and(is_running);
                if !self.pass(pod, follows, tail).await? {
                    return Ok(());
                }
                is_first = false;
                tail = None;
            }
            let state = seen(&self.keeper, &pods.iter().collect::<Vec<_>>()).state;
            if !self.query.follow || (pod.is_some() && state == ReplicaState::Exited) || self.lines.is_closed() {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
            if !self.is_there().await? {
                return Ok(());
            }
        }
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        let known = &self.keeper.identity;
        self.cluster.pods_of(&known.key, &known.id, known.role).await
    }

    /// Whether the replica has a pod, or will have one.
    async fn is_there(&mut self) -> Result<bool> {
        if !self.pods().await?.is_empty() {
            return Ok(true);
        }
        let (key, name) = (&self.keeper.identity.key, &self.keeper.name);
        use k8s_openapi::api::{apps::v1, batch};
        Ok(match self.keeper.kind {
            crate::objects::Kind::Deployment => {
                self.cluster.get::<v1::Deployment>(key, name).await?.and_then(|d| Keeper::of_deployment(&d))
            }
            crate::objects::Kind::StatefulSet => {
                self.cluster.get::<v1::StatefulSet>(key, name).await?.and_then(|s| Keeper::of_stateful_set(&s))
            }
            crate::objects::Kind::Job => {
                self.cluster.get::<batch::v1::Job>(key, name).await?.and_then(|j| Keeper::of_job(&j))
            }
        }
        .is_some_and(|keeper| keeper.wanted && !keeper.over))
    }

    /// What the process before the present one said, as far as its machine has it. Takes off from `tail` what it says.
    async fn earlier(&mut self, pod: &Pod, tail: &mut Option<usize>) {
        let mut lines = Vec::new();
        for previous in [true, false] {
            let Ok(mut stream) = self.open(pod, previous, false, *tail).await else { continue };
            while let Some(Ok(line)) = stream.next().await {
                lines.push(line);
            }
        }
        let from = tail.map_or(0, |tail| lines.len().saturating_sub(tail));
        for line in lines.drain(from..) {
            if !self.hand_on(line).await {
                return;
            }
        }
        *tail = None;
    }

    /// Hands the log of a pod's process on, to its end. `false`: nobody reads any more.
    async fn pass(&mut self, pod: &Pod, follows: bool, tail: Option<usize>) -> Result<bool> {
        let mut stream = self.open(pod, false, follows, tail).await?;
        loop {
            let line = tokio::select! {
                () = self.lines.closed() => return Ok(false),
                line = stream.try_next() => line,
            };
            // A machine that goes away ends the stream in the middle: the next one begins where it ended.
            let Ok(Some(line)) = line else { return Ok(true) };
            if !self.hand_on(line).await {
                return Ok(false);
            }
        }
    }

    async fn hand_on(&mut self, line: LogLine) -> bool {
        !self.position.is_new(line.at) || self.lines.send(Ok(line)).await.is_ok()
    }

    async fn open(
        &mut self,
        pod: &Pod,
        previous: bool,
        follow: bool,
        tail: Option<usize>,
    ) -> Result<BoxStream<'static, std::io::Result<LogLine>>> {
        let params = LogParams {
            follow,
            previous,
            // Kubelets compare whole seconds; the rest is left out here.
            since_time: self.position.resume().map(whole_second),
            tail_lines: tail.and_then(|tail| i64::try_from(tail).ok()),
            timestamps: true,
            ..LogParams::default()
        };
        let api = self.cluster.of::<Pod>(&self.keeper.identity.key);
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut has_answered = None;
        let asked = async {
            let opened = api.log_stream(&name, &params).await;
            has_answered = machine_has_answered(&opened);
            opened
        };
        let opened = answer(&self.operation, asked).await;
        if let Some((machine, has_answered)) = machine(pod).zip(has_answered) {
            self.silence.asked(machine, &name, has_answered, Instant::now());
        }
        let lines = lossy_lines(opened?);
        Ok(lines.try_filter_map(async |text| Ok(line(&text))).boxed())
    }
}

/// Lines as text: bytes that are none are replaced.
fn lossy_lines(
    reader: impl futures::AsyncBufRead + Send + 'static,
) -> impl futures::Stream<Item = std::io::Result<String>> + Send {
    futures::stream::try_unfold(Box::pin(reader), async |mut reader| {
        let mut bytes = Vec::new();
        if reader.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), reader)))
    })
}

/// `2026-01-01T00:00:00.123456789Z the text`.
fn line(text: &str) -> Option<LogLine> {
    let (at, text) = text.split_once(' ').unwrap_or((text, ""));
    Some(LogLine { at: at.parse().ok()?, stderr: false, text: text.to_owned() })
}

/// Where a pod runs.
fn machine(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Whether a process of a pod has ever been there.
fn has_begun(pod: &Pod) -> bool {
    status(pod).is_some_and(|status| {
        let state = status.state.as_ref();
        status.restart_count > 0 || state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_and_a_text() {
        let read = |text: &str| line(text).map(|line| (line.at.to_string(), line.text));
        let at = "2026-01-01T00:00:00.123456789Z".to_owned();
        assert_eq!(read(&format!("{at} hello  there ")), Some((at.clone(), "hello  there ".to_owned())));
        assert_eq!(read(&format!("{at} ")), Some((at.clone(), String::new())));
        assert_eq!(read(&at), Some((at, String::new())), "an empty line may come without its space");
        let offset = read("2026-01-01T01:00:00+01:00 x").map(|(at, _)| at);
        assert_eq!(offset.as_deref(), Some("2026-01-01T00:00:00Z"), "machines may tell their own time zone");
        assert_eq!(read("unable to retrieve container logs for containerd://1"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn each_line_is_handed_on_once_though_times_are_out_of_order() {
        let at = |text: &str| format!("2026-01-01T00:00:{text}Z").parse::<Timestamp>().unwrap();
        let new = |position: &mut Position, times: &[&str]| -> Vec<bool> {
            times.iter().map(|time| position.is_new(at(time))).collect()
        };
        let mut position = Position { floor: Some(at("05.5")), ..Position::default() };
        assert_eq!(position.resume(), Some(at("05.5")));
        assert_eq!(new(&mut position, &["05.4", "07.2", "07.1", "07.2", "06.3"]), [false, true, true, true, true]);
        assert_eq!(position.resume(), Some(at("06.3")), "a tail may have left out what is earlier");
        assert_eq!(new(&mut position, &["06.1", "07.1", "07.2", "07.15", "07.3"]), [false, false, false, true, true]);
        assert_eq!(position.resume(), Some(at("06.3")));
        assert_eq!(new(&mut position, &["07.1", "07.3", "59"]), [false, false, true]);
        assert_eq!(position.resume(), Some(at("58")));
        assert_eq!(position.repeated.len(), 1, "what is long past is forgotten");
        assert_eq!(Position::default().resume(), None);
    }

    #[tokio::test]
    async fn lines_are_text_whatever_a_program_writes() {
        let bytes: &[u8] = b"one\n\ntw\xffo\r\nunfinished";
        let lines: Vec<String> = lossy_lines(futures::io::Cursor::new(bytes)).try_collect().await.unwrap();
        assert_eq!(lines, ["one", "", "tw\u{fffd}o\r", "unfinished"]);
    }
}
