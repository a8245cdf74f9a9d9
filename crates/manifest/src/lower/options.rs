//! Less common settings, handed through to the runtime.

use std::collections::BTreeMap;

use daybook_model::spec::ContainerOptions;

use super::Manifest;
use super::read::{boolean, bytes, flag, integer, text, text_map, texts};
use crate::context::Problem;
use crate::merge::pairs;
use crate::tree::{Node, Value};
use crate::units;

/// Log drivers that keep the log where Daybook reads it, with bounds of its own.
const OWN_LOG_DRIVERS: [&str; 3] = ["", "json-file", "local"];

pub(crate) fn lower(manifest: &Manifest<'_, '_>, service: &Node) -> ContainerOptions {
    ContainerOptions {
        privileged: flag(service, "privileged"),
        read_only: flag(service, "read_only"),
        init: boolean(service, "init"),
        tty: flag(service, "tty"),
        stdin_open: flag(service, "stdin_open"),
        hostname: text(service, "hostname"),
        domainname: text(service, "domainname"),
        network_mode: text(service, "network_mode"),
        pid: text(service, "pid"),
        ipc: text(service, "ipc"),
        userns_mode: text(service, "userns_mode"),
        platform: text(service, "platform"),
        runtime: text(service, "runtime"),
        shm_size: bytes(service, "shm_size"),
        cap_add: texts(service, "cap_add"),
        cap_drop: texts(service, "cap_drop"),
        devices: devices(service),
        device_cgroup_rules: texts(service, "device_cgroup_rules"),
        dns: texts(service, "dns"),
        dns_search: texts(service, "dns_search"),
        dns_opt: texts(service, "dns_opt"),
        extra_hosts: extra_hosts(service),
        group_add: texts(service, "group_add"),
        security_opt: texts(service, "security_opt"),
        sysctls: text_map(service, "sysctls"),
        ulimits: ulimits(manifest, service),
        oom_score_adj: integer(service, "oom_score_adj"),
        log_driver: log_driver(service),
    }
}

fn devices(service: &Node) -> Vec<String> {
    let items = service.get("devices").map(Node::items).unwrap_or_default();
    let line = |item: &Node| {
        if let Some(short) = item.scalar() {
            return Some(short.to_owned());
        }
        let source = text(item, "source")?;
        let target = text(item, "target").unwrap_or_else(|| source.clone());
        let permissions = text(item, "permissions").unwrap_or_else(|| "rwm".to_owned());
        Some(format!("{source}:{target}:{permissions}"))
    };
    items.iter().filter_map(line).collect()
}

/// `host:address` lines from either form; an address in brackets is IPv6.
fn extra_hosts(service: &Node) -> Vec<String> {
    let Some(node) = service.get("extra_hosts") else { return Vec::new() };
    let mut lines = Vec::new();
    for entry in pairs(node, &['=', ':']) {
        for address in entry.value.items().iter().filter_map(Node::scalar) {
            let address = address.trim().trim_start_matches('[').trim_end_matches(']');
            lines.push(format!("{}:{address}", entry.key));
        }
    }
    lines
}

fn ulimits(manifest: &Manifest<'_, '_>, service: &Node) -> BTreeMap<String, (i64, i64)> {
    let mut limits = BTreeMap::new();
    for entry in service.get("ulimits").and_then(Node::map).into_iter().flat_map(|map| map.iter()) {
        let both = match &entry.value.value {
            Value::Scalar(scalar) => units::integer(&scalar.text).map(|limit| (limit, limit)),
            _ => {
                let (soft, hard) = (integer(&entry.value, "soft"), integer(&entry.value, "hard"));
                soft.or(hard).map(|either| (soft.unwrap_or(either), hard.unwrap_or(either)))
            }
        };
        let Some((soft, hard)) = both else { continue };
        if hard >= 0 && (soft > hard || soft < 0) {
            let message = format!("the soft limit of `{}` is above the hard limit", entry.key);
            manifest.ctx.report(Problem::new("M0516", entry.value.span, message).label(format!("{soft} > {hard}")));
            continue;
        }
        limits.insert(entry.key.to_string(), (soft, hard));
    }
    limits
}

fn log_driver(service: &Node) -> Option<(String, BTreeMap<String, String>)> {
    let logging = service.get("logging")?;
    let driver = text(logging, "driver").unwrap_or_default();
    let options = text_map(logging, "options");
    (!OWN_LOG_DRIVERS.contains(&driver.as_str())).then_some((driver, options))
}
