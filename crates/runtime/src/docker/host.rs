//! A container's limits, isolation and place on this machine (`HostConfig`).

use std::collections::HashMap;

use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use daybook_model::Launch;
use daybook_model::launch::Role;
use daybook_model::spec::{CheckTest, Container, ContainerOptions, LogBound, Protocol, Resources, Restart};

use super::body::Surroundings;
use super::engine::Reach;
use super::mounts::Mounts;

/// The host side of a launch.
pub(super) fn config(launch: &Launch, around: &Surroundings, mounts: Mounts) -> HostConfig {
    let options = &launch.container.options;
    HostConfig {
        mounts: Some(mounts.mounts),
        binds: Some(mounts.binds),
        network_mode: around.network_mode.clone(),
        pid_mode: around.pid_mode.clone(),
        ipc_mode: around.ipc_mode.clone(),
        port_bindings: Some(port_bindings(launch, around)),
        extra_hosts: extra_hosts(launch, around),
        restart_policy: Some(restart_policy(launch)),
        log_config: Some(log_config(&launch.container)),
        ..isolated(options, limited(&launch.container.resources))
    }
}

fn limited(resources: &Resources) -> HostConfig {
    let memory = resources.memory_bytes.map(signed);
    HostConfig {
        memory,
        // Equal to `memory`: no swap on top of it.
        memory_swap: memory,
        memory_reservation: resources.reserve_memory_bytes.map(signed),
        nano_cpus: resources.cpu_millis.map(|millis| signed(millis).saturating_mul(1_000_000)),
        cpu_shares: resources.reserve_cpu_millis.map(|millis| signed(millis.saturating_mul(1024) / 1000).max(2)),
        pids_limit: resources.pids.map(signed),
        device_requests: resources.gpus.map(|count| {
            vec![DeviceRequest {
                count: Some(if count == u32::MAX { -1 } else { i64::from(count) }),
                capabilities: Some(vec![vec!["gpu".to_owned()]]),
                ..Default::default()
            }]
        }),
        ..Default::default()
    }
}

fn isolated(options: &ContainerOptions, limits: HostConfig) -> HostConfig {
    HostConfig {
        privileged: Some(options.privileged),
        readonly_rootfs: Some(options.read_only),
        init: options.init,
        userns_mode: options.userns_mode.clone(),
        runtime: options.runtime.clone(),
        shm_size: options.shm_size.map(signed),
        cap_add: some(&options.cap_add),
        cap_drop: some(&options.cap_drop),
        devices: Some(options.devices.iter().map(|device| device_mapping(device)).collect()),
        device_cgroup_rules: some(&options.device_cgroup_rules),
        dns: some(&options.dns),
        dns_search: some(&options.dns_search),
        dns_options: some(&options.dns_opt),
        group_add: some(&options.group_add),
        security_opt: some(&options.security_opt),
        sysctls: (!options.sysctls.is_empty()).then(|| options.sysctls.clone().into_iter().collect()),
        ulimits: Some(options.ulimits.iter().map(ulimit).collect()),
        oom_score_adj: options.oom_score_adj,
        ..limits
    }
}

/// Ports that the daemon publishes: datagrams where the manifest asks for it, and, where containers
/// cannot be reached by address, every other port on loopback under any free number.
fn port_bindings(launch: &Launch, around: &Surroundings) -> HashMap<String, Option<Vec<PortBinding>>> {
    if !around.has_own_network {
        return HashMap::new();
    }
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in launch.ports.iter().filter(|port| port.protocol == Protocol::Udp && launch.role == Role::Main) {
        if let Some(publish) = &port.publish {
            let binding = PortBinding {
                host_ip: publish.ip.map(|ip| ip.to_string()),
                host_port: publish.port.map(|port| port.to_string()),
            };
            let all = bindings.entry(format!("{}/udp", port.container)).or_default();
            all.get_or_insert_default().push(binding);
        }
    }
    if around.reach == Reach::Published {
        for port in tcp_ports(launch) {
            let loopback = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some("0".to_owned()) };
            bindings.insert(format!("{port}/tcp"), Some(vec![loopback]));
        }
    }
    bindings
}

/// TCP ports that the edge or a check connects to.
pub(super) fn tcp_ports(launch: &Launch) -> impl Iterator<Item = u16> {
    let checked = match launch.check.test {
        CheckTest::Http { port, .. } | CheckTest::Tcp { port } => Some(port),
        _ => None,
    };
    launch.ports.iter().filter(|port| port.protocol != Protocol::Udp).map(|port| port.container).chain(checked)
}

/// A container in another's network shares its `/etc/hosts`.
fn extra_hosts(launch: &Launch, around: &Surroundings) -> Option<Vec<String>> {
    if around.joins_network {
        return None;
    }
    let edge = around.edge_hosts.iter().map(|(name, address)| format!("{name}:{address}"));
    // Compose allows `host=address` too.
    let written = launch.container.options.extra_hosts.iter().map(|line| line.replacen('=', ":", 1));
    Some(written.chain(edge).collect())
}

/// Hooks, jobs and one-off runs end once, whatever their service does.
pub(super) fn restart_policy(launch: &Launch) -> RestartPolicy {
    let (name, maximum) = match (launch.role, launch.restart) {
        (Role::Main, Restart::Always) => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        (Role::Main, Restart::OnFailure(maximum)) => (RestartPolicyNameEnum::ON_FAILURE, maximum.map(i64::from)),
        _ => (RestartPolicyNameEnum::NO, None),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: maximum }
}

fn log_config(container: &Container) -> HostConfigLogConfig {
    if let Some((driver, options)) = &container.options.log_driver {
        let config = Some(options.clone().into_iter().collect());
        return HostConfigLogConfig { typ: Some(driver.clone()), config };
    }
    let LogBound { max_bytes, files } = &container.log;
    let bound = [("max-size".to_owned(), max_bytes.to_string()), ("max-file".to_owned(), files.max(&1).to_string())];
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(bound.into()) }
}

/// `host`, `host:container` or `host:container:permissions`.
fn device_mapping(written: &str) -> DeviceMapping {
    let mut parts = written.splitn(3, ':');
    let host = parts.next().unwrap_or_default().to_owned();
    DeviceMapping {
        path_in_container: Some(parts.next().unwrap_or(&host).to_owned()),
        cgroup_permissions: Some(parts.next().unwrap_or("rwm").to_owned()),
        path_on_host: Some(host),
    }
}

fn ulimit((name, (soft, hard)): (&String, &(i64, i64))) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.clone()), soft: Some(*soft), hard: Some(*hard) }
}

fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
