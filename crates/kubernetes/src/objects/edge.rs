//! The edge in the cluster: two pods of this program, that every environment of the cluster shares.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, Lifecycle, LifecycleHandler, Namespace, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, Secret, SecretVolumeSource, SecurityContext, Service,
    ServicePort, ServiceSpec, SleepAction, Sysctl, TCPSocketAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(crate) use super::security::ENFORCE;
use super::security::Level;
use super::{DAYBOOK, LEAVING, MANAGED_BY, Pairs, SERVICE, network, pairs};
use crate::program::{PLACE, architecture};

/// The namespace of what belongs to no environment.
pub(crate) const NAMESPACE: &str = "daybook-system";
/// What everything of the edge is called.
pub(crate) const NAME: &str = "daybook-edge";
/// The Secret that holds the table of routes.
pub(crate) const ROUTES: &str = "daybook-edge-routes";
/// The Secret that holds the development authority.
pub(crate) const AUTHORITY: &str = "daybook-edge-authority";
/// The Service at which somebody else's controller finds the edge.
pub(crate) const BEHIND: &str = "daybook-edge-behind";
/// The key of the table, and its file.
pub(crate) const TABLE: &str = "table.json.gz";
/// Where an edge listens for the control plane, inside of its pod only.
pub(crate) const CONTROL: u16 = 9402;
/// Where it serves domains: out of the way of the ports that services publish.
const HTTP: u16 = 10_080;
const HTTPS: u16 = 10_443;
/// Where it serves a controller that ended TLS.
const BEHIND_HTTP: u16 = 10_081;
/// Pods, so that one may be lost.
const PODS: i32 = 2;
/// How long requests in flight may take when an edge ends, seconds.
const DRAINS: i64 = 60;
/// Nobody's user.
const USER: i64 = 65_532;

pub(crate) fn labels() -> Pairs {
    pairs([(MANAGED_BY, DAYBOOK.to_owned()), (SERVICE, NAME.to_owned()), (network::EDGE.0, network::EDGE.1.to_owned())])
}

pub(super) fn meta(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    }
}

/// The edge's namespace, which is held to the level that it has been given, or else to the strictest.
pub(crate) fn namespace(level: Option<&str>) -> Namespace {
    let mut labels = pairs([(MANAGED_BY, DAYBOOK.to_owned())]);
    labels.insert(ENFORCE.to_owned(), level.unwrap_or(Level::Restricted.as_str()).to_owned());
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
    Namespace { metadata, ..Namespace::default() }
}

pub(crate) fn routes(table: Vec<u8>) -> Secret {
    let data = [(TABLE.to_owned(), ByteString(table))].into();
    Secret { metadata: meta(ROUTES), data: Some(data), ..Secret::default() }
}

pub(crate) fn authority(certificate: Vec<u8>, key: Vec<u8>) -> Secret {
    let data = [("ca.pem".to_owned(), ByteString(certificate)), ("ca.key".to_owned(), ByteString(key))].into();
    Secret { metadata: meta(AUTHORITY), data: Some(data), ..Secret::default() }
}

fn selector() -> LabelSelector {
    LabelSelector { match_labels: Some(labels()), ..LabelSelector::default() }
}

