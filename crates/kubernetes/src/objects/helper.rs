//! The pod by which what a volume holds is carried: this program, on the machine that has the volume, as the user whose
//! files are in it.

use daybook_model::name::{EnvKey, VolumeName};
use daybook_model::spec::Service;
use daybook_runtime::volume_files::{Act, COMMAND, HELD};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::security::{Level, numbers};
use super::{CONTAINER, Surroundings, environment_annotations, meta, pairs};
use crate::names;
use crate::program::{PLACE, architecture};

/// Where it has the volume.
pub(crate) const MOUNT: &str = "/volume";

/// As whom a helper reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    user: i64,
    group: Option<i64>,
    groups: Vec<i64>,
}

impl Who {
    /// The user of the services that have a volume, each with the user that its image names. Root, where one of them is
    /// root or known by a name only, and where no service has it: nobody else can read whatever is in it.
    pub(crate) fn of(services: &[(&Service, Option<String>)]) -> Self {
        let mut all = services.iter().map(|(service, of_image)| {
            let written = service.container.user.as_deref().or(of_image.as_deref()).unwrap_or_default();
            let (user, group) = numbers(written);
            let groups = &service.container.options.group_add;
            let groups = groups.iter().filter_map(|group| group.parse().ok()).collect();
            Self { user: user.unwrap_or(0).max(0), group, groups }
        });
        let Some(first) = all.next() else { return Self { user: 0, group: None, groups: Vec::new() } };
        all.fold(first, |known, other| if other.is_root() { other } else { known })
    }

    fn is_root(&self) -> bool {
        self.user == 0
    }

    /// What its namespace has to allow: no more than the replicas need that have the volume.
    pub(crate) fn level(&self) -> Level {
        if self.is_root() { Level::Baseline } else { Level::Restricted }
    }
}

/// What the helper of a volume is called. Environments may share a namespace.
pub(crate) fn name(key: &EnvKey, volume: &VolumeName) -> String {
    names::resource(&format!("daybook-volume-{}-{}-{volume}", key.app, key.env))
}

/// The helper of a volume: on `node`, where the volume is attached to that alone.
pub(crate) fn pod(
    key: &EnvKey,
    volume: &VolumeName,
    claim: &str,
    who: &Who,
    node: Option<&str>,
    around: &Surroundings,
) -> Pod {
    let claim = PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), read_only: None };
    let volumes = vec![Volume { name: "volume".to_owned(), persistent_volume_claim: Some(claim), ..Volume::default() }];
    Pod {
        metadata: meta(around, &name(key, volume), around.of_environment(key), environment_annotations(key, around)),
        spec: Some(PodSpec {
            active_deadline_seconds: i64::try_from(HELD.as_secs()).ok(),
            affinity: node.map(only),
            automount_service_account_token: Some(false),
            containers: vec![container(who, around)],
            enable_service_links: Some(false),
            node_selector: Some(pairs([("kubernetes.io/arch", architecture().to_owned())])),
            restart_policy: Some("Never".to_owned()),
            security_context: Some(PodSecurityContext {
                fs_group: who.group.or(Some(who.user)).filter(|id| *id > 0),
                fs_group_change_policy: (!who.is_root()).then(|| "OnRootMismatch".to_owned()),
                run_as_group: who.group,
                run_as_non_root: (!who.is_root()).then_some(true),
                run_as_user: Some(who.user),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
                supplemental_groups: (!who.groups.is_empty()).then(|| who.groups.clone()),
                ..PodSecurityContext::default()
            }),
            // It has nothing to bring to an end.
            termination_grace_period_seconds: Some(1),
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// The scheduler's own way to say a machine by its name: it still looks whether there is room.
fn only(node: &str) -> Affinity {
    let field = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![field]), match_expressions: None };
    let node_affinity = NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector { node_selector_terms: vec![term] }),
        ..NodeAffinity::default()
    };
    Affinity { node_affinity: Some(node_affinity), ..Affinity::default() }
}

fn container(who: &Who, around: &Surroundings) -> Container {
    let quantity = |name: &str, amount: &str| (name.to_owned(), Quantity(amount.to_owned()));
    // Root without its capabilities could not read what others may not.
    let dropped = (!who.is_root()).then(|| vec!["ALL".to_owned()]);
    Container {
        name: CONTAINER.to_owned(),
        image: Some(around.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec![PLACE.to_owned()]),
        args: Some([COMMAND, Act::Hold.as_str(), MOUNT].map(str::to_owned).to_vec()),
        resources: Some(ResourceRequirements {
            limits: Some([quantity("cpu", "1"), quantity("memory", "128Mi")].into()),
            requests: Some([quantity("cpu", "50m"), quantity("memory", "64Mi")].into()),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: dropped.map(|drop| Capabilities { add: None, drop: Some(drop) }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: "volume".to_owned(),
            mount_path: MOUNT.to_owned(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(who: &Who, node: Option<&str>) -> Pod {
        let key: EnvKey = "shop/production".parse().unwrap();
        let around = Surroundings { image: "registry/daybook@sha256:1".to_owned(), ..Surroundings::default() };
        pod(&key, &"uploads".parse().unwrap(), "uploads", who, node, &around)
    }

    #[test]
    fn a_helper_is_held_to_the_strictest_level_unless_the_files_are_those_of_root() {
        let somebody = Who { user: 1_000, group: None, groups: Vec::new() };
        assert_eq!(somebody.level(), Level::Restricted);
        let spec = made(&somebody, None).spec.unwrap();
        assert!(spec.affinity.is_none());
        let pod = spec.security_context.unwrap();
        assert_eq!((pod.run_as_non_root, pod.fs_group), (Some(true), Some(1_000)));
        let container = spec.containers[0].security_context.clone().unwrap();
        assert_eq!(container.capabilities.unwrap().drop, Some(vec!["ALL".to_owned()]));

        let root = Who::of(&[]);
        assert_eq!(root.level(), Level::Baseline);
        let spec = made(&root, Some("one")).spec.unwrap();
        assert_eq!(spec.security_context.unwrap().run_as_user, Some(0));
        assert!(spec.affinity.is_some());
    }
}
