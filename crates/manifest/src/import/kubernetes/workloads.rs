//! Workloads: what runs, each as a service.

use std::collections::HashSet;

use super::draft::{App, Draft, Role};
use super::fields;
use super::network::Selectors;
use super::objects::{Cluster, Object};
use super::pods::{self, Pod};
use super::scaling::{self, Autoscalers};
use super::{Import, SERVICE_WEIGHT, inits};
use crate::import::names::valid;
use crate::import::read::{flag, list, map, text};
use crate::import::yaml::Yaml;
use crate::tree::{Map, Node};

/// Kinds that run pods.
const KINDS: [&str; 7] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "CronJob", "Job"];

/// Annotations of jobs that run before each new version, by the tool that reads them.
const HOOKS: [(&str, [&str; 2]); 2] =
    [("helm.sh/hook", ["pre-install", "pre-upgrade"]), ("argocd.argoproj.io/hook", ["PreSync", "Sync"])];

/// What is at hand while workloads are read.
struct Workloads<'i, 'c, 'a, 'n, 'm> {
    import: &'i Import<'c, 'a>,
    cluster: &'i Cluster<'n>,
    app: &'m mut App<'n>,
    selectors: Selectors<'n>,
    scalers: Autoscalers<'n>,
}

/// Makes a service of each workload.
pub(super) fn read<'n>(import: &Import<'_, '_>, cluster: &Cluster<'n>, app: &mut App<'n>) {
    let (selectors, scalers) = (Selectors::of(cluster), Autoscalers::of(cluster));
    let mut workloads = Workloads { import, cluster, app, selectors, scalers };
    let mut hooks = Vec::new();
    for object in cluster.all.iter().copied().filter(|object| KINDS.contains(&object.kind)) {
        if let Some(owner) = owner(&object) {
            let what = format!("{}: {owner} makes it", object.shown());
            import.notes.not_carried(object.at, what, "import that instead");
            continue;
        }
        if object.annotation("helm.sh/hook").is_some_and(|hook| hook.contains("test")) {
            import.notes.not_carried(object.at, format!("{}: it is a test of the chart", object.shown()), "");
            continue;
        }
        let Some(pod) = pod(import, &object) else { continue };
        if is_hook(&object) {
            hooks.push((object, pod));
        } else {
            workloads.add(object, &pod);
        }
    }
    for (object, pod) in hooks {
        if !inits::become_release(import, cluster, workloads.app, &object, &pod) {
            let what = format!("{}: it is a task of its own, which no service waits for", object.shown());
            import.notes.changed(
                object.at,
                what,
                "let a service wait: `depends_on: {NAME: {condition: service_completed_successfully}}`",
            );
            workloads.add(object, &pod);
        }
    }
    workloads.scalers.report_unused(import);
}

/// Who made an object that nobody wrote: `ReplicaSet web-5d4f`.
fn owner(object: &Object<'_>) -> Option<String> {
    let owner = list(object.node.get("metadata")?, "ownerReferences").first()?;
    Some(format!("{} {}", text(owner, "kind")?, text(owner, "name")?))
}

fn is_hook(object: &Object<'_>) -> bool {
    let asked = |(key, words): &(&str, [&str; 2])| {
        object.annotation(key).is_some_and(|value| value.split(',').any(|word| words.contains(&word.trim())))
    };
    object.kind == "Job" && HOOKS.iter().any(asked)
}

/// The pod that a workload runs. `None` where there is nothing to run, which is reported.
fn pod<'n>(import: &Import<'_, '_>, object: &Object<'n>) -> Option<Pod<'n>> {
    let spec = object.spec();
    let template = match object.kind {
        "Pod" => Some(object.node),
        "CronJob" => spec.and_then(|spec| spec.get("jobTemplate")?.get("spec")?.get("template")),
        _ => spec.and_then(|spec| spec.get("template")),
    };
    let found = template.and_then(Pod::read);
    if found.is_none() {
        let what = format!("{}: it has no container with an image", object.shown());
        import.notes.not_carried(object.at, what, "");
    }
    found
}

impl<'n> Workloads<'_, '_, '_, 'n, '_> {
    fn add(&mut self, object: Object<'n>, pod: &Pod<'n>) {
        let import = self.import;
        if !import.ctx.afford(object.at, SERVICE_WEIGHT) {
            return;
        }
        check_fields(import, &object);
        let role = role(&object, pod.spec);
        let labels = pod.labels.filter(|_| role == Role::Service);
        let reached_by = self.selectors.leading_to(import, &object, labels);
        let mut draft = Draft::new(name(import, &object, &reached_by), object, role, pod.main);
        draft.labels = pod.labels;
        draft.reached_by = reached_by;
        if role == Role::Service {
            self.scalers.scale(import, &mut draft);
            scaling::strategy(import, &mut draft);
        } else {
            run_once(import, &mut draft);
        }
        let mut tasks = pods::fill(import, self.cluster, self.app, &mut draft, pod);
        self.app.services.append(&mut tasks);
        self.app.services.push(draft);
    }
}

