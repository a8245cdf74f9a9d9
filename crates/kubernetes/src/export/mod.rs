//! The objects of a whole environment, for whoever applies them without a Daybook: pure.
//!
//! What a pod is comes of `objects`, as for the runtime, which decides step by step and so keeps each replica by a
//! workload of its own. Here nobody decides any more. A service is one workload of a name that lasts, the cluster's
//! own controllers replace and scale it, an ingress controller stands in place of the edge, and no mark of ours is on
//! anything. Secrets are references: their values are not in a [`Spec`].

mod charts;
mod images;
mod lost;
mod outside;
pub(crate) mod stand_in;
mod values;
mod workload;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use daybook_model::launch::Role;
use daybook_model::spec::{Artifact, Condition, Kind};
use daybook_model::{Launch, Service, ServiceName, Spec};
use serde::Serialize;
use serde_json::Value;

use crate::names;
use crate::objects::{self, Level, Surroundings, Tended};
use images::Images;

/// What the spec does not say.
pub struct Settings<'a> {
    /// The version of the cluster that the objects are for.
    pub version: Version,
    /// How a path of this machine is shown to people.
    pub shown: &'a dyn Fn(&str) -> String,
}

/// A version of Kubernetes that objects are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u8);

/// The objects of an environment, in the order in which they should be applied, and what is to be said of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The objects.
    pub objects: Vec<Object>,
    /// What a person should know.
    pub notes: Vec<Note>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The service whose it is. `None`: the environment's.
    pub service: Option<ServiceName>,
    /// The object as Kubernetes reads it.
    pub value: Value,
}

/// Something that the objects do not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it means to the reader.
    pub kind: NoteKind,
    /// The services that it is about. None: the whole environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceName>,
    /// One sentence.
    pub what: String,
    /// Commands that do it, each on one line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// What a note means to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Has to be done for the objects to work.
    ToDo,
    /// Is in the manifest and not in the objects.
    NotExported,
    /// Does not mean quite the same in the cluster.
    Changed,
}

/// How the objects differ from what Daybook applies, whatever the manifest says.
pub const DIFFERENCES: [&str; 4] = [
    "A service is one workload with all of its replicas, which Kubernetes replaces by itself: there is no canary share, \
     no probation and no swap-back.",
    "Requests come by an Ingress and by Services of type LoadBalancer: there is no edge, which would hold requests and \
     count them when a replica leaves.",
    "Everything starts at once, whatever `depends_on` says: what is not there yet is tried again.",
    "Nothing is marked as Daybook's, so no Daybook touches it: what a later export lacks is yours to delete.",
];

/// The oldest version that anything is written for, as its minor number.
const OLDEST: u8 = 29;
/// The newest version whose schemas the objects are checked against.
const NEWEST: u8 = 34;
/// The version since which a pod may be told to wait before it ends, without a feature gate.
const SLEEPS: Version = Version(30);

/// The objects for `spec`.
///
/// # Errors
/// What Kubernetes cannot do, all of it, a sentence each.
pub fn export(spec: &Spec, settings: &Settings<'_>) -> Result<Exported, Vec<String>> {
    let mut export = Export {
        spec,
        settings,
        images: Images::of(spec),
        namespace: names::namespace(&spec.key),
        exported: Exported { objects: Vec::new(), notes: Vec::new() },
        said: HashMap::new(),
        refused: Vec::new(),
    };
    export.environment();
    for service in spec.services.values() {
        export.service(service);
    }
    export.finish()
}

/// An export under way.
struct Export<'a> {
    spec: &'a Spec,
    settings: &'a Settings<'a>,
    images: Images,
    namespace: String,
    exported: Exported,
    /// Where a note is: what is true of several services is said once.
    said: HashMap<(String, Vec<String>), usize>,
    refused: Vec<String>,
}

