//! What the manifest says and a pod cannot: nothing is lost without a word.

use daybook_model::spec::{Artifact, Attachment, MountSource, PullPolicy, Rollout, Stop};
use daybook_model::{Service, Spec};

use super::NoteKind;

/// What is to be said of the networks and volumes of a spec.
pub(super) fn of_environment(spec: &Spec) -> Vec<(String, NoteKind)> {
    let mut all = Vec::new();
    for (name, network) in &spec.networks {
        if !network.subnets.is_empty() || network.ipv6 || !network.driver_opts.is_empty() {
            let what = format!("addresses and driver of the network `{name}`: the cluster has one network");
            all.push((what, NoteKind::NotExported));
        }
        if network.external {
            let what = format!("the network `{name}` is external, and ends at its namespace here");
            all.push((what, NoteKind::Changed));
        }
    }
    for (name, volume) in &spec.volumes {
        let options: Vec<_> = volume.driver_opts.keys().filter(|option| *option != "size").cloned().collect();
        if !options.is_empty() {
            let what = format!("`driver_opts` of the volume `{name}`: {}", options.join(", "));
            all.push((what, NoteKind::NotExported));
        }
        if !volume.external && volume.size.is_none() && !volume.driver_opts.contains_key("size") {
            let what = format!("the volume `{name}` holds 10Gi: say another size with `driver_opts: {{size: …}}`");
            all.push((what, NoteKind::Changed));
        }
    }
    all
}

/// What is to be said of a service.
pub(super) fn of_service(service: &Service) -> Vec<(String, NoteKind)> {
    let mut all = Vec::new();
    let lost: Vec<_> = settings(service).into_iter().filter(|(is_set, _)| *is_set).map(|(_, key)| key).collect();
    if !lost.is_empty() {
        let keys: Vec<_> = lost.iter().map(|key| format!("`{key}`")).collect();
        let what = format!("{}: a pod has no such setting", keys.join(", "));
        all.push((what, NoteKind::NotExported));
    }
    for mount in &service.container.mounts {
        match &mount.source {
            MountSource::Bind { path, .. } => {
                let what = format!("{} is that of the machine on which the pod runs: {path}", mount.target);
                all.push((what, NoteKind::Changed));
            }
            MountSource::Anonymous => {
                let what = format!("{} is gone when its pod is: give the volume a name to keep it", mount.target);
                all.push((what, NoteKind::Changed));
            }
            MountSource::Volume { .. } | MountSource::Tmpfs { .. } => {}
        }
    }
    if is_always_pulled(service) {
        all.push(("an image that a machine has is not asked for again".to_owned(), NoteKind::Changed));
    }
    all
}

/// Settings that Kubernetes has no counterpart of, and whether they are made.
fn settings(service: &Service) -> [(bool, &'static str); 21] {
    let (container, options, rollout) = (&service.container, &service.container.options, &service.rollout);
    let usual = Rollout::default();
    let attached = |has: fn(&Attachment) -> bool| container.networks.iter().any(|(_, attachment)| has(attachment));
    let mounted = |has: fn(&MountSource) -> bool| container.mounts.iter().any(|mount| has(&mount.source));
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let user = container.user.as_deref().unwrap_or("0");
    [
        (options.init == Some(true), "init"),
        (options.domainname.is_some(), "domainname"),
        (options.userns_mode.is_some(), "userns_mode"),
        (!options.devices.is_empty(), "devices"),
        (!options.device_cgroup_rules.is_empty(), "device_cgroup_rules"),
        (!options.security_opt.is_empty(), "security_opt"),
        (!options.ulimits.is_empty(), "ulimits"),
        (options.oom_score_adj.is_some(), "oom_score_adj"),
        (options.log_driver.is_some(), "logging"),
        (options.network_mode.as_deref() == Some("none"), "network_mode: none"),
        (options.group_add.iter().any(|group| !is_number(group)), "group_add by name"),
        (user.split(':').any(|part| !is_number(part)), "user by name"),
        (container.resources.pids.is_some(), "pids_limit"),
        (container.files.iter().any(|file| file.uid.is_some() || file.gid.is_some()), "uid and gid of files"),
        (attached(|at| at.ipv4.is_some() || at.ipv6.is_some()), "ipv4_address and ipv6_address"),
        (mounted(|source| matches!(source, MountSource::Tmpfs { mode: Some(_), .. })), "mode of tmpfs"),
        (mounted(|source| matches!(source, MountSource::Bind { selinux: Some(_), .. })), "selinux"),
        (service.stop.signal != Stop::default().signal, "stop_signal"),
        (rollout.canary_percent.is_some(), "rollout: {canary}"),
        (rollout.probation_ms != usual.probation_ms, "rollout: {probation}"),
        (rollout.drain_ms != usual.drain_ms, "rollout: {drain}"),
    ]
}

fn is_always_pulled(service: &Service) -> bool {
    matches!(&service.artifact, Artifact::Image { pull: PullPolicy::Always, .. })
}
