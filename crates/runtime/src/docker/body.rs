//! From a launch to the request that makes its container: pure, so that it can be compared.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use bollard::models::{ContainerCreateBody, EndpointIpamConfig, EndpointSettings, NetworkingConfig};
use daybook_model::Launch;
use daybook_model::launch::{LaunchFile, Role};
use daybook_model::spec::Attachment;

use super::engine::Reach;
use super::{health, host, mounts, names};
use crate::Result;
use crate::identity::{self, Labels};

/// What must be known of the daemon and of other containers to make one.
pub(super) struct Surroundings<'a> {
    /// The labels that say whose it is.
    pub(super) owner: Labels,
    /// How the daemon calls the image.
    pub(super) image: String,
    /// `host`, `none`, `container:ID`, or the network that is joined first.
    pub(super) network_mode: Option<String>,
    /// Whether it is in another container's network.
    pub(super) joins_network: bool,
    /// Whether ports can be published for it.
    pub(super) has_own_network: bool,
    /// `host` or `container:ID`.
    pub(super) pid_mode: Option<String>,
    /// `host`, `shareable` or `container:ID`.
    pub(super) ipc_mode: Option<String>,
    /// Networks, the first to be joined first.
    pub(super) networks: Vec<Joined>,
    /// Names for which the edge answers, where the container can reach it.
    pub(super) edge_hosts: Vec<(String, IpAddr)>,
    /// Files that are kept in memory.
    pub(super) secrets: Vec<(PathBuf, &'a LaunchFile)>,
    /// How this machine reaches containers.
    pub(super) reach: Reach,
    /// API 1.44.
    pub(super) knows_start_interval: bool,
    /// API 1.45.
    pub(super) knows_subpath: bool,
}

/// A network and how a container is attached to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Joined {
    /// What the daemon calls the network.
    pub(super) network: String,
    /// Names and addresses there.
    pub(super) endpoint: EndpointSettings,
}

/// The request. `ErrorKind::Refused` for what the daemon cannot do.
pub(super) fn body(launch: &Launch, around: &Surroundings) -> Result<ContainerCreateBody> {
    let container = &launch.container;
    let options = &container.options;
    let mounts = mounts::mounts(launch, &around.secrets, around.knows_subpath)?;
    let host = host::config(launch, around, mounts);
    let exposed = host.port_bindings.iter().flatten().map(|(port, _)| port.clone()).collect();
    let first = around.networks.first().filter(|_| around.has_own_network);
    Ok(ContainerCreateBody {
        image: Some(around.image.clone()),
        // An empty list clears the image's entry point; the API says that with an empty word.
        entrypoint: container.entrypoint.clone().map(|argv| if argv.is_empty() { vec![String::new()] } else { argv }),
        cmd: container.command.clone(),
        working_dir: container.working_dir.clone(),
        user: container.user.clone(),
        env: Some(launch.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(identity::of_launch(launch, &around.owner)),
        // Containers in another's network have its host name.
        hostname: options.hostname.clone().filter(|_| !around.joins_network),
        domainname: options.domainname.clone().filter(|_| !around.joins_network),
        tty: Some(options.tty),
        open_stdin: Some(options.stdin_open),
        stop_signal: Some(launch.stop.signal.clone()),
        stop_timeout: Some(i64::try_from(launch.stop.grace_ms.div_ceil(1000)).unwrap_or(i64::MAX)),
        healthcheck: health::config(&launch.check, around.knows_start_interval),
        exposed_ports: Some(exposed),
        networking_config: first.map(|joined| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(joined.network.clone(), joined.endpoint.clone())])),
        }),
        host_config: Some(host),
        ..Default::default()
    })
}

/// How a replica is attached to a network.
///
/// Names lead to replicas only where nothing better does: a service for which the edge answers must
/// not have its name here as well, or requests would reach replicas that are not ready or are
/// draining. In an internal network the edge cannot be reached, so there every name is given. Hooks,
/// jobs and one-off runs have no names: nobody should reach them.
pub(super) fn endpoint(
    launch: &Launch,
    attachment: &Attachment,
    internal: bool,
    edge_answers: bool,
) -> EndpointSettings {
    let service = launch.id.service.as_str();
    let by_edge =
        |name: &str| (edge_answers && name == service) || launch.hosts.iter().any(|(answered, _)| answered == name);
    let names = std::iter::once(service).chain(attachment.aliases.iter().map(String::as_str));
    let aliases: Vec<String> = match launch.role {
        Role::Main => names.filter(|name| internal || !by_edge(name)).map(ToOwned::to_owned).collect(),
        _ => Vec::new(),
    };
    // A fixed address can be had once; a hook beside its service must not take it.
    let fixed = launch.role == Role::Main && (attachment.ipv4.is_some() || attachment.ipv6.is_some());
    EndpointSettings {
        aliases: Some(aliases),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4.clone(),
            ipv6_address: attachment.ipv6.clone(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Networks of a launch by what the daemon calls them, the one of the highest priority first.
pub(super) fn networks_in_order(launch: &Launch) -> Vec<(String, &Attachment)> {
    let mut all: Vec<_> = launch.container.networks.iter().collect();
    all.sort_by_key(|(name, attachment)| (std::cmp::Reverse(attachment.priority), name.as_str().to_owned()));
    all.into_iter()
        .map(|(name, attachment)| {
            let outside = launch.outside.networks.get(name).map(String::as_str);
            (names::resource(&launch.key, name.as_str(), outside), attachment)
        })
        .collect()
}
