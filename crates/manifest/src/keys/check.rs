//! Compares a tree with the tables: unknown keys, wrong types, keys that do nothing.

use super::{Fate, Key, Shape};
use crate::context::{Context, Problem};
use crate::tree::{Entry, Node, Scalar, Value};
use crate::units;

/// Reports everything in `node` that does not have `shape`. `what` names the node in messages.
pub(crate) fn check(ctx: &Context<'_>, node: &Node, shape: &Shape, what: &str) {
    match (&node.value, fitting(&node.value, shape)) {
        (Value::Null, _) => {}
        (_, None) => wrong_kind(ctx, node, shape, what),
        (Value::Scalar(scalar), Some(shape)) => check_scalar(ctx, node, scalar, shape, what),
        (Value::List(items), Some(Shape::List(item))) => {
            for node in items {
                if node.is_null() {
                    let problem = Problem::new("M0112", node.span, format!("an item of `{what}` is empty"));
                    ctx.report(problem.label("nothing stands here"));
                }
                check(ctx, node, item, what);
            }
        }
        (Value::Map(map), Some(Shape::Map(value))) => {
            map.iter().for_each(|entry| check(ctx, &entry.value, value, &entry.key));
        }
        (Value::Map(map), Some(Shape::Object(keys))) => {
            map.iter().for_each(|entry| check_entry(ctx, entry, keys, what));
        }
        _ => {}
    }
}

/// The alternative that a value of this kind is meant for.
fn fitting<'s>(value: &Value, shape: &'s Shape) -> Option<&'s Shape> {
    match (shape, value) {
        (Shape::Any, _) | (_, Value::Null) => Some(shape),
        (Shape::Either(shapes), Value::Scalar(scalar)) => {
            let fits = |shape: &&Shape| fitting(value, shape).is_some();
            let good = |shape: &&Shape| fits(shape) && accepts(scalar, shape);
            shapes.iter().find(good).or_else(|| shapes.iter().find(fits))
        }
        (Shape::Either(shapes), _) => shapes.iter().find_map(|shape| fitting(value, shape)),
        (Shape::List(_), Value::List(_)) | (Shape::Map(_) | Shape::Object(_), Value::Map(_)) => Some(shape),
        (Shape::List(_) | Shape::Map(_) | Shape::Object(_), _) => None,
        (_, Value::Scalar(_)) => Some(shape),
        _ => None,
    }
}

fn accepts(scalar: &Scalar, shape: &Shape) -> bool {
    let text = scalar.text.as_str();
    match shape {
        Shape::Bool => units::boolean(text).is_some(),
        Shape::Integer => units::integer(text).is_some(),
        Shape::Number => text.trim().parse::<f64>().is_ok_and(f64::is_finite),
        Shape::Duration => units::duration_ms(text).is_some(),
        Shape::Bytes => units::bytes(text).is_some() || text == "-1",
        Shape::Cpu => units::cpu_millis(text).is_some(),
        Shape::Percent => units::percent(text).is_some(),
        Shape::Mode => units::mode(text).is_some(),
        Shape::Choice(words) => words.contains(&text),
        _ => true,
    }
}

fn check_scalar(ctx: &Context<'_>, node: &Node, scalar: &Scalar, shape: &Shape, what: &str) {
    if scalar.pieces.is_some() && !matches!(shape, Shape::Template | Shape::Any) {
        let problem = Problem::new("M0304", node.span, format!("`{what}` cannot hold a reference"));
        ctx.report(problem.label("references are for values of `environment`").help("write `$$` for a dollar sign"));
        return;
    }
    // A variable that is not set leaves an empty text, which Compose takes for an absent value.
    if accepts(scalar, shape) || scalar.text.is_empty() {
        return;
    }
    let problem = match shape {
        Shape::Choice(words) => {
            let problem = Problem::new("M0113", node.span, format!("`{what}` cannot be `{}`", scalar.text));
            let label = ctx
                .nearest(&scalar.text, words.iter().copied())
                .map_or_else(|| format!("one of {}", listed(words)), |word| format!("did you mean `{word}`?"));
            problem.label(label)
        }
        shape => {
            let problem = Problem::new("M0114", node.span, format!("`{what}` must be {}", describe(shape)));
            problem.label(example(shape))
        }
    };
    ctx.report(problem);
}

fn check_entry(ctx: &Context<'_>, entry: &Entry, keys: &[Key], what: &str) {
    if entry.key.starts_with("x-") {
        return;
    }
    let Some(key) = keys.iter().find(|key| key.name == entry.key) else {
        let problem = Problem::new("M0107", entry.key_span, format!("unknown key `{}`", entry.key));
        let near = ctx.nearest(&entry.key, keys.iter().map(|key| key.name));
        let problem = match near {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem.label(format!("not a key of {what}")).help("keys that begin with `x-` are left alone"),
        };
        return ctx.report(problem);
    };
    match key.fate {
        Fate::Honoured => {}
        Fate::NotHonoured { why, instead } => {
            let problem = Problem::new("M0111", entry.key_span, format!("`{}` is not honoured: {why}", key.name));
            ctx.report(problem.label("has no effect").help(instead));
        }
        Fate::Later => {
            let problem = Problem::new("M0115", entry.key_span, format!("`{}` is not honoured yet", key.name));
            ctx.report(problem.label("has no effect in this version"));
        }
    }
    check(ctx, &entry.value, &key.shape, key.name);
}

fn wrong_kind(ctx: &Context<'_>, node: &Node, shape: &Shape, what: &str) {
    let message = format!("`{what}` must be {}, not {}", describe(shape), node.kind());
    ctx.report(Problem::new("M0116", node.span, message).label(format!("this is {}", node.kind())));
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Text | Shape::Template => "a text".to_owned(),
        Shape::Bool => "true or false".to_owned(),
        Shape::Integer => "a whole number".to_owned(),
        Shape::Number => "a number".to_owned(),
        Shape::Duration => "a duration".to_owned(),
        Shape::Bytes => "a size".to_owned(),
        Shape::Cpu => "a number of cores".to_owned(),
        Shape::Percent => "a share".to_owned(),
        Shape::Mode => "permission bits".to_owned(),
        Shape::Choice(words) => format!("one of {}", listed(words)),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(_) | Shape::Object(_) => "a mapping".to_owned(),
        Shape::Either(shapes) => {
            let mut all: Vec<String> = shapes.iter().map(describe).collect();
            all.dedup();
            all.join(" or ")
        }
    }
}

fn example(shape: &Shape) -> &'static str {
    match shape {
        Shape::Bool => "write `true` or `false`",
        Shape::Integer => "for example `3`",
        Shape::Number => "for example `0.5`",
        Shape::Duration => "for example `90s` or `1m30s`",
        Shape::Bytes => "for example `256Mi`",
        Shape::Cpu => "for example `500m` or `0.5`",
        Shape::Percent => "for example `10%`",
        Shape::Mode => "for example `0440`",
        _ => "",
    }
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
