//! Helm charts, released by the program `helm`.
//!
//! What a chart makes is its own and Helm's affair. What is ours is the record of the release, a Secret that Helm keeps
//! for each revision: it carries our labels, and which configuration was released. Helm has no annotations for it, so the
//! fingerprint is in two labels, of which one holds at most 63 letters.
//!
//! Files of charts are artifacts as others are: what a release was made of is still here for a rollback, whatever the
//! repository says by then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use daybook_model::fingerprint::Fingerprint;
use daybook_model::name::EnvKey;
use daybook_model::observed::{ChartState, SeenChart};
use daybook_model::spec::{Chart, ChartObjects};
use daybook_model::{Digest, Service, ServiceName};
use daybook_runtime::artifacts::{Artifacts, Source};
use daybook_runtime::{Error, ErrorKind, Progress, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::KubernetesRuntime;
use crate::images::is_local;
use crate::objects::{Level, Pairs, SERVICE, of_environment};
use crate::rendered::objects;

/// The labels that hold the two halves of a fingerprint.
const FINGERPRINT: [&str; 2] = ["daybook.dev/fingerprint-1", "daybook.dev/fingerprint-2"];
/// The label of Helm's records, and its value.
pub(crate) const OWNER: (&str, &str) = ("owner", "helm");
/// Revisions whose records are kept.
const HISTORY: &str = "10";
/// Variables by which Helm would look for the cluster elsewhere than we do.
const ELSEWHERE: [&str; 5] =
    ["HELM_KUBECONTEXT", "HELM_KUBEAPISERVER", "HELM_KUBETOKEN", "HELM_KUBEASUSER", "HELM_NAMESPACE"];
/// How long Helm may take for anything but waiting.
const ANSWER: Duration = Duration::from_secs(120);
/// How long what a chart has made may take to go.
const REMOVED_WITHIN: Duration = Duration::from_secs(300);
/// Until a release of somebody else's that is under way is looked at again.
const AGAIN: Duration = Duration::from_millis(500);

/// The program, and how it finds the cluster.
pub(crate) struct Helm {
    kubeconfig: Option<PathBuf>,
    /// `None`: the current one, or in a pod the pod's own.
    context: Option<String>,
    charts: Artifacts,
}

impl Helm {
    pub(crate) fn new(kubeconfig: Option<PathBuf>, context: Option<String>, state: &Path) -> Self {
        Self { kubeconfig, context, charts: Artifacts::of(state) }
    }

    /// The digest of a chart's files. Those of a repository are here from now on.
    pub(crate) async fn resolve(&self, chart: &Chart) -> Result<Digest> {
        let quiet = |_: &str| ();
        if chart.is_local() {
            let digest = Source::site(&chart.reference).digest().await?;
            self.charts.take(Source::site(&chart.reference), Some(&digest), &quiet).await?;
            return Ok(digest);
        }
        let fetched = self.fetch(chart).await?;
        let digest = fetched.source().digest().await?;
        self.charts.take(fetched.source(), Some(&digest), &quiet).await?;
        Ok(digest)
    }

    /// Makes sure that the files of a resolved chart are here.
    pub(crate) async fn prepare(&self, chart: &Chart, progress: Progress<'_>) -> Result<()> {
        let wanted = chart.digest.as_ref();
        if wanted.is_some_and(|digest| self.charts.holds(digest)) {
            return Ok(());
        }
        if chart.is_local() {
            return self.charts.take(Source::site(&chart.reference), wanted, progress).await;
        }
        let fetched = self.fetch(chart).await?;
        self.charts.take(fetched.source(), wanted, progress).await
    }

    async fn fetch(&self, chart: &Chart) -> Result<Fetched> {
        let operation = format!("fetch the chart {}", chart.reference);
        let failed = |error: std::io::Error| Error::new(ErrorKind::Internal, &operation, error);
        let into = tempfile::tempdir().map_err(failed)?;
        let mut command = self.command();
        command.args(["pull", &chart.reference, "--untar", "--untardir"]).arg(into.path());
        command.args(chart.repository.iter().flat_map(|repository| ["--repo", repository]));
        command.args(chart.version.iter().flat_map(|version| ["--version", version]));
        let host = chart.reference.strip_prefix("oci://").and_then(|rest| rest.split('/').next());
        if host.is_some_and(is_local) {
            command.arg("--plain-http");
        }
        self.run(&operation, command, "", ANSWER).await?;
        // The archive itself may lie beside the directory that it holds.
        let entries = std::fs::read_dir(into.path()).map_err(failed)?.flatten();
        let root = entries.map(|entry| entry.path()).find(|path| path.is_dir());
        let root = root.ok_or_else(|| Error::new(ErrorKind::Refused, &operation, "what was fetched is no chart"))?;
        Ok(Fetched { root, _within: into })
    }

    /// Helm, told where the cluster is.
    fn command(&self) -> Command {
        let mut command = Command::new("helm");
        command.kill_on_drop(true).env("HELM_DRIVER", "secret");
        for variable in ELSEWHERE {
            command.env_remove(variable);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        command.args(self.context.iter().flat_map(|context| ["--kube-context", context]));
        command
    }

    /// Runs Helm to its end, and returns what it printed.
    async fn run(&self, operation: &str, mut command: Command, input: &str, within: Duration) -> Result<String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut helm = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(ErrorKind::Refused, operation, "there is no `helm` on the machine of the server")
                    .hint("install Helm 3.14 or later there, in the PATH of `daybook serve`")
            }
            _ => Error::new(ErrorKind::Internal, operation, error),
        })?;
        let mut stdin = helm.stdin.take().expect("it was asked for");
        let answered = async {
            // A program that ends without reading is told about below.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            helm.wait_with_output().await
        };
        let output = match tokio::time::timeout(within, answered).await {
            Ok(output) => output.map_err(|error| Error::new(ErrorKind::Internal, operation, error))?,
            Err(_) => {
                let message = format!("helm did not come to its end within {} s", within.as_secs());
                return Err(Error::new(ErrorKind::Unavailable, operation, message));
            }
        };
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(operation, &String::from_utf8_lossy(&output.stderr)))
    }
}

