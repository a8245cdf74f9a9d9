//! Render's `render.yaml`.

use std::collections::BTreeMap;

use daybook_model::AppName;

use crate::import::fields::{Fate, Field, check};
use crate::import::names::valid;
use crate::import::read::{list, number, port, text, texts};
use crate::import::yaml::Yaml;
use crate::import::{Document, Imported};
use crate::tree::{Node, Span};

use super::app::{App, Service, by_name, import, made};
use super::databases::{Database, Kind};
use super::{parts, sources, words};

const PUSH: &str = "what is rolled out is said by `daybook up`";
const PREVIEWS: &str = "an environment for each change is made by `daybook env create`";

const ROOT: &[Field] = &[
    ("services", Fate::Read),
    ("databases", Fate::Read),
    ("envVarGroups", Fate::Read),
    ("previews", Fate::Lost(PREVIEWS, "")),
    ("previewsEnabled", Fate::Lost(PREVIEWS, "")),
    ("previewsExpireAfterDays", Fate::Lost(PREVIEWS, "")),
    ("version", Fate::Moot),
];

const SERVICE: &[Field] = &[
    ("type", Fate::Read),
    ("name", Fate::Read),
    ("runtime", Fate::Read),
    ("env", Fate::Read),
    ("image", Fate::Read),
    ("plan", Fate::Read),
    ("rootDir", Fate::Read),
    ("dockerfilePath", Fate::Read),
    ("dockerContext", Fate::Read),
    ("dockerCommand", Fate::Read),
    ("startCommand", Fate::Read),
    ("preDeployCommand", Fate::Read),
    ("buildCommand", Fate::Read),
    ("staticPublishPath", Fate::Read),
    ("publishPath", Fate::Read),
    ("numInstances", Fate::Read),
    ("scaling", Fate::Read),
    ("schedule", Fate::Read),
    ("healthCheckPath", Fate::Read),
    ("domains", Fate::Read),
    ("domain", Fate::Read),
    ("disk", Fate::Read),
    ("envVars", Fate::Read),
    ("maxShutdownDelaySeconds", Fate::Read),
    ("repo", Fate::Lost("the manifest stands beside the code", "")),
    ("branch", Fate::Lost("the manifest stands beside the code", "")),
    ("registryCredential", Fate::Lost("this machine's own login is used", "docker login REGISTRY")),
    ("region", Fate::Lost("an environment is where its `target` is", "see `daybook target`")),
    ("autoDeploy", Fate::Lost(PUSH, "")),
    ("autoDeployTrigger", Fate::Lost(PUSH, "")),
    ("buildFilter", Fate::Lost(PUSH, "")),
    ("initialDeployHook", Fate::Lost("it ran once for a new app", "`daybook run SERVICE -- COMMAND`")),
    ("pullRequestPreviewsEnabled", Fate::Lost(PREVIEWS, "")),
    ("previews", Fate::Lost(PREVIEWS, "")),
    ("headers", Fate::Lost("the edge adds no header of its own to answers", "let the program do it")),
    ("routes", Fate::Lost("the edge rewrites no address", "let the program do it")),
    ("ipAllowList", Fate::Lost("nothing outside the environment reaches it", "")),
    ("maxmemoryPolicy", Fate::Lost("the server's own is used", "write it under `command`")),
    ("renderSubdomainPolicy", Fate::Moot),
];

const DATABASE: &[Field] = &[
    ("name", Fate::Read),
    ("databaseName", Fate::Lost("the database is called `app`", "")),
    ("user", Fate::Lost("the user is called `app`", "")),
    ("postgresMajorVersion", Fate::Read),
    ("plan", Fate::Lost("the size of a plan says what it costs there", "set `resources`")),
    ("previewPlan", Fate::Lost(PREVIEWS, "")),
    ("region", Fate::Lost("an environment is where its `target` is", "")),
    ("diskSizeGB", Fate::Lost("the size of a volume is not bounded", "keep an eye on the disk")),
    ("previewDiskSizeGB", Fate::Lost(PREVIEWS, "")),
    ("ipAllowList", Fate::Lost("nothing outside the environment reaches it", "")),
    ("readReplicas", Fate::Lost("a database is one server", "")),
    ("highAvailability", Fate::Lost("a database is one server", "")),
    ("storageAutoscalingEnabled", Fate::Moot),
];

