//! Signatures over bodies, with the time in them.
//!
//! The header is `X-Daybook-Signature: t=1767225600,v1=…`: `t` is the time in seconds since 1970, `v1` the HMAC-SHA-256 of the
//! time as written, a full stop and the body, by the key that both know, as lower-case hexadecimal digits. There may be
//! several `v1`, so that a key can be changed: one that fits is enough. What is called otherwise is passed over.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use crate::Secret;
use crate::text::hex;

/// The name of the header.
pub const HEADER: &str = "x-daybook-signature";
/// How far the time of a signature may be from now, where nothing else is said.
pub const WINDOW: std::time::Duration = std::time::Duration::from_mins(5);

/// Why a body is not believed to be from who has the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// There is no header, or it is not of the form that it should have.
    #[error("the signature is missing or malformed")]
    Malformed,
    /// No signature fits a key.
    #[error("no signature fits the body and a key that is known here")]
    Wrong,
    /// It was signed too long ago, or in the future: it may be a copy.
    #[error("it was signed too long ago, or by a clock that is ahead")]
    Stale,
    /// It was taken in before.
    #[error("it was taken in before")]
    Seen,
}

/// The value of the header for this body.
pub fn sign(key: &Secret, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.as_second();
    format!("t={seconds},v1={}", hex(&mac(key, &[seconds.to_string().as_bytes(), b".", body]).finalize().into_bytes()))
}

/// Checks a body against the header that came with it, and says when it was signed.
///
/// # Errors
/// It is not signed by one of the keys, or not within `window` of now.
pub fn verify(
    keys: &[Secret],
    header: &str,
    body: &[u8],
    now: Timestamp,
    window: std::time::Duration,
) -> Result<Timestamp, Untrusted> {
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let (_, time) = parts().find(|(name, _)| *name == "t").ok_or(Untrusted::Malformed)?;
    let at = time.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(Untrusted::Malformed)?;
    let signatures: Vec<_> =
        parts().filter(|(name, _)| *name == "v1").filter_map(|(_, digits)| unhex(digits)).collect();
    any_fits(keys, &[time.as_bytes(), b".", body], &signatures)?;
    if now.duration_since(at).unsigned_abs() > window {
        return Err(Untrusted::Stale);
    }
    Ok(at)
}

/// Whether one of the signatures is that of one of the keys. Compares in constant time.
pub(crate) fn any_fits(keys: &[Secret], parts: &[&[u8]], signatures: &[Vec<u8>]) -> Result<(), Untrusted> {
    if signatures.is_empty() {
        return Err(Untrusted::Malformed);
    }
    let fits = |key: &Secret| {
        let mac = mac(key, parts);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    // An empty key is everybody's.
    if keys.iter().any(|key| !key.expose().is_empty() && fits(key)) { Ok(()) } else { Err(Untrusted::Wrong) }
}

/// Bytes of hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn mac(key: &Secret, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn check(header: &str, body: &[u8], now: i64) -> Result<Timestamp, Untrusted> {
        verify(&[Secret::new("new"), Secret::new("old")], header, body, at(now), WINDOW)
    }

    #[test]
    fn r35_what_was_signed_is_believed() {
        let header = sign(&Secret::new("old"), at(NOW), b"body");
        assert_eq!(check(&header, b"body", NOW + 299), Ok(at(NOW)));
        assert_eq!(check(&format!("v0=00, v1=00,{header}"), b"body", NOW), Ok(at(NOW)));
    }

    #[test]
    fn r35_another_body_key_or_time_is_not_believed() {
        let header = sign(&Secret::new("old"), at(NOW), b"body");
        assert_eq!(check(&header, b"bodi", NOW), Err(Untrusted::Wrong));
        assert_eq!(check(&sign(&Secret::new("third"), at(NOW), b"body"), b"body", NOW), Err(Untrusted::Wrong));
        assert_eq!(check(&header.replace("t=1767225600", "t=1767225601"), b"body", NOW), Err(Untrusted::Wrong));
        assert_eq!(check(&header[..header.len() - 2], b"body", NOW), Err(Untrusted::Wrong));
        assert_eq!(verify(&[], &header, b"body", at(NOW), WINDOW), Err(Untrusted::Wrong));
        let empty = Secret::new("");
        assert_eq!(
            verify(std::slice::from_ref(&empty), &sign(&empty, at(NOW), b"a"), b"a", at(NOW), WINDOW),
            Err(Untrusted::Wrong)
        );
    }

    #[test]
    fn r35_a_copy_of_an_old_body_is_not_believed() {
        let header = sign(&Secret::new("old"), at(NOW), b"body");
        assert_eq!(check(&header, b"body", NOW + 301), Err(Untrusted::Stale));
        assert_eq!(check(&header, b"body", NOW - 301), Err(Untrusted::Stale));
    }

    #[test]
    fn r35_headers_that_are_none_are_refused() {
        for header in ["", "t=", "t=1767225600", "v1=00", "t=x,v1=00", "t=99999999999999999,v1=00", "t=1,v1=0g", "=,="]
        {
            assert_eq!(check(header, b"body", NOW), Err(Untrusted::Malformed), "{header}");
        }
    }

    /// The value is that of `printf '1767225600.body' | openssl dgst -sha256 -hmac old`.
    #[test]
    fn a_signature_is_what_other_tools_compute() {
        let header = sign(&Secret::new("old"), at(NOW), b"body");
        assert_eq!(header, "t=1767225600,v1=7808afe2cd10b946e3fc9501613e5da82a11b539bf1bf7a4a06aee860740792c");
    }
}
