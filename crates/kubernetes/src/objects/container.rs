//! The one container of a replica's pod.

use daybook_model::Launch;
use daybook_model::launch::Role;
use daybook_model::spec::{Check, CheckTest, EnvValue, Protocol};
use daybook_runtime::Result;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe,
    ResourceRequirements, SecretKeySelector, SleepAction, TCPSocketAction, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Surroundings, pod, security};
use crate::refused;

/// What the container is called: `kubectl logs` shows it.
pub(crate) const NAME: &str = "replica";

/// Where the manifest reserves no processor time, this part of the limit is reserved: a tenth.
const RESERVED: u64 = 10;

/// The container of a launch, with these mounts.
pub(super) fn container(launch: &Launch, around: &Surroundings, mounts: Vec<VolumeMount>) -> Result<Container> {
    let wanted = &launch.container;
    let some = |flag: bool| flag.then_some(true);
    Ok(Container {
        name: NAME.to_owned(),
        image: Some(around.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: wanted.entrypoint.as_deref().map(literal),
        args: wanted.command.as_deref().map(literal),
        working_dir: wanted.working_dir.clone(),
        env: environment(launch, around),
        ports: ports(launch),
        readiness_probe: readiness(launch),
        lifecycle: lifecycle(launch),
        resources: resources(launch)?,
        security_context: Some(security::of_container(launch, around)),
        stdin: some(wanted.options.stdin_open),
        tty: some(wanted.options.tty),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        ..Container::default()
    })
}

/// Kubernetes reads `$(NAME)` in what it is given; a doubled `$` is one that it leaves alone.
fn literal(words: &[String]) -> Vec<String> {
    words.iter().map(|word| literal_text(word)).collect()
}

fn literal_text(text: &str) -> String {
    text.replace('$', "$$")
}

/// Variables in place; those that hold a secret as references into the Secret of the replica.
fn environment(launch: &Launch, around: &Surroundings) -> Option<Vec<EnvVar>> {
    let name = around.beside(launch);
    let all = launch.environment.iter().enumerate().map(|(index, (variable, value))| {
        if is_plain(launch, variable) {
            return EnvVar { name: variable.clone(), value: Some(literal_text(value)), value_from: None };
        }
        let key = SecretKeySelector { key: secret_key(index, variable), name: name.clone(), optional: None };
        let value_from = Some(EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() });
        EnvVar { name: variable.clone(), value: None, value_from }
    });
    (!launch.environment.is_empty()).then(|| all.collect())
}

/// Whether the manifest says that a variable holds no secret.
pub(crate) fn is_plain(launch: &Launch, variable: &str) -> bool {
    match launch.container.environment.get(variable) {
        Some(EnvValue::Text(_)) => true,
        Some(EnvValue::Template(parts)) => parts.iter().all(|part| part.secret().is_none()),
        Some(EnvValue::Secret(_)) | None => false,
    }
}

/// Under which key of the Secret a variable's value is.
pub(crate) fn secret_key(index: usize, variable: &str) -> String {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let is_key = (1..=200).contains(&variable.len()) && variable.bytes().all(fits) && !variable.starts_with('.');
    if is_key { variable.to_owned() } else { format!("variable-{index}") }
}

fn ports(launch: &Launch) -> Option<Vec<ContainerPort>> {
    let all = launch.ports.iter().map(|port| ContainerPort {
        container_port: port.container.into(),
        protocol: Some(transport(port.protocol).to_owned()),
        ..ContainerPort::default()
    });
    (!launch.ports.is_empty()).then(|| all.collect())
}

pub(crate) fn transport(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "UDP",
        Protocol::Http | Protocol::Tcp | Protocol::Detect => "TCP",
    }
}

/// What decides whether Services send requests to it. There is no liveness probe: one that fails under load makes
/// an overload an outage. A replica that stays unhealthy is replaced by Daybook, after another is ready.
fn readiness(launch: &Launch) -> Option<Probe> {
    if launch.role != Role::Main {
        return None;
    }
    let Check { test, interval_ms, timeout_ms, retries, start_interval_ms, .. } = &launch.check;
    let seconds = |ms: u64| i32::try_from(ms.div_ceil(1000).max(1)).unwrap_or(i32::MAX);
    let probe = Probe {
        period_seconds: Some(seconds(*interval_ms.min(&(*start_interval_ms).max(1_000)))),
        timeout_seconds: Some(seconds(*timeout_ms)),
        failure_threshold: i32::try_from((*retries).max(1)).ok(),
        ..Probe::default()
    };
    let at = |port: u16| IntOrString::Int(port.into());
    match test {
        CheckTest::Http { path, port } => {
            let get = HTTPGetAction { path: Some(path.clone()), port: at(*port), ..HTTPGetAction::default() };
            Some(Probe { http_get: Some(get), ..probe })
        }
        CheckTest::Tcp { port } => {
            Some(Probe { tcp_socket: Some(TCPSocketAction { port: at(*port), host: None }), ..probe })
        }
        CheckTest::Command(argv) => Some(Probe { exec: Some(ExecAction { command: Some(argv.clone()) }), ..probe }),
        CheckTest::Running | CheckTest::Disabled => None,
    }
}

fn lifecycle(launch: &Launch) -> Option<Lifecycle> {
    let seconds = i64::try_from(pod::leaving(launch)).ok().filter(|seconds| *seconds > 0)?;
    let sleep = LifecycleHandler { sleep: Some(SleepAction { seconds }), ..LifecycleHandler::default() };
    Some(Lifecycle { pre_stop: Some(sleep), ..Lifecycle::default() })
}

fn resources(launch: &Launch) -> Result<Option<ResourceRequirements>> {
    let wanted = &launch.container.resources;
    let gpus = match wanted.gpus {
        Some(u32::MAX) => return Err(refused(launch, "`gpus: all`: Kubernetes gives GPUs by number")),
        Some(0) | None => None,
        Some(number) => Some(Quantity(number.to_string())),
    };
    let cpu = |millis: Option<u64>| millis.map(|millis| Quantity(format!("{millis}m")));
    let bytes = |bytes: Option<u64>| bytes.map(quantity);
    let some = |all: [(&str, Option<Quantity>); 3]| {
        let all: std::collections::BTreeMap<_, _> =
            all.into_iter().filter_map(|(name, quantity)| Some((name.to_owned(), quantity?))).collect();
        (!all.is_empty()).then_some(all)
    };
    let limits =
        some([("cpu", cpu(wanted.cpu_millis)), ("memory", bytes(wanted.memory_bytes)), ("nvidia.com/gpu", gpus)]);
    // Without requests Kubernetes would reserve what is only a limit, and a rollout would need it twice.
    let share = wanted.cpu_millis.map(|limit| (limit / RESERVED).max(1));
    let requests = some([
        ("cpu", cpu(wanted.reserve_cpu_millis.or(share))),
        ("memory", bytes(wanted.reserve_memory_bytes.or(wanted.memory_bytes))),
        ("", None),
    ]);
    let is_any = limits.is_some() || requests.is_some();
    Ok(is_any.then(|| ResourceRequirements { limits, requests, ..ResourceRequirements::default() }))
}

/// Bytes as people write them, where that is exact: `256Mi`.
pub(super) fn quantity(bytes: u64) -> Quantity {
    const UNITS: [(u32, &str); 3] = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
    let unit = UNITS.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    Quantity(unit.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift)))
}
