//! Secrets by reference. Their values are never read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use daybook_model::Digest;

use super::Import;
use super::draft::Text;
use super::objects::{Cluster, Object};
use crate::import::names::Names;
use crate::import::read::{list, map, text};
use crate::tree::{Map, Node, Span};

/// Kinds that hold the keys of a secret.
const KINDS: [&str; 3] = ["Secret", "SealedSecret", "ExternalSecret"];

/// How many keys an ExternalSecret may have: they are looked through one by one.
const MOST: usize = 1_000;

/// The secrets that the manifest refers to.
#[derive(Default)]
pub(super) struct Secrets {
    names: Names,
    known: RefCell<BTreeMap<(String, String, String), String>>,
    used: RefCell<HashSet<(String, String)>>,
    /// What is to be done for each, where it is used in the end.
    to_do: RefCell<BTreeMap<String, (Span, String, String)>>,
}

/// The object that makes the secret `name`.
pub(super) fn find<'n>(cluster: &Cluster<'n>, namespace: &str, name: &str) -> Option<Object<'n>> {
    KINDS.into_iter().find_map(|kind| cluster.find(kind, namespace, name))
}

/// The keys of a secret, each with its place.
pub(super) fn keys<'n>(object: &Object<'n>) -> Vec<(&'n str, Span)> {
    let of =
        |map: Option<&'n Map>| map.into_iter().flat_map(Map::iter).map(|entry| (entry.key.as_str(), entry.key_span));
    let spec = object.spec();
    let mut keys: Vec<_> = match object.kind {
        "SealedSecret" => of(spec.and_then(|spec| map(spec, "encryptedData"))).collect(),
        "ExternalSecret" => {
            let items = spec.map(|spec| list(spec, "data")).unwrap_or_default();
            items
                .iter()
                .take(MOST)
                .filter_map(|item| Some((text(item, "secretKey")?, item.get("secretKey")?.span)))
                .collect()
        }
        _ => of(map(object.node, "data")).chain(of(map(object.node, "stringData"))).collect(),
    };
    keys.sort_by_key(|(key, _)| *key);
    keys.dedup_by_key(|(key, _)| *key);
    keys
}

/// Where a secret has its key.
pub(super) fn place(object: &Object<'_>, key: &str) -> Option<Span> {
    let of = |node: Option<&Node>, section: &str| Some(map(node?, section)?.entry(key)?.key_span);
    match object.kind {
        "SealedSecret" => of(object.spec(), "encryptedData"),
        "ExternalSecret" => keys(object).into_iter().find(|(known, _)| *known == key).map(|(_, place)| place),
        _ => of(Some(object.node), "data").or_else(|| of(Some(object.node), "stringData")),
    }
}

impl Secrets {
    /// The secret here for one key of a secret there, which is asked for at `span`.
    pub(super) fn of_key(&self, cluster: &Cluster<'_>, from: (&str, &str), key: &str, span: Span) -> String {
        let (namespace, secret) = from;
        self.mark_used(namespace, secret);
        let id = (namespace.to_owned(), secret.to_owned(), key.to_owned());
        if let Some(name) = self.known.borrow().get(&id) {
            return name.clone();
        }
        let name = self.names.take(&[&format!("{secret}.{key}")]);
        self.known.borrow_mut().insert(id, name.clone());
        let object = find(cluster, namespace, secret);
        let place = object.and_then(|object| place(&object, key));
        let what = format!("the secret `{name}` has to be set: it is `{key}` of Secret {secret}");
        let to_do = (place.unwrap_or(span), what, advice(&name, namespace, secret, key));
        self.to_do.borrow_mut().insert(name.clone(), to_do);
        name
    }

    /// The secret here for a text that stands in clear in an object, as the value of `variable` of `service`.
    /// Only a digest of the text is kept, to tell one value of the variable from another.
    pub(super) fn of_text(&self, service: &str, variable: &str, value: &Text) -> String {
        let digest = Digest::of(value.plain().unwrap_or_default().as_bytes());
        let id = (service.to_owned(), variable.to_owned(), digest.to_string());
        if let Some(name) = self.known.borrow().get(&id) {
            return name.clone();
        }
        let name = self.names.take(&[&format!("{service}.{variable}")]);
        self.known.borrow_mut().insert(id, name.clone());
        let what =
            format!("the secret `{name}` has to be set: `{variable}` looks like a secret, and its value stands here");
        let to_do = (value.span, what, format!("daybook secret set {name}"));
        self.to_do.borrow_mut().insert(name.clone(), to_do);
        name
    }

    /// Tells how to set those that the manifest refers to.
    pub(super) fn report(&self, import: &Import<'_, '_>, referred: &BTreeSet<String>) {
        for (name, (span, what, advice)) in self.to_do.take() {
            if referred.contains(&name) {
                import.notes.to_do(span, what, advice);
            }
        }
    }

    /// Says that something here takes the place of the secret, or refers to it.
    pub(super) fn mark_used(&self, namespace: &str, secret: &str) {
        self.used.borrow_mut().insert((namespace.to_owned(), secret.to_owned()));
    }

    /// Reports secrets that nothing refers to.
    pub(super) fn report_unused(&self, import: &Import<'_, '_>, cluster: &Cluster<'_>) {
        let used = self.used.borrow();
        for object in cluster.all.iter().filter(|object| KINDS.contains(&object.kind)) {
            if !used.contains(&(object.namespace.to_owned(), object.name.to_owned())) {
                let what = format!("{}: no service that was imported uses it", object.shown());
                import.notes.not_carried(object.at, what, "");
            }
        }
    }
}

/// The command that sets the secret from the cluster. What a file says becomes a part of a command only where
/// no shell could take it for anything but a name.
fn advice(name: &str, namespace: &str, secret: &str, key: &str) -> String {
    let plain = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    if ![namespace, secret, key].iter().all(plain) {
        return format!("daybook secret set {name}");
    }
    let flag = if namespace == "default" { String::new() } else { format!(" -n {namespace}") };
    let path = key.replace('.', "\\.");
    format!("kubectl get secret {secret}{flag} -o jsonpath='{{.data.{path}}}' | base64 -d | daybook secret set {name}")
}

/// Whether an address in a text holds a password: `scheme://user:password@host`.
pub(super) fn holds_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        let login = authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':'));
        login.is_some_and(|(_, password)| !password.is_empty())
    })
}

/// Whether the value of a variable with a name that looks secret can be one: numbers and words for yes and no
/// are settings.
pub(super) fn may_be_secret(value: &str) -> bool {
    let setting = value.parse::<f64>().is_ok() || crate::units::boolean(value).is_some() || value.starts_with('/');
    !value.is_empty() && !setting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_seen() {
        for text in ["postgres://shop:hunter2@db:5432/shop", "a=1 b=redis://:pw@cache"] {
            assert!(holds_password(text), "{text}");
        }
        for text in ["http://api:8080/a@b:c", "postgres://shop@db", "postgres://shop:@db", "a:b@c", "mailto:a@b"] {
            assert!(!holds_password(text), "{text}");
        }
    }

    #[test]
    fn r32_a_command_to_copy_holds_names_only() {
        assert!(advice("a.b", "shop", "a", "tls.crt").contains("'{.data.tls\\.crt}'"));
        for bad in ["$(x)", "a;b", "'", "-x", "a b", ""] {
            assert_eq!(advice("n", "shop", bad, "k"), "daybook secret set n");
            assert_eq!(advice("n", bad, "a", "k"), "daybook secret set n");
        }
    }
}
