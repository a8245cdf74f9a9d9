//! Images: which one a reference means, and getting those that are built here to where the cluster finds them.
//!
//! Machines of a cluster pull images by themselves. What is needed here is an image's digest, so that all of them run
//! the same, and its user, because Kubernetes wants to know before whether it is root.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_model::name::EnvKey;
use daybook_model::spec::Artifact;
use daybook_model::{Digest, Launch};
use daybook_runtime::artifacts::{Artifacts, Source};
use daybook_runtime::credentials::Logins;
use daybook_runtime::docker::DockerRuntime;
use daybook_runtime::reference::Reference;
use daybook_runtime::{Error, ErrorKind, Progress, Result, Runtime as _};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;

use crate::program::Program;

/// The repository of images that are built here, beneath the registry that is configured.
const BUILT: &str = "daybook-built";
/// The repository of Daybook itself.
const PROGRAM: &str = "daybook";
/// An environment that nobody changes is looked at every few seconds; the registry needs not be asked as often.
const ASKED_AGAIN: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(30);
/// Images that are asked for at once.
const AT_ONCE: usize = 16;

/// The image of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// By digest.
    pub(crate) reference: String,
    /// The user that it names, if it names one and could be asked.
    pub(crate) user: Option<String>,
}

/// Registries, and what builds images.
pub(crate) struct Images {
    registry: Option<String>,
    builder: Option<DockerRuntime>,
    logins: Logins,
    sites: Artifacts,
    known: Mutex<BTreeMap<String, Image>>,
    /// What the registry was asked for: what it has, and since when it did not have the others.
    asked: Mutex<BTreeMap<Digest, Option<Instant>>>,
}

impl Images {
    pub(crate) fn new(registry: Option<String>, builder: Option<DockerRuntime>, state: &Path) -> Self {
        Self {
            registry,
            builder,
            logins: Logins::new(None),
            sites: Artifacts::of(state),
            known: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    pub(crate) async fn resolve(&self, key: &EnvKey, artifact: &Artifact) -> Result<Digest> {
        match artifact {
            Artifact::Image { reference, .. } => {
                let asked = parse(reference)?;
                match asked.digest {
                    Some(digest) => Ok(digest),
                    None => {
                        let digest = self.digest(&asked.asked()).await?;
                        self.remember(&digest, true);
                        Ok(digest)
                    }
                }
            }
            Artifact::Build(build) => self.builder(&build.context)?.resolve(key, artifact).await,
            Artifact::Static { root, .. } => Source::site(root).digest().await,
            Artifact::Chart(_) | Artifact::StatusPage(_) => unreachable!("they are not images"),
        }
    }

    /// Which of these a registry has, as far as can be known by digest alone.
    pub(crate) async fn present(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        let (mut present, open): (BTreeSet<_>, BTreeSet<_>) = {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = |digest: &Digest| asked.get(digest).is_some_and(Option::is_none);
            digests.iter().copied().partition(|digest| is_known(digest) || self.sites.holds(digest))
        };
        let asked = open.iter().map(|digest| async move { Ok((*digest, self.is_published(digest).await?)) });
        let asked: Vec<_> = stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await?;
        present.extend(asked.into_iter().filter_map(|(digest, is_published)| is_published.then_some(digest)));
        Ok(present)
    }

    /// Whether the registry of the target answers. One that lacks what it is asked for does.
    pub(crate) async fn answers(&self) -> Result<()> {
        let Some(reference) = self.published(&Digest::of(b"anything")) else { return Ok(()) };
        match self.digest(&reference).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn is_published(&self, digest: &Digest) -> Result<bool> {
        let Some(reference) = self.published(digest) else { return Ok(false) };
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied();
        match asked {
            Some(None) => return Ok(true),
            Some(Some(since)) if since.elapsed() < ASKED_AGAIN => return Ok(false),
            _ => {}
        }
        let is_there = match self.digest(&reference).await {
            Ok(_) => true,
            Err(error) if error.kind == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        self.remember(digest, is_there);
        Ok(is_there)
    }

    /// A registry has this image, so that machines get it by themselves; or it does not.
    pub(crate) fn remember(&self, digest: &Digest, is_there: bool) {
        let since = (!is_there).then(Instant::now);
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, since);
    }

    /// Where an image that was built from these inputs is, or would be.
    fn published(&self, inputs: &Digest) -> Option<String> {
        Some(format!("{}/{BUILT}:{}", self.registry.as_ref()?, inputs.hex()))
    }

    pub(crate) async fn prepare(&self, key: &EnvKey, artifact: &Artifact, progress: Progress<'_>) -> Result<()> {
        match artifact {
            Artifact::Image { reference, digest: Some(digest), .. } => {
                let exact = parse(reference)?.at(digest);
                self.digest(&exact).await?;
                self.remember(digest, true);
                Ok(())
            }
            Artifact::Image { digest: None, .. } => self.resolve(key, artifact).await.map(drop),
            Artifact::Build(build) => {
                let builder = self.builder(&build.context)?;
                let inputs = match build.digest {
                    Some(digest) => digest,
                    None => builder.resolve(key, artifact).await?,
                };
                if self.is_published(&inputs).await? {
                    return Ok(());
                }
                let Some(into) = self.published(&inputs) else { return Err(no_registry(&build.context)) };
                builder.prepare(key, artifact, progress).await?;
                builder.publish(&inputs, &into, progress).await?;
                self.remember(&inputs, true);
                Ok(())
            }
            Artifact::Static { root, digest } => self.sites.take(Source::site(root), digest.as_ref(), progress).await,
            Artifact::Chart(_) | Artifact::StatusPage(_) => unreachable!("they are not images"),
        }
    }

    fn builder(&self, context: &str) -> Result<&DockerRuntime> {
        self.builder.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Refused, format!("build {context}"), "no Docker or Podman answers here to build it")
                .hint("start one, or name an `image` that a registry has")
        })
    }

