//! What a service tells of itself, and how well it is to serve.

use daybook_model::spec::{LatencyGoal, Port, Protocol, Scrape, Slo};

use super::Manifest;
use super::read::{duration, integer, text};
use crate::context::Problem;
use crate::tree::{Node, Value};
use crate::units;

/// A share of everything, in millionths.
const WHOLE: u32 = 1_000_000;

/// Where replicas are asked for measurements: `:9090/metrics`, `/metrics`, or a mapping. Without a port it is the service's
/// first.
pub(crate) fn metrics(manifest: &Manifest<'_, '_>, service: &Node, ports: &[Port]) -> Option<Scrape> {
    let node = service.get("metrics")?;
    let (port, path) = match node.scalar() {
        Some(short) => short_form(short).or_else(|| {
            let problem = Problem::new("M0525", node.span, format!("`{short}` is no place of measurements"));
            manifest.ctx.report(problem.label("for example `:9090/metrics`"));
            None
        })?,
        None => {
            let port = integer(node, "port").and_then(|port| u16::try_from(port).ok());
            (port, text(node, "path").unwrap_or_else(|| "/metrics".to_owned()))
        }
    };
    let first = ports.iter().find(|port| port.protocol != Protocol::Udp).map(|port| port.container);
    let Some(port) = port.or(first).filter(|port| *port > 0) else {
        let problem = Problem::new("M0526", node.span, "measurements can only be asked for at a port");
        manifest.ctx.report(problem.label("the service has none").help("write `metrics: :9090/metrics`"));
        return None;
    };
    if !path.starts_with('/') {
        let problem = Problem::new("M0525", node.span, format!("`{path}` is no path"));
        manifest.ctx.report(problem.label("a path begins with `/`"));
        return None;
    }
    let every_ms = duration(node, "every").unwrap_or(Scrape::EVERY_MS).max(1_000);
    Some(Scrape { port, path, every_ms })
}

fn short_form(text: &str) -> Option<(Option<u16>, String)> {
    let (port, path) = match text.strip_prefix(':') {
        Some(rest) => {
            let (port, path) = rest.split_once('/').map_or((rest, None), |(port, path)| (port, Some(path)));
            (Some(port.parse().ok()?), path.map(|path| format!("/{path}")))
        }
        None => (None, Some(text.to_owned())),
    };
    let path = path.unwrap_or_else(|| "/metrics".to_owned());
    path.starts_with('/').then_some((port, path))
}

/// The goals of a service.
pub(crate) fn slo(manifest: &Manifest<'_, '_>, service: &Node) -> Option<Slo> {
    let node = service.get("slo")?;
    let goal = |node: &Node, text: &str| {
        let share = units::millionths(text).filter(|share| (1..WHOLE).contains(share));
        if share.is_none() {
            let problem = Problem::new("M0527", node.span, format!("`{text}` is no goal"));
            let help = "a goal leaves room for faults: what may never fail can never be changed";
            manifest.ctx.report(problem.label("a share such as `99.9%`, below `100%`").help(help));
        }
        share
    };
    let availability = node.get("availability").and_then(|node| goal(node, node.scalar()?));
    let mut latency = Vec::new();
    if let Some(Value::Map(goals)) = node.get("latency").map(|node| &node.value) {
        for entry in goals.iter() {
            let Some(share) = quantile(&entry.key) else {
                let problem = Problem::new("M0528", entry.key_span, format!("`{}` is no share of requests", entry.key));
                manifest.ctx.report(problem.label("for example `p95`, `p99` or `p99.9`"));
                continue;
            };
            let Some(within_ms) = entry.value.scalar().and_then(units::duration_ms).filter(|ms| *ms > 0) else {
                continue;
            };
            latency.push(LatencyGoal { share, within_ms });
        }
    }
    latency.sort_by_key(|goal| goal.share);
    let slo = Slo { availability, latency };
    (slo != Slo::default()).then_some(slo)
}

/// `p95` is 950,000 millionths.
fn quantile(name: &str) -> Option<u32> {
    units::millionths(&format!("{}%", name.strip_prefix('p')?)).filter(|share| (1..WHOLE).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_short() {
        let place = |text| short_form(text).map(|(port, path)| (port.unwrap_or(0), path));
        assert_eq!(place(":9090/metrics"), Some((9090, "/metrics".to_owned())));
        assert_eq!(place(":9090"), Some((9090, "/metrics".to_owned())));
        assert_eq!(place("/stats?format=prometheus"), Some((0, "/stats?format=prometheus".to_owned())));
        for wrong in ["", "9090", ":x/metrics", "metrics", "http://a/metrics", ":99999/metrics"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn quantiles_are_shares() {
        assert_eq!(quantile("p95"), Some(950_000));
        assert_eq!(quantile("p99.9"), Some(999_000));
        for wrong in ["95", "p", "p0", "p100", "pfast"] {
            assert_eq!(quantile(wrong), None, "{wrong}");
        }
    }
}
