//! What the artifacts of a spec are, as far as anybody can tell now.

use std::path::Path;
use std::time::Duration;

use daybook_model::spec::{Artifact, ChartObjects};
use daybook_model::{DatabaseName, Digest, EnvKey, ServiceName, Spec, Target};
use daybook_runtime::{Error, ErrorKind};
use futures::StreamExt as _;

use crate::Executor;

/// How many artifacts are asked for at once. A registry that does not answer costs its patience once, not
/// once for each image.
const AT_ONCE: usize = 32;

/// A spec with its digests, and what has none yet.
#[derive(Debug)]
pub struct Resolved {
    /// The spec. Artifacts in [`Resolved::open`] have no digest in it.
    pub spec: Spec,
    /// In the order of the first service of each.
    pub open: Vec<Unresolved>,
    /// Databases whose migrations cannot be read now.
    pub unread: Vec<(DatabaseName, Error)>,
}

/// An artifact whose digest cannot be had now.
#[derive(Debug)]
pub struct Unresolved {
    /// The artifact.
    pub artifact: Artifact,
    /// The services that run it, at least one.
    pub services: Vec<ServiceName>,
    /// Why.
    pub error: Error,
}

impl Executor {
    /// Finds the digest of every artifact of `spec`, each artifact once and many at a time. Whoever holds an
    /// image is given `patience` to answer; a directory is read to its end.
    pub async fn resolve(&self, mut spec: Spec, patience: Duration) -> Resolved {
        let key = spec.key.clone();
        let target = spec.target.clone().unwrap_or_else(|| self.inner.places.home());
        let asked = distinct(&spec);
        let answers = futures::stream::iter(asked)
            .map(|(artifact, services)| async {
                let answer = self.digest_of(&target, &key, &artifact, patience).await;
                (artifact, services, answer)
            })
            .buffered(AT_ONCE);
        let answers: Vec<_> = answers.collect().await;
        let mut open = Vec::new();
        for (artifact, services, answer) in answers {
            match answer {
                Ok(digest) => services.iter().for_each(|name| set_digest(&mut spec, name, &digest)),
                Err(error) => open.push(Unresolved { artifact, services, error }),
            }
        }
        for name in charts(&spec) {
            match self.chart_objects(&target, &spec, &name).await {
                Ok(made) => set_objects(&mut spec, &name, made),
                Err(error) => {
                    let artifact = spec.services[&name].artifact.clone();
                    open.push(Unresolved { artifact, services: vec![name], error });
                }
            }
        }
        let mut unread = Vec::new();
        for (name, database) in &mut spec.databases {
            for source in database.migrations.iter_mut().flat_map(|migrations| &mut migrations.sources) {
                match self.inner.databases.digest(Path::new(&source.root)).await {
                    Ok(digest) => source.digest = Some(digest),
                    Err(error) => unread.push((name.clone(), error)),
                }
            }
        }
        Resolved { spec, open, unread }
    }

    async fn chart_objects(&self, target: &Target, spec: &Spec, name: &ServiceName) -> Result<ChartObjects, Error> {
        let side = self.inner.places.at(target).await?;
        side.runtime.chart_objects(&spec.key, &spec.services[name]).await
    }

    async fn digest_of(
        &self,
        target: &Target,
        key: &EnvKey,
        artifact: &Artifact,
        patience: Duration,
    ) -> Result<Digest, Error> {
        let side = self.inner.places.at(target).await?;
        let asked = side.runtime.resolve(key, artifact);
        let Artifact::Image { reference, .. } = artifact else { return asked.await };
        tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| {
            let why = format!("no answer within {} s", patience.as_secs());
            Err(Error::new(ErrorKind::Unavailable, format!("ask the registry for {reference}"), why)
                .hint("is the registry up, and does this machine reach it?"))
        })
    }
}

/// Each artifact once, with the services that run it.
fn distinct(spec: &Spec) -> Vec<(Artifact, Vec<ServiceName>)> {
    let mut all: Vec<(Artifact, Vec<ServiceName>)> = Vec::new();
    for service in spec.services.values().filter(|service| service.artifact.is_content()) {
        match all.iter_mut().find(|(artifact, _)| *artifact == service.artifact) {
            Some((_, services)) => services.push(service.name.clone()),
            None => all.push((service.artifact.clone(), vec![service.name.clone()])),
        }
    }
    all
}

/// Services whose charts are known by digest.
fn charts(spec: &Spec) -> Vec<ServiceName> {
    let charts = spec.services.values().filter(|service| service.artifact.chart().is_some_and(|c| c.digest.is_some()));
    charts.map(|service| service.name.clone()).collect()
}

fn set_objects(spec: &mut Spec, name: &ServiceName, made: ChartObjects) {
    if let Some(Artifact::Chart(chart)) = spec.services.get_mut(name).map(|service| &mut service.artifact) {
        chart.made = Some(made);
    }
}

fn set_digest(spec: &mut Spec, service: &ServiceName, found: &Digest) {
    let Some(service) = spec.services.get_mut(service) else { return };
    match &mut service.artifact {
        Artifact::Image { digest, .. } | Artifact::Static { digest, .. } => *digest = Some(*found),
        Artifact::Build(build) => build.digest = Some(*found),
        Artifact::Chart(chart) => chart.digest = Some(*found),
        Artifact::StatusPage(_) => {}
    }
}
