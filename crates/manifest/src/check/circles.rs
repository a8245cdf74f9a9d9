//! Services that wait for each other.

use std::collections::HashMap;

use crate::context::Problem;
use crate::lower::Manifest;
use crate::tree::{Entry, Node, Span, Value};

/// Whom each service waits for, and where it says so. Services go by their place in the manifest.
struct Waits<'m> {
    names: Vec<&'m str>,
    edges: Vec<Vec<(usize, Span)>>,
}

/// Reports each circle of `depends_on`, `links` and shared namespaces once.
pub(crate) fn check(manifest: &Manifest<'_, '_>) {
    let services: Vec<&Entry> = manifest.active_services().collect();
    let names: Vec<&str> = services.iter().map(|entry| entry.key.as_str()).collect();
    let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let known = |(name, span): (&str, Span)| places.get(name).map(|place| (*place, span));
    let edges = services.iter().map(|entry| waits_for(&entry.value).into_iter().filter_map(known).collect()).collect();
    let waits = Waits { names, edges };
    let mut marks = vec![Mark::Untouched; services.len()];
    for start in waits.in_order_of_names() {
        walk(manifest, &waits, start, &mut marks);
    }
}

fn waits_for(service: &Node) -> Vec<(&str, Span)> {
    let mut all = Vec::new();
    match service.get("depends_on").map(|node| &node.value) {
        Some(Value::Map(map)) => all.extend(map.iter().map(|entry| (entry.key.as_str(), entry.key_span))),
        Some(Value::List(items)) => all.extend(items.iter().filter_map(|item| Some((item.scalar()?, item.span)))),
        _ => {}
    }
    for item in service.get("links").map(Node::items).unwrap_or_default() {
        let name = item.scalar().and_then(|text| text.split(':').next());
        all.extend(name.map(|name| (name, item.span)));
    }
    for key in ["network_mode", "pid", "ipc"] {
        let Some(node) = service.get(key) else { continue };
        let name = node.scalar().and_then(|text| text.strip_prefix("service:"));
        all.extend(name.map(|name| (name, node.span)));
    }
    all
}

impl Waits<'_> {
    /// So that a circle is told in the same way however the manifest is sorted.
    fn in_order_of_names(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.names.len()).collect();
        places.sort_unstable_by_key(|place| self.names[*place]);
        places
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Untouched,
    /// At this place of the path.
    OnPath(usize),
    Done,
}

/// Depth first, without recursion: a chain may be as long as there are services.
fn walk(manifest: &Manifest<'_, '_>, waits: &Waits<'_>, start: usize, marks: &mut [Mark]) {
    if marks[start] != Mark::Untouched {
        return;
    }
    let mut path: Vec<(usize, usize)> = vec![(start, 0)];
    marks[start] = Mark::OnPath(0);
    while let Some((place, next)) = path.last_mut() {
        let Some((other, span)) = waits.edges[*place].get(*next) else {
            marks[*place] = Mark::Done;
            path.pop();
            continue;
        };
        *next += 1;
        match marks[*other] {
            Mark::OnPath(at) => report(manifest, waits, &path[at..], *span),
            Mark::Done => {}
            Mark::Untouched => {
                marks[*other] = Mark::OnPath(path.len());
                path.push((*other, 0));
            }
        }
    }
}

/// How many services of a circle are named.
const NAMED: usize = 12;

/// Reports a circle: its services in their order, the last of which waits for the first.
fn report(manifest: &Manifest<'_, '_>, waits: &Waits<'_>, circle: &[(usize, usize)], span: Span) {
    let named = |(place, _): &(usize, usize)| waits.names[*place];
    let (Some(back), Some(last)) = (circle.first().map(named), circle.last().map(named)) else { return };
    let message = match circle.len() {
        1 => format!("`{last}` depends on itself"),
        2 => format!("`{back}` depends on `{last}`, and `{last}` on `{back}`"),
        _ => format!("`{last}` depends on `{back}`, which depends on `{last}` in turn"),
    };
    let mut names: Vec<&str> = circle.iter().take(NAMED).map(named).collect();
    if circle.len() > NAMED {
        names.extend(["…", last]);
    }
    let problem = Problem::new("M0203", span, message);
    manifest.ctx.report(problem.label(format!("closes the circle {last} → {}", names.join(" → "))));
}