const DISK: &[Field] = &[
    ("name", Fate::Read),
    ("mountPath", Fate::Read),
    ("sizeGB", Fate::Lost("the size of a volume is not bounded", "keep an eye on the disk")),
];

const VARIABLE: &[Field] = &[
    ("key", Fate::Read),
    ("value", Fate::Read),
    ("generateValue", Fate::Read),
    ("sync", Fate::Read),
    ("fromDatabase", Fate::Read),
    ("fromService", Fate::Read),
    ("fromGroup", Fate::Read),
    ("previewValue", Fate::Lost(PREVIEWS, "")),
];

/// Thousandths of a core and mebibytes, by plan.
const PLANS: [(&str, (u32, u32)); 7] = [
    ("free", (100, 512)),
    ("starter", (500, 512)),
    ("standard", (1_000, 2_048)),
    ("pro", (2_000, 4_096)),
    ("pro plus", (4_000, 8_192)),
    ("pro max", (4_000, 16_384)),
    ("pro ultra", (8_000, 32_768)),
];

/// Where a web service is told to listen.
const PORT: u16 = 10_000;

/// Makes a manifest of a `render.yaml`. Pure.
pub fn render(documents: &[Document], app: Option<&AppName>) -> Imported {
    import("Render", app, |app| {
        let mut nodes = Vec::new();
        for document in documents {
            nodes.extend(sources::yaml(app, document)?);
        }
        nodes.iter().for_each(|node| check(&app.notes, node, ROOT, "render.yaml"));
        Blueprint::of(&nodes).read(app)
    })
}

/// What the files hold, by name.
struct Blueprint<'n> {
    /// Those that run a program.
    services: Vec<&'n Node>,
    /// Databases, and services that are one.
    databases: Vec<(Kind, &'n Node)>,
    groups: BTreeMap<&'n str, &'n Node>,
}

impl<'n> Blueprint<'n> {
    fn of(nodes: &'n [Node]) -> Self {
        let is_store = |node: &&Node| matches!(text(node, "type"), Some("redis" | "keyvalue"));
        let all = || nodes.iter().flat_map(|node| list(node, "services"));
        let postgres = nodes.iter().flat_map(|node| list(node, "databases")).map(|node| (Kind::Postgres, node));
        let groups = nodes.iter().flat_map(|node| list(node, "envVarGroups"));
        Self {
            services: all().filter(|node| !is_store(node)).collect(),
            databases: postgres.chain(all().filter(is_store).map(|node| (Kind::Redis, node))).collect(),
            groups: groups.filter_map(|group| Some((text(group, "name")?, group))).collect(),
        }
    }

    /// Returns what the app is called: as its first service.
    fn read(&self, app: &mut App<'_, '_>) -> Option<String> {
        let mut services: Vec<Service> = self.services.iter().map(|node| service(app, node)).collect();
        let mut databases = BTreeMap::new();
        for (kind, node) in &self.databases {
            let table = if *kind == Kind::Postgres { DATABASE } else { SERVICE };
            let name = text(node, "name").unwrap_or("db");
            check(&app.notes, node, table, &format!("`{name}`"));
            databases.insert(name, app.database(*kind, name, node.span));
            if let (Kind::Postgres, Some(version)) = (kind, number(node, "postgresMajorVersion"))
                && let Some(last) = app.databases.last_mut()
            {
                last.set("image", Yaml::text(&format!("postgres:{version}")));
            }
        }
        let names: BTreeMap<&str, String> = self
            .services
            .iter()
            .zip(&services)
            .filter_map(|(node, service)| Some((text(node, "name")?, service.name.clone())))
            .collect();
        let known = Known { blueprint: self, databases: &databases, names: &names };
        for (node, service) in self.services.iter().zip(&mut services) {
            known.variables(app, service, list(node, "envVars"), None);
        }
        let first = services.first().map(|service| service.name.clone());
        app.services = services;
        first
    }
}

