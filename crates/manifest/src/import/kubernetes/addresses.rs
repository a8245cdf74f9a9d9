//! The addresses by which Services were reached, in values that name them.
//!
//! Inside an environment a service is reached by its own name, on the port that it listens on. A Service may
//! have led from another port, and may have been named with its namespace: such addresses are rewritten.

use std::collections::HashMap;

use super::Import;
use super::draft::{App, Part, Text};
use super::objects::Object;

/// Where a Service leads.
pub(super) struct Backend {
    pub(super) draft: usize,
    /// The name of the service here.
    pub(super) host: String,
    /// The name, the number, and the container's port of each.
    pub(super) ports: Vec<(Option<String>, u16, u16)>,
}

impl Backend {
    /// The container's port behind the port `number`.
    fn behind(&self, number: u16) -> Option<u16> {
        self.ports.iter().find(|(_, known, _)| *known == number).map(|(.., target)| *target)
    }

    /// The container's port behind a port that is given by number or by name.
    pub(super) fn port(&self, written: &str) -> Option<u16> {
        let number = crate::import::read::port(written);
        let found =
            self.ports.iter().find(|(name, known, _)| Some(*known) == number || name.as_deref() == Some(written));
        found.map(|(.., target)| *target)
    }
}

/// Every Service that leads to a service here, by namespace and name.
#[derive(Default)]
pub(super) struct Addresses<'n> {
    known: HashMap<&'n str, HashMap<&'n str, Backend>>,
}

/// A text with its addresses as they are here, and the names in it that lead nowhere.
struct Rewritten<'t> {
    text: Option<String>,
    unknown: Vec<&'t str>,
}

impl<'n> Addresses<'n> {
    pub(super) fn learn(&mut self, object: &Object<'n>, backend: Backend) {
        self.known.entry(object.namespace).or_default().insert(object.name, backend);
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Backend> {
        self.known.get(namespace)?.get(name)
    }

    /// The service here that is reached as `word`.
    pub(super) fn host(&self, namespace: &str, word: &str) -> Option<&str> {
        self.resolve(namespace, word, true).map(|backend| backend.host.as_str())
    }

    /// Rewrites the addresses in everything that services are given, and says so for each.
    pub(super) fn rewrite(&self, import: &Import<'_, '_>, app: &mut App<'_>) {
        for draft in &mut app.services {
            let namespace = draft.object.namespace;
            draft.texts_mut().for_each(|text| self.rewrite_text(import, namespace, text));
        }
        for config in &mut app.configs {
            self.rewrite_text(import, config.namespace, &mut config.content);
        }
    }

    fn rewrite_text(&self, import: &Import<'_, '_>, namespace: &str, text: &mut Text) {
        for part in &mut text.parts {
            let Part::Text(written) = part else { continue };
            let Rewritten { text: new, unknown } = self.rewritten(namespace, written);
            for name in unknown {
                let (what, advice) = match name.strip_prefix('.') {
                    Some(_) => (format!("`{name}`: a replica has no name of its own"), "address the service"),
                    None => (
                        format!("`{name}` leads to a Service that is not among what was imported"),
                        "import it as well, or write an address that can be reached from here",
                    ),
                };
                import.notes.not_carried(text.span, what, advice);
            }
            if let Some(new) = new {
                let what = "an address of a Service in this value is now that of the service here".to_owned();
                import.notes.changed(
                    text.span,
                    what,
                    "inside an environment a service is reached by its name, on the port that it listens on",
                );
                *written = new;
            }
        }
    }

    fn rewritten<'t>(&self, namespace: &str, text: &'t str) -> Rewritten<'t> {
        let mut out = String::new();
        let mut unknown = Vec::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(start) = text[at..].find(is_host_byte).map(|offset| at + offset) {
            let length = text[start..].find(|c| !is_host_byte(c)).unwrap_or(text.len() - start);
            let token = text[start..start + length].trim_end_matches(['.', '-']);
            at = start + length;
            let end = start + token.len();
            let port = port_after(&text[end..]);
            let addressed = text[..start].ends_with("//")
                || text[..start].ends_with('@')
                || port.is_some()
                || token.len() == text.len();
            let Some(backend) = self.resolve(namespace, token, addressed) else {
                if token.contains(".svc.") || token.ends_with(".svc") {
                    unknown.push(token);
                }
                continue;
            };
            let usual = || usual_port(&text[..start]).filter(|_| port.is_none());
            let number = port.map(|(number, _)| number).or_else(usual);
            let moved = number.and_then(|number| backend.behind(number).filter(|target| *target != number));
            if backend.host == token && moved.is_none() {
                continue;
            }
            out.push_str(&text[copied..start]);
            out.push_str(&backend.host);
            copied = end;
            if let Some(target) = moved {
                out.push_str(&format!(":{target}"));
                copied += port.map_or(0, |(_, length)| length);
            }
            at = at.max(copied);
        }
        let text = (copied > 0).then(|| out + &text[copied..]);
        Rewritten { text, unknown }
    }

    /// The Service that a host name means when it is looked up in `namespace`. A name without dots may be any
    /// word, so it has to stand where an address does.
    fn resolve(&self, namespace: &str, token: &str, addressed: bool) -> Option<&Backend> {
        let short = token.strip_suffix(".svc.cluster.local").or_else(|| token.strip_suffix(".svc"));
        let labels: Vec<&str> = short.unwrap_or(token).splitn(4, '.').collect();
        let of_set = |pod: &str| pod.rsplit_once('-').is_some_and(|(_, number)| number.parse::<u16>().is_ok());
        match *labels.as_slice() {
            [name] if addressed && short.is_none() => self.find(namespace, name),
            [first, second] => {
                let pod = || self.find(namespace, second).filter(|_| of_set(first) && short.is_none());
                self.find(second, first).or_else(pod)
            }
            [pod, name, namespace] if of_set(pod) => self.find(namespace, name),
            _ => None,
        }
    }
}

