//! Fly's `fly.toml`.

use daybook_model::AppName;

use crate::import::fields::{Fate, Field, check};
use crate::import::read::{list, map, number, port, text, texts};
use crate::import::yaml::Yaml;
use crate::import::{Document, Imported};
use crate::tree::{Map, Node, Value};
use crate::units;

use super::app::{App, Service, import};
use super::{parts, sources, words};

const ONE: &str = "machines are this machine's, or the cluster's";

const APP: &[Field] = &[
    ("app", Fate::Read),
    ("primary_region", Fate::Lost("an environment is where its `target` is", "see `daybook target`")),
    ("kill_signal", Fate::Read),
    ("kill_timeout", Fate::Read),
    ("swap_size_mb", Fate::Lost("replicas have the machine's swap", "")),
    ("console_command", Fate::Lost("a shell is asked for by name", "`daybook exec SERVICE -- COMMAND`")),
    ("host_dedication_id", Fate::Moot),
    ("build", Fate::Read),
    ("deploy", Fate::Read),
    ("env", Fate::Read),
    ("processes", Fate::Read),
    ("http_service", Fate::Read),
    ("services", Fate::Read),
    ("checks", Fate::Read),
    ("mounts", Fate::Read),
    ("vm", Fate::Read),
    ("files", Fate::Read),
    ("restart", Fate::Read),
    ("statics", Fate::Lost("a service serves its own files", "or serve a directory: `static: ./site`")),
    ("metrics", Fate::Lost("nothing here asks a program for its metrics yet", "")),
    ("experimental", Fate::Read),
];

const BUILD: &[Field] = &[
    ("image", Fate::Read),
    ("dockerfile", Fate::Read),
    ("build-target", Fate::Read),
    ("args", Fate::Read),
    ("builder", Fate::Lost("what a buildpack makes, a Dockerfile says here", "write a Dockerfile, or name an `image`")),
    (
        "buildpacks",
        Fate::Lost("what a buildpack makes, a Dockerfile says here", "write a Dockerfile, or name an `image`"),
    ),
    ("ignorefile", Fate::Lost("what is left out of a build is in `.dockerignore`", "")),
    ("settings", Fate::Lost("a builder of Fly's own reads it", "")),
    ("compression", Fate::Moot),
    ("compression_level", Fate::Moot),
];

const DEPLOY: &[Field] = &[
    ("release_command", Fate::Read),
    ("strategy", Fate::Read),
    ("release_command_timeout", Fate::Lost("a release command may take as long as it takes", "")),
    ("release_command_vm", Fate::Lost("a release command runs with the limits of its service", "")),
    ("max_unavailable", Fate::Lost("none is missing during a rollout", "")),
    ("wait_timeout", Fate::Read),
    ("seed_command", Fate::Lost("it ran once for a new app", "`daybook run SERVICE -- COMMAND`")),
];

const HTTP: &[Field] = &[
    ("internal_port", Fate::Read),
    ("processes", Fate::Read),
    ("checks", Fate::Read),
    ("min_machines_running", Fate::Read),
    ("force_https", Fate::Moot),
    ("auto_start_machines", Fate::Moot),
    ("auto_stop_machines", Fate::LostUnless("off", "replicas go on while nobody asks", "")),
    ("concurrency", Fate::Lost("the edge sends a request to whichever replica is free", "")),
    ("http_options", Fate::Lost("the edge has its own", "")),
    ("tls_options", Fate::Lost("the edge has its own", "")),
    ("machine_checks", Fate::Lost("a rollout has its probation", "see `rollout`")),
];

const SERVICE: &[Field] = &[
    ("internal_port", Fate::Read),
    ("protocol", Fate::Read),
    ("processes", Fate::Read),
    ("ports", Fate::Read),
    ("http_checks", Fate::Read),
    ("tcp_checks", Fate::Read),
    ("min_machines_running", Fate::Read),
    ("auto_start_machines", Fate::Moot),
    ("auto_stop_machines", Fate::LostUnless("off", "replicas go on while nobody asks", "")),
    ("concurrency", Fate::Lost("the edge sends a request to whichever replica is free", "")),
    ("script_checks", Fate::Lost("a service has one check", "see `healthcheck`")),
    ("machine_checks", Fate::Lost("a rollout has its probation", "see `rollout`")),
];

