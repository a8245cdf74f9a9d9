//! Heroku's `Procfile` and `app.json`.

use daybook_model::{AppName, ServiceName};

use crate::import::fields::{Fate, Field, check};
use crate::import::read::{list, map, number, text};
use crate::import::yaml::{Yaml, escaped};
use crate::import::{Document, Imported};
use crate::tree::{Entry, Map, Node, Span};
use daybook_model::secrecy::looks_secret;

use super::app::{App, Service, import, made};
use super::databases::Kind;
use super::{sources, words};

const APP: &[Field] = &[
    ("name", Fate::Read),
    ("description", Fate::Moot),
    ("keywords", Fate::Moot),
    ("website", Fate::Moot),
    ("repository", Fate::Moot),
    ("logo", Fate::Moot),
    ("success_url", Fate::Moot),
    ("$schema", Fate::Moot),
    ("stack", Fate::Lost("what a program runs on is said by its Dockerfile", "")),
    ("image", Fate::Read),
    (
        "buildpacks",
        Fate::Lost("what a buildpack makes, a Dockerfile says here", "write a Dockerfile, or name an `image`"),
    ),
    ("env", Fate::Read),
    ("formation", Fate::Read),
    ("addons", Fate::Read),
    ("scripts", Fate::Read),
    ("environments", Fate::Lost("review and test apps are environments", "see `daybook env create`")),
];

const SCRIPTS: &[Field] = &[
    (
        "postdeploy",
        Fate::Lost("it ran once for a new app", "run it once: `daybook run web -- COMMAND`, or use `release`"),
    ),
    ("pr-predestroy", Fate::Lost("nothing runs before an environment goes", "")),
    ("test-setup", Fate::Lost("it belongs to CI", "")),
    ("test", Fate::Lost("it belongs to CI", "")),
];

/// Thousandths of a core and mebibytes, by the kind of dyno. Those that share a core are given half of one.
const DYNOS: [(&str, (u32, u32)); 7] = [
    ("eco", (500, 512)),
    ("basic", (500, 512)),
    ("standard-1x", (500, 512)),
    ("standard-2x", (1_000, 1_024)),
    ("performance-m", (2_000, 2_560)),
    ("performance-l", (8_000, 14_336)),
    ("private-s", (1_000, 1_024)),
];

/// What a web process is told to listen on.
const PORT: u16 = 8080;

/// A line of a Procfile.
struct Process {
    name: String,
    command: String,
    at: Span,
}

/// Makes a manifest of a `Procfile`, an `app.json`, or both. The app is called `app`, or as `app.json` says. Pure.
pub fn heroku(documents: &[Document], app: Option<&AppName>) -> Imported {
    import("Heroku", app, |app| read(app, documents))
}

fn read(app: &mut App<'_, '_>, documents: &[Document]) -> Option<String> {
    let (mut processes, mut described) = (Vec::new(), None);
    for document in documents {
        if document.text.trim_start().starts_with('{') {
            described = sources::yaml(app, document)?.into_iter().next();
        } else {
            processes.extend(procfile(app, document)?);
        }
    }
    let release = processes.iter().position(|process| process.name == "release").map(|at| processes.remove(at));
    if processes.is_empty() && described.is_some() {
        processes.push(Process { name: "web".to_owned(), command: String::new(), at: Span::default() });
    }
    // The web process first: the others begin as it.
    processes.sort_by_key(|process| process.name != "web");
    let mut services: Vec<Service> = processes.iter().map(|process| service(app, process)).collect();
    if let (Some(release), Some(first)) = (release, services.first_mut()) {
        first.set("release", words::command(&release.command));
    }
    let name = described.as_ref().and_then(|node| text(node, "name")).map(str::to_owned);
    if let Some(node) = &described {
        describe(app, node, &mut services);
    }
    if let [first, rest @ ..] = services.as_mut_slice() {
        if !first.has("image") {
            first.set("build", Yaml::text("."));
            let what = "what a buildpack made has to be made by a Dockerfile in this directory";
            let at = processes.first().map(|process| process.at).unwrap_or_default();
            app.notes.to_do(at, what, "without one, the process runtime runs the directory as it is");
        }
        rest.iter_mut().for_each(|service| service.begin_from(first));
    }
    app.services = services;
    name
}

