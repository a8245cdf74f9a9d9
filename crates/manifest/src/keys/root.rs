//! Keys of the whole manifest, and of what it declares beside services.

use super::Shape::{Any, Bool, Bytes, Choice, Cpu, Duration, Either, Integer, List, Map, Object, Percent, Text};
use super::parts::{ENV_SECRET, NETWORK_USE};
use super::service::{RESOURCES, SERVICE};
use super::{Key, PAIRS, Shape, TEXT_OR_TEXTS, TEXTS, later, no, yes};

/// The manifest itself.
pub(crate) const ROOT: &[Key] = &[
    yes("app", Text),
    yes("name", Text),
    yes("version", Any),
    yes("services", Map(&Object(SERVICE))),
    yes("volumes", Map(&Object(VOLUME))),
    yes("networks", Map(&Object(NETWORK))),
    yes("secrets", Map(&Object(SECRET))),
    yes("configs", Map(&Object(CONFIG))),
    yes("include", Either(&[Text, List(&Either(&[Text, Object(INCLUDE)]))])),
    yes("environments", Map(&Object(ENVIRONMENT))),
    yes("fleets", Map(&Object(FLEET))),
    yes("target", Text),
    yes("vault", Object(VAULT)),
    yes("quota", Object(QUOTA)),
    yes("databases", Map(&Object(DATABASE))),
    yes("backups", Object(BACKUPS)),
    yes("policy", Object(POLICY)),
    yes("budget", Object(BUDGET)),
    yes("rules", TEXT_OR_TEXTS),
    yes("alerts", Map(&ALERT)),
    yes("remedies", Map(&Object(REMEDY))),
    yes("notify", Map(&Object(CHANNEL))),
    yes("forward", Object(FORWARD)),
    yes("receive", SECRET_BY_NAME),
    yes("on_call", Object(ON_CALL)),
    yes("maintenance", List(&Object(WINDOW))),
    later("infrastructure", Any),
    no("models", Any, "Daybook runs no model runners", "run the model server as a service"),
];

/// An item of `include`.
pub(crate) const INCLUDE: &[Key] =
    &[yes("path", TEXT_OR_TEXTS), yes("project_directory", Text), yes("env_file", TEXT_OR_TEXTS)];

/// One of `environments`.
pub(crate) const ENVIRONMENT: &[Key] = &[
    yes("target", Text),
    yes("vault", Object(VAULT)),
    yes("quota", Object(QUOTA)),
    yes("protected", Bool),
    yes("services", Map(&Object(SERVICE))),
    later("clone", Text),
    later("data", Any),
    later("hours", Any),
    later("per", Text),
    later("ttl", Text),
    yes("databases", Map(&Object(DATABASE))),
    yes("backups", Object(BACKUPS)),
    yes("policy", Object(POLICY)),
    yes("budget", Object(BUDGET)),
    yes("rules", TEXT_OR_TEXTS),
    yes("alerts", Map(&ALERT)),
    yes("remedies", Map(&Object(REMEDY))),
    yes("notify", Map(&Object(CHANNEL))),
    yes("forward", Object(FORWARD)),
    yes("receive", SECRET_BY_NAME),
    yes("on_call", Object(ON_CALL)),
    yes("maintenance", List(&Object(WINDOW))),
];

/// One of `alerts`: what is different about an alert by default.
const ALERT: Shape =
    Either(&[Choice(&["off"]), Object(&[THRESHOLD, FOR, SEVERITY, yes("services", Map(&ALERT_OF_SERVICE))])]);

/// The same for one service.
const ALERT_OF_SERVICE: Shape = Either(&[Choice(&["off"]), Object(&[THRESHOLD, FOR, SEVERITY])]);

const THRESHOLD: Key = yes("threshold", Either(&[Shape::Number, Percent, Duration]));
const FOR: Key = yes("for", Duration);
const SEVERITY: Key = yes("severity", Choice(&["page", "ticket", "info"]));

/// One of `remedies`, of the whole manifest or of one environment.
pub(crate) const REMEDY: &[Key] = &[
    yes("may", Either(&[REMEDIES, List(&REMEDIES)])),
    yes("services", TEXT_OR_TEXTS),
    yes("least_share", Percent),
    yes("at_most", Text),
    yes("most_replicas", Integer),
];

