//! A volume that is a mount of its own: what replaces what it holds has to be laid inside of it, in a directory that begins
//! with a dot. Moving names about is all that changes it; at each moment what there is tells how far an exchange is.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::remove_tree;
use super::stream::unpack;
use crate::Exchange;

/// The directory of ours in a volume.
const OURS: &str = ".daybook";
/// What file systems keep at the top of a volume for themselves.
const LOST: &str = "lost+found";
/// Where what a volume held before the last exchange is, in the volume.
pub const ASIDE: &str = ".daybook/before";
/// What is at the top of a volume and is none of what it holds.
pub(super) const NOT_CARRIED: [&str; 2] = [OURS, LOST];

/// The places of an exchange.
struct Inside {
    volume: PathBuf,
    ours: PathBuf,
    /// What is to be put in place.
    fresh: PathBuf,
    /// The same, from the moment on in which what the volume holds goes aside.
    leaving: PathBuf,
    /// The same, once that is aside.
    coming: PathBuf,
    /// What the volume held before.
    aside: PathBuf,
}

impl Inside {
    fn of(volume: &Path) -> Self {
        let ours = volume.join(OURS);
        Self {
            volume: volume.to_owned(),
            fresh: ours.join("restored"),
            leaving: ours.join("leaving"),
            coming: ours.join("coming"),
            aside: volume.join(ASIDE),
            ours,
        }
    }

    /// Moves what the volume holds aside.
    fn clear(&self) -> io::Result<()> {
        move_all(&self.volume, &self.aside, &NOT_CARRIED)?;
        fs::rename(&self.leaving, &self.coming)
    }

    /// Moves what is to be there into the volume.
    fn fill(&self) -> io::Result<()> {
        move_all(&self.coming, &self.volume, &[])?;
        fs::remove_dir(&self.coming)?;
        rustix::fs::syncfs(File::open(&self.volume)?)?;
        Ok(())
    }
}

/// Reads what a volume is to hold, and lays it beside what it holds. Where that fails, nothing is left of it. What was
/// broken off before is ended first.
pub(super) fn lay(volume: &Path, from: impl Read) -> io::Result<()> {
    let inside = Inside::of(volume);
    match fs::create_dir(&inside.ours) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(error.kind(), format!("make {}: {error}", inside.ours.display())));
        }
        _ => {}
    }
    settle(volume)?;
    let laid = unpack(from, &inside.fresh).and_then(|_| {
        // The volume's own directory stays what it is; this one is to be emptied.
        fs::set_permissions(&inside.fresh, Permissions::from_mode(0o700))?;
        Ok(rustix::fs::syncfs(File::open(volume)?)?)
    });
    if laid.is_err() {
        // What keeps it from being removed is in the way of the next, which tells it.
        let _ = remove_tree(&inside.fresh);
    }
    laid
}

/// Puts what was laid beside in the place of what a volume holds, which stays aside. Nobody may use it meanwhile.
pub(super) fn exchange(volume: &Path) -> io::Result<()> {
    let inside = Inside::of(volume);
    if !inside.fresh.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "nothing was laid beside what the volume holds"));
    }
    remove_tree(&inside.aside)?;
    fs::create_dir(&inside.aside)?;
    fs::rename(&inside.fresh, &inside.leaving)?;
    if let Err(error) = inside.clear() {
        move_all(&inside.aside, &inside.volume, &[])?;
        fs::rename(&inside.leaving, &inside.fresh)?;
        return Err(error);
    }
    inside.fill()
}

/// Ends an exchange that was broken off: forward where it had begun, else back.
pub(super) fn settle(volume: &Path) -> io::Result<Exchange> {
    let inside = Inside::of(volume);
    if inside.fresh.try_exists()? {
        remove_tree(&inside.fresh)?;
        return Ok(Exchange::Undone);
    }
    if inside.leaving.try_exists()? {
        inside.clear()?;
    }
    if inside.coming.try_exists()? {
        inside.fill()?;
    }
    Ok(Exchange::Done)
}

/// Moves what is in a directory into another one of the same file system, but for these names.
fn move_all(from: &Path, into: &Path, but: &[&str]) -> io::Result<()> {
    loop {
        // File systems of a network may leave out names where others go while they are listed.
        let mut names = Vec::new();
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            if !but.iter().any(|stays| name == *stays) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            let from = from.join(&name);
            move_one(&from, &into.join(&name))
                .map_err(|error| io::Error::new(error.kind(), format!("move {}: {error}", from.display())))?;
        }
    }
}

