//! What tables beside the journal keep of its events, so that nobody reads the journal for them. Pure.

use std::collections::BTreeMap;

use daybook_model::{Action, Event, ReplicaId, ServiceName, Timestamp};

/// The highest ordinal that `event` gives out for each service it names.
pub(crate) fn ordinals(event: &Event) -> BTreeMap<ServiceName, u64> {
    let mut highest = BTreeMap::new();
    for replica in replicas(event) {
        let ordinal = highest.entry(replica.service.clone()).or_insert(0);
        *ordinal = replica.ordinal.max(*ordinal);
    }
    highest
}

fn replicas(event: &Event) -> Vec<&ReplicaId> {
    match event {
        Event::Planned { plan, .. } => plan.steps.iter().filter_map(|step| named_by(&step.action)).collect(),
        Event::JobStarted { replica, .. } | Event::Executed { replica, .. } => vec![replica],
        _ => Vec::new(),
    }
}

fn named_by(action: &Action) -> Option<&ReplicaId> {
    match action {
        Action::Start { replica, .. }
        | Action::AwaitAnswer { replica }
        | Action::AwaitReady { replica }
        | Action::AwaitCompleted { replica }
        | Action::Stop { replica }
        | Action::Remove { replica, .. }
        | Action::StopAt { replica, .. }
        | Action::RemoveAt { replica, .. } => Some(replica),
        _ => None,
    }
}

/// Whether `event` tells of a backup, a drill, a restore, an upgrade, or a clone and its end.
pub(crate) fn tells_of_backups(event: &Event) -> bool {
    matches!(
        event,
        Event::BackupStarted { .. }
            | Event::BackupFinished { .. }
            | Event::BackupsRemoved { .. }
            | Event::DrillStarted { .. }
            | Event::DrillFinished { .. }
            | Event::BackupOverdue { .. }
            | Event::Restored { .. }
            | Event::StoppedToRestore { .. }
            | Event::Archive { .. }
            | Event::CloneStarted { .. }
            | Event::CloneFinished { .. }
            | Event::UpgradeRehearsed { .. }
            | Event::UpgradeStarted { .. }
            | Event::UpgradeFilled { .. }
            | Event::UpgradeFinished { .. }
            | Event::OldFilesRemoved { .. }
            | Event::EnvironmentRetired
    )
}

/// The job and the due time that `event` settles: it must not fire for that time again.
pub(crate) fn fired(event: &Event) -> Option<(&ServiceName, Timestamp)> {
    match event {
        Event::JobStarted { service, due, .. }
        | Event::JobFinished { service, due, .. }
        | Event::JobSkipped { service, due, .. } => Some((service, *due)),
        _ => None,
    }
}
