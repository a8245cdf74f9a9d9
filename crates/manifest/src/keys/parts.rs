//! Keys of the parts of a service.

use super::Shape::{Any, Bool, Bytes, Choice, Cpu, Duration, Either, Integer, List, Map, Number, Object, Text};
use super::root::MOUNT_TYPES;
use super::{Key, PAIRS, Shape, TEXT_OR_TEXTS, TEXTS, no, yes};

const ENGINE_BUILD: &str = "the engine's own builder is used, which does not have it";
const SWARM: &str = "it concerns swarm clusters";
const ONE_MACHINE: &str = "leave it out: everything runs on one machine";

/// `build`.
pub(crate) const BUILD: &[Key] = &[
    yes("context", Text),
    yes("dockerfile", Text),
    yes("dockerfile_inline", Text),
    yes("target", Text),
    yes("args", PAIRS),
    yes("labels", PAIRS),
    no("additional_contexts", PAIRS, ENGINE_BUILD, "put the files beneath `context`"),
    no("cache_from", TEXTS, "the engine's own cache is used", "leave it out"),
    no("cache_to", TEXTS, "the engine's own cache is used", "leave it out"),
    no("entitlements", TEXTS, "builds get no further rights", "leave it out"),
    no("extra_hosts", Any, ENGINE_BUILD, "use a name that the machine itself resolves"),
    no("isolation", Text, "it concerns Windows", "leave it out"),
    no("network", Text, "builds use the engine's default network", "leave it out"),
    no("no_cache", Bool, "a build of the same inputs is not repeated", "change a build argument"),
    no("platforms", TEXTS, "builds are for this machine", "leave it out"),
    no("privileged", Bool, "builds get no further rights", "leave it out"),
    no("provenance", Any, ENGINE_BUILD, "leave it out"),
    no("pull", Bool, "base images are pulled when they are missing", "name the base image by digest"),
    no("sbom", Any, ENGINE_BUILD, "leave it out"),
    no("secrets", Any, ENGINE_BUILD, "fetch what needs a secret before the build"),
    no("shm_size", Bytes, ENGINE_BUILD, "leave it out"),
    no("ssh", Any, ENGINE_BUILD, "fetch what needs a key before the build"),
    no("tags", TEXTS, "an image is known by its digest", "give the one name in `image`"),
    no("ulimits", Any, ENGINE_BUILD, "leave it out"),
];

/// An item of `depends_on` in full.
pub(crate) const DEPENDENCY: &[Key] = &[
    yes("condition", Choice(&["service_started", "service_healthy", "service_completed_successfully"])),
    yes("required", Bool),
    no("restart", Bool, "a dependent finds the new replicas through the edge", "leave it out"),
];

/// `deploy`.
pub(crate) const DEPLOY: &[Key] = &[
    yes("replicas", Integer),
    yes("mode", Choice(&["replicated", "global", "replicated-job", "global-job"])),
    yes("resources", Object(DEPLOY_RESOURCES)),
    yes("restart_policy", Object(RESTART_POLICY)),
    yes("update_config", Object(UPDATE_CONFIG)),
    no("rollback_config", Any, "going back is a rollout like any other", "use `rollout`"),
    no("endpoint_mode", Text, SWARM, "leave it out: the edge balances"),
    no("labels", PAIRS, "they are labels of a swarm service", "use `labels` of the service"),
    no("placement", Any, SWARM, ONE_MACHINE),
];

/// `deploy.resources`.
pub(crate) const DEPLOY_RESOURCES: &[Key] = &[yes("limits", Object(LIMITS)), yes("reservations", Object(RESERVATIONS))];

/// `deploy.resources.limits`.
pub(crate) const LIMITS: &[Key] = &[yes("cpus", Cpu), yes("memory", Bytes), yes("pids", Integer)];

/// `deploy.resources.reservations`.
pub(crate) const RESERVATIONS: &[Key] = &[
    yes("cpus", Cpu),
    yes("memory", Bytes),
    yes("devices", List(&Object(DEVICE))),
    no("generic_resources", Any, SWARM, ONE_MACHINE),
];

/// An item of `deploy.resources.reservations.devices`.
pub(crate) const DEVICE: &[Key] = &[
    yes("capabilities", TEXTS),
    yes("count", Either(&[Integer, Text])),
    yes("driver", Text),
    no("device_ids", TEXTS, "devices are given by number, not by name", "give `count`"),
    no("options", Any, "options of device drivers are not handed through", "leave it out"),
];

