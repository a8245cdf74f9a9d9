//! Requests that two servers could read in two ways are refused, never forwarded.

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version, request};

use super::heads::Follows;

/// Why a request is refused, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) why: &'static str,
}

const fn bad(why: &'static str) -> Refusal {
    Refusal { status: 400, why }
}

/// Looks at a request's head as hyper has parsed it, and for HTTP/1.1 at its raw bytes: hyper drops one of two
/// `Content-Length`, and all beside `Transfer-Encoding`, so only the raw bytes show that they were there.
pub(crate) fn check(head: &request::Parts, raw: Option<&[u8]>) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err(Refusal { status: 405, why: "CONNECT is not served" });
    }
    if head.version <= Version::HTTP_11 {
        let raw = raw.ok_or(bad("it came before the request before it had ended"))?;
        check_lines(raw)?;
        check_host(head)?;
        check_lengths(&head.headers, raw)?;
    } else if head.uri.authority().is_none() && !head.headers.contains_key(HOST) {
        return Err(bad("no authority"));
    }
    if head.uri.path().as_bytes().first() != Some(&b'/') && !(head.method == Method::OPTIONS && head.uri.path() == "*")
    {
        return Err(bad("the path does not begin with a slash"));
    }
    Ok(())
}

/// What follows a head, by what it says of it.
pub(super) fn follows(headers: &HeaderMap) -> Follows {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if headers.contains_key(TRANSFER_ENCODING) { Follows::Chunks } else { Follows::Bytes(length.unwrap_or(0)) }
}

/// Some servers end a line at LF alone, others do not.
fn check_lines(raw: &[u8]) -> Result<(), Refusal> {
    let mut lines = raw.split_inclusive(|byte| *byte == b'\n');
    if lines.all(|line| line.ends_with(b"\r\n")) { Ok(()) } else { Err(bad("a line that ends without CR")) }
}

fn check_host(head: &request::Parts) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Err(bad("more than one Host")),
        (None, None) if head.version == Version::HTTP_11 => Err(bad("no Host")),
        (Some(host), None) if !is_host(host.as_bytes()) => Err(bad("a Host that is none")),
        _ => Ok(()),
    }
}

/// Whether `text` may be a host with a port: nothing that ends a host early or names a user.
fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(byte))
}

fn check_lengths(headers: &HeaderMap, raw: &[u8]) -> Result<(), Refusal> {
    let lengths = content_lengths(raw);
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => check_content_length(headers, lengths),
        (_, Some(_)) => Err(bad("more than one Transfer-Encoding")),
        (Some(encoding), None) if !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Err(Refusal { status: 501, why: "a Transfer-Encoding other than chunked" })
        }
        _ if lengths > 0 => Err(bad("both Content-Length and Transfer-Encoding")),
        _ => Ok(()),
    }
}

fn check_content_length(headers: &HeaderMap, lengths: usize) -> Result<(), Refusal> {
    let is_number = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
    match headers.get(CONTENT_LENGTH) {
        Some(_) if lengths > 1 => Err(bad("more than one Content-Length")),
        Some(length) if !is_number(length) => Err(bad("a Content-Length that is no number")),
        _ => Ok(()),
    }
}

/// How many lines of a raw head begin with `content-length:`.
fn content_lengths(raw: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let is_named = |line: &&[u8]| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    raw.split(|byte| *byte == b'\n').filter(is_named).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: Version, uri: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut builder = http::Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    /// A head as it is sent.
    fn raw(headers: &[(&str, &str)]) -> String {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("POST / HTTP/1.1\r\n{lines}\r\n")
    }

    fn refused(headers: &[(&str, &str)], raw: &str) -> Option<&'static str> {
        check(&head(Version::HTTP_11, "/", headers), Some(raw.as_bytes())).err().map(|refusal| refusal.why)
    }

    #[test]
    fn r09_ambiguous_heads_are_refused() {
        for (headers, why) in [
            (&[][..], "no Host"),
            (&[("host", "a"), ("host", "a")], "more than one Host"),
            (&[("host", "a/b")], "a Host that is none"),
            (&[("host", "user@a")], "a Host that is none"),
            (&[("host", "a, b")], "a Host that is none"),
            (
                &[("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "3")],
                "both Content-Length and Transfer-Encoding",
            ),
            (&[("host", "a"), ("transfer-encoding", "gzip, chunked")], "a Transfer-Encoding other than chunked"),
            (
                &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                "more than one Transfer-Encoding",
            ),
            (&[("host", "a"), ("content-length", "3"), ("content-length", "3")], "more than one Content-Length"),
            (&[("host", "a"), ("content-length", "+3")], "a Content-Length that is no number"),
        ] {
            assert_eq!(refused(headers, &raw(headers)), Some(why));
        }
    }

    #[test]
    fn r09_what_hyper_drops_is_seen_in_the_raw_head() {
        let chunked = [("host", "a"), ("transfer-encoding", "chunked")];
        assert_eq!(refused(&chunked, &raw(&chunked)), None);
        let both = "POST / HTTP/1.1\r\nCONTENT-length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(&chunked, both), Some("both Content-Length and Transfer-Encoding"));
        assert_eq!(refused(&chunked, "POST /content-length: HTTP/1.1\r\n\r\n"), None);
        let twice = raw(&[("content-length", "3"), ("Content-Length", "3")]);
        assert_eq!(refused(&[("host", "a"), ("content-length", "3")], &twice), Some("more than one Content-Length"));
        assert_eq!(refused(&[("host", "a")], "GET / HTTP/1.1\nHost: a\n\n"), Some("a line that ends without CR"));
        let unseen = check(&head(Version::HTTP_11, "/", &[("host", "a")]), None).unwrap_err();
        assert_eq!(unseen.why, "it came before the request before it had ended");
    }

    #[test]
    fn ordinary_heads_pass() {
        for headers in [&[("host", "a.example:8080"), ("content-length", "0")][..], &[("host", "[::1]:80")]] {
            assert_eq!(refused(headers, &raw(headers)), None);
        }
        assert!(check(&head(Version::HTTP_2, "http://a.example/x", &[]), None).is_ok());
        assert!(check(&head(Version::HTTP_10, "/x", &[]), Some(b"GET /x HTTP/1.0\r\n\r\n")).is_ok());
    }
}
