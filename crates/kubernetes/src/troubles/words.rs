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
        TroubleKind::NoRoom { resource: resource.trim().to_owned() }
    } else if what.contains("Too many pods") {
        TroubleKind::NoRoom { resource: "pods".to_owned() }
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
        "Evicted" => TroubleKind::Evicted,
        "FailedCreate" => match message.split_once("exceeded quota: ") {
            Some((_, rest)) => {
                TroubleKind::Quota { quota: rest.split(',').next().unwrap_or_default().trim().to_owned() }
            }
            None => TroubleKind::Refused,
        },
        "FailedCreatePodSandBox" => TroubleKind::Container,
        _ => return None,
    };
    let said = message.trim_start_matches("(combined from similar events): ").trim_start_matches("Error creating: ");
    Some(Trouble { kind, said: said.to_owned() })
}

/// What stands between the first double quotes.
fn quoted(text: &str) -> Option<String> {
    text.split('"').nth(1).map(str::to_owned)
}

/// The ports that are listened at, from the tables of `/proc/net/tcp` and `/proc/net/tcp6`, but for those at loopback.
pub(crate) fn listening(tables: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = tables.lines().filter_map(listened_at).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn listened_at(line: &str) -> Option<u16> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    let (address, port) = local.rsplit_once(':')?;
    let is_loopback = address.eq_ignore_ascii_case("0100007F") || address.eq_ignore_ascii_case(LOOPBACK_6);
    (state == LISTEN && !is_loopback).then(|| u16::from_str_radix(port, 16).ok()).flatten()
}

/// The state of a socket that listens, as the kernel writes it.
const LISTEN: &str = "0A";
/// `::1`, as the kernel writes it.
const LOOPBACK_6: &str = "00000000000000000000000001000000";

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(message: &str) -> Vec<TroubleKind> {
        unscheduled(message).into_iter().map(|trouble| trouble.kind).collect()
    }

    fn room(resource: &str) -> TroubleKind {
        TroubleKind::NoRoom { resource: resource.to_owned() }
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
        assert_eq!(event("FailedCreate", webhook).unwrap().kind, TroubleKind::Refused);
        assert_eq!(event("Scheduled", "it is"), None);
    }

    #[test]
    fn listening_ports_are_read_from_the_kernels_tables() {
        let tables = "  sl  local_address rem_address   st tx_queue
   0: 00000000:1F91 00000000:0000 0A 00000000:00000000
   1: 0100007F:0050 00000000:0000 0A 00000000:00000000
   2: 0100007F:1F91 0100007F:9C40 01 00000000:00000000
   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0:0";
        assert_eq!(listening(tables), [3000, 8081]);
    }

    #[test]
    fn r36_no_message_is_too_odd() {
        for message in ["", ":", "{", "}", "0/1: {,", ",,,", "1", "a: 99999999999999999999 Insufficient ", "é: ü, {ö"]
        {
            unscheduled(message);
            event("FailedCreate", message);
            listening(message);
        }
    }
}