/// A chart's directory, which goes with this value.
struct Fetched {
    root: PathBuf,
    _within: tempfile::TempDir,
}

impl Fetched {
    fn source(&self) -> Source {
        Source { root: self.root.clone(), extra: Vec::new() }
    }
}

/// What Helm said when it failed. Warnings come before; the error is the last line that begins so.
fn failed(operation: &str, said: &str) -> Error {
    let begins = said.rfind("Error: ").map_or(0, |at| at + "Error: ".len());
    let message = said[begins..].trim();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let kind = if has(&["connection refused", "no such host", "i/o timeout", "TLS handshake", "503 ", "EOF"]) {
        ErrorKind::Unavailable
    } else if has(&["not found", "404"]) {
        ErrorKind::NotFound
    } else {
        ErrorKind::Refused
    };
    Error::new(kind, operation, if message.is_empty() { "helm failed and said nothing" } else { message })
}

impl KubernetesRuntime {
    /// What the chart of a service makes. The cluster is asked what it knows of, and what of it is not yet there is
    /// rendered all the same: a chart may bring kinds of its own.
    pub(crate) async fn render(&self, key: &EnvKey, service: &Service) -> Result<ChartObjects> {
        let operation = format!("render the chart of {}", service.name);
        let chart = chart(&operation, service)?;
        let files = self.chart_files(&operation, chart)?;
        let values = chart.values.to_string();
        let command = |flags: &[&str]| {
            let mut command = self.helm.command();
            command.args(["template", service.name.as_str()]).arg(&files);
            command.args(["--namespace", &self.cluster.namespace(key), "--values", "-", "--skip-tests"]).args(flags);
            command
        };
        let rendered = match self.helm.run(&operation, command(&["--validate", "--is-upgrade"]), &values, ANSWER).await
        {
            Err(error) if error.message.contains("no matches for kind") => {
                self.helm.run(&operation, command(&[]), &values, ANSWER).await?
            }
            rendered => rendered?,
        };
        let text = std::fs::read_to_string(files.join("Chart.yaml"))
            .map_err(|error| Error::new(ErrorKind::Refused, &operation, format!("Chart.yaml: {error}")))?;
        let version = text.lines().find_map(|line| line.strip_prefix("version:")).unwrap_or_default();
        let version = version.trim().trim_matches(['"', '\'']).to_owned();
        Ok(ChartObjects { version, objects: objects(&rendered) })
    }

