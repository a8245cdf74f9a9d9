//! The tables against the Compose Specification's own list of keys.

use super::{Fate, Key, parts, root, service};

/// Where a mapping stands, our table for it, and every key that the specification has there.
const SPECIFICATION: &[(&str, &[Key], &str)] = &[
    ("top", root::ROOT, "version name include services networks volumes configs secrets models"),
    ("include", root::INCLUDE, "path project_directory env_file"),
    (
        "service",
        service::SERVICE,
        "annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name \
         cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset \
         credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname \
         entrypoint env_file environment expose extends external_links extra_hosts gpus group_add healthcheck hostname \
         image init ipc isolation label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness \
         memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports \
         post_start pre_stop privileged profiles provider pull_policy pull_refresh_after read_only restart runtime \
         scale secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty \
         ulimits use_api_socket user userns_mode uts volumes volumes_from working_dir",
    ),
    (
        "build",
        parts::BUILD,
        "additional_contexts args cache_from cache_to context dockerfile dockerfile_inline entitlements extra_hosts \
         isolation labels network no_cache platforms privileged provenance pull sbom secrets shm_size ssh tags target \
         ulimits",
    ),
    ("depends_on", parts::DEPENDENCY, "condition required restart"),
    (
        "deploy",
        parts::DEPLOY,
        "endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config",
    ),
    ("resources", parts::DEPLOY_RESOURCES, "limits reservations"),
    ("limits", parts::LIMITS, "cpus memory pids"),
    ("reservations", parts::RESERVATIONS, "cpus memory devices generic_resources"),
    ("devices", parts::DEVICE, "capabilities count device_ids driver options"),
    ("restart_policy", parts::RESTART_POLICY, "condition delay max_attempts window"),
    ("update_config", parts::UPDATE_CONFIG, "parallelism delay failure_action monitor max_failure_ratio order"),
    ("env_file", parts::ENV_FILE, "path required format"),
    ("healthcheck", parts::HEALTHCHECK, "test interval timeout retries start_period start_interval disable"),
    ("logging", parts::LOGGING, "driver options"),
    (
        "networks of a service",
        parts::NETWORK_USE,
        "aliases interface_name ipv4_address ipv6_address link_local_ips mac_address driver_opts gw_priority priority",
    ),
    ("ports", parts::PORT, "name target published host_ip protocol app_protocol mode"),
    ("ulimits", parts::ULIMIT, "soft hard"),
    ("volumes of a service", parts::VOLUME_USE, "type source target read_only consistency bind volume tmpfs image"),
    ("bind", parts::BIND, "propagation create_host_path recursive selinux"),
    ("volume", parts::VOLUME_OPTIONS, "labels nocopy subpath"),
    ("secrets and configs of a service", root::FILE_USE, "source target uid gid mode"),
    ("volumes", root::VOLUME, "name driver driver_opts external labels"),
    (
        "networks",
        root::NETWORK,
        "name driver driver_opts ipam external internal enable_ipv4 enable_ipv6 attachable labels",
    ),
    ("ipam", root::IPAM, "driver config options"),
    ("ipam.config", root::IPAM_CONFIG, "subnet ip_range gateway aux_addresses"),
    ("secrets", root::SECRET, "name environment file external labels driver driver_opts template_driver"),
    ("configs", root::CONFIG, "name content environment file external labels template_driver"),
];

#[test]
fn every_key_of_the_specification_is_honoured_or_reported() {
    for (place, table, keys) in SPECIFICATION {
        for key in keys.split_whitespace() {
            let rows: Vec<_> = table.iter().filter(|row| row.name == key).collect();
            assert_eq!(rows.len(), 1, "`{key}` of {place} must be in the table once");
            assert!(!matches!(rows[0].fate, Fate::Later), "`{key}` of {place} is Compose's, not a word of ours");
        }
    }
}

#[test]
fn what_is_not_honoured_says_why_and_what_to_use() {
    for (place, table, _) in SPECIFICATION {
        for row in table.iter() {
            assert_eq!(table.iter().filter(|other| other.name == row.name).count(), 1, "{place}: {}", row.name);
            if let Fate::NotHonoured { why, instead } = row.fate {
                assert!(why.len() > 10 && instead.len() > 5, "{place}: {}", row.name);
            }
        }
    }
}
