//! What the runtime says is in the way, as a person reads it.

use std::collections::BTreeSet;

use daybook_model::Service;
use daybook_model::trouble::{ImageFault, Trouble, TroubleKind};

use super::exits::{has_no_program, start_error};
use super::{Choice, Evidence, Found, choice, clip};
use crate::text::amount;

/// The most telling of what keeps replicas from running. What only matters to those that run is not among it.
pub fn in_the_way(troubles: &[Trouble]) -> Option<&Trouble> {
    use TroubleKind::{Closed, Growing, Listens};
    troubles.iter().find(|trouble| !matches!(trouble.kind, Listens { .. } | Closed { .. } | Growing))
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
        TroubleKind::NoRoom { resource, .. } if resource == "pods" => "no machine may run one more pod".to_owned(),
        TroubleKind::NoRoom { resource, most } => no_room(resource, *most, spec),
        TroubleKind::Growing => format!("a machine is being added for it: {said}"),
        TroubleKind::Tainted { taint } if taint.is_empty() => {
            "the machines are tainted, and it tolerates no taint".to_owned()
        }
        TroubleKind::Tainted { taint } => format!("the machines are tainted `{taint}`, and it tolerates no taint"),
        TroubleKind::Unfit => format!("no machine fits: {said}"),
        TroubleKind::NoVolume { claim: Some(claim) } => format!("its volume {claim} is not there: {said}"),
        TroubleKind::NoVolume { claim: None } => format!("a volume of it is not there: {said}"),
        TroubleKind::Mount => format!("something that it needs cannot be mounted: {said}"),
        TroubleKind::Quota { quota } => {
            let figures = trouble.said.split_once(&format!("exceeded quota: {quota}, ")).map(|(_, figures)| figures);
            let figures = figures.map_or(String::new(), |figures| format!(" ({})", clip(figures)));
            format!("the quota `{quota}` of its namespace is used up{figures}")
        }
        TroubleKind::Refused { by } => {
            let why = trouble.said.split_once(" is forbidden: ").map_or(trouble.said.as_str(), |(_, why)| why);
            let by = if by.is_empty() { "the cluster" } else { by };
            format!("{by} refuses its replica: {}", clip(why))
        }
        TroubleKind::MachineAway => "the machine that it is on does not answer the cluster".to_owned(),
        TroubleKind::Evicted => format!("it was put out of its machine: {said}"),
        TroubleKind::Container if has_no_program(&trouble.said) => {
            format!("its process cannot be started: {}", start_error(&trouble.said))
        }
        TroubleKind::Container => format!("its container cannot be made: {said}"),
        TroubleKind::Listens { ports, .. } => format!("it listens on {}", listed(ports)),
        TroubleKind::Closed { inward, outward } => {
            let all: BTreeSet<_> = inward.iter().chain(outward).map(String::as_str).collect();
            let all: Vec<_> = all.into_iter().collect();
            format!("policies of others decide whom it talks to: {}", all.join(", "))
        }
    }
}

fn no_room(resource: &str, most: Option<u64>, spec: Option<&Service>) -> String {
    let wanted = asked(spec, resource);
    let figure = wanted.map_or(String::new(), |wanted| format!(" ({})", amount(resource, wanted)));
    match (most, wanted) {
        (Some(0), Some(wanted)) => format!("no machine has any {resource}, and it asks for {wanted}"),
        (Some(most), Some(wanted)) if most < wanted => {
            let (wanted, most) = (amount(resource, wanted), amount(resource, most));
            format!("no machine is large enough: it asks for {wanted} of {resource}, and the largest has {most}")
        }
        (Some(_), _) if resource.contains('/') => {
            format!("no machine has as much {resource} left as it asks for{figure}: what there is is taken")
        }
        (None, _) if resource.contains('/') => {
            format!("no machine has as much {resource} as it asks for{figure}: what there is is taken, or none has any")
        }
        _ => format!("no machine has as much {resource} left as it asks for{figure}"),
    }
}

/// Whether no machine could take it even if it were empty.
pub(super) fn is_too_large(trouble: &Trouble, spec: Option<&Service>) -> bool {
    let TroubleKind::NoRoom { resource, most: Some(most) } = &trouble.kind else { return false };
    asked(spec, resource).is_some_and(|asked| asked > *most)
}

