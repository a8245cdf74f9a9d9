//! What a daemon says when something fails, sorted by who must act.

use bollard::errors::Error as Said;

use crate::{Error, ErrorKind};

/// An error of `operation` from what the daemon said.
pub(super) fn failed(operation: impl Into<String>, said: &Said) -> Error {
    match said {
        Said::DockerResponseServerError { status_code, message } => sorted(operation, *status_code, message),
        Said::DockerStreamError { error } => sorted(operation, 500, error),
        Said::RequestTimeoutError => Error::new(ErrorKind::Unavailable, operation, "the daemon does not answer"),
        Said::SocketNotFoundError(path) => {
            Error::new(ErrorKind::Unavailable, operation, format!("{path} is not there: the daemon does not run"))
        }
        Said::IOError { .. } | Said::HyperResponseError { .. } | Said::HyperLegacyError { .. } => {
            Error::new(ErrorKind::Unavailable, operation, chain(said)).hint("the daemon is restarting or has ended")
        }
        other => Error::new(ErrorKind::Internal, operation, chain(other)),
    }
}

/// Whether the daemon said that the thing is not there.
pub(super) fn is_missing(said: &Said) -> bool {
    matches!(said, Said::DockerResponseServerError { status_code: 404, .. })
}

/// Whether the daemon said that the thing is in a state, or of a name, that is in the way.
pub(super) fn is_conflict(said: &Said) -> bool {
    match said {
        Said::DockerResponseServerError { status_code: 409, .. } => true,
        // Podman says it with status 500.
        Said::DockerResponseServerError { message, .. } => message.contains("already in use"),
        _ => false,
    }
}

/// Texts that daemons are known to say, and what they mean. The first that fits counts.
const KNOWN: &[(&str, ErrorKind, Option<&str>)] = &[
    ("port is already allocated", ErrorKind::Conflict, Some("another process has the port; publish another one")),
    ("address already in use", ErrorKind::Conflict, Some("another process has the port; publish another one")),
    ("no space left on device", ErrorKind::Full, Some("free space where the daemon keeps its data")),
    (
        "executable file not found",
        ErrorKind::Refused,
        Some("the image does not hold the command; check `command` and `entrypoint`"),
    ),
    ("exec format error", ErrorKind::Refused, Some("the image is for another kind of processor; set `platform`")),
    ("permission denied: unknown", ErrorKind::Refused, Some("the command is not executable in the image")),
    ("no command specified", ErrorKind::Refused, Some("the image names no command; set `command`")),
    ("bind source path does not exist", ErrorKind::Refused, Some("make the path, or correct it in the manifest")),
    ("invalid mount", ErrorKind::Refused, None),
    (
        "not a directory",
        ErrorKind::Refused,
        Some("a file is mounted where the image has a directory, or the other way round"),
    ),
    (
        "no such file or directory: unknown",
        ErrorKind::Refused,
        Some("the image does not hold the command, or the program that interprets it"),
    ),
    (
        "attempted to invoke a command that was not found",
        ErrorKind::Refused,
        Some("the image does not hold the command; check `command` and `entrypoint`"),
    ),
    ("unable to find user", ErrorKind::Refused, Some("the image does not have that user; set `user` to a number")),
    ("cannot be removed without force", ErrorKind::Conflict, None),
    ("manifest unknown", ErrorKind::NotFound, Some("the registry has the repository, but not this tag")),
    ("repository does not exist", ErrorKind::NotFound, Some("correct the name, or log the daemon in to the registry")),
    ("repository name not known", ErrorKind::NotFound, Some("correct the name of the image")),
    ("pull access denied", ErrorKind::NotFound, Some("correct the name, or log the daemon in to the registry")),
    ("toomanyrequests", ErrorKind::Unavailable, Some("the registry limits pulls; log in to it or wait")),
    ("connection refused", ErrorKind::Unavailable, None),
    ("no such host", ErrorKind::Unavailable, Some("the registry's name cannot be resolved")),
    ("i/o timeout", ErrorKind::Unavailable, None),
    ("tls handshake timeout", ErrorKind::Unavailable, None),
    ("context deadline exceeded", ErrorKind::Unavailable, None),
    ("request canceled while waiting for connection", ErrorKind::Unavailable, None),
    ("transport is closing", ErrorKind::Unavailable, None),
    ("containerd is not running", ErrorKind::Unavailable, None),
];

fn sorted(operation: impl Into<String>, status: u16, message: &str) -> Error {
    let message = message.trim();
    let lower = message.to_lowercase();
    if let Some((_, kind, hint)) = KNOWN.iter().find(|(text, ..)| lower.contains(text)) {
        let error = Error::new(*kind, operation, message);
        return hint.iter().fold(error, |error, hint| error.hint(*hint));
    }
    let kind = match status {
        400 => ErrorKind::Refused,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        502..=504 => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, operation, message)
}

/// An error and its causes in one line: the outermost of hyper's errors says nothing by itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, message: &str) -> ErrorKind {
        sorted("try", status, message).kind
    }

    #[test]
    fn what_daemons_say_is_sorted_by_who_must_act() {
        let port = "driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:53 failed: port is already allocated";
        assert_eq!(kind(500, port), ErrorKind::Conflict);
        let command = "OCI runtime create failed: exec: \"nope\": executable file not found in $PATH: unknown";
        assert_eq!(kind(400, command), ErrorKind::Refused);
        assert_eq!(kind(404, "manifest for x:1 not found: manifest unknown"), ErrorKind::NotFound);
        assert_eq!(
            kind(500, "Get \"http://r/v2/\": dial tcp 127.0.0.1:1: connect: connection refused"),
            ErrorKind::Unavailable
        );
        assert_eq!(kind(500, "write /x: no space left on device"), ErrorKind::Full);
        assert_eq!(kind(503, "shutting down"), ErrorKind::Unavailable);
        assert_eq!(kind(500, "something new"), ErrorKind::Internal);
    }

    #[test]
    fn a_daemon_that_is_gone_is_worth_another_try() {
        let gone = Said::IOError { err: std::io::Error::from(std::io::ErrorKind::ConnectionRefused) };
        assert!(failed("try", &gone).is_transient());
        assert!(failed("try", &Said::SocketNotFoundError("/x".into())).is_transient());
        assert!(failed("try", &Said::RequestTimeoutError).is_transient());
    }
}
