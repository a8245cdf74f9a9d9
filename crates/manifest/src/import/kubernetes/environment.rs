//! Variables of a container: `env`, `envFrom`, and references to them as `$(NAME)`.

use super::Import;
use super::draft::{Draft, Part, Text};
use super::fields::{self, Fate, Field};
use super::objects::Cluster;
use super::quantity::Quantity;
use super::secrets::{self, holds_password, may_be_secret};
use crate::import::read::{flag, list, map, placed, text};
use crate::tree::{Map, Node, Span, Value};

/// An item of `env`.
const VARIABLE: &[Field] = &[("name", Fate::Read), ("value", Fate::Read), ("valueFrom", Fate::Read)];

/// An item of `envFrom`.
const SOURCE: &[Field] = &[("prefix", Fate::Read), ("configMapRef", Fate::Read), ("secretRef", Fate::Read)];

/// What is at hand while the variables of one service are read.
struct Reader<'i, 'c, 'a, 'n> {
    import: &'i Import<'c, 'a>,
    cluster: &'i Cluster<'n>,
}

/// Reads the variables of the draft's container, and then its words, which may refer to them.
pub(super) fn read(import: &Import<'_, '_>, cluster: &Cluster<'_>, draft: &mut Draft<'_>) {
    let reader = Reader { import, cluster };
    for item in list(draft.container, "envFrom") {
        reader.source(draft, item);
    }
    for item in list(draft.container, "env") {
        reader.variable(draft, item);
    }
    draft.entrypoint = words(import, draft, "command");
    draft.command = words(import, draft, "args");
}

/// The words of the list at `key` of a container, with the variables of the draft filled in.
fn words(import: &Import<'_, '_>, draft: &Draft<'_>, key: &str) -> Vec<Text> {
    let word = |node: &Node| {
        let text = expand(import, draft, node.scalar().unwrap_or_default(), node.span);
        if let Some(plain) = text.plain() {
            if holds_password(&plain) {
                let what = format!("`{key}` of {}: an address in it holds a password in clear", draft.object.shown());
                import.notes.to_do(node.span, what, "let the program read it from a variable, which can be a secret");
            }
            return Text::new(plain, node.span);
        }
        let what = format!("`{key}` of {}: a secret cannot stand in a command", draft.object.shown());
        import.notes.not_carried(node.span, what, "let the program read the variable itself");
        let written = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Secret(_) => "SECRET".to_owned(),
        };
        Text::new(text.parts.iter().map(written).collect::<String>(), node.span)
    };
    list(draft.container, key).iter().map(word).collect()
}

/// How long the name of a variable may be.
const LONGEST: usize = 128;

/// Fills in `$(NAME)` from what is known; `$$` is a dollar sign, and what is not known stays as it stands.
fn expand(import: &Import<'_, '_>, draft: &Draft<'_>, text: &str, span: Span) -> Text {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        push(&mut parts, &rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            push(&mut parts, "$");
            rest = after;
            continue;
        }
        let Some((name, after)) = reference(rest) else {
            push(&mut parts, "$");
            continue;
        };
        match draft.variable(name).filter(|value| import.afford(span, value)) {
            Some(value) => value.parts.iter().for_each(|part| match part {
                Part::Text(text) => push(&mut parts, text),
                Part::Secret(_) => parts.push(part.clone()),
            }),
            None => {
                unknown(import, draft, name, span);
                push(&mut parts, &format!("$({name})"));
            }
        }
        rest = after;
    }
    push(&mut parts, rest);
    if parts.is_empty() {
        parts.push(Part::Text(String::new()));
    }
    Text { parts, span }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// The name in the parentheses that a text begins with, and what is behind them.
