//! What volumes hold, carried by a helper: a pod of this program that is there for as long as that takes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use daybook_model::name::{EnvKey, VolumeName};
use daybook_runtime::volume_files::{Act, COMMAND, Taken, outcome, pack, unpack};
use daybook_runtime::{Error, ErrorKind, Exchange, Exec, ExecOutput, ExecRequest, FarVolume, Result};
use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{SinkExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodSpec};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::objects::helper::{self, MOUNT, Who};
use crate::objects::{Surroundings, of_environment};
use crate::pods::{has_ended, is_running, status};
use crate::program::{PLACE, Program};
use crate::seen::hindrance;
use crate::{KubernetesRuntime, names};

/// How long a helper may take until it runs: its image may have to come first.
const RUNS_WITHIN: Duration = Duration::from_secs(120);
/// Until it is looked at again.
const AGAIN: Duration = Duration::from_millis(200);
/// Pieces of a stream that wait for whoever reads them.
const WAITING: usize = 8;
/// How much of a stream is read at once.
const PIECE: usize = 1 << 16;
/// How much of what a helper says a person is shown.
const SHOWN: usize = 1_000;

/// Whose turn it is, by volume.
type Turns = BTreeMap<(EnvKey, VolumeName), Arc<AsyncMutex<()>>>;

/// Volumes that have a helper, or had one: each has one at a time.
#[derive(Default)]
pub(crate) struct Helped(Mutex<Turns>);

impl Helped {
    async fn alone(&self, far: &FarVolume<'_>) -> OwnedMutexGuard<()> {
        let volume = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry((far.key.clone(), far.name.clone())).or_default().clone()
        };
        volume.lock_owned().await
    }
}

impl KubernetesRuntime {
    pub(crate) async fn take_files(&self, far: &FarVolume<'_>, into: &Path) -> Result<Taken> {
        let operation = format!("take what volume {} holds", far.name);
        let taken = async { receive(&operation, self.tell_helper(&operation, far, Act::Take).await?, into).await };
        self.with_helper(&operation, far, taken).await
    }

    pub(crate) async fn lay_files(&self, far: &FarVolume<'_>, from: &Path) -> Result<()> {
        let operation = format!("lay files beside what volume {} holds", far.name);
        let laid = async { send(&operation, self.tell_helper(&operation, far, Act::Lay).await?, from).await };
        self.with_helper(&operation, far, laid).await
    }

    pub(crate) async fn exchange_files(&self, far: &FarVolume<'_>) -> Result<()> {
        self.ask_helper(&format!("exchange what volume {} holds", far.name), far, Act::Exchange).await.map(drop)
    }

    pub(crate) async fn settle_files(&self, far: &FarVolume<'_>) -> Result<Exchange> {
        let operation = format!("settle what volume {} holds", far.name);
        let answer = self.ask_helper(&operation, far, Act::Settle).await?;
        Ok(if answer.trim() == outcome(Exchange::Undone) { Exchange::Undone } else { Exchange::Done })
    }

    /// Tells a helper to do something that needs no stream. Gives what it says.
    async fn ask_helper(&self, operation: &str, far: &FarVolume<'_>, act: Act) -> Result<String> {
        let done = async {
            // Older API servers take the end of the input for the end of all.
            let Exec { output, input: _input, code, .. } = self.tell_helper(operation, far, act).await?;
            let heard = hear(output).await?;
            ended(operation, code.await?, &heard)?;
            Ok(heard)
        };
        self.with_helper(operation, far, done).await
    }

    /// Does something while the helper of a volume is there, which nobody else has meanwhile.
    async fn with_helper<T>(
        &self,
        operation: &str,
        far: &FarVolume<'_>,
        what: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let _alone = self.helped.alone(far).await;
        self.call_helper(operation, far).await?;
        let done = what.await;
        self.let_helper_go(far).await;
        done
    }