/// `deploy.restart_policy`.
pub(crate) const RESTART_POLICY: &[Key] = &[
    yes("condition", Choice(&["none", "on-failure", "any"])),
    yes("max_attempts", Integer),
    no("delay", Duration, "restarts back off by themselves, from 0.1 s on", "leave it out"),
    no("window", Duration, "a replica that ran for a while starts again without back-off", "leave it out"),
];

/// `deploy.update_config`.
pub(crate) const UPDATE_CONFIG: &[Key] = &[
    yes("order", Choice(&["start-first", "stop-first"])),
    yes("monitor", Duration),
    no("parallelism", Integer, "new replicas all start beside the old", "use `rollout: {canary: 10%}`"),
    no("delay", Duration, "new replicas all start beside the old", "use `rollout: {canary_for: 1m}`"),
    no("failure_action", Text, "a worse new version is always swapped back", "leave it out"),
    no("max_failure_ratio", Number, "new replicas are compared with the old", "use `rollout: {probation: 2m}`"),
];

/// An item of `env_file` in full.
pub(crate) const ENV_FILE: &[Key] = &[yes("path", Text), yes("required", Bool), yes("format", Choice(&["raw"]))];

/// A value of `environment` that is kept in the sealed store.
pub(crate) const ENV_SECRET: &[Key] = &[yes("secret", Text), yes("generate", Bool)];

/// `healthcheck`.
pub(crate) const HEALTHCHECK: &[Key] = &[
    yes("test", TEXT_OR_TEXTS),
    yes("path", Text),
    yes("port", Integer),
    yes("interval", Duration),
    yes("timeout", Duration),
    yes("retries", Integer),
    yes("start_period", Duration),
    yes("start_interval", Duration),
    yes("disable", Bool),
];

/// `logging`.
pub(crate) const LOGGING: &[Key] = &[yes("driver", Text), yes("options", Map(&Text))];

/// A network of a service in full.
pub(crate) const NETWORK_USE: &[Key] = &[
    yes("aliases", TEXTS),
    yes("ipv4_address", Text),
    yes("ipv6_address", Text),
    yes("priority", Integer),
    no("driver_opts", Any, "options of one attachment are not handed through", "set them on the network"),
    no("gw_priority", Integer, "the gateway is that of the network with the highest `priority`", "set `priority`"),
    no("interface_name", Text, "interfaces are named by the engine", "leave it out"),
    no("link_local_ips", TEXTS, "several replicas cannot have one address", "leave it out"),
    no("mac_address", Text, "several replicas cannot have one address", "leave it out"),
];

/// An item of `ports` in full.
pub(crate) const PORT: &[Key] = &[
    yes("target", Integer),
    yes("published", Text),
    yes("host_ip", Text),
    yes("protocol", Choice(&["tcp", "udp", "sctp"])),
    yes("app_protocol", Text),
    yes("mode", Choice(&["host", "ingress"])),
    yes("name", Text),
];

/// One of `ulimits` in full.
pub(crate) const ULIMIT: &[Key] = &[yes("soft", Integer), yes("hard", Integer)];

/// An item of `volumes` in full.
pub(crate) const VOLUME_USE: &[Key] = &[
    yes("type", MOUNT_TYPES),
    yes("source", Text),
    yes("target", Text),
    yes("read_only", Bool),
    no("consistency", Text, "it concerns shared folders of desktop machines", "leave it out"),
    yes("bind", Object(BIND)),
    yes("volume", Object(VOLUME_OPTIONS)),
    yes("tmpfs", Object(&[yes("size", Bytes), yes("mode", Shape::Mode)])),
    no("image", Any, "images are not mounted", "copy the files in a Dockerfile: `COPY --from=IMAGE`"),
];

/// `bind` of a volume in full.
pub(crate) const BIND: &[Key] = &[
    yes("create_host_path", Bool),
    yes("propagation", Text),
    yes("selinux", Choice(&["z", "Z"])),
    no("recursive", Text, "mounts beneath a bound path come along", "leave it out"),
];

/// `volume` of a volume in full.
pub(crate) const VOLUME_OPTIONS: &[Key] = &[
    yes("nocopy", Bool),
    yes("subpath", Text),
    no("labels", PAIRS, "a mount has no labels", "set them on the volume"),
];