/// How much of a resource a replica asks for: thousandths of a core, bytes, or pieces.
fn asked(spec: Option<&Service>, resource: &str) -> Option<u64> {
    let wanted = spec.map(|spec| &spec.container.resources);
    match resource {
        "memory" => wanted?.reserve_memory_bytes.or(wanted?.memory_bytes),
        "cpu" => wanted?.reserve_cpu_millis.or(wanted?.cpu_millis.map(|millis| millis.div_ceil(10))),
        // Only what a GPU is asked for by has a group in its name.
        _ => resource.contains('/').then(|| u64::from(wanted.and_then(|wanted| wanted.gpus).unwrap_or(1))),
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
        TroubleKind::Refused { .. } => vec![
            choice("see what is permitted there", "kubectl describe limits,quota,namespace -A"),
            up("correct it in the manifest"),
        ],
        TroubleKind::MachineAway => vec![
            choice("see which machines answer", "kubectl get nodes"),
            choice("see where the others are", "daybook status"),
        ],
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

/// The ports that a replica listens at, and those at its loopback address, if they are known.
pub(super) fn listens<'a>(evidence: &Evidence<'a>) -> Option<(&'a [u16], &'a [u16])> {
    evidence.troubles.iter().find_map(|trouble| match &trouble.kind {
        TroubleKind::Listens { ports, inside } => Some((ports.as_slice(), inside.as_slice())),
        _ => None,
    })
}

/// Policies of others that say who may reach it.
pub(super) fn inward(evidence: &Evidence<'_>) -> Option<String> {
    closed(evidence, |inward, _| inward)
}

/// Policies of others that say whom it may reach.
pub(super) fn outward(evidence: &Evidence<'_>) -> Option<String> {
    closed(evidence, |_, outward| outward)
}

fn closed<'a>(
    evidence: &Evidence<'a>,
    which: impl Fn(&'a Vec<String>, &'a Vec<String>) -> &'a Vec<String>,
) -> Option<String> {
    let named = evidence.troubles.iter().find_map(|trouble| match &trouble.kind {
        TroubleKind::Closed { inward, outward } => Some(which(inward, outward)),
        _ => None,
    });
    named.filter(|named| !named.is_empty()).map(|named| named.join(", "))
}

pub(super) fn listed(ports: &[u16]) -> String {
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
        let room = |resource: &str, most| TroubleKind::NoRoom { resource: resource.to_owned(), most };
        for (kind, cause) in [
            (image(ImageFault::Missing), "its registry does not have the image r.example/x:1"),
            (
                image(ImageFault::Denied),
                "its registry does not let the cluster's machines have the image r.example/x:1",
            ),
            (room("nvidia.com/gpu", Some(0)), "no machine has any nvidia.com/gpu, and it asks for 1"),
            (
                room("nvidia.com/gpu", Some(2)),
                "no machine has as much nvidia.com/gpu left as it asks for (1): what there is is taken",
            ),
            (
                room("nvidia.com/gpu", None),
                "no machine has as much nvidia.com/gpu as it asks for (1): what there is is taken, or none has any",
            ),
            (room("memory", Some(1 << 30)), "no machine has as much memory left as it asks for"),
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
    fn r07_what_is_larger_than_every_machine_is_told_with_both_sizes() {
        let amounts = [("memory", 999 << 30), ("memory", 512 << 20), ("cpu", 64_000), ("cpu", 1_500), ("x/gpu", 4)];
        assert_eq!(amounts.map(|(resource, n)| amount(resource, n)), ["999 GiB", "512 MiB", "64 cores", "1500m", "4"]);
    }

    #[test]
    fn r07_a_quota_is_told_with_its_figures() {
        let said =
            "pods \"web-1-x\" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=1, limited: pods=1";
        let (cause, _) = told(TroubleKind::Quota { quota: "tight".to_owned() }, said, None);
        let expected =
            "the quota `tight` of its namespace is used up (requested: pods=1, used: pods=1, limited: pods=1)";
        assert_eq!(cause, expected);
    }

    #[test]
    fn r07_calls_that_time_out_are_told_with_the_policies_that_may_be_why() {
        let name = "web".parse().unwrap();
        let kind = TroubleKind::Closed { inward: vec!["in".to_owned()], outward: vec!["deny-all".to_owned()] };
        let troubles = [Trouble { kind, said: String::new() }];
        let log = ["dial tcp 10.0.0.1:5432: i/o timeout".to_owned()];
        let evidence = Evidence { troubles: &troubles, log: &log, ..Evidence::of(&name) };
        assert_eq!(
            why(&evidence).cause.as_deref(),
            Some("its calls are not answered, and network policies of others say whom it may reach: deny-all")
        );
        assert_eq!(why(&Evidence { log: &[], ..evidence }).cause, None);
    }
}
