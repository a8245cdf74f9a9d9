//! What a pod may do: as little as the "restricted" Pod Security Standard allows, plus what the manifest asks for.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use daybook_model::Launch;
use daybook_model::spec::MountSource;
use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext, Sysctl};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Surroundings;

/// The label of a namespace that says to which level its pods are held.
pub(crate) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// The label that says of which level people are warned.
pub(crate) const WARN: &str = "pod-security.kubernetes.io/warn";

/// The three Pod Security Standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Best practice.
    Restricted,
    /// No known way to more rights.
    Baseline,
    /// Anything.
    Privileged,
}

impl Level {
    /// The level that a namespace enforces.
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        let written = meta.labels.as_ref().and_then(|labels| labels.get(ENFORCE)).map(String::as_str);
        let all = [Self::Restricted, Self::Baseline, Self::Privileged];
        all.into_iter().find(|level| Some(level.as_str()) == written).unwrap_or(Self::Restricted)
    }

    /// As labels of namespaces say it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
            Self::Privileged => "privileged",
        }
    }
}

/// The level that a launch needs, and why it is not "restricted".
pub(crate) fn needs(launch: &Launch, around: &Surroundings) -> (Level, Vec<String>) {
    let options = &launch.container.options;
    let mut level = Level::Restricted;
    let mut reasons = Vec::new();
    let mut need = |wanted: Level, why: String| {
        level = level.max(wanted);
        reasons.push(why);
    };
    if is_root(launch, around) {
        need(Level::Baseline, "it runs as root: set `user`, or `USER` in its image, to a number".to_owned());
    }
    for capability in &options.cap_add {
        let level = if is_usual(capability) { Level::Baseline } else { Level::Privileged };
        if capability != "NET_BIND_SERVICE" {
            need(level, format!("it asks for the capability {capability}"));
        }
    }
    if options.privileged {
        need(Level::Privileged, "it is privileged".to_owned());
    }
    for (mode, what) in [(&options.network_mode, "network"), (&options.pid, "processes"), (&options.ipc, "IPC")] {
        if mode.as_deref() == Some("host") {
            need(Level::Privileged, format!("it shares the machine's {what}"));
        }
    }
    for mount in &launch.container.mounts {
        if let MountSource::Bind { path, .. } = &mount.source {
            need(Level::Privileged, format!("it mounts {path} of the machine"));
        }
    }
    (level, reasons)
}

/// Capabilities that "baseline" lets a container add: those that containers have anyway.
fn is_usual(capability: &str) -> bool {
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
    .contains(&capability)
}

/// User and group that the manifest names, else the image, where they are numbers.
fn ids(launch: &Launch, around: &Surroundings) -> (Option<i64>, Option<i64>) {
    numbers(launch.container.user.as_deref().or(around.image_user.as_deref()).unwrap_or_default())
}

/// A user and a group as they are written, where they are numbers.
pub(super) fn numbers(written: &str) -> (Option<i64>, Option<i64>) {
    let (user, group) = written.split_once(':').map_or((written, None), |(user, group)| (user, Some(group)));
    (user.parse().ok(), group.and_then(|group| group.parse().ok()))
}

/// Whether it runs as root, or as a user whom only the image knows by number: Kubernetes takes a name for root.
pub(crate) fn is_root(launch: &Launch, around: &Surroundings) -> bool {
    ids(launch, around).0.is_none_or(|user| user <= 0)
}

pub(super) fn of_pod(launch: &Launch, around: &Surroundings) -> Option<PodSecurityContext> {
    let options = &launch.container.options;
    let (user, group) = ids(launch, around);
    let groups: Vec<i64> = options.group_add.iter().filter_map(|group| group.parse().ok()).collect();
    let sysctls: Vec<_> =
        options.sysctls.iter().map(|(name, value)| Sysctl { name: name.clone(), value: value.clone() }).collect();
    Some(PodSecurityContext {
        // Volumes and secret files belong to this group, or a user other than root could not use them.
        fs_group: group.or(user).filter(|id| *id > 0),
        fs_group_change_policy: user.filter(|id| *id > 0).map(|_| "OnRootMismatch".to_owned()),
        run_as_group: group,
        run_as_non_root: (!is_root(launch, around)).then_some(true),
        run_as_user: user,
        seccomp_profile: (!options.privileged)
            .then(|| SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        supplemental_groups: (!groups.is_empty()).then_some(groups),
        sysctls: (!sysctls.is_empty()).then_some(sysctls),
        ..PodSecurityContext::default()
    })
}

pub(super) fn of_container(launch: &Launch, around: &Surroundings) -> SecurityContext {
    let options = &launch.container.options;
    let some = |all: Vec<String>| (!all.is_empty()).then_some(all);
    // Images that begin as root usually need root's capabilities to become somebody else.
    let dropped = if is_root(launch, around) { options.cap_drop.clone() } else { vec!["ALL".to_owned()] };
    SecurityContext {
        allow_privilege_escalation: Some(options.privileged || is_root(launch, around)),
        capabilities: (!options.privileged)
            .then(|| Capabilities { add: some(options.cap_add.clone()), drop: some(dropped) }),
        privileged: options.privileged.then_some(true),
        read_only_root_filesystem: options.read_only.then_some(true),
        ..SecurityContext::default()
    }
}
