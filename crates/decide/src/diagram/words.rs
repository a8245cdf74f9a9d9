//! The graph in the languages of others: Mermaid, D2, and C4 as PlantUML has it.

use std::fmt::Write as _;

use super::graph::{Graph, Kind, Mark, Node, Zone};

/// Mermaid, which code hosts draw inside of Markdown. <https://mermaid.js.org/syntax/flowchart.html>
pub fn mermaid(graph: &Graph) -> String {
    let mut out = format!("---\ntitle: \"{}\"\n---\nflowchart LR\n", quoted(&graph.key.to_string()));
    for (zone, nodes) in zones(graph) {
        let _ = writeln!(out, "  subgraph {} [\"{}\"]", name_of(zone), zone.title());
        for node in nodes {
            let text = label(node).join("<br/>");
            let (open, close) = match node.kind {
                Kind::Database | Kind::Volume => ("[(", ")]"),
                Kind::Users | Kind::External => ("([", "])"),
                Kind::Edge => ("{{", "}}"),
                _ => ("[", "]"),
            };
            let class = class(node.mark).map(|class| format!(":::{class}")).unwrap_or_default();
            let _ = writeln!(out, "    {}{open}\"{}\"{close}{class}", id(&node.id), quoted(&text));
        }
        out.push_str("  end\n");
    }
    for flow in &graph.flows {
        let label = if flow.label.is_empty() { String::new() } else { format!("|\"{}\"|", quoted(&flow.label)) };
        let _ = writeln!(out, "  {} -->{label} {}", id(&flow.from), id(&flow.to));
    }
    if graph.nodes.iter().any(|node| node.mark != Mark::Plain) {
        out.push_str("  classDef added stroke:#146c43,stroke-width:3px\n");
        out.push_str("  classDef changed stroke:#8a5300,stroke-width:3px,stroke-dasharray:7 3\n");
        out.push_str("  classDef removed stroke:#b42318,stroke-width:3px,stroke-dasharray:2 4\n");
    }
    out
}

/// D2. <https://d2lang.com/tour/intro>
pub fn d2(graph: &Graph) -> String {
    let mut out = format!("# {}\ndirection: right\n", graph.key);
    for (zone, nodes) in zones(graph) {
        let _ = writeln!(out, "{}: \"{}\" {{", name_of(zone), zone.title());
        for node in nodes {
            let shape = match node.kind {
                Kind::Database | Kind::Volume => "cylinder",
                Kind::Users => "person",
                Kind::External => "cloud",
                Kind::Edge => "hexagon",
                _ => "rectangle",
            };
            let style = match node.mark {
                Mark::Added | Mark::Healthy => "; style.stroke: \"#146c43\"; style.stroke-width: 3",
                Mark::Changed => "; style.stroke: \"#8a5300\"; style.stroke-dash: 5",
                Mark::Removed | Mark::Unhealthy => "; style.stroke: \"#b42318\"; style.stroke-dash: 2",
                Mark::Plain => "",
            };
            let text = label(node).join("\\n");
            let _ = writeln!(out, "  {}: \"{}\" {{shape: {shape}{style}}}", id(&node.id), quoted(&text));
        }
        out.push_str("}\n");
    }
    let place = |wanted: &str| {
        let zone = graph.node(wanted).map_or(Zone::Services, |node| node.zone);
        format!("{}.{}", name_of(zone), id(wanted))
    };
    for flow in &graph.flows {
        let label = if flow.label.is_empty() { String::new() } else { format!(": \"{}\"", quoted(&flow.label)) };
        let _ = writeln!(out, "{} -> {}{label}", place(&flow.from), place(&flow.to));
    }
    out
}

/// C4, its container diagram, as the standard library of PlantUML has it. <https://github.com/plantuml-stdlib/C4-PlantUML>
pub fn c4(graph: &Graph) -> String {
    let mut out = format!("@startuml\n!include <C4/C4_Container>\ntitle {}\n", graph.key);
    for (zone, nodes) in zones(graph) {
        let bounded = matches!(zone, Zone::Entry | Zone::Services | Zone::Data);
        if bounded {
            let _ = writeln!(out, "System_Boundary({}, \"{}\") {{", name_of(zone), zone.title());
        }
        for node in nodes {
            let what = match node.kind {
                Kind::Users => "Person",
                Kind::External => "System_Ext",
                Kind::Database | Kind::Volume => "ContainerDb",
                _ => "Container",
            };
            let (details, mark) = (node.details.join(", "), node.mark.word());
            let about = if mark.is_empty() { details } else { format!("{mark}. {details}") };
            let indent = if bounded { "  " } else { "" };
            let arguments = match node.kind {
                Kind::Users | Kind::External => format!("\"{}\"", quoted(&about)),
                _ => format!("\"{}\", \"{}\"", node.kind.word(), quoted(&about)),
            };
            let _ = writeln!(out, "{indent}{what}({}, \"{}\", {arguments})", id(&node.id), quoted(&node.name));
        }
        if bounded {
            out.push_str("}\n");
        }
    }
    for flow in &graph.flows {
        let label = if flow.label.is_empty() { "uses" } else { &flow.label };
        let _ = writeln!(out, "Rel({}, {}, \"{}\")", id(&flow.from), id(&flow.to), quoted(label));
    }
    out.push_str("@enduml\n");
    out
}

/// The zones that have nodes, with their nodes.
fn zones(graph: &Graph) -> impl Iterator<Item = (Zone, Vec<&Node>)> {
    let members = |zone: Zone| graph.nodes.iter().filter(|node| node.zone == zone).collect::<Vec<_>>();
    Zone::ALL.into_iter().map(move |zone| (zone, members(zone))).filter(|(_, nodes)| !nodes.is_empty())
}

fn name_of(zone: Zone) -> &'static str {
    match zone {
        Zone::Internet => "internet",
        Zone::Entry => "entry",
        Zone::Services => "services",
        Zone::Data => "data",
        Zone::Outside => "outside",
    }
}

/// The lines of a node.
fn label(node: &Node) -> Vec<String> {
    let mark = (node.mark != Mark::Plain).then(|| node.mark.word().to_owned());
    std::iter::once(node.name.clone()).chain(node.details.iter().cloned()).chain(mark).collect()
}

fn class(mark: Mark) -> Option<&'static str> {
    match mark {
        Mark::Plain => None,
        Mark::Added | Mark::Healthy => Some("added"),
        Mark::Changed => Some("changed"),
        Mark::Removed | Mark::Unhealthy => Some("removed"),
    }
}

/// An id as all three languages take it: letters, digits and underscores, unlike that of any other name.
fn id(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for c in id.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => out.push(c),
            ':' => out.push_str("__"),
            '-' => out.push('_'),
            other => drop(write!(out, "_{:x}", u32::from(other))),
        }
    }
    out
}

/// Text between double quotes, in any of them.
fn quoted(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control() || *c == '\n');
    plain.collect::<String>().replace('"', "'").replace('\n', " ")
}
