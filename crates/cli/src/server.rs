//! The server that answers: where it keeps its state, and starting one when there is none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daybook_api::{Client, SOCKET_NAME};

use crate::context::Ctx;
use crate::error::{CommandError, Result};

/// How long a server may take to answer for the first time, where `--timeout` says nothing.
const START_WITHIN: Duration = Duration::from_secs(30);

/// Between two questions whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How long a server that went away is waited for, where `--timeout` says nothing.
const WAIT_FOR: Duration = Duration::from_secs(60);

/// Between two questions whether it is back.
const WAIT_EVERY: Duration = Duration::from_millis(200);

/// The state directory: as given, `/var/lib/daybook` for root, by XDG for everybody else.
pub(crate) fn state_directory(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return std::path::absolute(path).map_err(|error| CommandError::io("find the state directory", &error));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/daybook"));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("daybook"))
        .ok_or_else(|| CommandError::usage("neither --state, XDG_STATE_HOME nor HOME says where the state is"))
}

/// A client of the server of `ctx.state`, without asking whether it answers.
pub(crate) fn client(state: &Path) -> Client {
    Client::unix(state.join(SOCKET_NAME))
}

/// A client of a server that answers; one is started when there is none, and that is said.
pub(crate) async fn reach(ctx: &Ctx) -> Result<Client> {
    if let Some(client) = ctx.elsewhere().await? {
        return Ok(client);
    }
    let client = client(&ctx.state);
    match client.version().await {
        Ok(_) => return Ok(client),
        Err(error) if !error.is_connection() => return Err(error.into()),
        Err(_) => {}
    }
    let deadline = Instant::now() + ctx.global.timeout.unwrap_or(START_WITHIN);
    let mut server = None;
    while client.version().await.is_err() {
        server = match server {
            // Whoever has the lock is about to answer.
            None if is_locked(&ctx.state) => None,
            None => Some(Starting::spawn(&ctx.state)?),
            // Another command's server was faster: ours ends and theirs answers.
            Some(started) if is_locked(&ctx.state) => Some(started),
            Some(mut started) => match started.ended()? {
                Some(why) => return Err(why),
                None => Some(started),
            },
        };
        if Instant::now() >= deadline {
            let log = ctx.state.join("server.log");
            return Err(CommandError::failed("the server does not answer").hint(format!("see {}", log.display())));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    if let Some(server) = server.filter(|server| server.owns(&ctx.state)) {
        let log = ctx.state.join("server.log");
        ctx.say(&format!("started a server (pid {}); it logs to {}", server.child.id(), log.display()));
    }
    Ok(client)
}

/// Whether a server has the state directory, be it that it does not answer yet. Asks the list of locks
/// (proc(5)): trying to lock the file would get in the way of a server that starts at this moment.
fn is_locked(state: &Path) -> bool {
    let Ok(lock) = fs::metadata(state.join("server.lock")) else { return false };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let inode = format!(":{}", lock.ino());
    locks.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.nth(1) == Some("FLOCK") && fields.nth(3).is_some_and(|file| file.ends_with(&inode))
    })
}

/// Waits for a server that went away to answer again, and starts none: whoever only looks on must not
/// bring back what somebody else has ended.
pub(crate) async fn wait(ctx: &Ctx) -> Result<Client> {
    ctx.say("lost the connection to the server; waiting for it");
    if let Some(client) = ctx.elsewhere().await? {
        ctx.say("the server answers again");
        return Ok(client);
    }
    let client = client(&ctx.state);
    let deadline = Instant::now() + ctx.global.timeout.unwrap_or(WAIT_FOR);
    loop {
        match client.version().await {
            Ok(_) => {
                ctx.say("the server answers again");
                return Ok(client);
            }
            Err(error) if !error.is_connection() || Instant::now() >= deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(WAIT_EVERY).await,
        }
    }
}

/// A server process that does not answer yet.
struct Starting {
    child: Child,
    log: File,
    log_start: u64,
}

impl Starting {
    /// Starts `daybook serve` in a session of its own, its output appended to `server.log`.
    fn spawn(state: &Path) -> Result<Self> {
        let failed = |error: io::Error| CommandError::io("start a server", &error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(|error| {
            CommandError::io(format_args!("make the state directory {}", state.display()), &error)
                .hint("choose another: --state DIR")
        })?;
        let log_path = state.join("server.log");
        let log =
            OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&log_path).map_err(failed)?;
        let log_start = log.metadata().map_err(failed)?.len();
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.arg("--state").arg(state).args(["serve", "--detached"]).current_dir("/").stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(failed)?).stderr(log.try_clone().map_err(failed)?);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { child, log, log_start })
    }

    /// Whether this is the server that has the state directory.
    fn owns(&self, state: &Path) -> bool {
        let pid = fs::read_to_string(state.join("server.lock")).unwrap_or_default();
        pid.trim() == self.child.id().to_string()
    }

    /// Why it ended, if it has, with the last line that it logged.
    fn ended(&mut self) -> Result<Option<CommandError>> {
        let failed = |error: io::Error| CommandError::io("wait for the server", &error);
        let Some(status) = self.child.try_wait().map_err(failed)? else { return Ok(None) };
        let mut text = String::new();
        self.log.seek(SeekFrom::Start(self.log_start)).map_err(failed)?;
        self.log.read_to_string(&mut text).map_err(failed)?;
        let said = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
        Ok(Some(CommandError::failed(format!("the server ended at once ({status}): {said}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_seen_and_a_free_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_locked(dir.path()));
        let file = File::create(dir.path().join("server.lock")).unwrap();
        assert!(!is_locked(dir.path()));
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(is_locked(dir.path()));
    }

    #[test]
    fn a_given_state_directory_is_made_absolute() {
        assert_eq!(state_directory(Some(Path::new("/s"))).unwrap(), Path::new("/s"));
        assert!(state_directory(Some(Path::new("s"))).unwrap().is_absolute());
    }
}
