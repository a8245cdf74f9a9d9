//! The built-in checks, as a table.
//!
//! What each is called by Checkov (`CKV_…`), kube-linter, Polaris and the CIS Docker benchmark (`CIS-D`) stands beside
//! it, so that whoever has waivers for those knows which they are here.

use daybook_model::policy::Rails;
use daybook_model::policy::Severity::{self, Critical, High, Low, Medium};

use super::checks::{cloud, confinement, data, health, network, resources};
use super::{Found, Subject, images, rails, secrets};

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its id: `DB019`. It never changes.
    pub id: &'static str,
    /// Its name: `no-memory-limit`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub help: &'static str,
    /// What others call it.
    pub sources: &'static [&'static str],
    pub(super) run: Run,
}

/// How a check is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// Of every environment.
    Always(fn(&Subject<'_>, &mut Found)),
    /// Where a policy sets its guard rail; says whether this one does.
    Rail(fn(&Subject<'_>, &Rails, &mut Found) -> bool),
}
use Run::{Always, Rail};

/// A check by its id or its name; case does not matter.
pub fn find(word: &str) -> Option<&'static Check> {
    all().find(|check| check.id.eq_ignore_ascii_case(word) || check.name.eq_ignore_ascii_case(word))
}

/// Every check and every guard rail, in the order of their ids.
pub fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().chain(RAILS)
}

/// The guard rails: nothing is asked before a policy sets them, and what breaks one is denied.
pub(super) static RAILS: &[Check] = &[
    Check {
        id: "LZ001",
        name: "registry",
        severity: High,
        title: "an image from elsewhere",
        why: "What an organisation runs comes from where it is looked through and kept.",
        help: "push the image to an allowed registry, and name it there",
        sources: &[],
        run: Rail(rails::registry),
    },
    Check {
        id: "LZ002",
        name: "target",
        severity: High,
        title: "a target that is not allowed",
        why: "Each target has its owner, its network and its bill.",
        help: "choose one of the allowed targets: `target: …`",
        sources: &[],
        run: Rail(rails::target),
    },
    Check {
        id: "LZ003",
        name: "region",
        severity: High,
        title: "a region that is not allowed",
        why: "Where data lies decides whose law it is under.",
        help: "choose one of the allowed regions: `budget: {at: PROVIDER/REGION}`",
        sources: &[],
        run: Rail(rails::region),
    },
    Check {
        id: "LZ004",
        name: "too-large",
        severity: Medium,
        title: "more than one service may have",
        why: "A slip of a digit is a bill.",
        help: "ask for less, or ask who owns the landing zone for more",
        sources: &[],
        run: Rail(rails::size),
    },
    Check {
        id: "LZ005",
        name: "label",
        severity: Low,
        title: "a label is missing",
        why: "Labels say who is called at night, and who pays.",
        help: "add it to `labels` of the service",
        sources: &[],
        run: Rail(rails::labels),
    },
    Check {
        id: "LZ006",
        name: "backup",
        severity: High,
        title: "a volume without a backup",
        why: "A volume lives as long as its disk.",
        help: "back it up: `backup: {every: 6h, keep: 30d, drill: weekly}` on the volume; or, where others do, say how: `labels: {backup: HOW}` on it or its service",
        sources: &[],
        run: Rail(rails::backups),
    },
];

/// Every check, in the order of its id.
pub static CHECKS: &[Check] = &[
    Check {
        id: "DB001",
        name: "privileged",
        severity: Critical,
        title: "a privileged container",
        why: "It has every device and every capability of the machine: whoever breaks into the service has the machine.",
        help: "remove `privileged`, and add the one capability or device that it needs",
        sources: &["CKV_K8S_16", "kube-linter privileged-container", "Polaris runAsPrivileged", "CIS-D 5.5"],
        run: Always(confinement::privileged),
    },
    Check {
        id: "DB002",
        name: "docker-socket",
        severity: Critical,
        title: "the container engine's socket inside a container",
        why: "Whoever may talk to the engine may start a privileged container: the mount is root on the machine.",
        help: "remove the mount; put a proxy before the socket that lets through what is needed",
        sources: &["CKV_K8S_27", "kube-linter docker-sock", "CIS-D 5.32"],
        run: Always(confinement::docker_socket),
    },
    Check {
        id: "DB003",
        name: "host-pid",
        severity: High,
        title: "the machine's processes inside a container",
        why: "It sees and may signal every process of the machine, and read their environment.",
        help: "remove `pid: host`",
        sources: &["CKV_K8S_17", "kube-linter host-pid", "Polaris hostPIDSet", "CIS-D 5.16"],
        run: Always(confinement::host_pid),
    },
    Check {
        id: "DB004",
        name: "host-ipc",
        severity: High,
        title: "the machine's shared memory inside a container",
        why: "It reads and writes the shared memory of every process of the machine.",
        help: "remove `ipc: host`; services that share memory use `ipc: service:NAME`",
        sources: &["CKV_K8S_18", "kube-linter host-ipc", "Polaris hostIPCSet", "CIS-D 5.17"],
        run: Always(confinement::host_ipc),
    },
    Check {
        id: "DB005",
        name: "host-network",
        severity: High,
        title: "the machine's network inside a container",
        why: "It reaches what listens on loopback only, and nothing bounds what reaches it.",
        help: "remove `network_mode: host`, and publish the ports that it needs",
        sources: &["CKV_K8S_19", "kube-linter host-network", "Polaris hostNetworkSet", "CIS-D 5.10"],
        run: Always(confinement::host_network),
    },
    Check {
        id: "DB006",
        name: "host-mount",
        severity: High,
        title: "a directory of the system mounted",
        why: "What is in /, /etc, /proc, /var/run and their like decides about the machine.",
        help: "mount the one directory that it needs, read-only, or use a volume",
        sources: &["kube-linter sensitive-host-mounts", "Polaris hostPathSet", "CIS-D 5.6"],
        run: Always(confinement::host_mount),
    },
    Check {
        id: "DB007",
        name: "root-user",
        severity: High,
        title: "it runs as root",
        why: "Root in a container is one mistake of the kernel away from root on the machine.",
        help: "set `user: \"65532:65532\"`, or build the image with a USER; own its files accordingly",
        sources: &["kube-linter run-as-non-root", "Polaris runAsRootAllowed", "CKV_DOCKER_8", "CIS-D 4.1"],
        run: Always(confinement::root_user),
    },
    Check {
        id: "DB008",
        name: "privilege-escalation",
        severity: High,
        title: "its processes may gain privileges",
        why: "A program with the set-user-ID bit makes root of whoever runs it.",
        help: "add `security_opt: [no-new-privileges:true]`",
        sources: &["CKV_K8S_20", "kube-linter privilege-escalation-container", "CIS-D 5.26"],
        run: Always(confinement::privilege_escalation),
    },
    Check {
        id: "DB009",
        name: "capabilities",
        severity: High,
        title: "capabilities that hardly anything needs",
        why: "Some capabilities are as good as root; NET_RAW, which engines give by default, forges packets.",
        help: "drop NET_RAW, and remove from `cap_add` what is not needed",
        sources: &[
            "CKV_K8S_28",
            "CKV_K8S_37",
            "kube-linter drop-net-raw-capability",
            "Polaris dangerousCapabilities",
            "CIS-D 5.4",
        ],
        run: Always(confinement::capabilities),
    },
    Check {
        id: "DB010",
        name: "writable-root",
        severity: Medium,
        title: "its own files can be written",
        why: "Who breaks in can change the program, and what is written there is lost with the replica.",
        help: "set `read_only: true`, with `tmpfs` for what it writes for a moment and volumes for the rest",
        sources: &["CKV_K8S_22", "kube-linter no-read-only-root-fs", "CIS-D 5.13"],
        run: Always(confinement::writable_root),
    },
    Check {
        id: "DB011",
        name: "no-confinement",
        severity: Medium,
        title: "seccomp or AppArmor switched off",
        why: "The engine's profiles keep some forty system calls away that nothing but an attack uses.",
        help: "remove `unconfined` from `security_opt`; give a profile of its own where one call is needed",
        sources: &["Polaris linuxHardening", "CIS-D 5.2", "CIS-D 5.22"],
        run: Always(confinement::no_confinement),
    },
    Check {
        id: "DB012",
        name: "secret-in-environment",
        severity: Critical,
        title: "a secret in the manifest, as a variable",
        why: "Whoever reads the repository has it, also after it is removed there: history keeps it.",
        help: "`daybook secret set NAME`, then write `${secret.NAME}`; and change the secret, since it is known",
        sources: &["kube-linter env-var-secret", "Polaris sensitiveContainerEnvVar"],
        run: Always(secrets::in_environment),
    },
    Check {
        id: "DB013",
        name: "secret-in-config",
        severity: Critical,
        title: "a secret in a config",
        why: "Configs are part of the manifest: they are shown, compared and kept in clear.",
        help: "move it to `secrets`, which come as files too",
        sources: &["Polaris sensitiveConfigmapContent"],
        run: Always(secrets::in_config),
    },
    Check {
        id: "DB014",
        name: "secret-in-build",
        severity: Critical,
        title: "a secret in a Dockerfile or a build argument",
        why: "Every layer of an image keeps it, for whoever can pull the image.",
        help: "give it to the running service as a secret; for a build use `RUN --mount=type=secret`",
        sources: &["CIS-D 4.10"],
        run: Always(secrets::in_build),
    },
    Check {
        id: "DB015",
        name: "private-key",
        severity: Critical,
        title: "a private key in the manifest",
        why: "Whoever reads the repository can be whom the key stands for.",
        help: "make a new key, and keep it as a secret: `daybook secret set NAME < key.pem`",
        sources: &["CKV_SECRET_2", "CKV_SECRET_6", "CKV_SECRET_13"],
        run: Always(secrets::private_key),
    },
    Check {
        id: "DB016",
        name: "provider-credentials",
        severity: Critical,
        title: "a cloud provider's credentials in the manifest",
        why: "They are searched for in repositories by machines, and found within minutes.",
        help: "revoke them now; then give the service a role, or keep new ones as secrets",
        sources: &["CKV_AWS_41", "CKV_AWS_46"],
        run: Always(secrets::provider_credentials),
    },
    Check {
        id: "DB017",
        name: "latest-tag",
        severity: High,
        title: "an image without a version",
        why: "Each pull may bring another program, and nobody can tell which one ran before.",
        help: "name the version: `nginx:1.27`",
        sources: &["CKV_K8S_14", "kube-linter latest-tag", "Polaris tagNotSpecified", "CKV_DOCKER_7"],
        run: Always(images::latest_tag),
    },
    Check {
        id: "DB018",
        name: "unpinned-image",
        severity: Low,
        title: "an image that is not named by its digest",
        why: "Daybook keeps to the digest that a plan found; only the next plan may find another under the same tag.",
        help: "append the digest that `daybook plan` shows: `nginx:1.27@sha256:…`",
        sources: &["CKV_K8S_43"],
        run: Always(images::unpinned),
    },
    Check {
        id: "DB019",
        name: "no-memory-limit",
        severity: High,
        title: "no memory limit",
        why: "One leak takes the memory of all others, and the kernel chooses who dies.",
        help: "set `mem_limit`: what it uses at its busiest, and half as much again",
        sources: &["CKV_K8S_13", "kube-linter unset-memory-requirements", "CIS-D 5.11"],
        run: Always(resources::memory),
    },
    Check {
        id: "DB020",
        name: "no-cpu-limit",
        severity: Medium,
        title: "no limit and no reservation of processor time",
        why: "Nobody can tell how many machines it needs, and one busy service slows all others down.",
        help: "set `cpus`, or reserve some: `deploy: {resources: {reservations: {cpus: 0.25}}}`",
        sources: &["CKV_K8S_10", "kube-linter unset-cpu-requirements", "CIS-D 5.12"],
        run: Always(resources::cpu),
    },
    Check {
        id: "DB021",
        name: "no-pids-limit",
        severity: Medium,
        title: "no limit of processes",
        why: "A loop that forks takes the whole machine in a second.",
        help: "set `pids_limit`",
        sources: &["CIS-D 5.29"],
        run: Always(resources::pids),
    },
    Check {
        id: "DB022",
        name: "no-readiness-check",
        severity: Medium,
        title: "it gets requests, and nothing says when it is ready",
        why: "A port that accepts connections may still answer 500; a rollout would take it for good.",
        help: "set `healthcheck: /PATH` to one that answers 200 only when it can serve",
        sources: &["CKV_K8S_9", "kube-linter no-readiness-probe", "Polaris readinessProbeMissing"],
        run: Always(health::readiness),
    },
    Check {
        id: "DB023",
        name: "no-healthcheck",
        severity: Medium,
        title: "nothing says whether it works",
        why: "A worker that hangs keeps running, and nobody notices.",
        help: "set `healthcheck: {test: [CMD, …]}`, or remove `disable`",
        sources: &["CKV_K8S_8", "kube-linter no-liveness-probe", "CKV_DOCKER_2", "CIS-D 4.6", "CIS-D 5.27"],
        run: Always(health::liveness),
    },
    Check {
        id: "DB024",
        name: "check-port",
        severity: Medium,
        title: "its health check asks a port that it does not name",
        why: "Either the check asks the wrong port, or the manifest hides one.",
        help: "name the port in `expose`, or correct the check",
        sources: &["kube-linter liveness-port", "kube-linter readiness-port"],
        run: Always(health::check_port),
    },
    Check {
        id: "DB025",
        name: "dangling-route",
        severity: High,
        title: "a name or a reference that leads to no port",
        why: "Whoever follows it gets an error.",
        help: "name the port that the service listens on in `expose` or `port`",
        sources: &["kube-linter dangling-service", "kube-linter mismatching-selector"],
        run: Always(network::dangling),
    },
    Check {
        id: "DB026",
        name: "duplicate-variable",
        severity: Low,
        title: "a variable set twice",
        why: "The last one counts, which is seldom what the reader sees first.",
        help: "remove all but one",
        sources: &["kube-linter duplicate-env-var"],
        run: Always(resources::duplicate_variable),
    },
    Check {
        id: "DB027",
        name: "single-replica",
        severity: Medium,
        title: "one replica for users",
        why: "When it ends, nothing serves until it is back.",
        help: "set `scale: 2` or more",
        sources: &["Polaris deploymentMissingReplicas", "kube-linter minimum-three-replicas"],
        run: Always(health::single_replica),
    },
    Check {
        id: "DB028",
        name: "disruption",
        severity: Medium,
        title: "every new version interrupts it, though nothing asks for that",
        why: "With `stop-first` requests wait, or fail, while no replica runs.",
        help: "remove `order: stop-first`: what shares no volume can overlap",
        sources: &[
            "kube-linter pdb-max-unavailable",
            "Polaris pdbDisruptionsIsZero",
            "Polaris missingPodDisruptionBudget",
        ],
        run: Always(health::disruption),
    },
    Check {
        id: "DB029",
        name: "shared-network",
        severity: Medium,
        title: "a network that others are on",
        why: "Environments are kept apart by their networks; on a shared one everybody reaches everything.",
        help: "remove `network_mode: bridge`; share what is needed by a route",
        sources: &["CKV2_K8S_6", "Polaris missingNetworkPolicy", "kube-linter non-isolated-pod"],
        run: Always(network::shared),
    },
    Check {
        id: "DB030",
        name: "cluster-token",
        severity: Medium,
        title: "a cluster's credentials inside a container",
        why: "Who breaks into the service can ask the API server for whatever the credentials allow.",
        help: "remove the mount; Daybook gives no pod a token",
        sources: &["CKV_K8S_38", "Polaris automountServiceAccountToken"],
        run: Always(cloud::cluster_token),
    },
    Check {
        id: "DB031",
        name: "cluster-admin",
        severity: Critical,
        title: "rights over a whole cluster",
        why: "A binding to `cluster-admin` makes the owner of the cluster of whoever has it.",
        help: "bind a role with the verbs and kinds that are needed",
        sources: &["kube-linter cluster-admin-role-binding", "Polaris clusterrolebindingClusterAdmin"],
        run: Always(cloud::cluster_admin),
    },
    Check {
        id: "DB032",
        name: "ssh-open",
        severity: Critical,
        title: "SSH or remote desktop open to the world",
        why: "Passwords are tried there within minutes, around the clock.",
        help: "publish it on 127.0.0.1, and use `daybook exec`",
        sources: &["CKV_AWS_24", "CKV_AWS_25", "CKV_GCP_2", "CKV_GCP_3", "CKV_AZURE_9", "CKV_AZURE_10", "CKV_DOCKER_1"],
        run: Always(network::ssh),
    },
    Check {
        id: "DB033",
        name: "open-port",
        severity: Medium,
        title: "a port open on every address of the machine",
        why: "Docker's rules go before the firewall's: what is published so is reached from everywhere.",
        help: "name the address: `127.0.0.1:8080:80`; or give the service a `domain` and publish nothing",
        sources: &["CIS-D 5.14", "CIS-D 5.8", "CIS-D 5.9"],
        run: Always(network::open_port),
    },
    Check {
        id: "DB034",
        name: "no-tls",
        severity: High,
        title: "a public name without TLS",
        why: "What is sent is read and changed on its way.",
        help: "remove `tls: off`, or give `tls: {cert: FILE, key: FILE}`",
        sources: &["CKV_AWS_2", "CKV_AWS_103", "CKV_AZURE_3", "Polaris tlsSettingsMissing"],
        run: Always(network::no_tls),
    },
    Check {
        id: "DB035",
        name: "public-database",
        severity: Critical,
        title: "a database reachable from outside",
        why: "Its password is all that keeps anybody from the data.",
        help: "publish nothing: services reach it by its name; people by `daybook exec`, or on 127.0.0.1",
        sources: &["CKV_AWS_17", "CKV_GCP_11", "CKV_GCP_60", "CKV_AZURE_68"],
        run: Always(data::public),
    },
    Check {
        id: "DB036",
        name: "unencrypted-volume",
        severity: High,
        title: "nothing says that data is encrypted where it lies",
        why: "A disk that is lost, sold or copied takes the data along.",
        help: "encrypt the disk or the storage class, and say so: `labels: {encryption: HOW}` on the volume",
        sources: &["CKV_AWS_16", "CKV_AWS_3", "CKV_AWS_58"],
        run: Always(data::unencrypted),
    },
    Check {
        id: "DB037",
        name: "public-bucket",
        severity: Critical,
        title: "a bucket that anybody may read or write",
        why: "Lists of open buckets are sold; most that leaked were opened by one word of a configuration.",
        help: "take the public access away, and hand out signed URLs",
        sources: &["CKV_AWS_20", "CKV_AWS_53", "CKV_AWS_56", "CKV_GCP_28", "CKV_AZURE_59"],
        run: Always(cloud::public_bucket),
    },
    Check {
        id: "DB038",
        name: "no-backup",
        severity: High,
        title: "nothing says that a database is backed up",
        why: "A volume lives as long as its disk.",
        help: "back it up, and say how: `labels: {backup: HOW}` on the service or its volume",
        sources: &["CKV_AWS_133", "CKV_AWS_293"],
        run: Always(data::no_backup),
    },
    Check {
        id: "DB039",
        name: "wildcard-iam",
        severity: Critical,
        title: "rights to do everything with everything",
        why: "Whoever has the service then has the account.",
        help: "name the actions and the resources",
        sources: &["CKV_AWS_62", "CKV_AWS_63", "CKV_AWS_40"],
        run: Always(cloud::wildcard_iam),
    },
    Check {
        id: "DB040",
        name: "control-plane",
        severity: High,
        title: "a control plane or instance metadata within reach",
        why: "The engine's API, etcd, a kubelet and the metadata service all hand out the machine or its credentials.",
        help: "publish it on 127.0.0.1 only, with TLS; give the service a role instead of the metadata's",
        sources: &["CKV_AWS_38", "CKV_AWS_39", "CKV_AWS_79"],
        run: Always(network::control_plane),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_and_names_are_words() {
        for (at, check) in CHECKS.iter().enumerate() {
            assert_eq!(check.id, format!("DB{:03}", at + 1));
            assert!(check.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", check.name);
            assert!(
                !check.sources.is_empty() && !check.help.ends_with('.') && check.why.ends_with('.'),
                "{}",
                check.id
            );
        }
        assert_eq!(CHECKS.len(), 40);
    }
}
