//! The picture itself: SVG that needs nothing else, in light and dark.

use std::fmt::Write as _;

use super::graph::{Flow, Graph, Kind, Mark, Node, Zone};
use super::layout::{BOX, Layout, MARGIN, layout};

/// More flows than this have their labels only when they are pointed at: they would cover each other.
const MOST_LABELS: usize = 40;
/// Characters that fit into a box.
const FITS: usize = 23;
/// Characters that fit between two boxes.
const LABEL: usize = 17;

const STYLE: &str = "\
.bg{fill:#fff}.zone{fill:#f5f7fa;stroke:#c9d1da}.zt{fill:#5a6470;font-size:12px;font-weight:600;letter-spacing:.06em;text-transform:uppercase}\
.box{fill:#fff;stroke:#5a6470;stroke-width:1.25}.name{fill:#16191d;font-size:14px;font-weight:600}.more{fill:#5a6470;font-size:11.5px}\
.flow{fill:none;stroke:#7a8591;stroke-width:1.25}.tip{fill:#7a8591}.lab{fill:#3b434c;font-size:11px;paint-order:stroke;stroke:#f5f7fa;stroke-width:4px;stroke-linejoin:round}\
.head{fill:#16191d;font-size:19px;font-weight:650}.mark{font-size:11.5px;font-weight:700}\
.added .box,.healthy .box{stroke:#146c43;stroke-width:2.5}.added .mark,.healthy .mark{fill:#146c43}\
.changed .box{stroke:#8a5300;stroke-width:2.5;stroke-dasharray:7 3}.changed .mark{fill:#8a5300}\
.removed .box{stroke:#b42318;stroke-width:2.5;stroke-dasharray:2 4}.removed .mark{fill:#b42318}.removed .name{text-decoration:line-through}\
.unhealthy .box{stroke:#b42318;stroke-width:3}.unhealthy .mark{fill:#b42318}\
@media(prefers-color-scheme:dark){.bg{fill:#0d1117}.zone{fill:#141a21;stroke:#343c46}.zt,.more{fill:#9aa5b1}.box{fill:#1b222b;stroke:#8b96a3}\
.name,.head{fill:#e6edf3}.flow{stroke:#76818d}.tip{fill:#76818d}.lab{fill:#c4ccd4;stroke:#141a21}\
.added .box,.healthy .box{stroke:#6fd39b}.added .mark,.healthy .mark{fill:#6fd39b}.changed .box{stroke:#e9b264}.changed .mark{fill:#e9b264}\
.removed .box,.unhealthy .box{stroke:#ff8f85}.removed .mark,.unhealthy .mark{fill:#ff8f85}}";

/// The graph as one SVG document. `about` says in a few words which picture this is: "as planned".
pub fn svg(graph: &Graph, about: &str) -> String {
    let layout = layout(graph);
    let (width, height) = (layout.width, layout.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
         role=\"img\" aria-labelledby=\"t d\" font-family=\"system-ui,-apple-system,'Segoe UI',sans-serif\">\n\
         <title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"head\" x=\"{MARGIN}\" y=\"38\">{}</text>\n<text class=\"more\" x=\"{MARGIN}\" y=\"58\">{}</text>\n",
        escape(&format!("{} {about}", graph.key)),
        escape(&description(graph)),
        escape(&graph.key.to_string()),
        escape(&format!("{about} · {}", counts(graph))),
    );
    for (zone, from, to) in &layout.zones {
        let (top, height) = (76.0, height - 76.0 - MARGIN);
        let _ = writeln!(
            out,
            "<g><rect class=\"zone\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"10\"/>\
             <text class=\"zt\" x=\"{:.1}\" y=\"{}\">{}</text></g>",
            to - from,
            from + 14.0,
            top + 24.0,
            escape(zone.title()),
        );
    }
    flows(&mut out, graph, &layout);
    for (node, (x, y)) in graph.nodes.iter().zip(&layout.boxes) {
        draw(&mut out, node, *x, *y);
    }
    out.push_str("</svg>\n");
    out
}

/// "3 services, 1 database, 2 volumes".
fn counts(graph: &Graph) -> String {
    let count = |holds: &dyn Fn(&Node) -> bool| graph.nodes.iter().filter(|node| holds(node)).count();
    let words = [
        ("service", count(&|node| node.zone == Zone::Services)),
        ("database", count(&|node| node.kind == Kind::Database)),
        ("volume", count(&|node| node.kind == Kind::Volume)),
        ("external host", count(&|node| node.kind == Kind::External)),
    ];
    let named = words.iter().filter(|(_, count)| *count > 0);
    named
        .map(|(word, count)| format!("{count} {word}{}", if *count == 1 { "" } else { "s" }))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The picture in words, for whoever does not see it.
fn description(graph: &Graph) -> String {
    let name = |id: &str| graph.node(id).map_or(id, |node| node.name.as_str()).to_owned();
    let marked = graph.nodes.iter().filter(|node| node.mark != Mark::Plain);
    let marks: Vec<_> = marked.map(|node| format!("{} {}", node.name, node.mark.word())).collect();
    let flows: Vec<_> =
        graph.flows.iter().take(200).map(|flow| format!("{} to {}", name(&flow.from), name(&flow.to))).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" Marked: {}.", marks.join("; ")) };
    format!("{}.{marks} Flows: {}.", counts(graph), flows.join("; "))
}

