//! What a replica finds in its working directory: its copy of the snapshot, its volumes, its files.
//!
//! A process has no file system of its own. Absolute paths of the manifest are therefore taken
//! beneath the working directory, which `DAYBOOK_ROOT` names: a volume at `/data` is `data` there, a
//! secret at `/run/secrets/key` is `run/secrets/key`. Volumes are symbolic links to their directories,
//! which `DAYBOOK_VOLUME_<NAME>` names too. A mount's `read_only` is not enforced: that takes a
//! mount of its own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

use daybook_model::Launch;
use daybook_model::name::VolumeName;
use daybook_model::spec::{Mount, MountSource};

use super::layout::{Layout, ReplicaDir};
use super::record::UserIds;
use crate::files::{failed, make_directory};
use crate::{Error, ErrorKind, Result, snapshot};

/// Makes the working directory of a replica anew.
pub(crate) fn make(layout: &Layout, dir: &ReplicaDir, launch: &Launch, user: Option<&UserIds>) -> Result<()> {
    for old in [dir.work(), dir.files(), dir.tmp()] {
        remove_tree(&old)?;
    }
    let work = dir.work();
    snapshot::copy(&layout.artifacts().path(&launch.artifact), &work)?;
    if let Some(user) = user {
        give(&work, user)?;
    }
    for (number, mount) in launch.container.mounts.iter().enumerate() {
        let source = source(layout, dir, launch, mount, number, user)?;
        show(&work, &mount.target, &source, fills(mount))?;
    }
    write_files(dir, launch, user)
}

/// Where a replica starts.
pub(crate) fn start_directory(dir: &ReplicaDir, launch: &Launch) -> Result<PathBuf> {
    match &launch.container.working_dir {
        None => Ok(dir.work()),
        Some(inside) => beneath(&dir.work(), inside),
    }
}

/// The directory of a named volume. One with a name of its own outside is shared by that name.
pub(crate) fn volume_directory(layout: &Layout, launch: &Launch, name: &VolumeName) -> Result<PathBuf> {
    match launch.outside.volumes.get(name) {
        None => Ok(layout.volume(&launch.key, name)),
        Some(outside) => Ok(layout.outside_volume(&outside_name(outside)?)),
    }
}

/// Checks a volume's outside name, which becomes a part of a path.
pub(crate) fn outside_name(name: &str) -> Result<VolumeName> {
    VolumeName::new(name).map_err(|e| Error::new(ErrorKind::Refused, format!("use volume {name}"), e))
}

/// Joins a path of the manifest to a root. `..` is refused: it has no good meaning in a target.
pub(crate) fn beneath(root: &Path, inside: &str) -> Result<PathBuf> {
    let mut path = root.to_owned();
    for component in Path::new(inside).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let why = "a path inside a replica must not hold `..`";
                return Err(Error::new(ErrorKind::Refused, format!("use path {inside}"), why));
            }
        }
    }
    Ok(path)
}

/// Removes a directory with everything in it; not there is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // A directory that may not be written keeps its files from being removed.
            make_writable(path);
            fs::remove_dir_all(path).map_err(|e| failed("remove", path, &e))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

fn make_writable(path: &Path) {
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// An empty volume takes over what the snapshot holds at its place, as Docker's do.
fn fills(mount: &Mount) -> bool {
    matches!(mount.source, MountSource::Volume { nocopy: false, .. } | MountSource::Anonymous)
}

fn source(
    layout: &Layout,
    dir: &ReplicaDir,
    launch: &Launch,
    mount: &Mount,
    number: usize,
    user: Option<&UserIds>,
) -> Result<PathBuf> {
    match &mount.source {
        MountSource::Volume { name, subpath, .. } => {
            let volume = volume_directory(layout, launch, name)?;
            make_volume(&volume, user)?;
            let Some(subpath) = subpath else { return Ok(volume) };
            let inside = beneath(&volume, subpath)?;
            make_beneath(&volume, &inside)?;
            Ok(inside)
        }
        MountSource::Anonymous => made(dir.anonymous().join(number.to_string()), user),
        MountSource::Tmpfs { .. } => made(dir.tmp().join(number.to_string()), user),
        MountSource::Bind { path, create, .. } => {
            let path = PathBuf::from(path);
            if *create {
                fs::create_dir_all(&path).map_err(|e| failed("make", &path, &e))?;
            }
            fs::metadata(&path).map_err(|e| failed("mount", &path, &e))?;
            Ok(path)
        }
    }
}

fn made(path: PathBuf, user: Option<&UserIds>) -> Result<PathBuf> {
    make_volume(&path, user).map(|()| path)
}

/// Makes a volume unless it is there. One that nobody has written to yet belongs to the first user who
/// mounts it, or else nobody but root could write to it.
pub(crate) fn make_volume(path: &Path, user: Option<&UserIds>) -> Result<()> {
    if !path.is_dir() {
        make_directory(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| failed("make", path, &e))?;
    }
    match user {
        Some(user) if is_empty(path) => {
            chown(path, Some(user.uid), Some(user.gid)).map_err(|e| failed("give away", path, &e))
        }
        _ => Ok(()),
    }
}

/// Shows `source` at `target` of the working directory.
fn show(work: &Path, target: &str, source: &Path, fill: bool) -> Result<()> {
    let place = beneath(work, target)?;
    if place == work {
        let why = "it would hide everything that the replica is made of";
        return Err(Error::new(ErrorKind::Refused, format!("mount at {target}"), why));
    }
    make_beneath(work, place.parent().expect("it is beneath the working directory"))?;
    if let Ok(there) = fs::symlink_metadata(&place) {
        if fill && there.is_dir() && is_empty(source) {
            fill_volume(&place, source)?;
        }
        let removed = if there.is_dir() { remove_tree(&place) } else { remove_file(&place) };
        removed?;
    }
    symlink(source, &place).map_err(|e| failed("link", &place, &e))
}

fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(|e| failed("remove", path, &e))
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// By way of a copy beside it, so that a volume is never half filled.
fn fill_volume(from: &Path, volume: &Path) -> Result<()> {
    let mut name = volume.file_name().expect("a volume has a name").to_owned();
    name.push(".filling");
    let filling = volume.with_file_name(format!(".{}", name.to_string_lossy()));
    remove_tree(&filling)?;
    snapshot::copy(from, &filling)?;
    fs::rename(&filling, volume).map_err(|e| failed("fill", volume, &e))
}

/// Makes directories from `root` down to `path`, which must be beneath it, and refuses to go through
/// a symbolic link: one in the snapshot could lead anywhere.
fn make_beneath(root: &Path, path: &Path) -> Result<()> {
    let inside = path.strip_prefix(root).expect("the path is beneath its root");
    let mut place = root.to_owned();
    for part in inside {
        place.push(part);
        match fs::symlink_metadata(&place) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => {
                let why = "it is a file or a symbolic link, and a directory is needed there";
                return Err(Error::new(ErrorKind::Refused, format!("mount beneath {}", place.display()), why));
            }
            Err(_) => fs::create_dir(&place).map_err(|e| failed("make", &place, &e))?,
        }
    }
    Ok(())
}

