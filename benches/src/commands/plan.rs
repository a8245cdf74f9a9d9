//! Planning many services from their manifest, and as many resources with Terraform.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use daybook_bench::compare::is_there;
use daybook_bench::process::{Memory, memory};
use daybook_bench::statistics::median;
use daybook_decide::cost::{Catalogue, bill};
use daybook_decide::diagram::{Graph, svg};
use daybook_decide::plan::Able;
use daybook_decide::policy::{self, Rules, Runtime, Subject};
use daybook_decide::risk::undo;
use daybook_decide::{PlanContext, Progress, plan, text};
use daybook_manifest::{Bundle, Loaded, Options, Texts, load};
use daybook_model::{Digest, Observed, Plan, ReleaseNumber, RunKind, Spec};
use serde_json::{Map, Value, json};
use tokio::process::Command;

use super::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measurements of each size; the medians are shown.
    #[arg(long, env = "COUNT", default_value_t = 3)]
    count: u32,
    /// Sizes above this are left out.
    #[arg(long, env = "SERVICES", default_value_t = 10_000)]
    services: u32,
}

#[derive(clap::Args)]
pub(crate) struct OnceArguments {
    /// The manifest.
    manifest: PathBuf,
    /// With everything that people decide from: cost, policy, risk and picture.
    #[arg(long)]
    whole: bool,
}

const SIZES: [u32; 3] = [100, 1_000, 10_000];

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let terraform = is_there("terraform", "version").await;
    if !terraform {
        say("Terraform is not compared: it is not installed");
    }
    let mut line = Map::new();
    for size in SIZES.into_iter().filter(|size| *size <= arguments.services) {
        let manifest = directory.path().join(format!("{size}.yaml"));
        std::fs::write(&manifest, manifest_of(size)).context("write a manifest")?;
        for (what, key, flags) in [("the change", "n", &[][..]), ("all of it", "whole_n", &["--whole"])] {
            let (ms, rss) = repeated(arguments.count, async || own(&manifest, flags).await).await?;
            say(&format!("daybook   {size:>6} services  {ms:>9.1} ms  {:>7.1} MiB  {what}", mebibytes(rss)));
            line.insert(format!("{key}{size}_ms"), json!(ms));
            line.insert(format!("{key}{size}_rss"), json!(rss));
        }
        let (ms, rss) = if terraform {
            let path = directory.path().join(size.to_string());
            terraform_files(&path, size).await?;
            let (ms, rss) = repeated(arguments.count, async || terraform_plan(&path).await).await?;
            say(&format!("terraform {size:>6} resources {ms:>9.1} ms  {:>7.1} MiB", mebibytes(rss)));
            (json!(ms), json!(rss))
        } else {
            (Value::Null, Value::Null)
        };
        line.insert(format!("terraform_n{size}_ms"), ms);
        line.insert(format!("terraform_n{size}_rss"), rss);
    }
    say(&Value::Object(line).to_string());
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Median milliseconds and highest memory of several measurements.
async fn repeated(count: u32, measure: impl AsyncFn() -> Result<(f64, u64)>) -> Result<(f64, u64)> {
    let mut times = Vec::new();
    let mut highest = 0;
    for _ in 0..count {
        let (ms, rss) = measure().await?;
        times.push(ms);
        highest = highest.max(rss);
    }
    Ok((median(&mut times).context("COUNT is 0")?, highest))
}

/// One measurement in a process of its own, so that its peak of memory is that of one plan: from its start to its
/// end, as for Terraform.
async fn own(manifest: &Path, flags: &[&str]) -> Result<(f64, u64)> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    command.arg("plan-once").arg(manifest).args(flags).stdout(Stdio::piped());
    let started = Instant::now();
    let output = command.output().await.context("run plan-once")?;
    let ms = started.elapsed().as_secs_f64() * 1_000.0;
    let text = String::from_utf8_lossy(&output.stdout);
    let rss = text.trim().parse().ok().filter(|_| output.status.success());
    Ok((ms, rss.with_context(|| format!("plan-once said {text}"))?))
}

