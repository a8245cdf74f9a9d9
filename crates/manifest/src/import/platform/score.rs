//! Workloads of Score.
//!
//! The format: <https://docs.score.dev/docs/score-specification/score-spec-reference/>.

use std::collections::BTreeMap;

use daybook_model::AppName;

use crate::import::fields::{Fate, Field, check};
use crate::import::read::{flag, list, map, port, text, texts};
use crate::import::yaml::{Yaml, escaped};
use crate::import::{Document, Imported};
use crate::tree::{Map, Node, Span};
use crate::units;

use super::app::{App, Service, import};
use super::databases::{Database, Kind};
use super::{parts, sources};

const ROOT: &[Field] = &[
    ("apiVersion", Fate::Read),
    ("metadata", Fate::Read),
    ("service", Fate::Read),
    ("containers", Fate::Read),
    ("resources", Fate::Read),
];

const CONTAINER: &[Field] = &[
    ("image", Fate::Read),
    ("command", Fate::Read),
    ("args", Fate::Read),
    ("variables", Fate::Read),
    ("files", Fate::Read),
    ("volumes", Fate::Read),
    ("resources", Fate::Read),
    ("livenessProbe", Fate::Read),
    ("readinessProbe", Fate::Read),
    ("before", Fate::Lost("what waits for what is said by `depends_on`", "")),
];

const LIMITS: &[Field] = &[
    ("limits", Fate::Read),
    ("requests", Fate::Lost("what a service is sure to have is said otherwise", "see `deploy.resources.reservations`")),
];

/// Makes a manifest of workloads of Score. Pure.
pub fn score(documents: &[Document], app: Option<&AppName>) -> Imported {
    import("Score", app, |app| {
        let mut nodes = Vec::new();
        for document in documents {
            nodes.extend(sources::yaml(app, document)?);
        }
        let mut shared = BTreeMap::new();
        for node in &nodes {
            workload(app, node, &mut shared);
        }
        nodes.first().and_then(|node| called(node)).map(str::to_owned)
    })
}

fn called(node: &Node) -> Option<&str> {
    text(node.get("metadata")?, "name")
}

/// What a workload asks for, and what answers here.
enum Resource {
    Database(Database),
    Volume(String),
    /// Variables of whoever plans.
    Environment,
    /// A public name that nobody knows yet.
    Name,
    /// Something else: each fact of it is a secret that a person sets.
    Other,
}

fn workload(app: &mut App<'_, '_>, node: &Node, shared: &mut BTreeMap<String, Database>) {
    check(&app.notes, node, ROOT, "the workload");
    let name = called(node).unwrap_or("app");
    let mut resources = BTreeMap::new();
    for entry in map(node, "resources").into_iter().flat_map(Map::iter) {
        let found = resource(app, name, &entry.key, &entry.value, entry.key_span, shared);
        resources.insert(entry.key.as_str(), found);
    }
    let containers: Vec<_> = map(node, "containers").into_iter().flat_map(Map::iter).collect();
    if let Some(second) = containers.get(1) {
        let what =
            format!("the containers of `{name}` become services, which reach each other by name and not at localhost");
        app.notes.changed(second.key_span, what, "");
    }
    for (at, entry) in containers.iter().enumerate() {
        let wanted = if at == 0 { name.to_owned() } else { format!("{name}-{}", entry.key) };
        let service = app.service(&wanted);
        let mut reader = Reader { app, name, resources: &resources, service };
        reader.container(&entry.value);
        if at == 0 {
            reader.ports(node);
            reader.routes(node);
        }
        let service = reader.service;
        app.services.push(service);
    }
}

fn resource(
    app: &mut App<'_, '_>,
    workload: &str,
    name: &str,
    node: &Node,
    at: Span,
    shared: &mut BTreeMap<String, Database>,
) -> Resource {
    let kind = text(node, "type").unwrap_or_default();
    if let Some(kind) = Kind::of(kind) {
        // One that has an id is the same for every workload that names it.
        let id = text(node, "id").map(str::to_owned);
        if let Some(known) = id.as_ref().and_then(|id| shared.get(id)) {
            return Resource::Database(known.clone());
        }
        let database = app.database(kind, id.as_deref().unwrap_or(name), at);
        if let Some(id) = id {
            shared.insert(id, database.clone());
        }
        return Resource::Database(database);
    }
    match kind {
        "volume" => Resource::Volume(app.volume(&format!("{workload}-{name}"))),
        "environment" => Resource::Environment,
        "dns" | "route" => Resource::Name,
        _ => {
            let what = format!("the resource `{name}` of type `{kind}`: nothing here makes it");
            app.notes.not_carried(at, what, "what it is asked for becomes a secret that you set");
            Resource::Other
        }
    }
}