fn flows(out: &mut String, graph: &Graph, layout: &Layout) {
    let labelled = graph.flows.len() <= MOST_LABELS;
    for (flow, points) in graph.flows.iter().zip(&layout.paths) {
        let (path, (x, y), back) = curve(points);
        let _ =
            write!(out, "<g><path class=\"flow\" d=\"{path}\"><title>{}</title></path>", escape(&said(graph, flow)));
        let tip = if back { 8.0 } else { -8.0 };
        let _ = write!(out, "<path class=\"tip\" d=\"M{x:.1} {y:.1}l{tip} -4v8z\"/></g>");
        out.push('\n');
    }
    // Labels above all lines, so that none is crossed out.
    for (flow, points) in graph.flows.iter().zip(&layout.paths).filter(|(flow, _)| labelled && !flow.label.is_empty()) {
        let ((x, y), (next_x, next_y)) = (points[0], points[1]);
        let share = if next_x > x { 14.0 / (next_x - x) } else { 0.0 };
        let (x, y) = (x + 10.0, y + (next_y - y) * share * share - 4.0);
        let _ = writeln!(
            out,
            "<text class=\"lab\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escape(&short(&flow.label, LABEL))
        );
    }
}

/// "web to db: 5432".
fn said(graph: &Graph, flow: &Flow) -> String {
    let name = |id: &str| graph.node(id).map_or(id, |node| node.name.as_str()).to_owned();
    let label = if flow.label.is_empty() { String::new() } else { format!(": {}", flow.label) };
    format!("{} to {}{label}", name(&flow.from), name(&flow.to))
}

/// A smooth line through `points`, its last point, and whether it arrives from the right.
fn curve(points: &[(f64, f64)]) -> (String, (f64, f64), bool) {
    let (start, end) = (points[0], points[points.len() - 1]);
    let mut path = format!("M{:.1} {:.1}", start.0, start.1);
    if end.0 <= start.0 {
        // Around the right side of both.
        let out = start.0.max(end.0) + 46.0;
        let _ = write!(path, "C{out:.1} {:.1} {out:.1} {:.1} {:.1} {:.1}", start.1, end.1, end.0, end.1);
        return (path, end, true);
    }
    for pair in points.windows(2) {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let half = (x2 - x1) / 2.0;
        let _ = write!(path, "C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}", x1 + half, x2 - half);
    }
    (path, end, false)
}

fn draw(out: &mut String, node: &Node, x: f64, y: f64) {
    let class = match node.mark {
        Mark::Plain => "",
        Mark::Added => "added",
        Mark::Changed => "changed",
        Mark::Removed => "removed",
        Mark::Healthy => "healthy",
        Mark::Unhealthy => "unhealthy",
    };
    let whole =
        [&[format!("{} {}", node.kind.word(), node.name)][..], &node.details, &[node.mark.word().to_owned()]].concat();
    let whole: Vec<_> = whole.into_iter().filter(|text| !text.is_empty()).collect();
    let _ = write!(out, "<g class=\"{class}\"><title>{}</title>{}", escape(&whole.join(", ")), shape(node.kind, x, y));
    // A cylinder's lid is above its text.
    let down = if matches!(node.kind, Kind::Database | Kind::Volume) { 5.0 } else { 0.0 };
    let name = escape(&short(&node.name, 19));
    let _ = write!(out, "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>", x + 14.0, y + 25.0 + down);
    let mut lines: Vec<String> = node.details.iter().rev().take(2).rev().cloned().collect();
    if lines.len() < 2 && node.kind.word() != node.name {
        lines.insert(0, node.kind.word().to_owned());
    }
    for (at, line) in lines.iter().take(2).enumerate() {
        let _ = write!(
            out,
            "<text class=\"more\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 14.0,
            y + 42.0 + down + 13.5 * at as f64,
            escape(&short(line, FITS)),
        );
    }
    if node.mark != Mark::Plain {
        let _ = write!(
            out,
            "<text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x + BOX.0 - 8.0,
            y - 4.0,
            node.mark.word(),
        );
    }
    out.push_str("</g>\n");
}

/// What a node is shows in its shape: cylinders keep data, a bar at the left serves, rounded ends are outside.
fn shape(kind: Kind, x: f64, y: f64) -> String {
    let (w, h) = BOX;
    match kind {
        Kind::Database | Kind::Volume => format!(
            "<path class=\"box\" d=\"M{x:.1} {:.1}v{:.1}a{} 7 0 0 0 {w} 0v-{:.1}a{} 7 0 0 0 -{w} 0a{} 7 0 0 0 {w} 0\"/>",
            y + 7.0,
            h - 14.0,
            w / 2.0,
            h - 14.0,
            w / 2.0,
            w / 2.0,
        ),
        Kind::Users | Kind::External => {
            format!("<rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w}\" height=\"{h}\" rx=\"{}\"/>", h / 2.2)
        }
        Kind::Edge => format!(
            "<path class=\"box\" d=\"M{:.1} {y:.1}h{:.1}l10 {}l-10 {}h-{:.1}l-10 -{}z\"/>",
            x + 10.0,
            w - 20.0,
            h / 2.0,
            h / 2.0,
            w - 20.0,
            h / 2.0
        ),
        Kind::Job | Kind::Task => format!(
            "<rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>\
             <path class=\"flow\" d=\"M{:.1} {:.1}m-8 0a8 8 0 1 0 16 0a8 8 0 1 0 -16 0M{:.1} {:.1}v-5M{:.1} {:.1}h4\"/>",
            x + w - 18.0,
            y + 18.0,
            x + w - 18.0,
            y + 18.0,
            x + w - 18.0,
            y + 18.0,
        ),
        Kind::Service | Kind::Worker | Kind::Static | Kind::Chart => {
            format!("<rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>")
        }
    }
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most - 1).collect();
    format!("{head}…")
}

fn escape(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
