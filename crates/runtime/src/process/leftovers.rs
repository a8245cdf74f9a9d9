//! Ends replicas, and whatever outlived its shim.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use daybook_model::ReplicaId;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::spec::Stop;
use rustix::process::{Pid, Signal, kill_process};

use super::layout::Layout;
use super::observe::read;
use super::record::{Life, Request};
use super::workdir::remove_tree;
use super::{cgroup, control, proc};
use crate::files::{failed, lock};
use crate::{Error, ErrorKind, Result};

/// Every process of a replica has this variable with the name of its shim's socket, by which it is
/// recognized when its shim is gone.
pub(crate) const MARK: &str = "DAYBOOK_MARK";

/// What a shim may need beyond the grace: to kill, and to write its log and state.
const BEYOND_GRACE: Duration = Duration::from_secs(15);

/// Ends a replica, and returns when nothing of it runs any more.
pub(crate) fn stop(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role, stop: Stop) -> Result<()> {
    let socket = layout.socket(key, id, role);
    let patience = Duration::from_millis(stop.grace_ms) + BEYOND_GRACE;
    let known: Option<Life> = read(&layout.replica(key, id, role).life());
    match control::ask::<Life>(&socket, &Request::Stop(stop), patience) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::new(ErrorKind::Internal, format!("stop {id}"), error))
        }
        // There is no shim, it broke, or it is paused: nobody may answer for it later.
        Err(_) => {
            if known.is_none() && !layout.replica(key, id, role).path().exists() && !control::is_there(&socket) {
                return Ok(());
            }
            clear(layout, key, id, role)
        }
    }
}

/// Removes a replica that has ended, with its log and its anonymous volumes.
pub(crate) fn remove(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
    let dir = layout.replica(key, id, role);
    if !dir.path().exists() {
        return Ok(());
    }
    let _lock = lock(&layout.lock(key, id))?;
    if control::is_there(&layout.socket(key, id, role)) {
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
    let socket = layout.socket(key, id, role);
    let place = layout.cgroup(key, id, role);
    let dir = layout.replica(key, id, role);
    let shim = read::<Life>(&dir.life()).map(|life| life.shim).filter(|shim| proc::runs(*shim));
    let deadline = Instant::now() + BEYOND_GRACE;
    loop {
        let mut pids = cgroup::processes(&place);
        pids.extend(proc::all().iter().map(|stat| stat.pid).filter(|pid| proc::has_variable(*pid, MARK, &socket)));
        pids.extend(shim.filter(|shim| proc::runs(*shim)).map(|shim| shim.pid));
        if pids.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            let why = format!("processes {pids:?} do not end when they are killed");
            return Err(Error::new(ErrorKind::Unavailable, format!("stop {id}"), why));
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    cgroup::remove(&place);
    remove_tree(&dir.files())
}
