//! Many services in a cluster whose machines exist in name only (KWOK): planning, changing one, and the same with
//! `kubectl`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use daybook_bench::cluster::{self, ask, give, kubectl};
use daybook_bench::compare::output;
use daybook_bench::daybook::Daybook;
use daybook_bench::fake_nodes::Binder;
use daybook_bench::process::{Memory, memory};
use daybook_bench::shop;
use daybook_bench::statistics::median;
use serde_json::{Value, json};
use tokio::process::Command;

use super::say;

const APP: &str = "scale";
const NAMESPACE: &str = "scale-production";
/// Where `kubectl` keeps the same objects.
const PLAIN: &str = "scale-plain";
/// Pods that a machine takes.
const EACH: u32 = 100;
/// Each command may take so long: the first deployment of thousands of services takes most of an hour on two cores.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many services, one size after the other.
    #[arg(long, env = "SERVICES", value_delimiter = ',', default_value = "100,1000")]
    services: Vec<u32>,
    /// Plans of each size; the medians are shown.
    #[arg(long, env = "COUNT", default_value_t = 3)]
    count: u32,
    /// The image: one that the cluster's machines could pull, looked up once for each plan.
    #[arg(long, env = "IMAGE", default_value = "127.0.0.1:5055/busybox:1.35")]
    image: String,
    /// How many services `kubectl` is given at most. It asks for one object after the other, so its time grows with
    /// them, and that of 5,000 is most of an hour.
    #[arg(long, env = "KUBECTL", default_value_t = 1_000)]
    kubectl: u32,
}

/// What was measured of one size.
struct Measured {
    noop_plan_ms: f64,
    one_change_ms: f64,
    noop_requests: u64,
    change_requests: u64,
    idle_requests: u64,
    rss: u64,
    peak: u64,
    objects: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let largest = arguments.services.iter().copied().max().context("SERVICES is empty")?;
    fake_nodes(largest.div_ceil(EACH)).await?;
    let measured = sizes(&arguments).await;
    fake_nodes(0).await?;
    say(&json!({"runs": measured?}).to_string());
    Ok(())
}

async fn sizes(arguments: &Arguments) -> Result<Vec<Value>> {
    let mut runs = Vec::new();
    for size in &arguments.services {
        runs.push(one_size(arguments, *size).await.with_context(|| format!("{size} services"))?);
    }
    Ok(runs)
}

async fn fake_nodes(count: u32) -> Result<()> {
    let program = shop::root().join("scripts/cluster");
    output(Command::new(program).args(["nodes", &count.to_string()])).await.map(drop)
}

async fn one_size(arguments: &Arguments, size: u32) -> Result<Value> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let own = own(directory.path(), arguments, size).await?;
    let plain_size = size.min(arguments.kubectl);
    let plain = plain(directory.path(), &own.objects, plain_size).await;
    ask(&["delete", "namespace", PLAIN, "--ignore-not-found"]).await?;
    let (diff, apply) = plain?;
    Ok(json!({
        "n": size, "noop_plan_ms": own.noop_plan_ms, "one_change_ms": own.one_change_ms,
        "api_requests": own.noop_requests + own.change_requests, "noop_plan_requests": own.noop_requests,
        "one_change_requests": own.change_requests, "idle_requests_per_s": own.idle_requests / IDLE.as_secs(),
        "server_rss": own.rss, "server_peak": own.peak, "kubectl_n": plain_size, "kubectl_diff_ms": diff,
        "kubectl_apply_ms": apply,
    }))
}

/// How long the server is watched while nobody asks it for anything.
const IDLE: Duration = Duration::from_secs(20);

