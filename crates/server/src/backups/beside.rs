//! A directory, what is restored beside it, and what was there before. Moving names about is all that changes it: at each
//! moment what there is tells how far an exchange is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use daybook_runtime::Exchange;
use daybook_runtime::volume_files::remove_tree;

/// The directory of a volume and its neighbours.
#[derive(Debug, Clone)]
pub(super) struct Beside {
    pub(super) directory: PathBuf,
    /// Where all of them are.
    pub(super) parent: PathBuf,
    /// What is restored, until it is in its place.
    pub(super) fresh: PathBuf,
    /// What was there before the last restore.
    pub(super) aside: PathBuf,
}

impl Beside {
    /// Names that no volume can have: they begin with a dot.
    pub(super) fn of(directory: &Path) -> Self {
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let beside = |what: &str| directory.with_file_name(format!(".{name}.{what}"));
        Self {
            directory: directory.to_owned(),
            parent: directory.parent().unwrap_or(directory).to_owned(),
            fresh: beside("restored"),
            aside: beside("before"),
        }
    }

    /// Puts what was restored in the place of what is there, which stays aside. Nobody may use it meanwhile.
    pub(super) fn exchange(&self) -> io::Result<()> {
        // What was restored is on the disk before anything else changes.
        rustix::fs::syncfs(File::open(&self.fresh)?)?;
        remove_tree(&self.aside)?;
        fs::rename(&self.directory, &self.aside)?;
        if let Err(error) = fs::rename(&self.fresh, &self.directory) {
            fs::rename(&self.aside, &self.directory)?;
            return Err(error);
        }
        File::open(&self.parent)?.sync_all()
    }

    /// Ends an exchange that was broken off: forward where what was there is away already, else back.
    pub(super) fn settle(&self) -> io::Result<Exchange> {
        match (self.directory.exists(), self.fresh.exists()) {
            (false, true) => fs::rename(&self.fresh, &self.directory).map(|()| Exchange::Done),
            (true, true) => remove_tree(&self.fresh).map(|()| Exchange::Undone),
            (true, false) => Ok(Exchange::Done),
            (false, false) => {
                let message = format!("{} is gone, and so is what was restored", self.directory.display());
                Err(io::Error::new(io::ErrorKind::NotFound, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (tempfile::TempDir, Beside) {
        let world = tempfile::tempdir().unwrap();
        let directory = world.path().join("uploads");
        let beside = Beside::of(&directory);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), "before").unwrap();
        fs::create_dir(&beside.fresh).unwrap();
        fs::write(beside.fresh.join("file"), "restored").unwrap();
        (world, beside)
    }

    fn text(directory: &Path) -> String {
        fs::read_to_string(directory.join("file")).unwrap()
    }

    #[test]
    fn what_was_restored_takes_the_place_and_what_was_there_stays_aside() {
        let (_world, beside) = world();
        beside.exchange().unwrap();
        assert_eq!((text(&beside.directory), text(&beside.aside)), ("restored".into(), "before".into()));
        fs::create_dir(&beside.fresh).unwrap();
        beside.exchange().unwrap();
        assert_eq!(text(&beside.aside), "restored", "the next restore removes the one before");
    }

    #[test]
    fn r02_an_exchange_that_was_broken_off_anywhere_is_ended() {
        let (_world, beside) = world();
        assert_eq!(beside.settle().unwrap(), Exchange::Undone);
        assert!(text(&beside.directory) == "before" && !beside.fresh.exists());

        let (_world, beside) = world();
        fs::rename(&beside.directory, &beside.aside).unwrap();
        assert_eq!(beside.settle().unwrap(), Exchange::Done);
        assert_eq!((text(&beside.directory), text(&beside.aside)), ("restored".into(), "before".into()));
        assert_eq!(beside.settle().unwrap(), Exchange::Done, "and stays so");
        fs::remove_dir_all(&beside.directory).unwrap();
        assert!(beside.settle().is_err(), "nothing is there to go back to");
    }
}
