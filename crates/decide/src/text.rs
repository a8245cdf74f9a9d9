//! A plan as people read it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::cost::Bill;
use daybook_model::plan::{Change, Sign, Subject, WatchPhase};
use daybook_model::spec::Quota;
use daybook_model::{Action, DatabaseName, Plan, ServiceName, Step, Target};

/// The plan in the tone of `terraform plan`: what changes and why, the order of things, the downtime,
/// and a last line that counts. Ends with a line break; no colour.
pub fn render(plan: &Plan) -> String {
    render_with(plan, &Beside::default())
}

/// What is said beside the changes.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// What it costs.
    pub bill: Option<&'a Bill>,
    /// What the policy says: a line that counts, and findings.
    pub policy: Vec<String>,
    /// How it is gone back on.
    pub undo: Option<String>,
    /// What came of the last run like it.
    pub last: Option<String>,
    /// Who has to approve it, or has.
    pub approval: Option<String>,
}

/// The same with what is said beside it.
pub fn render_with(plan: &Plan, beside: &Beside<'_>) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        let at = plan.from.map_or(String::new(), |number| format!(" at release {number}"));
        let _ = writeln!(out, "{}{at}: nothing to change; what runs is what should run.", plan.key);
        return out;
    }
    let from = plan.from.map_or("none".to_owned(), |number| number.to_string());
    let _ = writeln!(out, "{}  release {from} → {}\n", plan.key, plan.to);
    let width = plan.changes.iter().map(|change| subject(change).chars().count()).max().unwrap_or(0);
    for change in &plan.changes {
        block(&mut out, change, width);
    }
    out.push('\n');
    let _ = writeln!(out, "  Order     {}", order(plan));
    let _ = writeln!(out, "  Downtime  {}", downtime(plan));
    for (label, said) in [("Undo", &beside.undo), ("Last time", &beside.last), ("Approval", &beside.approval)] {
        if let Some(said) = said {
            let _ = writeln!(out, "  {label:<9} {said}");
        }
    }
    if let Some(bill) = beside.bill {
        let _ = writeln!(out, "  Cost      {}", bill.line());
    }
    if let Some(lost) = destroyed(plan) {
        let _ = writeln!(out, "  Lost      {lost}");
    }
    for (at, line) in beside.policy.iter().enumerate() {
        let _ = writeln!(out, "  {:<8}  {line}", if at == 0 { "Policy" } else { "" });
    }
    let _ = writeln!(out, "\n{}", counts(plan));
    out
}

fn block(out: &mut String, change: &Change, width: usize) {
    let mark = change.sign.mark();
    for (i, detail) in change.details.iter().enumerate() {
        let head = if i == 0 { format!("{mark:>3} {:width$}", subject(change)) } else { " ".repeat(width + 4) };
        let mut text = format!("{head}  {}", detail.text);
        if let Some(line) = detail.line.filter(|_| i == 0) {
            let pad = 66usize.saturating_sub(text.chars().count());
            let _ = write!(text, "{}  manifest line {line}", " ".repeat(pad));
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    if let Some(ms) = change.downtime_ms {
        let note = format!("stops before its replacement starts, for about {}", seconds(ms));
        let _ = writeln!(out, "{}  {note}", " ".repeat(width + 4));
    }
}

pub(crate) fn subject(change: &Change) -> String {
    match &change.subject {
        Subject::Service(name) => name.to_string(),
        Subject::Database(name) => format!("database {name}"),
        Subject::Volume(name) => format!("volume {name}"),
        Subject::Network(name) => format!("network {name}"),
        Subject::Target(target) => target.name(),
        Subject::Quota => "quota".to_owned(),
        Subject::Rules => "rules".to_owned(),
        Subject::Channels => "notify".to_owned(),
        Subject::OnCall => "on call".to_owned(),
        Subject::Maintenance => "maintenance".to_owned(),
        Subject::Forward => "forward".to_owned(),
        Subject::Remedies => "remedies".to_owned(),
    }
}

/// The services in the order in which their steps come, at most twelve of them.
fn order(plan: &Plan) -> String {
    let started: BTreeSet<_> = plan.steps.iter().filter_map(|step| starts(&step.action)).collect();
    let mut said = BTreeSet::new();
    let phases = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Stop { replica } if !started.contains(&replica.service) => Some(Phase::Fewer(&replica.service)),
        action => phase(action),
    });
    let phases: Vec<_> = phases.filter(|phase| said.insert(*phase)).collect();
    if phases.is_empty() {
        return "only the record changes; no replica is touched".to_owned();
    }
    let more = phases.len().saturating_sub(12);
    let shown: Vec<_> = phases.iter().take(12).map(Phase::to_string).collect();
    let tail = if more > 0 { format!(" → … {more} more") } else { String::new() };
    format!("{}{tail}", shown.join(" → "))
}