fn check_fields(import: &Import<'_, '_>, object: &Object<'_>) {
    let Some(spec) = object.spec() else { return };
    let what = format!("`spec` of {}", object.shown());
    match object.kind {
        "Pod" => {}
        "CronJob" => {
            fields::check(&import.notes, spec, fields::CRON_JOB, &what);
            if let Some(job) = spec.get("jobTemplate").and_then(|template| template.get("spec")) {
                fields::check(&import.notes, job, fields::JOB, &what);
            }
        }
        "Job" => fields::check(&import.notes, spec, fields::JOB, &what),
        _ => fields::check(&import.notes, spec, fields::WORKLOAD, &what),
    }
}

fn role(object: &Object<'_>, pod: &Node) -> Role {
    match object.kind {
        "CronJob" => Role::Job,
        "Job" => Role::Task,
        "Pod" if matches!(text(pod, "restartPolicy"), Some("Never" | "OnFailure")) => Role::Task,
        _ => Role::Service,
    }
}

/// The name by which others reach it: that of its Service, so that the edge answers there.
fn name(import: &Import<'_, '_>, object: &Object<'_>, reached_by: &[Object<'_>]) -> String {
    let headless = |service: &&Object<'_>| service.spec().and_then(|spec| text(spec, "clusterIP")) == Some("None");
    let same = reached_by.iter().find(|service| service.name == object.name);
    let service = same.or_else(|| reached_by.iter().find(|service| !headless(service))).or(reached_by.first());
    let reached = service.map_or(object.name, |service| service.name);
    let kind = object.kind.to_lowercase();
    let wanted = [
        reached.to_owned(),
        object.name.to_owned(),
        format!("{}-{}", object.namespace, object.name),
        format!("{}-{kind}", object.name),
    ];
    let name = import.services.take(&wanted.each_ref().map(String::as_str));
    if name != object.name {
        let why = match (name == reached, valid(reached) == reached) {
            (true, _) => "as its Service is".to_owned(),
            (_, true) => format!("since `{reached}` is taken"),
            _ => "since its name cannot be one here".to_owned(),
        };
        import.notes.changed(object.at, format!("{}: the service is called `{name}`, {why}", object.shown()), "");
    }
    name
}

/// A job or a task: it is not started again.
fn run_once(import: &Import<'_, '_>, draft: &mut Draft<'_>) {
    let object = draft.object;
    let Some(spec) = object.spec() else { return };
    if flag(spec, "suspend") {
        draft.set("profiles", Yaml::texts(["suspended"]));
        draft.comments.push("Suspended in Kubernetes: it is there with `--profile suspended` only.".to_owned());
        let what = format!("{}: it is suspended, so it is there only with the profile `suspended`", object.shown());
        import.notes.changed(object.at, what, "remove `profiles` to let it run");
    }
    if draft.role == Role::Task {
        let what = format!("{}: it is a task, and is not tried again when it fails", object.shown());
        import.notes.changed(object.at, what, "let the program itself try again");
        return draft.set("restart", Yaml::Template("no".to_owned()));
    }
    schedule(import, draft, spec);
    if text(spec, "concurrencyPolicy") != Some("Forbid") {
        let what = format!("{}: a run that is due while the last one is still going is passed over", object.shown());
        import.notes.changed(object.at, what, "");
    }
}

fn schedule(import: &Import<'_, '_>, draft: &mut Draft<'_>, spec: &Node) {
    let written = text(spec, "schedule").unwrap_or_default();
    let zoned = written.strip_prefix("CRON_TZ=").or_else(|| written.strip_prefix("TZ="));
    let (inline, cron) = match zoned.and_then(|rest| rest.split_once(' ')) {
        Some((zone, cron)) => (Some(zone), cron.trim()),
        None => (None, written),
    };
    let zone = text(spec, "timeZone").or(inline);
    let good = cron.parse::<croner::Cron>().is_ok() && zone.is_none_or(|zone| jiff::tz::TimeZone::get(zone).is_ok());
    if !good {
        let span = spec.get("schedule").map_or(draft.object.at, |node| node.span);
        draft.set("profiles", Yaml::texts(["unscheduled"]));
        draft
            .comments
            .push(format!("Its schedule `{written}` is not understood: write `schedule` and remove `profiles`."));
        let what = format!("{}: its schedule or time zone is not understood, so it does not run", draft.object.shown());
        return import.notes.to_do(span, what, "write `schedule` with five fields, and remove `profiles`");
    }
    draft.set("schedule", Yaml::text(cron));
    if let Some(zone) = zone {
        draft.set("timezone", Yaml::text(zone));
    }
}

/// The names of the volumes that a container mounts.
pub(super) fn mounted_names(container: &Node) -> HashSet<&str> {
    list(container, "volumeMounts").iter().filter_map(|mount| text(mount, "name")).collect()
}

/// The labels of a pod.
pub(super) fn labels(template: &Node) -> Option<&Map> {
    map(template.get("metadata")?, "labels")
}
