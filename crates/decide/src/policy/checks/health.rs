//! How a service is known to work, and what a change of it interrupts.

use daybook_model::policy::KeyPath;
use daybook_model::spec::{CheckTest, Kind, Protocol, RolloutOrder, Service};

use crate::policy::{Found, Mend, Runtime, Subject, images};

/// Whether requests come to it: it has a public name, or listens.
fn serves(service: &Service) -> bool {
    service.kind == Kind::Service
        && (!service.routes.is_empty() || service.ports.iter().any(|port| port.protocol != Protocol::Udp))
}

fn is_checked(service: &Service) -> bool {
    service.check.as_ref().is_some_and(|check| !matches!(check.test, CheckTest::Disabled | CheckTest::Running))
}

pub(in crate::policy) fn readiness(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated().filter(|service| serves(service) && !is_checked(service)) {
        let message = format!("`{}` gets requests as soon as its port is open", service.name);
        found.at(&service.name, &["healthcheck"], message);
    }
}

pub(in crate::policy) fn liveness(subject: &Subject<'_>, found: &mut Found) {
    let always = subject.replicated().filter(|service| service.kind == Kind::Service && !serves(service));
    for service in always.filter(|service| !is_checked(service)) {
        let message = format!("nothing says whether `{}` works", service.name);
        found.at(&service.name, &["healthcheck"], message);
    }
}

pub(in crate::policy) fn check_port(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        let Some(CheckTest::Http { port, .. } | CheckTest::Tcp { port }) =
            service.check.as_ref().map(|check| &check.test)
        else {
            continue;
        };
        if !service.ports.iter().any(|own| own.container == *port) {
            let path = KeyPath::service(&service.name, &["expose"]);
            found
                .at(
                    &service.name,
                    &["healthcheck"],
                    format!("`{}` is asked on port {port}, which it does not name", service.name),
                )
                .append(path, &format!("\"{port}\""));
        }
    }
}

/// Data that one replica alone may write binds a service to it.
fn is_single_by_nature(subject: &Subject<'_>, service: &Service) -> bool {
    service.single_writer(&subject.spec.volumes).is_some()
        || images::database(service).is_some()
        || service.container.options.network_mode.is_some()
}

pub(in crate::policy) fn single_replica(subject: &Subject<'_>, found: &mut Found) {
    if !subject.is_production() {
        return;
    }
    let alone = subject.replicated().filter(|service| serves(service) && service.scale.min < 2);
    for service in alone.filter(|service| !is_single_by_nature(subject, service)) {
        let at = |keys: &[&str]| KeyPath::service(&service.name, keys);
        found
            .at(&service.name, &["scale"], format!("`{}` has one replica", service.name))
            .set(vec![at(&["scale", "min"]), at(&["deploy", "replicas"]), at(&["scale"])], 2);
    }
}

pub(in crate::policy) fn disruption(subject: &Subject<'_>, found: &mut Found) {
    let stops =
        subject.replicated().filter(|service| serves(service) && service.rollout.order == RolloutOrder::StopFirst);
    for service in stops.filter(|service| subject.runtime == Runtime::Process || !is_single_by_nature(subject, service))
    {
        let at = |keys: &[&str]| KeyPath::service(&service.name, keys);
        let message = format!("`{}` stops before its new version starts", service.name);
        found
            .at(&service.name, &["rollout"], message)
            .set(vec![at(&["deploy", "update_config", "order"]), at(&["rollout", "order"])], "start-first");
    }
}