/// What a rule may have done.
const REMEDIES: Shape = Choice(&["swap-back", "restart", "scale"]);

/// One of `notify`, of the whole manifest or of one environment.
pub(crate) const CHANNEL: &[Key] = &[
    yes("pagerduty", Object(PAGERDUTY)),
    yes("slack", Object(INCOMING)),
    yes("teams", Object(INCOMING)),
    yes("email", Object(EMAIL)),
    yes("webhook", Object(WEBHOOK)),
    yes("ntfy", Object(NTFY)),
    yes("least", Choice(&["page", "ticket", "info"])),
    yes("changes", Bool),
    yes("ca", Text),
];

/// A secret by its name. A text has the right shape so that it can be told what to do with it.
const SECRET_BY_NAME: Shape = Either(&[Text, Object(ENV_SECRET)]);

/// `pagerduty` of a channel.
pub(crate) const PAGERDUTY: &[Key] =
    &[yes("routing_key", SECRET_BY_NAME), yes("server", Text), yes("webhooks", SECRET_BY_NAME)];

/// `slack` or `teams` of a channel.
pub(crate) const INCOMING: &[Key] = &[yes("url", SECRET_BY_NAME)];

/// `email` of a channel.
pub(crate) const EMAIL: &[Key] = &[
    yes("host", Text),
    yes("port", Integer),
    yes("encryption", Choice(&["implicit", "starttls"])),
    yes("user", Text),
    yes("password", SECRET_BY_NAME),
    yes("from", Text),
    yes("to", TEXT_OR_TEXTS),
];

/// `webhook` of a channel.
pub(crate) const WEBHOOK: &[Key] = &[yes("url", SECRET_BY_NAME), yes("key", SECRET_BY_NAME)];

/// `ntfy` of a channel.
pub(crate) const NTFY: &[Key] = &[yes("server", Text), yes("topic", SECRET_BY_NAME), yes("token", SECRET_BY_NAME)];

/// `on_call`, of the whole manifest or of one environment.
pub(crate) const ON_CALL: &[Key] = &[
    yes("people", Map(&TEXT_OR_TEXTS)),
    yes("schedules", Map(&Object(ROTA))),
    yes("policies", Map(&Object(ESCALATION))),
];

/// One of `on_call.schedules`.
pub(crate) const ROTA: &[Key] = &[
    yes("timezone", Text),
    yes("layers", List(&Object(LAYER))),
    yes("overrides", List(&Object(OVERRIDE))),
    yes("handover", Bool),
];

/// An item of `layers`.
pub(crate) const LAYER: &[Key] = &[
    yes("people", TEXT_OR_TEXTS),
    yes("turn", Duration),
    yes("from", Text),
    yes("until", Text),
    yes("only", Either(&[Object(HOURS), List(&Object(HOURS))])),
];

/// `only` of a layer.
pub(crate) const HOURS: &[Key] = &[yes("days", TEXT_OR_TEXTS), yes("from", Text), yes("until", Text)];

/// An item of `overrides`.
pub(crate) const OVERRIDE: &[Key] = &[yes("person", Text), yes("from", Text), yes("until", Text)];

/// One of `on_call.policies`.
pub(crate) const ESCALATION: &[Key] =
    &[yes("services", TEXT_OR_TEXTS), yes("levels", List(&Object(LEVEL))), yes("repeat", Integer)];

/// An item of `levels`.
pub(crate) const LEVEL: &[Key] = &[yes("schedule", TEXT_OR_TEXTS), yes("person", TEXT_OR_TEXTS), yes("wait", Duration)];

/// An item of `maintenance`, of the whole manifest or of one environment.
pub(crate) const WINDOW: &[Key] = &[
    yes("title", Text),
    yes("services", TEXT_OR_TEXTS),
    yes("from", Text),
    yes("until", Text),
    yes("every", Text),
    yes("for", Duration),
    yes("timezone", Text),
];

/// `forward`, of the whole manifest or of one environment.
pub(crate) const FORWARD: &[Key] =
    &[yes("metrics", Object(METRICS_OUT)), yes("logs", Object(LOGS_OUT)), yes("otlp_logs", Object(LOGS_OUT))];

