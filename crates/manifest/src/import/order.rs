//! The order in which a service is written.

use std::collections::HashMap;

use super::yaml::Yaml;

/// The order of a service's keys: what it is, what it runs, how it is reached, how it is kept.
pub(super) const ORDER: [&str; 51] = [
    "from",
    "build",
    "static",
    "image",
    "pull_policy",
    "profiles",
    "entrypoint",
    "command",
    "release",
    "schedule",
    "timezone",
    "port",
    "expose",
    "ports",
    "domain",
    "healthcheck",
    "environment",
    "configs",
    "secrets",
    "volumes",
    "tmpfs",
    "depends_on",
    "scale",
    "resources",
    "deploy",
    "gpus",
    "rollout",
    "restart",
    "stop_signal",
    "stop_grace_period",
    "working_dir",
    "user",
    "group_add",
    "read_only",
    "privileged",
    "cap_add",
    "cap_drop",
    "security_opt",
    "sysctls",
    "networks",
    "network_mode",
    "pid",
    "ipc",
    "hostname",
    "labels",
    "logging",
    "extra_hosts",
    "dns",
    "dns_search",
    "stdin_open",
    "tty",
];

/// The keys of a service, one a line.
pub(super) fn in_order(mut keys: HashMap<&'static str, Yaml>) -> Yaml {
    let entries = ORDER.into_iter().filter_map(|key| Some((key.to_owned(), keys.remove(key)?)));
    Yaml::Map(entries.collect())
}
