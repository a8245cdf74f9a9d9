use daybook_model::name::EnvKey;
use daybook_model::spec::{
    Artifact, Attachment, CheckTest, EnvValue, FileContent, FileMount, Mount, MountSource, Network, Port, Protocol,
    PullPolicy, Restart, SecretRef, TemplatePart, Volume,
};
use daybook_model::{Service, Spec};
use serde::Serialize;
use serde_json::Value;

use super::*;
use crate::export::stand_in;

fn key() -> EnvKey {
    "shop/production".parse().unwrap()
}

fn image(name: &str) -> Service {
    let reference = format!("registry.example.com/{name}:1");
    Service::new(name.parse().unwrap(), Artifact::image(reference, PullPolicy::Missing, None))
}

/// A service with a port, a limit and a user.
pub(crate) fn web() -> Service {
    let mut web = image("web");
    web.ports = vec![Port { container: 8080, protocol: Protocol::Http, publish: None }];
    web.container.user = Some("1000".to_owned());
    web.container.resources.cpu_millis = Some(500);
    web.container.resources.memory_bytes = Some(256 << 20);
    web.container.networks.insert("default".parse().unwrap(), Attachment::default());
    web
}

/// A service that writes to a volume.
pub(crate) fn database() -> Service {
    let mut db = image("db");
    let name = "data".parse().unwrap();
    let source = MountSource::Volume { name, subpath: Some("16".to_owned()), nocopy: false };
    db.container.mounts = vec![Mount { target: "/data".to_owned(), source, read_only: false }];
    db
}

pub(crate) fn launch(service: &Service, role: Role) -> Launch {
    stand_in::launch(&Spec::empty(key()), service, role).unwrap()
}

pub(crate) fn around() -> Surroundings {
    Surroundings {
        image: "registry.example.com/web@sha256:1".to_owned(),
        namespace: "shop-production".to_owned(),
        ..Surroundings::default()
    }
}

/// One line for each value, behind its path. Annotations of ours are left out: they hold digests.
fn outline(object: &impl Serialize) -> String {
    fn lines(out: &mut Vec<String>, path: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with("dev.daybook.")) {
                    lines(out, &format!("{path}{}{name}", if path.is_empty() { "" } else { " " }), value);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                items.iter().enumerate().for_each(|(at, item)| lines(out, &format!("{path} {at}"), item));
            }
            other => out.push(format!("{path}: {other}")),
        }
    }
    let mut out = Vec::new();
    lines(&mut out, "", &serde_json::to_value(object).unwrap());
    out.join("\n")
}

/// What a test makes of a service before it looks.
type Change<'a> = &'a dyn Fn(&mut Service);

fn made(service: &Service, role: Role) -> String {
    outline(&workload(&launch(service, role), &around()).unwrap())
}

