//! Kamal's `deploy.yml`.

use daybook_model::AppName;

use crate::import::fields::{Fate, Field, check};
use crate::import::read::{flag, list, map, number, port, text, texts};
use crate::import::yaml::Yaml;
use crate::import::{Document, Imported};
use crate::tree::{Map, Node, Span, Value};

use super::app::{App, Service, import};
use super::{parts, sources, words};

const ITS_OWN: &str = "it concerns how Kamal does its work";
const ONE_TARGET: &str = "an environment is where its `target` is";

const ROOT: &[Field] = &[
    ("service", Fate::Read),
    ("image", Fate::Read),
    ("servers", Fate::Read),
    ("proxy", Fate::Read),
    ("env", Fate::Read),
    ("volumes", Fate::Read),
    ("accessories", Fate::Read),
    ("builder", Fate::Read),
    ("labels", Fate::Read),
    ("logging", Fate::Read),
    ("drain_timeout", Fate::Read),
    ("deploy_timeout", Fate::Read),
    ("primary_role", Fate::Read),
    ("registry", Fate::Lost("what is built here need not be pushed", "for a cluster see `registry` in the book")),
    ("ssh", Fate::Lost(ONE_TARGET, "see `daybook target`")),
    ("sshkit", Fate::Lost(ITS_OWN, "")),
    ("boot", Fate::Lost("new replicas start beside the old", "see `rollout`")),
    ("readiness_delay", Fate::Lost("a replica is ready when its check says so", "")),
    ("asset_path", Fate::Lost("the old version serves until its requests are done", "keep old assets in a store")),
    ("error_pages_path", Fate::Lost("the edge has its own pages", "")),
    ("aliases", Fate::Lost(ITS_OWN, "see `daybook exec` and `daybook run`")),
    ("hooks_path", Fate::Lost("a hook is the `release` of a service", "")),
    ("secrets_path", Fate::Moot),
    ("retain_containers", Fate::Moot),
    ("require_destination", Fate::Moot),
    ("minimum_version", Fate::Moot),
    ("allow_empty_roles", Fate::Moot),
    ("run_directory", Fate::Moot),
    ("output", Fate::Moot),
];

const ROLE: &[Field] = &[
    ("hosts", Fate::Read),
    ("cmd", Fate::Read),
    ("env", Fate::Read),
    ("proxy", Fate::Read),
    ("labels", Fate::Read),
    ("logging", Fate::Read),
    ("options", Fate::Read),
    ("asset_path", Fate::Lost("the old version serves until its requests are done", "keep old assets in a store")),
    ("stop_wait_time", Fate::Read),
];

const PROXY: &[Field] = &[
    ("host", Fate::Read),
    ("hosts", Fate::Read),
    ("app_port", Fate::Read),
    ("path_prefix", Fate::Read),
    ("path_prefixes", Fate::Read),
    ("healthcheck", Fate::Read),
    ("ssl", Fate::Moot),
    ("ssl_redirect", Fate::Moot),
    ("forward_headers", Fate::Lost("the edge says who asked", "")),
    ("strip_path_prefix", Fate::LostUnless("false", "the edge changes no address", "let the program do it")),
    ("response_timeout", Fate::Lost("the edge waits 60 s for the head of an answer", "")),
    ("buffering", Fate::Lost("the edge passes bodies on as they come", "")),
    ("logging", Fate::Lost("the edge writes no log of requests", "see `daybook status`")),
    ("run", Fate::Lost("the edge has its own", "")),
];

const BUILDER: &[Field] = &[
    ("context", Fate::Read),
    ("dockerfile", Fate::Read),
    ("target", Fate::Read),
    ("args", Fate::Read),
    ("arch", Fate::Lost("an image is built for where it runs", "see `platform`")),
    ("secrets", Fate::Lost("a build has no secrets yet", "")),
    ("cache", Fate::Lost(ITS_OWN, "")),
    ("remote", Fate::Lost(ITS_OWN, "")),
    ("local", Fate::Lost(ITS_OWN, "")),
    ("driver", Fate::Lost(ITS_OWN, "")),
    ("ssh", Fate::Lost(ITS_OWN, "")),
    ("pack", Fate::Lost("what a buildpack makes, a Dockerfile says here", "write a Dockerfile")),
    ("provenance", Fate::Lost(ITS_OWN, "")),
    ("sbom", Fate::Lost(ITS_OWN, "")),
];