fn is_host_byte(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-')
}

/// The port behind a host name, and how long it is with its colon.
fn port_after(text: &str) -> Option<(u16, usize)> {
    let digits = text.strip_prefix(':')?;
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    Some((crate::import::read::port(&digits[..length])?, 1 + length))
}

/// The port that an address without one means, by what stands before the host name.
fn usual_port(before: &str) -> Option<u16> {
    [("http://", 80), ("https://", 443), ("ws://", 80), ("wss://", 443)]
        .into_iter()
        .find(|(scheme, _)| before.ends_with(scheme))
        .map(|(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        let mut addresses = Addresses::default();
        let ports = vec![(Some("http".to_owned()), 80, 8080), (None, 9000, 9000)];
        addresses.known.entry("shop").or_default().insert("api", Backend { draft: 0, host: "api".to_owned(), ports });
        let ports = vec![(None, 5432, 5432)];
        addresses
            .known
            .entry("shop")
            .or_default()
            .insert("db-headless", Backend { draft: 1, host: "db".to_owned(), ports });
        addresses.rewritten("shop", text).text.unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn addresses_lead_to_the_port_that_is_listened_on() {
        let all = [
            ("http://api", "http://api:8080"),
            ("http://api/v1?x=api", "http://api:8080/v1?x=api"),
            ("http://api:80/v1", "http://api:8080/v1"),
            ("api:80,api:9000", "api:8080,api:9000"),
            ("http://api.shop", "http://api:8080"),
            ("http://api.shop.svc.cluster.local:80", "http://api:8080"),
            ("api.shop.svc", "api"),
            ("postgres://a:b@db-headless:5432/x", "postgres://a:b@db:5432/x"),
            ("db-headless", "db"),
            ("db-0.db-headless.shop.svc.cluster.local", "db"),
            ("db-0.db-headless", "db"),
            ("the api and its db-headless", "the api and its db-headless"),
            ("http://rapi", "http://rapi"),
            ("http://api.example.com", "http://api.example.com"),
            ("https://api", "https://api"),
            ("é api:80", "é api:8080"),
        ];
        for (text, expect) in all {
            assert_eq!(rewritten(text), expect, "{text}");
        }
    }

    #[test]
    fn names_of_other_namespaces_are_told() {
        let addresses = Addresses::default();
        let found = addresses.rewritten("shop", "http://auth.login.svc.cluster.local/x mail.example.com");
        assert_eq!((found.text, found.unknown), (None, vec!["auth.login.svc.cluster.local"]));
        let found = addresses.rewritten("shop", "$(POD).db.shop.svc:5432");
        assert_eq!((found.text, found.unknown), (None, vec![".db.shop.svc"]));
    }
}
