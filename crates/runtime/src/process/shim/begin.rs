//! The second stage: becomes the replica's process.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::fs::{Gid, Mode, Uid};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};

use super::super::cgroup;
use super::super::record::{Begin, UserIds};

/// Why a process did not begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotBegun {
    /// In words: "exec bin/web: no such file".
    pub(super) why: String,
    /// Another try would fail in the same way.
    pub(super) hopeless: bool,
}

/// Reads a [`Begin`] from standard input, a socket, and becomes what it says. Only a failure is
/// answered on the socket; success closes it.
pub(super) fn main() -> ExitCode {
    let failure = match take_over_input() {
        Ok((begin, mut channel)) => {
            let failure = become_it(&begin);
            let _ = channel.write_all(&serde_json::to_vec(&failure).unwrap_or_default());
            failure
        }
        Err(error) => NotBegun { why: format!("read how to begin: {error}"), hopeless: false },
    };
    eprintln!("daybook: {}", failure.why);
    ExitCode::from(127)
}

fn take_over_input() -> io::Result<(Begin, File)> {
    let mut channel = File::from(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut text = Vec::new();
    channel.read_to_end(&mut text)?;
    Ok((serde_json::from_slice(&text)?, channel))
}

/// Does not return unless it fails. The order matters: groups, limits and the directory need rights
/// that the user may not have.
pub(super) fn become_it(begin: &Begin) -> NotBegun {
    let failed = |what: &str, error: &io::Error| NotBegun { why: format!("{what}: {error}"), hopeless: false };
    for group in &begin.cgroups {
        if let Err(error) = cgroup::join(group) {
            return failed(&format!("join control group {}", group.display()), &error);
        }
    }
    if let Some(score) = begin.oom_score_adj
        && let Err(error) = fs::write("/proc/self/oom_score_adj", score.to_string())
    {
        return failed("set oom_score_adj", &error);
    }
    for (name, (soft, hard)) in &begin.ulimits {
        if let Err(error) = set_limit(name, *soft, *hard) {
            return failed(&format!("set ulimit {name}"), &error);
        }
    }
    // Not the server's, which keeps its files to itself.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if let Err(error) = std::env::set_current_dir(&begin.directory) {
        let why = format!("enter working directory {}: {}", begin.directory.display(), plain(&error));
        return NotBegun { why, hopeless: true };
    }
    if let Some(user) = &begin.user
        && let Err(error) = become_user(user)
    {
        return failed(&format!("become user {}", user.uid), &error);
    }
    execute(begin)
}

fn execute(begin: &Begin) -> NotBegun {
    let Some((program, arguments)) = begin.argv.split_first() else {
        return NotBegun { why: "exec: no command".to_owned(), hopeless: true };
    };
    let environment = begin.environment.iter().map(|(name, value)| (name, value));
    let error = Command::new(program).args(arguments).env_clear().envs(environment).exec();
    let hopeless = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        || error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error());
    NotBegun { why: format!("exec {program}: {}", exec_failure(program, &error)), hopeless }
}

fn exec_failure(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') && Path::new(program).exists() => {
            "the interpreter or loader that the file names is missing".to_owned()
        }
        io::ErrorKind::PermissionDenied => "permission denied: is it executable?".to_owned(),
        _ => plain(error),
    }
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    }
}

/// Of the only thread, which makes it the whole process's.
fn become_user(user: &UserIds) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    if rustix::process::geteuid().is_root() {
        let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        set_thread_groups(&groups)?;
    }
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

fn set_limit(name: &str, soft: i64, hard: i64) -> io::Result<()> {
    let resource = resource(name).ok_or(io::ErrorKind::Unsupported)?;
    let bound = |value: i64| u64::try_from(value).ok();
    Ok(rustix::process::setrlimit(resource, Rlimit { current: bound(soft), maximum: bound(hard) })?)
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}
