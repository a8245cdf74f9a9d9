//! Why a request had no good answer, and what a command exits with for it.

use std::io;
use std::path::PathBuf;

use crate::error::{ErrorBody, ErrorCode};

/// Why a request had no good answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens on the socket, or it must not be opened.
    #[error("connect to {}: {source}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection was lost before the answer was whole: the request may have been carried out.
    #[error("connection to the server lost while it answered {path}: {source}")]
    Lost {
        /// The path that was asked for.
        path: String,
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(Box<ErrorBody>),
    /// The answer cannot be read: client and server are too far apart in version.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Error {
    /// Nobody listens on the socket: there is no server.
    pub fn is_no_server(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Connect { source, .. } if matches!(source.kind(), NotFound | ConnectionRefused))
    }

    /// The server went away, or was never there: asking again may help.
    pub fn is_connection(&self) -> bool {
        self.is_no_server() || matches!(self, Self::Lost { .. })
    }

    /// What the server said, if it is the one that refused.
    pub fn refusal(&self) -> Option<&ErrorBody> {
        match self {
            Self::Refused(body) => Some(body),
            _ => None,
        }
    }

    /// What a person may try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(body) => body.hint.clone(),
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the server belongs to another user: use its login, or another --state directory".to_owned())
            }
            Self::Connect { .. } => Some("start one: daybook serve".to_owned()),
            Self::Lost { .. } => Some("see what it said last: server.log in the state directory".to_owned()),
            Self::Unreadable(_) => Some("compare: daybook version".to_owned()),
        }
    }

    /// What a command exits with for this error.
    pub fn exit(&self) -> Exit {
        match self.refusal().map(|body| body.code) {
            Some(ErrorCode::Locked) => Exit::Locked,
            Some(ErrorCode::Denied) => Exit::Denied,
            Some(ErrorCode::Usage) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// Exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok,
    /// It failed.
    Failed,
    /// `plan` and `diff` only: there are changes.
    Changes,
    /// Policy or budget forbids it.
    Denied,
    /// The new version was unhealthy and the old one serves again.
    SwappedBack,
    /// Another run of the environment is open.
    Locked,
    /// The run was stopped and can be resumed.
    Interrupted,
    /// Wrong use.
    Usage,
    /// Ended by the user, with the run going on by itself.
    Killed,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Denied => 3,
            Self::SwappedBack => 4,
            Self::Locked => 5,
            Self::Interrupted => 6,
            Self::Usage => 64,
            Self::Killed => 130,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_map_to_exit_codes() {
        let codes = [
            (ErrorCode::Locked, 5),
            (ErrorCode::Stale, 1),
            (ErrorCode::Denied, 3),
            (ErrorCode::Invalid, 1),
            (ErrorCode::NotFound, 1),
            (ErrorCode::Unavailable, 1),
            (ErrorCode::Internal, 1),
            (ErrorCode::Usage, 64),
        ];
        for (code, exit) in codes {
            assert_eq!(Error::Refused(Box::new(ErrorBody::new(code, "no"))).exit().code(), exit, "{code:?}");
        }
    }

    #[test]
    fn a_missing_socket_is_no_server_and_a_forbidden_one_is_not() {
        let connect = |kind: io::ErrorKind| Error::Connect { socket: PathBuf::from("s"), source: kind.into() };
        assert!(connect(io::ErrorKind::NotFound).is_no_server());
        assert!(connect(io::ErrorKind::ConnectionRefused).is_no_server());
        assert!(!connect(io::ErrorKind::PermissionDenied).is_no_server());
    }
}
