//! A service that is a Helm chart.

use daybook_model::spec::{Artifact, Chart};
use serde_json::{Map, Number, Value as Json};

use super::Manifest;
use super::environment::unreadable;
use super::read::text;
use crate::bundle::ReadError;
use crate::context::{Problem, directory};
use crate::tree::{Entry, Node, Value};
use crate::yaml;

/// What a service may have beside its chart.
const BESIDE: [&str; 5] = ["helm", "depends_on", "rollout", "profiles", "extends"];
/// The longest name of a release that Helm takes.
const LONGEST: usize = 53;

/// The chart of a service that has one. `None` when it cannot be made, which has been reported.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, entry: &Entry, node: &Node) -> Option<Artifact> {
    let others = entry.value.map().into_iter().flat_map(crate::tree::Map::iter);
    let refused = others.filter(|other| !BESIDE.contains(&other.key.as_str()) && !other.key.starts_with("x-"));
    for other in refused {
        let message = format!("`{}` means nothing for a chart", other.key);
        let problem = Problem::new("M0125", other.key_span, message).label("the chart decides about it");
        manifest.ctx.report(problem.help("set what the chart has for it in `helm: {values: …}`"));
    }
    if !is_name(&entry.key) {
        let message = format!("`{}` cannot be the name of a release of Helm", entry.key);
        let help = format!("use at most {LONGEST} lower-case letters, digits and hyphens, beginning with a letter");
        manifest.ctx.report(Problem::new("M0125", entry.key_span, message).label("rename it").help(help));
    }
    let Some(written) = node.get("chart") else {
        let problem = Problem::new("M0125", node.span, format!("`{}` names no chart", entry.key));
        manifest.ctx.report(problem.label("add `chart`").help("a directory, `oci://…`, or a name with its `repo`"));
        return None;
    };
    let repository = text(node, "repo");
    let name = written.scalar()?;
    let is_path = repository.is_none() && !name.contains("://") && name.starts_with(['.', '/', '~']);
    let reference = if is_path { manifest.ctx.resolve(written.span, name) } else { name.to_owned() };
    if is_path && !manifest.ctx.files.exists(&reference) {
        let problem = Problem::new("M0408", written.span, "the directory of a chart is not there");
        let help = "paths are meant from the manifest's directory";
        manifest.ctx.report(problem.label("no such directory").help(help));
    }
    if !is_path && repository.is_none() && !name.contains("://") {
        let problem = Problem::new("M0125", written.span, format!("nobody knows where the chart `{name}` is"));
        manifest.ctx.report(problem.label("no directory and no URL").help("add `repo: URL`, or write `./` before it"));
    }
    let values = node.get("values").map_or(Some(Json::Object(Map::new())), |node| values(manifest, node))?;
    let version = text(node, "version");
    Some(Artifact::Chart(Box::new(Chart { reference, repository, version, values, digest: None, made: None })))
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= LONGEST
        && name.bytes().all(fits)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
}

/// The values themselves, or those of a file, in which variables mean nothing: it is Helm's.
fn values(manifest: &Manifest<'_, '_>, node: &Node) -> Option<Json> {
    let Some(written) = node.scalar() else { return Some(json(manifest, node)) };
    let path = manifest.ctx.resolve(node.span, written);
    let text = match manifest.ctx.read(node.span, &path) {
        Ok(text) => text,
        Err(ReadError::TooMuch) => return None,
        Err(error) => {
            unreadable(manifest, node.span, written, &error, "its path is meant from the manifest's directory");
            return None;
        }
    };
    let file = manifest.ctx.add_source(&path, &text, directory(&path), std::rc::Rc::default());
    let document = yaml::parse(manifest.ctx, file)?.into_iter().next();
    match document {
        None => Some(Json::Object(Map::new())),
        Some(document) if document.is_null() => Some(Json::Object(Map::new())),
        Some(document) if document.map().is_some() => Some(json(manifest, &document)),
        Some(document) => {
            let problem = Problem::new("M0125", document.span, "the values of a chart are a mapping");
            manifest.ctx.report(problem.label("no mapping"));
            None
        }
    }
}

/// A value as Helm reads it, its keys in order.
fn json(manifest: &Manifest<'_, '_>, node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::List(items) => Json::Array(items.iter().map(|item| json(manifest, item)).collect()),
        Value::Map(map) => {
            let mut entries: Vec<_> =
                map.iter().map(|entry| (entry.key.to_string(), json(manifest, &entry.value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(entries.into_iter().collect())
        }
        Value::Scalar(scalar) => {
            if scalar.pieces.is_some() {
                let problem = Problem::new("M0125", node.span, "values of a chart cannot refer to services or secrets");
                let help = "charts reach services by their names, and take secrets from Secrets of the cluster";
                manifest.ctx.report(problem.label("known only when it runs").help(help));
            }
            if scalar.quoted { Json::String(scalar.text.to_string()) } else { plain(&scalar.text) }
        }
    }
}

/// A scalar without quotes, by the core schema of YAML 1.2.
fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        _ => number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let based = |prefix: &str, base| i64::from_str_radix(digits.strip_prefix(prefix)?, base).ok();
    if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)) {
        return Some(number.into());
    }
    let whole = text.strip_prefix('+').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return whole.parse::<i64>().map(Number::from).or_else(|_| whole.parse::<u64>().map(Number::from)).ok();
    }
    let is_float = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    whole.parse::<f64>().ok().filter(|_| is_float).and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_yaml_says_they_are() {
        for (text, value) in [
            ("12", serde_json::json!(12)),
            ("-3", serde_json::json!(-3)),
            ("0x1f", serde_json::json!(31)),
            ("18446744073709551615", serde_json::json!(u64::MAX)),
            ("1.5", serde_json::json!(1.5)),
            ("1e3", serde_json::json!(1000.0)),
            ("1.2.3", serde_json::json!("1.2.3")),
            ("500m", serde_json::json!("500m")),
            ("e3", serde_json::json!("e3")),
            ("-", serde_json::json!("-")),
            ("True", serde_json::json!(true)),
            ("yes", serde_json::json!("yes")),
            ("~", Json::Null),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
    }

    #[test]
    fn names_are_those_that_helm_takes() {
        assert!(is_name("cache-2"));
        for name in ["", "Cache", "my_cache", "2cache", "cache-", &"c".repeat(54)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