async fn own(directory: &Path, arguments: &Arguments, size: u32) -> Result<Measured> {
    let state = directory.join("state");
    std::fs::create_dir(&state)?;
    let manifest = directory.join("daybook.yaml");
    std::fs::write(&manifest, manifest_of(size, &arguments.image)).context("write a manifest")?;
    let mut daybook =
        Daybook::start_with(&state, "process", vec![("DAYBOOK_LOG", "info,kube_client=debug".to_owned())]).await?;
    daybook.patience = PATIENCE;
    let binder = Binder::start(NAMESPACE).await?;
    let measured = measure(&daybook, &state, &manifest, arguments.count, size).await;
    // Taking so many down in order would take as long as it took to bring them up.
    drop((daybook, binder));
    ask(&["delete", "namespace", NAMESPACE, "--ignore-not-found"]).await?;
    measured
}

async fn measure(daybook: &Daybook, state: &Path, manifest: &Path, count: u32, size: u32) -> Result<Measured> {
    let log = state.join("serve.out");
    let started = Instant::now();
    daybook.succeed(&mut command(daybook, "up", manifest, "0")).await.context("the first deployment")?;
    say(&format!("{size} services: up after {:.1} s, {} requests", started.elapsed().as_secs_f64(), requests(&log)?));

    let mut times = Vec::new();
    let mut asked = 0;
    while times.len() < count as usize {
        let before = requests(&log)?;
        let started = Instant::now();
        let (code, out, err) = daybook.run(&mut command(daybook, "plan", manifest, "0")).await?;
        match code {
            0 => {
                times.push(started.elapsed().as_secs_f64() * 1_000.0);
                asked = requests(&log)? - before;
            }
            2 => until_calm(daybook, manifest).await?,
            code => bail!("a plan of nothing ended with {code}:\n{out}{err}"),
        }
    }
    let noop_plan_ms = median(&mut times).context("COUNT is 0")?;

    let before = requests(&log)?;
    let started = Instant::now();
    daybook.succeed(&mut command(daybook, "up", manifest, "1")).await.context("one change")?;
    let one_change_ms = started.elapsed().as_secs_f64() * 1_000.0;
    let change_requests = requests(&log)? - before;

    let before = requests(&log)?;
    tokio::time::sleep(IDLE).await;
    let idle_requests = requests(&log)? - before;
    let (server, _) = daybook.pids().await?;
    let (rss, peak) = (memory(server, Memory::Rss)?, memory(server, Memory::Peak)?);
    say(&format!(
        "{size} services: a plan of nothing {noop_plan_ms:.0} ms, {asked} requests; one change {one_change_ms:.0} ms, \
{change_requests} requests; {idle_requests} requests in {} s of rest; {:.1} MiB, at most {:.1} MiB",
        IDLE.as_secs(),
        mebibytes(rss),
        mebibytes(peak),
    ));
    let objects = ask(&["get", "deployments,services", "-n", NAMESPACE, "-o", "json"]).await?;
    let noop_requests = asked;
    Ok(Measured { noop_plan_ms, one_change_ms, noop_requests, change_requests, idle_requests, rss, peak, objects })
}

/// Fake machines give some pods another address after they were ready; the server sees that and routes anew.
async fn until_calm(daybook: &Daybook, manifest: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        let (code, out, err) = daybook.run(&mut command(daybook, "plan", manifest, "0")).await?;
        match code {
            0 => return Ok(()),
            2 if started.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_secs(2)).await,
            code => bail!("a plan of nothing ended with {code}:\n{out}{err}"),
        }
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn command(daybook: &Daybook, name: &str, manifest: &Path, changed: &str) -> Command {
    let target = format!("{}&pods=direct", cluster::target());
    let mut command = daybook.command(&[name, "--file", &manifest.to_string_lossy(), "--yes", "--no-input"]);
    command.env("DAYBOOK_TARGET", target).env("CHANGED", changed);
    command
}

/// Requests to the API server that the server has sent since it began: it writes each down.
fn requests(log: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(log).context("read the server's log")?;
    Ok(text.lines().filter(|line| line.contains("requesting")).count() as u64)
}

