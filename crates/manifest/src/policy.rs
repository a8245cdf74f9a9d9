//! What a manifest, or a landing zone, says an environment is held to.

use daybook_model::ServiceName;
use daybook_model::policy::{Policy, RuleFile, Ruled, Waiver};
use jiff::civil::Date;

use crate::bundle::ReadError;
use crate::context::{Context, Problem};
use crate::lower::read::{boolean, bytes, cpu, integer, texts};
use crate::tree::Node;

/// What `node` says, beside what `policy` has already.
pub(crate) fn read(ctx: &Context<'_>, node: &Node, mut policy: Policy) -> Policy {
    for item in node.get("deny").map(Node::items).unwrap_or_default() {
        if let Some(word) = item.scalar() {
            policy.deny.push(Ruled { word: word.to_owned(), line: ctx.line(item.span) });
        }
    }
    let waivers = node.get("waive").map(Node::items).unwrap_or_default();
    policy.waive.extend(waivers.iter().filter_map(|item| waiver(ctx, item)));
    let files = node.get("rules").map(Node::items).unwrap_or_default();
    policy.rules.extend(files.iter().filter_map(|item| rules(ctx, item)));
    let rails = &mut policy.rails;
    rails.registries.extend(texts(node, "registries"));
    rails.targets.extend(texts(node, "targets"));
    rails.regions.extend(texts(node, "regions"));
    rails.labels.extend(texts(node, "labels"));
    rails.backups |= boolean(node, "backups").unwrap_or(false);
    if let Some(most) = node.get("most") {
        rails.most_cpu_millis = cpu(most, "cpu").or(rails.most_cpu_millis);
        rails.most_memory_bytes = bytes(most, "memory").or(rails.most_memory_bytes);
        let replicas = integer(most, "replicas").and_then(|count| u32::try_from(count).ok());
        rails.most_replicas = replicas.or(rails.most_replicas);
    }
    policy
}

fn waiver(ctx: &Context<'_>, node: &Node) -> Option<Waiver> {
    let text = |key: &str| node.get(key).and_then(|value| Some((value.scalar()?, value.span)));
    let missing = |key: &str, say: &str| {
        let problem = Problem::new("M0127", node.span, format!("the waiver has no `{key}`"));
        ctx.report(problem.label(say));
    };
    let (check, reason, until) = (text("check"), text("reason"), text("until"));
    for (key, value, say) in [
        ("check", check, "which check is waived?"),
        ("reason", reason.filter(|(reason, _)| !reason.trim().is_empty()), "say why, for whoever reads it next year"),
        ("until", until, "say until when: `until: 2027-03-31`"),
    ] {
        if value.is_none() {
            missing(key, say);
        }
    }
    let (check, reason) = (check?.0.to_owned(), reason?.0.to_owned());
    let (written, span) = until?;
    let Ok(until) = written.parse::<Date>() else {
        ctx.report(Problem::new("M0127", span, format!("`{written}` is no day")).label("write it as 2027-03-31"));
        return None;
    };
    let service = match text("service").map(|(name, span)| (ServiceName::new(name), span)) {
        None => None,
        Some((Ok(name), _)) => Some(name),
        Some((Err(why), span)) => {
            ctx.report(Problem::new("M0127", span, why.to_string()).label("no service"));
            return None;
        }
    };
    Some(Waiver { check, service, reason, until, line: ctx.line(node.span) })
}

fn rules(ctx: &Context<'_>, node: &Node) -> Option<RuleFile> {
    let written = node.scalar()?;
    let path = ctx.resolve(node.span, written);
    match ctx.read(node.span, &path) {
        Ok(text) => Some(RuleFile { name: written.to_owned(), text }),
        Err(ReadError::TooMuch) => None,
        Err(error) => {
            let code = if error == ReadError::Missing { "M0401" } else { "M0402" };
            let problem = Problem::new(code, node.span, format!("cannot read {written}: {error}"));
            ctx.report(problem.label("asked for here").help("write the rules, or leave the file out"));
            None
        }
    }
}
