//! The pod of a replica.

use daybook_model::Launch;
use daybook_model::launch::Role;
use daybook_model::spec::Restart;
use daybook_runtime::Result;
use k8s_openapi::api::core::v1::{
    HostAlias, PodDNSConfig, PodDNSConfigOption, PodSpec, PodTemplateSpec, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::workload::Kind;
use super::{RETRIES, Surroundings, Tended, annotations, container, mounts, network, security, some};
use crate::refused;

/// How long a pod that leaves goes on serving, seconds: until every node has heard that no new connection should go
/// to it. Kubernetes asks it to end at the same moment as it begins to tell the nodes, and a process that ends at
/// once loses what still comes in.
pub(crate) const LEAVING: u64 = 5;

/// The pod template of a launch.
pub(crate) fn template(launch: &Launch, around: &Surroundings) -> Result<PodTemplateSpec> {
    let mut labels = around.of_replica(launch);
    labels.extend(network::memberships(launch));
    let mut annotations = annotations(launch, around);
    if let Restart::OnFailure(limit) = launch.restart
        && around.tended == Tended::ByUs
    {
        let limit = limit.map_or("always".to_owned(), |limit| limit.to_string());
        annotations.insert(RETRIES.to_owned(), limit);
    }
    let metadata = ObjectMeta { labels: Some(labels), annotations: some(annotations), ..ObjectMeta::default() };
    Ok(PodTemplateSpec { metadata: Some(metadata), spec: Some(spec(launch, around)?) })
}

fn spec(launch: &Launch, around: &Surroundings) -> Result<PodSpec> {
    let options = &launch.container.options;
    let mounts = mounts::mounts(launch, around)?;
    let grace = launch.stop.grace_ms.div_ceil(1000).max(1) + leaving(launch);
    let is_host = |mode: &Option<String>, what: &str| match mode.as_deref() {
        None | Some("none" | "private" | "shareable" | "bridge") => Ok(None),
        Some("host") => Ok(Some(true)),
        Some(other) => Err(refused(launch, format!("`{what}: {other}` has no counterpart in Kubernetes"))),
    };
    Ok(PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container::container(launch, around, mounts.inside)?],
        dns_config: dns(launch),
        enable_service_links: Some(false),
        host_aliases: host_aliases(launch),
        host_ipc: is_host(&options.ipc, "ipc")?,
        host_network: is_host(&options.network_mode, "network_mode")?,
        host_pid: is_host(&options.pid, "pid")?,
        hostname: options.hostname.clone(),
        node_selector: node_selector(launch),
        restart_policy: Some(if Kind::of(launch) == Kind::Job { "Never" } else { "Always" }.to_owned()),
        runtime_class_name: options.runtime.clone(),
        security_context: security::of_pod(launch, around),
        termination_grace_period_seconds: i64::try_from(grace).ok(),
        tolerations: Some(leaves_lost_machines()),
        topology_spread_constraints: spread(launch, around),
        volumes: (!mounts.volumes.is_empty()).then_some(mounts.volumes),
        ..PodSpec::default()
    })
}

/// Seconds that a pod goes on before it is asked to end: only where somebody may still be sent to it.
pub(crate) fn leaving(launch: &Launch) -> u64 {
    if launch.role == Role::Main && !launch.ports.is_empty() && Kind::of(launch) != Kind::Job { LEAVING } else { 0 }
}

/// A pod on a machine that does not answer is given up after so long, seconds. Kubernetes by itself waits for five minutes.
const LOST_AFTER: i64 = 30;

fn leaves_lost_machines() -> Vec<Toleration> {
    let lost = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    let toleration = |key: &str| Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(LOST_AFTER),
        ..Toleration::default()
    };
    lost.map(toleration).into()
}

/// Replicas of one service go to different machines where there are several.
fn spread(launch: &Launch, around: &Surroundings) -> Option<Vec<TopologySpreadConstraint>> {
    (launch.role == Role::Main).then(|| {
        vec![TopologySpreadConstraint {
            label_selector: Some(LabelSelector {
                match_labels: Some(around.of_service(launch)),
                ..LabelSelector::default()
            }),
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        }]
    })
}

fn host_aliases(launch: &Launch) -> Option<Vec<HostAlias>> {
    let written = launch.container.options.extra_hosts.iter().filter_map(|line| {
        let (host, ip) = line.split_once([':', '='])?;
        Some((ip.trim_matches(['[', ']']).to_owned(), host.to_owned()))
    });
    let known = launch.hosts.iter().map(|(host, ip)| (ip.to_string(), host.clone()));
    let all: Vec<_> = written.chain(known).map(|(ip, host)| HostAlias { ip, hostnames: Some(vec![host]) }).collect();
    (!all.is_empty()).then_some(all)
}

fn dns(launch: &Launch) -> Option<PodDNSConfig> {
    let options = &launch.container.options;
    let some = |all: &[String]| (!all.is_empty()).then(|| all.to_vec());
    let written = options.dns_opt.iter().map(|option| match option.split_once(':') {
        Some((name, value)) => PodDNSConfigOption { name: Some(name.to_owned()), value: Some(value.to_owned()) },
        None => PodDNSConfigOption { name: Some(option.clone()), value: None },
    });
    let config = PodDNSConfig {
        nameservers: some(&options.dns),
        options: (!options.dns_opt.is_empty()).then(|| written.collect()),
        searches: some(&options.dns_search),
    };
    (config != PodDNSConfig::default()).then_some(config)
}

/// `platform: linux/arm64` chooses machines.
fn node_selector(launch: &Launch) -> Option<super::Pairs> {
    let platform = launch.container.options.platform.as_deref()?;
    let mut parts = platform.split('/');
    let (os, arch) = (parts.next()?, parts.next()?);
    Some(super::pairs([("kubernetes.io/os", os.to_owned()), ("kubernetes.io/arch", arch.to_owned())]))
}
