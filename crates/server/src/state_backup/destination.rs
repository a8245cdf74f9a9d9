//! Where backups of a state are, and the way in.

use std::fmt;
use std::path::{Path, PathBuf};

use daybook_backup::{Error, Limits, Place, Repository, S3};
use zeroize::Zeroizing;

use super::{StateError, blocking};

/// How a bucket is reached.
#[derive(Clone, Default)]
pub struct Bucket {
    /// Its server, unless that is Amazon's.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Who writes to it, and the proof.
    pub access: Option<(String, Zeroizing<String>)>,
}

// The secret must not get into a log.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("endpoint", &self.endpoint).field("region", &self.region).finish_non_exhaustive()
    }
}

/// Where backups of a state are, with what opens them.
#[derive(Clone)]
pub struct Destination {
    place: Place,
    password: Zeroizing<String>,
    shown: String,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Destination {
    /// A directory, or `s3://BUCKET/PREFIX`.
    ///
    /// # Errors
    /// It is neither, nothing says who writes to the bucket, or the password is empty.
    pub fn new(to: &str, bucket: &Bucket, password: Zeroizing<String>) -> Result<Self, StateError> {
        let refused = |why: String| Err(StateError::Refused(why));
        if password.is_empty() {
            return refused("the password of the backups is empty: its file has it in the first line".to_owned());
        }
        let place = match to.strip_prefix("s3://") {
            Some(path) => Place::S3(Box::new(s3(path, bucket)?)),
            None if to.contains("://") => {
                return refused(format!("`{to}` is neither a directory nor s3://BUCKET/PREFIX"));
            }
            None => Place::Directory(std::path::absolute(to).map_err(StateError::io("find", Path::new(to)))?),
        };
        let shown = match &place {
            Place::Directory(path) => path.display().to_string(),
            Place::S3(_) => to.to_owned(),
        };
        Ok(Self { place, password, shown })
    }

    /// The directory, where it is one.
    pub(super) fn directory(&self) -> Option<&PathBuf> {
        match &self.place {
            Place::Directory(path) => Some(path),
            Place::S3(_) => None,
        }
    }

    /// Works with the repository, which has to be there.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let here = self.clone();
        blocking(move || match Repository::open(&here.place, &here.password).map_err(|error| here.told(error))? {
            Some(repository) => work(&repository),
            None => Err(StateError::Refused(format!("there are no backups in {here}"))),
        })
        .await
    }

    /// Works with the repository, which is made where there is none.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let here = self.clone();
        blocking(move || {
            let opened = Repository::open_or_create(&here.place, &here.password);
            let limits = Limits { is_in_background: true, ..Limits::default() };
            work(&opened.map_err(|error| here.told(error))?.with_limits(limits))
        })
        .await
    }

    fn told(&self, error: Error) -> StateError {
        match error {
            Error::WrongPassword { .. } => StateError::Refused(format!(
                "the password does not open the backups in {self}: give the file of another"
            )),
            error => error.into(),
        }
    }
}

fn s3(path: &str, bucket: &Bucket) -> Result<S3, StateError> {
    let refused = |why: String| StateError::Refused(why);
    let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
    if name.is_empty() {
        return Err(refused(format!("`s3://{path}` names no bucket: s3://BUCKET/PREFIX")));
    }
    let Some((access_key, secret_key)) = bucket.access.clone() else {
        let why = format!("nothing says who writes to s3://{path}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
        return Err(refused(why));
    };
    let region = bucket.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
    let usual = format!("https://s3.{region}.amazonaws.com");
    let endpoint = bucket.endpoint.as_deref().unwrap_or(&usual);
    let endpoint = endpoint.parse().map_err(|error| refused(format!("`{endpoint}` is no address: {error}")))?;
    Ok(S3 {
        endpoint,
        region,
        bucket: name.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        access_key,
        secret_key,
        lock: None,
        patience: S3::PATIENCE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(to: &str, password: &str) -> String {
        let made = Destination::new(to, &Bucket::default(), Zeroizing::new(password.to_owned()));
        made.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_what_to_do() {
        assert_eq!(refused("/mnt/elsewhere", "phrase"), "");
        assert!(refused("/mnt/elsewhere", "").contains("first line"));
        assert!(refused("ftp://host/x", "phrase").contains("s3://BUCKET/PREFIX"));
        assert!(refused("s3:///x", "phrase").contains("no bucket"));
        assert!(refused("s3://bucket/x", "phrase").contains("AWS_ACCESS_KEY_ID"));
    }
}
