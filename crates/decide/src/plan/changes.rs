//! What changes, for people.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use daybook_model::fingerprint::Fingerprint;
use daybook_model::plan::{Change, Detail, Sign, Step, Subject};
use daybook_model::remedy::Rule;
use daybook_model::rules::{Adjustment, Rules};
use daybook_model::spec::{Artifact, EnvValue, Kind, Quota, Rollout, RolloutOrder, SecretRef, TemplatePart};
use daybook_model::status_page::StatusPage;
use daybook_model::{Action, Service, ServiceName, Target};
use serde::Serialize;

use super::{World, charts, databases, told};
use crate::remedy;
use crate::text::bounds;

/// Requests are held, or work stops, for about so long when a service is stopped first and nothing
/// better is known: its process ends, the next starts and answers. Milliseconds.
const USUAL_PAUSE_MS: u64 = 3_000;

/// Sums the steps up: a change for each service, volume and network that something happens to, and
/// for each service whose settings differ from the release in force.
pub(super) fn summarize(world: &World<'_>, steps: &[Step]) -> Vec<Change> {
    let mut by_service: HashMap<&ServiceName, Vec<&Action>> = HashMap::new();
    for step in steps {
        if let Some(name) = step.action.service() {
            by_service.entry(name).or_default().push(&step.action);
        }
    }
    let before = world.cx.current.map(|release| &release.spec.services);
    let known = before.into_iter().flat_map(BTreeMap::keys);
    let mut names: Vec<_> = by_service.keys().copied().chain(world.spec.services.keys()).chain(known).collect();
    names.sort_unstable();
    names.dedup();
    let services = names.into_iter().filter_map(|name| service(world, name, by_service.get(name)));
    services
        .chain(databases::changes(world, steps))
        .chain(things(world, steps))
        .chain(rules(world))
        .chain(told::changes(world))
        .chain(remedies(world))
        .chain(target_left(world))
        .collect()
}

/// What is alerted about, where it differs from the release in force.
fn rules(world: &World<'_>) -> Option<Change> {
    let none = Rules::default();
    let (before, after) = (world.cx.current.map_or(&none, |release| &release.spec.rules), &world.spec.rules);
    let mut details = Vec::new();
    let (old, new) = (by_name(before), by_name(after));
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(name), new.get(name)) {
            (None, Some(_)) => details.push(line(None, format!("new: {name}"))),
            (Some(_), None) => details.push(line(None, format!("no longer: {name}"))),
            (Some(old), Some(new)) if old != new => details.push(line(None, format!("changed: {name}"))),
            _ => {}
        }
    }
    let (was, is) = (adjusted(before), adjusted(after));
    for name in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (was.get(name), is.get(name));
        let shown = |one: Option<&&Adjustment>| one.map_or_else(|| "by default".to_owned(), |one| adjustment(one));
        if shown(old) != shown(new) {
            details.push(line(new.map(|one| one.line), format!("{name}: {} → {}", shown(old), shown(new))));
        }
    }
    whole(Subject::Rules, (before.is_empty(), after.is_empty()), details)
}

/// What may be mended by itself, where it differs from the release in force.
fn remedies(world: &World<'_>) -> Option<Change> {
    let before = world.cx.current.map_or(&[][..], |release| release.spec.remedies.as_slice());
    let after = world.spec.remedies.as_slice();
    let named = |rules: &[Rule], name: &str| rules.iter().find(|rule| rule.name == name).map(remedy::words);
    let mut details = Vec::new();
    for rule in after {
        let (name, new) = (&rule.name, remedy::words(rule));
        match named(before, name) {
            None => details.push(line(Some(rule.line), format!("{name}: {new}"))),
            Some(old) if old != new => details.push(line(Some(rule.line), format!("{name}: {old} → {new}"))),
            Some(_) => {}
        }
    }
    let gone = before.iter().filter(|rule| named(after, &rule.name).is_none());
    details.extend(gone.map(|rule| line(None, format!("no longer: {}", rule.name))));
    let order = |rules: &[Rule]| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    if details.is_empty() && order(before) != order(after) {
        details.push(line(None, format!("asked in another order: {}", order(after).join(", "))));
    }
    whole(Subject::Remedies, (before.is_empty(), after.is_empty()), details)
}