/// The lines of a Procfile. `None` where one is none.
fn procfile(app: &App<'_, '_>, document: &Document) -> Option<Vec<Process>> {
    let file = sources::add(app, document)?;
    let (mut processes, mut at) = (Vec::<Process>::new(), 0);
    let mut good = true;
    for line in document.text.split_inclusive('\n') {
        let span = Span { file, start: at as u32, end: (at + line.trim_end().len()) as u32 };
        at += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parts = line.split_once(':').map(|(name, command)| (name.trim(), command.trim()));
        match parts.filter(|(name, command)| ServiceName::new(name).is_ok() && !command.is_empty()) {
            Some((name, _)) if processes.iter().any(|known| known.name == name) => {
                app.notes.error(span, format!("the process `{name}` is there twice"), "keep one of the two");
                good = false;
            }
            Some((name, command)) if app.afford(span) => {
                processes.push(Process { name: name.to_owned(), command: command.to_owned(), at: span });
            }
            Some(_) => return None,
            None => {
                app.notes.error(span, "this is no line of a Procfile", "each line is `NAME: COMMAND`");
                good = false;
            }
        }
    }
    good.then_some(processes)
}

fn service(app: &mut App<'_, '_>, process: &Process) -> Service {
    let mut service = app.service(&process.name);
    if !process.command.is_empty() {
        service.set("command", words::command(&process.command));
    }
    if process.name == "web" {
        service.push("port", Yaml::number(PORT));
        service.put("PORT", Yaml::text(&PORT.to_string()));
        app.wants_domain("web", process.at);
    }
    service
}

/// What `app.json` says of the processes.
fn describe(app: &mut App<'_, '_>, node: &Node, services: &mut [Service]) {
    check(&app.notes, node, APP, "app.json");
    if let Some(scripts) = node.get("scripts") {
        check(&app.notes, scripts, SCRIPTS, "`scripts`");
    }
    if let (Some(image), Some(first)) = (text(node, "image"), services.first_mut()) {
        first.set("image", Yaml::text(image));
    }
    for entry in map(node, "formation").into_iter().flat_map(Map::iter) {
        formation(app, entry, services);
    }
    let Some(first) = services.first_mut() else { return };
    for entry in map(node, "env").into_iter().flat_map(Map::iter) {
        variable(app, entry, first);
    }
    for addon in list(node, "addons") {
        add_on(app, addon, first);
    }
}

fn formation(app: &App<'_, '_>, entry: &Entry, services: &mut [Service]) {
    let Some(service) = services.iter_mut().find(|service| service.name == entry.key) else {
        let what = format!("`{}` of `formation`: the Procfile has no such process", entry.key);
        return app.notes.not_carried(entry.key_span, what, "");
    };
    if let Some(quantity) = number(&entry.value, "quantity").filter(|quantity| *quantity != 1) {
        service.set("scale", Yaml::number(quantity));
    }
    if let Some(size) = entry.value.get("size") {
        app.size(service, &DYNOS, size, "size");
    }
}

fn variable(app: &mut App<'_, '_>, entry: &Entry, service: &mut Service) {
    let (name, at) = (entry.key.as_str(), entry.key_span);
    if text(&entry.value, "generator") == Some("secret") {
        return service.put(name, made(name));
    }
    if let Some(value) = entry.value.scalar().or_else(|| text(&entry.value, "value")) {
        return app.variable(service, name, value, at);
    }
    let about = text(&entry.value, "description").unwrap_or("app.json gives it no value");
    if text(&entry.value, "required") == Some("false") {
        let what = format!("the variable `{name}`: it may be set, and has no value ({about})");
        return app.notes.not_carried(at, what, "");
    }
    if looks_secret(name) {
        return app.secret_variable(service, name, at, about);
    }
    if app.afford(at) {
        // What is behind `:?` is said where the variable is missing. A brace would end it.
        let about = about.replace(['{', '}', '\n'], " ");
        service.put(name, Yaml::Template(format!("${{{name}:?{}}}", escaped(&about))));
    }
}

fn add_on(app: &mut App<'_, '_>, node: &Node, service: &mut Service) {
    let Some(plan) = node.scalar().or_else(|| text(node, "plan")) else { return };
    let name = plan.split(':').next().unwrap_or_default();
    let Some(kind) = Kind::of(name).or((name == "rediscloud").then_some(Kind::Redis)) else {
        let advice = "run it as a service, or give its address as a variable";
        return app.notes.not_carried(node.span, format!("the add-on `{name}`: nothing here runs it"), advice);
    };
    let (wanted, usual) = match (kind, name) {
        (Kind::Postgres, _) => ("db", "DATABASE"),
        (Kind::Mysql, "jawsdb" | "jawsdb-maria") => ("db", "JAWSDB"),
        (Kind::Mysql, _) => ("db", "CLEARDB_DATABASE"),
        (Kind::Redis, "rediscloud") => ("cache", "REDISCLOUD"),
        (Kind::Redis, _) => ("cache", "REDIS"),
    };
    let database = app.database(kind, wanted, node.span);
    let variable = text(node, "as").unwrap_or(usual);
    service.put(&format!("{variable}_URL"), database.url());
}
