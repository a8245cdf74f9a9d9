//! `on_call`: who is woken, when, and in which order.

use std::collections::BTreeMap;

use daybook_model::ChannelName;
use daybook_model::notify::Channel;
use daybook_model::oncall::{Layer, Level, OnCall, Override, Policy, Restriction, Schedule, Target, Turn};
use jiff::civil::Time;

use super::Manifest;
use super::lifecycle::time_zone;
use super::maintenance::{local, moment, services};
use super::read::{duration, flag, integer};
use crate::context::Problem;
use crate::tree::{Entry, Map, Node, Span};

const CODE: &str = "M0141";
/// How long a level waits where that is not said: milliseconds.
const WAIT_MS: u64 = 5 * 60_000;
/// The shortest that it may wait.
const LEAST_WAIT_MS: u64 = 1_000;
/// The longest turn: a year.
const LONGEST_TURN_MS: u64 = 366 * 24 * HOUR_MS;
/// How often a policy begins again, at most.
const MOST_REPEATS: u32 = 100;
const HOUR_MS: u64 = 3_600_000;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Who is woken through these channels.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, node: Option<&Node>, channels: &[Channel]) -> OnCall {
    let Some(node) = node else { return OnCall::default() };
    let people = people(manifest, node, channels);
    let schedules: Vec<_> = entries(node, "schedules").filter_map(|entry| schedule(manifest, entry, &people)).collect();
    let policies = entries(node, "policies").filter_map(|entry| policy(manifest, node, entry, &people)).collect();
    let on_call = OnCall { people, schedules, policies };
    warn_if_nobody_else_hears(manifest, node, &on_call, channels);
    on_call
}

/// Warns where each channel is somebody's own: those hear of what wakes somebody, and of nothing else.
fn warn_if_nobody_else_hears(manifest: &Manifest<'_, '_>, node: &Node, on_call: &OnCall, channels: &[Channel]) {
    let is_own = |channel: &Channel| on_call.behind(&channel.name).next().is_some();
    // Where something is wrong, a channel may be missing only because of that.
    if channels.is_empty() || !channels.iter().all(is_own) || manifest.ctx.failed() {
        return;
    }
    let span = node.map().and_then(|map| map.entry("people")).map_or(node.span, |entry| entry.key_span);
    let problem = Problem::new("M0144", span, "nobody hears of incidents but who is woken for them");
    let problem = problem.label("each channel of `notify` is somebody's own");
    manifest.ctx.report(problem.help("add a channel to `notify` that is nobody's own, such as the team's"));
}

fn entries<'n>(node: &'n Node, key: &str) -> impl Iterator<Item = &'n Entry> {
    node.get(key).and_then(Node::map).into_iter().flat_map(Map::iter)
}

fn report(manifest: &Manifest<'_, '_>, span: Span, message: impl Into<String>, label: &str) {
    manifest.ctx.report(Problem::new(CODE, span, message).label(label));
}

/// Whether a name is among these; if not, it is reported with what could have been meant.
fn is_known<'n>(
    manifest: &Manifest<'_, '_>,
    what: &str,
    name: &str,
    span: Span,
    names: impl Iterator<Item = &'n str> + Clone,
) -> bool {
    if names.clone().any(|known| known == name) {
        return true;
    }
    let label = match manifest.ctx.nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match names.collect::<Vec<_>>().as_slice() {
            [] => "none is described".to_owned(),
            names => format!("one of `{}`", names.join("`, `")),
        },
    };
    report(manifest, span, format!("there is no {what} `{name:.80}`"), &label);
    false
}

type People = BTreeMap<String, Vec<ChannelName>>;

fn people(manifest: &Manifest<'_, '_>, node: &Node, channels: &[Channel]) -> People {
    let mut people = People::new();
    for entry in entries(node, "people") {
        let mut own = Vec::new();
        for item in entry.value.items() {
            let Some(name) = item.scalar() else { continue };
            let known = channels.iter().map(|channel| channel.name.as_str());
            if is_known(manifest, "channel", name, item.span, known) {
                own.extend(ChannelName::new(name));
            }
        }
        if entry.value.items().is_empty() {
            report(manifest, entry.key_span, format!("nothing reaches `{}`", entry.key), "name a channel of `notify`");
        }
        people.insert(entry.key.to_string(), own);
    }
    people
}

