//! A tree of files as a tar stream that says when it is whole.
//!
//! All of the tree is below one directory of the archive. What follows it at the end says that nothing is missing, and
//! how many files have changed while they were read: a stream that was cut off anywhere has no such end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, Timespec, Timestamps, UTIME_OMIT, utimensat};
use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

/// What the tree is below in the archive.
const FILES: &str = "files";
/// The entry at the end.
const END: &str = "end";
/// Times to the nanosecond, which plain tar does not have: a record of pax.
const MODIFIED: &str = "mtime";
/// Bytes of the block that an archive ends with once it has ended.
const LAST: usize = 512;
const BUFFER: usize = 1 << 17;

/// What is known of a tree that came through a stream as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Taken {
    /// Files that others changed while they were read.
    pub changed: u64,
    /// One of them, below the directory.
    pub first_changed: Option<PathBuf>,
}

/// Writes what is in a directory, but for what has one of these names at its top. Files, directories and links with
/// modes, owners and times; nothing else is carried.
///
/// A file that vanishes meanwhile is left out. One that becomes shorter while it is read is an error.
pub fn pack(directory: &Path, but: &[&str], into: impl Write) -> io::Result<()> {
    let archive = tar::Builder::new(BufWriter::with_capacity(BUFFER, into));
    let mut packing = Packing { directory, archive, linked: BTreeMap::new(), taken: Taken::default() };
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        packing.directory(&path, but, &mut open)?;
    }
    let end = serde_json::to_vec(&packing.taken)?;
    let mut header = Header::new_gnu();
    header.set_size(end.len() as u64);
    header.set_mode(0o600);
    packing.archive.append_data(&mut header, END, end.as_slice())?;
    packing.archive.into_inner()?.flush()
}

struct Packing<'a, W: Write> {
    directory: &'a Path,
    archive: tar::Builder<BufWriter<W>>,
    /// Files of several names: the first.
    linked: BTreeMap<(u64, u64), PathBuf>,
    taken: Taken,
}

