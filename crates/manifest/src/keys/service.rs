//! Keys of a service.

use super::Shape::{
    Any, Bool, Bytes, Choice, Cpu, Duration, Either, Integer, List, Map, Number, Object, Percent, Template, Text,
};
use super::parts::{
    BUILD, DEPENDENCY, DEPLOY, ENV_FILE, ENV_SECRET, HEALTHCHECK, LOGGING, NETWORK_USE, PORT, ULIMIT, VOLUME_USE,
};
use super::root::FILE_USE;
use super::{Key, PAIRS, Shape, TEXT_OR_TEXTS, TEXTS, later, no, yes};

/// Values of `environment`: a text, or a secret by name.
const ENVIRONMENT: Shape = Either(&[Map(&Either(&[Template, Object(ENV_SECRET)])), List(&Template)]);
const BLKIO: &str = "block I/O weights differ between kernels and are not set";
const REALTIME: &str = "real-time scheduling is not handed out";
const CPU_LIMIT: &str = "give a limit: `resources: {cpu: 500m}`";

/// A service.
pub(crate) const SERVICE: &[Key] = &[
    // What Daybook adds.
    yes("port", Either(&[Integer, List(&Integer)])),
    yes("domain", Either(&[Text, Object(DOMAIN), List(&Either(&[Text, Object(DOMAIN)]))])),
    yes("release", TEXT_OR_TEXTS),
    yes("from", Text),
    yes("schedule", Text),
    yes("timezone", Text),
    yes("static", Text),
    yes("helm", Object(HELM)),
    yes("status_page", Object(STATUS_PAGE)),
    yes("resources", Object(RESOURCES)),
    yes("rollout", Object(ROLLOUT)),
    yes("metrics", Either(&[Text, Object(METRICS)])),
    yes("slo", Object(SLO)),
    // What Compose has.
    no("annotations", PAIRS, "they are read by OCI runtimes only", "use `labels`"),
    no("attach", Bool, "nothing is attached: every log is kept", "read them with `daybook logs`"),
    no("blkio_config", Any, BLKIO, "leave it out"),
    yes("build", Either(&[Text, Object(BUILD)])),
    yes("cap_add", TEXTS),
    yes("cap_drop", TEXTS),
    no("cgroup", Text, "replicas always have a cgroup of their own", "leave it out"),
    no("cgroup_parent", Text, "replicas stand beneath Daybook's own cgroup", "use `resources` for limits"),
    yes("command", TEXT_OR_TEXTS),
    yes("configs", List(&Either(&[Text, Object(FILE_USE)]))),
    yes("container_name", Text),
    no("cpu_count", Number, "it concerns Windows", CPU_LIMIT),
    no("cpu_percent", Number, "it concerns Windows", CPU_LIMIT),
    yes("cpu_period", Either(&[Integer, Duration])),
    yes("cpu_quota", Either(&[Integer, Duration])),
    no("cpu_rt_period", Any, REALTIME, "leave it out"),
    no("cpu_rt_runtime", Any, REALTIME, "leave it out"),
    no("cpu_shares", Number, "shares mean nothing without knowing the neighbours", CPU_LIMIT),
    yes("cpus", Cpu),
    no("cpuset", Text, "replicas are not pinned to cores", CPU_LIMIT),
    no("credential_spec", Any, "it concerns Windows", "use `secrets`"),
    yes("depends_on", Either(&[TEXTS, Map(&Object(DEPENDENCY))])),
    yes("deploy", Object(DEPLOY)),
    no(
        "develop",
        Any,
        "nothing is synchronised into running replicas",
        "run `daybook up` again: it rolls out what changed",
    ),
    yes("device_cgroup_rules", TEXTS),
    yes(
        "devices",
        List(&Either(&[Text, Object(&[yes("source", Text), yes("target", Text), yes("permissions", Text)])])),
    ),
    yes("dns", TEXT_OR_TEXTS),
    yes("dns_opt", TEXTS),
    yes("dns_search", TEXT_OR_TEXTS),
    yes("domainname", Text),
    yes("entrypoint", TEXT_OR_TEXTS),
    yes("env_file", Either(&[Text, List(&Either(&[Text, Object(ENV_FILE)])), Object(ENV_FILE)])),
    yes("environment", ENVIRONMENT),
    yes("expose", List(&Text)),
    yes("extends", Either(&[Text, Object(&[yes("service", Text), yes("file", Text)])])),
    no("external_links", TEXTS, "containers of others are not ours to link", "share an external network"),
    yes("extra_hosts", Either(&[TEXTS, Map(&TEXT_OR_TEXTS)])),
    yes("gpus", Either(&[Integer, Text, List(&Any)])),
    yes("group_add", List(&Text)),
    yes("healthcheck", Either(&[Text, Object(HEALTHCHECK)])),
    yes("hostname", Text),
    yes("image", Text),
    yes("init", Bool),
    yes("ipc", Text),
    no("isolation", Text, "it concerns Windows", "leave it out"),
    yes("label_file", TEXT_OR_TEXTS),
    yes("labels", PAIRS),
    yes("links", TEXTS),
    yes("logging", Object(LOGGING)),
    no("mac_address", Text, "several replicas cannot have one address", "leave it out"),
    yes("mem_limit", Bytes),
    yes("mem_reservation", Bytes),
    no(
        "mem_swappiness",
        Integer,
        "newer kernels do not have it for one container",
        "set the machine's `vm.swappiness`",
    ),
    no("memswap_limit", Bytes, "replicas get no swap beyond their memory", "raise `resources.memory`"),
    no("models", Any, "Daybook runs no model runners", "run the model server as a service"),
    yes("network_mode", Text),
    yes("networks", Either(&[TEXTS, Map(&Object(NETWORK_USE))])),
    no("oom_kill_disable", Bool, "a replica over its limit must end, or the machine hangs", "raise `resources.memory`"),
    yes("oom_score_adj", Integer),
    yes("pid", Text),
    yes("pids_limit", Integer),
    yes("platform", Text),
    yes("ports", List(&Either(&[Text, Object(PORT)]))),
    no("post_start", Any, "replicas start alike every time", "use `release`, which runs once for each new version"),
    no("pre_stop", Any, "the edge drains requests before a replica ends", "handle the stop signal in the program"),
    yes("privileged", Bool),
    yes("profiles", TEXTS),
    no("provider", Any, "no other program is asked to run services", "describe the service itself"),
    yes("pull_policy", Text),
    no("pull_refresh_after", Text, "images are asked for at each plan or not at all", "set `pull_policy: always`"),
    yes("read_only", Bool),
    yes("restart", Either(&[Text, Bool])),
    yes("runtime", Text),
    yes("scale", Either(&[Integer, Object(SCALE)])),
    yes("secrets", List(&Either(&[Text, Object(FILE_USE)]))),
    yes("security_opt", TEXTS),
    yes("shm_size", Bytes),
    yes("stdin_open", Bool),
    yes("stop_grace_period", Duration),
    yes("stop_signal", Text),
    no("storage_opt", Map(&Text), "the size of a replica's own layer is not bounded", "write to a volume"),
    yes("sysctls", PAIRS),
    yes("tmpfs", TEXT_OR_TEXTS),
    yes("tty", Bool),
    yes("ulimits", Map(&Either(&[Integer, Object(ULIMIT)]))),
    no(
        "use_api_socket",
        Bool,
        "replicas do not get the engine's socket and its credentials",
        "mount the socket as a volume",
    ),
    yes("user", Text),
    yes("userns_mode", Text),
    no("uts", Text, "replicas have a host name of their own", "set `hostname`"),
    yes("volumes", List(&Either(&[Text, Object(VOLUME_USE)]))),
    no(
        "volumes_from",
        TEXTS,
        "replicas come and go, so their mounts cannot be borrowed",
        "name the volume in both services",
    ),
    yes("working_dir", Text),
];