/// A change of what an environment has one of; whether there was nothing, and will be nothing. `None` where nothing differs.
fn whole(subject: Subject, (was_empty, is_empty): (bool, bool), details: Vec<Detail>) -> Option<Change> {
    let sign = match (was_empty, is_empty) {
        (true, _) => Sign::Add,
        (_, true) => Sign::Remove,
        _ => Sign::Change,
    };
    let change = Change { sign, subject, details, downtime_ms: None, destructive: false, order: None };
    (!change.details.is_empty()).then_some(change)
}

fn by_name(rules: &Rules) -> BTreeMap<&str, &str> {
    rules.files.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect()
}

/// What is different about alerts by default, by what each is of.
fn adjusted(rules: &Rules) -> BTreeMap<String, &Adjustment> {
    let of_services = rules.adjusted.iter().flat_map(|(name, all)| {
        all.services.iter().map(move |(service, adjusted)| (format!("{name} of {service}"), adjusted))
    });
    rules.adjusted.iter().map(|(name, adjusted)| (name.clone(), adjusted)).chain(of_services).collect()
}

fn adjustment(adjusted: &Adjustment) -> String {
    if adjusted.off {
        return "off".to_owned();
    }
    let said = [
        adjusted.threshold.as_ref().map(|threshold| format!("threshold {threshold}")),
        adjusted.hold_ms.map(|ms| format!("for {}", crate::text::seconds(ms))),
        adjusted.severity.map(|severity| severity.word().to_owned()),
    ];
    let said: Vec<_> = said.into_iter().flatten().collect();
    if said.is_empty() { "by default".to_owned() } else { said.join(", ") }
}

/// The target that the environment leaves, or is about to leave.
fn target_left(world: &World<'_>) -> Option<Change> {
    let away = world.seen.away.as_ref()?;
    let live = away.replicas.iter().filter(|replica| replica.state.is_live()).count();
    let replicas = count(u32::try_from(live).unwrap_or(u32::MAX), "replica");
    let mut details = Vec::new();
    let sign = match world.left() {
        Some(_) => {
            details.push(line(None, format!("the environment leaves it: {replicas} drain, end and are removed")));
            Sign::Remove
        }
        None => {
            let text = format!("goes on to serve clients that come in there ({replicas}), until the move is finished");
            details.push(line(None, text));
            Sign::Change
        }
    };
    if !away.volumes.is_empty() {
        let names: Vec<_> = away.volumes.iter().map(ToString::to_string).collect();
        details.push(line(None, format!("its volumes stay there with what they hold: {}", names.join(", "))));
    }
    let subject = Subject::Target(away.target.clone());
    Some(Change { sign, subject, details, downtime_ms: None, destructive: false, order: None })
}

fn service(world: &World<'_>, name: &ServiceName, actions: Option<&Vec<&Action>>) -> Option<Change> {
    let before = world.cx.current.and_then(|release| release.spec.services.get(name));
    let Some(after) = world.spec.services.get(name) else {
        return Some(removed(world, name));
    };
    let actions: &[&Action] = actions.map_or(&[], Vec::as_slice);
    let Some(before) = before else {
        return (!actions.is_empty() || world.cx.current.is_some()).then(|| added(world, after, actions));
    };
    let mut details = differences(before, after);
    if let Some(away) = &world.seen.away
        && actions.iter().any(|action| matches!(action, Action::Start { .. } | Action::Route { .. }))
    {
        let here = world.spec.target.as_ref().map_or_else(|| "the server's machine".to_owned(), Target::name);
        details.insert(0, line(after.line, format!("moves from {} to {here}", away.target.name())));
    }
    let is_visible = |action: &Action| match action {
        Action::Remove { role, .. } => *role == daybook_model::launch::Role::Main,
        Action::StopAt { .. } | Action::RemoveAt { .. } => false,
        _ => true,
    };
    let visible = actions.iter().any(|action| is_visible(action));
    if details.is_empty() && visible {
        details.push(drift(world, after));
    }
    if details.is_empty() {
        return None;
    }
    let replaced = Fingerprint::of(before) != Fingerprint::of(after) && !matches!(after.kind, Kind::Job(_));
    Some(changed(world, after, details, replaced, actions))
}

