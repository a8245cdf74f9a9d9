//! Images built from a directory and a Dockerfile.
//!
//! An image is known by the digest of everything that goes into it: the files of the context that
//! `.dockerignore` leaves, the Dockerfile, the stage, the arguments and the labels. It is built when
//! no image has that digest in its label. What its `FROM` lines mean elsewhere at that time does not
//! enter: name base images by digest where that matters.

mod context;
mod run;

use std::path::{Path, PathBuf};

use daybook_model::Digest;
use daybook_model::spec::Build;
use serde::Serialize;

use crate::files::blocking;
use crate::snapshot::{self, Ignore};
use crate::{Error, ErrorKind, Result};

/// What a build reads: the files, and which of them is the Dockerfile.
#[derive(Debug)]
pub(super) struct Inputs {
    /// The context.
    root: PathBuf,
    /// What of it stays out.
    ignore: Ignore,
    /// Where the Dockerfile is in the archive that the daemon gets.
    dockerfile: String,
    /// The Dockerfile's text, where it is not a file of the context.
    text: Option<String>,
}

/// Name in the archive of a Dockerfile that is not a file of the context.
const OUTSIDE_DOCKERFILE: &str = ".daybook.dockerfile";

/// The digest of all inputs of a build. Reads the whole context, so not on the async threads.
pub(super) async fn resolve(build: Build) -> Result<Digest> {
    blocking("read a build's context", move || Inputs::of(&build)?.digest(&build)).await
}

impl Inputs {
    /// Finds the Dockerfile of `build`. `ErrorKind::NotFound` when it or the context is not there.
    fn of(build: &Build) -> Result<Self> {
        let root = PathBuf::from(&build.context);
        let named = build.dockerfile.as_deref().unwrap_or("Dockerfile");
        let (dockerfile, text) = match &build.dockerfile_inline {
            Some(text) => (OUTSIDE_DOCKERFILE.to_owned(), Some(text.clone())),
            None => find_dockerfile(&root, named)?,
        };
        // As with `docker build`: rules beside a Dockerfile are for that one, and go first.
        let beside = Ignore::from_file(&root.join(format!("{named}.dockerignore")))?;
        let ignore = match beside {
            Some(ignore) => ignore,
            None => Ignore::from_file(&root.join(".dockerignore"))?.unwrap_or_default(),
        };
        Ok(Self { root, ignore: ignore.keeping(&dockerfile).keeping(".dockerignore"), dockerfile, text })
    }

    fn digest(&self, build: &Build) -> Result<Digest> {
        #[derive(Serialize)]
        struct Extra<'a> {
            dockerfile: &'a str,
            text: Option<&'a str>,
            target: Option<&'a str>,
            args: &'a std::collections::BTreeMap<String, String>,
            labels: &'a std::collections::BTreeMap<String, String>,
        }
        let extra = Extra {
            dockerfile: &self.dockerfile,
            text: self.text.as_deref(),
            target: build.target.as_deref(),
            args: &build.args,
            labels: &build.labels,
        };
        let extra = serde_json::to_vec(&extra).expect("a build is plain data");
        snapshot::digest(&self.root, &self.ignore, &extra)
    }
}

/// The Dockerfile's path in the archive, and its text if it is outside of the context.
fn find_dockerfile(root: &Path, named: &str) -> Result<(String, Option<String>)> {
    let operation = format!("read {named} of {}", root.display());
    let whole = |path: &Path| path.canonicalize().map_err(|e| Error::new(ErrorKind::NotFound, operation.as_str(), e));
    let context = whole(root)?;
    let path = whole(&root.join(named))
        .map_err(|error| error.hint("name the file in `build.dockerfile`, or write it in `build.dockerfile_inline`"))?;
    match path.strip_prefix(&context) {
        // The path as written: a link to another file of the context is sent as a link.
        Ok(inside) if !named.contains("..") && !Path::new(named).is_absolute() => {
            let written = Path::new(named).components().collect::<PathBuf>();
            let is_link = std::fs::symlink_metadata(root.join(&written)).is_ok_and(|meta| meta.is_symlink());
            Ok((if is_link { inside } else { &written }.to_string_lossy().trim_start_matches("./").to_owned(), None))
        }
        Ok(inside) => Ok((inside.to_string_lossy().into_owned(), None)),
        Err(_) => {
            let text = std::fs::read_to_string(&path);
            Ok((OUTSIDE_DOCKERFILE.to_owned(), Some(text.map_err(|e| Error::new(ErrorKind::NotFound, operation, e))?)))
        }
    }
}

#[cfg(test)]
mod tests;