    /// The image that a launch runs.
    pub(crate) async fn of(&self, launch: &Launch) -> Result<Image> {
        let operation = format!("find the image of {}", launch.id);
        let exact = match &launch.image {
            Some(reference) => parse(reference)?.at(&launch.artifact),
            None => self.published(&launch.artifact).ok_or_else(|| no_registry(&operation))?,
        };
        self.known(exact).await
    }

    /// The user that the image of an artifact names, if it names one. An artifact that is not resolved has none yet.
    pub(crate) async fn user_of(&self, artifact: &Artifact) -> Result<Option<String>> {
        let exact = match artifact {
            Artifact::Image { reference, digest: Some(digest), .. } => Some(parse(reference)?.at(digest)),
            Artifact::Build(build) => build.digest.as_ref().and_then(|digest| self.published(digest)),
            _ => None,
        };
        match exact {
            Some(exact) => Ok(self.known(exact).await?.user),
            None => Ok(None),
        }
    }

    /// What an image is: asked once.
    async fn known(&self, exact: String) -> Result<Image> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&exact) {
            return Ok(known.clone());
        }
        let image = self.ask(&exact).await?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(exact, image.clone());
        Ok(image)
    }

    /// Asks the registry what an image is.
    async fn ask(&self, exact: &str) -> Result<Image> {
        let operation = format!("ask the registry for {exact}");
        let (client, reference, login) = self.client(&operation, exact).await?;
        let asked = client.pull_manifest_and_config(&reference, &login).await;
        let (_, digest, config) = asked.map_err(|said| failed(&operation, &said))?;
        let config: serde_json::Value = serde_json::from_str(&config).unwrap_or_default();
        let user = config.pointer("/config/User").and_then(serde_json::Value::as_str).filter(|user| !user.is_empty());
        let repository = parse(exact)?.repository;
        let reference = if exact.contains('@') { exact.to_owned() } else { format!("{repository}@{digest}") };
        Ok(Image { reference, user: user.map(ToOwned::to_owned) })
    }

    /// The digest that a reference means now.
    async fn digest(&self, reference: &str) -> Result<Digest> {
        let operation = format!("ask the registry for {reference}");
        let (client, reference, login) = self.client(&operation, reference).await?;
        let asked = client.fetch_manifest_digest(&reference, &login).await;
        let digest = asked.map_err(|said| failed(&operation, &said))?;
        digest.parse().map_err(|said| Error::new(ErrorKind::Internal, operation, said))
    }

    async fn client(
        &self,
        operation: &str,
        text: &str,
    ) -> Result<(oci_client::Client, oci_client::Reference, RegistryAuth)> {
        let reference: oci_client::Reference =
            text.parse().map_err(|said| Error::new(ErrorKind::Refused, operation, said))?;
        let registry = reference.registry().to_owned();
        let login = match self.logins.of(&registry).await {
            Some(known) => match (known.registrytoken, known.username, known.password) {
                (Some(token), ..) => RegistryAuth::Bearer(token),
                (None, Some(user), Some(password)) => RegistryAuth::Basic(user, password),
                _ => RegistryAuth::Anonymous,
            },
            None => RegistryAuth::Anonymous,
        };
        let config = ClientConfig {
            protocol: if is_local(&registry) { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT),
            read_timeout: Some(READ),
            ..ClientConfig::default()
        };
        let client = oci_client::Client::try_from(config).map_err(|said| failed(operation, &said))?;
        Ok((client, reference, login))
    }
}