    /// Releases a service's chart and waits until all that it made is ready.
    pub(crate) async fn release_by_helm(
        &self,
        key: &EnvKey,
        service: &Service,
        fingerprint: &Fingerprint,
    ) -> Result<()> {
        let operation = format!("release the chart of {}", service.name);
        let chart = chart(&operation, service)?;
        let files = self.chart_files(&operation, chart)?;
        let ready = Duration::from_millis(service.rollout.ready_ms);
        self.make_environment(key, Level::Baseline).await?;
        self.refuse_foreign_release(&operation, key, service).await?;
        match self.settled(key, &service.name, ready).await? {
            Some(seen) if seen.state == ChartState::Released && seen.fingerprint == *fingerprint => return Ok(()),
            // Whoever made it died, or the very first one failed: Helm would go on with neither.
            Some(seen) if seen.state == ChartState::Pending && seen.revision > 1 => {
                let mut command = self.within("rollback", key, &service.name);
                command.arg("--history-max").arg(HISTORY);
                self.helm.run(&operation, command, "", ANSWER).await?;
            }
            Some(seen) if seen.revision == 1 && seen.state != ChartState::Released => {
                self.remove_by_helm(key, &service.name).await?;
            }
            _ => {}
        }
        let mut command = self.within("upgrade", key, &service.name);
        command.arg(&files).args(["--install", "--values", "-", "--history-max", HISTORY, "--wait", "--wait-for-jobs"]);
        command.arg("--timeout").arg(format!("{}s", ready.as_secs().max(1)));
        command.arg("--labels").arg(labels_of(key, &service.name, fingerprint));
        let released = self.helm.run(&operation, command, &chart.values.to_string(), ready + ANSWER).await;
        self.cluster.written.unknown(key);
        released.map(drop)
    }

    /// Takes away what a chart has made. Claims of its StatefulSets stay, as Kubernetes leaves them.
    pub(crate) async fn remove_by_helm(&self, key: &EnvKey, name: &ServiceName) -> Result<()> {
        if !self.charts_of(key).await?.contains_key(name) {
            return Ok(());
        }
        let operation = format!("remove what the chart of {name} made");
        let mut command = self.within("uninstall", key, name);
        command.args(["--ignore-not-found", "--wait", "--cascade", "foreground", "--timeout"]);
        command.arg(format!("{}s", REMOVED_WITHIN.as_secs()));
        let removed = self.helm.run(&operation, command, "", REMOVED_WITHIN + ANSWER).await;
        self.cluster.written.unknown(key);
        removed.map(drop)
    }

    fn within(&self, what: &str, key: &EnvKey, name: &ServiceName) -> Command {
        let mut command = self.helm.command();
        command.args([what, name.as_str(), "--namespace", &self.cluster.namespace(key)]);
        command
    }

    fn chart_files(&self, operation: &str, chart: &Chart) -> Result<PathBuf> {
        let files = chart.digest.as_ref().map(|digest| self.helm.charts.path(digest));
        let missing = || Error::new(ErrorKind::NotFound, operation, "the files of the chart are not here");
        files.filter(|files| files.is_dir()).ok_or_else(missing)
    }

    /// A release of this name that no Daybook made is left alone.
    async fn refuse_foreign_release(&self, operation: &str, key: &EnvKey, service: &Service) -> Result<()> {
        let labels: Pairs = [OWNER, ("name", service.name.as_str())].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let namespace = self.cluster.namespace(key);
        let records = self.cluster.list::<PartialObjectMeta<Secret>>(Some(&namespace), &labels).await?;
        let is_ours = |meta: &PartialObjectMeta<Secret>| {
            let labels = meta.metadata.labels.as_ref();
            labels.is_some_and(|labels| of_environment(key).iter().all(|(name, value)| labels.get(name) == Some(value)))
        };
        if records.is_empty() || records.iter().any(is_ours) {
            return Ok(());
        }
        let message = format!("somebody else has released a chart as `{}` in namespace {namespace}", service.name);
        Err(Error::new(ErrorKind::Conflict, operation, message)
            .hint(format!("rename the service, or `helm uninstall {} -n {namespace}`", service.name)))
    }

