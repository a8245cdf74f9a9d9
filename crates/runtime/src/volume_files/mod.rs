//! What a volume holds that is in no directory of this machine: carried in streams between a directory here and a
//! helper that has the volume, which is this program too.

mod inside;
mod stream;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::Exchange;

pub use inside::ASIDE;
pub use stream::{Taken, pack, unpack};

/// The word of the command line by which this program is the helper.
pub const COMMAND: &str = "volume-files";
/// How long a helper is there at most. A server that was killed leaves one behind.
pub const HELD: Duration = Duration::from_secs(12 * 3600);

/// What a helper is told to do with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Be there, so that the others can be told.
    Hold,
    /// Write what it holds to standard output.
    Take,
    /// Read what it is to hold from standard input, beside what it holds.
    Lay,
    /// Put what was laid beside in the place of what it holds.
    Exchange,
    /// End an exchange that was broken off. Says what became of it.
    Settle,
}

impl Act {
    const ALL: [Self; 5] = [Self::Hold, Self::Take, Self::Lay, Self::Exchange, Self::Settle];

    /// As the command line has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Take => "take",
            Self::Lay => "lay",
            Self::Exchange => "exchange",
            Self::Settle => "settle",
        }
    }

    fn of(word: &OsStr) -> Option<Self> {
        Self::ALL.into_iter().find(|act| word == act.as_str())
    }
}

/// What a helper says of an exchange.
pub fn outcome(exchange: Exchange) -> &'static str {
    match exchange {
        Exchange::Done => "done",
        Exchange::Undone => "undone",
    }
}

/// The helper: `daybook volume-files ACT DIRECTORY`. No part of the command line that people use.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let (act, volume) = (arguments.next().and_then(|word| Act::of(&word)), arguments.next());
    let Some((act, volume)) = act.zip(volume) else {
        let _ = writeln!(io::stderr(), "what is to be done with which directory?");
        return ExitCode::from(64);
    };
    match carry_out(act, Path::new(&volume)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(act: Act, volume: &Path) -> io::Result<()> {
    let exchanged = match act {
        Act::Hold => {
            std::thread::sleep(HELD);
            return Ok(());
        }
        Act::Take => return pack(volume, &inside::NOT_CARRIED, io::stdout().lock()),
        Act::Lay => return inside::lay(volume, io::stdin().lock()),
        Act::Exchange => inside::exchange(volume).map(|()| Exchange::Done)?,
        Act::Settle => inside::settle(volume)?,
    };
    writeln!(io::stdout(), "{}", outcome(exchanged))
}

/// Removes a directory with everything in it; not there is fine.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // A directory that may not be written keeps its files from being removed.
            make_writable(path);
            fs::remove_dir_all(path)
        }
        done => done,
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