/// The people that a key names; those whom nothing reaches are reported.
fn named(manifest: &Manifest<'_, '_>, node: &Node, key: &str, people: &People) -> Vec<String> {
    let items = node.get(key).map(Node::items).unwrap_or_default();
    let written = items.iter().filter_map(|item| Some((item.scalar()?, item.span)));
    let known =
        written.filter(|(name, span)| is_known(manifest, "person", name, *span, people.keys().map(String::as_str)));
    known.map(|(name, _)| name.to_owned()).collect()
}

fn schedule(manifest: &Manifest<'_, '_>, entry: &Entry, people: &People) -> Option<Schedule> {
    let node = &entry.value;
    let zone = node.get("timezone").map_or_else(|| "UTC".to_owned(), |node| time_zone(manifest, node));
    let layers = node.get("layers").map(Node::items).unwrap_or_default();
    if layers.is_empty() {
        report(manifest, entry.key_span, format!("nobody is on call in `{}`", entry.key), "give it `layers`");
        return None;
    }
    let layers: Vec<_> = layers.iter().filter_map(|node| layer(manifest, node, people)).collect();
    let overrides = node.get("overrides").map(Node::items).unwrap_or_default();
    let overrides = overrides.iter().filter_map(|node| one_override(manifest, node, &zone, people)).collect();
    Some(Schedule { name: entry.key.to_string(), zone, layers, overrides, handover: flag(node, "handover") })
}

fn layer(manifest: &Manifest<'_, '_>, node: &Node, people: &People) -> Option<Layer> {
    let who = named(manifest, node, "people", people);
    if node.get("people").map(Node::items).unwrap_or_default().is_empty() {
        report(manifest, node.span, "nobody takes turns", "add `people`");
    }
    let turn = match node.get("turn") {
        None => Some(Turn::Weeks(1)),
        Some(written) => {
            let length = duration(node, "turn");
            let turn = length.and_then(turn);
            if length.is_some_and(|ms| ms > LONGEST_TURN_MS) {
                report(manifest, written.span, "a turn is longer than a year", "at most `366d`");
            } else if turn.is_none() {
                report(manifest, written.span, "a turn is of whole hours, days or weeks", "like `12h`, `1d` or `1w`");
            }
            turn
        }
    };
    let Some(from) = node.get("from") else {
        report(manifest, node.span, "nothing says when turns begin", "`from: 2026-01-05T09:00`");
        return None;
    };
    let start = local(manifest, CODE, from);
    let until = match node.get("until") {
        Some(until) => Some(local(manifest, CODE, until)?),
        None => None,
    };
    let only = node.get("only").map(Node::items).unwrap_or_default();
    let only = only.iter().filter_map(|node| hours(manifest, node)).collect();
    Some(Layer { people: who, start: start?, until, turn: turn?, only })
}

/// A turn of so long. Days are of the calendar.
fn turn(ms: u64) -> Option<Turn> {
    let ms = Some(ms).filter(|ms| *ms <= LONGEST_TURN_MS)?;
    let hours = u32::try_from(ms / HOUR_MS).ok().filter(|hours| *hours > 0 && ms % HOUR_MS == 0)?;
    Some(match (hours % (7 * 24), hours % 24) {
        (0, _) => Turn::Weeks(hours / (7 * 24)),
        (_, 0) => Turn::Days(hours / 24),
        _ => Turn::Hours(hours),
    })
}