fn starts(action: &Action) -> Option<&ServiceName> {
    match action {
        Action::Start { replica, .. } => Some(&replica.service),
        Action::ReleaseChart { service, .. } => Some(service),
        Action::Unroute { service } => Some(service),
        _ => None,
    }
}

/// A part of a plan, as its order names it. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase<'a> {
    Prepare(&'a ServiceName),
    Backup(&'a DatabaseName),
    Migrate(&'a DatabaseName),
    Hook(&'a ServiceName),
    Hold(&'a ServiceName),
    Canary(&'a ServiceName, u64),
    Probation(&'a ServiceName, u64),
    Replicas(&'a ServiceName),
    Fewer(&'a ServiceName),
    Leaves(&'a ServiceName),
    Target(&'a Target),
}

impl std::fmt::Display for Phase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prepare(service) => write!(f, "prepare {service}"),
            Self::Backup(database) => write!(f, "backup {database}"),
            Self::Migrate(database) => write!(f, "migrate {database}"),
            Self::Hook(service) => write!(f, "{service} release hook"),
            Self::Hold(service) => write!(f, "hold {service}"),
            Self::Canary(service, ms) => write!(f, "{service} canary {}", seconds(*ms)),
            Self::Probation(service, ms) => write!(f, "{service} probation {}", seconds(*ms)),
            Self::Replicas(service) => write!(f, "{service}"),
            Self::Fewer(service) => write!(f, "fewer replicas of {service}"),
            Self::Leaves(service) => write!(f, "{service} leaves"),
            Self::Target(target) => write!(f, "leave {}", target.name()),
        }
    }
}

fn phase(action: &Action) -> Option<Phase<'_>> {
    match action {
        Action::Prepare { service } => Some(Phase::Prepare(service)),
        Action::BackUp { database } => Some(Phase::Backup(database)),
        Action::Migrate { database, .. } => Some(Phase::Migrate(database)),
        Action::RunHook { service, .. } => Some(Phase::Hook(service)),
        Action::Hold { service } => Some(Phase::Hold(service)),
        Action::Watch { service, phase: WatchPhase::Canary, for_ms, .. } => Some(Phase::Canary(service, *for_ms)),
        Action::Watch { service, phase: WatchPhase::Probation, for_ms, .. } => Some(Phase::Probation(service, *for_ms)),
        Action::Start { replica, .. } => Some(Phase::Replicas(&replica.service)),
        Action::ReleaseChart { service, .. } => Some(Phase::Replicas(service)),
        Action::Unroute { service } | Action::RemoveChart { service } => Some(Phase::Leaves(service)),
        Action::Leave { target } => Some(Phase::Target(target)),
        Action::Route { service, endpoints } if endpoints.is_empty() => Some(Phase::Replicas(service)),
        _ => None,
    }
}

fn downtime(plan: &Plan) -> String {
    let paused: Vec<_> = plan.changes.iter().filter_map(|c| Some((subject(c), c.downtime_ms?))).collect();
    if paused.is_empty() {
        return "none expected".to_owned();
    }
    let parts: Vec<_> = paused.iter().map(|(name, ms)| format!("{name} about {}", seconds(*ms))).collect();
    let holds = plan.steps.iter().any(|step| matches!(step.action, Action::Hold { .. }));
    let note = if holds { "requests wait meanwhile, none fails" } else { "no request waits for it" };
    format!("{}; {note}", parts.join(", "))
}

fn destroyed(plan: &Plan) -> Option<String> {
    let lost: Vec<_> = plan.changes.iter().filter(|change| change.destructive).map(subject).collect();
    (!lost.is_empty()).then(|| format!("{}: cannot be had back", lost.join(", ")))
}

fn counts(plan: &Plan) -> String {
    let count = |signs: &[Sign]| plan.changes.iter().filter(|change| signs.contains(&change.sign)).count();
    let changed = count(&[Sign::Change, Sign::Replace]);
    format!("{changed} to change, {} to add, {} to remove.", count(&[Sign::Add]), count(&[Sign::Remove]))
}

/// A duration in seconds or minutes: `0.5 s`, `10 s`, `2 min`.
pub fn seconds(ms: u64) -> String {
    match ms {
        0..1_000 => format!("0.{} s", ms / 100),
        1_000..120_000 => format!("{} s", ms / 1_000),
        _ => format!("{} min", ms / 60_000),
    }
}

/// A size in bytes: "18 MB" (powers of 1,024, as memory limits are written).
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_023.5 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A number of things: "1 table", "3 tables", "2 indexes".
pub fn plural(count: u64, thing: &str) -> String {
    let ending = match (count, thing.ends_with('x')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {thing}{ending}")
}

/// A span of milliseconds with its tenths: "0.4 s", "12 s", then as a clock shows it.
pub fn exact(ms: u64) -> String {
    match ms {
        ..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..60_000 => format!("{} s", ms / 1_000),
        _ => clock(ms),
    }
}

/// A span of milliseconds as a clock shows it: "0:03", "3:07", "1:02:03".
pub fn clock(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// An amount of a resource, as a person reads it.
pub(crate) fn amount(resource: &str, amount: u64) -> String {
    match resource {
        "memory" if amount >= 16 << 30 => format!("{} GiB", amount >> 30),
        "memory" => format!("{} MiB", amount >> 20),
        "cpu" if amount == 1000 => "1 core".to_owned(),
        "cpu" if amount.is_multiple_of(1000) => format!("{} cores", amount / 1000),
        "cpu" => format!("{amount}m"),
        _ => amount.to_string(),
    }
}

/// One step in words, as progress shows it.
pub fn step(step: &Step) -> String {
    match &step.action {
        Action::Prepare { service } => format!("get the artifact of {service}"),
        Action::CreateNetwork { network } => format!("make network {network}"),
        Action::CreateVolume { volume } => format!("make volume {volume}"),
        Action::SetQuota { quota: Some(quota) } => format!("allow {}", bounds(quota)),
        Action::SetQuota { quota: None } => "end the quota".to_owned(),
        Action::GrantLogins { database } => format!("let services log in to {database}"),
        Action::BackUp { database } => format!("back {database} up"),
        Action::Migrate { database, migrations } => match migrations.as_slice() {
            [] => format!("migrate {database}"),
            [one] => format!("migrate {database}: {}", one.what),
            many => format!("migrate {database}: {} migrations", many.len()),
        },
        Action::RunHook { service, .. } => format!("run the release hook of {service}"),
        Action::Start { replica, .. } => format!("start {replica}"),
        Action::AwaitAnswer { replica } => format!("wait until {replica} answers"),
        Action::AwaitReady { replica } => format!("wait until {replica} is ready"),
        Action::AwaitCompleted { replica } => format!("wait until {replica} has completed"),
        Action::Route { service, endpoints } => route(service, endpoints),
        Action::Hold { service } => format!("hold requests for {service}"),
        Action::Unroute { service } => format!("take {service} out of the edge"),
        Action::Drain { replicas } => format!("drain {}", list(replicas)),
        Action::Watch { service, phase, for_ms, .. } => {
            let what = match phase {
                WatchPhase::Canary => "canary",
                WatchPhase::Probation => "probation",
            };
            format!("watch {service} ({what}, {})", seconds(*for_ms))
        }
        Action::Stop { replica } => format!("stop {replica}"),
        Action::Remove { replica, .. } => format!("remove {replica}"),
        Action::StopAt { target, replica, .. } => format!("stop {replica} at {}", target.name()),
        Action::RemoveAt { target, replica, .. } => format!("remove {replica} at {}", target.name()),
        Action::CloseAt { target } => format!("close the entrance of {}", target.name()),
        Action::Leave { target } => format!("leave {}", target.name()),
        Action::ReleaseChart { service, .. } => format!("release the chart of {service}"),
        Action::RemoveChart { service } => format!("remove what the chart of {service} made"),
        Action::RemoveNetwork { network } => format!("remove network {network}"),
        Action::RemoveVolume { volume } => format!("remove volume {volume} and its data"),
    }
}

/// What a quota allows: `4 cores and 8192 MiB`.
pub(crate) fn bounds(quota: &Quota) -> String {
    let cpu = quota.cpu_millis.map(|millis| amount("cpu", millis));
    let memory = quota.memory_bytes.map(|bytes| amount("memory", bytes));
    let all: Vec<_> = cpu.into_iter().chain(memory).collect();
    if all.is_empty() { "anything".to_owned() } else { all.join(" and ") }
}

fn route(service: &ServiceName, endpoints: &[(daybook_model::ReplicaId, u32)]) -> String {
    let serving = endpoints.iter().filter(|(_, weight)| *weight > 0).count();
    match (endpoints.len(), serving) {
        (0, _) => format!("serve the files of {service}"),
        (all, n) if all == n => format!("send requests for {service} to {}", replicas(n)),
        (all, n) => format!("send requests for {service} to {}, keep {} warm", replicas(n), all - n),
    }
}

fn replicas(n: usize) -> String {
    if n == 1 { "1 replica".to_owned() } else { format!("{n} replicas") }
}

fn list(replicas: &[daybook_model::ReplicaId]) -> String {
    let names: Vec<_> = replicas.iter().map(ToString::to_string).collect();
    names.join(", ")
}