const ACCESSORY: &[Field] = &[
    ("image", Fate::Read),
    ("service", Fate::Read),
    ("host", Fate::Moot),
    ("hosts", Fate::Lost("an accessory is one service", "see `scale`")),
    ("role", Fate::Moot),
    ("roles", Fate::Lost("an accessory is one service", "see `scale`")),
    ("tag", Fate::Moot),
    ("tags", Fate::Moot),
    ("port", Fate::Read),
    ("env", Fate::Read),
    ("cmd", Fate::Read),
    ("files", Fate::Read),
    ("directories", Fate::Read),
    ("volumes", Fate::Read),
    ("labels", Fate::Read),
    ("options", Fate::Read),
    ("proxy", Fate::Read),
    ("network", Fate::Moot),
    ("registry", Fate::Lost("this machine's own login is used", "docker login REGISTRY")),
];

const ENV: &[Field] = &[
    ("clear", Fate::Read),
    ("secret", Fate::Read),
    ("tags", Fate::Lost("all replicas have the same variables", "make a service of each")),
];

/// Makes a manifest of one `deploy.yml`, with the file of a destination behind it where there is one. Pure.
pub fn kamal(documents: &[Document], app: Option<&AppName>) -> Imported {
    import("Kamal", app, |app| {
        let mut whole: Option<Node> = None;
        for document in documents {
            if let Some(at) = document.text.find("<%") {
                let file = sources::add(app, document)?;
                let span = Span { file, start: at as u32, end: at as u32 + 2 };
                let advice = format!("render it first: erb {} | daybook import kamal -", document.path);
                app.notes.error(span, "the file holds `<%`: it is ERB, and not what comes of it", advice);
                return None;
            }
            for node in sources::yaml(app, document)? {
                // As Kamal does it: what the destination says takes the place of what was there.
                whole = Some(match whole {
                    Some(under) => over(under, node),
                    None => node,
                });
            }
        }
        let node = whole?;
        read(app, &node);
        text(&node, "service").map(str::to_owned)
    })
}

/// `under` with what `node` says over it; mappings are merged.
fn over(mut under: Node, node: Node) -> Node {
    let (Value::Map(below), Value::Map(above)) = (&mut under.value, &node.value) else { return node };
    for entry in above.iter() {
        let mut entry = entry.clone();
        if let Some(there) = below.remove(&entry.key) {
            entry.value = over(there, entry.value);
        }
        below.put(entry);
    }
    under
}

fn read(app: &mut App<'_, '_>, node: &Node) {
    check(&app.notes, node, ROOT, "deploy.yml");
    let primary = text(node, "primary_role").unwrap_or("web");
    let servers = node.get("servers");
    let mut roles: Vec<(&str, &Node)> = match servers.and_then(Node::map) {
        Some(roles) => roles.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect(),
        None => servers.map(|servers| (primary, servers)).into_iter().collect(),
    };
    if roles.is_empty() {
        return app.notes.error(node.span, "`servers` is missing: nothing says what runs", "");
    }
    // The primary role first: the others begin as it.
    roles.sort_by_key(|(name, _)| *name != primary);
    for (name, role) in roles {
        let first = app.services.first().map(|first| first.name.clone());
        let service = of_role(app, node, name, role, first.as_deref());
        app.services.push(service);
    }
    for entry in map(node, "accessories").into_iter().flat_map(Map::iter) {
        let service = accessory(app, text(node, "service").unwrap_or_default(), &entry.key, &entry.value);
        app.services.push(service);
    }
}

fn of_role(app: &mut App<'_, '_>, node: &Node, name: &str, role: &Node, first: Option<&str>) -> Service {
    let shown = format!("the role `{name}`");
    let mut service = app.service(name);
    if role.map().is_some() {
        check(&app.notes, role, ROLE, &shown);
    }
    match first {
        // The volumes of the whole are those of every role.
        Some(first) => service.set("from", Yaml::text(first)),
        None => {
            service.set("build", built(app, node));
            if let Some(env) = node.get("env") {
                variables(app, &mut service, env);
            }
            for volume in texts(node, "volumes") {
                mount(app, &mut service, volume);
            }
            pairs(node, "labels", &mut service);
            logging(app, node, &mut service);
        }
    }
    if let Some(command) = text(role, "cmd") {
        service.set("command", words::command(command));
    }
    if let Some(env) = role.get("env") {
        variables(app, &mut service, env);
    }
    pairs(role, "labels", &mut service);
    logging(app, role, &mut service);
    options(app, role, &shown);
    if let Some(time) = number(role, "stop_wait_time") {
        service.set("stop_grace_period", Yaml::text(&format!("{time}s")));
    }
    hosts(app, role, &shown, &mut service);
    // The first role is behind the proxy unless it says that it is not; others if they say so.
    let own = role.get("proxy");
    let proxied = own.map_or(first.is_none(), |own| own.scalar() != Some("false"));
    if proxied {
        let whole = node.get("proxy");
        let proxy = own.filter(|own| own.map().is_some()).or(whole.filter(|_| first.is_none()));
        reached(app, proxy, node.span, &mut service);
        rollout(node, &mut service);
    }
    service
}