/// `forward.metrics`.
pub(crate) const METRICS_OUT: &[Key] = &[
    yes("url", SECRET_BY_NAME),
    yes("user", Text),
    yes("password", SECRET_BY_NAME),
    yes("token", SECRET_BY_NAME),
    yes("tenant", Text),
    yes("only", TEXT_OR_TEXTS),
    yes("ca", Text),
];

/// `forward.logs` and `forward.otlp_logs`.
pub(crate) const LOGS_OUT: &[Key] = &[
    yes("url", SECRET_BY_NAME),
    yes("user", Text),
    yes("password", SECRET_BY_NAME),
    yes("token", SECRET_BY_NAME),
    yes("tenant", Text),
    yes("ca", Text),
];

/// `vault`, of the whole manifest or of one environment.
pub(crate) const VAULT: &[Key] = &[
    yes("address", Text),
    yes("namespace", Text),
    yes("ca", Text),
    yes("mount", Text),
    yes("auth", Object(VAULT_AUTH)),
];

/// `vault.auth`.
pub(crate) const VAULT_AUTH: &[Key] =
    &[yes("token", Text), yes("approle", Object(APP_ROLE)), yes("kubernetes", Object(KUBERNETES_ROLE))];

/// `vault.auth.approle`.
pub(crate) const APP_ROLE: &[Key] = &[yes("role", Text), yes("secret", Text), yes("mount", Text)];

/// `vault.auth.kubernetes`.
pub(crate) const KUBERNETES_ROLE: &[Key] = &[yes("role", Text), yes("mount", Text)];

/// `quota`, of the whole manifest or of one environment.
pub(crate) const QUOTA: &[Key] = &[yes("cpu", Cpu), yes("memory", Bytes)];

/// `budget`, of the whole manifest or of one environment.
pub(crate) const BUDGET: &[Key] = &[
    yes("at", Text),
    yes("monthly", Text),
    yes("over", Choice(&["warn", "block"])),
    yes("egress", Bytes),
    yes("headroom", Percent),
];

/// `policy`, of the whole manifest or of one environment; and what a landing zone says.
pub(crate) const POLICY: &[Key] = &[
    yes("deny", TEXT_OR_TEXTS),
    yes("waive", List(&Object(WAIVER))),
    yes("rules", TEXT_OR_TEXTS),
    yes("registries", TEXTS),
    yes("targets", TEXTS),
    yes("regions", TEXTS),
    yes("most", Object(MOST)),
    yes("labels", TEXTS),
    yes("backups", Bool),
];

/// An item of `policy.waive`.
pub(crate) const WAIVER: &[Key] = &[yes("check", Text), yes("service", Text), yes("reason", Text), yes("until", Text)];

/// `policy.most`: what one service may have.
pub(crate) const MOST: &[Key] = &[yes("cpu", Cpu), yes("memory", Bytes), yes("replicas", Integer)];

/// One of `databases`, of the whole manifest or of one environment.
pub(crate) const DATABASE: &[Key] = &[
    yes("engine", Text),
    yes("url", Either(&[Text, Object(ENV_SECRET)])),
    yes("name", Text),
    yes("image", Text),
    yes("storage", Bytes),
    yes("resources", Object(RESOURCES)),
    yes("networks", Either(&[TEXTS, Map(&Object(NETWORK_USE))])),
    yes("settings", Map(&Text)),
    yes("tls", Bool),
    yes("migrations", Either(&[TEXT_OR_TEXTS, Object(MIGRATIONS)])),
    yes("backup", Object(BACKUP)),
    yes("masking", Map(&Text)),
];

/// `backup` of a database or a volume.
pub(crate) const BACKUP: &[Key] = &[
    yes("every", Text),
    yes("keep", Either(&[Text, Object(KEEP)])),
    yes("drill", Text),
    yes("expect", TEXT_OR_TEXTS),
    yes("start", TEXT_OR_TEXTS),
    yes("before", TEXT_OR_TEXTS),
    yes("after", TEXT_OR_TEXTS),
    yes("point_in_time", Bool),
];

/// `backup.keep` in full.
pub(crate) const KEEP: &[Key] = &[
    yes("last", Text),
    yes("within", Text),
    yes("hourly", Text),
    yes("daily", Text),
    yes("weekly", Text),
    yes("monthly", Text),
    yes("yearly", Text),
];