pub(crate) fn budget() -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta(NAME),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// Where users find the edge: HTTP, HTTPS, and each port that a service publishes.
pub(crate) fn service(published: &BTreeSet<u16>) -> Service {
    let port = |name: String, port: u16, inside: u16| ServicePort {
        name: Some(name),
        port: port.into(),
        target_port: Some(IntOrString::Int(inside.into())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    let usual = [("http", 80, HTTP), ("https", 443, HTTPS)].into_iter();
    let usual = usual.filter(|(_, outside, _)| !published.contains(outside));
    let usual = usual.map(|(name, outside, inside)| port(name.to_owned(), outside, inside));
    let published = published.iter().map(|number| port(format!("tcp-{number}"), *number, *number));
    Service {
        metadata: meta(NAME),
        spec: Some(ServiceSpec {
            ports: Some(usual.chain(published).collect()),
            selector: Some(labels()),
            type_: Some("LoadBalancer".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Where a controller of Ingresses or Gateways finds the edge.
pub(crate) fn service_behind() -> Service {
    let port = ServicePort {
        name: Some("http".to_owned()),
        port: 80,
        target_port: Some(IntOrString::Int(BEHIND_HTTP.into())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    };
    let spec = ServiceSpec { ports: Some(vec![port]), selector: Some(labels()), ..ServiceSpec::default() };
    Service { metadata: meta(BEHIND), spec: Some(spec), status: None }
}

pub(crate) fn deployment(image: &str) -> Deployment {
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels()), ..ObjectMeta::default() }),
        spec: Some(pod(image)),
    };
    let rolling =
        RollingUpdateDeployment { max_surge: Some(IntOrString::Int(1)), max_unavailable: Some(IntOrString::Int(0)) };
    Deployment {
        metadata: meta(NAME),
        spec: DeploymentSpec {
            replicas: Some(PODS),
            selector: selector(),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(rolling),
            }),
            template,
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

fn pod(image: &str) -> PodSpec {
    let kept = |name: &str, secret: &str, optional: bool| Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            optional: Some(optional),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let state =
        Volume { name: "state".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container(image)],
        enable_service_links: Some(false),
        node_selector: Some(pairs([("kubernetes.io/arch", architecture().to_owned())])),
        security_context: Some(PodSecurityContext {
            fs_group: Some(USER),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            // Services may publish low ports; nobody else is in the pod.
            sysctls: Some(vec![Sysctl {
                name: "net.ipv4.ip_unprivileged_port_start".to_owned(),
                value: "0".to_owned(),
            }]),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(DRAINS),
        topology_spread_constraints: Some(vec![TopologySpreadConstraint {
            label_selector: Some(selector()),
            max_skew: 1,
            topology_key: "kubernetes.io/hostname".to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        }]),
        volumes: Some(vec![state, kept("routes", ROUTES, true), kept("authority", AUTHORITY, false)]),
        ..PodSpec::default()
    }
}

fn container(image: &str) -> Container {
    let any = |port: u16| format!("0.0.0.0:{port}");
    let control = format!("127.0.0.1:{CONTROL}");
    let table = format!("/routes/{TABLE}");
    let arguments: [&str; 15] = [
        "edge",
        "--state",
        "/state",
        "--http",
        &any(HTTP),
        "--https",
        &any(HTTPS),
        "--behind",
        &any(BEHIND_HTTP),
        "--control",
        &control,
        "--table",
        &table,
        "--authority",
        "/authority",
    ];
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let quantity = |name: &str, amount: &str| (name.to_owned(), Quantity(amount.to_owned()));
    let sleep = LifecycleHandler {
        sleep: Some(SleepAction { seconds: i64::try_from(LEAVING).unwrap_or(0) }),
        ..LifecycleHandler::default()
    };
    Container {
        name: "edge".to_owned(),
        image: Some(image.to_owned()),
        command: Some(vec![PLACE.to_owned()]),
        args: Some(arguments.iter().map(|argument| (*argument).to_owned()).collect()),
        lifecycle: Some(Lifecycle { pre_stop: Some(sleep), ..Lifecycle::default() }),
        readiness_probe: Some(Probe {
            tcp_socket: Some(TCPSocketAction { port: IntOrString::Int(HTTP.into()), host: None }),
            period_seconds: Some(1),
            ..Probe::default()
        }),
        resources: Some(ResourceRequirements {
            limits: Some([quantity("memory", "256Mi")].into()),
            requests: Some([quantity("cpu", "50m"), quantity("memory", "64Mi")].into()),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            mount("state", "/state", false),
            mount("routes", "/routes", true),
            mount("authority", "/authority", true),
        ]),
        ..Container::default()
    }
}
