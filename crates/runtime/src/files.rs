//! Small files that are written whole or not at all, and the errors of file operations.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, ErrorKind, Result};

static WRITES: AtomicU64 = AtomicU64::new(0);

/// Writes a small file so that it is there whole or not at all, also after a loss of power.
pub(crate) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let parent = path.parent().expect("a file of ours is in a directory");
    let name = path.file_name().expect("a file of ours has a name").to_string_lossy();
    let unfinished = parent.join(format!(".{name}.{}-{number}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(parent)?.sync_all()
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&unfinished);
        failed("write", path, &e)
    })
}

/// Does work that waits for files away from the threads that serve. `operation` is what a panic of it is told as.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::new(ErrorKind::Internal, operation, error))?
}

/// The error of a file operation, of the kind that says who must act.
pub(crate) fn failed(operation: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(kind(error), format!("{operation} {}", path.display()), error)
}

/// Who must act on an error of the operating system.
pub(crate) fn kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Internal,
    }
}

/// Waits until nobody else holds the lock of `path`, and holds it until the returned file is dropped.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let open = || fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open().map_err(|e| failed("open", path, &e))?;
    file.lock().map_err(|e| failed("lock", path, &e))?;
    Ok(file)
}

/// Makes a directory, and what is missing above it, that every user can enter but nobody else can
/// list, whatever the umask says. There already is fine.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("make", path, &error)),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(|e| failed("make", path, &e)),
    }
}
