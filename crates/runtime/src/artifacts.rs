//! Snapshots as artifacts: beneath `STATE/artifacts`, by digest. Plain processes run in copies of them, and the
//! edge serves static sites from them, whichever runtime runs the rest.

use std::path::{Path, PathBuf};

use daybook_model::Digest;

use crate::files::blocking;
use crate::snapshot::{self, Ignore};
use crate::{Error, ErrorKind, Progress, Result};

/// A directory that is an artifact.
#[derive(Debug, Clone)]
pub struct Source {
    /// The directory.
    pub root: PathBuf,
    /// What else decides about the artifact: the arguments of a build.
    pub extra: Vec<u8>,
}

impl Source {
    /// The files of a static site.
    pub fn site(root: &str) -> Self {
        Self { root: PathBuf::from(root), extra: Vec::new() }
    }

    /// The digest of what the directory holds now.
    pub async fn digest(self) -> Result<Digest> {
        blocking("read a directory", move || snapshot::digest(&self.root, &Ignore::of(&self.root)?, &self.extra)).await
    }
}

/// The snapshots of one state directory.
#[derive(Debug, Clone)]
pub struct Artifacts(PathBuf);

impl Artifacts {
    /// Those of the state directory `state`.
    pub fn of(state: &Path) -> Self {
        Self(state.join("artifacts"))
    }

    /// Where the snapshot of this digest is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.hex())
    }

    /// Whether the snapshot of this digest is here.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.path(digest).is_dir()
    }

    /// Takes a snapshot, unless it is there. `ErrorKind::Conflict` when the directory no longer is what `wanted` says.
    pub async fn take(&self, source: Source, wanted: Option<&Digest>, progress: Progress<'_>) -> Result<()> {
        if wanted.is_some_and(|wanted| self.holds(wanted)) {
            return Ok(());
        }
        let root = source.root.display().to_string();
        progress(&format!("snapshot of {root}"));
        let into = self.0.clone();
        let store = move || snapshot::store(&source.root, &Ignore::of(&source.root)?, &source.extra, &into);
        let found = blocking("take a snapshot", store).await?;
        if wanted.is_some_and(|wanted| *wanted != found) {
            let why = "what it holds has changed since it was looked at";
            return Err(Error::new(ErrorKind::Conflict, format!("take a snapshot of {root}"), why).hint("plan again"));
        }
        progress(&format!("snapshot {}", found.short()));
        Ok(())
    }
}
