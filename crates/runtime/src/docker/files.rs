//! Files whose content Daybook provides: configs and secrets.
//!
//! A config is written into the container's own layer before it starts, and lives and dies with it.
//! A secret never reaches a disk: it is kept in memory (a tmpfs) of this machine, in a directory that
//! only we may enter, and mounted read-only. After a reboot it is gone until the replica is started
//! again through Daybook. What cannot be written into a layer (the root file system is read-only, or
//! something is mounted there) is provided like a secret.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use daybook_model::launch::LaunchFile;
use daybook_model::spec::FileContent;
use daybook_model::{Digest, Launch};

use super::error::failed;
use super::{DockerRuntime, names};
use crate::{Error, ErrorKind, Result};

/// Keeps secret files in memory.
pub(super) struct SecretFiles {
    /// Tells the servers of one machine apart.
    directory: String,
}

impl SecretFiles {
    pub(super) fn new(state: &Path) -> Self {
        let state = state.canonicalize().unwrap_or_else(|_| state.to_owned());
        let tag = Digest::of(state.as_os_str().as_encoded_bytes());
        Self { directory: format!("daybook-secrets-{}", tag.short()) }
    }

    /// Writes the files that `launch` needs in memory, and says where each is. Written again, they
    /// have the same places.
    pub(super) fn place<'a>(&self, launch: &'a Launch) -> Result<Vec<(PathBuf, &'a LaunchFile)>> {
        let files: Vec<_> = launch.files.iter().filter(|file| !belongs_in_layer(launch, file)).collect();
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let directory = self.of(&names::container(&launch.key, &launch.id, launch.role))?;
        private_directory(&directory)?;
        let mut placed = Vec::new();
        for (number, file) in files.into_iter().enumerate() {
            let path = directory.join(number.to_string());
            crate::files::write_atomically(&path, &file.content, 0o600)?;
            fs::set_permissions(&path, Permissions::from_mode(file.mode)).map_err(|e| not_kept(&path, &e))?;
            std::os::unix::fs::chown(&path, file.uid, file.gid).map_err(|e| not_kept(&path, &e))?;
            placed.push((path, file));
        }
        Ok(placed)
    }

    /// Removes what a container had in memory, and the directory of all if it was the last.
    pub(super) fn remove(&self, container: &str) -> Result<()> {
        let Some(root) = self.root() else { return Ok(()) };
        let directory = root.join(container);
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(not_kept(&directory, &error)),
            _ => {}
        }
        // It stays while others have something in it.
        let _ = fs::remove_dir(root);
        Ok(())
    }

    fn of(&self, container: &str) -> Result<PathBuf> {
        let root = self.root().ok_or_else(|| {
            Error::new(ErrorKind::Refused, "keep secret files", "no file system in memory at /run or /dev/shm")
                .hint("mount a tmpfs at /run")
        })?;
        private_directory(&root)?;
        Ok(root.join(container))
    }

    fn root(&self) -> Option<PathBuf> {
        Some(memory_base()?.join(&self.directory))
    }
}

impl DockerRuntime {
    /// Writes the configs of `launch` into the layer of its container, which has not started yet.
    pub(super) async fn write_configs(&self, launch: &Launch, container: &str) -> Result<()> {
        let files: Vec<_> = launch.files.iter().filter(|file| belongs_in_layer(launch, file)).collect();
        if files.is_empty() {
            return Ok(());
        }
        let operation = format!("write configs of {}", launch.id);
        let archive = archive(&files).map_err(|e| Error::new(ErrorKind::Internal, operation.as_str(), e))?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let body = bollard::body_full(archive.into());
        self.engine.docker.upload_to_container(container, Some(options), body).await.map_err(|e| failed(operation, &e))
    }
}

fn belongs_in_layer(launch: &Launch, file: &LaunchFile) -> bool {
    let container = &launch.container;
    let is_config = container
        .files
        .iter()
        .any(|mount| mount.target == file.target && matches!(mount.content, FileContent::Text(_)));
    let covered = container.mounts.iter().any(|mount| Path::new(&file.target).starts_with(&mount.target));
    is_config && !covered && !container.options.read_only
}

fn archive(files: &[&LaunchFile]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.uid.unwrap_or(0).into());
        header.set_gid(file.gid.unwrap_or(0).into());
        archive.append_data(&mut header, file.target.trim_start_matches('/'), file.content.as_slice())?;
    }
    archive.into_inner()
}

/// Makes a directory that only we may enter, or makes sure that the one that is there is such: others
/// can write to `/dev/shm`.
fn private_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(not_kept(path, &error)),
        _ => {}
    }
    let meta = fs::symlink_metadata(path).map_err(|e| not_kept(path, &e))?;
    if meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, format!("keep secrets in {}", path.display()), "others may enter it"))
}

/// The first directory in memory that we may write to.
fn memory_base() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = own.into_iter().chain([PathBuf::from("/run"), PathBuf::from("/dev/shm")]);
    places.into_iter().find(|place| is_memory(place) && rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok())
}

#[cfg(target_os = "linux")]
fn is_memory(path: &Path) -> bool {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type == TMPFS_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_: &Path) -> bool {
    false
}

fn not_kept(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("keep {}", path.display()), error)
}
