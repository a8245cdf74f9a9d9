//! When a service runs, how often, after what, and how it is replaced.

use daybook_model::ServiceName;
use daybook_model::spec::{Condition, Dependency, Kind, Port, Restart, Rollout, RolloutOrder, Scale, Schedule, Stop};

use super::Manifest;
use super::read::{boolean, duration, integer, text};
use crate::context::Problem;
use crate::tree::{Entry, Node, Value};
use crate::units;

/// When a service runs. It is a task when somebody waits for its success, or when it asks not to be
/// restarted and nobody could send it a request.
pub(crate) fn kind(manifest: &Manifest<'_, '_>, entry: &Entry, restart: Restart, ports: &[Port]) -> Kind {
    let service = &entry.value;
    if let Some(schedule) = schedule(manifest, service) {
        return Kind::Job(schedule);
    }
    let awaited = manifest.awaited.contains(entry.key.as_str());
    let mode = service.get("deploy").and_then(|deploy| text(deploy, "mode"));
    let job = matches!(mode.as_deref(), Some("replicated-job" | "global-job"));
    let alone = ports.is_empty() && service.get("healthcheck").is_none();
    if awaited || job || (restart == Restart::No && alone) { Kind::Task } else { Kind::Service }
}

fn schedule(manifest: &Manifest<'_, '_>, service: &Node) -> Option<Schedule> {
    let node = service.get("schedule");
    let zone = service.get("timezone");
    let Some(node) = node else {
        if let Some(zone) = zone {
            let problem = Problem::new("M0519", zone.span, "`timezone` belongs to a `schedule`");
            manifest.ctx.report(problem.label("there is none").help("set the variable TZ for the program itself"));
        }
        return None;
    };
    let cron = cron(manifest, node)?;
    Some(Schedule { cron, zone: zone.map_or_else(|| "UTC".to_owned(), |zone| time_zone(manifest, zone)) })
}

/// Times that come again and again. What is none is reported.
pub(crate) fn cron(manifest: &Manifest<'_, '_>, node: &Node) -> Option<String> {
    let cron = node.scalar()?.to_owned();
    if let Err(error) = cron.parse::<croner::Cron>() {
        let problem = Problem::new("M0517", node.span, format!("`{cron}` is no schedule: {error}"));
        let help = "five fields: minute, hour, day of month, month, day of week; or `@daily`";
        manifest.ctx.report(problem.label("not a cron expression").help(help));
    }
    Some(cron)
}

/// The name of a time zone. One that does not exist is reported.
pub(crate) fn time_zone(manifest: &Manifest<'_, '_>, node: &Node) -> String {
    let name = node.scalar().unwrap_or("UTC");
    if jiff::tz::TimeZone::get(name).is_err() {
        let problem = Problem::new("M0518", node.span, format!("there is no time zone `{name:.80}`"));
        manifest.ctx.report(problem.label("for example `Europe/Paris`"));
    }
    name.to_owned()
}

/// What happens when a replica's process ends: it is started again, unless the author says otherwise.
pub(crate) fn restart(manifest: &Manifest<'_, '_>, service: &Node) -> Restart {
    if let Some(node) = service.get("restart") {
        let written = node.scalar().unwrap_or_default();
        let (word, attempts) = written.split_once(':').map_or((written, None), |(word, n)| (word, Some(n)));
        return match (word, attempts.map(str::parse)) {
            ("" | "always" | "unless-stopped" | "true", None) => Restart::Always,
            ("no" | "false" | "off" | "never", None) => Restart::No,
            ("on-failure", None) => Restart::OnFailure(None),
            ("on-failure", Some(Ok(attempts))) => Restart::OnFailure(Some(attempts)),
            _ => {
                let problem = Problem::new("M0113", node.span, format!("`restart` cannot be `{written}`"));
                manifest.ctx.report(problem.label("one of `always`, `unless-stopped`, `on-failure[:N]`, `\"no\"`"));
                Restart::Always
            }
        };
    }
    let Some(policy) = service.get("deploy").and_then(|deploy| deploy.get("restart_policy")) else {
        return Restart::Always;
    };
    let attempts = integer(policy, "max_attempts").and_then(|n| u32::try_from(n).ok());
    match text(policy, "condition").as_deref() {
        Some("none") => Restart::No,
        Some("on-failure") => Restart::OnFailure(attempts),
        _ => Restart::Always,
    }
}

pub(crate) fn scale(manifest: &Manifest<'_, '_>, service: &Node) -> Scale {
    let node = service.get("scale");
    let deployed = service.get("deploy").and_then(|deploy| deploy.get("replicas"));
    let number = |node: &Node| {
        let number = units::integer(node.scalar()?)?;
        let good = u32::try_from(number).ok().filter(|number| *number <= Scale::MOST);
        if good.is_none() {
            let problem = Problem::new("M0520", node.span, format!("{number} is no number of replicas"));
            manifest.ctx.report(problem.label(format!("from 0 to {}", Scale::MOST)));
        }
        good
    };
    match node.or(deployed).map(|node| (node, &node.value)) {
        Some((node, Value::Map(_))) => {
            let min = node.get("min").and_then(number);
            let max = node.get("max").and_then(number);
            if let (Some(low), Some(high)) = (min, max)
                && low > high
            {
                let problem = Problem::new("M0520", node.span, "`min` is above `max`");
                manifest.ctx.report(problem.label(format!("{low} > {high}")));
            }
            let min = min.unwrap_or_else(|| 1.min(max.unwrap_or(1)));
            Scale { min, max: max.unwrap_or(min).max(min) }
        }
        Some((node, _)) => number(node).map_or_else(Scale::default, |number| Scale { min: number, max: number }),
        None => Scale::default(),
    }
}

