//! Requests that two servers could read in two ways are refused, never forwarded.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version, request};

/// Why a request is refused, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) why: &'static str,
}

const fn bad(why: &'static str) -> Refusal {
    Refusal { status: 400, why }
}

/// Looks at a request's head as hyper has parsed it, and at its raw bytes as far as they are known: hyper
/// drops a `Content-Length` beside `Transfer-Encoding`, so only the raw bytes show that both were there.
pub(crate) fn check(head: &request::Parts, raw: Option<&[u8]>) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err(Refusal { status: 405, why: "CONNECT is not served" });
    }
    if head.version <= Version::HTTP_11 {
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

fn check_lengths(headers: &HeaderMap, raw: Option<&[u8]>) -> Result<(), Refusal> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return check_content_length(headers) };
    if encodings.next().is_some() {
        return Err(bad("more than one Transfer-Encoding"));
    }
    if !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Refusal { status: 501, why: "a Transfer-Encoding other than chunked" });
    }
    if headers.contains_key(CONTENT_LENGTH) || raw.is_some_and(names_content_length) {
        return Err(bad("both Content-Length and Transfer-Encoding"));
    }
    Ok(())
}

fn check_content_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (Some(_), Some(_)) => Err(bad("more than one Content-Length")),
        (Some(length), None) if !length.as_bytes().iter().all(u8::is_ascii_digit) => {
            Err(bad("a Content-Length that is no number"))
        }
        _ => Ok(()),
    }
}

/// Whether a line of a raw head begins with `content-length:`.
fn names_content_length(raw: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length:";
    raw.split(|byte| *byte == b'\n')
        .any(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
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

    fn refused(headers: &[(&str, &str)], raw: Option<&[u8]>) -> Option<&'static str> {
        check(&head(Version::HTTP_11, "/", headers), raw).err().map(|refusal| refusal.why)
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
            assert_eq!(refused(headers, None), Some(why));
        }
    }

    #[test]
    fn r09_a_dropped_content_length_is_seen_in_the_raw_head() {
        let headers = [("host", "a"), ("transfer-encoding", "chunked")];
        assert_eq!(refused(&headers, None), None);
        let raw = b"POST / HTTP/1.1\r\nCONTENT-length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(&headers, Some(raw)), Some("both Content-Length and Transfer-Encoding"));
        assert_eq!(refused(&headers, Some(b"POST /content-length: HTTP/1.1\r\n\r\n")), None);
    }

    #[test]
    fn ordinary_heads_pass() {
        assert_eq!(refused(&[("host", "a.example:8080"), ("content-length", "0")], None), None);
        assert_eq!(refused(&[("host", "[::1]:80")], None), None);
        assert!(check(&head(Version::HTTP_2, "http://a.example/x", &[]), None).is_ok());
        assert!(check(&head(Version::HTTP_10, "/x", &[]), None).is_ok());
    }
}
