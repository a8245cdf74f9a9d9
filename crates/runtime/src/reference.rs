//! References of images, as people write them: `nginx`, `nginx:1.27`, `host:5000/team/app@sha256:…`.

use daybook_model::Digest;

/// A reference, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// As written, without tag and digest.
    pub repository: String,
    /// `latest` where none is written, unless there is a digest.
    pub tag: Option<String>,
    /// Fixes the image whatever the tag says.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Takes `text` apart. `None` when it is no reference.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().ok()?)),
            None => (text, None),
        };
        // A colon before the last slash belongs to a registry's port.
        let tag_at = name.rfind(':').filter(|colon| name.rfind('/').is_none_or(|slash| slash < *colon));
        let (repository, tag) = match tag_at {
            Some(at) => (&name[..at], Some(name[at + 1..].to_owned())),
            None => (name, None),
        };
        let is_tag = |tag: &String| {
            !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        let is_repository = !repository.is_empty()
            && repository.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/' | b':'))
            && repository.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if !is_repository || !tag.as_ref().is_none_or(is_tag) {
            return None;
        }
        let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Some(Self { repository: repository.to_owned(), tag, digest })
    }

    /// `repository:tag`, if there is a tag.
    pub fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.repository))
    }

    /// What to ask a daemon or a registry for: the digest where one is written, else the tag.
    pub fn asked(&self) -> String {
        match (&self.digest, self.tagged()) {
            (Some(digest), _) => self.at(digest),
            (None, Some(tagged)) => tagged,
            (None, None) => self.repository.clone(),
        }
    }

    /// `repository@digest`.
    pub fn at(&self, digest: &Digest) -> String {
        format!("{}@{digest}", self.repository)
    }

    /// Whether a repository as a daemon reports it is the one that was written.
    pub fn is_of(&self, repository: &str) -> bool {
        whole_name(&self.repository) == whole_name(repository)
    }

    /// The host and port of the registry: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> String {
        let whole = whole_name(&self.repository);
        whole.split('/').next().unwrap_or_default().to_owned()
    }

    /// The digest under which this repository's registry knows an image, from what the daemon
    /// recorded about it (`RepoDigests`). Of several, always the same one.
    pub fn digest_among(&self, repo_digests: &[String]) -> Option<Digest> {
        let ours = repo_digests.iter().filter_map(|entry| entry.split_once('@'));
        ours.filter(|(repository, _)| self.is_of(repository)).filter_map(|(_, digest)| digest.parse().ok()).min()
    }
}

/// The name with its registry: `nginx` is `docker.io/library/nginx`.
fn whole_name(repository: &str) -> String {
    let has_registry =
        |name: &str| name.split_once('/').is_some_and(|(head, _)| head == "localhost" || head.contains(['.', ':']));
    let name = repository.strip_prefix("index.docker.io/").or_else(|| repository.strip_prefix("docker.io/"));
    match name {
        Some(name) if name.contains('/') => format!("docker.io/{name}"),
        Some(name) => format!("docker.io/library/{name}"),
        None if has_registry(repository) => repository.to_owned(),
        None if repository.contains('/') => format!("docker.io/{repository}"),
        None => format!("docker.io/library/{repository}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<String> {
        Reference::parse(text).map(|reference| reference.asked())
    }

    #[test]
    fn references_are_taken_apart() {
        let digest = Digest::of(b"x");
        for (text, wanted) in [
            ("nginx", "nginx:latest"),
            ("nginx:1.27", "nginx:1.27"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
        ] {
            assert_eq!(asked(text).as_deref(), Some(wanted));
        }
        assert_eq!(asked(&format!("nginx:1@{digest}")), Some(format!("nginx@{digest}")));
    }

    #[test]
    fn r32_what_is_no_reference_is_refused() {
        for text in ["", ":x", "a b", "a;b", "../x", "a//b", "a:", "a@sha256:0", "$(x)", "a:b?c=d", "a%2fb"] {
            assert_eq!(asked(text), None, "{text:?}");
        }
    }

    #[test]
    fn one_repository_has_many_spellings() {
        let nginx = Reference::parse("nginx:1").unwrap();
        for spelling in
            ["nginx", "library/nginx", "docker.io/library/nginx", "docker.io/nginx", "index.docker.io/library/nginx"]
        {
            assert!(nginx.is_of(spelling), "{spelling}");
        }
        assert!(!nginx.is_of("localhost:5000/nginx") && !nginx.is_of("other/nginx"));
    }

    #[test]
    fn the_digest_is_the_written_repositorys() {
        let (ours, theirs) = (Digest::of(b"1"), Digest::of(b"2"));
        let recorded = [format!("other/app@{theirs}"), format!("docker.io/team/app@{ours}")];
        assert_eq!(Reference::parse("team/app:1").unwrap().digest_among(&recorded), Some(ours));
        assert_eq!(Reference::parse("third/app:1").unwrap().digest_among(&recorded), None);
    }
}