impl Export<'_> {
    /// What belongs to no service.
    fn environment(&mut self) {
        let (key, around) = (&self.spec.key, self.around(String::new()));
        self.push(None, &objects::namespace(key, self.level(), &around));
        self.push(None, &objects::closed(key, &around));
        if let Some(quota) = &self.spec.quota {
            self.push(None, &objects::quota::quota(key, quota, &around));
        }
        for (name, network) in &self.spec.networks {
            self.push(None, &objects::network(key, name, network, &around));
        }
        for (name, volume) in &self.spec.volumes {
            if volume.external {
                let called = volume.outside_name.as_deref().unwrap_or(name.as_str());
                let what = format!("the claim `{called}` has to be there: the volume `{name}` is external");
                self.note(NoteKind::ToDo, None, what, Vec::new());
            } else {
                self.push(None, &objects::claim(key, name, volume, &around));
            }
        }
        for image in self.images.to_build(self.spec, self.settings.shown) {
            self.note(NoteKind::ToDo, None, image.what, image.commands);
        }
        for (what, kind) in lost::of_environment(self.spec) {
            self.note(kind, None, what, Vec::new());
        }
    }

    fn service(&mut self, service: &Service) {
        if matches!(service.artifact, Artifact::Static { .. }) {
            let what = "it is a directory of files, which the edge serves: put it into the image of a web server";
            self.note(NoteKind::NotExported, Some(service), what.to_owned(), Vec::new());
            return;
        }
        if matches!(service.artifact, Artifact::StatusPage(_)) {
            let what = "its page is written by Daybook's server, and served by its edge";
            self.note(NoteKind::NotExported, Some(service), what.to_owned(), Vec::new());
            return;
        }
        if let Some(chart) = service.artifact.chart() {
            let (what, commands) = charts::install(service, chart, &self.namespace);
            self.note(NoteKind::ToDo, Some(service), what, commands);
            return;
        }
        let role = if matches!(service.kind, Kind::Job(_)) { Role::Job } else { Role::Main };
        let Some(launch) = self.launch(service, role) else { return };
        let around = self.around_service(service);
        if let Some(texts) = objects::config_map(&launch, &around) {
            self.push(Some(service), &texts);
        }
        if let Some((what, commands)) = values::secrets(service, self.spec, &launch, &around, self.settings.shown) {
            self.note(NoteKind::ToDo, Some(service), what, commands);
        }
        for object in objects::services(&launch, &around) {
            self.push(Some(service), &object);
        }
        if service.release_hook.is_some() {
            self.hook(service, &around);
        }
        self.workload(service, &launch, &around);
        self.outside(service, &launch, &around);
        self.notes_of(service, &launch, &around);
    }

    /// What is said of a service as a whole.
    fn notes_of(&mut self, service: &Service, launch: &Launch, around: &Surroundings) {
        let (_, reasons) = objects::needs(launch, around);
        if !reasons.is_empty() {
            let what = format!("it may do more than the level `restricted` allows: {}", reasons.join("; "));
            self.note(NoteKind::Changed, Some(service), what, Vec::new());
        }
        let called = names::resource(service.name.as_str());
        if called != service.name.as_str() {
            let what = format!("others reach it as `{called}`: `{}` is no name in DNS", service.name);
            self.note(NoteKind::Changed, Some(service), what, Vec::new());
        }
        let waits: Vec<_> = service.depends_on.iter().filter(|dep| dep.condition == Condition::Completed).collect();
        if !waits.is_empty() {
            let names: Vec<_> = waits.iter().map(|dep| format!("`{}`", dep.service)).collect();
            let what = format!("it does not wait for {}, and has to try again until that is done", names.join(", "));
            self.note(NoteKind::Changed, Some(service), what, Vec::new());
        }
        for (what, kind) in lost::of_service(service) {
            self.note(kind, Some(service), what, Vec::new());
        }
    }

    /// The launch that stands for all replicas of a service. `None`: it is refused.
    fn launch(&mut self, service: &Service, role: Role) -> Option<Launch> {
        let launch = stand_in::launch(self.spec, service, role);
        launch.map_err(|why| self.refused.push(format!("{}: {why}", service.name))).ok()
    }

    /// The level that the namespace has to allow: that of the service which needs most.
    fn level(&self) -> Level {
        let launches = self.spec.services.values().filter_map(|service| {
            if !service.artifact.has_replicas() {
                return None;
            }
            let launch = stand_in::launch(self.spec, service, Role::Main).ok()?;
            Some(objects::needs(&launch, &self.around_service(service)).0)
        });
        launches.max().unwrap_or(Level::Restricted)
    }

    fn around_service(&self, service: &Service) -> Surroundings {
        self.around(self.images.reference(service))
    }

    fn around(&self, image: String) -> Surroundings {
        Surroundings { image, namespace: self.namespace.clone(), tended: Tended::ByOthers, ..Surroundings::default() }
    }

    fn push(&mut self, service: Option<&Service>, object: &impl Serialize) {
        let value = serde_json::to_value(object).expect("objects of Kubernetes are JSON");
        let service = service.map(|service| service.name.clone());
        self.exported.objects.push(Object { service, value: readable(value) });
    }

    fn note(&mut self, kind: NoteKind, service: Option<&Service>, what: String, commands: Vec<String>) {
        let notes = &mut self.exported.notes;
        let at = *self.said.entry((what.clone(), commands.clone())).or_insert(notes.len());
        if at == notes.len() {
            notes.push(Note { kind, services: Vec::new(), what, commands });
        }
        notes[at].services.extend(service.map(|service| service.name.clone()));
    }

    /// Of two objects that would be one, the first stays: aliases may be shared, and names that we make may be taken.
    fn finish(mut self) -> Result<Exported, Vec<String>> {
        if !self.refused.is_empty() {
            return Err(self.refused);
        }
        let mut seen = BTreeSet::new();
        let (kept, doubled): (Vec<_>, Vec<_>) =
            self.exported.objects.into_iter().partition(|object| seen.insert(identity(&object.value)));
        for object in doubled {
            let (kind, name) = identity(&object.value);
            let what = format!("a second {kind} that is called `{name}`: the first one stays");
            let services = object.service.into_iter().collect();
            let note = Note { kind: NoteKind::NotExported, services, what, commands: Vec::new() };
            self.exported.notes.push(note);
        }
        self.exported.objects = kept;
        self.exported.notes.sort_by_key(|note| note.kind);
        Ok(self.exported)
    }
}