/// Every host runs one container of a role.
fn hosts(app: &App<'_, '_>, role: &Node, shown: &str, service: &mut Service) {
    let hosts = if role.map().is_some() { list(role, "hosts") } else { role.list().unwrap_or_default() };
    if let [first, _, ..] = hosts {
        let count = hosts.len() as u64;
        service.set("scale", Yaml::number(count));
        let what =
            format!("{shown} has {count} hosts: here it has {count} replicas, where the environment's target is");
        app.notes.changed(first.span, what, "for several machines see `target` and Kubernetes");
    }
}

/// How Kamal's proxy reaches it.
fn reached(app: &App<'_, '_>, proxy: Option<&Node>, near: Span, service: &mut Service) {
    if let Some(proxy) = proxy {
        check(&app.notes, proxy, PROXY, "`proxy`");
    }
    let said = |key: &str| proxy.and_then(|proxy| text(proxy, key));
    let inside = said("app_port").and_then(port).unwrap_or(80);
    service.push("port", Yaml::number(inside));
    let hosts = said("host").into_iter().flat_map(|hosts| hosts.split(',')).map(str::trim);
    let hosts: Vec<&str> = hosts.chain(proxy.map(|proxy| texts(proxy, "hosts")).unwrap_or_default()).collect();
    let paths = proxy.map(|proxy| texts(proxy, "path_prefixes")).unwrap_or_default();
    let path = said("path_prefix").or(paths.first().copied());
    if hosts.is_empty() {
        app.wants_domain(&service.name, proxy.map_or(near, |proxy| proxy.span));
    }
    service.set("domain", Yaml::List(hosts.iter().map(|host| parts::domain(host, path)).collect()));
    let health = proxy.and_then(|proxy| proxy.get("healthcheck"));
    let path = health.and_then(|health| text(health, "path")).unwrap_or("/up");
    let time = |key: &'static str| {
        let time = number(health?, key)?;
        Some((key, Yaml::text(&format!("{time}s"))))
    };
    let times = ["interval", "timeout"].into_iter().filter_map(time).collect();
    service.set("healthcheck", parts::healthcheck(path, times));
}

fn rollout(node: &Node, service: &mut Service) {
    let times = [("drain", "drain_timeout"), ("ready", "deploy_timeout")];
    let times =
        times.iter().filter_map(|(ours, theirs)| Some((*ours, Yaml::text(&format!("{}s", number(node, theirs)?)))));
    let times: Vec<_> = times.collect();
    if !times.is_empty() {
        service.set("rollout", Yaml::Flow(times));
    }
}

fn built(app: &App<'_, '_>, node: &Node) -> Yaml {
    if let Some(image) = node.get("image") {
        let what = format!("the image `{}` is built here, and not pulled", image.scalar().unwrap_or_default());
        app.notes.changed(image.span, what, "to run it as it is, write `image` in the place of `build`");
    }
    let Some(builder) = node.get("builder") else { return Yaml::text(".") };
    check(&app.notes, builder, BUILDER, "`builder`");
    let context = text(builder, "context").unwrap_or(".");
    parts::build(context, builder, &[("dockerfile", "dockerfile"), ("target", "target")])
}

/// `env`: with `clear` and `secret`, or variables without more.
fn variables(app: &mut App<'_, '_>, service: &mut Service, env: &Node) {
    let parted =
        ["clear", "secret", "tags"].iter().any(|key| env.get(key).is_some_and(|value| value.scalar().is_none()));
    if parted {
        check(&app.notes, env, ENV, "`env`");
    }
    let clear = if parted { map(env, "clear") } else { env.map() };
    for entry in clear.into_iter().flat_map(Map::iter) {
        if let Some(value) = entry.value.scalar() {
            app.variable(service, &entry.key, value, entry.key_span);
        }
    }
    for item in list(env, "secret").iter().filter(|_| parted) {
        let Some(text) = item.scalar() else { continue };
        // `NAME:SOURCE` is the variable NAME with the secret SOURCE.
        let (name, source) = text.split_once(':').unwrap_or((text, text));
        let secret = app.secret(source, item.span, "Kamal takes it from .kamal/secrets");
        if app.afford(item.span) {
            service.put(name, super::app::by_name(&secret));
        }
    }
}

