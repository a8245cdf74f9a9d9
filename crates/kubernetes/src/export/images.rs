//! What the images of an export are called.

use std::collections::BTreeMap;

use daybook_model::spec::{Artifact, Build};
use daybook_model::{Service, ServiceName, Spec};

use super::values::quoted;
use crate::names;

/// The images that have to be built, each once for all services that are built alike.
pub(super) struct Images(BTreeMap<ServiceName, String>);

/// What has to be done, and by which commands.
pub(super) struct ToBuild {
    pub(super) what: String,
    pub(super) commands: Vec<String>,
}

impl Images {
    /// A name is that of the manifest where it gives one (`image` beside `build`), else one that no registry has, so
    /// that what was not built is told apart from what is not there yet.
    pub(super) fn of(spec: &Spec) -> Self {
        let of_build = |service: &Service, build: &Build| {
            let first = alike(spec, build).next().unwrap_or(service);
            let (app, name) = (names::resource(spec.key.app.as_str()), names::resource(first.name.as_str()));
            build.tag.clone().unwrap_or_else(|| format!("REGISTRY/{app}/{name}:TAG"))
        };
        let built = spec.services.values().filter_map(|service| match &service.artifact {
            Artifact::Build(build) => Some((service.name.clone(), of_build(service, build))),
            Artifact::Image { .. } | Artifact::Static { .. } | Artifact::StatusPage(_) | Artifact::Chart(_) => None,
        });
        Self(built.collect())
    }

    /// The reference that a service's pods name.
    pub(super) fn reference(&self, service: &Service) -> String {
        match &service.artifact {
            Artifact::Image { reference, digest: Some(digest), .. } if !reference.contains('@') => {
                format!("{reference}@{digest}")
            }
            Artifact::Image { reference, .. } => reference.clone(),
            Artifact::Build(_) | Artifact::Static { .. } | Artifact::StatusPage(_) | Artifact::Chart(_) => {
                self.0.get(&service.name).cloned().unwrap_or_default()
            }
        }
    }

    /// How to make the images that no registry has, in the order of their names.
    pub(super) fn to_build(&self, spec: &Spec, shown: &dyn Fn(&str) -> String) -> Vec<ToBuild> {
        let mut all: BTreeMap<&str, ToBuild> = BTreeMap::new();
        for service in spec.services.values() {
            let (Artifact::Build(build), Some(image)) = (&service.artifact, self.0.get(&service.name)) else {
                continue;
            };
            all.entry(image).or_insert_with(|| ToBuild {
                what: match &build.tag {
                    Some(_) => format!("build and push `{image}`"),
                    None => format!("build and push `{image}`, with your registry and tag here and in the objects"),
                } + if build.dockerfile_inline.is_some() { "; its Dockerfile is in the manifest" } else { "" },
                commands: vec![command(image, build, shown), format!("docker push {}", quoted(image))],
            });
        }
        all.into_values().collect()
    }
}

/// The services that are built alike, in the order of the manifest.
fn alike<'s>(spec: &'s Spec, build: &Build) -> impl Iterator<Item = &'s Service> {
    let mut all: Vec<&Service> =
        spec.services.values().map(|service| &**service).filter(|service| is_built_as(service, build)).collect();
    all.sort_by_key(|service| service.line);
    all.into_iter()
}

fn is_built_as(service: &Service, build: &Build) -> bool {
    matches!(&service.artifact, Artifact::Build(other) if other == build)
}

/// Arguments are named only: their values are those of whoever builds.
fn command(image: &str, build: &Build, shown: &dyn Fn(&str) -> String) -> String {
    let mut words = vec!["docker build --tag".to_owned(), quoted(image)];
    let context = shown(&build.context);
    if let Some(file) = &build.dockerfile {
        words.extend(["--file".to_owned(), quoted(&format!("{context}/{file}"))]);
    }
    if build.dockerfile_inline.is_some() {
        words.push("--file -".to_owned());
    }
    if let Some(target) = &build.target {
        words.extend(["--target".to_owned(), quoted(target)]);
    }
    words.extend(build.args.keys().flat_map(|name| ["--build-arg".to_owned(), quoted(name)]));
    words.push(quoted(&context));
    words.join(" ")
}