impl<W: Write> Packing<'_, W> {
    /// Writes a directory and what is in it. Directories in it are left `open`.
    fn directory(&mut self, path: &Path, but: &[&str], open: &mut Vec<PathBuf>) -> io::Result<()> {
        let place = self.directory.join(path);
        let at_top = path.as_os_str().is_empty();
        let found = fs::read_dir(&place).and_then(|inside| Ok((fs::symlink_metadata(&place)?, inside)));
        let (metadata, inside) = match found {
            Ok(found) => found,
            // Of the volume itself that is an error.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !at_top => return Ok(()),
            Err(error) => return Err(at(&place, &error)),
        };
        // It may have become a link meanwhile.
        if !metadata.is_dir() {
            return if at_top { Err(at(&place, &io::ErrorKind::NotADirectory.into())) } else { Ok(()) };
        }
        let mut header = self.header(&metadata, EntryType::Directory)?;
        self.archive.append_data(&mut header, named(path), io::empty())?;
        for entry in inside {
            let entry = entry.map_err(|error| at(&place, &error))?;
            let name = entry.file_name();
            if at_top && but.iter().any(|left_out| name == *left_out) {
                continue;
            }
            let path = path.join(name);
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(&entry.path(), &error)),
            };
            if kind.is_dir() {
                open.push(path);
                continue;
            }
            let carried = if kind.is_symlink() {
                self.link(&path)
            } else if kind.is_file() {
                self.file(&path)
            } else {
                Ok(())
            };
            match carried {
                Err(Lost::Vanished) | Ok(()) => {}
                Err(Lost::Else(error)) => return Err(at(&entry.path(), &error)),
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &Path) -> Result<(), Lost> {
        let place = self.directory.join(path);
        let (metadata, target) = (fs::symlink_metadata(&place)?, fs::read_link(&place)?);
        let header = self.header(&metadata, EntryType::Symlink).map_err(Lost::Else)?;
        self.lead(header, path, &target).map_err(Lost::Else)
    }

    /// Writes a link that leads where it is said, word for word.
    fn lead(&mut self, mut header: Header, path: &Path, target: &Path) -> io::Result<()> {
        let bytes = target.as_os_str().as_bytes();
        if bytes.len() > header.as_old().linkname.len() {
            return self.archive.append_link(&mut header, named(path), target);
        }
        header.set_link_name_literal(bytes)?;
        self.archive.append_data(&mut header, named(path), io::empty())
    }

    fn file(&mut self, path: &Path) -> Result<(), Lost> {
        let place = self.directory.join(path);
        let followed_nowhere = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(followed_nowhere).open(&place)?;
        self.read(path, file).map_err(Lost::Else)
    }

    fn read(&mut self, path: &Path, file: File) -> io::Result<()> {
        let before = file.metadata()?;
        if before.nlink() > 1 {
            let id = (before.dev(), before.ino());
            if let Some(first) = self.linked.get(&id).cloned() {
                let header = self.header(&before, EntryType::Link)?;
                return self.lead(header, path, &named(&first));
            }
            self.linked.insert(id, path.to_owned());
        }
        let mut header = self.header(&before, EntryType::Regular)?;
        header.set_size(before.len());
        let mut whole = file.take(before.len());
        self.archive.append_data(&mut header, named(path), &mut whole)?;
        if whole.limit() > 0 {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        let state = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        if state(&whole.into_inner().metadata()?) != state(&before) {
            self.taken.changed += 1;
            let name = || PathBuf::from(path.to_string_lossy().into_owned());
            self.taken.first_changed.get_or_insert_with(name);
        }
        Ok(())
    }

    /// The header of what comes next, after a record with its exact time.
    fn header(&mut self, metadata: &Metadata, kind: EntryType) -> io::Result<Header> {
        let modified = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
        self.archive.append_pax_extensions([(MODIFIED, modified.as_bytes())])?;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(metadata.mode() & 0o7777);
        header.set_uid(metadata.uid().into());
        header.set_gid(metadata.gid().into());
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
        header.set_size(0);
        Ok(header)
    }
}

/// Why a file was not carried.
enum Lost {
    /// It is there no more.
    Vanished,
    /// What keeps the whole from being carried.
    Else(io::Error),
}

/// Of a file that is only looked for: what is gone, or has become a link, has vanished.
impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        let is_gone = error.kind() == io::ErrorKind::NotFound
            || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if is_gone { Self::Vanished } else { Self::Else(error) }
    }
}

fn named(path: &Path) -> PathBuf {
    Path::new(FILES).join(path)
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Makes a directory of what [`pack`] has written. It must not be there yet. Owners are kept where this process is root.
///
/// An error where the stream is not whole; what has come is there then.
pub fn unpack(from: impl Read, directory: &Path) -> io::Result<Taken> {
    let mut unpacking = Unpacking {
        directory,
        open: BTreeSet::new(),
        directories: Vec::new(),
        gives_away: rustix::process::geteuid().is_root(),
    };
    let mut archive = tar::Archive::new(from);
    let mut taken = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if taken.is_some() {
            return Err(broken("something follows its end"));
        }
        let path = entry.path()?.into_owned();
        if path == Path::new(END) {
            taken = Some(serde_json::from_reader::<_, Taken>(&mut entry)?);
        } else {
            let inside = path.strip_prefix(FILES).map_err(|_| broken("it has what is no part of it"))?;
            unpacking.entry(&mut entry, inside)?;
        }
    }
    let taken = taken.ok_or_else(|| broken("it ended early"))?;
    archive.into_inner().read_exact(&mut [0; LAST])?;
    unpacking.end()?;
    Ok(taken)
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the stream of its files is broken: {why}"))
}

/// What a file has beside its content.
struct Marks {
    mode: u32,
    owner: (u32, u32),
    modified: Option<(i64, i64)>,
}