    /// Makes the helper of a volume and waits until it runs.
    async fn call_helper(&self, operation: &str, far: &FarVolume<'_>) -> Result<()> {
        let key = far.key;
        let claim = far.volume.outside_name.clone().unwrap_or_else(|| names::resource(far.name.as_str()));
        if self.cluster.get::<PersistentVolumeClaim>(key, &claim).await?.is_none() {
            return Err(Error::new(ErrorKind::NotFound, operation, format!("volume {claim} is not there")));
        }
        let mut services = Vec::new();
        for service in &far.services {
            let of_image = match service.container.user {
                Some(_) => None,
                None => self.images.user_of(&service.artifact).await?,
            };
            services.push((*service, of_image));
        }
        let who = Who::of(&services);
        self.make_environment(key, who.level()).await?;
        let image = self.images.publish_program(Program::own().await?).await?;
        let around = Surroundings { image, ..self.around(key) };
        // A server that was killed has left it.
        self.dismiss_helper(key, far.name).await?;
        let node = if far.volume.shared { None } else { self.machine_of(key, &claim).await? };
        let pod = helper::pod(key, far.name, &claim, &who, node.as_deref(), &around);
        self.cluster.apply(key, &pod).await?;
        let runs = self.until_it_runs(operation, key, &helper::name(key, far.name)).await;
        if runs.is_err() {
            self.let_helper_go(far).await;
        }
        runs
    }

    /// The machine on which a pod has a claim now.
    async fn machine_of(&self, key: &EnvKey, claim: &str) -> Result<Option<String>> {
        let namespace = self.cluster.namespace(key);
        let pods = self.cluster.list::<Pod>(Some(&namespace), &of_environment(key)).await?;
        let living = pods.iter().filter(|pod| !has_ended(pod)).filter_map(|pod| pod.spec.as_ref());
        Ok(living.filter(|spec| has(spec, claim)).find_map(|spec| spec.node_name.clone()))
    }

