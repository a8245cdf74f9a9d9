//! Headers between client and replica.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Uri, Version, request};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Names a request at both ends.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of the client's side of a connection.
pub(crate) struct Client {
    /// Its address as text.
    pub(crate) address: HeaderValue,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// It is a proxy before us, which says by itself whom it speaks for.
    pub(crate) behind: bool,
}

impl Client {
    /// `http` or `https`: what the client spoke, also with a proxy before us.
    pub(crate) fn scheme(&self, headers: &HeaderMap) -> &'static str {
        match headers.get(FORWARDED_PROTO).filter(|_| self.behind) {
            Some(proto) if proto.as_bytes().eq_ignore_ascii_case(b"https") => "https",
            _ => self.scheme,
        }
    }
}

/// Removes what concerns one connection only (RFC 9110, section 7.6.1): also what `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // What frames or addresses the message is not the client's to remove.
            .filter(|name| ![header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE].contains(name))
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in [
        KEEP_ALIVE,
        PROXY_CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
    ] {
        headers.remove(name);
    }
}

/// Makes a client's request one for a replica over HTTP/1.1, except for an upgrade, which is its caller's.
pub(crate) fn prepare_request(head: &mut request::Parts, host: &HeaderValue, client: &Client, id: &HeaderValue) {
    let trailers = head.headers.get(header::TE).is_some_and(|value| names(value, "trailers"));
    strip_hop_by_hop(&mut head.headers);
    head.headers.remove(header::TE);
    if trailers {
        head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    head.headers.remove(header::EXPECT);
    head.headers.remove(header::FORWARDED);
    if head.version == Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    head.headers.insert(header::HOST, host.clone());
    forwarded_for(&mut head.headers, &client.address);
    let scheme = client.scheme(&head.headers);
    head.headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    head.headers.insert(FORWARDED_HOST, host.clone());
    head.headers.insert(REQUEST_ID, id.clone());
    head.version = Version::HTTP_11;
    if head.uri.scheme().is_some() || head.uri.authority().is_some() {
        head.uri = origin_form(&head.uri);
    }
}

/// Path and query alone, without copying them.
fn origin_form(uri: &Uri) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).unwrap_or_default()
}

/// Appends the client's address to those that proxies before us have named.
fn forwarded_for(headers: &mut HeaderMap, address: &HeaderValue) {
    let before: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    let value = if before.is_empty() {
        address.clone()
    } else {
        let joined = [&before[..], &[address.as_bytes()]].concat().join(&b", "[..]);
        HeaderValue::from_bytes(&joined).unwrap_or_else(|_| address.clone())
    };
    headers.insert(FORWARDED_FOR, value);
}

/// HTTP/2 may split `Cookie` (RFC 9113, section 8.2.3); HTTP/1.1 has one.
fn join_cookies(headers: &mut HeaderMap) {
    let mut all = headers.get_all(header::COOKIE).iter();
    if let (Some(_), Some(_)) = (all.next(), all.next()) {
        let parts: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(value) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
            headers.insert(header::COOKIE, value);
        }
    }
}

/// Whether a comma-separated header names `token`.
pub(crate) fn names(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|text| {
        text.split(',').any(|part| part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(token))
    })
}

/// The host that a request is for: HTTP/2's authority, that of an absolute URI, or `Host`.
pub(crate) fn host_of(head: &request::Parts) -> HeaderValue {
    let authority = head.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let host = authority.or_else(|| head.headers.get(header::HOST).cloned());
    host.unwrap_or_else(|| HeaderValue::from_static(""))
}

/// The id that the client gave a request, or a new one. Ids that are long or hold anything but letters,
/// digits and `-_.:/+=` are replaced.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    match headers.get(REQUEST_ID) {
        Some(id) if (1..=128).contains(&id.len()) && id.as_bytes().iter().all(is_plain) => id.clone(),
        _ => new_request_id(),
    }
}

/// 32 hexadecimal digits: 64 random bits of this process, and a count that is mixed with others of them.
fn new_request_id() -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static SEED: std::sync::LazyLock<[u64; 2]> = std::sync::LazyLock::new(|| {
        use std::hash::{BuildHasher, RandomState};
        [RandomState::new().hash_one(std::process::id()), RandomState::new().hash_one("daybook")]
    });
    // An odd factor makes distinct counts distinct ids.
    let count = COUNT.fetch_add(1, Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ SEED[1];
    let mut text = [0_u8; 32];
    for (i, digit) in text.iter_mut().enumerate() {
        let word = if i < 16 { SEED[0] } else { count };
        *digit = b"0123456789abcdef"[(word >> (4 * (i % 16)) & 15) as usize];
    }
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client { address: HeaderValue::from_static("192.0.2.7"), scheme: "https", behind: false }
    }

    fn prepared(request: http::Request<()>) -> HeaderMap {
        let mut head = request.into_parts().0;
        let host = host_of(&head);
        prepare_request(&mut head, &host, &client(), &HeaderValue::from_static("id"));
        assert_eq!(head.version, Version::HTTP_11);
        assert!(head.uri.authority().is_none());
        head.headers
    }

    #[test]
    fn hop_by_hop_headers_stay_behind() {
        let request = http::Request::get("/")
            .header("host", "a")
            .header("connection", "keep-alive, X-Private, host")
            .header("keep-alive", "timeout=5")
            .header("x-private", "1")
            .header("te", "gzip, trailers;q=0.5")
            .header("expect", "100-continue")
            .header("proxy-authorization", "x")
            .header("forwarded", "for=spoofed")
            .header("accept", "*/*");
        let headers = prepared(request.body(()).unwrap());
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let want = ["accept", "host", "te", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"];
        assert_eq!(names, want);
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn the_client_is_appended_and_scheme_and_host_are_ours() {
        let request = http::Request::get("http://shop.example/x?y")
            .header("host", "shop.example")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-forwarded-for", "10.0.0.2")
            .header("x-forwarded-proto", "gopher");
        let headers = prepared(request.body(()).unwrap());
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1, 10.0.0.2, 192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "shop.example");
    }

    /// None is made where there is none: that would decide for services which of their requests are followed.
    #[test]
    fn where_a_request_stands_in_a_trace_goes_on_as_it_came() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = http::Request::get("/").header("host", "a").header("traceparent", parent);
        let request = request.header("tracestate", "rojo=1").header("tracestate", "congo=2");
        let headers = prepared(request.body(()).unwrap());
        assert_eq!(headers["traceparent"], parent);
        assert_eq!(headers.get_all("tracestate").iter().collect::<Vec<_>>(), ["rojo=1", "congo=2"]);
        let bare = prepared(http::Request::get("/").header("host", "a").body(()).unwrap());
        assert!(!bare.contains_key("traceparent"));
    }

    #[test]
    fn http2_becomes_http1() {
        let request = http::Request::get("https://shop.example/x")
            .version(Version::HTTP_2)
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let headers = prepared(request.body(()).unwrap());
        assert_eq!(headers["host"], "shop.example");
        assert_eq!(headers["cookie"], "a=1; b=2");
    }

    #[test]
    fn ids_are_kept_when_plain_and_made_otherwise() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            request_id(&headers)
        };
        assert_eq!(with("abc-1"), "abc-1");
        assert_ne!(with("a\"b"), "a\"b");
        assert_ne!(with(&"x".repeat(129)), "x".repeat(129));
        let (one, two) = (request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
        assert_ne!(one, two);
        assert_eq!(one.len(), 32);
    }
}
