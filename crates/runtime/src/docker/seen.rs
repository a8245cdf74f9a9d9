//! From what a daemon says about a container to a replica: pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthStatusEnum, NetworkSettings,
};
use daybook_model::launch::Role;
use daybook_model::observed::{Exit, Health, ReplicaState};
use daybook_model::{SeenReplica, Timestamp};

use super::engine::Reach;
use crate::identity::Identity;

/// A container of ours.
#[derive(Debug, Clone)]
pub(super) struct SeenContainer {
    pub(super) identity: Identity,
    pub(super) container_id: String,
    pub(super) replica: SeenReplica,
    /// The id of the container whose network it is in.
    pub(super) joined: Option<String>,
}

impl SeenContainer {
    /// Whether others can join it as a replica of `service`.
    pub(super) fn is_running_main(&self, service: &str) -> bool {
        let Identity { id, role, .. } = &self.identity;
        id.service.as_str() == service && *role == Role::Main && self.replica.is_running()
    }
}

/// Reads one inspected container.
pub(super) fn seen(identity: Identity, found: &ContainerInspectResponse, reach: Reach) -> SeenContainer {
    let state = found.state.clone().unwrap_or_default();
    let mode = found.host_config.as_ref().and_then(|host| host.network_mode.as_deref()).unwrap_or_default();
    let network = found.network_settings.clone().unwrap_or_default();
    let replica_state = replica_state(&state);
    let replica = SeenReplica {
        id: identity.id.clone(),
        role: identity.role,
        fingerprint: identity.fingerprint.clone(),
        release: identity.release,
        run: identity.run,
        artifact: identity.artifact,
        state: replica_state,
        health: health(&state),
        started_at: time(state.started_at.as_deref()),
        restarts: found.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        last_exit: last_exit(&state, replica_state),
        address: if replica_state == ReplicaState::Running { address(mode, reach, &network) } else { None },
        ports: if reach == Reach::Published { published(&network) } else { BTreeMap::new() },
    };
    SeenContainer {
        identity,
        container_id: found.id.clone().unwrap_or_default(),
        replica,
        joined: mode.strip_prefix("container:").map(ToOwned::to_owned),
    }
}

/// Containers in another's network are reached where that one is.
pub(super) fn share_addresses(all: &mut [SeenContainer]) {
    let places: BTreeMap<String, (Option<IpAddr>, BTreeMap<u16, u16>)> = all
        .iter()
        .map(|seen| (seen.container_id.clone(), (seen.replica.address, seen.replica.ports.clone())))
        .collect();
    for seen in all.iter_mut().filter(|seen| seen.replica.is_running()) {
        if let Some((address, ports)) = seen.joined.as_ref().and_then(|id| places.get(id)) {
            (seen.replica.address, seen.replica.ports) = (*address, ports.clone());
        }
    }
}

fn replica_state(state: &ContainerState) -> ReplicaState {
    match state.status.unwrap_or(Status::EMPTY) {
        Status::CREATED => ReplicaState::Created,
        Status::RUNNING | Status::PAUSED | Status::STOPPING => ReplicaState::Running,
        Status::RESTARTING => ReplicaState::Restarting,
        Status::EXITED | Status::DEAD | Status::REMOVING | Status::EMPTY => ReplicaState::Exited,
    }
}

fn health(state: &ContainerState) -> Health {
    let Some(health) = &state.health else { return Health::Unasked };
    match health.status.unwrap_or(HealthStatusEnum::NONE) {
        HealthStatusEnum::STARTING => Health::Starting,
        HealthStatusEnum::HEALTHY => Health::Healthy,
        HealthStatusEnum::UNHEALTHY => {
            let last = health.log.as_deref().unwrap_or_default().last();
            Health::Unhealthy(last.and_then(|answer| answer.output.clone()).unwrap_or_default().trim().to_owned())
        }
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => Health::Unasked,
    }
}

/// A daemon forgets how the last process ended when it starts the next: see `exits`. A container that could not be started never ended, but has an exit code and an error.
fn last_exit(state: &ContainerState, now: ReplicaState) -> Option<Exit> {
    let error = state.error.clone().filter(|error| !error.is_empty());
    let at = time(state.finished_at.as_deref());
    let ended = match now {
        ReplicaState::Starting | ReplicaState::Running => false,
        ReplicaState::Created => error.is_some(),
        ReplicaState::Restarting | ReplicaState::Exited => at.is_some() || error.is_some(),
    };
    ended.then(|| Exit {
        code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
        oom: state.oom_killed.unwrap_or(false),
        error,
        at,
    })
}

/// Where this machine reaches it. Of several networks always the same one: the environment's
/// `default` if it is on it, then by name.
fn address(mode: &str, reach: Reach, network: &NetworkSettings) -> Option<IpAddr> {
    match (mode, reach) {
        ("host", _) => return Some(Ipv4Addr::LOCALHOST.into()),
        ("none", _) => return None,
        (mode, Reach::Published) if !mode.starts_with("container:") => return Some(Ipv4Addr::LOCALHOST.into()),
        _ => {}
    }
    let mut all: Vec<_> = network.networks.iter().flatten().collect();
    all.sort_by_key(|(name, _)| (!name.ends_with("_default"), name.as_str()));
    all.into_iter().find_map(|(_, endpoint)| {
        let text = endpoint.ip_address.as_deref().filter(|text| !text.is_empty());
        text.or(endpoint.global_ipv6_address.as_deref())?.parse().ok()
    })
}

fn published(network: &NetworkSettings) -> BTreeMap<u16, u16> {
    let all = network.ports.iter().flatten();
    all.filter_map(|(port, bindings)| {
        let inside = port.strip_suffix("/tcp")?.parse().ok()?;
        let outside = bindings.as_ref()?.iter().find_map(|binding| binding.host_port.as_deref()?.parse().ok())?;
        Some((inside, outside))
    })
    .collect()
}

/// Daemons write the year 1 for "never".
fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse::<Timestamp>().ok().filter(|time| time.as_second() > 0)
}