    async fn until_it_runs(&self, operation: &str, key: &EnvKey, name: &str) -> Result<()> {
        let mut why = None;
        let runs = async {
            loop {
                let Some(pod) = self.cluster.get::<Pod>(key, name).await? else {
                    return Err(Error::new(ErrorKind::Unavailable, operation, format!("pod {name} was removed")));
                };
                if status(&pod).is_some_and(is_running) {
                    return Ok(());
                }
                why = hindrance(&pod).and_then(|exit| exit.error);
                if has_ended(&pod) {
                    let why = why.take().unwrap_or_else(|| "its process ended".to_owned());
                    return Err(Error::new(ErrorKind::Internal, operation, format!("pod {name}: {why}")));
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        let ran = tokio::time::timeout(RUNS_WITHIN, runs).await;
        ran.unwrap_or_else(|_| {
            let why = why.unwrap_or_else(|| "the cluster does not say why".to_owned());
            let message = format!("pod {name} does not run after {} s: {why}", RUNS_WITHIN.as_secs());
            Err(Error::new(ErrorKind::Unavailable, operation, message))
        })
    }

    async fn tell_helper(&self, operation: &str, far: &FarVolume<'_>, act: Act) -> Result<Exec> {
        let argv = [PLACE, COMMAND, act.as_str(), MOUNT].map(str::to_owned).to_vec();
        let command = ExecRequest { argv, tty: None, user: None, working_dir: None };
        self.run_in_pod(operation.to_owned(), far.key, &helper::name(far.key, far.name), &command).await
    }

    /// Removes the helper of a volume. Not there is fine.
    pub(crate) async fn dismiss_helper(&self, key: &EnvKey, volume: &VolumeName) -> Result<()> {
        self.delete_whole::<Pod>(key, &helper::name(key, volume)).await
    }

    /// Removes a helper that has done what it was there for: it changes nothing about that when it stays.
    async fn let_helper_go(&self, far: &FarVolume<'_>) {
        if let Err(error) = self.dismiss_helper(far.key, far.name).await {
            tracing::warn!(key = %far.key, volume = %far.name, %error, "the helper of a volume is still there");
        }
    }
}

fn has(spec: &PodSpec, claim: &str) -> bool {
    let mut claims = spec.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.any(|there| there.claim_name == claim)
}

/// Makes a directory of what a helper writes.
async fn receive(operation: &str, exec: Exec, into: &Path) -> Result<Taken> {
    // Older API servers take the end of the input for the end of all.
    let Exec { mut output, input: _input, code, .. } = exec;
    let (mut pieces, stream) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let stream = SyncIoBridge::new(StreamReader::new(stream));
    let into = into.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut stream = stream;
        let taken = unpack(io::BufReader::with_capacity(PIECE, &mut stream), &into)?;
        // What follows the end is waited for, so that the helper can end.
        io::copy(&mut stream, &mut io::sink())?;
        Ok::<_, io::Error>(taken)
    });
    let mut heard = String::new();
    let carried = async {
        while let Some(ExecOutput { stderr, bytes }) = output.try_next().await? {
            if stderr {
                keep(&mut heard, &bytes);
            } else if pieces.send(Ok(bytes)).await.is_err() {
                // Whoever unpacks has given up, and says why.
                return Ok(0);
            }
        }
        code.await
    };
    let carried = carried.await;
    drop(pieces);
    // Until it has ended it may still write.
    let taken = joined(operation, unpacking.await);
    ended(operation, carried?, &heard)?;
    taken
}

/// Writes a directory to a helper.
async fn send(operation: &str, exec: Exec, from: &Path) -> Result<()> {
    let Exec { output, mut input, code, .. } = exec;
    let (pieces, mut waiting) = tokio::sync::mpsc::channel(WAITING);
    let from = from.to_owned();
    let packing = tokio::task::spawn_blocking(move || pack(&from, &[], Pieces(pieces)));
    let packed = async {
        while let Some(piece) = waiting.recv().await {
            // A helper that has ended says why.
            if input.write_all(&piece).await.is_err() {
                break;
            }
        }
        // What cannot be written is told by the helper as well.
        let _ = input.flush().await;
        drop(waiting);
        match packing.await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            packed => joined(operation, packed),
        }
    };
    let answered = async {
        let heard = hear(output).await?;
        ended(operation, code.await?, &heard)
    };
    tokio::try_join!(packed, answered).map(drop)
}

/// A stream in pieces, for whoever sends them on.
struct Pieces(tokio::sync::mpsc::Sender<Bytes>);

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(bytes));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a command prints, as much of it as a person is shown.
async fn hear(mut output: BoxStream<'static, Result<ExecOutput>>) -> Result<String> {
    let mut heard = String::new();
    while let Some(piece) = output.try_next().await? {
        keep(&mut heard, &piece.bytes);
    }
    Ok(heard)
}

fn keep(heard: &mut String, bytes: &[u8]) {
    let room = SHOWN.saturating_sub(heard.len());
    heard.push_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(room)]));
}

/// That a helper ended well.
fn ended(operation: &str, code: i32, heard: &str) -> Result<()> {
    match (code, heard.trim()) {
        (0, _) => Ok(()),
        (_, said) if said.contains("No space left") => Err(Error::new(ErrorKind::Full, operation, said)
            .hint("while it is restored a volume needs room for what it holds and for what it is to hold")),
        (code, "") => Err(Error::new(ErrorKind::Internal, operation, format!("the helper ended with code {code}"))),
        (_, said) => Err(Error::new(ErrorKind::Internal, operation, said)),
    }
}

fn joined<T>(operation: &str, done: std::result::Result<io::Result<T>, tokio::task::JoinError>) -> Result<T> {
    let failed = |error: io::Error| {
        let full = error.kind() == io::ErrorKind::StorageFull;
        Error::new(if full { ErrorKind::Full } else { ErrorKind::Internal }, operation, error)
    };
    done.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)
}