/// `backups`, of the whole manifest or of one environment.
pub(crate) const BACKUPS: &[Key] = &[
    yes("to", Text),
    yes("endpoint", Text),
    yes("region", Text),
    yes("access_key", Object(ENV_SECRET)),
    yes("secret_key", Object(ENV_SECRET)),
    yes("locked", Text),
    yes("bandwidth", Bytes),
];

/// `migrations` of a database in full.
pub(crate) const MIGRATIONS: &[Key] = &[
    yes("path", TEXT_OR_TEXTS),
    yes("schema", Text),
    yes("table", Text),
    yes("placeholders", Map(&Text)),
    yes("out_of_order", Bool),
];

/// One of `fleets`.
pub(crate) const FLEET: &[Key] = &[yes("waves", List(&TEXT_OR_TEXTS)), yes("soak", Duration)];

/// `external: true`, or the old form with a name.
const EXTERNAL: Shape = Either(&[Bool, Object(&[yes("name", Text)])]);

/// One of `volumes`.
pub(crate) const VOLUME: &[Key] = &[
    yes("name", Text),
    yes("external", EXTERNAL),
    yes("driver", Text),
    yes("driver_opts", Map(&Text)),
    yes("labels", PAIRS),
    yes("shared", Bool),
    yes("backup", Object(BACKUP)),
];

/// One of `networks`.
pub(crate) const NETWORK: &[Key] = &[
    yes("name", Text),
    yes("external", EXTERNAL),
    yes("driver", Text),
    yes("driver_opts", Map(&Text)),
    yes("internal", Bool),
    yes("enable_ipv6", Bool),
    no("enable_ipv4", Bool, "networks always have IPv4", "leave it out"),
    no("attachable", Bool, "it concerns swarm networks", "leave it out: containers can join any network here"),
    yes("labels", PAIRS),
    yes("ipam", Object(IPAM)),
];

/// `ipam` of a network.
pub(crate) const IPAM: &[Key] = &[
    no("driver", Text, "addresses come from the engine's own driver", "leave it out"),
    yes("config", List(&Object(IPAM_CONFIG))),
    no("options", Map(&Text), "they are options of another address driver", "leave it out"),
];

/// An item of `ipam.config`.
pub(crate) const IPAM_CONFIG: &[Key] = &[
    yes("subnet", Text),
    yes("gateway", Text),
    no("ip_range", Text, "addresses are taken from the whole subnet", "make the subnet smaller"),
    no("aux_addresses", Map(&Text), "no address is kept free", "choose a subnet that does not hold them"),
];

/// One of `secrets`.
pub(crate) const SECRET: &[Key] = &[
    yes("name", Text),
    yes("file", Text),
    yes("environment", Text),
    yes("external", EXTERNAL),
    yes("generate", Bool),
    yes("vault", Text),
    yes("field", Text),
    yes("sops", Text),
    yes("key", Text),
    yes("age", Text),
    no("labels", PAIRS, "secrets are kept in Daybook's sealed store, which has no labels", "leave it out"),
    no("driver", Text, "secrets are kept in Daybook's sealed store", "set the value with `daybook secret set`"),
    no("driver_opts", Map(&Text), "secrets are kept in Daybook's sealed store", "leave it out"),
    no("template_driver", Text, "it concerns swarm secrets", "write the value as it should be"),
];

/// One of `configs`.
pub(crate) const CONFIG: &[Key] = &[
    yes("name", Text),
    yes("file", Text),
    yes("environment", Text),
    yes("content", Text),
    no("external", EXTERNAL, "no store holds configs outside the manifest", "give `file` or `content`"),
    no("labels", PAIRS, "a config is a part of the manifest, which has no labels", "leave it out"),
    no("template_driver", Text, "it concerns swarm configs", "use variables: `${NAME}` in `content`"),
];

/// A use of a secret or a config in a service.
pub(crate) const FILE_USE: &[Key] =
    &[yes("source", Text), yes("target", Text), yes("uid", Integer), yes("gid", Integer), yes("mode", Shape::Mode)];

/// Kinds of mounts in the long form of `volumes`.
pub(crate) const MOUNT_TYPES: Shape = Choice(&["volume", "bind", "tmpfs", "npipe", "cluster", "image"]);