fn removed(world: &World<'_>, name: &ServiceName) -> Change {
    let mut details = vec![line(None, "service removed")];
    let before = world.cx.current.and_then(|release| release.spec.services.get(name));
    for volume in before.into_iter().flat_map(|service| volumes_of(service)) {
        if world.seen.volumes.contains(volume) && !world.cx.remove_volumes.contains(volume) {
            details.push(line(None, format!("volume {volume} is kept")));
        }
    }
    Change {
        sign: Sign::Remove,
        subject: Subject::Service(name.clone()),
        details,
        downtime_ms: None,
        destructive: false,
        order: None,
    }
}

pub(super) fn volumes_of(service: &Service) -> impl Iterator<Item = &daybook_model::VolumeName> {
    service.container.mounts.iter().filter_map(|mount| match &mount.source {
        daybook_model::spec::MountSource::Volume { name, .. } => Some(name),
        _ => None,
    })
}

fn added(world: &World<'_>, after: &Service, actions: &[&Action]) -> Change {
    let there = world.replicas_of(&after.name).count();
    let mut details = vec![line(after.line, describe(after))];
    details.extend(after.artifact.chart().and_then(charts::objects).map(|makes| line(None, makes)));
    if there > 0 {
        details.push(line(None, format!("{there} replicas of it run already and are taken over where they fit")));
    }
    let sign = if there > 0 && !actions.is_empty() { Sign::Change } else { Sign::Add };
    Change {
        sign,
        subject: Subject::Service(after.name.clone()),
        details,
        downtime_ms: None,
        destructive: false,
        order: None,
    }
}

fn describe(service: &Service) -> String {
    let what = match &service.artifact {
        Artifact::Image { reference, digest, .. } => match digest {
            Some(digest) => format!("{reference} ({})", digest.short()),
            None => format!("{reference} ({})", known_after(&service.artifact)),
        },
        Artifact::Build(build) => match &build.digest {
            Some(digest) => format!("built from its directory ({})", digest.short()),
            None => format!("built from its directory ({})", known_after(&service.artifact)),
        },
        Artifact::Static { .. } => "static files".to_owned(),
        Artifact::StatusPage(page) => {
            let names: Vec<_> = page.components.iter().map(|component| component.name.as_str()).collect();
            format!("{}: {}", page.title, names.join(", "))
        }
        Artifact::Chart(chart) => match &chart.digest {
            Some(digest) => format!("{} ({})", charts::name(chart), digest.short()),
            None => format!("{} ({})", charts::name(chart), known_after(&service.artifact)),
        },
    };
    match (&service.kind, service.stopped) {
        (_, true) => format!("new service, stopped; {what}"),
        (Kind::Job(schedule), _) => format!("new job at `{}` {}; {what}", schedule.cron, schedule.zone),
        (Kind::Task, _) => format!("new task; {what}"),
        (Kind::Service, _) if matches!(service.artifact, Artifact::Static { .. }) => format!("new site; {what}"),
        (Kind::Service, _) if !service.artifact.is_content() => format!("new status page; {what}"),
        (Kind::Service, _) if service.artifact.chart().is_some() => format!("new chart; {what}"),
        (Kind::Service, _) => {
            let slow = service.rollout.ready_ms > Rollout::default().ready_ms;
            let patience = match slow {
                true => format!("; may take {} to get ready", crate::text::seconds(service.rollout.ready_ms)),
                false => String::new(),
            };
            format!("new service, {}; {what}{patience}", count(service.scale.min, "replica"))
        }
    }
}

/// What stands in the place of a digest that nobody can tell while planning.
pub(super) fn known_after(artifact: &Artifact) -> &'static str {
    match artifact {
        Artifact::Image { .. } => "digest known after pull",
        Artifact::Build(_) => "digest known after build",
        Artifact::Static { .. } => "digest known after its files are read",
        Artifact::Chart(_) => "digest known after it is fetched",
        Artifact::StatusPage(_) => "written by the server",
    }
}