pub(crate) fn stop(manifest: &Manifest<'_, '_>, service: &Node) -> Stop {
    let mut stop = Stop::default();
    if let Some(node) = service.get("stop_signal")
        && let Some(written) = node.scalar()
    {
        stop.signal = signal(manifest, written, node);
    }
    if let Some(grace) = duration(service, "stop_grace_period") {
        stop.grace_ms = grace;
    }
    stop
}

/// A signal by the name that every runtime knows; numbers are translated.
fn signal(manifest: &Manifest<'_, '_>, written: &str, node: &Node) -> String {
    const NUMBERED: [(&str, &str); 9] = [
        ("1", "SIGHUP"),
        ("2", "SIGINT"),
        ("3", "SIGQUIT"),
        ("6", "SIGABRT"),
        ("9", "SIGKILL"),
        ("10", "SIGUSR1"),
        ("12", "SIGUSR2"),
        ("15", "SIGTERM"),
        ("28", "SIGWINCH"),
    ];
    if let Some((_, name)) = NUMBERED.iter().find(|(number, _)| *number == written) {
        return (*name).to_owned();
    }
    let upper = written.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let known = NUMBERED.iter().any(|(_, known)| *known == name);
    if !known
        && !matches!(name.as_str(), "SIGALRM" | "SIGCONT" | "SIGSTOP" | "SIGTSTP" | "SIGTTIN" | "SIGTTOU" | "SIGPWR")
        && !name.starts_with("SIGRTMIN")
        && !name.starts_with("SIGRTMAX")
    {
        let problem = Problem::new("M0521", node.span, format!("`{written}` is no signal"));
        manifest.ctx.report(problem.label("for example `SIGTERM`"));
    }
    name
}

pub(crate) fn rollout(service: &Node) -> Rollout {
    let mut rollout = Rollout::default();
    let update = service.get("deploy").and_then(|deploy| deploy.get("update_config"));
    let own = service.get("rollout");
    let order = own.and_then(|own| text(own, "order")).or_else(|| update.and_then(|update| text(update, "order")));
    rollout.order = match order.as_deref() {
        Some("start-first") => RolloutOrder::StartFirst,
        Some("stop-first") => RolloutOrder::StopFirst,
        _ => RolloutOrder::Auto,
    };
    if let Some(watched) = update.and_then(|update| duration(update, "monitor")) {
        rollout.probation_ms = watched;
    }
    let Some(own) = own else { return rollout };
    rollout.canary_percent =
        own.get("canary").and_then(|node| units::percent(node.scalar()?)).filter(|share| *share > 0);
    let set = |key: &str, field: &mut u64| *field = duration(own, key).unwrap_or(*field);
    set("canary_for", &mut rollout.canary_ms);
    set("probation", &mut rollout.probation_ms);
    set("ready", &mut rollout.ready_ms);
    set("drain", &mut rollout.drain_ms);
    rollout
}

/// How long a service that asks for a GPU may take to get ready, where the manifest does not say: models of many
/// gigabytes are loaded first. Milliseconds.
const READY_WITH_GPU_MS: u64 = 600_000;

/// Gives a service that asks for a GPU the time to load what it serves.
pub(crate) fn allow_loading(service: &Node, gpus: Option<u32>, rollout: &mut Rollout) {
    let is_said = service.get("rollout").is_some_and(|own| own.get("ready").is_some());
    if gpus.is_some_and(|count| count > 0) && !is_said {
        rollout.ready_ms = rollout.ready_ms.max(READY_WITH_GPU_MS);
    }
}

/// What must be there before. A dependency that is not required may be inactive or missing.
pub(crate) fn depends_on(manifest: &Manifest<'_, '_>, entry: &Entry) -> Vec<Dependency> {
    let Some(node) = entry.value.get("depends_on") else { return Vec::new() };
    let mut all = Vec::new();
    for on in crate::merge::pairs(node, &[]) {
        let required = boolean(&on.value, "required").unwrap_or(true);
        let known = manifest.section("services").and_then(|services| services.entry(&on.key));
        let exists = known.is_some();
        let left_out = !required || known.is_some_and(super::is_provided);
        if left_out && !manifest.active.contains(on.key.as_str()) {
            continue;
        }
        if !exists {
            manifest.declared("services", "service", &on.key, on.key_span);
            continue;
        }
        if !manifest.active.contains(on.key.as_str()) {
            let message = format!("`{}` depends on `{}`, whose profile is not active", entry.key, on.key);
            let problem = Problem::new("M0204", on.key_span, message).label("not there without its profile");
            manifest.ctx.report(problem.help("ask for the profile, or mark the dependency `required: false`"));
            continue;
        }
        let condition = match text(&on.value, "condition").as_deref() {
            Some("service_healthy") => Condition::Healthy,
            Some("service_completed_successfully") => Condition::Completed,
            _ => Condition::Started,
        };
        if let Ok(service) = ServiceName::new(on.key) {
            all.push(Dependency { service, condition });
        }
    }
    all
}
