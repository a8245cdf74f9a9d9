//! Objects in the YAML that a chart renders.

use std::collections::BTreeMap;

use daybook_model::Digest;
use granit_parser::{Event, Parser};

/// Each object by its kind and name, and the digest of its text.
pub(crate) fn objects(rendered: &str) -> BTreeMap<String, Digest> {
    let mut all = BTreeMap::new();
    for document in documents(rendered) {
        if let Some(name) = name(document) {
            all.insert(name, Digest::of(document.trim().as_bytes()));
        }
    }
    all
}

/// Documents begin with a line `---`.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.strip_prefix("---\n").unwrap_or(text);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (document, after) = rest.split_once("\n---").map_or((rest, ""), |(document, after)| (document, after));
        rest = after.split_once('\n').map_or("", |(_, after)| after);
        Some(document)
    })
}

/// What Helm leaves where it is, whatever becomes of its chart.
const KEPT: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// `Deployment cache`: the kind and the name that a document says. What Helm keeps is marked as `(kept)`: what it
/// removes may hold data.
fn name(document: &str) -> Option<String> {
    let (mut kind, mut name, mut kept) = (None, None, "");
    // The keys that lead to where the parser is; each level of lists is an empty one.
    let mut path: Vec<String> = Vec::new();
    let mut key: Option<String> = None;
    let mut maps: Vec<bool> = Vec::new();
    for event in Parser::new_from_str(document) {
        let is_in_map = maps.last().copied().unwrap_or(false);
        match event.ok()?.0 {
            Event::MappingStart(..) => {
                path.extend(key.take());
                if !is_in_map && !maps.is_empty() {
                    path.push(String::new());
                }
                maps.push(true);
            }
            Event::SequenceStart(..) => {
                path.extend(key.take());
                maps.push(false);
            }
            Event::MappingEnd | Event::SequenceEnd => {
                maps.pop();
                path.truncate(maps.len().saturating_sub(1));
            }
            Event::Scalar(text, ..) if is_in_map => match key.take() {
                None => key = Some(text.to_string()),
                Some(key) if path.is_empty() && key == "kind" => kind = Some(text.to_string()),
                Some(key) if path == ["metadata"] && key == "name" => name = Some(text.to_string()),
                Some(key) if path == ["metadata", "annotations"] && (key.as_str(), text.as_ref()) == KEPT => {
                    kept = " (kept)";
                }
                Some(_) => {}
            },
            Event::Alias(..) => drop(key.take()),
            _ => {}
        }
    }
    Some(format!("{} {}{kept}", kind?, name?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str = "---
# Source: cache/templates/service.yaml
apiVersion: v1
kind: Service
metadata:
  labels: {name: other, kind: Other}
  name: cache
spec:
  ports:
    - name: http
      port: 80
---
# Source: cache/templates/deployment.yaml
metadata: {name: cache}
spec: {template: {metadata: {name: x}, spec: {containers: [{name: y}, {name: z}]}}}
kind: Deployment
---
kind: PersistentVolumeClaim
metadata:
  annotations: {helm.sh/resource-policy: keep}
  name: cache
---
# nothing
";

    #[test]
    fn objects_are_known_by_kind_and_name() {
        let all = objects(RENDERED);
        assert_eq!(
            all.keys().collect::<Vec<_>>(),
            ["Deployment cache", "PersistentVolumeClaim cache (kept)", "Service cache"]
        );
        let changed = objects(&RENDERED.replace("port: 80", "port: 81"));
        let differ: Vec<_> = all.iter().filter(|(name, digest)| changed[*name] != **digest).map(|(n, _)| n).collect();
        assert_eq!(differ, ["Service cache"]);
    }

    #[test]
    fn what_is_no_object_is_left_out() {
        for text in ["", "---\n", "# only a comment\n", "kind: [", "just text", "kind: List\nitems: []\n"] {
            assert_eq!(objects(text).len(), 0, "{text}");
        }
    }
}
