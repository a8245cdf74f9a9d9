//! Which services need which, and what is therefore related.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use daybook_model::incident::Alert;
use daybook_model::{ServiceName, Spec};

use super::Incident;
use crate::diagram::Graph;

/// Who needs whom, and who runs where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Related {
    /// What each service needs at once: other services, and those that run its databases.
    needs: BTreeMap<ServiceName, BTreeSet<ServiceName>>,
    /// Which services have replicas on each machine.
    hosts: BTreeMap<String, BTreeSet<ServiceName>>,
}

/// Services further apart than this are not related.
const FAR: u32 = 3;

impl Related {
    /// What a specification says: the flows of its picture, which come from `depends_on`, from variables that name a
    /// service or a database, and from addresses. Services that write to one volume need each other.
    pub fn of(spec: &Spec) -> Self {
        let graph = Graph::of(spec);
        let mut related = Self::default();
        let service = |id: &str| id.strip_prefix("service:").and_then(|name| ServiceName::new(name).ok());
        let mut users: BTreeMap<&str, Vec<ServiceName>> = BTreeMap::new();
        for flow in &graph.flows {
            match (service(&flow.from), service(&flow.to)) {
                (Some(from), Some(to)) => related.need(&from, &to),
                (Some(from), None) if flow.to.starts_with("volume:") => {
                    users.entry(&flow.to).or_default().push(from);
                }
                _ => {}
            }
        }
        for sharing in users.values() {
            for one in sharing {
                sharing.iter().filter(|other| *other != one).for_each(|other| related.need(one, other));
            }
        }
        related
    }

    /// Says that one needs another.
    pub fn need(&mut self, from: &ServiceName, to: &ServiceName) {
        self.needs.entry(from.clone()).or_default().insert(to.clone());
    }

    /// Says that a service has a replica on a machine.
    pub fn place(&mut self, service: &ServiceName, host: &str) {
        self.hosts.entry(host.to_owned()).or_default().insert(service.clone());
    }

    /// The services on a machine.
    pub fn on(&self, host: &str) -> impl Iterator<Item = &ServiceName> {
        self.hosts.get(host).into_iter().flatten()
    }

    /// How many steps of need lead from one to another: 0 to itself. `None`: it does not need it.
    pub fn distance(&self, from: &ServiceName, to: &ServiceName) -> Option<u32> {
        let mut seen = BTreeSet::from([from]);
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((name, far)) = queue.pop_front() {
            if name == to {
                return Some(far);
            }
            let next = self.needs.get(name).into_iter().flatten().filter(|name| seen.insert(name));
            queue.extend(next.map(|name| (name, far + 1)));
        }
        None
    }

    /// Whether trouble of one may be trouble of the other: one needs the other, or both need a third.
    pub fn are_related(&self, one: &ServiceName, other: &ServiceName) -> bool {
        let near = |from, to| self.distance(from, to).is_some_and(|far| far <= FAR);
        if near(one, other) || near(other, one) {
            return true;
        }
        let needs = |name: &ServiceName| self.needs.get(name).cloned().unwrap_or_default();
        !needs(one).is_disjoint(&needs(other))
    }

    /// Why an alert belongs to an incident, in words. `None`: it does not.
    pub fn link(&self, alert: &Alert, incident: &Incident) -> Option<String> {
        let hosts: BTreeSet<_> = incident.alerts.iter().filter_map(|known| known.host.as_deref()).collect();
        if let Some(host) = alert.host.as_deref() {
            if hosts.contains(host) {
                return Some(format!("also on {host}"));
            }
            if alert.service.is_none() {
                let here = self.on(host).find(|service| incident.services.contains(*service))?;
                return Some(format!("{here} runs on {host}"));
            }
        }
        let Some(service) = &alert.service else {
            // Without a service or a machine it is about the whole environment, as are others of its kind.
            let known = incident.alerts.iter().any(|known| known.name == alert.name);
            return (known && alert.host.is_none()).then(|| "the same rule".to_owned());
        };
        if incident.services.contains(service) {
            return Some(format!("also {service}"));
        }
        if let Some(other) = incident.services.iter().find(|other| self.distance(service, other).is_some_and(within)) {
            return Some(format!("{service} needs {other}"));
        }
        if let Some(other) = incident.services.iter().find(|other| self.distance(other, service).is_some_and(within)) {
            return Some(format!("{other} needs {service}"));
        }
        if let Some(host) = hosts.iter().find(|host| self.on(host).any(|here| here == service)) {
            return Some(format!("{service} runs on {host}"));
        }
        let other = incident.services.iter().find(|other| self.are_related(service, other))?;
        Some(format!("{service} and {other} need the same"))
    }
}

fn within(far: u32) -> bool {
    far <= FAR
}
