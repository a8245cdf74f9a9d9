//! The launch that stands for all replicas of a service: as the executor makes one, without any secret's value.

use daybook_model::database::{DatabaseFact, DatabaseUse, ca_path};
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::{LaunchFile, OutsideNames, Role};
use daybook_model::spec::{Artifact, EnvValue, FileContent, SecretRef, ServiceFact, TemplatePart};
use daybook_model::{Digest, Launch, ReleaseNumber, ReplicaId, RunId, Service, ServiceName, Spec};

use crate::names;

/// The launch of `service` in a role. An error says what the manifest asks of it that has no answer.
pub(crate) fn launch(spec: &Spec, service: &Service, role: Role) -> Result<Launch, String> {
    let environment = service.container.environment.iter().map(|(name, value)| Ok((name.clone(), text(spec, value)?)));
    let (image, server) = match &service.artifact {
        Artifact::Image { reference, server, .. } => (Some(reference.clone()), server.clone()),
        Artifact::Build(_) | Artifact::Static { .. } | Artifact::StatusPage(_) | Artifact::Chart(_) => (None, None),
    };
    let mut launch = Launch {
        key: spec.key.clone(),
        id: ReplicaId::new(service.name.clone(), 1),
        role,
        release: ReleaseNumber(1),
        run: RunId::NONE,
        fingerprint: Fingerprint::of(service),
        artifact: service.artifact.digest().copied().unwrap_or_else(|| Digest::of(b"")),
        image,
        server,
        container: service.container.clone(),
        environment: environment.collect::<Result<_, String>>()?,
        files: service.container.files.iter().map(file).collect(),
        hosts: Vec::new(),
        ports: service.ports.clone(),
        check: service.effective_check(),
        restart: service.restart,
        stop: service.stop.clone(),
        outside: OutsideNames::of(spec),
    };
    launch.fit(service);
    Ok(launch)
}

/// What a person has to put in the place of a secret.
pub(super) fn place(secret: &SecretRef) -> String {
    let any = if secret.generate { ": any random text" } else { "" };
    format!("<{}{any}>", secret.name)
}

/// A variable's value, with [`place`] where a secret is.
fn text(spec: &Spec, value: &EnvValue) -> Result<String, String> {
    match value {
        EnvValue::Text(text) => Ok(text.clone()),
        EnvValue::Secret(secret) => Ok(place(secret)),
        EnvValue::Template(parts) => parts.iter().map(|part| text_of(spec, part)).collect(),
    }
}

pub(super) fn text_of(spec: &Spec, part: &TemplatePart) -> Result<String, String> {
    match part {
        TemplatePart::Text(text) => Ok(text.clone()),
        TemplatePart::Secret(secret) => Ok(place(secret)),
        TemplatePart::Service(name, fact) => fact_of(spec, name, *fact),
        TemplatePart::Database(used) => Ok(fact_of_database(spec, used)),
    }
}

/// A database of ours is a service there too. Who logs in to it is made by hand.
fn fact_of_database(spec: &Spec, used: &DatabaseUse) -> String {
    let Some((engine, kept)) = spec.databases.get(&used.database).and_then(|found| Some((found.engine, found.kept()?)))
    else {
        return place(&used.login);
    };
    let login = place(&kept.password);
    let host = names::resource(kept.service.as_str());
    let (scheme, port) = (engine.scheme(), kept.port);
    match used.fact {
        DatabaseFact::Url => format!("{scheme}://{}:{login}@{host}:{port}/{}", kept.admin, kept.name),
        DatabaseFact::Host => host,
        DatabaseFact::Port => port.to_string(),
        DatabaseFact::User => kept.admin.clone(),
        DatabaseFact::Password => login,
        DatabaseFact::Name => kept.name.clone(),
        DatabaseFact::Ca => ca_path(&used.database),
    }
}

/// Services are reached by their names in the cluster's DNS.
fn fact_of(spec: &Spec, name: &ServiceName, fact: ServiceFact) -> Result<String, String> {
    let host = names::resource(name.as_str());
    let port = spec.services.get(name).and_then(|service| service.ports.first()).map(|port| port.container);
    match (fact, port) {
        (ServiceFact::Host, _) => Ok(host),
        (ServiceFact::Port, Some(port)) => Ok(port.to_string()),
        (ServiceFact::Url, Some(port)) => Ok(format!("http://{host}:{port}")),
        (ServiceFact::Port | ServiceFact::Url, None) => Err(format!("it asks for the port of {name}, which has none")),
    }
}

fn file(file: &daybook_model::spec::FileMount) -> LaunchFile {
    let content = match &file.content {
        FileContent::Text(text) => text.clone().into_bytes(),
        _ => Vec::new(),
    };
    LaunchFile { target: file.target.clone(), content, uid: file.uid, gid: file.gid, mode: file.mode }
}