/// Services that nobody can ask, since they run in name only. The platform is one that no machine has, so that
/// nothing but the benchmark gives their pods a machine.
fn manifest_of(services: u32, image: &str) -> String {
    let mut text = format!("app: {APP}\nservices:\n");
    for number in 0..services {
        let level = if number == 0 { "${CHANGED:-0}" } else { "0" };
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "  s{number}:\n    image: {image}\n    command: [sleep, infinity]\n    platform: linux/fake\n    \
port: 8080\n    healthcheck: {{disable: true}}\n    environment: {{LEVEL: '{level}', N: '{number}'}}\n    \
rollout: {{probation: 0s, drain: 1s}}\n"
        );
    }
    text
}

/// Milliseconds of `kubectl diff` without a difference and of `kubectl apply` with one; `None` where it takes too long.
async fn plain(directory: &Path, objects: &str, size: u32) -> Result<(Option<f64>, Option<f64>)> {
    let mut list: Value = serde_json::from_str(objects).context("read what kubectl lists")?;
    as_written(&mut list)?;
    only(&mut list, size)?;
    let same = written(directory, "same.json", &list)?;
    let first =
        list["items"].as_array_mut().and_then(|items| items.iter_mut().find(|item| item["kind"] == "Deployment"));
    let variable = first.and_then(|item| item.pointer_mut("/spec/template/spec/containers/0/env/0/value"));
    *variable.context("a Deployment has no variable")? = json!("2");
    let changed = written(directory, "changed.json", &list)?;
    give(&["apply"], &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {PLAIN}}}}}")).await?;
    let made = timed(&["apply", "-f", &same], &[0]).await?;
    let diff = timed(&["diff", "-f", &same], &[0]).await?;
    let apply = timed(&["apply", "-f", &changed], &[0]).await?;
    let shown = |ms: Option<f64>| ms.map_or("too long".to_owned(), |ms| format!("{ms:.0} ms"));
    say(&format!(
        "{size} services with kubectl: first apply {}, diff of nothing {}, apply of one change {}",
        shown(made),
        shown(diff),
        shown(apply)
    ));
    Ok((diff, apply))
}

/// What the cluster has added is taken away again. They run nothing, so that nothing else is measured than `kubectl`.
fn as_written(list: &mut Value) -> Result<()> {
    for item in list["items"].as_array_mut().context("kubectl lists nothing")? {
        let object = item.as_object_mut().context("an object is none")?;
        object.remove("status");
        if object["kind"] == "Deployment" {
            object["spec"]["replicas"] = json!(0);
        }
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.retain(|name, _| !matches!(name.as_str(), "clusterIP" | "clusterIPs"));
        }
        let meta = object["metadata"].as_object_mut().context("an object has no metadata")?;
        meta.retain(|name, _| matches!(name.as_str(), "name" | "labels" | "annotations"));
        meta.insert("namespace".to_owned(), json!(PLAIN));
    }
    Ok(())
}

/// Leaves so many services, of which each is a Deployment and a Service.
fn only(list: &mut Value, services: u32) -> Result<()> {
    for kind in ["Deployment", "Service"] {
        let mut left = services;
        list["items"].as_array_mut().context("kubectl lists nothing")?.retain(|item| {
            item["kind"] != kind || {
                let stays = left > 0;
                left = left.saturating_sub(1);
                stays
            }
        });
    }
    Ok(())
}

fn written(directory: &Path, name: &str, list: &Value) -> Result<String> {
    let path: PathBuf = directory.join(name);
    std::fs::write(&path, list.to_string()).context("write objects")?;
    Ok(path.display().to_string())
}

async fn timed(arguments: &[&str], good: &[i32]) -> Result<Option<f64>> {
    let started = Instant::now();
    let mut command = kubectl(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(PATIENCE, command.output()).await else { return Ok(None) };
    let output = output.context("run kubectl")?;
    if !output.status.code().is_some_and(|code| good.contains(&code)) {
        bail!("kubectl {} ended with {}: {}", arguments[0], output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(Some(started.elapsed().as_secs_f64() * 1_000.0))
}
