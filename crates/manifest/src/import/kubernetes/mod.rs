//! Objects of Kubernetes, as a manifest.
//!
//! `objects` finds them, `workloads` makes a service of each that runs, `network` and `routes` give these their
//! ports and public names, `addresses` rewrites where others reached them, and `draft` writes it all down.
//! `fields` and `kinds` are the tables of what is known; what is in neither is reported.

mod addresses;
mod claims;
mod container;
mod draft;
mod environment;
mod fields;
mod files;
mod inits;
mod kinds;
mod network;
mod objects;
mod pods;
mod probes;
mod quantity;
mod routes;
mod scaling;
mod secrets;
mod security;
mod volumes;
mod workloads;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use daybook_model::AppName;

use self::draft::{App, Part, Text};
use self::objects::{Cluster, Object};
use self::secrets::Secrets;
use super::note::Notes;
use super::{Document, Imported, finish, header};
use crate::bundle::Bundle;
use crate::context::Context;
use crate::import::names::{Names, valid};
use crate::import::read::map;
use crate::tree::{Map, Node, Span};
use crate::{Aim, yaml};

/// What a text weighs that is written, beside its length: its key and its value are read again.
const TEXT_WEIGHT: usize = 3;
/// How many bytes of a text that is written weigh one: it is copied, searched for addresses and read again.
const WEIGHTY: usize = 32;
/// What a service weighs that is written.
const SERVICE_WEIGHT: usize = 40;

/// Makes a manifest of the objects in `documents`: YAML or JSON, several in a file, lists of them. The app is
/// called `app`, or as the objects say. Pure; what it takes is bounded like the reading of a manifest.
pub fn kubernetes(documents: &[Document], app: Option<&AppName>) -> Imported {
    let nothing = Bundle::default();
    let ctx = Context::new(&nothing, Aim::Act);
    let import = Import::new(&ctx);
    let manifest = read(&import, documents, app);
    let notes = import.notes.into_notes();
    finish(ctx, manifest, notes)
}

fn read(import: &Import<'_, '_>, documents: &[Document], app: Option<&AppName>) -> Option<String> {
    let nodes = parse(import, documents)?;
    let cluster = Cluster::read(import, &nodes);
    let mut draft = App::default();
    workloads::read(import, &cluster, &mut draft);
    if import.ctx.failed() {
        return None;
    }
    let addresses = network::read(import, &cluster, &mut draft);
    routes::read(import, &cluster, &addresses, &mut draft);
    inits::wait(import, &mut draft, &addresses);
    addresses.rewrite(import, &mut draft);
    import.report_rest(&cluster);
    if import.ctx.failed() {
        return None;
    }
    if draft.services.is_empty() {
        let advice = "give the files of Deployments, StatefulSets, DaemonSets, Jobs, CronJobs or Pods";
        let at = nodes.first().map_or_else(Span::default, |node| node.span);
        import.notes.error(at, "nothing here can be run", advice);
        return None;
    }
    let name = app.map_or_else(|| app_name(&cluster), ToString::to_string);
    let secrets = draft.secrets();
    import.secrets.report(import, &secrets);
    Some(draft.write(&name, header("Kubernetes", secrets.iter())))
}

/// The documents of all files. `None` where one cannot be read, which the context knows.
fn parse(import: &Import<'_, '_>, documents: &[Document]) -> Option<Vec<Node>> {
    let mut nodes = Some(Vec::new());
    for document in documents {
        let file = import.ctx.add_source(&document.path, &document.text, "/", Rc::default());
        let span = Span { file, ..Span::default() };
        if document.text.len() > yaml::MAX_BYTES {
            import.notes.error(span, "the file is larger than 8 MiB", "import fewer objects at a time");
            nodes = None;
            continue;
        }
        // Every file weighs, so that their number stays within what a place can name.
        if !import.ctx.afford(span, 30) {
            return None;
        }
        let read = yaml::parse(import.ctx, file);
        if let Some(at) = document.text.find("{{").filter(|_| import.ctx.failed()) {
            let span = Span { file, start: at as u32, end: at as u32 + 2 };
            let advice = "render the chart first: `helm template NAME CHART | daybook import kubernetes -`";
            import.notes.error(span, "the file holds `{{`: it is a template, and not what comes of it", advice);
        }
        nodes = nodes.zip(read).map(|(mut all, read)| {
            all.extend(read);
            all
        });
    }
    nodes.filter(|_| !import.ctx.failed())
}

/// What the objects are a part of, or the namespace of the first.
fn app_name(cluster: &Cluster<'_>) -> String {
    let labels = ["app.kubernetes.io/part-of", "app.kubernetes.io/instance"];
    let labelled = labels.iter().find_map(|label| cluster.all.iter().find_map(|object| object.label(label)));
    let namespace = || cluster.all.iter().map(|object| object.namespace).find(|namespace| *namespace != "default");
    valid(labelled.or_else(namespace).unwrap_or("app"))
}

