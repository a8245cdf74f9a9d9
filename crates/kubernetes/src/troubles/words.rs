//! What the cluster says of a trouble, read: pure.
//!
//! The scheduler's message counts machines by what keeps each from taking the pod:
//! `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: gpu}. preemption: …`.

use daybook_model::trouble::{ImageFault, Trouble, TroubleKind};

/// Why no machine takes a pod, most machines first.
pub(crate) fn unscheduled(message: &str) -> Vec<Trouble> {
    // What follows tells whether others could be put out for it.
    let said = message.split_once(" preemption:").map_or(message, |(said, _)| said);
    let said = said.split_once(". ").map_or(said, |(said, _)| said).trim_end_matches('.');
    let reasons = said.split_once(": ").map_or(said, |(_, reasons)| reasons);
    let mut counted: Vec<(u32, TroubleKind)> = split(reasons).into_iter().map(reason).collect();
    counted.sort_by_key(|(machines, _)| std::cmp::Reverse(*machines));
    counted.into_iter().map(|(_, kind)| Trouble { kind, said: said.to_owned() }).collect()
}

/// Parts at commas, but for those in braces.
fn split(reasons: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, letter) in reasons.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(reasons[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(reasons[begin..].trim().trim_end_matches('.'));
    parts
}

fn reason(text: &str) -> (u32, TroubleKind) {
    let (count, what) = match text.split_once(' ') {
        Some((count, what)) if count.parse::<u32>().is_ok() => (count.parse().unwrap_or(1), what),
        _ => (1, text),
    };
    let kind = if let Some((_, resource)) = what.split_once("Insufficient ") {
        TroubleKind::NoRoom { resource: resource.trim().to_owned(), most: None }
    } else if what.contains("Too many pods") {
        TroubleKind::NoRoom { resource: "pods".to_owned(), most: None }
    } else if what.contains("taint") {
        let taint = what.split_once('{').map_or("", |(_, rest)| rest.split('}').next().unwrap_or_default());
        TroubleKind::Tainted { taint: taint.trim_end_matches([':', ' ']).to_owned() }
    } else if what.to_lowercase().contains("persistentvolumeclaim") {
        TroubleKind::NoVolume { claim: quoted(what) }
    } else {
        TroubleKind::Unfit
    };
    (count, kind)
}

/// Why a container waits. `None`: it is only being made.
pub(crate) fn waiting(reason: &str, message: &str, image: &str) -> Option<Trouble> {
    let kind = match reason {
        "" | "ContainerCreating" | "PodInitializing" | "CrashLoopBackOff" => return None,
        "InvalidImageName" => TroubleKind::Image { image: image.to_owned(), fault: ImageFault::Name },
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            TroubleKind::Image { image: image.to_owned(), fault: fault(message) }
        }
        _ => TroubleKind::Container,
    };
    let said = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
    Some(Trouble { kind, said })
}

/// What a machine says when it cannot fetch an image.
fn fault(message: &str) -> ImageFault {
    let message = message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
    if has(&["unauthorized", "access denied", "forbidden", "authorization failed", "no basic auth"]) {
        ImageFault::Denied
    } else if has(&[
        "no such host",
        "connection refused",
        "timeout",
        "timed out",
        "unreachable",
        "unavailable",
        ": eof",
    ]) {
        ImageFault::Away
    } else if has(&["not found", "notfound", "manifest unknown"]) {
        ImageFault::Missing
    } else {
        ImageFault::Unknown
    }
}

/// An event about a pod, a claim, or the workload that should make pods. `None`: it tells of no trouble.
pub(crate) fn event(reason: &str, message: &str) -> Option<Trouble> {
    let kind = match reason {
        "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => TroubleKind::Mount,
        "ProvisioningFailed" => TroubleKind::NoVolume { claim: None },
        "Evicted" | "TaintManagerEviction" => TroubleKind::Evicted,
        "NodeNotReady" | "NodeLost" => TroubleKind::MachineAway,
        // The words of the two programs that add machines.
        "TriggeredScaleUp" | "Nominated" => TroubleKind::Growing,
        "FailedCreate" => match message.split_once("exceeded quota: ") {
            Some((_, rest)) => {
                TroubleKind::Quota { quota: rest.split(',').next().unwrap_or_default().trim().to_owned() }
            }
            None => TroubleKind::Refused { by: refuser(message) },
        },
        "FailedCreatePodSandBox" => TroubleKind::Container,
        _ => return None,
    };
    let said = message.trim_start_matches("(combined from similar events): ").trim_start_matches("Error creating: ");
    Some(Trouble { kind, said: said.to_owned() })
}

/// Who refuses a pod, in the words of the API server.
fn refuser(message: &str) -> String {
    let named = |sign: &str| message.split_once(sign).and_then(|(_, rest)| rest.split(['"', '\'']).next());
    if let Some(webhook) = named("admission webhook \"") {
        format!("the admission webhook `{webhook}`")
    } else if let Some(policy) = named("ValidatingAdmissionPolicy '") {
        format!("the admission policy `{policy}`")
    } else if let Some(standard) = named("violates PodSecurity \"") {
        format!("the security standard `{standard}` of its namespace")
    } else if let Some((_, rest)) = message.split_once("failed quota: ") {
        format!("the quota `{}` of its namespace", rest.split(':').next().unwrap_or_default().trim())
    } else if ["maximum ", "minimum "].iter().any(|sign| message.contains(sign)) && message.contains(" usage per ") {
        "a limit of its namespace".to_owned()
    } else {
        String::new()
    }
}