/// `NAME:/path` or `/path:/path`, as Docker has it.
fn mount(app: &mut App<'_, '_>, service: &mut Service, volume: &str) {
    let text = match volume.split_once(':').filter(|(source, _)| !source.starts_with(['/', '.', '~'])) {
        Some((source, rest)) => format!("{}:{rest}", app.volume(source)),
        None => volume.to_owned(),
    };
    service.push("volumes", Yaml::text(&text));
}

fn pairs(node: &Node, key: &'static str, service: &mut Service) {
    let all = parts::pairs(node, key);
    if !all.is_empty() {
        service.set(key, Yaml::Map(all));
    }
}

fn logging(app: &App<'_, '_>, node: &Node, service: &mut Service) {
    let Some(logging) = node.get("logging") else { return };
    let mut options = parts::pairs(logging, "options");
    options.retain(|(name, _)| matches!(name.as_str(), "max-size" | "max-file"));
    match text(logging, "driver") {
        Some("json-file" | "local") | None if !options.is_empty() => {
            service.set("logging", Yaml::Map(vec![("options".to_owned(), Yaml::Map(options))]));
        }
        _ => app.notes.not_carried(logging.span, "`logging`: every log is kept here", "see `daybook logs`"),
    }
}

/// Options of `docker run`.
fn options(app: &App<'_, '_>, node: &Node, shown: &str) {
    for entry in map(node, "options").into_iter().flat_map(Map::iter) {
        let what = format!("the option `{}` of {shown}: it is one of `docker run`", entry.key);
        app.notes.not_carried(entry.key_span, what, "most have a key of the same name in a service");
    }
}

fn accessory(app: &mut App<'_, '_>, service_name: &str, name: &str, node: &Node) -> Service {
    let shown = format!("the accessory `{name}`");
    check(&app.notes, node, ACCESSORY, &shown);
    let mut service = app.service(name);
    if let Some(image) = text(node, "image") {
        service.set("image", Yaml::text(image));
    }
    if let Some(command) = text(node, "cmd") {
        service.set("command", words::command(command));
    }
    if let Some(env) = node.get("env") {
        variables(app, &mut service, env);
    }
    if let Some(published) = text(node, "port") {
        let inside = published.rsplit(':').next().and_then(port);
        match (published.contains(':'), inside) {
            (true, _) => service.push("ports", Yaml::text(published)),
            (false, Some(inside)) => service.push("ports", Yaml::text(&format!("{inside}:{inside}"))),
            (false, None) => {}
        }
    }
    // By this name the others know it.
    let known_as = text(node, "service").map_or_else(|| format!("{service_name}-{name}"), str::to_owned);
    let aliases = Yaml::Flow(vec![("aliases", Yaml::texts([known_as]))]);
    service.set("networks", Yaml::Map(vec![("default".to_owned(), aliases)]));
    for file in texts(node, "files") {
        if let Some((path, target)) = file.split_once(':') {
            app.file(&mut service, path, target.split(':').next().unwrap_or(target));
        }
    }
    for directory in texts(node, "directories") {
        if let Some((source, target)) = directory.split_once(':') {
            let volume = app.volume(&format!("{name}-{}", source.trim_matches('/').replace('/', "-")));
            service.push("volumes", Yaml::text(&format!("{volume}:{target}")));
        }
    }
    for volume in texts(node, "volumes") {
        mount(app, &mut service, volume);
    }
    if node.get("directories").is_some() || node.get("volumes").is_some() {
        let what = format!("the data of {shown} stays where it is: the volume here begins empty");
        app.notes.to_do(node.span, what, "copy the data in before the first request");
    }
    pairs(node, "labels", &mut service);
    options(app, node, &shown);
    if let Some(proxy) = node.get("proxy").filter(|proxy| proxy.map().is_some() || flag(node, "proxy")) {
        reached(app, Some(proxy), node.span, &mut service);
    }
    service
}
