//! Probes: one of them becomes the check.

use super::Import;
use super::draft::{Draft, Listening};
use super::fields;
use crate::import::read::{list, number, port, text, texts};
use crate::import::yaml::Yaml;
use crate::tree::Node;

/// Seconds that Kubernetes waits between two questions where nothing is written.
const PERIOD: u32 = 10;
/// Seconds that a new replica may take to get ready where nothing is written here.
const READY: u64 = 120;

/// The readiness probe is the check; without it the liveness probe, without both the startup probe.
pub(super) fn read(import: &Import<'_, '_>, draft: &mut Draft<'_>) {
    let container = draft.container;
    let shown = draft.object.shown();
    let probes = ["readinessProbe", "livenessProbe", "startupProbe"].map(|key| (key, container.get(key)));
    let found: Vec<(&str, &Node)> = probes.into_iter().filter_map(|(key, node)| Some((key, node?))).collect();
    for (key, node) in &found {
        fields::check(&import.notes, node, fields::PROBE, &format!("`{key}` of {shown}"));
    }
    let Some((chosen, probe)) = found.first().copied() else { return };
    for (key, node) in found.iter().skip(1).filter(|(key, _)| *key == "livenessProbe") {
        let what = format!("`{key}` of {shown}: one check decides who gets requests, and it is the `{chosen}`");
        import.notes.not_carried(node.span, what, "a program that hangs should fail that check");
    }
    if chosen == "livenessProbe" {
        let what = format!("`{chosen}` of {shown}: it also decides who gets requests, for lack of a readiness probe");
        import.notes.changed(probe.span, what, "");
    }
    let Some(mut entries) = test(import, draft, probe, &format!("`{chosen}` of {shown}")) else { return };
    let seconds = |key: &str| number(probe, key).filter(|seconds| *seconds > 0);
    for (key, name) in [("periodSeconds", "interval"), ("timeoutSeconds", "timeout")] {
        entries.extend(seconds(key).map(|seconds| (name, Yaml::Word(format!("{seconds}s")))));
    }
    entries.extend(seconds("failureThreshold").map(|times| ("retries", Yaml::number(times))));
    let start = start_period(probe, container.get("startupProbe"));
    if start > 0 {
        entries.push(("start_period", Yaml::Word(format!("{start}s"))));
    }
    if start > READY {
        draft.set("rollout", Yaml::Flow(vec![("ready", Yaml::Word(format!("{start}s")))]));
    }
    let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value));
    draft.set("healthcheck", Yaml::Map(entries.collect()));
}

/// How long failures are forgiven in the beginning, in seconds.
fn start_period(probe: &Node, startup: Option<&Node>) -> u64 {
    let delay = |node| u64::from(number(node, "initialDelaySeconds").unwrap_or(0));
    let Some(startup) = startup else { return delay(probe) };
    let tries = u64::from(number(startup, "failureThreshold").unwrap_or(3));
    let period = u64::from(number(startup, "periodSeconds").unwrap_or(PERIOD));
    (delay(startup) + tries * period).min(86_400)
}

/// What is asked. `None` where that is nothing that is known, which is reported.
fn test(import: &Import<'_, '_>, draft: &mut Draft<'_>, probe: &Node, what: &str) -> Option<Vec<(&'static str, Yaml)>> {
    let numbered = |node: &Node, listening: &[Listening]| {
        let number = resolve(text(node, "port")?, listening);
        if number.is_none() {
            let advice = "give the number of a port that the container listens on";
            import.notes.not_carried(node.span, format!("{what}: its port is not known"), advice);
        }
        number
    };
    if let Some(get) = probe.get("httpGet") {
        let port = numbered(get, &draft.listening)?;
        if let Some(headers) = get.get("httpHeaders").filter(|headers| !headers.items().is_empty()) {
            import.notes.not_carried(headers.span, format!("`httpHeaders` of {what}: the check sends none"), "");
        }
        if let Some(host) = get.get("host") {
            import.notes.not_carried(host.span, format!("`host` of {what}: the replica itself is asked"), "");
        }
        if text(get, "scheme") == Some("HTTPS") {
            let what =
                format!("{what}: the check speaks no TLS to a replica, so it only sees whether the port answers");
            import.notes.changed(get.span, what, "let the program answer without TLS behind the edge");
            return Some(vec![("port", Yaml::number(port))]);
        }
        draft.ports.insert((port, false), true);
        let path = text(get, "path").unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        return Some(vec![("path", Yaml::text(&format!("{slash}{path}"))), ("port", Yaml::number(port))]);
    }
    if let Some(socket) = probe.get("tcpSocket") {
        return Some(vec![("port", Yaml::number(numbered(socket, &draft.listening)?))]);
    }
    if let Some(call) = probe.get("grpc") {
        let port = numbered(call, &draft.listening)?;
        let what = format!("{what}: the check calls no gRPC, so it only sees whether the port answers");
        import.notes.changed(call.span, what, "or run a program in the replica: `test: [CMD, …]`");
        return Some(vec![("port", Yaml::number(port))]);
    }
    let words = probe.get("exec").map(|exec| texts(exec, "command")).unwrap_or_default();
    if words.is_empty() || list(probe.get("exec")?, "command").len() != words.len() {
        import.notes.not_carried(probe.span, format!("{what}: it asks nothing that is known"), "write a `healthcheck`");
        return None;
    }
    Some(vec![("test", Yaml::texts(std::iter::once("CMD").chain(words)))])
}

/// The number of a port that is given by number or by name.
pub(super) fn resolve(written: &str, listening: &[Listening]) -> Option<u16> {
    let named = || listening.iter().find(|port| port.name.as_deref() == Some(written)).map(|port| port.number);
    port(written).or_else(named)
}