impl Images {
    /// Puts a program of this machine, with the libraries that it loads, into the registry. Its image, by digest.
    pub(crate) async fn publish_program(&self, program: Program) -> Result<String> {
        let operation = "put this program into the registry";
        let Some(registry) = &self.registry else { return Err(no_registry(operation)) };
        let repository = format!("{registry}/{PROGRAM}");
        let tagged = format!("{repository}:{}", program.digest.hex());
        if let Err(error) = self.digest(&tagged).await {
            if error.kind != ErrorKind::NotFound {
                return Err(error);
            }
            let (client, reference, login) = self.client(operation, &tagged).await?;
            let layer = ImageLayer::oci_v1(program.layer, None);
            let config = Config::oci_v1(program.config, None);
            let pushed = client.push(&reference, &[layer], config, &login, None).await;
            pushed.map_err(|said| failed(operation, &said))?;
        }
        let digest = self.digest(&tagged).await?;
        Ok(format!("{repository}@{digest}"))
    }
}

/// Registries of this machine are asked without TLS, as Docker and containerd do.
pub(crate) fn is_local(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn parse(text: &str) -> Result<Reference> {
    let wrong = || Error::new(ErrorKind::Refused, format!("find image {text}"), "it is no reference of an image");
    Reference::parse(text).ok_or_else(wrong)
}

fn no_registry(operation: &str) -> Error {
    Error::new(ErrorKind::Refused, operation, "the cluster cannot get an image that is built here without a registry")
        .hint("say where images are put for it: target: kubernetes://CONTEXT?registry=registry.example.com/team")
}

fn failed(operation: &str, said: &OciDistributionError) -> Error {
    let error = |kind| Error::new(kind, operation, crate::error::whole(said));
    let missing =
        || Error::new(ErrorKind::NotFound, operation, "it has no such image").hint("push it, or correct its name");
    match said {
        OciDistributionError::ImageManifestNotFoundError(_) => missing(),
        OciDistributionError::RegistryError { envelope, .. } => {
            let is = |code: &OciErrorCode| envelope.errors.iter().any(|error| error.code == *code);
            let unknown = [OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound];
            match unknown.iter().any(is) {
                true => missing(),
                false => error(ErrorKind::Refused).hint("is the image spelled right, and are you logged in?"),
            }
        }
        OciDistributionError::ServerError { code: 404, .. } => missing(),
        OciDistributionError::ServerError { code: 500.., .. } => error(ErrorKind::Unavailable),
        OciDistributionError::RequestError(_) => error(ErrorKind::Unavailable).hint("is the registry up?"),
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            error(ErrorKind::NotFound).hint("`docker login`, or correct the name")
        }
        _ => error(ErrorKind::Internal),
    }
}
