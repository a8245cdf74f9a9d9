//! What the first bytes of a connection say.

/// What a connection's first bytes are the beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Something else.
    Bytes,
    /// It may still become HTTP.
    Unsure,
}

/// The connection preface of HTTP/2 (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const METHODS: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"PATCH ", b"OPTIONS ", b"CONNECT ", b"TRACE "];

/// Reads the first bytes of a connection that may speak anything.
pub(crate) fn sniff(bytes: &[u8]) -> Sniffed {
    match sniff_http(bytes) {
        Sniffed::Http1 if METHODS.iter().any(|method| bytes.starts_with(method)) => Sniffed::Http1,
        Sniffed::Http1 if METHODS.iter().any(|method| method.starts_with(bytes)) => Sniffed::Unsure,
        Sniffed::Http1 => Sniffed::Bytes,
        other => other,
    }
}

/// Reads the first bytes of a connection that speaks HTTP of some version.
pub(crate) fn sniff_http(bytes: &[u8]) -> Sniffed {
    if bytes.starts_with(HTTP2_PREFACE) {
        Sniffed::Http2
    } else if HTTP2_PREFACE.starts_with(bytes) {
        Sniffed::Unsure
    } else {
        Sniffed::Http1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_protocol() {
        for (bytes, want) in [
            (&b""[..], Sniffed::Unsure),
            (b"G", Sniffed::Unsure),
            (b"GET / HTTP/1.1\r\n", Sniffed::Http1),
            (b"P", Sniffed::Unsure),
            (b"PR", Sniffed::Unsure),
            (b"POST", Sniffed::Unsure),
            (b"POST /", Sniffed::Http1),
            (HTTP2_PREFACE, Sniffed::Http2),
            (b"PRI * HTTP/2.0\r\n", Sniffed::Unsure),
            (b"PRI * HTTP/1.1\r\n", Sniffed::Bytes),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Sniffed::Bytes),
            (b"SSH-2.0-", Sniffed::Bytes),
            (b"GETS", Sniffed::Bytes),
        ] {
            assert_eq!(sniff(bytes), want, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
