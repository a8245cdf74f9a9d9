//! From the one tree to the specification.

mod backups;
mod chart;
mod check;
mod databases;
mod declared;
mod domain;
mod environment;
mod files;
mod forward;
mod image;
mod lifecycle;
mod maintenance;
mod mounts;
mod networks;
mod notify;
mod observe;
mod oncall;
mod options;
mod ports;
pub(crate) mod read;
mod remedies;
mod resources;
mod rules;
mod secrets;
mod service;
mod status_page;
mod template;
mod tls;
mod vault;

use std::collections::{BTreeMap, HashSet};

use daybook_model::policy::Remarks;
use daybook_model::{EnvKey, SecretName, ServiceName, Spec};

use crate::context::{Context, Problem};
use crate::tree::{Entry, Map, Node, Span};

pub(crate) use backups::store as backups;
pub(crate) use declared::app_name;
pub(crate) use forward::forward;
pub(crate) use maintenance::lower as maintenance;
pub(crate) use notify::{channels, receive};
pub(crate) use oncall::lower as on_call;
pub(crate) use ports::host_ports;
pub(crate) use remedies::lower as remedies;
pub(crate) use rules::lower as rules;
pub(crate) use vault::vault;

/// What a service weighs beside what is written of it: everything that is not said has a default.
const SERVICE_WEIGHT: usize = 20;

/// The tree with what every reader of a service asks of it.
pub(crate) struct Manifest<'c, 'a> {
    pub(crate) ctx: &'c Context<'a>,
    pub(crate) root: &'c Node,
    /// Services whose profiles are active.
    pub(crate) active: HashSet<&'c str>,
    /// Services whose success somebody waits for.
    pub(crate) awaited: HashSet<&'c str>,
    /// Values of secrets that come from the environment, for the sealed store.
    pub(crate) provided: std::cell::RefCell<BTreeMap<SecretName, String>>,
    /// Values of secrets that a Vault keeps.
    pub(crate) kept: std::cell::RefCell<BTreeMap<SecretName, vault::Wanted>>,
    /// What the specification will not show.
    pub(crate) remarks: std::cell::RefCell<Remarks>,
}

impl<'c, 'a> Manifest<'c, 'a> {
    pub(crate) fn new(ctx: &'c Context<'a>, root: &'c Node, profiles: &[String]) -> Self {
        let mut manifest = Self {
            ctx,
            root,
            active: HashSet::new(),
            awaited: HashSet::new(),
            provided: std::cell::RefCell::default(),
            kept: std::cell::RefCell::default(),
            remarks: std::cell::RefCell::default(),
        };
        let active = manifest.services().filter(|entry| is_active(&entry.value, profiles) && !is_provided(entry));
        manifest.active = active.map(|entry| entry.key.as_str()).collect();
        manifest.awaited = manifest.active_services().flat_map(|entry| awaited(&entry.value)).collect();
        manifest
    }

    /// Every service, whether its profile is active or not.
    pub(crate) fn services(&self) -> impl Iterator<Item = &'c Entry> {
        self.section("services").into_iter().flat_map(Map::iter)
    }

    /// The services that will be there.
    pub(crate) fn active_services(&self) -> impl Iterator<Item = &'c Entry> {
        self.services().filter(|entry| self.active.contains(entry.key.as_str()))
    }

    pub(crate) fn section(&self, name: &str) -> Option<&'c Map> {
        self.root.get(name)?.map()
    }

    /// Whether `name` is declared in `section`; if not, it is reported at `span` with what could have
    /// been meant.
    pub(crate) fn declared(&self, section: &str, singular: &str, name: &str, span: Span) -> bool {
        let map = self.section(section);
        if map.is_some_and(|map| map.get(name).is_some()) {
            return true;
        }
        let near = self.ctx.nearest(name, map.into_iter().flat_map(Map::iter).map(|entry| entry.key.as_str()));
        let problem = Problem::new("M0201", span, format!("there is no {singular} `{name}`"));
        let problem = match near {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem.label(format!("not declared in `{section}`")),
        };
        self.ctx.report(problem);
        false
    }
}

/// The specification. Findings go to the context; where they are errors, the caller drops it.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, key: EnvKey) -> Spec {
    let mut spec = Spec::empty(key);
    spec.volumes = declared::volumes(manifest);
    spec.networks = declared::networks(manifest);
    for entry in manifest.active_services() {
        if !manifest.ctx.afford(entry.key_span, SERVICE_WEIGHT) {
            break;
        }
        let Some(name) = service_name(manifest.ctx, entry) else { continue };
        if let Some(service) = service::lower(manifest, name.clone(), entry, &mut spec.volumes) {
            spec.services.insert(name, Box::new(service));
        }
    }
    databases::lower(manifest, &mut spec);
    networks::link(manifest, &mut spec);
    declared::keep_used_networks(&mut spec);
    spec
}

fn service_name(ctx: &Context<'_>, entry: &Entry) -> Option<ServiceName> {
    match ServiceName::new(entry.key.clone()) {
        Ok(name) => Some(name),
        Err(error) => {
            ctx.report(Problem::new("M0118", entry.key_span, error.to_string()).label("choose another name"));
            None
        }
    }
}

/// Whether another program is to run the service, which is reported and left out.
pub(crate) fn is_provided(service: &Entry) -> bool {
    service.value.get("provider").is_some_and(|provider| !provider.is_null())
}

/// A service without profiles is always there; `*` asks for every profile.
fn is_active(service: &Node, profiles: &[String]) -> bool {
    let asked = |node: &Node| node.scalar().is_some_and(|name| profiles.iter().any(|p| p == name || p == "*"));
    match service.get("profiles") {
        Some(own) if !own.items().is_empty() => own.items().iter().any(asked),
        _ => true,
    }
}

/// The services whose success `service` waits for.
fn awaited(service: &Node) -> impl Iterator<Item = &str> {
    let conditions = service.get("depends_on").and_then(Node::map).into_iter().flat_map(Map::iter);
    let completed =
        |entry: &&Entry| entry.value.get("condition").and_then(Node::scalar) == Some("service_completed_successfully");
    conditions.filter(completed).map(|entry| entry.key.as_str())
}