/// What is at hand while objects are read.
struct Import<'c, 'a> {
    ctx: &'c Context<'a>,
    notes: Notes<'c, 'a>,
    secrets: Secrets,
    services: Names,
    volumes: Named,
    configs: Named,
    used: RefCell<HashSet<(&'static str, String, String)>>,
    waits: RefCell<Vec<inits::Wait>>,
}

/// Names of things that several services use, by what they are there.
#[derive(Default)]
struct Named {
    names: Names,
    known: RefCell<HashMap<(String, String), String>>,
}

impl Named {
    /// The name here, and whether it is new.
    fn of(&self, namespace: &str, wanted: &str) -> (String, bool) {
        let id = (namespace.to_owned(), wanted.to_owned());
        if let Some(name) = self.known.borrow().get(&id) {
            return (name.clone(), false);
        }
        let name = self.names.take(&[wanted]);
        self.known.borrow_mut().insert(id, name.clone());
        (name, true)
    }
}

impl<'c, 'a> Import<'c, 'a> {
    fn new(ctx: &'c Context<'a>) -> Self {
        Self {
            ctx,
            notes: Notes::new(ctx),
            secrets: Secrets::default(),
            services: Names::default(),
            volumes: Named::default(),
            configs: Named::default(),
            used: RefCell::default(),
            waits: RefCell::default(),
        }
    }

    /// Takes a text from the budget: one object may be written into many services.
    fn afford(&self, span: Span, text: &Text) -> bool {
        let length = |part: &Part| match part {
            Part::Text(text) => text.len() / WEIGHTY,
            Part::Secret(_) => 1,
        };
        self.ctx.afford(span, TEXT_WEIGHT + text.parts.iter().map(length).sum::<usize>())
    }

    fn volume_name(&self, namespace: &str, wanted: &str) -> String {
        self.mark_used("PersistentVolumeClaim", namespace, wanted);
        self.volumes.of(namespace, wanted).0
    }

    fn config_name(&self, object: &Object<'_>, key: &str) -> (String, bool) {
        self.configs.of(object.namespace, &format!("{}.{key}", object.name))
    }

    /// The ConfigMap that a service uses.
    fn config_map<'n>(&self, cluster: &Cluster<'n>, namespace: &str, name: &str) -> Option<Object<'n>> {
        self.mark_used("ConfigMap", namespace, name);
        let object = cluster.find("ConfigMap", namespace, name)?;
        for entry in map(object.node, "binaryData").into_iter().flat_map(Map::iter) {
            let what = format!("`{}` of {}: it is no text", entry.key, object.shown());
            self.notes.not_carried(entry.key_span, what, "give it as a file: `configs: {NAME: {file: FILE}}`");
        }
        Some(object)
    }

    fn mark_used(&self, kind: &'static str, namespace: &str, name: &str) {
        self.used.borrow_mut().insert((kind, namespace.to_owned(), name.to_owned()));
    }

    /// Reports what no service made anybody look at.
    fn report_rest(&self, cluster: &Cluster<'_>) {
        kinds::report(self, cluster);
        self.secrets.report_unused(self, cluster);
        for kind in ["ConfigMap", "PersistentVolumeClaim"] {
            for object in cluster.of_kind(kind) {
                if !self.used.borrow().contains(&(kind, object.namespace.to_owned(), object.name.to_owned())) {
                    let what = format!("{}: no service that was imported uses it", object.shown());
                    self.notes.not_carried(object.at, what, "");
                }
            }
        }
        for object in &cluster.all {
            fields::check(&self.notes, object.node, fields::OBJECT, &object.shown());
            if let Some(metadata) = object.node.get("metadata") {
                fields::check(&self.notes, metadata, fields::METADATA, &format!("`metadata` of {}", object.shown()));
                self.annotations(object, metadata);
            }
        }
        self.labels_and_namespaces(cluster);
    }

    /// Names the annotations of an object that a person or a controller may have given a meaning.
    fn annotations(&self, object: &Object<'_>, metadata: &Node) {
        const OWN: [&str; 9] = [
            "kubectl.kubernetes.io/",
            "deployment.kubernetes.io/",
            "meta.helm.sh/",
            "helm.sh/",
            "argocd.argoproj.io/",
            "autoscaling.alpha.kubernetes.io/",
            "pv.kubernetes.io/",
            "kustomize.toolkit.fluxcd.io/",
            "checksum/",
        ];
        let entries = map(metadata, "annotations").into_iter().flat_map(Map::iter);
        for entry in entries.filter(|entry| !OWN.iter().any(|own| entry.key.starts_with(own))) {
            let what = format!("the annotation `{}` of {}: nobody here reads it", entry.key, object.shown());
            self.notes.not_carried(
                entry.key_span,
                what,
                "see whether it asks for something that the manifest should say",
            );
        }
    }

    /// What is the same for all objects is said once.
    fn labels_and_namespaces(&self, cluster: &Cluster<'_>) {
        let labelled = cluster.all.iter().find_map(|object| object.node.get("metadata")?.get("labels"));
        if let Some(labels) = labelled {
            let what = "labels: they were for selecting, and services are known by name";
            self.notes.not_carried(labels.span, what, "write `labels` where a program reads them");
        }
        let mut namespaces: BTreeMap<&str, Span> = BTreeMap::new();
        for object in cluster.all.iter().filter(|object| !object.namespace.is_empty()) {
            namespaces.entry(object.namespace).or_insert(object.at);
        }
        if namespaces.len() > 1 {
            let names: Vec<&str> = namespaces.keys().copied().collect();
            let first = namespaces.values().min_by_key(|span| (span.file, span.start)).copied().unwrap_or_default();
            let what = format!(
                "{} namespaces ({}) become one app, whose services reach each other",
                names.len(),
                names.join(", ")
            );
            self.notes.changed(first, what, "import them one by one to have an app of each");
        }
    }
}