impl Object {
    /// Its kind and name: `Deployment`, `web`.
    pub fn identity(&self) -> (String, String) {
        identity(&self.value)
    }
}

fn identity(value: &Value) -> (String, String) {
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/kind"), text("/metadata/name"))
}

/// What says which thing it is comes first, the rest by name.
fn readable(value: Value) -> Value {
    const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "name", "namespace"];
    match value {
        Value::Object(fields) => {
            let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
            let sorted: BTreeMap<_, _> =
                fields.into_iter().map(|(name, value)| ((rank(&name), name), readable(value))).collect();
            Value::Object(sorted.into_iter().map(|((_, name), value)| (name, value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(readable).collect()),
        other => other,
    }
}

impl Version {
    /// Every version that objects are checked against.
    pub fn all() -> impl Iterator<Item = Self> {
        (OLDEST..=NEWEST).map(Self)
    }
}

impl Default for Version {
    fn default() -> Self {
        Self(NEWEST)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for Version {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::all().find(|version| version.to_string() == text.trim_start_matches('v'));
        known.ok_or_else(|| format!("objects are written for 1.{OLDEST} to 1.{NEWEST}"))
    }
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToDo => "to do",
            Self::NotExported => "not exported",
            Self::Changed => "changed",
        })
    }
}

#[cfg(test)]
mod tests {
    use daybook_model::spec::{Attachment, Volume};

    use super::*;
    use crate::objects::tests::{database, web};

    fn spec(services: impl IntoIterator<Item = Service>) -> Spec {
        let mut spec = Spec::empty("shop/production".parse().unwrap());
        spec.services = services.into_iter().map(|service| (service.name.clone(), Box::new(service))).collect();
        spec
    }

    fn exported(spec: &Spec) -> Exported {
        let settings = Settings { version: Version::default(), shown: &|path| path.to_owned() };
        export(spec, &settings).unwrap()
    }

    fn kinds(exported: &Exported) -> Vec<String> {
        exported
            .objects
            .iter()
            .map(|object| {
                let (kind, name) = object.identity();
                format!("{kind} {name}")
            })
            .collect()
    }

    #[test]
    fn of_two_objects_of_one_name_the_first_stays() {
        let mut web = web();
        let aliases = Attachment { aliases: vec!["www".to_owned()], ..Attachment::default() };
        web.container.networks.insert("front".parse().unwrap(), aliases);
        let other = Service { name: "other".parse().unwrap(), ..web.clone() };
        let exported = exported(&spec([web, other]));
        assert_eq!(kinds(&exported).iter().filter(|kind| *kind == "Service www").count(), 1);
        let told = exported.notes.iter().find(|note| note.what.contains("a second Service that is called `www`"));
        assert_eq!(told.unwrap().services[0].as_str(), "web", "services go by their names");
    }

    #[test]
    fn who_writes_alone_to_a_volume_is_a_set_and_who_shares_it_a_deployment() {
        let mut spec = spec([database()]);
        spec.volumes.insert("data".parse().unwrap(), Volume::default());
        assert!(kinds(&exported(&spec)).contains(&"StatefulSet db".to_owned()));
        spec.volumes.insert("data".parse().unwrap(), Volume { shared: true, ..Volume::default() });
        assert!(kinds(&exported(&spec)).contains(&"Deployment db".to_owned()));
        spec.volumes.insert("data".parse().unwrap(), Volume { external: true, ..Volume::default() });
        let exported = exported(&spec);
        assert!(!kinds(&exported).iter().any(|kind| kind.starts_with("PersistentVolumeClaim")));
        assert!(exported.notes.iter().any(|note| note.kind == NoteKind::ToDo && note.what.contains("has to be there")));
    }

    #[test]
    fn a_job_is_called_by_what_it_does() {
        let name = |command: &str| {
            let mut task = web();
            task.kind = Kind::Task;
            task.container.command = Some(vec![command.to_owned()]);
            kinds(&exported(&spec([task]))).into_iter().find(|kind| kind.starts_with("Job web-")).unwrap()
        };
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"), "applied again, it could not be changed");
    }

    #[test]
    fn what_says_which_thing_it_is_comes_first() {
        let value = serde_json::json!({"data": {"b": 1, "a": 2}, "metadata": {"labels": {}, "name": "x"}, "kind": "K"});
        let text = r#"{"kind":"K","metadata":{"name":"x","labels":{}},"data":{"a":2,"b":1}}"#;
        assert_eq!(readable(value).to_string(), text);
    }
}
