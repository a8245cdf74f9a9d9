//! One replica's launch: a service's configuration with secrets and addresses filled in.

use std::net::IpAddr;

use daybook_model::database::{DatabaseFact, DatabaseUse, Engine, Keeper, ca_path};
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::{LaunchFile, OutsideNames, Role};
use daybook_model::spec::{Artifact, EnvValue, FileContent, SecretRef, ServiceFact, TemplatePart};
use daybook_model::{Launch, ReplicaId, Service, ServiceName};
use daybook_runtime::ErrorKind;
use url::Url;

use crate::act::service;
use crate::drive::RunContext;
use crate::{Error, Executor, Result, authority};

/// The replica whose launch is filled in.
struct Filling<'a> {
    cx: &'a RunContext,
    service: &'a Service,
    id: &'a ReplicaId,
    role: Role,
    /// Names of the services behind the edge, and where it answers for them.
    hosts: &'a [(String, IpAddr)],
}

impl Executor {
    pub(crate) async fn launch(&self, cx: &RunContext, id: &ReplicaId, role: Role) -> Result<Launch> {
        let service = service(cx, &id.service)?;
        let hosts = self.hosts(cx).await?;
        let filling = Filling { cx, service, id, role, hosts: &hosts };
        let environment = self.environment(&filling).await?;
        let files = self.files(&filling).await?;
        let artifact = service.artifact.digest().copied().ok_or_else(|| Error::Illegal {
            run: cx.run,
            why: format!("the artifact of {} is not resolved", service.name),
        })?;
        let (image, server) = match &service.artifact {
            Artifact::Image { reference, server, .. } => (Some(reference.clone()), server.clone()),
            _ => (None, None),
        };
        let mut launch = Launch {
            key: cx.key.clone(),
            id: id.clone(),
            role,
            release: cx.release,
            run: cx.run,
            fingerprint: Fingerprint::of(service),
            artifact,
            image,
            server,
            container: service.container.clone(),
            environment,
            files,
            hosts,
            ports: service.ports.clone(),
            check: service.effective_check(),
            restart: service.restart,
            stop: service.stop.clone(),
            outside: OutsideNames::of(&cx.spec),
        };
        launch.fit(service);
        Ok(launch)
    }

    /// Names of the services behind the edge, and where it answers for them.
    async fn hosts(&self, cx: &RunContext) -> Result<Vec<(String, IpAddr)>> {
        let mut hosts = Vec::new();
        for service in cx.spec.services.values().filter(|service| service.has_edge()) {
            if let Some(address) = self.inner.runtime.service_address(&cx.key, &service.name).await? {
                hosts.push((service.name.to_string(), address));
            }
        }
        Ok(hosts)
    }

    async fn environment(&self, filling: &Filling<'_>) -> Result<Vec<(String, String)>> {
        let written = &filling.service.container.environment;
        let mut out = Vec::with_capacity(written.len());
        for (name, value) in written {
            let value = match value {
                EnvValue::Text(text) => text.clone(),
                EnvValue::Secret(secret) => self.secret_text(filling.cx, secret).await?,
                EnvValue::Template(parts) => self.fill(filling, parts).await?,
            };
            out.push((name.clone(), value));
        }
        Ok(out)
    }

    async fn fill(&self, filling: &Filling<'_>, parts: &[TemplatePart]) -> Result<String> {
        let Filling { cx, hosts, .. } = *filling;
        let mut out = String::new();
        for part in parts {
            match part {
                TemplatePart::Text(text) => out.push_str(text),
                TemplatePart::Secret(secret) => out.push_str(&self.secret_text(cx, secret).await?),
                TemplatePart::Database(used) => {
                    let login = self.secret_text(cx, &used.login).await?;
                    let Filling { id, role, .. } = *filling;
                    let ca = self.inner.runtime.path_inside(&cx.key, id, role, &ca_path(&used.database)).await?;
                    out.push_str(&database_fact(filling, used, &login, &ca)?);
                }
                TemplatePart::Service(name, fact) => out.push_str(&fact_of(cx, name, *fact, hosts)?),
            }
        }
        Ok(out)
    }

    async fn secret(&self, cx: &RunContext, secret: &SecretRef) -> Result<Vec<u8>> {
        let value = self.inner.secrets.secret(&cx.key, secret).await;
        value.map_err(|why| Error::Secret { name: secret.name.to_string(), why })
    }

    async fn secret_text(&self, cx: &RunContext, secret: &SecretRef) -> Result<String> {
        let not_text = |_| Error::Secret { name: secret.name.to_string(), why: "its value is not text".to_owned() };
        String::from_utf8(self.secret(cx, secret).await?).map_err(not_text)
    }