struct Unpacking<'a> {
    directory: &'a Path,
    /// Directories that came, below the one that is made: nothing is written anywhere else.
    open: BTreeSet<PathBuf>,
    /// Their marks, which they get at the end.
    directories: Vec<(PathBuf, Marks)>,
    gives_away: bool,
}

impl Unpacking<'_> {
    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(broken("it leads elsewhere"));
        }
        let place = if path.as_os_str().is_empty() { self.directory.to_owned() } else { self.directory.join(path) };
        if path.parent().is_some_and(|parent| !self.open.contains(parent)) {
            return Err(broken("a file of it is in no directory"));
        }
        let marks = marks(entry)?;
        let kind = entry.header().entry_type();
        if path.as_os_str().is_empty() && kind != EntryType::Directory {
            return Err(broken("it is no directory"));
        }
        let made = match kind {
            EntryType::Directory => {
                self.open.insert(path.to_owned());
                self.directories.push((place.clone(), marks));
                return fs::create_dir(&place).map_err(|error| at(&place, &error));
            }
            EntryType::Regular => write(entry, &place),
            EntryType::Symlink => symlink(target(entry)?, &place),
            EntryType::Link => {
                let first = target(entry)?;
                let first = first.strip_prefix(FILES).map_err(|_| broken("it leads elsewhere"))?;
                if first.parent().is_none_or(|parent| !self.open.contains(parent)) {
                    return Err(broken("it leads elsewhere"));
                }
                return fs::hard_link(self.directory.join(first), &place).map_err(|error| at(&place, &error));
            }
            _ => return Err(broken("it has what is neither file, directory nor link")),
        };
        let marked = made.and_then(|()| self.mark(&place, &marks, kind == EntryType::Symlink));
        marked.map_err(|error| at(&place, &error))
    }

    /// Directories get their marks when nothing is made in them any more, those within first.
    fn end(self) -> io::Result<()> {
        for (place, marks) in self.directories.iter().rev() {
            self.mark(place, marks, false).map_err(|error| at(place, &error))?;
        }
        Ok(())
    }

    fn mark(&self, place: &Path, marks: &Marks, is_link: bool) -> io::Result<()> {
        if self.gives_away {
            lchown(place, Some(marks.owner.0), Some(marks.owner.1))?;
        }
        if !is_link {
            fs::set_permissions(place, Permissions::from_mode(marks.mode))?;
        }
        let Some((seconds, nanos)) = marks.modified else { return Ok(()) };
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos },
        };
        Ok(utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

fn marks(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Marks> {
    let mut modified = None;
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        if record.key_bytes() == MODIFIED.as_bytes() {
            let text = record.value().map_err(|_| broken("a time in it is none"))?;
            let time = text.split_once('.').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
            modified = Some(time.ok_or_else(|| broken("a time in it is none"))?);
        }
    }
    let header = entry.header();
    let id = |id: u64| u32::try_from(id).map_err(|_| broken("an owner in it is none"));
    Ok(Marks { mode: header.mode()? & 0o7777, owner: (id(header.uid()?)?, id(header.gid()?)?), modified })
}

fn target(entry: &tar::Entry<'_, impl Read>) -> io::Result<PathBuf> {
    Ok(entry.link_name()?.ok_or_else(|| broken("a link of it leads nowhere"))?.into_owned())
}

fn write(entry: &mut tar::Entry<'_, impl Read>, place: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
    let size = entry.size();
    match io::copy(entry, &mut file)? {
        copied if copied == size => Ok(()),
        _ => Err(broken("it ended early")),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn tree() -> tempfile::TempDir {
        let world = tempfile::tempdir().unwrap();
        let top = world.path().join("top");
        fs::create_dir_all(top.join("deep/er")).unwrap();
        fs::create_dir(top.join("left")).unwrap();
        fs::write(top.join("deep/er/.hidden"), "text").unwrap();
        fs::write(top.join(format!("{}.txt", "long".repeat(50))), vec![7; 100_000]).unwrap();
        fs::write(top.join("empty"), "").unwrap();
        fs::hard_link(top.join("empty"), top.join("deep/again")).unwrap();
        symlink("./deep//er/../er/", top.join("link")).unwrap();
        symlink("/no/where", top.join("dangling")).unwrap();
        fs::set_permissions(top.join("empty"), Permissions::from_mode(0o604)).unwrap();
        fs::set_permissions(top.join("deep"), Permissions::from_mode(0o2750)).unwrap();
        world
    }

    fn packed(directory: &Path) -> Vec<u8> {
        let mut stream = Vec::new();
        pack(directory, &["left"], &mut stream).unwrap();
        stream
    }

    #[test]
    fn a_tree_comes_through_as_it_was() {
        let world = tree();
        let (top, copy) = (world.path().join("top"), world.path().join("copy"));
        let mut stream = packed(&top);
        stream.extend(b"what follows is left");
        let mut stream = stream.as_slice();
        assert_eq!(unpack(&mut stream, &copy).unwrap(), Taken::default());
        assert_eq!(stream, b"what follows is left");
        for name in ["", "deep", "deep/er", "deep/er/.hidden", "empty", "link", "dangling"] {
            let [one, other] = [&top, &copy].map(|side| fs::symlink_metadata(side.join(name)).unwrap());
            let of = |m: &Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
            assert_eq!(of(&one), of(&other), "{name}");
        }
        assert_eq!(fs::read_to_string(copy.join("deep/er/.hidden")).unwrap(), "text");
        assert_eq!(fs::read(copy.join(format!("{}.txt", "long".repeat(50)))).unwrap(), vec![7; 100_000]);
        assert_eq!(fs::read_link(copy.join("link")).unwrap().as_os_str(), OsStr::new("./deep//er/../er/"));
        assert_eq!(fs::metadata(copy.join("deep/again")).unwrap().nlink(), 2);
        assert!(!copy.join("left").exists());
    }

    #[test]
    fn r20_a_stream_of_files_that_ends_early_anywhere_is_an_error() {
        let world = tree();
        let stream = packed(&world.path().join("top"));
        for (turn, end) in (0..stream.len()).step_by(509).enumerate() {
            let copy = world.path().join(format!("copy-{turn}"));
            assert!(unpack(&stream[..end], &copy).is_err(), "{end} of {} bytes", stream.len());
        }
    }

    #[test]
    fn nothing_is_written_outside_of_the_directory() {
        let world = tempfile::tempdir().unwrap();
        let made = |entries: &[(&str, EntryType, &str)]| {
            let mut archive = tar::Builder::new(Vec::new());
            for (path, kind, target) in entries {
                let mut header = Header::new_gnu();
                header.set_entry_type(*kind);
                header.set_mode(0o755);
                header.set_uid(0);
                header.set_gid(0);
                header.set_size(0);
                match *kind {
                    EntryType::Symlink | EntryType::Link => archive.append_link(&mut header, path, target).unwrap(),
                    _ => archive.append_data(&mut header, path, io::empty()).unwrap(),
                }
            }
            archive.into_inner().unwrap()
        };
        let top = ("files", EntryType::Directory, "");
        for (turn, wrong) in [
            vec![("elsewhere", EntryType::Regular, "")],
            vec![top, ("files/link", EntryType::Symlink, "/tmp"), ("files/link/file", EntryType::Regular, "")],
            vec![top, ("files/nowhere/file", EntryType::Regular, "")],
            vec![top, ("files/link", EntryType::Link, "/etc/hostname")],
            vec![top, ("files/pipe", EntryType::Fifo, "")],
        ]
        .into_iter()
        .enumerate()
        {
            let error = unpack(made(&wrong).as_slice(), &world.path().join(turn.to_string())).unwrap_err();
            assert!(error.to_string().contains("is broken"), "{wrong:?}: {error}");
        }
    }
}
