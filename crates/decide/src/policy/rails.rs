//! Guard rails: each says whether a policy sets it, and finds what breaks it.

use daybook_model::policy::{KeyPath, Rails};
use daybook_model::spec::Artifact;

use super::checks::data;
use super::{Found, Subject, images};

pub(super) fn registry(subject: &Subject<'_>, rails: &Rails, found: &mut Found) -> bool {
    for service in subject.spec.services.values().filter(|_| !rails.registries.is_empty()) {
        let Artifact::Image { reference, .. } = &service.artifact else { continue };
        let full = full_name(images::repository(reference));
        let comes_from = |registry: &String| {
            let registry = registry.trim_end_matches('/');
            full.strip_prefix(registry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !rails.registries.iter().any(comes_from) {
            let allowed = rails.registries.join(", ");
            let message = format!("the image {reference} of `{}` is from none of {allowed}", service.name);
            found.at(&service.name, &["image"], message);
        }
    }
    !rails.registries.is_empty()
}

/// An image's name with its registry, which is Docker Hub where it names none: `docker.io/library/nginx`.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

pub(super) fn target(subject: &Subject<'_>, rails: &Rails, found: &mut Found) -> bool {
    let target = subject.spec.target.as_ref().map_or_else(|| "local".to_owned(), ToString::to_string);
    if !rails.targets.is_empty() && !rails.targets.iter().any(|pattern| fits(pattern, &target)) {
        let message = format!("the target {target} is none of {}", rails.targets.join(", "));
        found.add(None, KeyPath::root(&["target"]), message);
    }
    !rails.targets.is_empty()
}

pub(super) fn region(subject: &Subject<'_>, rails: &Rails, found: &mut Found) -> bool {
    if rails.regions.is_empty() {
        return false;
    }
    let allowed = rails.regions.join(", ");
    let message = match &subject.spec.budget {
        Some(budget) if rails.regions.iter().any(|pattern| fits(pattern, &budget.place)) => return true,
        Some(budget) => format!("the region {} is none of {allowed}", budget.place),
        None => format!("nothing says which region this is: one of {allowed}"),
    };
    found.add(None, KeyPath::root(&["budget", "at"]), message);
    true
}

/// Whether `word` is `pattern`, of which a `*` at the end stands for anything.
fn fits(pattern: &str, word: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == word, |head| word.starts_with(head))
}

pub(super) fn size(subject: &Subject<'_>, rails: &Rails, found: &mut Found) -> bool {
    for service in subject.replicated() {
        let resources = &service.container.resources;
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        let cores = |millis: u64| format!("{millis}m");
        let rows = [
            ("mem_limit", "of memory", rails.most_memory_bytes, resources.memory_bytes, mib as fn(u64) -> String),
            ("cpus", "of processor", rails.most_cpu_millis, resources.cpu_millis, cores),
            ("scale", "replicas", rails.most_replicas.map(u64::from), Some(u64::from(service.scale.max)), |count| {
                count.to_string()
            }),
        ];
        for (key, what, most, has, show) in rows {
            let Some(most) = most else { continue };
            let message = match has {
                Some(has) if has <= most => continue,
                Some(has) => {
                    format!("`{}` asks for {} {what}, of which {} are allowed", service.name, show(has), show(most))
                }
                None => format!("`{}` names no bound {what}, of which {} are allowed", service.name, show(most)),
            };
            found.at(&service.name, &[key], message);
        }
    }
    rails.most_memory_bytes.is_some() || rails.most_cpu_millis.is_some() || rails.most_replicas.is_some()
}

pub(super) fn labels(subject: &Subject<'_>, rails: &Rails, found: &mut Found) -> bool {
    for service in subject.replicated() {
        let own = &service.container.labels;
        for label in rails.labels.iter().filter(|label| own.get(*label).is_none_or(String::is_empty)) {
            found.at(&service.name, &["labels"], format!("`{}` has no label {label}", service.name));
        }
    }
    !rails.labels.is_empty()
}

pub(super) fn backups(subject: &Subject<'_>, rails: &Rails, found: &mut Found) -> bool {
    if rails.backups && subject.protected {
        for (name, _, service) in
            subject.kept().into_iter().filter(|(_, volume, service)| !data::is_backed_up(subject, volume, service))
        {
            let path = KeyPath::root(&["volumes", name.as_str()]);
            found.add(Some(&service.name), path, format!("nothing says that the volume {name} is backed up"));
        }
    }
    rails.backups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_registry_are_docker_hubs() {
        assert_eq!(full_name("nginx"), "docker.io/library/nginx");
        assert_eq!(full_name("grafana/grafana"), "docker.io/grafana/grafana");
        assert_eq!(full_name("registry:5000/app"), "registry:5000/app");
        assert_eq!(full_name("ghcr.io/team/app"), "ghcr.io/team/app");
    }

    #[test]
    fn a_star_at_the_end_stands_for_anything() {
        assert!(fits("aws/eu-*", "aws/eu-central-1") && fits("*", "x") && fits("local", "local"));
        assert!(!fits("aws/eu-*", "aws/us-east-1") && !fits("loc", "local"));
    }
}
