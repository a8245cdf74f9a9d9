//! From a launch to the objects that Kubernetes runs: pure, so that what is applied and what
//! `daybook export kubernetes` writes is one thing.

mod container;
pub(crate) mod edge;
pub(crate) mod entry;
mod files;
pub(crate) mod helper;
mod mounts;
mod namespace;
mod network;
pub(crate) mod pod;
pub(crate) mod quota;
mod security;
mod service;
mod volume;
pub(crate) mod workload;

use std::collections::BTreeMap;

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::{Launch, ReplicaId};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::names;

pub(crate) use container::{NAME as CONTAINER, is_plain, secret_key, transport};
pub(crate) use files::{config_map, file_key, secret};
pub(crate) use mounts::claim_name;
pub(crate) use namespace::namespace;
pub(crate) use network::{CLOSED, closed, network};
pub(crate) use pod::LEAVING;
pub(crate) use security::{Level, needs};
pub(crate) use service::{budget, services};
pub(crate) use volume::claim;
pub(crate) use workload::{Kind, Workload, workload};

/// Labels by which objects are selected. Their values may be shortened: annotations say exactly what a thing is.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on all that is ours.
pub(crate) const DAYBOOK: &str = "daybook";
pub(crate) const APP: &str = "app.kubernetes.io/part-of";
pub(crate) const SERVICE: &str = "app.kubernetes.io/name";
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
pub(crate) const ENVIRONMENT: &str = "daybook.dev/environment";
pub(crate) const ROLE: &str = "daybook.dev/role";
/// The annotation of pods whose Job tries more than once.
pub(crate) const RETRIES: &str = "daybook.dev/retries";

/// Labels or annotations.
pub(crate) type Pairs = BTreeMap<String, String>;

/// Who decides about what is made, from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tended {
    /// Daybook: each replica has its workload, and everything says whose it is.
    #[default]
    ByUs,
    /// Whoever applies it: a service has one workload of a name that lasts, and nothing carries our marks, by which a
    /// Daybook would take it for its own.
    ByOthers,
}

/// What a launch does not say of the cluster that it goes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// Reference of the image, by digest.
    pub(crate) image: String,
    /// The user that the image names, as far as it is known.
    pub(crate) image_user: Option<String>,
    /// Annotations that say whose a thing is.
    pub(crate) owner: Pairs,
    /// The namespace of the environment.
    pub(crate) namespace: String,
    /// Who tends what is made.
    pub(crate) tended: Tended,
}

impl Surroundings {
    /// The labels of everything of an environment.
    fn of_environment(&self, key: &EnvKey) -> Pairs {
        self.marked(of_environment(key))
    }

    /// The labels that all replicas of a launch's service have.
    pub(crate) fn of_service(&self, launch: &Launch) -> Pairs {
        self.marked(of_service(&launch.key, launch.id.service.as_str(), launch.role))
    }

    /// The labels of a launch's workload and pods.
    pub(crate) fn of_replica(&self, launch: &Launch) -> Pairs {
        match self.tended {
            Tended::ByUs => of_replica(&launch.key, &launch.id, launch.role),
            Tended::ByOthers => self.of_service(launch),
        }
    }

    /// What a launch's workload is called.
    pub(crate) fn workload(&self, launch: &Launch) -> String {
        match self.tended {
            Tended::ByUs => names::workload(&launch.id, launch.role),
            Tended::ByOthers => {
                let suffix = if launch.role == Role::Hook { "-release" } else { "" };
                names::of_service(launch.id.service.as_str(), suffix)
            }
        }
    }

    /// What the Secret and the ConfigMap of a launch are called.
    pub(crate) fn beside(&self, launch: &Launch) -> String {
        match self.tended {
            Tended::ByUs => names::workload(&launch.id, launch.role),
            Tended::ByOthers => names::of_service(launch.id.service.as_str(), ""),
        }
    }