fn move_one(from: &Path, into: &Path) -> io::Result<()> {
    match fs::rename(from, into) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && fs::symlink_metadata(from)?.is_dir() => {
            // A directory gets another parent only where it may be written.
            let kept = fs::symlink_metadata(from)?.permissions();
            fs::set_permissions(from, Permissions::from_mode(kept.mode() | 0o700))?;
            let moved = fs::rename(from, into);
            fs::set_permissions(if moved.is_ok() { into } else { from }, kept)?;
            moved
        }
        moved => moved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume_files::pack;

    /// A volume that holds `before`, and a stream of what it is to hold.
    fn world() -> (tempfile::TempDir, Vec<u8>) {
        let world = tempfile::tempdir().unwrap();
        fs::create_dir_all(world.path().join("volume/lost+found")).unwrap();
        fs::create_dir_all(world.path().join("volume/old")).unwrap();
        fs::write(world.path().join("volume/file"), "before").unwrap();
        fs::create_dir_all(world.path().join("other/new")).unwrap();
        fs::write(world.path().join("other/file"), "restored").unwrap();
        let mut stream = Vec::new();
        pack(&world.path().join("other"), &[], &mut stream).unwrap();
        (world, stream)
    }

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    const BEFORE: [&str; 4] = [".daybook", "file", "lost+found", "old"];
    const AFTER: [&str; 4] = [".daybook", "file", "lost+found", "new"];

    fn text(volume: &Path) -> String {
        fs::read_to_string(volume.join("file")).unwrap()
    }

    #[test]
    fn what_was_laid_beside_takes_the_place_and_what_was_there_stays_aside() {
        let (world, stream) = world();
        let volume = world.path().join("volume");
        for _ in 0..2 {
            lay(&volume, stream.as_slice()).unwrap();
            exchange(&volume).unwrap();
            assert_eq!((text(&volume), names(&volume)), ("restored".into(), AFTER.map(String::from).to_vec()));
        }
        assert_eq!((text(&volume.join(ASIDE)), names(&volume.join(OURS))), ("restored".into(), vec!["before".into()]));
        let mut carried = Vec::new();
        pack(&volume, &NOT_CARRIED, &mut carried).unwrap();
        unpack(carried.as_slice(), &world.path().join("copy")).unwrap();
        assert_eq!(names(&world.path().join("copy")), ["file", "new"], "and none of ours is carried");
        assert!(exchange(&volume).is_err(), "nothing is laid beside");
    }

    #[test]
    fn a_stream_that_ends_early_changes_nothing() {
        let (world, stream) = world();
        let volume = world.path().join("volume");
        lay(&volume, &stream[..stream.len() / 2]).unwrap_err();
        assert_eq!((text(&volume), names(&volume)), ("before".into(), BEFORE.map(String::from).to_vec()));
        assert!(names(&volume.join(OURS)).is_empty());
    }

    #[test]
    fn r02_an_exchange_inside_of_a_volume_that_was_broken_off_anywhere_is_ended() {
        let (world_of_none, stream) = world();
        let volume = world_of_none.path().join("volume");
        lay(&volume, stream.as_slice()).unwrap();
        assert_eq!(settle(&volume).unwrap(), Exchange::Undone);
        assert_eq!((text(&volume), names(&volume.join(OURS)).len()), ("before".into(), 0));

        for broken_off in 0..4 {
            let (world, stream) = world();
            let volume = world.path().join("volume");
            let inside = Inside::of(&volume);
            lay(&volume, stream.as_slice()).unwrap();
            fs::create_dir(&inside.aside).unwrap();
            fs::rename(&inside.fresh, &inside.leaving).unwrap();
            if broken_off > 0 {
                fs::rename(volume.join("file"), inside.aside.join("file")).unwrap();
            }
            if broken_off > 1 {
                inside.clear().unwrap();
            }
            if broken_off > 2 {
                fs::rename(inside.coming.join("file"), volume.join("file")).unwrap();
            }
            for _ in 0..2 {
                assert_eq!(settle(&volume).unwrap(), Exchange::Done);
                assert_eq!((text(&volume), names(&volume)), ("restored".into(), AFTER.map(String::from).to_vec()));
                assert_eq!(
                    (text(&inside.aside), names(&inside.aside)),
                    ("before".into(), vec!["file".into(), "old".into()])
                );
            }
        }
    }
}
