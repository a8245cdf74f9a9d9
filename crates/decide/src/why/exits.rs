//! How a process ended, as a cause.

use daybook_model::observed::Exit;
use daybook_model::{ReplicaState, SeenReplica};

use super::{Evidence, Found, choice, clip};

pub(super) fn last_exit<'a>(evidence: &Evidence<'a>) -> Option<(&'a SeenReplica, &'a Exit)> {
    let troubled =
        evidence.replicas.iter().filter(|replica| replica.restarts > 0 || replica.state != ReplicaState::Running);
    troubled.filter_map(|replica| Some((replica, replica.last_exit.as_ref()?))).max_by_key(|(_, exit)| exit.at)
}

/// From what the kernel and the runtime say of a process that ended.
pub(super) fn from_exits(evidence: &Evidence<'_>) -> Option<Found> {
    let (replica, exit) = last_exit(evidence)?;
    let name = evidence.service;
    if exit.oom {
        let limit = evidence.spec.and_then(|spec| spec.container.resources.memory_bytes);
        let limit_text = limit.map_or("the machine's".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        let double = limit.map_or(256, |bytes| (bytes >> 20) * 2);
        return Some(Found {
            cause: format!("killed for memory: limit {limit_text}"),
            evidence: vec![format!("{} ended with exit code {} and an out-of-memory kill", replica.id, exit.code)],
            options: vec![
                choice(format!("give it {double} MiB in the manifest"), format!("resources: {{memory: {double}Mi}}")),
                choice("go back to the release before", "daybook rollback"),
            ],
        });
    }
    let unstartable = exit.error.as_deref().map(start_error).or_else(|| match exit.code {
        127 => Some("the command was not found".to_owned()),
        126 => Some("the command cannot be executed".to_owned()),
        _ => None,
    })?;
    Some(Found {
        cause: format!("its process cannot be started: {unstartable}"),
        evidence: vec![format!("{} ended with exit code {}", replica.id, exit.code)],
        options: vec![
            choice("correct `command` in the manifest", "daybook up"),
            choice("look inside", format!("daybook logs {name}")),
        ],
    })
}

/// From the exit code, where nothing else tells.
pub(super) fn from_bare_exit(evidence: &Evidence<'_>) -> Option<Found> {
    let (replica, exit) = last_exit(evidence)?;
    if exit.code == 0 && replica.restarts == 0 {
        return None;
    }
    let mut lines = vec![format!("{} ended with exit code {}", replica.id, exit.code)];
    lines.extend(evidence.log.last().map(|line| format!("the last line of its log: {}", clip(line))));
    let cause = match evidence.log.iter().rev().find(|line| is_complaint(line)) {
        Some(line) => format!("its process ends by itself (exit code {}): {}", exit.code, clip(line)),
        None => format!("its process ends by itself with exit code {}", exit.code),
    };
    let name = evidence.service;
    let options = vec![
        choice("read its log", format!("daybook logs {name} --tail 50")),
        choice("go back to the release before", "daybook rollback"),
    ];
    Some(Found { cause, evidence: lines, options })
}

fn is_complaint(line: &str) -> bool {
    let lower = line.to_lowercase();
    ["error", "panic", "fatal", "exception", "cannot", "failed"].iter().any(|word| lower.contains(word))
}

/// Why a process was not started, without what the layers between us and the kernel put before it.
pub fn start_error(said: &str) -> String {
    match said.rfind("exec: ") {
        Some(at) => said[at + "exec: ".len()..].trim_end_matches(": unknown").to_owned(),
        None => said.to_owned(),
    }
}

/// Whether a process can never start, however often it is tried: its program is not in the image, or not for this
/// machine.
pub fn never_starts(exit: &Exit) -> bool {
    exit.error.as_deref().is_some_and(has_no_program)
}

/// Whether a runtime says that there is no program to start.
pub(super) fn has_no_program(said: &str) -> bool {
    const SIGNS: [&str; 4] =
        ["executable file not found", "no such file or directory", "exec format error", "permission denied"];
    let said = said.to_lowercase();
    said.contains("exec") && SIGNS.iter().any(|sign| said.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r07_a_command_that_is_not_there_is_told_in_few_words_and_never_starts() {
        let said = "StartError: failed to create containerd task: failed to create shim task: OCI runtime create failed: \
                    runc create failed: unable to start container process: error during container init: exec: \
                    \"nope\": executable file not found in $PATH: unknown";
        assert_eq!(start_error(said), "\"nope\": executable file not found in $PATH");
        let exit = |said: &str| Exit { code: 128, oom: false, error: Some(said.to_owned()), at: None };
        assert!(never_starts(&exit(said)));
        assert!(never_starts(&exit("exec /bin/app: exec format error")));
        assert!(!never_starts(&exit("Evicted: The node was low on resource: memory.")));
        assert!(!never_starts(&Exit { error: None, ..exit("") }));
    }
}