fn hours(manifest: &Manifest<'_, '_>, node: &Node) -> Option<Restriction> {
    let mut days = Vec::new();
    for item in node.get("days").map(Node::items).unwrap_or_default() {
        let written = item.scalar().unwrap_or_default();
        let begins = written.to_lowercase().get(..3).map(ToOwned::to_owned);
        match DAYS.iter().zip(1..).find(|(day, _)| begins.as_deref() == Some(day)) {
            Some((_, number)) => days.push(number),
            None => report(manifest, item.span, format!("`{written:.80}` is no day"), "one of `mon` to `sun`"),
        }
    }
    let time = |key: &str| -> Option<Time> {
        let written = node.get(key);
        let time = written.and_then(Node::scalar).and_then(|text| text.parse().ok());
        if time.is_none() {
            let span = written.map_or(node.span, |node| node.span);
            report(manifest, span, format!("`{key}` is no time of day"), "like `\"09:00\"`");
        }
        time
    };
    let (from, until) = (time("from"), time("until"));
    Some(Restriction { days, from: from?, until: until? })
}

fn one_override(manifest: &Manifest<'_, '_>, node: &Node, zone: &str, people: &People) -> Option<Override> {
    let person = named(manifest, node, "person", people).pop();
    let time = |key: &str| match node.get(key) {
        Some(node) => moment(manifest, CODE, node, zone),
        None => {
            report(manifest, node.span, format!("`{key}` is missing"), "`2026-12-24T09:00`");
            None
        }
    };
    let (from, until) = (time("from"), time("until"));
    if node.get("person").is_none() {
        report(manifest, node.span, "nobody takes over", "add `person`");
    }
    let (from, until) = (from?, until?);
    if until <= from {
        report(manifest, node.span, "it is over before it begins", "`until` is not after `from`");
    }
    Some(Override { person: person?, from, until })
}

fn policy(manifest: &Manifest<'_, '_>, on_call: &Node, entry: &Entry, people: &People) -> Option<Policy> {
    let node = &entry.value;
    let levels = node.get("levels").map(Node::items).unwrap_or_default();
    if levels.is_empty() {
        report(manifest, entry.key_span, format!("`{}` wakes nobody", entry.key), "give it `levels`");
        return None;
    }
    let repeat = match node.get("repeat") {
        None => 0,
        Some(written) => {
            let often = integer(node, "repeat").and_then(|often| u32::try_from(often).ok());
            let often = often.filter(|often| *often <= MOST_REPEATS);
            if often.is_none() {
                report(manifest, written.span, "it cannot begin again as often", "from 0 to 100 times");
            }
            often?
        }
    };
    let levels = levels.iter().map(|node| level(manifest, on_call, node, people)).collect();
    Some(Policy { name: entry.key.to_string(), services: services(manifest, node), levels, repeat })
}

fn level(manifest: &Manifest<'_, '_>, on_call: &Node, node: &Node, people: &People) -> Level {
    let schedules = on_call.get("schedules").and_then(Node::map);
    let mut targets = Vec::new();
    for item in node.get("schedule").map(Node::items).unwrap_or_default() {
        let Some(name) = item.scalar() else { continue };
        let known = schedules.into_iter().flat_map(Map::iter).map(|entry| entry.key.as_str());
        if is_known(manifest, "schedule", name, item.span, known.collect::<Vec<_>>().into_iter()) {
            targets.push(Target::Schedule(name.to_owned()));
        }
    }
    targets.extend(named(manifest, node, "person", people).into_iter().map(Target::Person));
    if node.get("schedule").or(node.get("person")).is_none() {
        report(manifest, node.span, "the level wakes nobody", "add `schedule` or `person`");
    }
    let wait_ms = duration(node, "wait").unwrap_or(WAIT_MS);
    if wait_ms < LEAST_WAIT_MS {
        let span = node.get("wait").map_or(node.span, |node| node.span);
        report(manifest, span, "nobody can answer so soon", "at least `1s`");
    }
    Level { targets, wait_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_of_weeks_days_or_hours() {
        let day = 24 * HOUR_MS;
        assert_eq!(turn(14 * day), Some(Turn::Weeks(2)));
        assert_eq!(turn(3 * day), Some(Turn::Days(3)));
        assert_eq!(turn(36 * HOUR_MS), Some(Turn::Hours(36)));
        assert_eq!([turn(0), turn(HOUR_MS + 1), turn(HOUR_MS / 2)], [None; 3]);
        assert_eq!([turn(366 * day), turn(366 * day + HOUR_MS)], [Some(Turn::Days(366)), None]);
    }
}