fn changed(world: &World<'_>, after: &Service, details: Vec<Detail>, replaced: bool, actions: &[&Action]) -> Change {
    let starts = actions.iter().any(|action| matches!(action, Action::Start { .. }));
    let first = actions
        .iter()
        .find(|action| matches!(action, Action::Start { .. } | Action::Stop { .. } | Action::StopAt { .. }));
    let stops = first.is_some_and(|action| !matches!(action, Action::Start { .. }));
    let stop_first = stops && starts && after.stop_first(&world.spec.volumes) && !after.stopped;
    let order =
        (replaced && starts).then_some(if stop_first { RolloutOrder::StopFirst } else { RolloutOrder::StartFirst });
    Change {
        sign: if stop_first { Sign::Replace } else { Sign::Change },
        subject: Subject::Service(after.name.clone()),
        details,
        downtime_ms: stop_first.then_some(USUAL_PAUSE_MS),
        destructive: false,
        order,
    }
}

/// The settings are those of the release, and yet there is something to do.
fn drift(world: &World<'_>, service: &Service) -> Detail {
    let wanted = service.replicas();
    let running = world.replicas_of(&service.name).filter(|replica| replica.is_running()).count();
    let text = if wanted as usize == running {
        format!("{} as wanted; the edge or an old replica is not as it should be", count(wanted, "replica"))
    } else {
        format!("{} wanted, {running} running", count(wanted, "replica"))
    };
    line(service.line, text)
}

fn things(world: &World<'_>, steps: &[Step]) -> Vec<Change> {
    let comes_empty = |volume| world.seen.away.as_ref().is_some_and(|away| away.volumes.contains(volume));
    let mut changes = Vec::new();
    for step in steps {
        let (sign, subject, text) = match &step.action {
            Action::CreateVolume { volume } if comes_empty(volume) => {
                (Sign::Add, Subject::Volume(volume.clone()), "new volume; it begins empty")
            }
            Action::CreateVolume { volume } => (Sign::Add, Subject::Volume(volume.clone()), "new volume"),
            Action::RemoveVolume { volume } => {
                (Sign::Remove, Subject::Volume(volume.clone()), "removed with everything in it")
            }
            Action::CreateNetwork { network } => (Sign::Add, Subject::Network(network.clone()), "new network"),
            Action::RemoveNetwork { network } => (Sign::Remove, Subject::Network(network.clone()), "nothing uses it"),
            Action::SetQuota { quota } => {
                changes.push(bound(world, quota.as_ref()));
                continue;
            }
            _ => continue,
        };
        changes.push(Change {
            sign,
            subject,
            details: vec![line(None, text)],
            downtime_ms: None,
            destructive: matches!(step.action, Action::RemoveVolume { .. }),
            order: None,
        });
    }
    backups_of_volumes(world, &mut changes);
    changes
}

fn backups_of_volumes(world: &World<'_>, changes: &mut Vec<Change>) {
    let before = world.cx.current.map(|release| &release.spec.volumes);
    for (name, volume) in &world.spec.volumes {
        let before = before.and_then(|before| before.get(name)).and_then(|before| before.backup.as_ref());
        let after = volume.backup.as_ref();
        let Some(text) = databases::backups(world, before, after, false) else { continue };
        let detail = line(after.and_then(|policy| policy.line), text);
        let subject = Subject::Volume(name.clone());
        match changes.iter_mut().find(|known| known.subject == subject) {
            Some(known) => known.details.push(detail),
            None => changes.push(Change {
                sign: Sign::Change,
                subject,
                details: vec![detail],
                downtime_ms: None,
                destructive: false,
                order: None,
            }),
        }
    }
}

fn bound(world: &World<'_>, quota: Option<&Quota>) -> Change {
    let (sign, detail) = match (&world.seen.quota, quota) {
        (None, after) => (Sign::Add, after.map(bounds).unwrap_or_default()),
        (Some(before), Some(after)) => (Sign::Change, format!("{} → {}", bounds(before), bounds(after))),
        (Some(before), None) => (Sign::Remove, format!("no longer {}", bounds(before))),
    };
    let details = vec![line(None, detail)];
    Change { sign, subject: Subject::Quota, details, downtime_ms: None, destructive: false, order: None }
}

