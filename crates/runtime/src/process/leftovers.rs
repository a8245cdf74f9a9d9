//! Ends replicas, and whatever outlived its shim.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use daybook_model::ReplicaId;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::spec::Stop;
use rustix::process::{Pid, Signal, kill_process};

use super::layout::Layout;
use super::observe::read;
use super::record::{Kept, Life, ProcessId, Request};
use super::workdir::remove_tree;
use super::{cgroup, control, proc, signal};
use crate::files::{failed, lock, make_directory};
use crate::{Error, ErrorKind, Result};

/// Every process of a replica has this variable with the name of its shim's socket, by which it is
/// recognized when its shim is gone.
pub(crate) const MARK: &str = "DAYBOOK_MARK";

/// What a shim may need beyond the grace: to kill, and to write its log and state.
const BEYOND_GRACE: Duration = Duration::from_secs(15);
const PACE: Duration = Duration::from_millis(2);

/// Ends a replica, and returns when nothing of it runs any more.
pub(crate) fn stop(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()> {
    let socket = layout.socket(key, id, role);
    let known = layout.replica(key, id, role).path().exists();
    match control::ask::<Kept>(&socket, &Request::Who, control::PATIENCE) {
        Ok(_) => {
            let patience = Duration::from_millis(stop.grace_ms) + BEYOND_GRACE;
            if control::ask::<Life>(&socket, &Request::Stop(stop.clone()), patience).is_ok() {
                return Ok(());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Error::new(ErrorKind::Internal, format!("stop {id}"), error));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && !known => return Ok(()),
        Err(_) => {}
    }
    // There is no shim, it broke, or it is paused: nobody may answer for the replica later.
    stop_without_shim(layout, key, id, role, stop)
}

/// The shim is killed first: it must not start again what we end.
fn stop_without_shim(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()> {
    let _lock = if layout.environment(key).exists() { Some(lock(&layout.lock(key, id))?) } else { None };
    let leftovers = Leftovers::new(layout, key, id, role);
    if let Some(shim) = leftovers.shim() {
        kill(&[shim], Signal::KILL);
    }
    kill(&leftovers.processes(), signal::parse(&stop.signal).unwrap_or(Signal::TERM));
    let deadline = Instant::now() + Duration::from_millis(stop.grace_ms);
    while !leftovers.processes().is_empty() && Instant::now() < deadline {
        std::thread::sleep(PACE);
    }
    clear(layout, key, id, role)
}

/// Removes a replica that has ended, with its log and its anonymous volumes.
pub(crate) fn remove(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
    let dir = layout.replica(key, id, role);
    let is_running = || control::is_there(&layout.socket(key, id, role));
    if !dir.path().exists() && !is_running() {
        return Ok(());
    }
    make_directory(&layout.environment(key))?;
    let _lock = lock(&layout.lock(key, id))?;
    if is_running() {
        let why = "it has not ended";
        return Err(Error::new(ErrorKind::Conflict, format!("remove {id}"), why).hint("stop it first"));
    }
    clear(layout, key, id, role)?;
    // Renamed first: a half removed replica must not be seen as one.
    let removed = dir.path().with_file_name(format!(".{id}.removed"));
    remove_tree(&removed)?;
    match fs::rename(dir.path(), &removed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", dir.path(), &error)),
        _ => remove_tree(&removed),
    }
}

/// Kills what is left of a replica whose shim is gone or does not answer: the shim, everything in its
/// control groups, and everything that carries its mark.
pub(crate) fn clear(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
    let leftovers = Leftovers::new(layout, key, id, role);
    let deadline = Instant::now() + BEYOND_GRACE;
    loop {
        let mut pids = leftovers.processes();
        pids.extend(leftovers.shim());
        if pids.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            let why = format!("processes {pids:?} do not end when they are killed");
            return Err(Error::new(ErrorKind::Unavailable, format!("stop {id}"), why));
        }
        kill(&pids, Signal::KILL);
        std::thread::sleep(PACE);
    }
    cgroup::remove(&leftovers.place);
    remove_tree(&layout.replica(key, id, role).files())
}

/// The processes that carry a replica's mark: its own, and commands that joined it.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let all = proc::all().into_iter().filter(|stat| stat.state != 'Z').map(|stat| stat.pid);
    all.filter(|pid| proc::has_variable(*pid, MARK, mark)).collect()
}

/// What may be left of one replica.
struct Leftovers {
    mark: String,
    place: PathBuf,
    shim: Option<ProcessId>,
}

impl Leftovers {
    fn new(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role) -> Self {
        let mark = layout.socket(key, id, role);
        let written = read::<Life>(&layout.replica(key, id, role).life()).map(|life| life.shim);
        // With the directory lost, the one who listens at the socket is it.
        let shim = written.or_else(|| control::listener(&mark).and_then(proc::identity));
        Self { mark, place: layout.cgroup(key, id, role), shim }
    }

    fn shim(&self) -> Option<i32> {
        self.shim.filter(|shim| proc::runs(*shim)).map(|shim| shim.pid)
    }

    fn processes(&self) -> Vec<i32> {
        let mut pids = cgroup::processes(&self.place);
        pids.extend(marked(&self.mark));
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

fn kill(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        let _ = kill_process(pid, signal);
    }
}
