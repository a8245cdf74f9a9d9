//! A generic webhook to us, in the form that ours have: another Daybook's, or a script's.

use std::time::Duration;

use jiff::Timestamp;

use super::Seen;
use crate::render::Envelope;
use crate::signature::{Untrusted, verify};
use crate::{Notice, Secret};

/// Why a body is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody knows who it is from, or it was taken in before.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// It is larger than [`super::MOST_BYTES`].
    #[error("the body is too large")]
    TooLarge,
    /// It is from who it says, and is no notice.
    #[error("the body is no notice: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is of a version that is not known here.
    #[error("the body is of version {0}, and version 1 is known here")]
    Version(u32),
}

impl Error {
    /// The status of HTTP to answer with. What was taken in before has been delivered: 200, so that it is not sent again.
    pub fn status(&self) -> u16 {
        match self {
            Self::Untrusted(Untrusted::Seen) => 200,
            Self::Untrusted(_) => 401,
            Self::TooLarge => 413,
            Self::Malformed(_) | Self::Version(_) => 400,
        }
    }
}

/// Takes in a body with the header of its signature. Nothing of the body is read before it is trusted.
///
/// # Errors
/// See [`Error`].
pub fn take(
    keys: &[Secret],
    header: &str,
    body: &[u8],
    seen: &mut Seen,
    now: Timestamp,
    window: Duration,
) -> Result<Notice, Error> {
    if body.len() > super::MOST_BYTES {
        return Err(Error::TooLarge);
    }
    let at = verify(keys, header, body, now, window)?;
    let envelope: Envelope = serde_json::from_slice(body)?;
    if envelope.version != crate::render::VERSION {
        return Err(Error::Version(envelope.version));
    }
    seen.take(&envelope.delivery, at, now, window)?;
    Ok(envelope.notice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Rendered, Stamp, render};
    use crate::signature::{WINDOW, sign};
    use crate::{Channel, Kind, Severity};

    fn now() -> Timestamp {
        Timestamp::from_second(1_767_225_600).unwrap()
    }

    fn sent() -> (Notice, String, Vec<u8>) {
        let text = r#"{"name": "w", "target": {"webhook": {"url": "https://example.com", "key": "0123456789abcdef"}}}"#;
        let channel: Channel = serde_json::from_str(text).unwrap();
        let notice = Notice::new("i-1", Kind::Triggered, Severity::Error, "web fails", now());
        let rendered = render(&notice, &channel, Stamp { at: now(), delivery: "7" });
        let Some(Rendered::Request(request)) = rendered else { panic!("a webhook is a request") };
        let (_, header) = request.headers.into_iter().find(|(name, _)| *name == crate::signature::HEADER).unwrap();
        (notice, header.expose().to_owned(), request.body)
    }

    fn key() -> Vec<Secret> {
        vec![Secret::new("0123456789abcdef")]
    }

    #[test]
    fn what_we_send_we_take_in_once() {
        let (notice, header, body) = sent();
        let mut seen = Seen::default();
        assert_eq!(take(&key(), &header, &body, &mut seen, now(), WINDOW).unwrap(), notice);
        let again = take(&key(), &header, &body, &mut seen, now(), WINDOW).unwrap_err();
        assert_eq!((again.status(), again.to_string().as_str()), (200, "it was taken in before"));
    }

    #[test]
    fn r35_a_body_that_is_too_large_changed_or_late_is_not_taken_in() {
        let (_, header, body) = sent();
        let mut seen = Seen::default();
        let mut status =
            |header: &str, body: &[u8], now| take(&key(), header, body, &mut seen, now, WINDOW).unwrap_err().status();
        let large = vec![b' '; crate::inbound::MOST_BYTES + 1];
        assert_eq!(status(&sign(&key()[0], now(), &large), &large, now()), 413);
        assert_eq!(status(&header, &[&body[..], b" "].concat(), now()), 401);
        assert_eq!(status(&header, &body, now() + WINDOW * 2), 401);
        assert_eq!(status("", &body, now()), 401);
        assert_eq!(status(&sign(&key()[0], now(), b"[]"), b"[]", now()), 400);
    }
}