/// Reads a manifest, plans it from nothing, makes the plan's text, and prints the peak of memory.
pub(crate) fn once(arguments: &OnceArguments) -> Result<()> {
    let text = std::fs::read_to_string(&arguments.manifest).context("read the manifest")?;
    let path = arguments.manifest.display().to_string();
    let root = arguments.manifest.parent().unwrap_or(Path::new("/")).display().to_string();
    let files = BTreeMap::from([(path.clone(), text)]);
    let bundle = Bundle { entries: vec![path], root, files, ..Bundle::default() };
    let options = Options::new("production".parse().context("the environment's name")?);
    let mut loaded = load(&bundle, &options);
    let Some(mut spec) = loaded.spec.take() else {
        bail!("the manifest has errors: {:?}", loaded.diagnostics.first());
    };
    resolve(&mut spec);
    let seen = Observed::nothing(spec.key.clone());
    let context = PlanContext {
        current: None,
        to: ReleaseNumber(1),
        purpose: RunKind::Up,
        recovery: false,
        parent: None,
        progress: &Progress::default(),
        next_ordinals: &BTreeMap::new(),
        remove_volumes: &BTreeSet::new(),
        able: Able { images: true, networks: true, charts: true, quotas: false },
    };
    let (plan, problems) = plan(&spec, &seen, &context);
    let text = text::render(&plan);
    if !problems.is_empty() || plan.changes.len() < spec.services.len() || text.is_empty() {
        bail!("the plan is not whole: {} changes, {:?}", plan.changes.len(), problems.first());
    }
    if arguments.whole {
        decided_from(&plan, &spec, &loaded, &Texts::of(&bundle, &options))?;
    }
    say(&memory(std::process::id(), Memory::Peak)?.to_string());
    // As a program that has said its plan ends, Terraform among them: without giving back piece by piece what
    // ends with it.
    std::process::exit(0)
}

/// Findings whose place a plan tells.
const PLACED: usize = 500;

/// Makes the rest of what a plan shows: what it costs, what policy says, how it is gone back on, and its picture.
fn decided_from(plan: &Plan, spec: &Spec, loaded: &Loaded, texts: &Texts) -> Result<()> {
    let today = jiff::Zoned::now().date();
    let catalogue = Catalogue::built_in().map_err(|wrong| anyhow::anyhow!("the prices: {:?}", wrong.first()))?;
    let bill = bill(None, spec, &catalogue, today).context("the manifest has a budget")?;
    let cost = bill.map_err(anyhow::Error::msg)?.line();
    let subject = Subject { spec, remarks: &loaded.remarks, runtime: Runtime::named("docker"), protected: false };
    let rules = Rules { manifest: &loaded.environment.policy, organisation: None };
    let report = policy::check(&subject, rules, Vec::new(), 0, today);
    let places: Vec<_> = report.findings.iter().take(PLACED).map(|finding| texts.place(&finding.path)).collect();
    let found = policy::line(&report, &|_| None);
    let picture = svg(&Graph::of(spec), &text::render(plan));
    if [cost, undo(plan), found.concat(), picture].iter().any(String::is_empty) || places.is_empty() {
        bail!("the plan is not whole");
    }
    Ok(())
}

/// What a runtime answers when it is asked for digests.
fn resolve(spec: &mut Spec) {
    for service in spec.services.values_mut() {
        if let daybook_model::spec::Artifact::Image { reference, digest, .. } = &mut service.artifact {
            *digest = Some(Digest::of(reference.as_bytes()));
        }
    }
}

/// A manifest of web services as people write them, each ten of which depend on the one before.
fn manifest_of(services: u32) -> String {
    let mut text = "app: bench\nbudget: {at: hetzner/eu, monthly: 1000000 USD}\nservices:\n".to_owned();
    for number in 0..services {
        let depends = if number % 10 == 0 { String::new() } else { format!("    depends_on: [s{}]\n", number - 1) };
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "  s{number}:\n    image: registry.example.com/s:{number}\n    port: 8080\n    \
domain: s{number}.example.com\n    healthcheck: /healthz\n    environment: {{LEVEL: info, N: \"{number}\"}}\n{depends}"
        );
    }
    text
}

async fn terraform_files(path: &Path, size: u32) -> Result<()> {
    std::fs::create_dir(path)?;
    let mut text = String::new();
    for number in 0..size {
        writeln!(
            text,
            "resource \"terraform_data\" \"s{number}\" {{\n  input = \"registry.example.com/s:{number}\"\n}}"
        )?;
    }
    std::fs::write(path.join("main.tf"), text)?;
    let mut init = Command::new("terraform");
    init.args(["init", "-input=false"]).current_dir(path).stdout(Stdio::null()).env_remove("TF_CLI_CONFIG_FILE");
    let status = init.status().await.context("run terraform init")?;
    if status.success() { Ok(()) } else { bail!("terraform init ended with {status}") }
}

/// Milliseconds and peak resident bytes of `terraform plan`; the peak is read while it runs.
async fn terraform_plan(path: &Path) -> Result<(f64, u64)> {
    let mut command = Command::new("terraform");
    command.args(["plan", "-input=false", "-no-color", "-refresh=false"]).current_dir(path);
    command.env_remove("TF_CLI_CONFIG_FILE").stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().context("run terraform plan")?;
    let pid = child.id().context("terraform has a process id")?;
    let mut peak = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {
                peak = peak.max(memory(pid, Memory::Peak).unwrap_or(0));
            }
        }
    };
    if !status.success() {
        bail!("terraform plan ended with {status}");
    }
    Ok((started.elapsed().as_secs_f64() * 1_000.0, peak))
}