fn reference(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let end = inner.bytes().take(LONGEST).position(|byte| byte == b')')?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// A variable that is not there: it stays as it stands in Kubernetes too, unless it would be there.
fn unknown(import: &Import<'_, '_>, draft: &Draft<'_>, name: &str, span: Span) {
    if is_service_link(name) {
        let what = format!("`$({name})`: addresses of services are not given as variables");
        import.notes.not_carried(span, what, "write the service's name and port");
    } else if draft.left_out.contains(name) {
        let what = format!("`$({name})`: the variable is not carried over");
        import.notes.not_carried(span, what, "let the program read what it needs from another variable");
    }
}

/// `API_SERVICE_HOST`, which Kubernetes sets for every Service.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

impl<'n> Reader<'_, '_, '_, 'n> {
    /// Everything that an item of `envFrom` holds.
    fn source(&self, draft: &mut Draft<'_>, item: &'n Node) {
        fields::check(&self.import.notes, item, SOURCE, &format!("`envFrom` of {}", draft.object.shown()));
        let prefix = text(item, "prefix").unwrap_or_default();
        if let Some(from) = item.get("configMapRef") {
            self.config_map(draft, from, prefix);
        }
        if let Some(from) = item.get("secretRef") {
            self.secret(draft, from, prefix);
        }
    }

    fn config_map(&self, draft: &mut Draft<'_>, from: &'n Node, prefix: &str) {
        let Some((name, span)) = placed(from, "name") else { return };
        let Some(object) = self.import.config_map(self.cluster, draft.object.namespace, name) else {
            return self.missing(from, span, &format!("ConfigMap {name}"), "its variables are not known");
        };
        for entry in map(object.node, "data").into_iter().flat_map(Map::iter) {
            let value = entry.value.scalar().unwrap_or_default();
            self.literal(draft, &format!("{prefix}{}", entry.key), Text::new(value, entry.value.span), entry.key_span);
        }
    }

    fn secret(&self, draft: &mut Draft<'_>, from: &'n Node, prefix: &str) {
        let Some((name, span)) = placed(from, "name") else { return };
        let namespace = draft.object.namespace;
        let Some(object) = secrets::find(self.cluster, namespace, name) else {
            return self.missing(from, span, &format!("Secret {name}"), "the names of its variables are not known");
        };
        self.import.secrets.mark_used(namespace, name);
        let keys = secrets::keys(&object);
        if keys.is_empty() {
            let what = format!("`envFrom` of {}: {} does not say its keys", draft.object.shown(), object.shown());
            self.import.notes.not_carried(span, what, "write a variable for each: `NAME: {secret: NAME}`");
        }
        for (key, _) in keys {
            let secret = self.import.secrets.of_key(self.cluster, (namespace, name), key, span);
            self.put(draft, &format!("{prefix}{key}"), Text::secret(secret, span), span);
        }
    }

    /// Something is referred to that is not among what was imported.
    fn missing(&self, from: &Node, span: Span, what: &str, so: &str) {
        if flag(from, "optional") {
            return self.import.notes.changed(span, format!("{what} is not here and is optional: it is left out"), "");
        }
        let advice = "import its file as well, or write the values by hand";
        self.import.notes.not_carried(span, format!("{what} is not among what was imported: {so}"), advice);
    }

    fn variable(&self, draft: &mut Draft<'_>, item: &'n Node) {
        fields::check(&self.import.notes, item, VARIABLE, &format!("a variable of {}", draft.object.shown()));
        let Some((name, span)) = placed(item, "name") else { return };
        if let Some(from) = item.get("valueFrom") {
            match self.value_from(draft, name, from) {
                Some(text) => self.put(draft, name, text, span),
                None => drop(draft.left_out.insert(name.to_owned())),
            }
            return;
        }
        let node = item.get("value");
        let value = node.and_then(Node::scalar).unwrap_or_default();
        let expanded = expand(self.import, draft, value, node.map_or(span, |node| node.span));
        self.literal(draft, name, expanded, span);
    }

    /// A value that stands in an object in clear.
    fn literal(&self, draft: &mut Draft<'_>, name: &str, value: Text, span: Span) {
        let value = self.sealed(draft, name, value);
        self.put(draft, name, value, span);
    }

    /// What looks secret is a secret all the same.
    fn sealed(&self, draft: &Draft<'_>, name: &str, value: Text) -> Text {
        let looks_secret =
            |plain: &str| holds_password(plain) || (daybook_model::secrecy::looks_secret(name) && may_be_secret(plain));
        if !value.plain().is_some_and(|plain| looks_secret(&plain)) {
            return value;
        }
        Text::secret(self.import.secrets.of_text(&draft.name, name, &value), value.span)
    }

    fn put(&self, draft: &mut Draft<'_>, name: &str, value: Text, span: Span) {
        if name.is_empty() || name.contains(['=', '\0']) {
            self.import.notes.not_carried(span, "a variable whose name holds `=` or nothing", "");
        } else if self.import.afford(span, &value) {
            draft.put_variable(name, value);
        }
    }

    fn value_from(&self, draft: &Draft<'_>, name: &str, from: &'n Node) -> Option<Text> {
        if let Some(from) = from.get("secretKeyRef") {
            let ((secret, span), key) = (placed(from, "name")?, text(from, "key")?);
            let known = secrets::find(self.cluster, draft.object.namespace, secret);
            let lacks = known.is_none_or(|object| secrets::place(&object, key).is_none());
            if lacks && flag(from, "optional") {
                self.missing(from, span, &format!("`{key}` of Secret {secret}"), "");
                return None;
            }
            let origin = (draft.object.namespace, secret);
            let secret = self.import.secrets.of_key(self.cluster, origin, key, span);
            return Some(Text::secret(secret, span));
        }
        if let Some(from) = from.get("configMapKeyRef") {
            let ((map_name, span), key) = (placed(from, "name")?, text(from, "key")?);
            let object = self.import.config_map(self.cluster, draft.object.namespace, map_name);
            let value = object.and_then(|object| map(object.node, "data")?.get(key));
            let Some(Value::Scalar(value)) = value.map(|value| &value.value) else {
                self.missing(from, span, &format!("`{key}` of ConfigMap {map_name}"), "the variable is left out");
                return None;
            };
            return Some(self.sealed(draft, name, Text::new(value.text.as_str(), span)));
        }
        if let Some(field) = from.get("fieldRef") {
            return self.field(draft, name, field);
        }
        if let Some(resource) = from.get("resourceFieldRef") {
            return self.resource(draft, name, resource);
        }
        let what = format!("the variable `{name}`: where its value comes from is not known to the import");
        self.import.notes.not_carried(from.span, what, "write its value by hand");
        None
    }

    /// What a pod knows of itself. What is the same for all replicas is written as it is now.
    fn field(&self, draft: &Draft<'_>, name: &str, field: &'n Node) -> Option<Text> {
        let (path, span) = placed(field, "fieldPath")?;
        let pod = draft.object;
        let label = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']");
        let value = if path == "metadata.namespace" {
            Some(pod.namespace)
        } else if let Some(key) = label("metadata.labels['") {
            draft.labels.and_then(|labels| labels.get(key)?.scalar())
        } else {
            None
        };
        if let Some(value) = value {
            let what = format!("the variable `{name}`: it says `{path}`, written as it is now");
            self.import.notes.changed(span, what, "change it by hand where it should differ");
            return Some(Text::new(value, span));
        }
        let advice = match path {
            "metadata.name" | "metadata.uid" => "`DAYBOOK_REPLICA` is the replica's own name",
            "status.podIP" | "status.podIPs" => "listen on 0.0.0.0",
            _ => "leave it out, or write a value by hand",
        };
        let what = format!("the variable `{name}`: a replica has no `{path}`");
        self.import.notes.not_carried(span, what, advice);
        None
    }

    /// A limit or request of the container as a number.
    fn resource(&self, draft: &Draft<'_>, name: &str, from: &'n Node) -> Option<Text> {
        let (path, span) = placed(from, "resource")?;
        let own = text(from, "containerName").is_none_or(|other| Some(other) == text(draft.container, "name"));
        let (section, resource) = path.split_once('.')?;
        let resources = draft.container.get("resources").filter(|_| own);
        let of = |section: &str| text(resources?.get(section)?, resource).and_then(Quantity::read);
        let quantity = of(section).or_else(|| if section == "requests" { of("limits") } else { None });
        let divisor = text(from, "divisor").filter(|divisor| *divisor != "0").unwrap_or("1");
        let number = quantity.and_then(|quantity| quantity.divided_by(Quantity::read(divisor)?));
        let Some(number) = number else {
            let what = format!("the variable `{name}`: the container does not say `{path}`");
            self.import.notes.not_carried(span, what, "write its value by hand");
            return None;
        };
        let what = format!("the variable `{name}`: it says `{path}`, written as it is now");
        self.import.notes.changed(span, what, "change it together with `resources`");
        Some(Text::new(number.to_string(), span))
    }
}
