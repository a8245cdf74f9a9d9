//! Limits: Daybook's `resources`, then `deploy.resources`, then the older keys.

use daybook_model::spec::{LogBound, Resources};

use super::read::{bytes, cpu, integer, text};
use crate::tree::Node;
use crate::units;

pub(crate) fn lower(service: &Node) -> Resources {
    let none = Node::new(service.span, crate::tree::Value::Null);
    let own = service.get("resources").unwrap_or(&none);
    let deploy = service.get("deploy").and_then(|deploy| deploy.get("resources"));
    let limits = deploy.and_then(|deploy| deploy.get("limits")).unwrap_or(&none);
    let reserved = deploy.and_then(|deploy| deploy.get("reservations")).unwrap_or(&none);
    let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let pids = integer(own, "pids").or_else(|| integer(limits, "pids")).or_else(|| integer(service, "pids_limit"));
    let memory = bytes(own, "memory").or_else(|| bytes(limits, "memory")).or_else(|| bytes(service, "mem_limit"));
    Resources {
        cpu_millis: cpu(own, "cpu")
            .or_else(|| cpu(limits, "cpus"))
            .or_else(|| cpu(service, "cpus"))
            .or_else(|| quota(service))
            .filter(|cpu| *cpu > 0),
        memory_bytes: memory.filter(|bytes| *bytes > 0),
        pids: pids.and_then(positive),
        reserve_cpu_millis: cpu(reserved, "cpus"),
        reserve_memory_bytes: bytes(reserved, "memory").or_else(|| bytes(service, "mem_reservation")),
        gpus: gpus(service, reserved),
    }
}

/// `cpu_quota` microseconds in each `cpu_period`, which is 100 ms unless given.
fn quota(service: &Node) -> Option<u64> {
    let micros = |key: &str| {
        let text = service.get(key)?.scalar()?;
        units::integer(text)
            .and_then(|n| u64::try_from(n).ok())
            .or_else(|| units::duration_ms(text)?.checked_mul(1_000))
    };
    let quota = micros("cpu_quota")?;
    let period = micros("cpu_period").filter(|period| *period > 0).unwrap_or(100_000);
    quota.checked_mul(1_000).map(|quota| quota / period)
}

fn gpus(service: &Node, reserved: &Node) -> Option<u32> {
    let count = |text: &str| if text == "all" { Some(u32::MAX) } else { text.parse().ok() };
    if let Some(node) = service.get("gpus") {
        return match node.scalar() {
            Some(text) => count(text),
            None => Some(node.items().iter().filter_map(|item| count(&text(item, "count")?)).max().unwrap_or(u32::MAX)),
        };
    }
    let is_gpu = |device: &&Node| {
        let capabilities = device.get("capabilities").map(Node::items).unwrap_or_default();
        capabilities.iter().any(|capability| capability.scalar() == Some("gpu"))
    };
    let device = reserved.get("devices").map(Node::items).unwrap_or_default().iter().find(is_gpu)?;
    Some(text(device, "count").map_or(u32::MAX, |text| count(&text).unwrap_or(u32::MAX)))
}

/// The bound of a log: the usual drivers' options, which other drivers do not have.
pub(crate) fn log_bound(service: &Node) -> LogBound {
    let options = service.get("logging").and_then(|logging| logging.get("options"));
    let usual = LogBound::default();
    let Some(options) = options else { return usual };
    LogBound {
        max_bytes: bytes(options, "max-size").filter(|bytes| *bytes > 0).unwrap_or(usual.max_bytes),
        files: integer(options, "max-file")
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n > 0)
            .unwrap_or(usual.files),
    }
}
