//! `maintenance`: when alerts open nothing, because somebody works on it.

use std::collections::BTreeSet;

use daybook_model::oncall::{When, Window};
use daybook_model::spec::Schedule;
use daybook_model::{ServiceName, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Manifest;
use super::lifecycle::{cron, time_zone};
use super::read::{duration, text};
use crate::context::Problem;
use crate::tree::Node;

/// The longest of what comes again, 31 days: whoever never wants an alert changes its rule.
const LONGEST_MS: u64 = 31 * 24 * 3_600_000;

/// The windows, in the order in which they are written.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, node: Option<&Node>) -> Vec<Window> {
    node.map(Node::items).unwrap_or_default().iter().filter_map(|item| window(manifest, item)).collect()
}

fn window(manifest: &Manifest<'_, '_>, node: &Node) -> Option<Window> {
    let report = |at: &Node, message: &str, label: &str| {
        manifest.ctx.report(Problem::new("M0142", at.span, message).label(label));
        None
    };
    let zone = node.get("timezone").map_or_else(|| "UTC".to_owned(), |node| time_zone(manifest, node));
    let services = services(manifest, node);
    let Some(title) = text(node, "title") else {
        return report(node, "the window has no title", "say what it is for: the public may read it");
    };
    let when = match (node.get("every"), node.get("from")) {
        (Some(every), None) => {
            let Some(length_ms) = duration(node, "for").filter(|ms| *ms > 0) else {
                return report(node.get("for").unwrap_or(node), "nothing says how long it is", "`for: 2h`");
            };
            if length_ms > LONGEST_MS {
                let label = "at most `31d`: `from` and `until` say what is longer";
                return report(node.get("for").unwrap_or(node), "it comes again, and is longer than a month", label);
            }
            if let Some(until) = node.get("until") {
                return report(until, "it comes again and again", "`for` says how long it is");
            }
            When::Every { begins: Schedule { cron: cron(manifest, every)?, zone }, length_ms }
        }
        (None, Some(from)) => {
            let Some(until) = node.get("until") else {
                return report(node, "nothing says when it is over", "`until: 2026-12-24T22:00`");
            };
            if let Some(length) = node.get("for") {
                return report(length, "it is once", "`until` says when it is over");
            }
            let (from, end) = (moment(manifest, "M0142", from, &zone)?, moment(manifest, "M0142", until, &zone)?);
            if end <= from {
                return report(until, "it is over before it begins", "not after `from`");
            }
            When::Once { from, until: end }
        }
        (None, None) => return report(node, "nothing says when it is", "`from` and `until`, or `every` and `for`"),
        (Some(every), Some(_)) => {
            return report(every, "it is once, and again and again", "leave `every` or `from` out");
        }
    };
    Some(Window { title, services, when })
}

/// Services that something is about; those that are not declared are reported.
pub(super) fn services(manifest: &Manifest<'_, '_>, node: &Node) -> BTreeSet<ServiceName> {
    let items = node.get("services").map(Node::items).unwrap_or_default();
    let named = items.iter().filter_map(|node| Some((node.scalar()?, node.span)));
    let known = named.filter(|(name, span)| {
        manifest.section("databases").is_some_and(|databases| databases.get(name).is_some())
            || manifest.declared("services", "service", name, *span)
    });
    known.filter_map(|(name, _)| ServiceName::new(name).ok()).collect()
}

/// A moment: with its offset from UTC, or as the clocks of a zone show it.
pub(super) fn moment(manifest: &Manifest<'_, '_>, code: &'static str, node: &Node, zone: &str) -> Option<Timestamp> {
    if let Some(moment) = node.scalar().and_then(|text| text.parse().ok()) {
        return Some(moment);
    }
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    zone.to_ambiguous_timestamp(local(manifest, code, node)?).compatible().ok()
}

/// What clocks show; what they never do is reported.
pub(super) fn local(manifest: &Manifest<'_, '_>, code: &'static str, node: &Node) -> Option<DateTime> {
    let written = node.scalar().unwrap_or_default();
    let moment: Option<DateTime> = written.parse().ok();
    if moment.is_none() {
        let problem = Problem::new(code, node.span, format!("`{written:.80}` is no moment"));
        manifest.ctx.report(problem.label("like `2026-12-24T20:00`"));
    }
    moment
}