/// `domain` in full.
pub(crate) const DOMAIN: &[Key] = &[
    yes("host", Text),
    yes("path", Text),
    yes("port", Integer),
    yes("tls", Either(&[Bool, Text, Object(&[yes("cert", Text), yes("key", Text)])])),
];

/// `helm`.
pub(crate) const HELM: &[Key] =
    &[yes("chart", Text), yes("repo", Text), yes("version", Text), yes("values", Either(&[Text, Map(&Any)]))];

/// `status_page`.
pub(crate) const STATUS_PAGE: &[Key] =
    &[yes("title", Text), yes("components", Map(&TEXT_OR_TEXTS)), yes("timezone", Text)];

/// `resources`.
pub(crate) const RESOURCES: &[Key] = &[yes("cpu", Cpu), yes("memory", Bytes), yes("pids", Integer)];

/// `rollout`.
pub(crate) const ROLLOUT: &[Key] = &[
    yes("order", Choice(&["auto", "start-first", "stop-first"])),
    yes("canary", Percent),
    yes("canary_for", Duration),
    yes("probation", Duration),
    yes("ready", Duration),
    yes("drain", Duration),
];

/// `metrics`.
pub(crate) const METRICS: &[Key] = &[yes("port", Integer), yes("path", Text), yes("every", Duration)];

/// `slo`.
pub(crate) const SLO: &[Key] = &[yes("availability", Text), yes("latency", Map(&Duration))];

/// `scale`.
pub(crate) const SCALE: &[Key] = &[
    yes("min", Integer),
    yes("max", Integer),
    later("cpu", Percent),
    later("memory", Percent),
    later("requests", Any),
];
