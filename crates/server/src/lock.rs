//! One server for one state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// The lock of a state directory. The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

/// Why the state directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server has it.
    #[error("another server (pid {pid}) owns {state}")]
    Held {
        /// The state directory.
        state: String,
        /// The other server's process id, as it wrote it.
        pid: String,
    },
    /// The system refused.
    #[error("lock the state directory: {0}")]
    Io(#[from] std::io::Error),
}

impl StateLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join("server.lock");
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(LockError::Io(error.into()));
            }
            let mut pid = String::new();
            file.read_to_string(&mut pid)?;
            return Err(LockError::Held { state: state.display().to_string(), pid: pid.trim().to_owned() });
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r08_a_second_server_is_told_who_has_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        let refused = StateLock::take(dir.path()).unwrap_err();
        assert!(refused.to_string().contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(first);
        assert!(StateLock::take(dir.path()).is_ok());
    }
}