struct Reader<'r, 'c, 'a, 'n> {
    app: &'r mut App<'c, 'a>,
    /// Of the workload.
    name: &'n str,
    resources: &'r BTreeMap<&'n str, Resource>,
    service: Service,
}

impl Reader<'_, '_, '_, '_> {
    fn container(&mut self, node: &Node) {
        let shown = format!("the container of `{}`", self.service.name);
        check(&self.app.notes, node, CONTAINER, &shown);
        match text(node, "image") {
            Some(".") | None => self.service.set("build", Yaml::text(".")),
            Some(image) => self.service.set("image", Yaml::text(image)),
        }
        for (theirs, ours) in [("command", "entrypoint"), ("args", "command")] {
            let words: Vec<Yaml> =
                list(node, theirs).iter().filter_map(|word| Some(self.filled(word.scalar()?, word.span))).collect();
            if !words.is_empty() {
                self.service.set(ours, Yaml::List(words));
            }
        }
        for entry in map(node, "variables").into_iter().flat_map(Map::iter) {
            let Some(value) = entry.value.scalar() else { continue };
            if value.contains("${") {
                let value = self.filled(value, entry.value.span);
                if self.app.afford(entry.key_span) {
                    self.service.put(&entry.key, value);
                }
            } else {
                let value = value.replace("$$", "$");
                self.app.variable(&mut self.service, &entry.key, &value, entry.key_span);
            }
        }
        for (target, file) in placed(node, "files", "target") {
            self.file(target, file);
        }
        for (target, volume) in placed(node, "volumes", "target") {
            self.volume(target, volume);
        }
        self.limits(node, &shown);
        self.probe(node);
    }

    /// A text whose placeholders are what answers here.
    fn filled(&mut self, text: &str, at: Span) -> Yaml {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(start) = rest.find('$') {
            out.push_str(&rest[..start]);
            rest = &rest[start + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push_str("$$");
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                let said = self.placeholder(name, at);
                out.push_str(&said);
                rest = after;
            } else {
                out.push_str("$$");
            }
        }
        out.push_str(rest);
        Yaml::Template(out)
    }