#[test]
fn a_replica_of_a_web_service_is_a_deployment_of_one() {
    insta::assert_snapshot!(made(&web(), Role::Main), @r#"
    apiVersion: "apps/v1"
    kind: "Deployment"
    metadata labels app.kubernetes.io/instance: "web-1"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/name: "web"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata labels daybook.dev/role: "main"
    metadata name: "web-1"
    metadata namespace: "shop-production"
    spec replicas: 1
    spec revisionHistoryLimit: 0
    spec selector matchLabels app.kubernetes.io/instance: "web-1"
    spec selector matchLabels app.kubernetes.io/managed-by: "daybook"
    spec selector matchLabels app.kubernetes.io/name: "web"
    spec selector matchLabels app.kubernetes.io/part-of: "shop"
    spec selector matchLabels daybook.dev/environment: "production"
    spec selector matchLabels daybook.dev/role: "main"
    spec strategy rollingUpdate maxSurge: 1
    spec strategy rollingUpdate maxUnavailable: 0
    spec strategy type: "RollingUpdate"
    spec template metadata labels app.kubernetes.io/instance: "web-1"
    spec template metadata labels app.kubernetes.io/managed-by: "daybook"
    spec template metadata labels app.kubernetes.io/name: "web"
    spec template metadata labels app.kubernetes.io/part-of: "shop"
    spec template metadata labels daybook.dev/environment: "production"
    spec template metadata labels daybook.dev/role: "main"
    spec template metadata labels network.daybook.dev/default: "true"
    spec template spec automountServiceAccountToken: false
    spec template spec containers 0 image: "registry.example.com/web@sha256:1"
    spec template spec containers 0 imagePullPolicy: "IfNotPresent"
    spec template spec containers 0 lifecycle preStop sleep seconds: 5
    spec template spec containers 0 name: "replica"
    spec template spec containers 0 ports 0 containerPort: 8080
    spec template spec containers 0 ports 0 protocol: "TCP"
    spec template spec containers 0 readinessProbe failureThreshold: 3
    spec template spec containers 0 readinessProbe periodSeconds: 1
    spec template spec containers 0 readinessProbe tcpSocket port: 8080
    spec template spec containers 0 readinessProbe timeoutSeconds: 2
    spec template spec containers 0 resources limits cpu: "500m"
    spec template spec containers 0 resources limits memory: "256Mi"
    spec template spec containers 0 resources requests cpu: "50m"
    spec template spec containers 0 resources requests memory: "256Mi"
    spec template spec containers 0 securityContext allowPrivilegeEscalation: false
    spec template spec containers 0 securityContext capabilities drop: ["ALL"]
    spec template spec containers 0 terminationMessagePolicy: "FallbackToLogsOnError"
    spec template spec enableServiceLinks: false
    spec template spec restartPolicy: "Always"
    spec template spec securityContext fsGroup: 1000
    spec template spec securityContext fsGroupChangePolicy: "OnRootMismatch"
    spec template spec securityContext runAsNonRoot: true
    spec template spec securityContext runAsUser: 1000
    spec template spec securityContext seccompProfile type: "RuntimeDefault"
    spec template spec terminationGracePeriodSeconds: 15
    spec template spec tolerations 0 effect: "NoExecute"
    spec template spec tolerations 0 key: "node.kubernetes.io/not-ready"
    spec template spec tolerations 0 operator: "Exists"
    spec template spec tolerations 0 tolerationSeconds: 30
    spec template spec tolerations 1 effect: "NoExecute"
    spec template spec tolerations 1 key: "node.kubernetes.io/unreachable"
    spec template spec tolerations 1 operator: "Exists"
    spec template spec tolerations 1 tolerationSeconds: 30
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/managed-by: "daybook"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/name: "web"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/part-of: "shop"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels daybook.dev/environment: "production"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels daybook.dev/role: "main"
    spec template spec topologySpreadConstraints 0 maxSkew: 1
    spec template spec topologySpreadConstraints 0 topologyKey: "kubernetes.io/hostname"
    spec template spec topologySpreadConstraints 0 whenUnsatisfiable: "ScheduleAnyway"
    "#);
}

#[test]
fn others_reach_it_by_its_name_and_its_aliases() {
    let mut web = web();
    web.container
        .networks
        .insert("front".parse().unwrap(), Attachment { aliases: vec!["www".to_owned()], ..Attachment::default() });
    web.ports.push(Port { container: 53, protocol: Protocol::Udp, publish: None });
    let launch = launch(&web, Role::Main);
    let all: Vec<_> = services(&launch, &around()).iter().map(outline).collect();
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    apiVersion: "v1"
    kind: "Service"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/name: "web"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata name: "web"
    metadata namespace: "shop-production"
    spec ports 0 name: "tcp-8080"
    spec ports 0 port: 8080
    spec ports 0 protocol: "TCP"
    spec ports 0 targetPort: 8080
    spec ports 1 name: "udp-53"
    spec ports 1 port: 53
    spec ports 1 protocol: "UDP"
    spec ports 1 targetPort: 53
    spec selector app.kubernetes.io/managed-by: "daybook"
    spec selector app.kubernetes.io/name: "web"
    spec selector app.kubernetes.io/part-of: "shop"
    spec selector daybook.dev/environment: "production"
    spec selector daybook.dev/role: "main"

    apiVersion: "v1"
    kind: "Service"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/name: "web"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata name: "www"
    metadata namespace: "shop-production"
    spec ports 0 name: "tcp-8080"
    spec ports 0 port: 8080
    spec ports 0 protocol: "TCP"
    spec ports 0 targetPort: 8080
    spec ports 1 name: "udp-53"
    spec ports 1 port: 53
    spec ports 1 protocol: "UDP"
    spec ports 1 targetPort: 53
    spec selector app.kubernetes.io/managed-by: "daybook"
    spec selector app.kubernetes.io/name: "web"
    spec selector app.kubernetes.io/part-of: "shop"
    spec selector daybook.dev/environment: "production"
    spec selector daybook.dev/role: "main"
    "#);
    insta::assert_snapshot!(outline(&budget(&launch, &around()).unwrap().spec), @r#"
    maxUnavailable: 1
    selector matchLabels app.kubernetes.io/managed-by: "daybook"
    selector matchLabels app.kubernetes.io/name: "web"
    selector matchLabels app.kubernetes.io/part-of: "shop"
    selector matchLabels daybook.dev/environment: "production"
    selector matchLabels daybook.dev/role: "main"
    "#);
    assert!(services(&self::launch(&web, Role::Hook), &around()).is_empty(), "nobody asks a hook");
}

#[test]
fn what_writes_to_a_volume_is_never_there_twice() {
    let mut db = database();
    insta::assert_snapshot!(made(&db, Role::Main), @r#"
    apiVersion: "apps/v1"
    kind: "StatefulSet"
    metadata labels app.kubernetes.io/instance: "db-1"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/name: "db"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata labels daybook.dev/role: "main"
    metadata name: "db-1"
    metadata namespace: "shop-production"
    spec replicas: 1
    spec revisionHistoryLimit: 0
    spec selector matchLabels app.kubernetes.io/instance: "db-1"
    spec selector matchLabels app.kubernetes.io/managed-by: "daybook"
    spec selector matchLabels app.kubernetes.io/name: "db"
    spec selector matchLabels app.kubernetes.io/part-of: "shop"
    spec selector matchLabels daybook.dev/environment: "production"
    spec selector matchLabels daybook.dev/role: "main"
    spec serviceName: "db"
    spec template metadata labels app.kubernetes.io/instance: "db-1"
    spec template metadata labels app.kubernetes.io/managed-by: "daybook"
    spec template metadata labels app.kubernetes.io/name: "db"
    spec template metadata labels app.kubernetes.io/part-of: "shop"
    spec template metadata labels daybook.dev/environment: "production"
    spec template metadata labels daybook.dev/role: "main"
    spec template spec automountServiceAccountToken: false
    spec template spec containers 0 image: "registry.example.com/web@sha256:1"
    spec template spec containers 0 imagePullPolicy: "IfNotPresent"
    spec template spec containers 0 name: "replica"
    spec template spec containers 0 securityContext allowPrivilegeEscalation: true
    spec template spec containers 0 terminationMessagePolicy: "FallbackToLogsOnError"
    spec template spec containers 0 volumeMounts 0 mountPath: "/data"
    spec template spec containers 0 volumeMounts 0 name: "mount-0"
    spec template spec containers 0 volumeMounts 0 subPath: "16"
    spec template spec enableServiceLinks: false
    spec template spec restartPolicy: "Always"
    spec template spec securityContext seccompProfile type: "RuntimeDefault"
    spec template spec terminationGracePeriodSeconds: 10
    spec template spec tolerations 0 effect: "NoExecute"
    spec template spec tolerations 0 key: "node.kubernetes.io/not-ready"
    spec template spec tolerations 0 operator: "Exists"
    spec template spec tolerations 0 tolerationSeconds: 30
    spec template spec tolerations 1 effect: "NoExecute"
    spec template spec tolerations 1 key: "node.kubernetes.io/unreachable"
    spec template spec tolerations 1 operator: "Exists"
    spec template spec tolerations 1 tolerationSeconds: 30
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/managed-by: "daybook"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/name: "db"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/part-of: "shop"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels daybook.dev/environment: "production"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels daybook.dev/role: "main"
    spec template spec topologySpreadConstraints 0 maxSkew: 1
    spec template spec topologySpreadConstraints 0 topologyKey: "kubernetes.io/hostname"
    spec template spec topologySpreadConstraints 0 whenUnsatisfiable: "ScheduleAnyway"
    spec template spec volumes 0 name: "mount-0"
    spec template spec volumes 0 persistentVolumeClaim claimName: "data"
    spec updateStrategy type: "RollingUpdate"
    "#);
    db.container.mounts[0].read_only = true;
    assert_eq!(Kind::of(&launch(&db, Role::Main)), Kind::Deployment);
}

#[test]
fn what_ends_by_itself_is_a_job() {
    let mut web = web();
    web.release_hook = Some(vec!["bin/migrate".to_owned(), "$ALL".to_owned()]);
    insta::assert_snapshot!(made(&web, Role::Hook), @r#"
    apiVersion: "batch/v1"
    kind: "Job"
    metadata labels app.kubernetes.io/instance: "web-1-hook"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/name: "web"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata labels daybook.dev/role: "hook"
    metadata name: "web-1-hook"
    metadata namespace: "shop-production"
    spec backoffLimit: 0
    spec completions: 1
    spec parallelism: 1
    spec podReplacementPolicy: "Failed"
    spec template metadata labels app.kubernetes.io/instance: "web-1-hook"
    spec template metadata labels app.kubernetes.io/managed-by: "daybook"
    spec template metadata labels app.kubernetes.io/name: "web"
    spec template metadata labels app.kubernetes.io/part-of: "shop"
    spec template metadata labels daybook.dev/environment: "production"
    spec template metadata labels daybook.dev/role: "hook"
    spec template metadata labels network.daybook.dev/default: "true"
    spec template spec automountServiceAccountToken: false
    spec template spec containers 0 args: ["bin/migrate","$$ALL"]
    spec template spec containers 0 image: "registry.example.com/web@sha256:1"
    spec template spec containers 0 imagePullPolicy: "IfNotPresent"
    spec template spec containers 0 name: "replica"
    spec template spec containers 0 resources limits cpu: "500m"
    spec template spec containers 0 resources limits memory: "256Mi"
    spec template spec containers 0 resources requests cpu: "50m"
    spec template spec containers 0 resources requests memory: "256Mi"
    spec template spec containers 0 securityContext allowPrivilegeEscalation: false
    spec template spec containers 0 securityContext capabilities drop: ["ALL"]
    spec template spec containers 0 terminationMessagePolicy: "FallbackToLogsOnError"
    spec template spec enableServiceLinks: false
    spec template spec restartPolicy: "Never"
    spec template spec securityContext fsGroup: 1000
    spec template spec securityContext fsGroupChangePolicy: "OnRootMismatch"
    spec template spec securityContext runAsNonRoot: true
    spec template spec securityContext runAsUser: 1000
    spec template spec securityContext seccompProfile type: "RuntimeDefault"
    spec template spec terminationGracePeriodSeconds: 10
    spec template spec tolerations 0 effect: "NoExecute"
    spec template spec tolerations 0 key: "node.kubernetes.io/not-ready"
    spec template spec tolerations 0 operator: "Exists"
    spec template spec tolerations 0 tolerationSeconds: 30
    spec template spec tolerations 1 effect: "NoExecute"
    spec template spec tolerations 1 key: "node.kubernetes.io/unreachable"
    spec template spec tolerations 1 operator: "Exists"
    spec template spec tolerations 1 tolerationSeconds: 30
    "#);
    web.restart = Restart::OnFailure(Some(3));
    let again = made(&web, Role::Main);
    for line in ["spec backoffLimit: 3", "spec template metadata annotations daybook.dev/retries: \"3\""] {
        assert!(again.contains(line), "{again}");
    }
    for (restart, role) in [(Restart::No, Role::Main), (Restart::Always, Role::Job), (Restart::Always, Role::OneOff)] {
        web.restart = restart;
        assert_eq!(Kind::of(&launch(&web, role)), Kind::Job);
    }
}

/// All that containers may ask for beside.
fn demanding() -> Service {
    let mut all = image("all");
    let options = &mut *all.container.options;
    options.read_only = true;
    options.tty = true;
    options.stdin_open = true;
    options.hostname = Some("box".to_owned());
    options.platform = Some("linux/arm64".to_owned());
    options.runtime = Some("gvisor".to_owned());
    options.shm_size = Some(64 << 20);
    options.cap_add = vec!["NET_BIND_SERVICE".to_owned()];
    options.cap_drop = vec!["KILL".to_owned()];
    options.dns = vec!["9.9.9.9".to_owned()];
    options.dns_search = vec!["example.com".to_owned()];
    options.dns_opt = vec!["ndots:2".to_owned(), "rotate".to_owned()];
    options.extra_hosts = vec!["a.example.com:192.0.2.1".to_owned(), "b.example.com=[2001:db8::1]".to_owned()];
    options.group_add = vec!["44".to_owned(), "video".to_owned()];
    options.sysctls.insert("net.core.somaxconn".to_owned(), "1024".to_owned());
    options.ipc = Some("host".to_owned());
    all.container.entrypoint = Some(vec!["/bin/all".to_owned()]);
    all.container.working_dir = Some("/srv".to_owned());
    all.container.resources.gpus = Some(2);
    all.container.resources.reserve_memory_bytes = Some(1_000_001);
    let mount = |target: &str, source| Mount { target: target.to_owned(), source, read_only: false };
    all.container.mounts = vec![
        mount("/tmp", MountSource::Tmpfs { size: Some(1_000), mode: None }),
        mount("/scratch", MountSource::Anonymous),
        mount(
            "/host",
            MountSource::Bind {
                path: "/srv".to_owned(),
                create: true,
                propagation: Some("rslave".to_owned()),
                selinux: None,
            },
        ),
    ];
    all
}

#[test]
fn whatever_a_container_may_ask_for_is_in_its_pod() {
    insta::assert_snapshot!(made(&demanding(), Role::Main), @r#"
    apiVersion: "apps/v1"
    kind: "Deployment"
    metadata labels app.kubernetes.io/instance: "all-1"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/name: "all"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata labels daybook.dev/role: "main"
    metadata name: "all-1"
    metadata namespace: "shop-production"
    spec replicas: 1
    spec revisionHistoryLimit: 0
    spec selector matchLabels app.kubernetes.io/instance: "all-1"
    spec selector matchLabels app.kubernetes.io/managed-by: "daybook"
    spec selector matchLabels app.kubernetes.io/name: "all"
    spec selector matchLabels app.kubernetes.io/part-of: "shop"
    spec selector matchLabels daybook.dev/environment: "production"
    spec selector matchLabels daybook.dev/role: "main"
    spec strategy rollingUpdate maxSurge: 1
    spec strategy rollingUpdate maxUnavailable: 0
    spec strategy type: "RollingUpdate"
    spec template metadata labels app.kubernetes.io/instance: "all-1"
    spec template metadata labels app.kubernetes.io/managed-by: "daybook"
    spec template metadata labels app.kubernetes.io/name: "all"
    spec template metadata labels app.kubernetes.io/part-of: "shop"
    spec template metadata labels daybook.dev/environment: "production"
    spec template metadata labels daybook.dev/role: "main"
    spec template spec automountServiceAccountToken: false
    spec template spec containers 0 command: ["/bin/all"]
    spec template spec containers 0 image: "registry.example.com/web@sha256:1"
    spec template spec containers 0 imagePullPolicy: "IfNotPresent"
    spec template spec containers 0 name: "replica"
    spec template spec containers 0 resources limits nvidia.com/gpu: "2"
    spec template spec containers 0 resources requests memory: "1000001"
    spec template spec containers 0 securityContext allowPrivilegeEscalation: true
    spec template spec containers 0 securityContext capabilities add: ["NET_BIND_SERVICE"]
    spec template spec containers 0 securityContext capabilities drop: ["KILL"]
    spec template spec containers 0 securityContext readOnlyRootFilesystem: true
    spec template spec containers 0 stdin: true
    spec template spec containers 0 terminationMessagePolicy: "FallbackToLogsOnError"
    spec template spec containers 0 tty: true
    spec template spec containers 0 volumeMounts 0 mountPath: "/tmp"
    spec template spec containers 0 volumeMounts 0 name: "mount-0"
    spec template spec containers 0 volumeMounts 1 mountPath: "/scratch"
    spec template spec containers 0 volumeMounts 1 name: "mount-1"
    spec template spec containers 0 volumeMounts 2 mountPath: "/host"
    spec template spec containers 0 volumeMounts 2 mountPropagation: "HostToContainer"
    spec template spec containers 0 volumeMounts 2 name: "mount-2"
    spec template spec containers 0 volumeMounts 3 mountPath: "/dev/shm"
    spec template spec containers 0 volumeMounts 3 name: "mount-3"
    spec template spec containers 0 workingDir: "/srv"
    spec template spec dnsConfig nameservers: ["9.9.9.9"]
    spec template spec dnsConfig options 0 name: "ndots"
    spec template spec dnsConfig options 0 value: "2"
    spec template spec dnsConfig options 1 name: "rotate"
    spec template spec dnsConfig searches: ["example.com"]
    spec template spec enableServiceLinks: false
    spec template spec hostAliases 0 hostnames: ["a.example.com"]
    spec template spec hostAliases 0 ip: "192.0.2.1"
    spec template spec hostAliases 1 hostnames: ["b.example.com"]
    spec template spec hostAliases 1 ip: "2001:db8::1"
    spec template spec hostIPC: true
    spec template spec hostname: "box"
    spec template spec nodeSelector kubernetes.io/arch: "arm64"
    spec template spec nodeSelector kubernetes.io/os: "linux"
    spec template spec restartPolicy: "Always"
    spec template spec runtimeClassName: "gvisor"
    spec template spec securityContext seccompProfile type: "RuntimeDefault"
    spec template spec securityContext supplementalGroups: [44]
    spec template spec securityContext sysctls 0 name: "net.core.somaxconn"
    spec template spec securityContext sysctls 0 value: "1024"
    spec template spec terminationGracePeriodSeconds: 10
    spec template spec tolerations 0 effect: "NoExecute"
    spec template spec tolerations 0 key: "node.kubernetes.io/not-ready"
    spec template spec tolerations 0 operator: "Exists"
    spec template spec tolerations 0 tolerationSeconds: 30
    spec template spec tolerations 1 effect: "NoExecute"
    spec template spec tolerations 1 key: "node.kubernetes.io/unreachable"
    spec template spec tolerations 1 operator: "Exists"
    spec template spec tolerations 1 tolerationSeconds: 30
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/managed-by: "daybook"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/name: "all"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels app.kubernetes.io/part-of: "shop"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels daybook.dev/environment: "production"
    spec template spec topologySpreadConstraints 0 labelSelector matchLabels daybook.dev/role: "main"
    spec template spec topologySpreadConstraints 0 maxSkew: 1
    spec template spec topologySpreadConstraints 0 topologyKey: "kubernetes.io/hostname"
    spec template spec topologySpreadConstraints 0 whenUnsatisfiable: "ScheduleAnyway"
    spec template spec volumes 0 emptyDir medium: "Memory"
    spec template spec volumes 0 emptyDir sizeLimit: "1000"
    spec template spec volumes 0 name: "mount-0"
    spec template spec volumes 1 name: "mount-1"
    spec template spec volumes 2 hostPath path: "/srv"
    spec template spec volumes 2 hostPath type: "DirectoryOrCreate"
    spec template spec volumes 2 name: "mount-2"
    spec template spec volumes 3 emptyDir medium: "Memory"
    spec template spec volumes 3 emptyDir sizeLimit: "64Mi"
    spec template spec volumes 3 name: "mount-3"
    "#);
}

#[test]
fn each_kind_of_check_has_a_probe() {
    let mut web = web();
    let probe = |web: &Service| {
        let made = made(web, Role::Main);
        let lines =
            made.lines().filter_map(|line| line.split_once("readinessProbe ").map(|(_, probe)| probe.to_owned()));
        lines.collect::<Vec<_>>().join(", ")
    };
    let mut out = vec![probe(&web)];
    let tests = [
        CheckTest::Http { path: "/healthz?a=1".to_owned(), port: 8080 },
        CheckTest::Command(vec!["check".to_owned(), "$HOME".to_owned()]),
        CheckTest::Running,
        CheckTest::Disabled,
    ];
    for test in tests {
        web.check = Some(daybook_model::spec::Check { test, ..web.effective_check() });
        out.push(probe(&web));
    }
    insta::assert_snapshot!(out.join("\n"), @r#"
    failureThreshold: 3, periodSeconds: 1, tcpSocket port: 8080, timeoutSeconds: 2
    failureThreshold: 3, httpGet path: "/healthz?a=1", httpGet port: 8080, periodSeconds: 1, timeoutSeconds: 2
    exec command: ["check","$HOME"], failureThreshold: 3, periodSeconds: 1, timeoutSeconds: 2
    "#);
    web.check = None;
    assert!(!made(&web, Role::Hook).contains("Probe"), "what runs once is not asked");
}

/// A service with every way to have a secret, and some texts beside.
fn secretive() -> Launch {
    let secret = |name: &str| SecretRef { name: name.parse().unwrap(), version: Some(1), generate: false };
    let mut web = web();
    let variables = [
        ("COLOUR", EnvValue::Text("blue, $5".to_owned())),
        ("PASSWORD", EnvValue::Secret(secret("password"))),
        (
            "URL",
            EnvValue::Template(vec![TemplatePart::Text("a:".to_owned()), TemplatePart::Secret(secret("password"))]),
        ),
        ("no key", EnvValue::Secret(secret("odd"))),
    ];
    variables.into_iter().for_each(|(name, value)| drop(web.container.environment.insert(name.to_owned(), value)));
    let file =
        |target: &str, content, mode| FileMount { target: target.to_owned(), content, uid: None, gid: None, mode };
    web.container.files = vec![
        file("/run/secrets/key", FileContent::Secret(secret("key")), 0o400),
        file("/etc/web.ini", FileContent::Text("colour = blue".to_owned()), 0o444),
    ];
    let mut launch = launch(&web, Role::Main);
    for (name, value) in &mut launch.environment {
        if name != "COLOUR" {
            *value = "swordfish".to_owned();
        }
    }
    launch.files[0].content = b"swordfish".to_vec();
    launch
}

#[test]
fn r31_secrets_are_in_a_secret_and_in_nothing_else() {
    let (launch, around) = (secretive(), around());
    let secret = secret(&launch, &around).unwrap();
    let values = secret.data.as_ref().unwrap();
    assert_eq!(values.keys().collect::<Vec<_>>(), ["PASSWORD", "URL", "file-0", "variable-3"]);
    assert!(values.values().all(|value| value.0 == b"swordfish") && secret.immutable == Some(true));
    let others = [
        outline(&workload(&launch, &around).unwrap()),
        outline(&config_map(&launch, &around).unwrap()),
        services(&launch, &around).iter().map(outline).collect(),
    ];
    // As text, and as Kubernetes writes bytes.
    assert!(!others.iter().any(|text| text.contains("swordfish") || text.contains("c3dvcmRmaXNo")));
    let named = |words: &[&str]| {
        let lines = others[0].lines().filter(|line| words.iter().any(|word| line.contains(word)));
        lines.map(|line| line.trim_start_matches("spec template spec ").to_owned()).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(named(&[" env ", "volumes", "volumeMounts"]), @r#"
    containers 0 env 0 name: "COLOUR"
    containers 0 env 0 value: "blue, $$5"
    containers 0 env 1 name: "PASSWORD"
    containers 0 env 1 valueFrom secretKeyRef key: "PASSWORD"
    containers 0 env 1 valueFrom secretKeyRef name: "web-1"
    containers 0 env 2 name: "URL"
    containers 0 env 2 valueFrom secretKeyRef key: "URL"
    containers 0 env 2 valueFrom secretKeyRef name: "web-1"
    containers 0 env 3 name: "no key"
    containers 0 env 3 valueFrom secretKeyRef key: "variable-3"
    containers 0 env 3 valueFrom secretKeyRef name: "web-1"
    containers 0 volumeMounts 0 mountPath: "/run/secrets/key"
    containers 0 volumeMounts 0 name: "secrets"
    containers 0 volumeMounts 0 readOnly: true
    containers 0 volumeMounts 0 subPath: "file-0"
    containers 0 volumeMounts 1 mountPath: "/etc/web.ini"
    containers 0 volumeMounts 1 name: "texts"
    containers 0 volumeMounts 1 readOnly: true
    containers 0 volumeMounts 1 subPath: "file-1"
    volumes 0 name: "secrets"
    volumes 0 secret items 0 key: "file-0"
    volumes 0 secret items 0 mode: 288
    volumes 0 secret items 0 path: "file-0"
    volumes 0 secret secretName: "web-1"
    volumes 1 configMap items 0 key: "file-1"
    volumes 1 configMap items 0 mode: 292
    volumes 1 configMap items 0 path: "file-1"
    volumes 1 configMap name: "web-1"
    volumes 1 name: "texts"
    "#);
    assert!(self::secret(&self::launch(&web(), Role::Main), &around).is_none());
}

#[test]
fn what_others_tend_has_names_that_last_and_no_mark_of_ours() {
    let around = Surroundings { tended: Tended::ByOthers, ..around() };
    let launch = secretive();
    let all = [
        serde_json::to_value(workload(&launch, &around).unwrap()).unwrap(),
        serde_json::to_value(config_map(&launch, &around).unwrap()).unwrap(),
        serde_json::to_value(namespace(&key(), Level::Restricted, &around)).unwrap(),
        serde_json::to_value(closed(&key(), &around)).unwrap(),
    ];
    for object in &all {
        let text = object.to_string();
        assert!(!text.contains("dev.daybook.") && !text.contains(MANAGED_BY) && !text.contains(INSTANCE), "{text}");
    }
    assert_eq!((&all[0]["metadata"]["name"], &all[1]["immutable"]), (&"web".into(), &Value::Null));
}

#[test]
fn the_level_that_a_pod_needs_follows_from_what_it_asks_for() {
    let level = |change: Change<'_>| {
        let mut web = web();
        change(&mut web);
        needs(&launch(&web, Role::Main), &around())
    };
    assert_eq!(level(&|_| {}), (Level::Restricted, Vec::new()));
    let bind = MountSource::Bind { path: "/srv".to_owned(), create: false, propagation: None, selinux: None };
    let mount = Mount { target: "/srv".to_owned(), source: bind, read_only: true };
    let capability =
        |name: &'static str| move |web: &mut Service| web.container.options.cap_add = vec![name.to_owned()];
    let table: [(Level, Change<'_>); 10] = [
        (Level::Restricted, &capability("NET_BIND_SERVICE")),
        (Level::Baseline, &capability("CHOWN")),
        (Level::Privileged, &capability("SYS_ADMIN")),
        (Level::Baseline, &|web| web.container.user = None),
        (Level::Baseline, &|web| web.container.user = Some("0:1000".to_owned())),
        (Level::Baseline, &|web| web.container.user = Some("nobody".to_owned())),
        (Level::Restricted, &|web| web.container.user = Some("1000:0".to_owned())),
        (Level::Privileged, &|web| web.container.options.privileged = true),
        (Level::Privileged, &|web| web.container.options.network_mode = Some("host".to_owned())),
        (Level::Privileged, &|web| web.container.mounts = vec![mount.clone()]),
    ];
    for (at, (wanted, change)) in table.into_iter().enumerate() {
        let (found, reasons) = level(change);
        assert_eq!((found, reasons.is_empty()), (wanted, wanted == Level::Restricted), "row {at}: {reasons:?}");
    }
    let named = Surroundings { image_user: Some("65532".to_owned()), ..around() };
    let mut web = web();
    web.container.user = None;
    assert_eq!(needs(&launch(&web, Role::Main), &named).0, Level::Restricted, "the image says whom it runs as");
}

#[test]
fn what_kubernetes_cannot_do_is_refused() {
    let refused = |change: Change<'_>| {
        let mut web = web();
        change(&mut web);
        workload(&launch(&web, Role::Main), &around()).unwrap_err().message
    };
    let bind = |propagation: &str| MountSource::Bind {
        path: "/srv".to_owned(),
        create: false,
        propagation: Some(propagation.to_owned()),
        selinux: None,
    };
    let mount = Mount { target: "/srv".to_owned(), source: bind("odd"), read_only: false };
    let all = [
        refused(&|web| web.container.resources.gpus = Some(u32::MAX)),
        refused(&|web| web.container.options.network_mode = Some("service:db".to_owned())),
        refused(&|web| web.container.options.pid = Some("service:db".to_owned())),
        refused(&|web| web.container.mounts = vec![mount.clone()]),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    `gpus: all`: Kubernetes gives GPUs by number
    `network_mode: service:db` has no counterpart in Kubernetes
    `pid: service:db` has no counterpart in Kubernetes
    `propagation: odd` has no counterpart in Kubernetes
    ");
}

#[test]
fn networks_let_in_their_own_and_the_edge() {
    let internal = Network { internal: true, ..Network::default() };
    insta::assert_snapshot!(outline(&network(&key(), &"back".parse().unwrap(), &internal, &around())), @r#"
    apiVersion: "networking.k8s.io/v1"
    kind: "NetworkPolicy"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata name: "network-back"
    metadata namespace: "shop-production"
    spec egress 0 to 0 podSelector matchLabels network.daybook.dev/back: "true"
    spec egress 1 ports 0 port: 53
    spec egress 1 ports 0 protocol: "UDP"
    spec egress 1 ports 1 port: 53
    spec egress 1 ports 1 protocol: "TCP"
    spec ingress 0 from 0 podSelector matchLabels network.daybook.dev/back: "true"
    spec ingress 0 from 1 podSelector matchLabels daybook.dev/edge: "true"
    spec podSelector matchLabels network.daybook.dev/back: "true"
    spec policyTypes: ["Ingress","Egress"]
    "#);
    insta::assert_snapshot!(outline(&closed(&key(), &around())), @r#"
    apiVersion: "networking.k8s.io/v1"
    kind: "NetworkPolicy"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata name: "daybook-closed"
    metadata namespace: "shop-production"
    spec podSelector matchLabels app.kubernetes.io/managed-by: "daybook"
    spec podSelector matchLabels app.kubernetes.io/part-of: "shop"
    spec podSelector matchLabels daybook.dev/environment: "production"
    spec policyTypes: ["Ingress"]
    "#);
}

#[test]
fn volumes_are_claims_of_the_size_that_the_manifest_says() {
    let mut volume = Volume { driver: Some("fast".to_owned()), ..Volume::default() };
    volume.driver_opts.insert("size".to_owned(), "50Gi".to_owned());
    volume.labels.insert("team".to_owned(), "web".to_owned());
    let claim = |volume: &Volume| outline(&claim(&key(), &"data".parse().unwrap(), volume, &around()));
    insta::assert_snapshot!(claim(&volume), @r#"
    apiVersion: "v1"
    kind: "PersistentVolumeClaim"
    metadata annotations team: "web"
    metadata labels app.kubernetes.io/managed-by: "daybook"
    metadata labels app.kubernetes.io/part-of: "shop"
    metadata labels daybook.dev/environment: "production"
    metadata name: "data"
    metadata namespace: "shop-production"
    spec accessModes: ["ReadWriteOnce"]
    spec resources requests storage: "50Gi"
    spec storageClassName: "fast"
    "#);
    let shared = claim(&Volume { shared: true, driver: Some("local".to_owned()), ..Volume::default() });
    assert!(shared.contains("ReadWriteMany") && shared.contains("10Gi") && !shared.contains("storageClassName"));
}

#[test]
fn labels_of_the_manifest_that_kubernetes_does_not_take_stay_away() {
    for good in ["team", "example.com/team", "A.b_c-1"] {
        assert!(is_qualified_name(good), "{good}");
    }
    for bad in ["", "-a", "a/", "/a", "Example.com/a", "a/b/c", "traefik.http.routers[0]", &"a".repeat(64)] {
        assert!(!is_qualified_name(bad), "{bad}");
    }
}
