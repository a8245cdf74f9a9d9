//! Which route a request for a host and a path takes.

use std::borrow::Cow;
use std::collections::HashMap;

/// Routes by host and path prefix.
///
/// An exact host comes before a wildcard, a longer wildcard before a shorter, and any wildcard before
/// `*`; within a host the longest path prefix wins. A host whose prefixes all miss falls through to the
/// next, so that `*` may serve what `example.com/api` does not.
#[derive(Debug)]
pub(crate) struct DomainIndex<T> {
    exact: HashMap<String, Paths<T>>,
    /// By the part after `*.`.
    wildcard: HashMap<String, Paths<T>>,
    any: Paths<T>,
}

/// Routes of one host, longest prefix first.
type Paths<T> = Vec<(String, T)>;

impl<T> DomainIndex<T> {
    pub(crate) fn new() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), any: Vec::new() }
    }

    /// Adds a route. Gives it back when the same host and path lead elsewhere already.
    pub(crate) fn insert(&mut self, host: &str, path: &str, route: T) -> Result<(), T> {
        let host = normalize(host);
        let paths = match host.strip_prefix("*.") {
            _ if host == "*" => &mut self.any,
            Some(parent) => self.wildcard.entry(parent.to_owned()).or_default(),
            None => self.exact.entry(host.into_owned()).or_default(),
        };
        let path = if path.is_empty() { "/" } else { path };
        if paths.iter().any(|(there, _)| there == path) {
            return Err(route);
        }
        let place = paths.partition_point(|(there, _)| there.len() >= path.len());
        paths.insert(place, (path.to_owned(), route));
        Ok(())
    }

    /// The route for a request. `host` may carry a port.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&T> {
        let host = normalize(host);
        let exact = self.exact.get(host.as_ref()).into_iter();
        exact.chain(self.wildcards(&host)).chain([&self.any]).find_map(|paths| longest(paths, path))
    }

    /// Any route of this host, whatever its path: what a certificate is chosen by.
    pub(crate) fn of_host(&self, host: &str) -> Vec<&T> {
        let host = normalize(host);
        let exact = self.exact.get(host.as_ref()).into_iter();
        exact.chain(self.wildcards(&host)).chain([&self.any]).flatten().map(|(_, route)| route).collect()
    }

    /// Wildcards that cover a host, the longest first.
    fn wildcards<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a Paths<T>> {
        let none = self.wildcard.is_empty();
        let dots = host.match_indices('.').filter(move |_| !none);
        dots.filter_map(|(at, _)| self.wildcard.get(&host[at + 1..]))
    }
}

fn longest<'a, T>(paths: &'a Paths<T>, path: &str) -> Option<&'a T> {
    paths.iter().find(|(prefix, _)| is_beneath(prefix, path)).map(|(_, route)| route)
}

/// Whether `path` is `prefix` or beneath it, by whole segments: `/api` leads `/api/x` but not `/apis`.
fn is_beneath(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// A host in lower case, without port and closing dot.
pub(crate) fn normalize(host: &str) -> Cow<'_, str> {
    let bare = without_port(host);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(bare.to_ascii_lowercase())
    } else {
        Cow::Borrowed(bare)
    }
}

fn without_port(host: &str) -> &str {
    if let Some(end) = host.strip_prefix('[').and_then(|rest| rest.find(']')) {
        return &host[1..=end];
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> DomainIndex<&'static str> {
        let mut index = DomainIndex::new();
        for (host, path, route) in [
            ("shop.example.com", "/", "shop"),
            ("shop.example.com", "/api", "api"),
            ("shop.example.com", "/api/v2", "api2"),
            ("*.example.com", "/", "wild"),
            ("*.eu.example.com", "/", "wild-eu"),
            ("only.example.org", "/app", "only"),
            ("*", "/", "any"),
        ] {
            index.insert(host, path, route).unwrap();
        }
        index
    }

    #[test]
    fn exact_host_then_longest_wildcard_then_any() {
        let index = index();
        for (host, path, want) in [
            ("shop.example.com", "/", "shop"),
            ("SHOP.example.com:8443", "/x", "shop"),
            ("shop.example.com.", "/x", "shop"),
            ("shop.example.com", "/api", "api"),
            ("shop.example.com", "/api/x", "api"),
            ("shop.example.com", "/apis", "shop"),
            ("shop.example.com", "/api/v2/x", "api2"),
            ("a.example.com", "/", "wild"),
            ("b.a.example.com", "/", "wild"),
            ("a.eu.example.com", "/", "wild-eu"),
            ("example.com", "/", "any"),
            ("127.0.0.1:80", "/", "any"),
            ("[::1]:80", "/", "any"),
            ("only.example.org", "/app/x", "only"),
            ("only.example.org", "/other", "any"),
        ] {
            assert_eq!(index.find(host, path), Some(&want), "{host}{path}");
        }
    }

    #[test]
    fn a_second_route_for_the_same_place_is_given_back() {
        assert_eq!(index().insert("SHOP.example.com", "/api", "again"), Err("again"));
    }

    #[test]
    fn without_a_match_there_is_no_route() {
        let mut index = DomainIndex::new();
        index.insert("a.example", "/", ()).unwrap();
        assert_eq!(index.find("b.example", "/"), None);
    }

    #[test]
    fn hosts_lose_port_case_and_dot() {
        for (text, want) in
            [("A.b:80", "a.b"), ("a.", "a"), ("[::1]:8080", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("a:x", "a:x")]
        {
            assert_eq!(normalize(text), want);
        }
    }
}