/// What stands between the first double quotes.
fn quoted(text: &str) -> Option<String> {
    text.split('"').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(message: &str) -> Vec<TroubleKind> {
        unscheduled(message).into_iter().map(|trouble| trouble.kind).collect()
    }

    fn room(resource: &str) -> TroubleKind {
        TroubleKind::NoRoom { resource: resource.to_owned(), most: None }
    }

    #[test]
    fn r07_the_scheduler_says_which_resource_and_which_taint() {
        let tainted = |taint: &str| TroubleKind::Tainted { taint: taint.to_owned() };
        for (message, expected) in [
            (
                "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are \
                 available: 1 No preemption victims found for incoming pod.",
                vec![room("cpu")],
            ),
            (
                "0/5 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint \
                 {node-role.kubernetes.io/control-plane: }, 3 Insufficient nvidia.com/gpu. preemption: 0/5 nodes are \
                 available: 5 Preemption is not helpful for scheduling.",
                vec![room("nvidia.com/gpu"), room("memory"), tainted("node-role.kubernetes.io/control-plane")],
            ),
            (
                "0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: gpu}. preemption: 0/3 nodes are \
                 available: 3 Preemption is not helpful for scheduling.",
                vec![tainted("dedicated: gpu")],
            ),
            ("0/3 nodes are available: 3 node(s) had untolerated taint(s).", vec![tainted("")]),
            (
                "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
                vec![TroubleKind::NoVolume { claim: None }],
            ),
            (
                "0/1 nodes are available: persistentvolumeclaim \"data\" not found. preemption: 0/1 nodes",
                vec![TroubleKind::NoVolume { claim: Some("data".to_owned()) }],
            ),
            ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", vec![TroubleKind::Unfit]),
            ("0/1 nodes are available: 1 Too many pods.", vec![room("pods")]),
            ("no nodes available to schedule pods", vec![TroubleKind::Unfit]),
        ] {
            assert_eq!(kinds(message), expected, "{message}");
        }
    }

    #[test]
    fn r07_images_that_are_missing_denied_and_out_of_reach_are_told_apart() {
        for (message, fault) in [
            (
                "Back-off pulling image \"r.example/x:1\": ErrImagePull: rpc error: code = NotFound desc = failed to pull \
                 and unpack image \"r.example/x:1\": failed to resolve reference \"r.example/x:1\": not found",
                ImageFault::Missing,
            ),
            (
                "failed to resolve reference \"docker.io/library/x:1\": pull access denied, repository does not exist or \
                 may require authorization: server message: insufficient_scope: authorization failed",
                ImageFault::Denied,
            ),
            (
                "failed to do request: Head \"https://r.example/v2\": dial tcp: lookup r.example: no such host",
                ImageFault::Away,
            ),
            ("dial tcp 127.0.0.1:1: connect: connection refused", ImageFault::Away),
            ("something else", ImageFault::Unknown),
        ] {
            let trouble = waiting("ImagePullBackOff", message, "r.example/x:1").unwrap();
            assert_eq!(trouble.kind, TroubleKind::Image { image: "r.example/x:1".to_owned(), fault }, "{message}");
        }
        assert_eq!(waiting("ContainerCreating", "", "x"), None);
    }

    #[test]
    fn r07_quotas_and_refusals_are_told_apart() {
        let quota =
            "pods \"web-1-x\" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=1, limited: pods=1";
        assert_eq!(event("FailedCreate", quota).unwrap().kind, TroubleKind::Quota { quota: "tight".to_owned() });
        let webhook = "admission webhook \"deny.example\" denied the request: no";
        for (message, by) in [
            (webhook, "the admission webhook `deny.example`"),
            (
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
                "the security standard `restricted:latest` of its namespace",
            ),
            (
                "pods \"x\" is forbidden: maximum memory usage per Container is 64Mi, but limit is 128Mi",
                "a limit of its namespace",
            ),
            (
                "pods \"x\" is forbidden: failed quota: tight: must specify limits.memory for: main",
                "the quota `tight` of its namespace",
            ),
            (
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'no-pods' with binding 'all' denied request: no",
                "the admission policy `no-pods`",
            ),
            ("pods \"x\" is forbidden: because", ""),
        ] {
            assert_eq!(event("FailedCreate", message).unwrap().kind, TroubleKind::Refused { by: by.to_owned() });
        }
        assert_eq!(event("Scheduled", "it is"), None);
    }

    #[test]
    fn r07_machines_that_are_added_or_away_are_told() {
        let kind = |reason: &str, message: &str| event(reason, message).unwrap().kind;
        let grows = "pod triggered scale-up: [{gpu-pool 0->1 (max: 3)}]";
        assert_eq!(kind("TriggeredScaleUp", grows), TroubleKind::Growing);
        assert_eq!(kind("NodeNotReady", "Node is not ready"), TroubleKind::MachineAway);
        assert_eq!(kind("Evicted", "The node was low on resource: memory."), TroubleKind::Evicted);
        assert_eq!(event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached"), None);
    }

    #[test]
    fn r36_no_message_is_too_odd() {
        for message in ["", ":", "{", "}", "0/1: {,", ",,,", "1", "a: 99999999999999999999 Insufficient ", "é: ü, {ö"]
        {
            unscheduled(message);
            event("FailedCreate", message);
        }
    }

    proptest::proptest! {
        #[test]
        fn r36_any_message_is_read(
            message in "([0-9]{1,3}/[0-9]{1,3} nodes are available: )?([0-9]{1,12} (Insufficient [a-z./]*|node\\(s\\) had \
                        untolerated taint \\{[^}]{0,20}\\}?)|.{0,30}|[,.:{}\" ]){0,8}",
            reason in "FailedCreate|FailedMount|NodeNotReady|.{0,12}",
        ) {
            let said = unscheduled(&message);
            proptest::prop_assert!(!said.is_empty());
            event(&reason, &message);
            waiting(&reason, &message, &message);
        }
    }
}