fn service(app: &mut App<'_, '_>, node: &Node) -> Service {
    let name = text(node, "name").unwrap_or("web");
    check(&app.notes, node, SERVICE, &format!("`{name}`"));
    let mut service = app.service(name);
    if is_static(node) {
        let directory = text(node, "staticPublishPath").or_else(|| text(node, "publishPath")).unwrap_or(".");
        service.set("static", Yaml::text(&within(node, directory)));
        if let Some(command) = node.get("buildCommand") {
            let what = format!("`{name}` serves what `{}` makes", command.scalar().unwrap_or_default());
            app.notes.to_do(command.span, what, "run it before `daybook up`");
        }
        domains(app, node, &mut service);
        return service;
    }
    program(app, node, &mut service);
    let kind = text(node, "type").unwrap_or("web");
    if matches!(kind, "web" | "pserv") {
        let written = list(node, "envVars").iter().find(|item| text(item, "key") == Some("PORT"));
        let number = written.and_then(|item| port(text(item, "value")?)).unwrap_or(PORT);
        service.push("port", Yaml::number(number));
        service.put("PORT", Yaml::text(&number.to_string()));
        if kind == "pserv" {
            let what = format!("`{name}`: Render finds its port by looking, and here it is {number}");
            app.notes.changed(node.span, what, "write the right one under `port`");
        }
    }
    if kind == "web" {
        domains(app, node, &mut service);
    }
    for (theirs, ours) in [("healthCheckPath", "healthcheck"), ("schedule", "schedule")] {
        if let Some(value) = text(node, theirs) {
            service.set(ours, Yaml::text(value));
        }
    }
    if kind == "cron" {
        service.set("timezone", Yaml::text("UTC"));
    }
    if let Some(time) = number(node, "maxShutdownDelaySeconds") {
        service.set("stop_grace_period", Yaml::text(&format!("{time}s")));
    }
    if let Some(disk) = node.get("disk") {
        check(&app.notes, disk, DISK, &format!("`disk` of `{name}`"));
        if let Some(path) = text(disk, "mountPath") {
            let volume = app.volume(text(disk, "name").unwrap_or(name));
            service.push("volumes", Yaml::text(&format!("{volume}:{path}")));
        }
    }
    scale(app, node, &mut service);
    service
}

fn is_static(node: &Node) -> bool {
    text(node, "type") == Some("static") || [text(node, "runtime"), text(node, "env")].contains(&Some("static"))
}

/// What runs.
fn program(app: &App<'_, '_>, node: &Node, service: &mut Service) {
    let runtime = text(node, "runtime").or_else(|| text(node, "env")).unwrap_or("docker");
    if let Some(image) = node.get("image").and_then(|image| text(image, "url")) {
        service.set("image", Yaml::text(image));
    } else {
        let context = within(node, text(node, "dockerContext").unwrap_or("."));
        let file = text(node, "dockerfilePath").map(|path| within(node, path));
        service.set(
            "build",
            match file {
                Some(file) if file.trim_start_matches("./") != "Dockerfile" => {
                    // Render's path begins at the root of the repository, ours at the context.
                    let inside = file.strip_prefix(&format!("{context}/")).unwrap_or(file.trim_start_matches("./"));
                    Yaml::Map(vec![
                        ("context".to_owned(), Yaml::text(&context)),
                        ("dockerfile".to_owned(), Yaml::text(inside)),
                    ])
                }
                _ => Yaml::text(&context),
            },
        );
        if !matches!(runtime, "docker" | "image") {
            let command = text(node, "buildCommand").map(|command| format!(" (`{command}`)")).unwrap_or_default();
            let what = format!(
                "`{}`: what Render made with `{runtime}`{command} has to be made by a Dockerfile",
                service.name
            );
            app.notes.to_do(node.span, what, "without one, the process runtime runs the directory as it is");
        }
    }
    if let Some(command) = text(node, "startCommand").or_else(|| text(node, "dockerCommand")) {
        service.set("command", words::command(command));
    }
    if let Some(command) = text(node, "preDeployCommand") {
        service.set("release", words::command(command));
    }
    if let Some(plan) = node.get("plan") {
        app.size(service, &PLANS, plan, "plan");
    }
}

/// A path of the repository, from where the manifest is.
fn within(node: &Node, path: &str) -> String {
    let root = text(node, "rootDir").unwrap_or_default().trim_matches('/');
    let path = path.trim_start_matches("./").trim_matches('/');
    let parts = [root, path].into_iter().filter(|part| !part.is_empty() && *part != ".");
    let joined = parts.collect::<Vec<_>>().join("/");
    if joined.is_empty() { ".".to_owned() } else { format!("./{joined}") }
}

fn domains(app: &App<'_, '_>, node: &Node, service: &mut Service) {
    let names = texts(node, "domains").into_iter().chain(text(node, "domain"));
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        app.wants_domain(&service.name, node.span);
    }
    service.set("domain", Yaml::texts(names));
}

