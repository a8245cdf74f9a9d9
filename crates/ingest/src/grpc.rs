//! The little of gRPC that a call of OTLP takes on HTTP/2: one message each way, and a status after it.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>. A server that speaks HTTP/2 answers `POST` with `content-type:
//! application/grpc`, the status 200, the [`frame`] of an answer as its body, and [`trailers`] after it. That spares tonic, which would
//! bring a second server beside the one that is there, and takes as long to build as all of this crate.

use std::borrow::Cow;

use crate::unpack::unpack;
use crate::{Encoding, Limits, Refused};

/// The bytes before a message: whether it is packed, and its length.
const HEAD: usize = 5;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Well.
    Ok = 0,
    /// What was sent is no message, and is not to be sent again.
    InvalidArgument = 3,
    /// It is too large, or there is no room.
    ResourceExhausted = 8,
    /// There is no such method.
    Unimplemented = 12,
    /// It failed.
    Internal = 13,
    /// It may be sent again later.
    Unavailable = 14,
}

impl Code {
    /// For a body that is not taken.
    pub fn of(refused: &Refused) -> Self {
        match refused {
            Refused::TooLarge { .. } => Self::ResourceExhausted,
            Refused::Encoding(_) => Self::Unimplemented,
            Refused::ContentType(_) | Refused::Packed | Refused::Malformed(_) => Self::InvalidArgument,
        }
    }
}

/// Whether a request is one of gRPC, by the header `content-type`.
pub fn is_grpc(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind == "application/grpc" || kind == "application/grpc+proto"
}

/// The message of a body, which has exactly one. `encoding` is the value of the header `grpc-encoding`; what is returned is plain.
pub fn message<'a>(body: &'a [u8], encoding: &str, limits: Limits) -> Result<Cow<'a, [u8]>, Refused> {
    let malformed = || Refused::Malformed("it is not one message of gRPC".to_owned());
    let (head, rest) = body.split_at_checked(HEAD).ok_or_else(malformed)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length != rest.len() {
        return Err(malformed());
    }
    match head[0] {
        0 => unpack(rest, Encoding::Identity, limits.bytes),
        1 => match Encoding::of(encoding)? {
            Encoding::Gzip => unpack(rest, Encoding::Gzip, limits.bytes),
            Encoding::Identity | Encoding::Snappy => Err(Refused::Encoding(encoding.to_owned())),
        },
        _ => Err(malformed()),
    }
}

/// A message as it is sent, not packed.
pub fn frame(message: &[u8]) -> Vec<u8> {
    // Answers are short.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// What follows an answer, or stands in its place.
pub fn trailers(code: Code, message: &str) -> Vec<(&'static str, String)> {
    let mut trailers = vec![("grpc-status", (code as u8).to_string())];
    if !message.is_empty() {
        let escaped = |byte: u8| match byte {
            b' '..=b'~' if byte != b'%' => (byte as char).to_string(),
            _ => format!("%{byte:02X}"),
        };
        trailers.push(("grpc-message", message.bytes().map(escaped).collect()));
    }
    trailers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_goes_there_and_back() {
        let framed = frame(b"hello");
        assert_eq!(framed, b"\0\0\0\0\x05hello");
        assert_eq!(message(&framed, "", Limits::default()).unwrap().as_ref(), b"hello");
        assert_eq!(message(&framed, "", Limits { bytes: 4 }), Err(Refused::TooLarge { most: 4 }));
        for broken in [&framed[..9], b"", b"\x02\0\0\0\0", b"\0\0\0\0\x05hello!"] {
            assert!(matches!(message(broken, "gzip", Limits::default()), Err(Refused::Malformed(_))));
        }
        assert!(matches!(message(b"\x01\0\0\0\0", "snappy", Limits::default()), Err(Refused::Encoding(_))));
        assert!(is_grpc("application/grpc") && !is_grpc("application/grpc-web"));
    }

    #[test]
    fn a_status_is_told_in_ascii() {
        assert_eq!(trailers(Code::Ok, ""), [("grpc-status", "0".to_owned())]);
        let told = trailers(Code::of(&Refused::Packed), "50% größer\n");
        assert_eq!((told[0].1.as_str(), told[1].1.as_str()), ("3", "50%25 gr%C3%B6%C3%9Fer%0A"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "\\PC{0,9}") {
            _ = message(&bytes, &text, Limits { bytes: 100 });
            let framed = frame(&bytes);
            prop_assert_eq!(message(&framed, "", Limits { bytes: 100 }).unwrap().into_owned(), bytes);
        }
    }
}
