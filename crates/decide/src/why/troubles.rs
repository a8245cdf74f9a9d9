//! What the runtime says is in the way, as a person reads it.

use daybook_model::Service;
use daybook_model::trouble::{ImageFault, Trouble, TroubleKind};

use super::{Choice, Evidence, Found, choice, clip};

/// Whether waiting cannot help. A registry that is away comes back, and machines are added by themselves.
pub fn is_final(trouble: &Trouble) -> bool {
    let TroubleKind::Image { fault, .. } = &trouble.kind else { return false };
    matches!(fault, ImageFault::Missing | ImageFault::Denied | ImageFault::Name)
}

/// The most telling of what keeps replicas from running. What only matters to those that run is not among it.
pub fn in_the_way(troubles: &[Trouble]) -> Option<&Trouble> {
    troubles.iter().find(|trouble| !matches!(trouble.kind, TroubleKind::Listens { .. } | TroubleKind::Closed { .. }))
}

/// A trouble as the cause of a service's state.
pub fn cause(trouble: &Trouble, spec: Option<&Service>) -> String {
    let said = clip(&trouble.said);
    match &trouble.kind {
        TroubleKind::Image { image, fault } => match fault {
            ImageFault::Missing => format!("its registry does not have the image {image}"),
            ImageFault::Denied => format!("its registry does not let the cluster's machines have the image {image}"),
            ImageFault::Away => format!("the registry of its image does not answer the cluster's machines: {image}"),
            ImageFault::Name => format!("`{image}` is no name of an image"),
            ImageFault::Unknown => format!("its image cannot be fetched: {said}"),
        },
        TroubleKind::NoRoom { resource } if resource == "pods" => "no machine may run one more pod".to_owned(),
        TroubleKind::NoRoom { resource } if resource.contains('/') => {
            let asked = spec.and_then(|spec| spec.container.resources.gpus).unwrap_or(1);
            format!("no machine has {asked} {resource} to give: each is taken, or none has one")
        }
        TroubleKind::NoRoom { resource } => {
            let asked =
                spec.and_then(|spec| asked(spec, resource)).map_or(String::new(), |asked| format!(" ({asked})"));
            format!("no machine has as much {resource} left as it asks for{asked}")
        }
        TroubleKind::Tainted { taint } if taint.is_empty() => {
            "the machines are tainted, and it tolerates no taint".to_owned()
        }
        TroubleKind::Tainted { taint } => format!("the machines are tainted `{taint}`, and it tolerates no taint"),
        TroubleKind::Unfit => format!("no machine fits: {said}"),
        TroubleKind::NoVolume { claim: Some(claim) } => format!("its volume {claim} is not there: {said}"),
        TroubleKind::NoVolume { claim: None } => format!("a volume of it is not there: {said}"),
        TroubleKind::Mount => format!("something that it needs cannot be mounted: {said}"),
        TroubleKind::Quota { quota } => format!("the quota `{quota}` of its namespace is used up"),
        TroubleKind::Refused => format!("the cluster refuses to make its replica: {said}"),
        TroubleKind::Evicted => format!("it was put out of its machine: {said}"),
        TroubleKind::Container => format!("its container cannot be made: {said}"),
        TroubleKind::Listens { ports } => format!("it listens on {}", listed(ports)),
        TroubleKind::Closed { policies } => {
            format!("policies of others decide who reaches it: {}", policies.join(", "))
        }
    }
}

fn asked(spec: &Service, resource: &str) -> Option<String> {
    let wanted = &spec.container.resources;
    match resource {
        "memory" => {
            let bytes = wanted.reserve_memory_bytes.or(wanted.memory_bytes)?;
            Some(format!("{} MiB", bytes >> 20))
        }
        "cpu" => {
            let millis = wanted.reserve_cpu_millis.or(wanted.cpu_millis.map(|millis| millis.div_ceil(10)))?;
            Some(format!("{millis}m"))
        }
        _ => None,
    }
}