const CHECK: &[Field] = &[
    ("type", Fate::Read),
    ("port", Fate::Read),
    ("path", Fate::Read),
    ("interval", Fate::Read),
    ("timeout", Fate::Read),
    ("grace_period", Fate::Read),
    ("processes", Fate::Read),
    ("method", Fate::LostUnless("get", "the edge asks with GET", "")),
    ("protocol", Fate::LostUnless("http", "the edge asks without TLS", "")),
    ("headers", Fate::Lost("the edge sends none", "")),
    ("tls_skip_verify", Fate::Moot),
    ("tls_server_name", Fate::Moot),
];

const MOUNT: &[Field] = &[
    ("source", Fate::Read),
    ("destination", Fate::Read),
    ("processes", Fate::Read),
    ("initial_size", Fate::Lost("the size of a volume is not bounded", "keep an eye on the disk")),
    ("auto_extend_size_threshold", Fate::Moot),
    ("auto_extend_size_increment", Fate::Moot),
    ("auto_extend_size_limit", Fate::Moot),
    ("snapshot_retention", Fate::Lost("volumes are not backed up yet", "back it up yourself")),
    ("scheduled_snapshots", Fate::Lost("volumes are not backed up yet", "back it up yourself")),
];

const VM: &[Field] = &[
    ("size", Fate::Read),
    ("memory", Fate::Read),
    ("memory_mb", Fate::Read),
    ("cpus", Fate::Read),
    ("processes", Fate::Read),
    ("cpu_kind", Fate::Moot),
    ("gpu_kind", Fate::Lost("a GPU is not asked for by its kind", "see `gpus`")),
    ("gpus", Fate::Read),
    ("kernel_args", Fate::Lost(ONE, "")),
    ("host_dedication_id", Fate::Lost(ONE, "")),
    ("persist_rootfs", Fate::Lost("what a replica writes goes with it", "write to a volume")),
];

/// Thousandths of a core and mebibytes, by the size of a machine.
const SIZES: [(&str, (u32, u32)); 9] = [
    ("shared-cpu-1x", (1_000, 256)),
    ("shared-cpu-2x", (2_000, 512)),
    ("shared-cpu-4x", (4_000, 1_024)),
    ("shared-cpu-8x", (8_000, 2_048)),
    ("performance-1x", (1_000, 2_048)),
    ("performance-2x", (2_000, 4_096)),
    ("performance-4x", (4_000, 8_192)),
    ("performance-8x", (8_000, 16_384)),
    ("performance-16x", (16_000, 32_768)),
];

/// Makes a manifest of one `fly.toml`, or of those of several apps. Pure.
pub fn fly(documents: &[Document], app: Option<&AppName>) -> Imported {
    import("Fly", app, |app| {
        let nodes: Option<Vec<Node>> = documents.iter().map(|document| sources::toml(app, document)).collect();
        let nodes = nodes?;
        let several = nodes.len() > 1;
        nodes.iter().for_each(|node| read(app, node, several));
        nodes.first().and_then(|node| text(node, "app")).map(str::to_owned)
    })
}

/// A group of machines that run the same command.
type Group = (String, Service);

fn read(app: &mut App<'_, '_>, node: &Node, several: bool) {
    check(&app.notes, node, APP, "fly.toml");
    let called = text(node, "app").unwrap_or("app");
    let commands: Vec<(&str, Option<&str>)> = match map(node, "processes").filter(|all| !all.is_empty()) {
        Some(all) => all.iter().map(|entry| (entry.key.as_str(), entry.value.scalar())).collect(),
        None => vec![("app", None)],
    };
    let mut groups: Vec<Group> = Vec::new();
    for (name, command) in commands {
        let wanted = match (several, name) {
            (true, "app") => called.to_owned(),
            (true, name) => format!("{called}-{name}"),
            (false, name) => name.to_owned(),
        };
        let mut service = app.service(&wanted);
        if let Some(command) = command.filter(|command| !command.is_empty()) {
            service.set("command", words::command(command));
        }
        groups.push((name.to_owned(), service));
    }
    shared(app, node, &mut groups);
    for (section, table) in [("http_service", HTTP), ("services", SERVICE)] {
        for item in node.get(section).map(each).unwrap_or_default() {
            check(&app.notes, item, table, &format!("`{section}`"));
            reached(app, item, section == "http_service", &mut groups);
        }
    }
    for entry in map(node, "checks").into_iter().flat_map(Map::iter) {
        checked(app, &entry.value, &mut groups);
    }
    for item in node.get("mounts").map(each).unwrap_or_default() {
        check(&app.notes, item, MOUNT, "`mounts`");
        let Some((source, target)) = text(item, "source").zip(text(item, "destination")) else { continue };
        let volume = app.volume(source);
        of(item, &mut groups).for_each(|service| service.push("volumes", Yaml::text(&format!("{volume}:{target}"))));
    }
    for item in node.get("vm").map(each).unwrap_or_default() {
        check(&app.notes, item, VM, "`vm`");
        sized(app, item, &mut groups);
    }
    for item in node.get("files").map(each).unwrap_or_default() {
        files(app, item, &mut groups);
    }
    release(app, node, &mut groups);
    if let [(_, first), rest @ ..] = groups.as_mut_slice() {
        rest.iter_mut().for_each(|(_, service)| service.begin_from(first));
    }
    app.services.extend(groups.into_iter().map(|(_, service)| service));
}

