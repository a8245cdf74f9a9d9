//! Where backups are kept, and how fast they may go there.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

/// Where backups are kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// A directory, made where it is missing.
    Directory(PathBuf),
    /// A bucket of a server that speaks S3.
    S3(Box<S3>),
}

/// A bucket of a server that speaks S3. The bucket has to be there.
///
/// TLS needs a provider of `rustls` that the program has installed.
#[derive(Clone)]
pub struct S3 {
    /// The server, without the bucket: `https://s3.eu-west-1.amazonaws.com`.
    pub endpoint: Url,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket, which is named in the path of each request.
    pub bucket: String,
    /// What the keys of all objects begin with; may be empty.
    pub prefix: String,
    /// The public part of the credentials.
    pub access_key: String,
    /// The secret part of the credentials.
    pub secret_key: Zeroizing<String>,
    /// Asks the server to keep what is written, so that nobody deletes it. The bucket must have object lock switched on.
    pub lock: Option<ObjectLock>,
    /// Until a request is given up and tried again. Requests with a large body get longer.
    pub patience: Duration,
}

impl S3 {
    /// Until a request is given up, where nothing else is said.
    pub const PATIENCE: Duration = Duration::from_secs(60);
}

// The secret must not get into a log.
impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("S3");
        shown.field("endpoint", &self.endpoint.as_str()).field("region", &self.region).field("bucket", &self.bucket);
        shown.field("prefix", &self.prefix).field("access_key", &self.access_key).field("lock", &self.lock);
        shown.finish_non_exhaustive()
    }
}

/// For how long an S3 server refuses to delete what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Who may lift it.
    pub mode: ObjectLockMode,
    /// Days from the write on.
    pub days: u32,
}

/// Who may lift an object lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectLockMode {
    /// Nobody, before its time.
    Compliance,
    /// Those whom the server allows it.
    Governance,
}

impl ObjectLockMode {
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Compliance => "COMPLIANCE",
            Self::Governance => "GOVERNANCE",
        }
    }
}

/// How much a backup may take from others. Without limits it takes what it gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// What is written to the place in a second, on average.
    pub bytes_per_second: Option<u64>,
    /// Threads that read and pack run with the lowest priority: they get what no other process wants.
    pub is_in_background: bool,
}
