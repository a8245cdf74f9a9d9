//! The file `daybook.db` of a state directory.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use crate::database::{Database, Kind, Meaning, failed, unavailable};
use crate::{Result, internal};

/// How the file is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// How long a write waits for another process that holds the database.
    pub(crate) busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5) }
    }
}

/// The name of the database in the state directory.
pub const FILE: &str = "daybook.db";

/// Opens `dir/daybook.db`, makes both if they are missing, and brings the tables up to date.
pub(crate) async fn open(dir: &Path, options: Options) -> Result<Database> {
    sqlx::any::install_default_drivers();
    make_private(dir).map_err(|error| unavailable("open the state directory", &error))?;
    let file = std::path::absolute(dir.join(FILE)).map_err(|error| unavailable("open the database", &error))?;
    let connect = url(&file, "rwc")?.parse().map_err(failed("open the database"))?;
    let writes = format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF",
        options.busy_timeout.as_millis()
    );
    let reads = format!("{writes}; PRAGMA query_only = ON");
    Database::connect(Kind::Sqlite, connect, file.display().to_string(), writes, reads).await
}

/// A file, and how it is opened, as a URL.
pub(crate) fn url(file: &Path, mode: &str) -> Result<String> {
    let path = file.to_str().ok_or_else(|| internal("open the database", "its path is not UTF-8"))?;
    Ok(format!("sqlite://{}?mode={mode}", escaped(path)))
}

/// A path as it stands in a URL.
fn escaped(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut out, byte| {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

/// Only the owner may list the directory or read the database; SQLite gives its side files the
/// permissions of the database file. That others may pass through the directory (0711, as replicas that
/// run as another user need it) is left as it is.
fn make_private(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mode = std::fs::metadata(dir)?.permissions().mode();
    std::fs::set_permissions(dir, Permissions::from_mode(mode & 0o711 | 0o700))?;
    let file = dir.join(FILE);
    OpenOptions::new().create(true).append(true).mode(0o600).open(&file)?;
    std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    sync_names(dir)
}

/// A name survives power loss once its directory is synced: that of the database, and that of the state
/// directory itself. Whose parent we may not read was made by someone else, long ago.
fn sync_names(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()?;
    match std::path::absolute(dir)?.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        _ => Ok(()),
    }
}

/// What an extended result code means, by its primary one: <https://www.sqlite.org/rescode.html>.
pub(crate) fn meaning(code: &str) -> Meaning {
    match code.parse::<u32>().unwrap_or_default() & 0xff {
        FULL => Meaning::Unavailable(Some("the disk is full")),
        BUSY | LOCKED => Meaning::Unavailable(Some("another process holds the database")),
        PERM | NO_MEMORY | READ_ONLY | IO | CANNOT_OPEN => Meaning::Unavailable(None),
        CORRUPT | NOT_A_DATABASE => Meaning::Damaged,
        _ => Meaning::Internal,
    }
}

const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NO_MEMORY: u32 = 7;
const READ_ONLY: u32 = 8;
const IO: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_may_have_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a %20?b#c é");
        open(&odd, Options::default()).await.unwrap();
        assert!(std::fs::metadata(odd.join(FILE)).unwrap().len() > 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