    /// The last release, once it is not under way any more, or has been for as long as it may take.
    async fn settled(&self, key: &EnvKey, name: &ServiceName, within: Duration) -> Result<Option<SeenChart>> {
        let began = tokio::time::Instant::now();
        loop {
            let seen = self.charts_of(key).await?.remove(name);
            if seen.as_ref().is_none_or(|seen| seen.state != ChartState::Pending) || began.elapsed() >= within {
                return Ok(seen);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whether a service is a chart here.
    pub(crate) async fn is_chart(&self, key: &EnvKey, name: &ServiceName) -> Result<bool> {
        let namespace = self.cluster.namespace(key);
        let charts = match self.cache.records(&namespace, &records_of(key)) {
            Some(records) => seen(records.iter().map(Arc::as_ref)),
            None => self.charts_of(key).await?,
        };
        Ok(charts.contains_key(name))
    }

    async fn charts_of(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, SeenChart>> {
        let namespace = self.cluster.namespace(key);
        let records = self.cluster.list::<PartialObjectMeta<Secret>>(Some(&namespace), &records_of(key)).await?;
        Ok(seen(records.iter()))
    }
}

/// The labels of the records of an environment's releases.
pub(crate) fn records_of(key: &EnvKey) -> Pairs {
    let mut labels = of_environment(key);
    labels.insert(OWNER.0.to_owned(), OWNER.1.to_owned());
    labels
}

/// What Helm's records say: of each release, the newest revision.
pub(crate) fn seen<'a>(
    records: impl Iterator<Item = &'a PartialObjectMeta<Secret>>,
) -> BTreeMap<ServiceName, SeenChart> {
    let mut all: BTreeMap<ServiceName, SeenChart> = BTreeMap::new();
    for record in records {
        let Some((name, chart)) = record.metadata.labels.as_ref().and_then(record_of) else { continue };
        match all.get(&name) {
            Some(known) if known.revision >= chart.revision => {}
            _ => drop(all.insert(name, chart)),
        }
    }
    all
}

fn record_of(labels: &Pairs) -> Option<(ServiceName, SeenChart)> {
    if labels.get(OWNER.0).map(String::as_str) != Some(OWNER.1) {
        return None;
    }
    let halves = FINGERPRINT.map(|name| labels.get(name).map(String::as_str).unwrap_or_default());
    let fingerprint = Fingerprint(format!("sha256:{}", halves.concat()).parse().ok()?);
    let state = match labels.get("status")?.as_str() {
        "deployed" => ChartState::Released,
        "failed" => ChartState::Failed,
        // "superseded" as the newest is a release that died between two writes.
        _ => ChartState::Pending,
    };
    let revision = labels.get("version")?.parse().ok()?;
    Some((labels.get(SERVICE)?.parse().ok()?, SeenChart { fingerprint, revision, state }))
}

fn labels_of(key: &EnvKey, name: &ServiceName, fingerprint: &Fingerprint) -> String {
    let mut labels = of_environment(key);
    labels.insert(SERVICE.to_owned(), name.to_string());
    let hex = fingerprint.0.hex();
    let (first, second) = hex.split_at(hex.len() / 2);
    labels.insert(FINGERPRINT[0].to_owned(), first.to_owned());
    labels.insert(FINGERPRINT[1].to_owned(), second.to_owned());
    let pairs: Vec<_> = labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(",")
}

fn chart<'a>(operation: &str, service: &'a Service) -> Result<&'a Chart> {
    service.artifact.chart().ok_or_else(|| Error::new(ErrorKind::Internal, operation, "it has no chart"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(revision: u32, status: &str, fingerprint: &Fingerprint) -> PartialObjectMeta<Secret> {
        let key: EnvKey = "shop/production".parse().unwrap();
        let mut labels: Pairs = labels_of(&key, &"cache".parse().unwrap(), fingerprint)
            .split(',')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in [OWNER, ("status", status), ("version", &revision.to_string())] {
            labels.insert(name.to_owned(), value.to_owned());
        }
        assert!(records_of(&key).iter().all(|(name, value)| labels.get(name) == Some(value)));
        assert!(labels.values().all(|value| value.len() <= 63));
        let mut meta = PartialObjectMeta::<Secret>::default();
        meta.metadata.labels = Some(labels);
        meta
    }

    #[test]
    fn the_newest_revision_says_what_is_released() {
        let (old, new) = (Fingerprint(Digest::of(b"old")), Fingerprint(Digest::of(b"new")));
        let records = [record(9, "superseded", &old), record(10, "deployed", &new), record(8, "failed", &old)];
        let seen = seen(records.iter());
        let chart = &seen[&"cache".parse().unwrap()];
        assert_eq!(*chart, SeenChart { fingerprint: new, revision: 10, state: ChartState::Released });
    }

    #[test]
    fn what_helm_says_is_told_apart() {
        let error = |said: &str| failed("try", said);
        let away =
            "WARNING: old\nError: Kubernetes cluster unreachable: dial tcp 127.0.0.1:1: connect: connection refused\n";
        assert!(error(away).is_transient());
        assert!(error(away).message.starts_with("Kubernetes cluster unreachable"));
        assert_eq!(
            error("Error: chart \"x\" not found in https://charts.example.com repository").kind,
            ErrorKind::NotFound
        );
        assert_eq!(error("Error: execution error at (x/templates/y.yaml): set a name").kind, ErrorKind::Refused);
        assert_eq!(error("").message, "helm failed and said nothing");
    }
}