    fn placeholder(&mut self, name: &str, at: Span) -> String {
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["metadata", "name"] => self.name.to_owned(),
            ["resources", resource, facts @ ..] => {
                let fact = facts.join(".");
                self.fact(resource, &fact, at)
            }
            _ => {
                self.app.notes.not_carried(at, format!("`${{{name}}}`: it is not known here"), "write what it means");
                String::new()
            }
        }
    }

    fn fact(&mut self, resource: &str, fact: &str, at: Span) -> String {
        let made_here = match self.resources.get(resource) {
            Some(Resource::Database(database)) => database.fact(fact),
            Some(Resource::Environment) => Some(Yaml::Template(format!("${{{}}}", fact.replace('.', "_")))),
            Some(Resource::Name) => {
                self.app.wants_domain(&self.service.name, at);
                Some(Yaml::text(&format!("{}.localhost", self.name)))
            }
            Some(Resource::Volume(name)) => Some(Yaml::text(name)),
            Some(Resource::Other) | None => None,
        };
        match made_here {
            Some(Yaml::Template(text)) => text,
            _ => {
                let from = format!("it is `{fact}` of the resource `{resource}`");
                let secret = self.app.secret(&format!("{resource}.{fact}"), at, &from);
                format!("${{secret.{secret}}}")
            }
        }
    }

    fn file(&mut self, target: &str, node: &Node) {
        if let Some(path) = text(node, "source") {
            return self.app.file(&mut self.service, path, target);
        }
        let Some(content) = node.get("content") else {
            let what = format!("the file {target}: its content stands here, encoded");
            let advice = "keep it as a file: `configs: {NAME: {file: FILE}}`";
            return self.app.notes.not_carried(node.span, what, advice);
        };
        let said = content.scalar().unwrap_or_default();
        if !said.contains("${") || flag(node, "noExpand") {
            return self.app.text_file(&mut self.service, Yaml::Template(escaped(said)), target);
        }
        let what = format!("the file {target}: it holds what is only known when it is started");
        self.app.notes.not_carried(content.span, what, "give its parts as variables, and let the program write it");
    }

    fn volume(&mut self, target: &str, node: &Node) {
        let source = text(node, "source").unwrap_or_default();
        let inner = source.trim_start_matches("${").trim_end_matches('}');
        let name = match inner.strip_prefix("resources.").and_then(|name| self.resources.get(name)) {
            Some(Resource::Volume(name)) => name.clone(),
            _ => self.app.volume(inner),
        };
        if let Some(path) = node.get("path") {
            let what = format!("`path` of the volume at {target}: the whole volume is mounted");
            self.app.notes.changed(path.span, what, "");
        }
        let suffix = if flag(node, "readOnly") { ":ro" } else { "" };
        self.service.push("volumes", Yaml::text(&format!("{name}:{target}{suffix}")));
    }

    fn limits(&mut self, node: &Node, shown: &str) {
        let Some(resources) = node.get("resources") else { return };
        check(&self.app.notes, resources, LIMITS, &format!("`resources` of {shown}"));
        let Some(limits) = resources.get("limits") else { return };
        let mut amounts = Vec::new();
        for (key, is_known) in [("cpu", units::cpu_millis as fn(&str) -> Option<u64>), ("memory", units::bytes)] {
            match text(limits, key) {
                Some(amount) if is_known(amount).is_some() => amounts.push((key, Yaml::text(amount))),
                Some(amount) => {
                    let what = format!("`{key}: {amount}` of {shown}: it is no amount");
                    self.app.notes.not_carried(limits.span, what, "set `resources`");
                }
                None => {}
            }
        }
        self.service.set("resources", Yaml::Flow(amounts));
    }

    /// The check that says whether it is ready; the one that says whether it lives, without one.
    fn probe(&mut self, node: &Node) {
        let (ready, alive) = (node.get("readinessProbe"), node.get("livenessProbe"));
        if let (Some(_), Some(alive)) = (ready, alive) {
            self.app.notes.changed(
                alive.span,
                "`livenessProbe`: a service has one check, which is `readinessProbe`",
                "",
            );
        }
        let Some(probe) = ready.or(alive) else { return };
        let words = probe.get("exec").map(|exec| texts(exec, "command")).unwrap_or_default();
        if !words.is_empty() {
            let test = std::iter::once("CMD").chain(words);
            return self.service.set("healthcheck", Yaml::Flow(vec![("test", Yaml::texts(test))]));
        }
        let Some(http) = probe.get("httpGet") else { return };
        let path = Yaml::text(text(http, "path").unwrap_or("/"));
        self.service.set("healthcheck", path);
    }

    /// The ports of the workload, which others reach at the number that the container listens on.
    fn ports(&mut self, node: &Node) {
        let ports = node.get("service").and_then(|service| map(service, "ports"));
        for entry in ports.into_iter().flat_map(Map::iter) {
            let outside = text(&entry.value, "port").and_then(port);
            let inside = text(&entry.value, "targetPort").and_then(port).or(outside);
            let Some(inside) = inside else { continue };
            if text(&entry.value, "protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp")) {
                self.service.push("expose", Yaml::text(&format!("{inside}/udp")));
                continue;
            }
            self.service.push("port", Yaml::number(inside));
            if let Some(outside) = outside.filter(|outside| *outside != inside) {
                let what = format!("the port `{}`: others reach it at {inside}, and not at {outside}", entry.key);
                self.app.notes.changed(entry.key_span, what, "");
            }
        }
    }

    /// Public names that stand there; the others are to be said.
    fn routes(&mut self, node: &Node) {
        for entry in map(node, "resources").into_iter().flat_map(Map::iter) {
            if text(&entry.value, "type") != Some("route") {
                continue;
            }
            let params = entry.value.get("params");
            match params.and_then(|params| text(params, "host")).filter(|host| !host.contains('$')) {
                Some(host) => {
                    let path = params.and_then(|params| text(params, "path"));
                    self.service.push("domain", parts::domain(host, path));
                }
                None => self.app.wants_domain(&self.service.name, entry.key_span),
            }
        }
    }
}

/// The entries of a section that is a list of mappings with `key`, or a mapping by it.
fn placed<'n>(node: &'n Node, section: &str, key: &str) -> Vec<(&'n str, &'n Node)> {
    match node.get(section).and_then(Node::map) {
        Some(all) => all.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect(),
        None => list(node, section).iter().filter_map(|item| Some((text(item, key)?, item))).collect(),
    }
}
