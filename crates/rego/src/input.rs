//! What rules are asked about.
//!
//! Its shape is ours to keep, apart from that of a specification: `docs/policy.md` describes it.

use daybook_model::Spec;
use daybook_model::policy::Remarks;
use daybook_model::secrecy::is_secret;
use daybook_model::spec::{Artifact, EnvValue, Kind, MountSource, Protocol, Service, TemplatePart, Tls};
use serde_json::{Map, Value as Json, json};

/// What rules are told beside the specification.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// `process`, `docker`, `kubernetes`.
    pub runtime: &'a str,
    /// Somebody said that the environment matters.
    pub protected: bool,
    /// What only the manifest's text shows.
    pub remarks: &'a Remarks,
}

/// The document: `{app, environment, target, runtime, protected, services, volumes, networks}`.
pub fn input(spec: &Spec, about: About<'_>) -> Json {
    let services = spec.services.iter().map(|(name, one)| (name.to_string(), service(one, about.remarks)));
    let volumes = spec.volumes.iter().map(|(name, volume)| {
        (name.to_string(), json!({"external": volume.external, "driver": volume.driver, "labels": volume.labels}))
    });
    let networks = spec.networks.iter().map(|(name, network)| {
        (
            name.to_string(),
            json!({"external": network.external, "internal": network.internal, "labels": network.labels}),
        )
    });
    json!({
        "app": spec.key.app,
        "environment": spec.key.env,
        "target": spec.target.as_ref().map(ToString::to_string),
        "runtime": about.runtime,
        "protected": about.protected,
        "services": services.collect::<Map<_, _>>(),
        "volumes": volumes.collect::<Map<_, _>>(),
        "networks": networks.collect::<Map<_, _>>(),
    })
}

fn service(service: &Service, remarks: &Remarks) -> Json {
    let container = &service.container;
    let options = &container.options;
    let is_known =
        |variable: &str| remarks.clear_secrets.iter().any(|(name, known)| *name == service.name && known == variable);
    let variables =
        container.environment.iter().map(|(name, value)| (name.clone(), variable(name, value, is_known(name))));
    let resources = &container.resources;
    json!({
        "line": service.line,
        "kind": match service.kind {
            Kind::Service => "service",
            Kind::Task => "task",
            Kind::Job(_) => "job",
        },
        "image": match &service.artifact {
            Artifact::Image { reference, .. } => Some(reference.as_str()),
            _ => None,
        },
        "build": matches!(service.artifact, Artifact::Build(_)),
        "static": matches!(service.artifact, Artifact::Static { .. }),
        "status_page": matches!(service.artifact, Artifact::StatusPage(_)),
        "chart": service.artifact.chart().map(|chart| chart.reference.as_str()),
        "command": container.command,
        "user": container.user,
        "environment": variables.collect::<Map<_, _>>(),
        "labels": container.labels,
        "cpu_millis": resources.cpu_millis,
        "memory_bytes": resources.memory_bytes,
        "pids": resources.pids,
        "gpus": resources.gpus,
        "replicas": {"min": service.scale.min, "max": service.scale.max},
        "ports": service.ports.iter().map(|port| json!({
            "container": port.container,
            "udp": port.protocol == Protocol::Udp,
            "published": port.publish.as_ref().and_then(|publish| publish.port),
            "is_published": port.publish.is_some(),
            "ip": port.publish.as_ref().and_then(|publish| publish.ip),
        })).collect::<Vec<_>>(),
        "domains": service.routes.iter().map(|route| json!({
            "host": route.host,
            "path": route.path,
            "port": route.port,
            "tls": route.tls != Tls::Off,
        })).collect::<Vec<_>>(),
        "mounts": container.mounts.iter().map(|mount| {
            let (kind, source) = match &mount.source {
                MountSource::Volume { name, .. } => ("volume", Some(name.to_string())),
                MountSource::Bind { path, .. } => ("bind", Some(path.clone())),
                MountSource::Anonymous => ("volume", None),
                MountSource::Tmpfs { .. } => ("tmpfs", None),
            };
            json!({"type": kind, "source": source, "target": mount.target, "read_only": mount.read_only})
        }).collect::<Vec<_>>(),
        "networks": container.networks.keys().map(ToString::to_string).collect::<Vec<_>>(),
        "network_mode": options.network_mode,
        "privileged": options.privileged,
        "read_only": options.read_only,
        "cap_add": options.cap_add,
        "cap_drop": options.cap_drop,
        "security_opt": options.security_opt,
        "has_healthcheck": service.check.is_some(),
        "depends_on": service.depends_on.iter().map(|other| other.service.to_string()).collect::<Vec<_>>(),
    })
}

/// `{"text": …}`, `{"secret": NAME}` or `{"template": …}`. What may be a secret is `{"secret": null}`.
fn variable(name: &str, value: &EnvValue, is_known: bool) -> Json {
    match value {
        EnvValue::Text(text) if is_known || is_secret(name, text) => json!({"secret": null}),
        EnvValue::Text(text) => json!({"text": text}),
        EnvValue::Secret(secret) => json!({"secret": secret.name}),
        EnvValue::Template(parts) => {
            let shown = parts.iter().map(|part| match part {
                TemplatePart::Text(text) if is_secret(name, text) => "…".to_owned(),
                TemplatePart::Text(text) => text.clone(),
                TemplatePart::Service(other, _) => format!("${{{other}}}"),
                TemplatePart::Secret(secret) => format!("${{secret.{}}}", secret.name),
                TemplatePart::Database(used) => format!("${{{}.{}}}", used.database, used.fact.word()),
            });
            json!({"template": shown.collect::<String>()})
        }
    }
}