fn scale(app: &App<'_, '_>, node: &Node, service: &mut Service) {
    if let Some(scaling) = node.get("scaling") {
        let bounds = [("min", "minInstances"), ("max", "maxInstances")];
        let bounds = bounds.iter().filter_map(|(ours, theirs)| Some((*ours, Yaml::number(number(scaling, theirs)?))));
        let shares = [("cpu", "targetCPUPercent"), ("memory", "targetMemoryPercent")];
        let share = |share: u32| Yaml::Word(format!("{}%", share.min(100)));
        let shares = shares.iter().filter_map(|(ours, theirs)| Some((*ours, share(number(scaling, theirs)?))));
        service.set("scale", Yaml::Flow(bounds.chain(shares).collect()));
    } else if let Some(count) = number(node, "numInstances").filter(|count| *count != 1) {
        service.set("scale", Yaml::number(count));
    }
    if text(node, "type") == Some("cron") && node.get("schedule").is_none() {
        app.notes.error(node.span, "a cron job without `schedule`", "write one: `schedule: \"0 3 * * *\"`");
    }
}

/// What variables may be taken from.
struct Known<'k, 'n> {
    blueprint: &'k Blueprint<'n>,
    databases: &'k BTreeMap<&'n str, Database>,
    names: &'k BTreeMap<&'n str, String>,
}

impl Known<'_, '_> {
    /// Reads variables: of a service, or of the group `of` that it uses.
    fn variables(&self, app: &mut App<'_, '_>, service: &mut Service, items: &[Node], of: Option<&str>) {
        for item in items {
            check(&app.notes, item, VARIABLE, "a variable");
            if let Some(group) = text(item, "fromGroup").filter(|_| of.is_none()) {
                match self.blueprint.groups.get(group) {
                    Some(node) => self.variables(app, service, list(node, "envVars"), Some(group)),
                    None => {
                        let what = format!("the variables of the group `{group}`, which is not in these files");
                        app.notes.not_carried(item.span, what, "write them under `environment`");
                    }
                }
                continue;
            }
            let Some(key) = text(item, "key") else { continue };
            // Where it listens was said already.
            if key != "PORT" {
                self.variable(app, service, key, item, of);
            }
        }
    }

    fn variable(&self, app: &mut App<'_, '_>, service: &mut Service, key: &str, item: &Node, of: Option<&str>) {
        let at = item.span;
        if text(item, "generateValue") == Some("true") {
            let owner = of.unwrap_or(&service.name);
            return service.put(key, made(&valid(&format!("{owner}.{key}"))));
        }
        if let Some(value) = item.get("value").and_then(Node::scalar) {
            return app.variable(service, key, value, at);
        }
        let of_database = item.get("fromDatabase").map(|from| self.of_database(from));
        match of_database.or_else(|| item.get("fromService").map(|from| self.of_service(from))) {
            Some(Some(value)) if app.afford(at) => service.put(key, value),
            Some(Some(_)) => {}
            Some(None) => unknown(app, key, at),
            None => app.secret_variable(service, key, at, "Render asks for its value, and keeps it"),
        }
    }

    /// What a database says of itself: how it is reached, where nothing else is asked for.
    fn of_database(&self, from: &Node) -> Option<Yaml> {
        let database = self.databases.get(text(from, "name")?)?;
        database.fact(text(from, "property").unwrap_or("connectionString"))
    }

    /// What another service says of itself.
    fn of_service(&self, from: &Node) -> Option<Yaml> {
        let name = text(from, "name")?;
        if self.databases.contains_key(name) {
            return self.of_database(from);
        }
        let called = self.names.get(name)?;
        if let Some(wanted) = text(from, "envVarKey") {
            let node = self.blueprint.services.iter().find(|node| text(node, "name") == Some(name))?;
            let item = list(node, "envVars").iter().find(|item| text(item, "key") == Some(wanted))?;
            if text(item, "generateValue") == Some("true") {
                return Some(by_name(&valid(&format!("{called}.{wanted}"))));
            }
            let value = text(item, "value").filter(|value| !daybook_model::secrecy::is_secret(wanted, value))?;
            return Some(Yaml::text(value));
        }
        parts::place(called, text(from, "property")?)
    }
}

fn unknown(app: &App<'_, '_>, key: &str, at: Span) {
    app.notes.not_carried(
        at,
        format!("the variable `{key}`: what it is taken from is not known here"),
        "write it under `environment`",
    );
}
