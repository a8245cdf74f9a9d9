//! Services that wait for each other.

use std::collections::BTreeMap;

use crate::context::Problem;
use crate::lower::Manifest;
use crate::merge::pairs;
use crate::tree::{Node, Span};

/// A service's neighbours: whom it waits for, and where it says so.
type Edges<'m> = BTreeMap<&'m str, Vec<(String, Span)>>;

/// Reports each circle of `depends_on`, `links` and shared namespaces once.
pub(crate) fn check(manifest: &Manifest<'_, '_>) {
    let edges: Edges<'_> =
        manifest.active_services().map(|entry| (entry.key.as_str(), waits_for(&entry.value))).collect();
    let mut done = BTreeMap::new();
    for start in edges.keys() {
        walk(manifest, &edges, start, &mut done);
    }
}

fn waits_for(service: &Node) -> Vec<(String, Span)> {
    let mut all = Vec::new();
    if let Some(node) = service.get("depends_on") {
        all.extend(pairs(node, &[]).into_iter().map(|entry| (entry.key, entry.key_span)));
    }
    for item in service.get("links").map(Node::items).unwrap_or_default() {
        let name = item.scalar().and_then(|text| text.split(':').next());
        all.extend(name.map(|name| (name.to_owned(), item.span)));
    }
    for key in ["network_mode", "pid", "ipc"] {
        let Some(node) = service.get(key) else { continue };
        let name = node.scalar().and_then(|text| text.strip_prefix("service:"));
        all.extend(name.map(|name| (name.to_owned(), node.span)));
    }
    all
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    /// At this place of the path.
    OnPath(usize),
    Done,
}

/// Depth first, without recursion: a chain may be as long as there are services.
fn walk<'m>(manifest: &Manifest<'_, '_>, edges: &'m Edges<'_>, start: &'m str, marks: &mut BTreeMap<&'m str, Mark>) {
    if marks.contains_key(start) {
        return;
    }
    let mut path: Vec<(&str, usize)> = vec![(start, 0)];
    marks.insert(start, Mark::OnPath(0));
    while let Some((name, next)) = path.last_mut() {
        let Some((other, span)) = edges.get(*name).and_then(|all| all.get(*next)) else {
            marks.insert(name, Mark::Done);
            path.pop();
            continue;
        };
        *next += 1;
        match marks.get(other.as_str()) {
            Some(Mark::OnPath(at)) => report(manifest, &path[*at..], *span),
            Some(Mark::Done) => {}
            None if edges.contains_key(other.as_str()) => {
                marks.insert(other, Mark::OnPath(path.len()));
                path.push((other, 0));
            }
            None => {}
        }
    }
}

/// How many services of a circle are named.
const NAMED: usize = 12;

/// Reports a circle: its services in their order, the last of which waits for the first.
fn report(manifest: &Manifest<'_, '_>, circle: &[(&str, usize)], span: Span) {
    let (Some((back, _)), Some((last, _))) = (circle.first(), circle.last()) else { return };
    let message = match circle.len() {
        1 => format!("`{last}` depends on itself"),
        2 => format!("`{back}` depends on `{last}`, and `{last}` on `{back}`"),
        _ => format!("`{last}` depends on `{back}`, which depends on `{last}` in turn"),
    };
    let mut names: Vec<&str> = circle.iter().take(NAMED).map(|(name, _)| *name).collect();
    if circle.len() > NAMED {
        names.extend(["…", last]);
    }
    let problem = Problem::new("M0203", span, message);
    manifest.ctx.report(problem.label(format!("closes the circle {last} → {}", names.join(" → "))));
}