fn line(line: Option<u32>, text: impl Into<String>) -> Detail {
    Detail { text: text.into(), line }
}

fn count(n: u32, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A line for each setting that differs. Whatever differs is named; a setting without a line of its
/// own is named by the part of the service that it belongs to.
fn differences(before: &Service, after: &Service) -> Vec<Detail> {
    let mut out = Vec::new();
    let mut say = |text: String| out.push(line(after.line, text));
    artifact(before, after, &mut say);
    environment(before, after, &mut say);
    simple(before, after, &mut say);
    out
}

fn artifact(before: &Service, after: &Service, say: &mut impl FnMut(String)) {
    if before.artifact == after.artifact {
        return;
    }
    let kind = |artifact: &Artifact| match artifact {
        Artifact::Image { .. } => "image",
        Artifact::Build(_) => "build",
        Artifact::Static { .. } => "files",
        Artifact::Chart(_) => "chart",
        Artifact::StatusPage(_) => "status page",
    };
    let name = |artifact: &Artifact| match artifact {
        Artifact::Image { reference, .. } => reference.clone(),
        Artifact::Build(build) => build.context.clone(),
        Artifact::Static { root, .. } => root.clone(),
        Artifact::Chart(chart) => chart.reference.clone(),
        Artifact::StatusPage(page) => page.title.clone(),
    };
    if let (Artifact::Chart(before), Artifact::Chart(after)) = (&before.artifact, &after.artifact) {
        return charts::differences(before, after, say);
    }
    if let (Artifact::StatusPage(before), Artifact::StatusPage(after)) = (&before.artifact, &after.artifact) {
        return status_page(before, after, say);
    }
    if kind(&before.artifact) != kind(&after.artifact) {
        say(format!("{} → {}", kind(&before.artifact), kind(&after.artifact)));
    } else if matches!(after.artifact, Artifact::Image { .. }) && name(&before.artifact) != name(&after.artifact) {
        say(format!("image {} → {}", name(&before.artifact), name(&after.artifact)));
    }
    match (before.artifact.digest(), after.artifact.digest()) {
        (Some(old), Some(new)) if old != new => {
            say(format!("{} {} → {}", kind(&after.artifact), old.short(), new.short()));
        }
        (Some(old), None) => {
            say(format!("{} {} → ({})", kind(&after.artifact), old.short(), known_after(&after.artifact)));
        }
        _ => {}
    }
}

fn status_page(before: &StatusPage, after: &StatusPage, say: &mut impl FnMut(String)) {
    if before.title != after.title {
        say(format!("title {} → {}", before.title, after.title));
    }
    if before.zone != after.zone {
        say(format!("timezone {} → {}", before.zone, after.zone));
    }
    let named = |page: &StatusPage| page.components.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let (old, new) = (named(before), named(after));
    if old != new {
        say(format!("components {} → {}", old.join(", "), new.join(", ")));
    } else if before.components != after.components {
        say("the services that its components stand for".to_owned());
    }
}

fn environment(before: &Service, after: &Service, say: &mut impl FnMut(String)) {
    let (old, new) = (&before.container.environment, &after.container.environment);
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(a), Some(b)) if a != b => say(format!("{name}  {} → {}", shown(name, a), shown(name, b))),
            (None, Some(b)) => say(format!("{name}  (none) → {}", shown(name, b))),
            (Some(a), None) => say(format!("{name}  {} → (none)", shown(name, a))),
            _ => {}
        }
    }
}

/// A value as a plan may show it: never one of a secret, or of a variable whose name says it is one.
fn shown(name: &str, value: &EnvValue) -> String {
    match value {
        EnvValue::Secret(secret) => shown_secret(secret),
        EnvValue::Text(text) => shown_text(name, text),
        EnvValue::Template(parts) => parts.iter().map(part).collect(),
    }
}

/// A text as a plan may show it.
pub(super) fn shown_text(name: &str, text: &str) -> String {
    const TELLING: [&str; 9] = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "PRIVATE", "AUTH", "DSN", "SALT"];
    let upper = name.to_ascii_uppercase();
    if TELLING.iter().any(|part| upper.contains(part)) {
        return "(hidden)".to_owned();
    }
    if text.contains("://") && text.contains('@') {
        return "(hidden: an address with a login)".to_owned();
    }
    clip(text)
}

