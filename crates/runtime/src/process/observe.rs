//! What is there: the directories of replicas, and the shims that answer.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::observed::{Exit, Health, ReplicaState};
use daybook_model::{ReplicaId, SeenReplica};
use serde::de::DeserializeOwned;

use super::layout::{Layout, ReplicaDir, names_in};
use super::record::{Kept, Life, Record, Request};
use super::{control, proc};
use crate::{Error, ErrorKind, Result, Seen};

/// What is there of one environment. A shim whose directory was lost is seen too: it says itself who
/// it keeps.
pub(crate) fn environment(layout: &Layout, key: &EnvKey) -> Result<Seen> {
    let mut sockets = proc::abstract_listeners(&layout.socket_prefix(key));
    let mut replicas = Vec::new();
    for dir in layout.replicas(key)? {
        let Some(record) = read::<Record>(&dir.record()) else { continue };
        let socket = layout.socket(key, &record.id, record.role);
        let answers = sockets.remove(&socket);
        replicas.push(seen(&record, life(&dir, &socket, answers).as_ref()));
    }
    replicas.extend(kept(&sockets).iter().map(|kept| seen(&kept.record, Some(&kept.life))));
    replicas.sort_by(|a, b| (&a.id, a.role).cmp(&(&b.id, b.role)));
    let parsed = |names: Vec<String>| names.into_iter();
    Ok(Seen {
        replicas,
        volumes: parsed(names_in(&layout.volumes(key))?).filter_map(|name| name.parse().ok()).collect(),
        networks: parsed(names_in(&layout.networks(key))?).filter_map(|name| name.parse().ok()).collect(),
        ..Seen::default()
    })
}

/// Environments that have a replica, a volume or a network.
pub(crate) fn environments(layout: &Layout) -> Result<BTreeSet<EnvKey>> {
    let sockets = proc::abstract_listeners(&layout.all_sockets_prefix());
    let mut found: BTreeSet<EnvKey> = BTreeSet::new();
    for key in layout.environments()? {
        let recorded = layout.replicas(&key)?.iter().any(|dir| dir.record().exists());
        if recorded || !names_in(&layout.volumes(&key))?.is_empty() || !names_in(&layout.networks(&key))?.is_empty() {
            found.insert(key);
        }
    }
    let known: Vec<String> = found.iter().map(|key| layout.socket_prefix(key)).collect();
    let strange = sockets.into_iter().filter(|socket| !known.iter().any(|prefix| socket.starts_with(prefix)));
    found.extend(kept(&strange.collect()).into_iter().map(|kept| kept.record.key));
    Ok(found)
}

/// One replica, and how it is now. An error of kind [`ErrorKind::NotFound`] when it is not there.
pub(crate) fn one(layout: &Layout, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<(Record, Option<Life>)> {
    let dir = layout.replica(key, id, role);
    let socket = layout.socket(key, id, role);
    if let Ok(Kept { record, life }) = control::ask(&socket, &Request::Who, control::PATIENCE) {
        return Ok((record, Some(life)));
    }
    let missing = || Error::new(ErrorKind::NotFound, format!("find replica {id} of {key}"), "it is not there");
    let record = read::<Record>(&dir.record()).ok_or_else(missing)?;
    let life = life(&dir, &socket, control::is_there(&socket));
    Ok((record, life))
}

/// A file of ours; `None` when it is missing or cannot be read.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn kept(sockets: &BTreeSet<String>) -> Vec<Kept> {
    sockets.iter().filter_map(|socket| control::ask(socket, &Request::Who, control::PATIENCE).ok()).collect()
}

/// How a replica is: as its shim says or, when that is paused, as it last wrote. Without a shim
/// nothing runs that we would keep, whatever was last written.
fn life(dir: &ReplicaDir, socket: &str, answers: bool) -> Option<Life> {
    if answers && let Ok(kept) = control::ask::<Kept>(socket, &Request::Who, control::PATIENCE) {
        return Some(kept.life);
    }
    let written = read::<Life>(&dir.life())?;
    Some(if answers && control::is_there(socket) { written } else { without_shim(written) })
}

fn without_shim(written: Life) -> Life {
    if !matches!(written.state, ReplicaState::Running | ReplicaState::Restarting) {
        return written;
    }
    let error = Some("its shim was killed, or the machine was started anew".to_owned());
    let last_exit = Some(Exit { code: 137, oom: false, error, at: None });
    Life { state: ReplicaState::Exited, pid: None, last_exit, ..written }
}

fn seen(record: &Record, life: Option<&Life>) -> SeenReplica {
    let state = life.map_or(ReplicaState::Created, |life| life.state);
    SeenReplica {
        id: record.id.clone(),
        role: record.role,
        fingerprint: record.fingerprint.clone(),
        release: record.release,
        run: record.run,
        artifact: record.artifact,
        state,
        health: Health::Unasked,
        started_at: life.and_then(|life| life.started_at),
        restarts: life.map_or(0, |life| life.restarts),
        last_exit: life.and_then(|life| life.last_exit.clone()),
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ports: record.ports.clone(),
    }
}
