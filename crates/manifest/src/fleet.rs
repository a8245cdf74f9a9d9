//! Fleets: environments that are brought to the manifest wave by wave.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::EnvName;

use crate::context::{Context, Problem};
use crate::lower::read::duration;
use crate::suggest::nearest;
use crate::tree::{Map, Node};

/// Environments that are brought to the manifest wave by wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The environments of each wave, in order. Each is named once; no wave is empty.
    pub waves: Vec<Vec<EnvName>>,
    /// How long a wave must go on working before the next begins, milliseconds.
    pub soak_ms: u64,
}

/// The fleets that a manifest describes. What is wrong with one is reported, and leaves it out.
pub(crate) fn fleets(ctx: &Context<'_>, tree: &Node) -> BTreeMap<String, Fleet> {
    let described: Vec<&str> =
        tree.get("environments").and_then(Node::map).into_iter().flat_map(Map::iter).map(|e| e.key.as_str()).collect();
    let all = tree.get("fleets").and_then(Node::map).into_iter().flat_map(Map::iter);
    all.filter_map(|entry| {
        let waves = waves(ctx, &entry.value, &described)?;
        if waves.is_empty() {
            let problem = Problem::new("M0124", entry.key_span, format!("fleet `{}` names no environment", entry.key));
            ctx.report(problem.help("name them wave by wave: `waves: [[canary], [eu, us]]`"));
            return None;
        }
        let soak_ms = duration(&entry.value, "soak").unwrap_or(0);
        Some((entry.key.to_string(), Fleet { waves, soak_ms }))
    })
    .collect()
}

fn waves(ctx: &Context<'_>, fleet: &Node, described: &[&str]) -> Option<Vec<Vec<EnvName>>> {
    let (mut waves, mut named, mut good) = (Vec::new(), BTreeSet::new(), true);
    for wave in fleet.get("waves").map(Node::items).unwrap_or_default() {
        let nodes = if wave.list().is_some() { wave.items() } else { std::slice::from_ref(wave) };
        let mut names = Vec::new();
        for node in nodes {
            let name = name(ctx, node, described).filter(|name| is_first(ctx, node, name, &mut named));
            good &= name.is_some();
            names.extend(name);
        }
        if !names.is_empty() {
            waves.push(names);
        }
    }
    good.then_some(waves)
}

/// An environment that the manifest describes. Any other is reported.
fn name(ctx: &Context<'_>, node: &Node, described: &[&str]) -> Option<EnvName> {
    let written = node.scalar().unwrap_or_default();
    if !described.contains(&written) {
        let problem = Problem::new("M0124", node.span, format!("`environments` does not describe `{written}`"));
        ctx.report(match nearest(written, described.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("describe it: `environments: {{{written}: {{target: …}}}}`")),
        });
        return None;
    }
    match written.parse() {
        Ok(name) => Some(name),
        Err(why) => {
            ctx.report(Problem::new("M0124", node.span, format!("`{written}` is no environment: {why}")));
            None
        }
    }
}

/// Whether an environment is named for the first time. It is reported otherwise.
fn is_first(ctx: &Context<'_>, node: &Node, name: &EnvName, named: &mut BTreeSet<EnvName>) -> bool {
    let is_first = named.insert(name.clone());
    if !is_first {
        let problem = Problem::new("M0124", node.span, format!("`{name}` is in the fleet twice"));
        ctx.report(problem.help("an environment has one wave"));
    }
    is_first
}