/// One table, or each of several.
fn each(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().collect(),
        Value::Map(_) => vec![node],
        _ => Vec::new(),
    }
}

/// The services that a table is about: those that it names, or all.
fn of<'g>(node: &Node, groups: &'g mut [Group]) -> impl Iterator<Item = &'g mut Service> {
    let named: Vec<String> = texts(node, "processes").into_iter().map(str::to_owned).collect();
    let meant = move |(name, service)| (named.is_empty() || named.contains(name)).then_some(service);
    groups.iter_mut().map(|(name, service)| (&*name, service)).filter_map(meant)
}

/// What all groups have: what they run, their variables, and how they end.
fn shared(app: &mut App<'_, '_>, node: &Node, groups: &mut [Group]) {
    let build = node.get("build");
    if let Some(build) = build {
        check(&app.notes, build, BUILD, "`build`");
    }
    let image = build.and_then(|build| text(build, "image"));
    let Some((_, first)) = groups.first_mut() else { return };
    match image {
        Some(image) => first.set("image", Yaml::text(image)),
        None => {
            let names = [("dockerfile", "dockerfile"), ("build-target", "target")];
            first.set("build", build.map_or(Yaml::text("."), |build| parts::build(".", build, &names)));
        }
    }
    for entry in map(node, "env").into_iter().flat_map(Map::iter) {
        if let Some(value) = entry.value.scalar() {
            app.variable(first, &entry.key, value, entry.key_span);
        }
    }
    if let Some(signal) = text(node, "kill_signal") {
        first.set("stop_signal", Yaml::text(signal));
    }
    if let Some(time) = text(node, "kill_timeout") {
        first.set("stop_grace_period", Yaml::text(&seconds(time)));
    }
    if let Some(item) = node.get("restart").map(each).and_then(|all| all.first().copied()) {
        let policy = text(item, "policy").unwrap_or("always");
        let policy = if policy == "never" { "no" } else { policy };
        first.set("restart", Yaml::text(policy));
    }
    let started = node.get("experimental");
    for (theirs, ours) in [("cmd", "command"), ("entrypoint", "entrypoint")] {
        let words = started.map(|started| texts(started, theirs)).unwrap_or_default();
        if !words.is_empty() {
            first.set(ours, Yaml::texts(words));
        }
    }
    let what = "secrets are not in fly.toml: those that `fly secrets list` names have to be set";
    app.notes.to_do(node.span, what, "daybook secret set NAME, and `NAME: {secret: NAME}` under `environment`");
}

/// A port that requests come to.
fn reached(app: &App<'_, '_>, node: &Node, is_http: bool, groups: &mut [Group]) {
    let Some(inside) = text(node, "internal_port").and_then(port).or(is_http.then_some(8080)) else { return };
    let udp = text(node, "protocol") == Some("udp");
    let ports = list(node, "ports");
    let speaks_http = |item: &Node| texts(item, "handlers").contains(&"http");
    let is_http = is_http || ports.iter().any(speaks_http);
    let replicas = number(node, "min_machines_running").filter(|count| *count > 1);
    let names: Vec<String> = of(node, groups).map(|service| service.name.clone()).collect();
    for service in of(node, groups) {
        if is_http {
            service.push("port", Yaml::number(inside));
        } else {
            let suffix = if udp { "/udp" } else { "" };
            for outside in ports.iter().filter_map(|item| text(item, "port").and_then(port)) {
                service.push("ports", Yaml::text(&format!("{outside}:{inside}{suffix}")));
            }
        }
        if let Some(replicas) = replicas {
            service.set("scale", Yaml::number(replicas));
        }
    }
    if is_http {
        names.iter().for_each(|name| app.wants_domain(name, node.span));
    }
    for item in ports.iter().filter(|item| item.get("start_port").is_some()) {
        app.notes.not_carried(item.span, "a range of ports: each is published by itself", "see `ports`");
    }
    for section in ["checks", "http_checks"] {
        for item in list(node, section) {
            check(&app.notes, item, CHECK, &format!("a check of port {inside}"));
            of(node, groups).for_each(|service| set_check(service, item));
        }
    }
}