/// Configs and secrets. Their directory can be entered by the replica's user only, and is removed
/// when the replica has ended.
fn write_files(dir: &ReplicaDir, launch: &Launch, user: Option<&UserIds>) -> Result<()> {
    if launch.files.is_empty() {
        return Ok(());
    }
    let directory = dir.files();
    fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|e| failed("make", &directory, &e))?;
    for (number, file) in launch.files.iter().enumerate() {
        let path = directory.join(number.to_string());
        let write = || -> io::Result<()> {
            let mut made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            io::Write::write_all(&mut made, &file.content)?;
            made.set_permissions(fs::Permissions::from_mode(file.mode & 0o7777))?;
            let (uid, gid) = (file.uid.or(user.map(|u| u.uid)), file.gid.or(user.map(|u| u.gid)));
            if rustix::process::geteuid().is_root() { chown(&path, uid, gid) } else { Ok(()) }
        };
        write().map_err(|e| failed("write the file for", Path::new(&file.target), &e))?;
        show(&dir.work(), &file.target, &path, false)?;
    }
    match user {
        Some(user) => {
            chown(&directory, Some(user.uid), Some(user.gid)).map_err(|e| failed("give away", &directory, &e))
        }
        None => Ok(()),
    }
}

/// Gives a tree to a user, links themselves and not what they show.
fn give(path: &Path, user: &UserIds) -> Result<()> {
    let give_one = |path: &Path| {
        std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).map_err(|e| failed("give away", path, &e))
    };
    give_one(path)?;
    for found in snapshot::files(path, &snapshot::Ignore::nothing())? {
        give_one(&path.join(&found.path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r32_paths_stay_beneath_their_root() {
        let root = Path::new("/r");
        assert_eq!(beneath(root, "/data").unwrap(), Path::new("/r/data"));
        assert_eq!(beneath(root, "a/./b//c").unwrap(), Path::new("/r/a/b/c"));
        for bad in ["..", "/a/../../b", "a/.."] {
            assert_eq!(beneath(root, bad).unwrap_err().kind, ErrorKind::Refused, "{bad}");
        }
    }

    #[test]
    fn r32_a_link_in_the_snapshot_leads_nothing_out() {
        let work = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), work.path().join("data")).unwrap();
        let error = show(work.path(), "/data/x", Path::new("/tmp"), false).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused);
        assert!(is_empty(outside.path()));
        // At its very place it is replaced, not followed.
        show(work.path(), "/data", Path::new("/tmp"), false).unwrap();
        assert_eq!(fs::read_link(work.path().join("data")).unwrap(), Path::new("/tmp"));
        assert_eq!(show(work.path(), "/", Path::new("/tmp"), false).unwrap_err().kind, ErrorKind::Refused);
    }

    #[test]
    fn an_empty_volume_takes_over_what_is_at_its_place() {
        let (work, volume) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = volume.path().join("v");
        fs::create_dir(&volume).unwrap();
        fs::create_dir(work.path().join("data")).unwrap();
        fs::write(work.path().join("data/seed"), "1").unwrap();
        show(work.path(), "/data", &volume, true).unwrap();
        assert_eq!(fs::read_to_string(work.path().join("data/seed")).unwrap(), "1");
        assert_eq!(fs::read_to_string(volume.join("seed")).unwrap(), "1");
    }
}
