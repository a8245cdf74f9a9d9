//! Who is told, who is woken, when nobody is, and who else has what is measured: where that differs from the release in force.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::Spec;
use daybook_model::forward::Outlet;
use daybook_model::notify::Channel;
use daybook_model::plan::{Change, Detail, Sign, Subject};

use super::World;

/// What is said, by the name under which it is shown, with its line.
type Said = BTreeMap<String, (String, Option<u32>)>;

/// A change for each of them that differs.
pub(super) fn changes(world: &World<'_>) -> impl Iterator<Item = Change> {
    let before = world.cx.current.map(|release| &release.spec);
    let of = [
        (Subject::Channels, channels as fn(&Spec) -> Said),
        (Subject::OnCall, on_call),
        (Subject::Maintenance, windows),
        (Subject::Forward, forwards),
    ];
    let changes = of.map(|(subject, said)| change(subject, &before.map(said).unwrap_or_default(), &said(world.spec)));
    changes.into_iter().flatten()
}

fn change(subject: Subject, before: &Said, after: &Said) -> Option<Change> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let details = names.into_iter().filter_map(|name| match (before.get(name), after.get(name)) {
        (None, Some((_, line))) => Some(Detail { text: format!("new: {name}"), line: *line }),
        (Some(_), None) => Some(Detail { text: format!("no longer: {name}"), line: None }),
        (Some((old, _)), Some((new, line))) if old != new => {
            Some(Detail { text: format!("changed: {name}"), line: *line })
        }
        _ => None,
    });
    let details: Vec<_> = details.collect();
    let sign = match (before.is_empty(), after.is_empty()) {
        (true, _) => Sign::Add,
        (_, true) => Sign::Remove,
        _ => Sign::Change,
    };
    let change = Change { sign, subject, details, downtime_ms: None, destructive: false, order: None };
    (!change.details.is_empty()).then_some(change)
}

fn channels(spec: &Spec) -> Said {
    let shown = |channel: &Channel| format!("{:?}", Channel { line: None, ..channel.clone() });
    let channels = spec.notify.iter().map(|channel| (channel.name.to_string(), (shown(channel), channel.line)));
    // No channel has a name with blanks.
    let key = spec.receive.iter().map(|key| ("the key of other tools".to_owned(), (format!("{key:?}"), None)));
    channels.chain(key).collect()
}

fn on_call(spec: &Spec) -> Said {
    let said = &spec.on_call;
    let people = said.people.iter().map(|(name, channels)| (format!("person {name}"), format!("{channels:?}")));
    let schedules = said.schedules.iter().map(|one| (format!("schedule {}", one.name), format!("{one:?}")));
    let policies = said.policies.iter().map(|one| (format!("policy {}", one.name), format!("{one:?}")));
    people.chain(schedules).chain(policies).map(|(name, shown)| (name, (shown, None))).collect()
}

fn windows(spec: &Spec) -> Said {
    let mut said = Said::new();
    for window in &spec.maintenance {
        // Several may have one title.
        let shown = &mut said.entry(window.title.clone()).or_default().0;
        shown.push_str(&format!("{window:?}"));
    }
    said
}

fn forwards(spec: &Spec) -> Said {
    let shown = |outlet: &Outlet| format!("{:?}", Outlet { line: None, ..outlet.clone() });
    spec.forward.outlets().map(|(name, outlet)| (name.to_owned(), (shown(outlet), outlet.line))).collect()
}
