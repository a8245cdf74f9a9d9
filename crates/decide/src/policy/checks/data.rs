//! What keeps data: who reaches it, and what is left of it after a disaster.

use daybook_model::VolumeName;
use daybook_model::policy::KeyPath;
use daybook_model::spec::{Artifact, MountSource, Service, Volume};

use super::network::{bind_to_loopback, open_ports, published};
use crate::policy::{Found, Subject, images};

/// Labels that say of a volume, or of the service, what becomes of its data.
const ENCRYPTION: [&str; 2] = ["encryption", "daybook.encryption"];
const BACKUP: [&str; 2] = ["backup", "daybook.backup"];

impl<'a> Subject<'a> {
    /// The named volumes that a service mounts, with what is declared of them, and whether it only reads them.
    pub(super) fn volumes_of(
        &self,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a VolumeName, Option<&'a Volume>, bool)> {
        let volumes = &self.spec.volumes;
        service.container.mounts.iter().filter_map(move |mount| match &mount.source {
            MountSource::Volume { name, .. } => Some((name, volumes.get(name), mount.read_only)),
            _ => None,
        })
    }

    /// Volumes that somebody writes to and that are ours to look after, with one who writes; each once.
    pub(in crate::policy) fn kept(&self) -> Vec<(&'a VolumeName, &'a Volume, &'a Service)> {
        let mut kept: Vec<(&VolumeName, &Volume, &Service)> = Vec::new();
        for service in self.replicated() {
            for (name, volume, read_only) in self.volumes_of(service) {
                let Some(volume) = volume.filter(|volume| !volume.external && !read_only) else { continue };
                if !kept.iter().any(|(known, ..)| *known == name) {
                    kept.push((name, volume, service));
                }
            }
        }
        kept
    }
}

/// Whether somebody said how `volume`, or else the data of `service`, is looked after.
fn says(labels: &[&str], volume: Option<&Volume>, service: &Service) -> bool {
    let has = |own: &std::collections::BTreeMap<String, String>| {
        labels
            .iter()
            .any(|label| own.get(*label).is_some_and(|value| !matches!(value.as_str(), "" | "false" | "none" | "no")))
    };
    volume.is_some_and(|volume| has(&volume.labels)) || has(&service.container.labels)
}

/// Whether somebody said how the data of `volume` is backed up, or Daybook does it.
pub(in crate::policy) fn is_backed_up(subject: &Subject<'_>, volume: &Volume, service: &Service) -> bool {
    has_policy(subject, service) || volume.backup.is_some() || says(&BACKUP, Some(volume), service)
}

/// Whether Daybook backs a volume up with its database told to hold still: files that it writes to are of no one state.
fn is_quiet(volume: Option<&Volume>) -> bool {
    volume.and_then(|volume| volume.backup.as_ref()).is_some_and(|policy| !policy.before.is_empty())
}

fn has_policy(subject: &Subject<'_>, service: &Service) -> bool {
    subject.spec.databases.values().any(|database| database.is_run_by(&service.name) && database.backup.is_some())
}

pub(in crate::policy) fn public(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        let Some(database) = images::database(service) else { continue };
        for port in open_ports(service) {
            let message =
                format!("{database} of `{}` is reachable from outside, at port {}", service.name, port.container);
            bind_to_loopback(found.add(Some(&service.name), published(service, port), message), service, port);
        }
        for route in &service.routes {
            let message = format!("{database} of `{}` has the public name {}", service.name, route.host);
            found.at(&service.name, &["domain"], message);
        }
    }
}

pub(in crate::policy) fn unencrypted(subject: &Subject<'_>, found: &mut Found) {
    if !subject.is_production() {
        return;
    }
    for (name, volume, service) in subject.kept() {
        if !says(&ENCRYPTION, Some(volume), service) {
            let path = KeyPath::root(&["volumes", name.as_str()]);
            found.add(Some(&service.name), path, format!("nothing says that the volume {name} is encrypted"));
        }
    }
}

pub(in crate::policy) fn no_backup(subject: &Subject<'_>, found: &mut Found) {
    if !subject.is_production() {
        return;
    }
    for service in subject.replicated() {
        let Some(database) = images::database(service).filter(|database| database.keeps) else { continue };
        if has_policy(subject, service) || !matches!(service.artifact, Artifact::Image { .. } | Artifact::Build(_)) {
            continue;
        }
        let volumes: Vec<_> = subject.volumes_of(service).filter(|(.., read_only)| !read_only).collect();
        if volumes.is_empty() && !says(&BACKUP, None, service) {
            let message =
                format!("{database} of `{}` keeps its data in the replica, which takes it along", service.name);
            found.at(&service.name, &["volumes"], message);
        }
        let is_told = |volume: Option<&Volume>| is_quiet(volume) || says(&BACKUP, volume, service);
        for (name, ..) in volumes.into_iter().filter(|(_, volume, _)| !is_told(*volume)) {
            let message = format!("nothing says that {database} of `{}` is backed up", service.name);
            found.add(Some(&service.name), KeyPath::root(&["volumes", name.as_str()]), message);
        }
    }
}
