//! The manifest while it comes together.

use std::collections::{BTreeMap, HashMap};

use daybook_model::{AppName, Digest, secrecy};

use crate::Aim;
use crate::bundle::Bundle;
use crate::context::Context;
use crate::import::names::{Names, valid};
use crate::import::note::Notes;
use crate::import::order::in_order;
use crate::import::yaml::{Yaml, write};
use crate::import::{Imported, finish, header};
use crate::tree::{Node, Span};

use super::parts::resources;

/// What a variable weighs that is written: its name and its value are read again.
const WEIGHT: usize = 4;

/// A service of the manifest.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    keys: HashMap<&'static str, Yaml>,
    /// In their order.
    environment: Vec<(String, Yaml)>,
}

impl Service {
    pub(super) fn new(name: String) -> Self {
        Self { name, keys: HashMap::new(), environment: Vec::new() }
    }

    pub(super) fn set(&mut self, key: &'static str, value: Yaml) {
        self.keys.insert(key, value);
    }

    /// Adds an item to a list.
    pub(super) fn push(&mut self, key: &'static str, item: Yaml) {
        if let Yaml::List(items) = self.keys.entry(key).or_insert_with(|| Yaml::List(Vec::new())) {
            items.push(item);
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Sets a variable, in the place of one of that name.
    pub(super) fn put(&mut self, name: &str, value: Yaml) {
        match self.environment.iter_mut().find(|(known, _)| known == name) {
            Some((_, there)) => *there = value,
            None => self.environment.push((name.to_owned(), value)),
        }
    }

    /// Begins as `first`, and says what is not the same.
    pub(super) fn begin_from(&mut self, first: &Self) {
        self.set("from", Yaml::text(&first.name));
        for key in ["volumes", "configs", "secrets"] {
            let Some(theirs) = first.keys.get(key) else { continue };
            // A list here would be added to the one there.
            match self.keys.remove(key) {
                Some(own) if own == *theirs => {}
                own => self.set(key, Yaml::Override(Box::new(own.unwrap_or(Yaml::List(Vec::new()))))),
            }
        }
    }

    fn yaml(mut self) -> Yaml {
        if let Some(Yaml::List(ports)) = self.keys.get("port")
            && let [port] = ports.as_slice()
        {
            self.keys.insert("port", port.clone());
        }
        self.keys.insert("environment", Yaml::Map(self.environment));
        in_order(self.keys)
    }
}

/// The whole manifest, and what is said of it.
pub(super) struct App<'c, 'a> {
    pub(super) ctx: &'c Context<'a>,
    pub(super) notes: Notes<'c, 'a>,
    pub(super) services: Vec<Service>,
    /// Those that the platform ran beside the app. They stand behind the others.
    pub(super) databases: Vec<Service>,
    names: Names,
    volumes: BTreeMap<String, Yaml>,
    configs: BTreeMap<String, Yaml>,
    /// Secrets that are files in some service.
    files: BTreeMap<String, Yaml>,
    /// Secrets that a person has to set, each with the digest of the value that stood in clear.
    secrets: BTreeMap<String, Option<Digest>>,
}

/// Imports the files of `platform`. `read` gives what they call the app.
pub(super) fn import(
    platform: &str,
    name: Option<&AppName>,
    read: impl FnOnce(&mut App<'_, '_>) -> Option<String>,
) -> Imported {
    let nothing = Bundle::default();
    let ctx = Context::new(&nothing, Aim::Act);
    let mut app = App {
        ctx: &ctx,
        notes: Notes::new(&ctx),
        services: Vec::new(),
        databases: Vec::new(),
        names: Names::default(),
        volumes: BTreeMap::new(),
        configs: BTreeMap::new(),
        files: BTreeMap::new(),
        secrets: BTreeMap::new(),
    };
    let called = read(&mut app);
    if app.services.is_empty() && !ctx.failed() && !app.notes.failed() {
        app.notes.error(
            Span::default(),
            "nothing here can be run",
            format!("give the files of {platform} that say what runs"),
        );
    }
    let name = name.map_or_else(|| valid(called.as_deref().unwrap_or("app")), ToString::to_string);
    let text = app.write(platform, &name);
    let notes = app.notes.into_notes();
    finish(ctx, Some(text), notes)
}

impl App<'_, '_> {
    /// A service that is called `wanted`, or nearly so where that is taken.
    pub(super) fn service(&self, wanted: &str) -> Service {
        Service::new(self.names.take(&[wanted]))
    }

    /// A variable whose value stands in clear. One that holds a secret becomes one, whose value goes nowhere.
    pub(super) fn variable(&mut self, service: &mut Service, name: &str, value: &str, at: Span) {
        if !self.afford(at) {
            return;
        }
        if !secrecy::is_secret(name, value) {
            return service.put(name, Yaml::text(value));
        }
        let secret = self.secret_of(&service.name, name, Digest::of(value.as_bytes()));
        let what =
            format!("the secret `{secret}` has to be set: `{name}` looks like a secret, and its value stands here");
        self.notes.to_do(at, what, format!("daybook secret set {secret}"));
        service.put(name, by_name(&secret));
    }

    /// The name of a secret whose value stands in clear. Several services may use one value, and one name.
    fn secret_of(&mut self, service: &str, variable: &str, digest: Digest) -> String {
        let plain = valid(variable);
        let name = match self.secrets.get(&plain) {
            Some(known) if known.as_ref() != Some(&digest) => valid(&format!("{service}.{variable}")),
            _ => plain,
        };
        self.secrets.insert(name.clone(), Some(digest));
        name
    }

    /// A secret whose value the platform keeps elsewhere, which a person has to set.
    pub(super) fn secret(&mut self, name: &str, at: Span, from: &str) -> String {
        let name = valid(name);
        if self.secrets.insert(name.clone(), None).is_none() {
            let what = format!("the secret `{name}` has to be set: {from}");
            self.notes.to_do(at, what, format!("daybook secret set {name}"));
        }
        name
    }

    /// A variable that is a secret by name.
    pub(super) fn secret_variable(&mut self, service: &mut Service, name: &str, at: Span, from: &str) {
        if self.afford(at) {
            let secret = self.secret(name, at, from);
            service.put(name, by_name(&secret));
        }
    }

    /// A named volume, by its name here.
    pub(super) fn volume(&mut self, wanted: &str) -> String {
        let name = valid(wanted);
        self.volumes.entry(name.clone()).or_insert_with(|| Yaml::Word(String::new()));
        name
    }

    /// A file of the project that a service has at `target`.
    pub(super) fn file(&mut self, service: &mut Service, path: &str, target: &str) {
        let name = valid(path.trim_start_matches(['.', '/']));
        let path = if path.starts_with(['.', '/']) { path.to_owned() } else { format!("./{path}") };
        self.configs.insert(name.clone(), Yaml::Flow(vec![("file", Yaml::text(&path))]));
        service.push("configs", Yaml::Flow(vec![("source", Yaml::text(&name)), ("target", Yaml::text(target))]));
    }

    /// A text that a service has as a file at `target`.
    pub(super) fn text_file(&mut self, service: &mut Service, text: Yaml, target: &str) {
        let name = valid(&format!("{}.{}", service.name, target.rsplit('/').next().unwrap_or_default()));
        self.configs.insert(name.clone(), Yaml::Map(vec![("content".to_owned(), text)]));
        service.push("configs", Yaml::Flow(vec![("source", Yaml::text(&name)), ("target", Yaml::text(target))]));
    }

    /// A secret that a service has as a file at `target`.
    pub(super) fn secret_file(&mut self, service: &mut Service, secret: &str, target: &str) {
        self.files.insert(secret.to_owned(), Yaml::Flow(vec![("external", Yaml::boolean(true))]));
        service.push("secrets", Yaml::Flow(vec![("source", Yaml::text(secret)), ("target", Yaml::text(target))]));
    }

    /// The resources of the size that `node` names, which the platform calls a `what`.
    pub(super) fn size(&self, service: &mut Service, sizes: &[(&str, (u32, u32))], node: &Node, what: &str) {
        let named = node.scalar().unwrap_or_default().to_ascii_lowercase();
        match sizes.iter().find(|(name, _)| *name == named) {
            Some((_, size)) => service.set("resources", resources(*size)),
            None => self.notes.not_carried(node.span, format!("the {what} `{named}` is not known"), "set `resources`"),
        }
    }

    /// What a public name would have to be set for.
    pub(super) fn wants_domain(&self, service: &str, at: Span) {
        let what = format!("`{service}` has no public name yet");
        self.notes.to_do(at, what, format!("write under `{service}`: domain: shop.example.com"));
    }

    /// Takes a value from the budget: one that is written once may be meant for many services.
    pub(super) fn afford(&self, at: Span) -> bool {
        self.ctx.afford(at, WEIGHT)
    }

    fn write(&mut self, platform: &str, name: &str) -> String {
        let services = std::mem::take(&mut self.services).into_iter().chain(std::mem::take(&mut self.databases));
        let services = services.map(|service| (service.name.clone(), service.yaml())).collect();
        let entries = |all: &mut BTreeMap<String, Yaml>| Yaml::Map(std::mem::take(all).into_iter().collect());
        let comments = header(platform, self.secrets.keys());
        write(&[
            ("app".to_owned(), Yaml::Noted(comments, Box::new(Yaml::text(name)))),
            ("services".to_owned(), Yaml::Map(services)),
            ("volumes".to_owned(), entries(&mut self.volumes)),
            ("configs".to_owned(), entries(&mut self.configs)),
            ("secrets".to_owned(), entries(&mut self.files)),
        ])
    }
}

/// A secret as the value of a variable.
pub(super) fn by_name(secret: &str) -> Yaml {
    Yaml::Flow(vec![("secret", Yaml::text(secret))])
}

/// The same, which is made once if there is none.
pub(super) fn made(secret: &str) -> Yaml {
    Yaml::Flow(vec![("secret", Yaml::text(secret)), ("generate", Yaml::boolean(true))])
}
