//! The manifest while it comes together, and its text.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::objects::Object;
use crate::import::order::{ORDER, in_order};
use crate::import::yaml::{Yaml, escaped, write};
use crate::tree::{Map, Node, Span};

/// A text that came from a value and may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) parts: Vec<Part>,
    pub(super) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// A secret by its name here.
    Secret(String),
}

impl Text {
    pub(super) fn new(text: impl Into<String>, span: Span) -> Self {
        Self { parts: vec![Part::Text(text.into())], span }
    }

    pub(super) fn secret(name: String, span: Span) -> Self {
        Self { parts: vec![Part::Secret(name)], span }
    }

    /// What it says, if it holds no secret.
    pub(super) fn plain(&self) -> Option<String> {
        let mut plain = String::new();
        for part in &self.parts {
            let Part::Text(text) = part else { return None };
            plain.push_str(text);
        }
        Some(plain)
    }

    fn yaml(&self) -> Yaml {
        if let [Part::Secret(name)] = self.parts.as_slice() {
            return Yaml::Flow(vec![("secret", Yaml::text(name))]);
        }
        let written = |part: &Part| match part {
            Part::Text(text) => escaped(text),
            Part::Secret(name) => format!("${{secret.{name}}}"),
        };
        Yaml::Template(self.parts.iter().map(written).collect())
    }
}

/// How a service is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Service,
    Job,
    Task,
}

/// A port that a container listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) name: Option<String>,
    pub(super) number: u16,
    pub(super) udp: bool,
}