/// A check that stands by itself.
fn checked(app: &App<'_, '_>, node: &Node, groups: &mut [Group]) {
    check(&app.notes, node, CHECK, "a check");
    if text(node, "type") == Some("http") {
        of(node, groups).for_each(|service| set_check(service, node));
    }
}

fn set_check(service: &mut Service, node: &Node) {
    let Some(path) = text(node, "path") else { return };
    if service.has("healthcheck") {
        return;
    }
    let times = [("interval", "interval"), ("timeout", "timeout"), ("grace_period", "start_period")];
    let times = times.iter().filter_map(|(theirs, ours)| Some((*ours, Yaml::text(&seconds(text(node, theirs)?)))));
    service.set("healthcheck", parts::healthcheck(path, times.collect()));
}

/// A time: a bare number is one of seconds.
fn seconds(time: &str) -> String {
    if time.parse::<u32>().is_ok() { format!("{time}s") } else { time.to_owned() }
}

fn sized(app: &App<'_, '_>, node: &Node, groups: &mut [Group]) {
    let size = text(node, "size");
    let known = size.map(|size| SIZES.iter().find(|(name, _)| *name == size).map(|(_, size)| *size));
    if let (Some(size), Some(None)) = (size, known) {
        app.notes.not_carried(node.span, format!("the size `{size}` is not known"), "set `resources`");
    }
    let (mut cpu, mut memory) = known.flatten().unwrap_or((0, 0));
    if let Some(count) = number(node, "cpus") {
        cpu = count.saturating_mul(1_000);
    }
    if let Some(text) = text(node, "memory").or_else(|| text(node, "memory_mb")) {
        // A bare number is one of mebibytes.
        let bytes = if text.parse::<u32>().is_ok() { units::bytes(&format!("{text}m")) } else { units::bytes(text) };
        memory = bytes.map_or(memory, |bytes| u32::try_from(bytes >> 20).unwrap_or(u32::MAX));
    }
    let gpus = number(node, "gpus").filter(|count| *count > 0);
    for service in of(node, groups) {
        if (cpu, memory) != (0, 0) {
            service.set("resources", parts::resources((cpu, memory)));
        }
        if let Some(gpus) = gpus {
            service.set("gpus", Yaml::number(gpus));
        }
    }
}

fn files(app: &mut App<'_, '_>, node: &Node, groups: &mut [Group]) {
    let Some(target) = text(node, "guest_path") else { return };
    if let Some(path) = text(node, "local_path") {
        of(node, groups).for_each(|service| app.file(service, path, target));
    } else if let Some(name) = text(node, "secret_name") {
        let secret = app.secret(name, node.span, &format!("it is the file {target}"));
        of(node, groups).for_each(|service| app.secret_file(service, &secret, target));
    } else {
        let what = format!("the file {target}: its content stands here, encoded");
        app.notes.not_carried(node.span, what, "keep it as a file: `configs: {NAME: {file: FILE}}`");
    }
}

fn release(app: &App<'_, '_>, node: &Node, groups: &mut [Group]) {
    let Some(deploy) = node.get("deploy") else { return };
    check(&app.notes, deploy, DEPLOY, "`deploy`");
    let Some((_, first)) = groups.first_mut() else { return };
    if let Some(command) = text(deploy, "release_command") {
        first.set("release", words::command(command));
    }
    let mut rollout = Vec::new();
    match text(deploy, "strategy") {
        Some("canary") => rollout.push(("canary", Yaml::Word("10%".to_owned()))),
        Some("immediate") => {
            let what = "`strategy = \"immediate\"`: a new version takes over once it is ready";
            app.notes.changed(deploy.span, what, "");
        }
        _ => {}
    }
    if let Some(time) = text(deploy, "wait_timeout") {
        rollout.push(("ready", Yaml::text(&seconds(time))));
    }
    if !rollout.is_empty() {
        first.set("rollout", Yaml::Flow(rollout));
    }
}