fn part(part: &TemplatePart) -> String {
    match part {
        TemplatePart::Text(text) => clip(text),
        TemplatePart::Service(name, fact) => format!("${{{name}.{}}}", format!("{fact:?}").to_lowercase()),
        TemplatePart::Secret(secret) => format!("({})", shown_secret(secret)),
        TemplatePart::Database(used) => {
            format!("${{{}.{}}} ({})", used.database, used.fact.word(), shown_secret(&used.login))
        }
    }
}

fn shown_secret(secret: &SecretRef) -> String {
    match secret.version {
        Some(version) => format!("secret {} version {version}", secret.name),
        None => format!("secret {}", secret.name),
    }
}

fn clip(text: &str) -> String {
    let line: String = text.chars().take_while(|c| *c != '\n').take(60).collect();
    if line.len() < text.len() { format!("{line}…") } else { line }
}

fn simple(before: &Service, after: &Service, say: &mut impl FnMut(String)) {
    if before.scale != after.scale {
        say(format!("replicas {} → {}", before.scale.min, after.scale.min));
    }
    if before.stopped != after.stopped {
        say(if after.stopped { "stopped".to_owned() } else { "started again".to_owned() });
    }
    if before.generation != after.generation {
        say("replaced by equal replicas (restart)".to_owned());
    }
    let (old, new) = (&before.container, &after.container);
    differ("command", &(&old.entrypoint, &old.command), &(&new.entrypoint, &new.command), say);
    differ("working directory or user", &(&old.working_dir, &old.user), &(&new.working_dir, &new.user), say);
    resources(before, after, say);
    differ("mounts", &old.mounts, &new.mounts, say);
    differ("files", &old.files, &new.files, say);
    differ("networks", &old.networks, &new.networks, say);
    differ("labels", &old.labels, &new.labels, say);
    differ("log bound", &old.log, &new.log, say);
    differ("container settings", &old.options, &new.options, say);
    differ("schedule", &before.kind, &after.kind, say);
    differ("ports", &before.ports, &after.ports, say);
    differ("domains", &before.routes, &after.routes, say);
    differ("health check", &before.check, &after.check, say);
    differ("dependencies", &before.depends_on, &after.depends_on, say);
    differ("restart or stop settings", &(&before.restart, &before.stop), &(&after.restart, &after.stop), say);
    differ("rollout settings", &before.rollout, &after.rollout, say);
    differ("where it tells measurements", &before.metrics, &after.metrics, say);
    differ("goals", &before.slo, &after.slo, say);
    differ("release hook", &before.release_hook, &after.release_hook, say);
}

fn resources(before: &Service, after: &Service, say: &mut impl FnMut(String)) {
    let (old, new) = (&before.container.resources, &after.container.resources);
    let mebibytes = |bytes: Option<u64>| bytes.map_or("unlimited".to_owned(), |b| format!("{} MiB", b >> 20));
    let cores = |millis: Option<u64>| millis.map_or("unlimited".to_owned(), |m| format!("{m}m"));
    if old.memory_bytes != new.memory_bytes {
        say(format!("memory {} → {}", mebibytes(old.memory_bytes), mebibytes(new.memory_bytes)));
    }
    if old.cpu_millis != new.cpu_millis {
        say(format!("cpu {} → {}", cores(old.cpu_millis), cores(new.cpu_millis)));
    }
    let rest = |r: &daybook_model::spec::Resources| (r.pids, r.reserve_cpu_millis, r.reserve_memory_bytes, r.gpus);
    if rest(old) != rest(new) {
        say("other limits".to_owned());
    }
}

fn differ<T: Serialize + PartialEq>(what: &str, before: &T, after: &T, say: &mut impl FnMut(String)) {
    if before == after {
        return;
    }
    let text = |value: &T| serde_json::to_string(value).expect("a spec is plain data");
    let (old, new) = (text(before), text(after));
    let short = old.len() + new.len() <= 80 && !old.contains('{') && !new.contains('{');
    say(if short { format!("{what} {old} → {new}") } else { what.to_owned() });
}