/// A service of the manifest.
pub(super) struct Draft<'n> {
    pub(super) name: String,
    pub(super) object: Object<'n>,
    pub(super) role: Role,
    /// The labels that its pods have.
    pub(super) labels: Option<&'n Map>,
    pub(super) image: &'n str,
    pub(super) container: &'n Node,
    pub(super) entrypoint: Vec<Text>,
    /// That of the image does not run either: the first word of `command` is the program.
    pub(super) no_entrypoint: bool,
    pub(super) command: Vec<Text>,
    pub(super) release: Vec<Text>,
    /// In their order; of two with one name the later counts.
    pub(super) environment: Vec<(String, Text)>,
    /// Where the last variable of each name is.
    latest: HashMap<String, usize>,
    /// Variables that are not carried over.
    pub(super) left_out: HashSet<String>,
    /// The Services that lead to it.
    pub(super) reached_by: Vec<Object<'n>>,
    pub(super) listening: Vec<Listening>,
    /// Ports by number and transport (UDP is true), and whether they are known to carry HTTP.
    pub(super) ports: BTreeMap<(u16, bool), bool>,
    /// Items of `ports`.
    pub(super) published: Vec<String>,
    pub(super) domains: Vec<Yaml>,
    /// Further names by which others find it.
    pub(super) aliases: BTreeSet<String>,
    /// Services that it waits for, each with the condition.
    pub(super) depends_on: BTreeMap<String, &'static str>,
    pub(super) replicas: u32,
    /// The most replicas, and the shares at which there are more; `None` without an autoscaler.
    pub(super) autoscale: Option<(u32, Vec<(&'static str, Yaml)>)>,
    /// The other keys.
    pub(super) keys: HashMap<&'static str, Yaml>,
    /// Lines above the service.
    pub(super) comments: Vec<String>,
}

impl<'n> Draft<'n> {
    pub(super) fn new(name: String, object: Object<'n>, role: Role, container: &'n Node) -> Self {
        Self {
            name,
            object,
            role,
            labels: None,
            image: container.get("image").and_then(Node::scalar).unwrap_or_default(),
            container,
            entrypoint: Vec::new(),
            no_entrypoint: false,
            command: Vec::new(),
            release: Vec::new(),
            environment: Vec::new(),
            latest: HashMap::new(),
            left_out: HashSet::new(),
            reached_by: Vec::new(),
            listening: Vec::new(),
            ports: BTreeMap::new(),
            published: Vec::new(),
            domains: Vec::new(),
            aliases: BTreeSet::new(),
            depends_on: BTreeMap::new(),
            replicas: 1,
            autoscale: None,
            keys: HashMap::new(),
            comments: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, key: &'static str, value: Yaml) {
        debug_assert!(ORDER.contains(&key), "{key} has a place in the order");
        self.keys.insert(key, value);
    }

    /// Adds an item to a list.
    pub(super) fn push(&mut self, key: &'static str, item: Yaml) {
        if let Yaml::List(items) = self.keys.entry(key).or_insert_with(|| Yaml::List(Vec::new())) {
            items.push(item);
        }
    }

    pub(super) fn put_variable(&mut self, name: &str, value: Text) {
        self.latest.insert(name.to_owned(), self.environment.len());
        self.environment.push((name.to_owned(), value));
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&Text> {
        self.latest.get(name).map(|at| &self.environment[*at].1)
    }

    /// Allows for no more than one replica.
    pub(super) fn only_one(&mut self) {
        self.replicas = self.replicas.min(1);
        self.autoscale = None;
    }

    /// How many replicas there may be at once.
    pub(super) fn most_replicas(&self) -> u32 {
        self.autoscale.as_ref().map_or(self.replicas, |(most, _)| *most)
    }

    /// Every text in which a name of another service may stand.
    pub(super) fn texts_mut(&mut self) -> impl Iterator<Item = &mut Text> {
        let words = self.entrypoint.iter_mut().chain(&mut self.command).chain(&mut self.release);
        words.chain(self.environment.iter_mut().map(|(_, text)| text))
    }

    /// Users reach it first, then other services, then nobody.
    fn rank(&self) -> (Role, bool, bool) {
        (self.role, self.domains.is_empty() && self.published.is_empty(), self.ports.is_empty())
    }

    fn yaml(mut self) -> Yaml {
        self.set("image", Yaml::text(self.image));
        for (key, words) in [
            ("entrypoint", std::mem::take(&mut self.entrypoint)),
            ("command", std::mem::take(&mut self.command)),
            ("release", std::mem::take(&mut self.release)),
        ] {
            self.set(key, Yaml::List(words.iter().map(Text::yaml).collect()));
        }
        if self.no_entrypoint {
            self.set("entrypoint", Yaml::Word("[]".to_owned()));
        }
        self.set("environment", self.environment_yaml());
        self.set_ports();
        let domains = std::mem::take(&mut self.domains);
        self.set("domain", Yaml::List(domains));
        let dependencies = self.depends_on.iter();
        let dependencies = dependencies
            .map(|(name, condition)| (name.clone(), Yaml::Flow(vec![("condition", Yaml::text(condition))])));
        self.set("depends_on", Yaml::Map(dependencies.collect()));
        self.set_scale();
        if !self.aliases.is_empty() && !self.keys.contains_key("network_mode") {
            let aliases = Yaml::Flow(vec![("aliases", Yaml::texts(&self.aliases))]);
            self.set("networks", Yaml::Map(vec![("default".to_owned(), aliases)]));
        }
        Yaml::Noted(self.comments, Box::new(in_order(self.keys)))
    }

    fn environment_yaml(&self) -> Yaml {
        let counts = |(at, (name, _)): &(usize, &(String, Text))| self.latest.get(name) == Some(at);
        let variables = self.environment.iter().enumerate().filter(counts);
        Yaml::Map(variables.map(|(_, (name, text))| (name.clone(), text.yaml())).collect())
    }

    fn set_ports(&mut self) {
        let http = self.ports.iter().filter(|(_, http)| **http).map(|((port, _), _)| Yaml::number(*port));
        let http: Vec<Yaml> = http.collect();
        let others = self.ports.iter().filter(|(_, http)| !**http);
        let written = |((port, udp), _): (&(u16, bool), &bool)| {
            if *udp { Yaml::Template(format!("{port}/udp")) } else { Yaml::number(*port) }
        };
        let others: Vec<Yaml> = others.map(written).collect();
        if let [port] = http.as_slice() {
            self.set("port", port.clone());
        } else {
            self.set("port", Yaml::List(http));
        }
        self.set("expose", Yaml::List(others));
        let published = std::mem::take(&mut self.published);
        self.set("ports", Yaml::texts(published));
    }

    fn set_scale(&mut self) {
        match self.autoscale.take() {
            Some((most, shares)) => {
                let bounds = vec![("min", Yaml::number(self.replicas)), ("max", Yaml::number(most))];
                self.set("scale", Yaml::Flow([bounds, shares].concat()));
            }
            None if self.replicas != 1 => self.set("scale", Yaml::number(self.replicas)),
            None => {}
        }
    }
}

/// A file that the manifest holds.
pub(super) struct Config<'n> {
    pub(super) name: String,
    pub(super) namespace: &'n str,
    pub(super) content: Text,
}

/// The whole manifest.
#[derive(Default)]
pub(super) struct App<'n> {
    pub(super) services: Vec<Draft<'n>>,
    /// Volumes, each with its keys.
    pub(super) volumes: BTreeMap<String, Yaml>,
    pub(super) configs: Vec<Config<'n>>,
    /// Secrets that are files in some service.
    pub(super) secret_files: BTreeSet<String>,
}

impl App<'_> {
    /// The secrets that it refers to.
    pub(super) fn secrets(&self) -> BTreeSet<String> {
        let variables =
            self.services.iter().flat_map(|draft| draft.latest.values().map(|at| &draft.environment[*at].1));
        let parts = variables.flat_map(|text| &text.parts);
        let named = parts.filter_map(|part| match part {
            Part::Secret(name) => Some(name),
            Part::Text(_) => None,
        });
        named.chain(&self.secret_files).cloned().collect()
    }

    /// The text of the manifest.
    pub(super) fn write(self, name: &str, comments: Vec<String>) -> String {
        let mut services = self.services;
        services.sort_by_key(Draft::rank);
        let services = services.into_iter().map(|draft| (draft.name.clone(), draft.yaml())).collect();
        let external = |name: String| (name, Yaml::Flow(vec![("external", Yaml::boolean(true))]));
        let content = |config: Config<'_>| {
            let content = vec![("content".to_owned(), config.content.yaml())];
            (config.name, Yaml::Map(content))
        };
        write(&[
            ("app".to_owned(), Yaml::Noted(comments, Box::new(Yaml::text(name)))),
            ("services".to_owned(), Yaml::Map(services)),
            ("volumes".to_owned(), Yaml::Map(self.volumes.into_iter().collect())),
            ("configs".to_owned(), Yaml::Map(self.configs.into_iter().map(content).collect())),
            ("secrets".to_owned(), Yaml::Map(self.secret_files.into_iter().map(external).collect())),
        ])
    }
}
