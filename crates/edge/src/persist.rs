//! The last table, kept so that it survives any crash.
//!
//! A file holds one line with the SHA-256 of the rest, then the table as JSON. It is written beside its place,
//! synced, and renamed there; the one before is kept as `table.previous.json`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use daybook_model::{Digest, RouteTable};

/// Where tables are kept.
pub(crate) struct TableFile {
    directory: PathBuf,
}

/// Why a kept table could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is damaged: {why}")]
    Damaged { path: PathBuf, why: String },
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) table: RouteTable,
    /// What could not be used, in words.
    pub(crate) damage: Vec<String>,
}

impl TableFile {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Keeps a table; when this returns it survives a power loss.
    pub(crate) fn write(&self, table: &RouteTable) -> io::Result<()> {
        let json = serde_json::to_vec(table).map_err(io::Error::other)?;
        let temporary = self.directory.join("table.new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&temporary)?;
        writeln!(file, "{}", Digest::of(&json))?;
        file.write_all(&json)?;
        file.sync_all()?;
        // A hard link keeps the one before; at no moment is there no table.
        let previous = self.previous();
        let spare = self.directory.join("table.spare");
        let _ = fs::remove_file(&spare);
        if fs::hard_link(self.current(), &spare).is_ok() {
            fs::rename(&spare, &previous)?;
        }
        fs::rename(&temporary, self.current())?;
        File::open(&self.directory)?.sync_all()
    }

    /// The last table that can be read. A damaged one is named and put aside as `table.damaged.json`.
    pub(crate) fn read(&self) -> Kept {
        let mut kept = Kept::default();
        for path in [self.current(), self.previous()] {
            match read_one(&path) {
                Ok(Some(table)) => {
                    kept.table = table;
                    return kept;
                }
                Ok(None) => {}
                Err(damage) => {
                    kept.damage.push(damage.to_string());
                    let _ = fs::copy(&path, self.directory.join("table.damaged.json"));
                }
            }
        }
        kept
    }

    fn current(&self) -> PathBuf {
        self.directory.join("table.json")
    }

    fn previous(&self) -> PathBuf {
        self.directory.join("table.previous.json")
    }
}

fn read_one(path: &Path) -> Result<Option<RouteTable>, Damage> {
    let damaged = |why: String| Damage::Damaged { path: path.to_owned(), why };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Damage::Unreadable { path: path.to_owned(), source }),
    };
    let at = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no checksum".to_owned()))?;
    let (checksum, json) = (&bytes[..at], &bytes[at + 1..]);
    if Digest::of(json).to_string().as_bytes() != checksum {
        return Err(damaged("its checksum does not match".to_owned()));
    }
    serde_json::from_slice(json).map(Some).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(version: u64) -> RouteTable {
        RouteTable { version, ..Default::default() }
    }

    #[test]
    fn the_last_table_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = TableFile::new(directory.path());
        assert_eq!(file.read().table, RouteTable::default());
        for version in 1..=3 {
            file.write(&table(version)).unwrap();
        }
        assert_eq!(file.read().table, table(3));
    }

    #[test]
    fn every_flipped_byte_is_found_and_the_one_before_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let file = TableFile::new(directory.path());
        file.write(&table(1)).unwrap();
        file.write(&table(2)).unwrap();
        let good = fs::read(file.current()).unwrap();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            fs::write(file.current(), &bad).unwrap();
            let kept = file.read();
            assert_eq!(kept.table, table(1), "byte {i}");
            assert!(kept.damage[0].contains("table.json is damaged"), "{:?}", kept.damage);
        }
        for length in 0..good.len() {
            fs::write(file.current(), &good[..length]).unwrap();
            assert_eq!(file.read().table, table(1), "cut at {length}");
        }
    }
}
