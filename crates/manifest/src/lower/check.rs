//! Health checks.

use daybook_model::spec::{Check, CheckTest, Port, Protocol};

use super::Manifest;
use super::read::{duration, flag, integer, text};
use crate::context::Problem;
use crate::tree::{Node, Span, Value};

/// The check of a service; `None` leaves it to the service's nature.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, service: &Node, ports: &[Port]) -> Option<Check> {
    let node = service.get("healthcheck")?;
    if let Some(path) = node.scalar() {
        return short_form(manifest, path, ports, node.span);
    }
    let test = if flag(node, "disable") { Some(CheckTest::Disabled) } else { test(manifest, node, ports) };
    let given = test.is_some() || node.map().is_some_and(|map| !map.is_empty());
    let test = test.unwrap_or_else(|| by_nature(ports));
    given.then(|| long_form(node, test))
}

/// A path is asked on the first port.
fn short_form(manifest: &Manifest<'_, '_>, path: &str, ports: &[Port], span: Span) -> Option<Check> {
    let port = http_port(manifest, ports, span)?;
    if !path.starts_with('/') {
        let problem = Problem::new("M0510", span, format!("`{path}` is no path"));
        manifest.ctx.report(problem.label("a path begins with `/`").help("a command goes into `test`"));
        return None;
    }
    let test = CheckTest::Http { path: path.to_owned(), port };
    Some(Check { test, interval_ms: 2_000, timeout_ms: 2_000, retries: 3, start_period_ms: 0, start_interval_ms: 100 })
}

fn http_port(manifest: &Manifest<'_, '_>, ports: &[Port], span: Span) -> Option<u16> {
    let port = ports.iter().find(|port| port.protocol != Protocol::Udp).map(|port| port.container);
    if port.is_none() {
        let problem = Problem::new("M0511", span, "a path can only be asked on a port");
        manifest.ctx.report(problem.label("the service has no port").help("give `port`"));
    }
    port
}

/// The long form. Commands are asked as often as Compose asks them, requests more often.
fn long_form(node: &Node, test: CheckTest) -> Check {
    let usual = if matches!(test, CheckTest::Command(_)) { (30_000, 30_000, 1_000) } else { (2_000, 2_000, 100) };
    let millis = |key: &str, default: u64| duration(node, key).filter(|ms| *ms > 0).unwrap_or(default);
    Check {
        test,
        interval_ms: millis("interval", usual.0),
        timeout_ms: millis("timeout", usual.1),
        retries: integer(node, "retries").and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(3),
        start_period_ms: duration(node, "start_period").unwrap_or(0),
        start_interval_ms: millis("start_interval", usual.2.min(millis("interval", usual.0))),
    }
}

fn by_nature(ports: &[Port]) -> CheckTest {
    let tcp = ports.iter().find(|port| port.protocol != Protocol::Udp);
    tcp.map_or(CheckTest::Running, |port| CheckTest::Tcp { port: port.container })
}

fn test(manifest: &Manifest<'_, '_>, node: &Node, ports: &[Port]) -> Option<CheckTest> {
    if let Some(path) = text(node, "path") {
        let given = integer(node, "port").and_then(|port| u16::try_from(port).ok());
        let port = given.or_else(|| http_port(manifest, ports, node.span))?;
        return Some(CheckTest::Http { path, port });
    }
    if node.get("test").is_none()
        && let Some(port) = integer(node, "port").and_then(|port| u16::try_from(port).ok())
    {
        return Some(CheckTest::Tcp { port });
    }
    let test = node.get("test")?;
    let words: Vec<String> = test.items().iter().filter_map(Node::scalar).map(str::to_owned).collect();
    if !matches!(test.value, Value::List(_)) {
        let line = words.into_iter().next().unwrap_or_default();
        return (!line.is_empty()).then(|| if line == "NONE" { CheckTest::Disabled } else { shell(&line) });
    }
    match words.split_first() {
        Some((first, _)) if first == "NONE" => Some(CheckTest::Disabled),
        Some((first, rest)) if first == "CMD" && !rest.is_empty() => Some(CheckTest::Command(rest.to_vec())),
        Some((first, rest)) if first == "CMD-SHELL" && !rest.is_empty() => Some(shell(&rest.join(" "))),
        None => None,
        Some((first, _)) => {
            let problem =
                Problem::new("M0512", test.span, format!("a test begins with a word such as `CMD`, not `{first}`"));
            let label = "begin with `CMD`, `CMD-SHELL` or `NONE`";
            manifest.ctx.report(problem.label(label).help("a single text is given to the replica's shell"));
            None
        }
    }
}

/// What Compose means by a test in one text: the shell inside the replica runs it. It is the author's
/// own command in the author's own container; no name from elsewhere is put into it.
fn shell(line: &str) -> CheckTest {
    CheckTest::Command(["/bin/sh", "-c", line].map(str::to_owned).to_vec())
}
