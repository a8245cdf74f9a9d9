//! Images: which one a reference means, whether it is here, and getting it here.
//!
//! An image that came from a registry is known by its manifest's digest in the written repository,
//! before it is pulled and afterwards, so that pulling it changes nothing that is compared. An image
//! that never came from a registry (`docker build`, `docker load`) is known by its image id. An image
//! that Daybook built is known by the digest of its inputs, which a label on it holds.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder,
};
use daybook_model::Digest;
use daybook_model::spec::PullPolicy;
use futures::StreamExt;

use super::DockerRuntime;
use super::engine::Flavour;
use super::error::{failed, is_missing};
use crate::reference::Reference;
use crate::{Error, ErrorKind, Progress, Result, labels};

/// A pull's first answer comes when the registry has answered.
const PULL_PATIENCE: Duration = Duration::from_secs(300);

impl DockerRuntime {
    /// The digest that `text` means now.
    pub(super) async fn resolve_image(&self, text: &str, pull: PullPolicy) -> Result<Digest> {
        let reference = parse(text)?;
        if let Some(digest) = &reference.digest {
            return Ok(*digest);
        }
        let local = self.inspect_image(&reference.asked()).await?.and_then(|image| identity(&reference, &image));
        match (pull, local) {
            (PullPolicy::Missing | PullPolicy::Never, Some(local)) => Ok(local),
            (PullPolicy::Never, None) => Err(not_here(text)),
            (PullPolicy::Always, Some(local)) => match self.ask_registry(&reference).await {
                // A moved tag is seen when the registry answers; production does not wait for it.
                Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::NotFound) => {
                    tracing::warn!(image = text, %error, "the registry does not tell; using the image that is here");
                    Ok(local)
                }
                answer => answer,
            },
            (PullPolicy::Always | PullPolicy::Missing, None) => self.ask_registry(&reference).await,
        }
    }

    async fn ask_registry(&self, reference: &Reference) -> Result<Digest> {
        let asked = reference.asked();
        if self.engine.flavour == Flavour::Podman {
            return self.pull_to_know(reference, &asked).await;
        }
        let operation = format!("ask the registry for {asked}");
        let docker = self.engine.patient(PULL_PATIENCE);
        let registry = reference.registry();
        let login = self.logins.of(&registry).await;
        let found = match docker.inspect_registry_image(&asked, login).await {
            Ok(found) => found,
            Err(said) => {
                let error = self.logins.explain(failed(operation.as_str(), &said), &registry).await;
                let usual = || format!("is `{asked}` spelled right, and is its registry up?");
                let hint = error.hint.clone().unwrap_or_else(usual);
                return Err(error.hint(hint));
            }
        };
        let digest = found.descriptor.digest.unwrap_or_default();
        digest.parse().map_err(|e| Error::new(ErrorKind::Internal, operation, e))
    }

    /// Which of `digests` name an image of this daemon.
    pub(super) async fn present_images(&self, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        if digests.is_empty() {
            return Ok(BTreeSet::new());
        }
        let options = ListImagesOptionsBuilder::default().build();
        let images = self.engine.docker.list_images(Some(options)).await.map_err(|e| failed("list images", &e))?;
        let mut here: BTreeSet<&str> = BTreeSet::new();
        for image in &images {
            here.insert(&image.id);
            here.extend(image.repo_digests.iter().filter_map(|entry| Some(entry.split_once('@')?.1)));
            here.extend(image.labels.get(labels::ARTIFACT).map(String::as_str));
        }
        Ok(digests.iter().filter(|digest| here.contains(digest.to_string().as_str())).copied().collect())
    }

    /// Podman's socket cannot ask a registry: what a tag means is known once it is pulled.
    async fn pull_to_know(&self, reference: &Reference, asked: &str) -> Result<Digest> {
        self.fetch(asked, &reference.registry(), &|_| {}).await?;
        let known = self.inspect_image(asked).await?.and_then(|image| identity(reference, &image));
        known.ok_or_else(|| not_here(asked))
    }

    /// Pulls exactly `digest`, and lets the written tag mean it, so that the next plan finds it here.
    pub(super) async fn pull(&self, text: &str, digest: Option<&Digest>, progress: Progress<'_>) -> Result<()> {
        let reference = parse(text)?;
        let digest = match digest {
            Some(digest) => *digest,
            None => self.resolve_image(text, PullPolicy::Missing).await?,
        };
        if self.image_of(Some(text), &digest).await?.is_some() {
            return Ok(());
        }
        let exact = reference.at(&digest);
        self.fetch(&exact, &reference.registry(), progress).await?;
        self.tag(&exact, &reference).await
    }

    async fn fetch(&self, image: &str, registry: &str, progress: Progress<'_>) -> Result<()> {
        let operation = format!("pull {image}");
        let options = CreateImageOptionsBuilder::default().from_image(image).build();
        let docker = self.engine.patient(PULL_PATIENCE);
        let mut answers = std::pin::pin!(docker.create_image(Some(options), None, self.logins.of(registry).await));
        let mut said = HashMap::new();
        while let Some(answer) = answers.next().await {
            let answer = match answer {
                Ok(answer) => match answer.error_detail.and_then(|detail| detail.message) {
                    Some(error) => Err(bollard::errors::Error::DockerStreamError { error }),
                    None => Ok((answer.id, answer.status)),
                },
                Err(said) => Err(said),
            };
            let (layer, status) = match answer {
                Ok((layer, status)) => (layer.unwrap_or_default(), status.unwrap_or_default()),
                Err(said) => return Err(self.logins.explain(failed(operation, &said), registry).await),
            };
            // "Downloading" comes many times a second for each layer; once is progress enough.
            if said.insert(layer.clone(), status.clone()).as_ref() != Some(&status) {
                progress(format!("{layer} {status}").trim());
            }
        }
        Ok(())
    }

    /// Puts the image of this digest under a reference, and into the registry that the reference names.
    pub async fn publish(&self, digest: &Digest, reference: &str, progress: Progress<'_>) -> Result<()> {
        let operation = format!("push {reference}");
        let found = self.image_of(None, digest).await?;
        let image = found.ok_or_else(|| not_here(&digest.short()))?;
        let asked = parse(reference)?;
        self.tag(&image, &asked).await?;
        let options = PushImageOptionsBuilder::default().tag(asked.tag.as_deref().unwrap_or_default()).build();
        let registry = asked.registry();
        let docker = self.engine.patient(PULL_PATIENCE);
        let login = self.logins.of(&registry).await;
        progress(&operation);
        let mut answers = std::pin::pin!(docker.push_image(&asked.repository, Some(options), login));
        while let Some(answer) = answers.next().await {
            let said = match answer {
                Ok(answer) => match answer.error_detail.and_then(|detail| detail.message) {
                    Some(error) => bollard::errors::Error::DockerStreamError { error },
                    None => continue,
                },
                Err(said) => said,
            };
            return Err(self.logins.explain(failed(operation, &said), &registry).await);
        }
        Ok(())
    }

    async fn tag(&self, exact: &str, reference: &Reference) -> Result<()> {
        let Some(tag) = &reference.tag else { return Ok(()) };
        let options = TagImageOptionsBuilder::default().repo(&reference.repository).tag(tag).build();
        let operation = format!("tag {exact} as {tag}");
        self.engine.docker.tag_image(exact, Some(options)).await.map_err(|e| failed(operation, &e))
    }

    /// How the daemon calls the image of `digest`, if it has it: by repository and digest, by image
    /// id, or by the label of what Daybook built.
    pub(super) async fn image_of(&self, reference: Option<&str>, digest: &Digest) -> Result<Option<String>> {
        let reference = reference.and_then(Reference::parse);
        if let Some(exact) = reference.map(|reference| reference.at(digest))
            && self.inspect_image(&exact).await?.is_some()
        {
            return Ok(Some(exact));
        }
        let id = digest.to_string();
        if self.inspect_image(&id).await?.is_some_and(|image| image.id.as_ref() == Some(&id)) {
            return Ok(Some(id));
        }
        self.built_image(digest).await
    }

    /// The id of the image that was built from inputs of this digest.
    pub(super) async fn built_image(&self, digest: &Digest) -> Result<Option<String>> {
        let wanted = digest.to_string();
        let filters = HashMap::from([("label", vec![format!("{}={wanted}", labels::ARTIFACT)])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.engine.docker.list_images(Some(options)).await.map_err(|e| failed("list images", &e))?;
        let built = images.into_iter().filter(|image| image.labels.get(labels::ARTIFACT) == Some(&wanted));
        Ok(built.max_by_key(|image| image.created).map(|image| image.id))
    }

    pub(super) async fn inspect_image(&self, name: &str) -> Result<Option<ImageInspect>> {
        match self.engine.docker.inspect_image(name).await {
            Ok(image) => Ok(Some(image)),
            Err(said) if is_missing(&said) => Ok(None),
            Err(said) => Err(failed(format!("look for image {name}"), &said)),
        }
    }
}

/// What an image that is here is known by: see the head of this file.
fn identity(reference: &Reference, image: &ImageInspect) -> Option<Digest> {
    let recorded = image.repo_digests.as_deref().unwrap_or_default();
    reference.digest_among(recorded).or_else(|| image.id.as_deref()?.parse().ok())
}

fn parse(text: &str) -> Result<Reference> {
    Reference::parse(text).ok_or_else(|| {
        Error::new(ErrorKind::Refused, format!("read the image reference {text:?}"), "it is not a reference")
            .hint("write NAME, NAME:TAG or NAME@sha256:DIGEST")
    })
}

fn not_here(text: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("look for image {text}"), "it is not here, and `pull_policy` is `never`")
        .hint(format!("`docker pull {text}`, or remove `pull_policy: never`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulled_image_is_known_by_its_repositorys_digest_and_a_local_one_by_its_id() {
        let (id, manifest) = (Digest::of(b"id"), Digest::of(b"manifest"));
        let reference = Reference::parse("team/app:1").unwrap();
        let mut image = ImageInspect { id: Some(id.to_string()), ..Default::default() };
        assert_eq!(identity(&reference, &image), Some(id));
        image.repo_digests = Some(vec![format!("team/app@{manifest}")]);
        assert_eq!(identity(&reference, &image), Some(manifest));
    }
}
