//! What the API server says, in the words of a runtime.

use daybook_runtime::{Error, ErrorKind};
use kube::core::Status;

/// An error of `operation`, from what the client says.
pub(crate) fn failed(operation: impl Into<String>, said: &kube::Error) -> Error {
    let operation = operation.into();
    match said {
        kube::Error::Api(status) => refused(&operation, status),
        kube::Error::Auth(why) => Error::new(ErrorKind::Refused, operation, why)
            .hint("renew the credentials of this context: `kubectl get ns` must work"),
        kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
            Error::new(ErrorKind::Unavailable, operation, whole(said))
                .hint("is the cluster's API server reachable from here?")
        }
        other => Error::new(ErrorKind::Internal, operation, whole(other)),
    }
}

/// An error with what lies beneath it: a client's own words often say only that a request failed.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = error.source();
    }
    text
}

/// The API server answered with an error.
fn refused(operation: &str, status: &Status) -> Error {
    let message = &status.message;
    let error = |kind| Error::new(kind, operation, message);
    match (status.code, status.reason.as_str()) {
        (404, _) => error(ErrorKind::NotFound),
        (409, "AlreadyExists") => error(ErrorKind::Conflict),
        // Somebody else has set what we want to set.
        (409, _) if message.contains("conflict with") => error(ErrorKind::Conflict)
            .hint("somebody else has changed this object: undo that change, or remove the object"),
        (409, _) => error(ErrorKind::Unavailable),
        (401, _) => error(ErrorKind::Refused).hint("the credentials of this context are not accepted: renew them"),
        (403, _) if message.contains("exceeded quota") => {
            error(ErrorKind::Refused).hint("`kubectl describe quota` shows what is left: ask for less, or raise it")
        }
        (403, _) if message.contains("violates PodSecurity") => {
            error(ErrorKind::Refused).hint("the namespace's Pod Security Standard forbids what the manifest asks for")
        }
        (403, _) if message.contains("being terminated") => error(ErrorKind::Unavailable),
        (403, _) => {
            error(ErrorKind::Refused).hint("the message names the permission that is missing: grant it by a Role")
        }
        (400 | 422, _) => error(ErrorKind::Refused),
        (429 | 500 | 502 | 503 | 504, _) => error(ErrorKind::Unavailable),
        _ => error(ErrorKind::Internal),
    }
}

/// An answer, or `None` where the API server says that there is no such thing.
pub(crate) fn if_there<T>(answered: kube::Result<T>) -> kube::Result<Option<T>> {
    match answered {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        other => other.map(Some),
    }
}
