//! How other services reach one, and how much of it may be missing.

use std::collections::BTreeSet;

use daybook_model::Launch;
use daybook_model::launch::Role;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::transport;
use super::workload::Kind;
use super::{Surroundings, environment_annotations, meta};
use crate::names;

/// The Services by which others find a launch's service: one under its name, and one for each alias.
pub(crate) fn services(launch: &Launch, around: &Surroundings) -> Vec<Service> {
    if launch.role != Role::Main || launch.ports.is_empty() {
        return Vec::new();
    }
    let aliases = launch.container.networks.iter().flat_map(|(_, attachment)| attachment.aliases.iter());
    let called: BTreeSet<String> =
        std::iter::once(launch.id.service.as_str()).chain(aliases.map(String::as_str)).map(names::resource).collect();
    called.into_iter().map(|name| service(launch, &name, around)).collect()
}

fn service(launch: &Launch, name: &str, around: &Surroundings) -> Service {
    // One that is published twice is one port here.
    let mut known = BTreeSet::new();
    let ports = launch.ports.iter().map(|port| (port.container, transport(port.protocol)));
    let ports = ports.filter(|port| known.insert(*port)).map(|(number, protocol)| ServicePort {
        name: Some(format!("{}-{number}", protocol.to_lowercase())),
        port: number.into(),
        target_port: Some(IntOrString::Int(number.into())),
        protocol: Some(protocol.to_owned()),
        ..ServicePort::default()
    });
    Service {
        metadata: meta(around, name, labels(launch, around), environment_annotations(&launch.key, around)),
        spec: Some(ServiceSpec {
            ports: Some(ports.collect()),
            selector: Some(around.of_service(launch)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// One replica at a time may be taken away when machines are emptied.
pub(crate) fn budget(launch: &Launch, around: &Surroundings) -> Option<PodDisruptionBudget> {
    let is_kept = launch.role == Role::Main && Kind::of(launch) != Kind::Job;
    (is_kept && !launch.ports.is_empty()).then(|| {
        let pods = Some(around.of_service(launch));
        let name = names::resource(launch.id.service.as_str());
        PodDisruptionBudget {
            metadata: meta(around, &name, labels(launch, around), environment_annotations(&launch.key, around)),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                selector: Some(LabelSelector { match_labels: pods, ..LabelSelector::default() }),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        }
    })
}

fn labels(launch: &Launch, around: &Surroundings) -> super::Pairs {
    let mut labels = around.of_environment(&launch.key);
    labels.insert(super::SERVICE.to_owned(), names::label_value(launch.id.service.as_str()));
    labels
}
