//! One replica's launch: a service's configuration with secrets and addresses filled in.

use std::net::IpAddr;

use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::{LaunchFile, OutsideNames, Role};
use daybook_model::spec::{EnvValue, FileContent, SecretRef, ServiceFact, TemplatePart};
use daybook_model::{Launch, ReplicaId, Service, ServiceName};
use daybook_runtime::ErrorKind;

use crate::act::service;
use crate::drive::RunContext;
use crate::{Error, Executor, Result};

impl Executor {
    pub(crate) async fn launch(&self, cx: &RunContext, id: &ReplicaId, role: Role) -> Result<Launch> {
        let service = service(cx, &id.service)?;
        let hosts = self.hosts(cx).await?;
        let environment = self.environment(cx, service, &hosts).await?;
        let files = self.files(cx, service).await?;
        let artifact = service.artifact.digest().copied().ok_or_else(|| Error::Illegal {
            run: cx.run,
            why: format!("the artifact of {} is not resolved", service.name),
        })?;
        let image = match &service.artifact {
            daybook_model::spec::Artifact::Image { reference, .. } => Some(reference.clone()),
            _ => None,
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

    async fn environment(
        &self,
        cx: &RunContext,
        service: &Service,
        hosts: &[(String, IpAddr)],
    ) -> Result<Vec<(String, String)>> {
        let mut out = Vec::with_capacity(service.container.environment.len());
        for (name, value) in &service.container.environment {
            let value = match value {
                EnvValue::Text(text) => text.clone(),
                EnvValue::Secret(secret) => self.secret_text(cx, secret).await?,
                EnvValue::Template(parts) => self.fill(cx, parts, hosts).await?,
            };
            out.push((name.clone(), value));
        }
        Ok(out)
    }

    async fn fill(&self, cx: &RunContext, parts: &[TemplatePart], hosts: &[(String, IpAddr)]) -> Result<String> {
        let mut out = String::new();
        for part in parts {
            match part {
                TemplatePart::Text(text) => out.push_str(text),
                TemplatePart::Secret(secret) => out.push_str(&self.secret_text(cx, secret).await?),
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

    async fn files(&self, cx: &RunContext, service: &Service) -> Result<Vec<LaunchFile>> {
        let mut out = Vec::with_capacity(service.container.files.len());
        for file in &service.container.files {
            let content = match &file.content {
                FileContent::Text(text) => text.clone().into_bytes(),
                FileContent::Secret(secret) => self.secret(cx, secret).await?,
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

async fn host_file(path: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { ErrorKind::NotFound } else { ErrorKind::Refused };
        daybook_runtime::Error::new(kind, format!("read {path}"), error)
    };
    Ok(tokio::fs::read(path).await.map_err(failed)?)
}