    fn marked(&self, mut labels: Pairs) -> Pairs {
        if self.tended == Tended::ByOthers {
            labels.remove(MANAGED_BY);
        }
        labels
    }
}

/// The labels of everything of an environment.
pub(crate) fn of_environment(key: &EnvKey) -> Pairs {
    pairs([
        (MANAGED_BY, DAYBOOK.to_owned()),
        (APP, names::label_value(key.app.as_str())),
        (ENVIRONMENT, names::label_value(key.env.as_str())),
    ])
}

/// The labels of one replica's workload and pods.
pub(crate) fn of_replica(key: &EnvKey, id: &ReplicaId, role: Role) -> Pairs {
    let mut all = of_service(key, id.service.as_str(), role);
    all.insert(INSTANCE.to_owned(), names::workload(id, role));
    all
}

/// The labels that all replicas of a service have.
pub(crate) fn of_service(key: &EnvKey, service: &str, role: Role) -> Pairs {
    let mut all = of_environment(key);
    all.insert(SERVICE.to_owned(), names::label_value(service));
    all.insert(ROLE.to_owned(), role_text(role).to_owned());
    all
}

/// A selector in the notation of lists and watches.
pub(crate) fn selector(labels: &Pairs) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

fn role_text(role: Role) -> &'static str {
    match role {
        Role::Main => "main",
        Role::Hook => "hook",
        Role::Job => "job",
        Role::OneOff => "run",
    }
}

fn pairs<const N: usize>(all: [(&str, String); N]) -> Pairs {
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The annotations that say exactly what a replica is, and those labels of the manifest that Kubernetes takes.
fn annotations(launch: &Launch, around: &Surroundings) -> Pairs {
    let all: Pairs = match around.tended {
        Tended::ByUs => {
            let owner = around.owner.clone().into_iter().collect();
            daybook_runtime::identity::of_launch(launch, &owner).into_iter().collect()
        }
        Tended::ByOthers => launch.container.labels.clone(),
    };
    all.into_iter().filter(|(name, _)| is_qualified_name(name)).collect()
}

/// The annotations of a volume or a network.
fn resource_annotations(key: &EnvKey, name: &str, around: &Surroundings, written: &Pairs) -> Pairs {
    let written = written.clone().into_iter().filter(|(name, _)| is_qualified_name(name));
    if around.tended == Tended::ByOthers {
        return written.collect();
    }
    let mut all: Pairs = daybook_runtime::identity::of_resource(key, name, written).into_iter().collect();
    all.extend(around.owner.clone());
    all
}

/// The annotations of what belongs to an environment as a whole.
fn environment_annotations(key: &EnvKey, around: &Surroundings) -> Pairs {
    if around.tended == Tended::ByOthers {
        return Pairs::new();
    }
    let mut all: Pairs = daybook_runtime::identity::of_environment(key).into_iter().collect();
    all.extend(around.owner.clone());
    all
}

/// Whether `name` may be the key of a label or an annotation: an optional DNS prefix and a name.
fn is_qualified_name(name: &str) -> bool {
    let (prefix, name) = name.split_once('/').map_or((None, name), |(prefix, name)| (Some(prefix), name));
    let ends = |text: &str| {
        let alphanumeric = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        alphanumeric(text.bytes().next()) && alphanumeric(text.bytes().last())
    };
    let is_name = |text: &str| {
        text.len() <= 63 && ends(text) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let is_prefix = |text: &str| {
        text.len() <= 253
            && text.split('.').all(|part| {
                ends(part) && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            })
    };
    is_name(name) && prefix.is_none_or(is_prefix)
}

fn meta(around: &Surroundings, name: &str, labels: Pairs, annotations: Pairs) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(around.namespace.clone()),
        labels: Some(labels),
        annotations: some(annotations),
        ..ObjectMeta::default()
    }
}

fn some(all: Pairs) -> Option<Pairs> {
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
pub(crate) mod tests;
