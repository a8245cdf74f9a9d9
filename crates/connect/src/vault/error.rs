//! What can go wrong with a Vault, in words that help.

use daybook_model::vault::Kept;

/// Why a value cannot be had. Holds no value and no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of thing it is.
    pub cause: Cause,
    /// What failed, where and why.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It cannot be reached, or does not answer in time.
    Unreachable,
    /// It is sealed, or not set up yet.
    Sealed,
    /// The credential is not good.
    Login,
    /// The token may not.
    Denied,
    /// There is no such secret, or no such field of it.
    Missing,
    /// What it answers is not what its API says.
    Malformed,
}

impl Error {
    pub(super) fn new(cause: Cause, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { cause, message: message.into(), hint: hint.into() }
    }

    pub(super) fn no_field<'a>(address: &str, kept: &Kept, there: impl Iterator<Item = &'a String>) -> Self {
        let there: Vec<_> = there.map(String::as_str).collect();
        let what = if there.is_empty() { "no field".to_owned() } else { format!("`{}`", there.join("`, `")) };
        let message = format!("the secret {}/{} at {address} has no field `{}`", kept.mount, kept.path, kept.field);
        Self::new(Cause::Missing, message, format!("it has {what}; say which with `field`"))
    }
}