    /// What a server of ours is proven by: a key and a certificate for every name that it is reached by.
    async fn certificate(&self, filling: &Filling<'_>, secret: &SecretRef) -> Result<String> {
        let Filling { cx, service, hosts, .. } = *filling;
        let own = service.name.as_str();
        let mut names = vec![own.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(service.container.networks.values().flat_map(|network| network.aliases.clone()));
        names.extend(hosts.iter().filter(|(host, _)| host == own).map(|(_, address)| address.to_string()));
        if let Some(target) = &cx.behind {
            // What still runs there calls it at its address there.
            let side = self.inner.places.at(target).await?;
            names.extend(side.runtime.service_address(&cx.key, &service.name).await?.map(|ip| ip.to_string()));
        }
        let authority = self.secret_text(cx, secret).await?;
        authority::server(&authority, names).map_err(|error| no_authority(secret, &error))
    }

    async fn files(&self, filling: &Filling<'_>) -> Result<Vec<LaunchFile>> {
        let Filling { cx, service, .. } = *filling;
        let mut out = Vec::with_capacity(service.container.files.len());
        for file in &service.container.files {
            let content = match &file.content {
                FileContent::Text(text) => text.clone().into_bytes(),
                FileContent::Template(parts) => self.fill(filling, parts).await?.into_bytes(),
                FileContent::Secret(secret) => self.secret(cx, secret).await?,
                FileContent::Authority(secret) => {
                    let authority = self.secret_text(cx, secret).await?;
                    let own = authority::certificate(&authority).map_err(|error| no_authority(secret, &error));
                    own?.into_bytes()
                }
                FileContent::Certificate(secret) => self.certificate(filling, secret).await?.into_bytes(),
                FileContent::HostFile(path) => host_file(path).await?,
            };
            out.push(LaunchFile {
                target: file.target.clone(),
                content,
                uid: file.uid,
                gid: file.gid,
                mode: file.mode,
            });
        }
        Ok(out)
    }
}

fn fact_of(cx: &RunContext, name: &ServiceName, fact: ServiceFact, hosts: &[(String, IpAddr)]) -> Result<String> {
    let service = service(cx, name)?;
    let address = hosts.iter().find(|(host, _)| host == name.as_str());
    let host = address.map_or_else(|| name.to_string(), |(_, ip)| ip.to_string());
    let port = service.ports.first().map(|port| port.container);
    Ok(match (fact, port) {
        (ServiceFact::Host, _) => host,
        (ServiceFact::Port, Some(port)) => port.to_string(),
        (ServiceFact::Url, Some(port)) => format!("http://{host}:{port}"),
        (ServiceFact::Port | ServiceFact::Url, None) => {
            let operation = format!("find the port of {name}");
            return Err(daybook_runtime::Error::new(ErrorKind::Refused, operation, "it declares none").into());
        }
    })
}

fn no_authority(secret: &SecretRef, error: &authority::Error) -> Error {
    let why = format!("it is no certificate authority: {error}; `daybook secret rotate {}` makes one", secret.name);
    Error::Secret { name: secret.name.to_string(), why }
}

/// What a service is told of a database: `login` is the value of the secret that it logs in by, `ca` is where it has
/// the authority's certificate, if the database has one.
fn database_fact(filling: &Filling<'_>, used: &DatabaseUse, login: &str, ca: &str) -> Result<String> {
    let Filling { cx, service, hosts, .. } = *filling;
    let name = &used.database;
    let database = cx.spec.databases.get(name).ok_or_else(|| Error::Illegal {
        run: cx.run,
        why: format!("{} uses the database {name}, and the spec does not have it", service.name),
    })?;
    let unusable = |why: String| {
        daybook_runtime::Error::new(ErrorKind::Refused, format!("find the address of the database {name}"), why)
    };
    let url = match &database.keeper {
        Keeper::Elsewhere { .. } if used.fact == DatabaseFact::Url => return Ok(login.to_owned()),
        Keeper::Elsewhere { .. } => Url::parse(login).map_err(|error| unusable(format!("its URL is none: {error}")))?,
        Keeper::Service(kept) => {
            let host = fact_of(cx, &kept.service, ServiceFact::Host, hosts)?;
            let user = match database.engine.has_tables() {
                true => daybook_model::database::login(&service.name, used.login.version.unwrap_or(1)),
                false => kept.admin.clone(),
            };
            let path = if database.engine.has_tables() { kept.name.as_str() } else { "0" };
            let scheme = match (database.engine, &kept.authority) {
                (Engine::Redis | Engine::Valkey, Some(_)) => "rediss",
                (engine, _) => engine.scheme(),
            };
            let verified = kept.authority.as_ref().and_then(|_| verified(database.engine, ca)).unwrap_or_default();
            let bare = format!("{scheme}://{host}:{}/{path}{verified}", kept.port);
            let mut url = Url::parse(&bare).map_err(|error| unusable(format!("{bare}: {error}")))?;
            let set = url.set_username(&user).and_then(|()| url.set_password(Some(login)));
            set.map_err(|()| unusable(format!("{bare} takes no login")))?;
            url
        }
    };
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Ok(match used.fact {
        DatabaseFact::Url => url.to_string(),
        DatabaseFact::Host => url.host_str().unwrap_or_default().to_owned(),
        DatabaseFact::Port => url.port().unwrap_or(database.engine.port()).to_string(),
        DatabaseFact::User => decoded(url.username()),
        DatabaseFact::Password => decoded(url.password().unwrap_or_default()),
        DatabaseFact::Name => decoded(url.path().trim_start_matches('/')),
        DatabaseFact::Ca => ca.to_owned(),
    })
}

/// What of a URL has drivers ask the server for a certificate of the authority in the file `ca`. Those of Redis have no
/// common word for it.
fn verified(engine: Engine, ca: &str) -> Option<String> {
    let ca = percent_encoding::utf8_percent_encode(ca, IN_QUERY);
    match engine {
        Engine::Postgres => Some(format!("?sslmode=verify-full&sslrootcert={ca}")),
        Engine::Mysql | Engine::Mariadb => Some(format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}")),
        Engine::Redis | Engine::Valkey => None,
    }
}

/// Of a path, what would end a value in a query, or be read as something else.
const IN_QUERY: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'?');

async fn host_file(path: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { ErrorKind::NotFound } else { ErrorKind::Refused };
        daybook_runtime::Error::new(kind, format!("read {path}"), error)
    };
    Ok(tokio::fs::read(path).await.map_err(failed)?)
}
