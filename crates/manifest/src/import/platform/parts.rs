//! Parts of a service that several platforms describe alike.

use crate::import::read::{map, text};
use crate::import::yaml::Yaml;
use crate::tree::{Map, Node};

/// The texts of the mapping at `key`.
pub(super) fn pairs(node: &Node, key: &str) -> Vec<(String, Yaml)> {
    let all = map(node, key).into_iter().flat_map(Map::iter);
    all.filter_map(|entry| Some((entry.key.to_string(), Yaml::text(entry.value.scalar()?)))).collect()
}

/// `build`: the directory `context`, with what `node` says under its own names for keys of ours, and its `args`.
pub(super) fn build(context: &str, node: &Node, names: &[(&str, &str)]) -> Yaml {
    let mut keys = vec![("context".to_owned(), Yaml::text(context))];
    keys.extend(names.iter().filter_map(|(theirs, ours)| Some(((*ours).to_owned(), Yaml::text(text(node, theirs)?)))));
    let args = pairs(node, "args");
    if keys.len() == 1 && args.is_empty() {
        return Yaml::text(context);
    }
    keys.push(("args".to_owned(), Yaml::Map(args)));
    Yaml::Map(keys)
}

/// `healthcheck`: a path, and the times that are said.
pub(super) fn healthcheck(path: &str, times: Vec<(&'static str, Yaml)>) -> Yaml {
    match times.is_empty() {
        true => Yaml::text(path),
        false => Yaml::Flow([vec![("path", Yaml::text(path))], times].concat()),
    }
}

/// An item of `domain`: a host, and the path beneath it that is meant.
pub(super) fn domain(host: &str, path: Option<&str>) -> Yaml {
    match path.filter(|path| *path != "/") {
        Some(path) => Yaml::Flow(vec![("host", Yaml::text(host)), ("path", Yaml::text(path))]),
        None => Yaml::text(host),
    }
}

/// `resources`: thousandths of a core, and mebibytes. Nothing is said of what is 0.
pub(super) fn resources((cpu, memory): (u32, u32)) -> Yaml {
    let amounts = [("cpu", cpu, "m"), ("memory", memory, "Mi")].into_iter().filter(|(_, amount, _)| *amount > 0);
    Yaml::Flow(amounts.map(|(key, amount, unit)| (key, Yaml::Word(format!("{amount}{unit}")))).collect())
}

/// Where a service of the environment is reached.
pub(super) fn hostport(service: &str) -> String {
    format!("${{{service}.host}}:${{{service}.port}}")
}

/// One fact of where it is: its `host`, its `port`, or both as `hostport`.
pub(super) fn place(service: &str, fact: &str) -> Option<Yaml> {
    match fact {
        "host" | "port" => Some(Yaml::Template(format!("${{{service}.{fact}}}"))),
        "hostport" => Some(Yaml::Template(hostport(service))),
        _ => None,
    }
}