fn options(trouble: &Trouble, evidence: &Evidence<'_>) -> Vec<Choice> {
    let up = |text: &str| choice(text, "daybook up");
    let back = || choice("go back to the release before", "daybook rollback");
    match &trouble.kind {
        TroubleKind::Image { fault: ImageFault::Missing | ImageFault::Name, .. } => {
            vec![up("push the image, or correct its name in the manifest"), back()]
        }
        TroubleKind::Image { image, .. } => {
            let registry = image.split('/').next().unwrap_or_default();
            vec![
                choice(
                    "let the cluster's machines reach and use its registry",
                    format!("curl -I https://{registry}/v2/"),
                ),
                back(),
            ]
        }
        TroubleKind::NoRoom { .. } | TroubleKind::Tainted { .. } | TroubleKind::Unfit => vec![
            choice("see what the machines have", "daybook target ls"),
            up("ask for less (`resources:`), or add a machine that has it"),
            back(),
        ],
        TroubleKind::NoVolume { .. } | TroubleKind::Mount => {
            vec![
                choice("see what the cluster can make", "kubectl get storageclass,pvc -A"),
                up("correct the volume in the manifest"),
            ]
        }
        TroubleKind::Quota { .. } => {
            vec![
                choice("see what is left of it", "kubectl describe quota -A"),
                up("ask for less, or have it raised"),
                back(),
            ]
        }
        TroubleKind::Evicted => vec![
            choice("see how much the machines have left", "daybook target ls"),
            up("reserve what it needs (`reservations:`)"),
        ],
        _ => {
            vec![up("correct it and try again"), choice("see all of it", format!("daybook logs {}", evidence.service))]
        }
    }
}

/// From what keeps replicas from running at all.
pub(super) fn from_troubles(evidence: &Evidence<'_>) -> Option<Found> {
    let first = in_the_way(evidence.troubles)?;
    let all = evidence.troubles.iter().filter(|trouble| in_the_way(std::slice::from_ref(trouble)).is_some());
    let mut lines: Vec<String> = Vec::new();
    for trouble in all {
        let said = format!("the cluster says: {}", clip(&trouble.said));
        let also = (trouble != first).then(|| format!("also: {}", cause(trouble, evidence.spec)));
        for line in also.into_iter().chain([said]) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Some(Found { cause: cause(first, evidence.spec), evidence: lines, options: options(first, evidence) })
}

/// The ports that a replica listens at, if that is known.
pub(super) fn listens(evidence: &Evidence<'_>) -> Option<String> {
    evidence.troubles.iter().find_map(|trouble| match &trouble.kind {
        TroubleKind::Listens { ports } => Some(listed(ports)),
        _ => None,
    })
}

/// Policies of others that may keep calls away.
pub(super) fn closed(evidence: &Evidence<'_>) -> Option<String> {
    evidence.troubles.iter().find_map(|trouble| match &trouble.kind {
        TroubleKind::Closed { policies } => Some(policies.join(", ")),
        _ => None,
    })
}

fn listed(ports: &[u16]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::why;

    fn told(kind: TroubleKind, said: &str, spec: Option<&Service>) -> (String, Vec<String>) {
        let trouble = Trouble { kind, said: said.to_owned() };
        let name = "web".parse().unwrap();
        let evidence = Evidence { troubles: std::slice::from_ref(&trouble), spec, ..Evidence::of(&name) };
        let why = why(&evidence);
        (why.cause.unwrap_or_default(), why.evidence)
    }

    #[test]
    fn r07_each_trouble_is_told_as_a_cause_with_the_clusters_own_words() {
        let image = |fault| TroubleKind::Image { image: "r.example/x:1".to_owned(), fault };
        let room = |resource: &str| TroubleKind::NoRoom { resource: resource.to_owned() };
        for (kind, cause) in [
            (image(ImageFault::Missing), "its registry does not have the image r.example/x:1"),
            (
                image(ImageFault::Denied),
                "its registry does not let the cluster's machines have the image r.example/x:1",
            ),
            (room("nvidia.com/gpu"), "no machine has 1 nvidia.com/gpu to give: each is taken, or none has one"),
            (room("memory"), "no machine has as much memory left as it asks for"),
            (
                TroubleKind::Tainted { taint: "dedicated: gpu".to_owned() },
                "the machines are tainted `dedicated: gpu`, and it tolerates no taint",
            ),
            (TroubleKind::Quota { quota: "tight".to_owned() }, "the quota `tight` of its namespace is used up"),
        ] {
            let (told, evidence) = told(kind, "so it said", None);
            assert_eq!(told, cause);
            assert_eq!(evidence, ["the cluster says: so it said"]);
        }
    }

    #[test]
    fn only_what_no_waiting_helps_is_final() {
        let image = |fault| Trouble { kind: TroubleKind::Image { image: String::new(), fault }, said: String::new() };
        assert!(is_final(&image(ImageFault::Missing)));
        assert!(!is_final(&image(ImageFault::Away)));
        assert!(!is_final(&Trouble { kind: TroubleKind::NoRoom { resource: "cpu".to_owned() }, said: String::new() }));
    }
}
