//! What a container may do to the machine that it runs on.

use daybook_model::policy::KeyPath;
use daybook_model::spec::{MountSource, Service};

use crate::policy::{Found, Mend, Runtime, Subject};

/// Sockets of container engines.
const SOCKETS: [&str; 4] = ["docker.sock", "podman.sock", "containerd.sock", "crio.sock"];
/// Directories that decide about the machine; those beneath them do too.
const SYSTEM: [&str; 11] =
    ["/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sys", "/usr", "/var/lib/docker", "/var/run"];
/// Files beneath them that are harmless to read.
const HARMLESS: [&str; 6] =
    ["/etc/localtime", "/etc/timezone", "/etc/hosts", "/etc/ssl/certs", "/usr/share/zoneinfo", "/etc/resolv.conf"];
/// Capabilities that are as good as root, or forge packets.
const DANGEROUS: [&str; 14] = [
    "ALL",
    "SYS_ADMIN",
    "SYS_PTRACE",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_BOOT",
    "SYS_TIME",
    "SYS_CHROOT",
    "DAC_READ_SEARCH",
    "NET_ADMIN",
    "NET_RAW",
    "BPF",
    "PERFMON",
    "MAC_ADMIN",
];

pub(in crate::policy) fn privileged(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained().filter(|service| service.container.options.privileged) {
        let path = KeyPath::service(&service.name, &["privileged"]);
        found.at(&service.name, &["privileged"], format!("`{}` is privileged", service.name)).remove(path);
    }
}

/// The machine's paths that a service mounts, and whether it may only read them.
fn binds(service: &Service) -> impl Iterator<Item = (&str, bool)> {
    service.container.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some((path.as_str(), mount.read_only)),
        _ => None,
    })
}

fn is_socket(path: &str) -> bool {
    SOCKETS.iter().any(|socket| path.ends_with(socket))
}

pub(in crate::policy) fn docker_socket(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained() {
        for (path, _) in binds(service).filter(|(path, _)| is_socket(path)) {
            let at = KeyPath::service(&service.name, &["volumes"]).holding(path);
            found.add(Some(&service.name), at.clone(), format!("`{}` has {path}", service.name)).remove(at);
        }
    }
}

pub(in crate::policy) fn host_mount(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained() {
        for (path, read_only) in binds(service).filter(|(path, _)| !is_socket(path)) {
            let beneath =
                |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
            let is_system = path == "/" || SYSTEM.into_iter().any(beneath);
            if is_system && !(read_only && HARMLESS.into_iter().any(beneath)) {
                let at = KeyPath::service(&service.name, &["volumes"]).holding(path);
                let how = if read_only { "reads" } else { "reads and writes" };
                found
                    .add(Some(&service.name), at.clone(), format!("`{}` {how} {path} of the machine", service.name))
                    .remove(at);
            }
        }
    }
}

pub(in crate::policy) fn host_pid(subject: &Subject<'_>, found: &mut Found) {
    shares(subject, found, "pid", "processes", |service| service.container.options.pid.as_deref());
}

pub(in crate::policy) fn host_ipc(subject: &Subject<'_>, found: &mut Found) {
    shares(subject, found, "ipc", "shared memory", |service| service.container.options.ipc.as_deref());
}

pub(in crate::policy) fn host_network(subject: &Subject<'_>, found: &mut Found) {
    shares(subject, found, "network_mode", "network", |service| service.container.options.network_mode.as_deref());
}

fn shares(subject: &Subject<'_>, found: &mut Found, key: &str, what: &str, get: fn(&Service) -> Option<&str>) {
    for service in subject.contained().filter(|service| get(service) == Some("host")) {
        let message = format!("`{}` is in the machine's {what}", service.name);
        found.at(&service.name, &[key], message).remove(KeyPath::service(&service.name, &[key]));
    }
}

pub(in crate::policy) fn root_user(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained() {
        let user = service.container.user.as_deref();
        let name = user.map(|user| user.split(':').next().unwrap_or_default());
        let message = match name {
            Some("root" | "0") => format!("`{}` runs as root", service.name),
            // A cluster lets no image run as root that was not asked to.
            None | Some("") if subject.runtime == Runtime::Container => {
                format!("`{}` names no user: it is root unless its image says otherwise", service.name)
            }
            _ => continue,
        };
        let path = KeyPath::service(&service.name, &["user"]);
        found.at(&service.name, &["user"], message).set(vec![path], "\"65532:65532\"");
    }
}

pub(in crate::policy) fn privilege_escalation(subject: &Subject<'_>, found: &mut Found) {
    if subject.runtime == Runtime::Cluster {
        return;
    }
    for service in subject.contained() {
        let options = &service.container.options.security_opt;
        let forbids = |option: &String| {
            option.strip_prefix("no-new-privileges").is_some_and(|rest| matches!(rest, "" | ":true" | "=true"))
        };
        if !options.iter().any(forbids) {
            let path = KeyPath::service(&service.name, &["security_opt"]);
            found
                .at(&service.name, &["security_opt"], format!("processes of `{}` may gain privileges", service.name))
                .append(path, "no-new-privileges:true");
        }
    }
}

pub(in crate::policy) fn capabilities(subject: &Subject<'_>, found: &mut Found) {
    let bare = |written: &str| written.trim_start_matches("CAP_").to_ascii_uppercase();
    for service in subject.contained() {
        let options = &service.container.options;
        for written in options.cap_add.iter().filter(|written| DANGEROUS.contains(&bare(written).as_str())) {
            let at = KeyPath::service(&service.name, &["cap_add"]).holding(written);
            found.add(Some(&service.name), at.clone(), format!("`{}` has {written}", service.name)).remove(at);
        }
        let adds = options.cap_add.iter().any(|written| matches!(bare(written).as_str(), "NET_RAW" | "ALL"));
        let drops = options.cap_drop.iter().any(|written| matches!(bare(written).as_str(), "NET_RAW" | "ALL"));
        if subject.runtime == Runtime::Container && !drops && !adds && !options.privileged {
            let path = KeyPath::service(&service.name, &["cap_drop"]);
            found
                .at(
                    &service.name,
                    &["cap_drop"],
                    format!("`{}` keeps NET_RAW, which engines give to all", service.name),
                )
                .append(path, "NET_RAW");
        }
    }
}

pub(in crate::policy) fn writable_root(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained().filter(|service| !service.container.options.read_only) {
        let at = |key: &str| KeyPath::service(&service.name, &[key]);
        let message = format!("`{}` can write its own files", service.name);
        let finding = found.at(&service.name, &["read_only"], message).set(vec![at("read_only")], true);
        if !service.container.mounts.iter().any(|mount| mount.target == "/tmp") {
            finding.append(at("tmpfs"), "/tmp");
        }
    }
}

pub(in crate::policy) fn no_confinement(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained() {
        let off = |option: &&String| {
            matches!(
                option.as_str(),
                "seccomp:unconfined" | "seccomp=unconfined" | "apparmor:unconfined" | "apparmor=unconfined"
            ) || matches!(option.as_str(), "label:disable" | "label=disable" | "systempaths=unconfined")
        };
        for option in service.container.options.security_opt.iter().filter(off) {
            let at = KeyPath::service(&service.name, &["security_opt"]).holding(option);
            found.add(Some(&service.name), at.clone(), format!("`{}` has {option}", service.name)).remove(at);
        }
    }
}
