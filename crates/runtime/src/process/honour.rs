//! What a plain process cannot be given. Pure.

use daybook_model::spec::{Container, ContainerOptions, MountSource};

/// Keys of the manifest that this container sets and the process runtime cannot honour, in Compose's
/// words: for a warning at plan time. Nothing here keeps a replica from starting.
pub fn not_honoured(container: &Container) -> Vec<&'static str> {
    let options = &container.options;
    let mut keys = isolation(options);
    keys.extend(naming(options));
    if container.mounts.iter().any(|mount| mount.read_only) {
        keys.push("volumes: read_only");
    }
    if container.mounts.iter().any(|mount| matches!(mount.source, MountSource::Tmpfs { size: Some(_), .. })) {
        keys.push("tmpfs: size");
    }
    if container.resources.gpus.is_some() {
        keys.push("deploy.resources.reservations.devices");
    }
    keys
}

/// What takes namespaces, capabilities or devices.
fn isolation(options: &ContainerOptions) -> Vec<&'static str> {
    let set = [
        ("read_only", options.read_only),
        ("network_mode", options.network_mode.as_deref().is_some_and(|mode| mode != "host")),
        ("pid", options.pid.as_deref().is_some_and(|mode| mode != "host")),
        ("ipc", options.ipc.as_deref().is_some_and(|mode| mode != "host")),
        ("platform", options.platform.is_some()),
        ("runtime", options.runtime.is_some()),
        ("shm_size", options.shm_size.is_some()),
        ("cap_add", !options.cap_add.is_empty()),
        ("cap_drop", !options.cap_drop.is_empty()),
        ("device_cgroup_rules", !options.device_cgroup_rules.is_empty()),
        ("security_opt", !options.security_opt.is_empty()),
        ("sysctls", !options.sysctls.is_empty()),
        ("tty", options.tty),
        ("logging", options.log_driver.is_some()),
    ];
    set.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect()
}

/// What takes a file system or a name of its own.
fn naming(options: &ContainerOptions) -> Vec<&'static str> {
    let set = [
        ("hostname", options.hostname.is_some()),
        ("domainname", options.domainname.is_some()),
        ("dns", !options.dns.is_empty()),
        ("dns_search", !options.dns_search.is_empty()),
        ("dns_opt", !options.dns_opt.is_empty()),
        ("extra_hosts", !options.extra_hosts.is_empty()),
    ];
    set.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use daybook_model::spec::Mount;

    use super::*;

    #[test]
    fn what_is_set_and_cannot_be_honoured_is_named() {
        assert_eq!(not_honoured(&Container::default()), Vec::<&str>::new());
        let mut container = Container::default();
        container.options.hostname = Some("db".to_owned());
        container.options.network_mode = Some("host".to_owned());
        container.options.cap_drop = vec!["ALL".to_owned()];
        let source = MountSource::Anonymous;
        container.mounts.push(Mount { target: "/x".to_owned(), source, read_only: true });
        assert_eq!(not_honoured(&container), ["cap_drop", "hostname", "volumes: read_only"]);
    }
}
