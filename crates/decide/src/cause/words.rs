//! A suspect in words: its title, the evidence, and what to do.

use daybook_model::incident::{NextStep, Suspect};
use daybook_model::{ServiceName, Timestamp};

use super::score::{Scene, Scored, places};
use super::{Change, Changed, DatabaseTrouble, Resource, Taker, What, Who, tables};
use crate::text::{seconds, size};

/// A scored change as people read it. `all` is the sum of all scores.
pub(super) fn suspect(scored: &Scored<'_>, scene: &Scene<'_>, all: f64) -> Suspect {
    let change = scored.change;
    let share = (100.0 * scored.score() / all).round().clamp(0.0, 100.0) as u8;
    let factors = scored.factors();
    Suspect {
        kind: tables::kind(&change.what).to_owned(),
        title: format!("{}, {}", title(change), when(change.at, scene.onset)),
        at: change.at,
        services: places(change).into_iter().cloned().collect(),
        share,
        evidence: evidence(scored, scene),
        factors: factors.iter().map(|(name, factor)| ((*name).to_owned(), (factor * 1_000.0).round() as u32)).collect(),
        next: next(change),
    }
}

fn when(at: Timestamp, onset: Timestamp) -> String {
    let ms = onset.as_millisecond() - at.as_millisecond();
    match ms {
        -1_000..=1_000 => "at the onset".to_owned(),
        1_001.. => format!("{} before the onset", seconds(ms.unsigned_abs())),
        _ => format!("{} after the onset", seconds(ms.unsigned_abs())),
    }
}

fn whose(change: &Change) -> String {
    let names: Vec<_> = change.services.iter().map(ToString::to_string).collect();
    match names.len() {
        0 => "everything".to_owned(),
        1..=3 => names.join(", "),
        more => format!("{} and {} more", names[..2].join(", "), more - 2),
    }
}

fn host(change: &Change) -> &str {
    change.host.as_deref().unwrap_or("the machine")
}

/// What changed, in a few words.
fn title(change: &Change) -> String {
    let of = whose(change);
    match &change.what {
        What::Release { number, .. } => format!("release {number} of {of}"),
        What::Scale { from, to } => format!("{of} went from {from} to {to} replicas"),
        What::Stopped => format!("{of} was stopped"),
        What::Restart => format!("{of} was restarted"),
        What::OutOfMemory { times, .. } => format!("{of} was killed for want of memory {}", often(*times)),
        What::Crash { times, code } => format!("{of} crashed {} (exit code {code})", often(*times)),
        What::MemoryGrowth { from_bytes, to_bytes, .. } => {
            format!("the memory of {of} grew from {} to {}", size(*from_bytes), size(*to_bytes))
        }
        What::Job { job } => format!("job {job} ran"),
        What::Certificate { name, until } if *until > change.at => {
            format!("the certificate of {name} is valid only until {until:.0}")
        }
        What::Certificate { name, .. } => format!("the certificate of {name} is not valid any more"),
        What::Dependency { name, .. } => format!("{name} does not answer as it should"),
        What::Backup { of } => format!("a backup of {of} was made"),
        What::Traffic { usual, now, .. } => format!("{now:.0} requests a second to {of}, usually {usual:.0}"),
        What::Host { resource, percent, most } => {
            let most = most.as_ref().map(|most| format!(", most by {}", who(&most.who))).unwrap_or_default();
            format!("{} of {} used to {percent} %{most}", resource_words(*resource), host(change))
        }
        What::HostAway => format!("{} does not answer", host(change)),
        What::Database { database, trouble } => format!("database {database}: {}", trouble_words(trouble)),
        What::Hand { what } => format!("by hand: {what}"),
    }
}

fn who(who: &Who) -> &str {
    match who {
        Who::Service(service) => service.as_str(),
        Who::Neighbour(other) => other,
    }
}

fn often(times: u32) -> String {
    match times {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

fn resource_words(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "processors",
        Resource::Memory => "memory",
        Resource::Disk => "disk",
        Resource::Io => "disk throughput",
        Resource::Network => "network",
    }
}

fn trouble_words(trouble: &DatabaseTrouble) -> String {
    match trouble {
        DatabaseTrouble::Connections { used, most } => format!("{used} of {most} connections in use"),
        DatabaseTrouble::SlowQuery { query, usual_ms, now_ms } => {
            format!("`{query}` takes {now_ms:.0} ms, usually {usual_ms:.0} ms")
        }
        DatabaseTrouble::Locks { waiting, .. } => format!("{waiting} statements wait for one lock"),
        DatabaseTrouble::Long { seconds } => format!("a statement goes on for {seconds} s"),
        DatabaseTrouble::Down => "it does not answer".to_owned(),
    }
}

/// What speaks for it and against it.
fn evidence(scored: &Scored<'_>, scene: &Scene<'_>) -> Vec<String> {
    let change = scored.change;
    let mut all = details(change);
    let (newest, number) = (scene.by_release(), release_of(change));
    if let (Some((newest, new, old)), true) = (newest, scored.releases != 1.0) {
        all.push(match number {
            Some(number) if number == newest => {
                format!("replicas of release {newest} fail {new:.1} % of requests, those before {old:.1} %")
            }
            _ => format!(
                "only replicas of release {newest} fail ({new:.1} % against {old:.1} %), which speaks against it"
            ),
        });
    }
    all.extend(nearness(change, scene));
    let mut felt: Vec<_> = scene.symptoms.iter().map(|one| one.felt).collect();
    felt.sort_unstable();
    felt.dedup();
    let said = |least: f64, most: f64| {
        let fits = |felt: &&super::Felt| (least..=most).contains(&tables::fit(&change.what, **felt));
        felt.iter().filter(fits).map(|felt| felt.words()).collect::<Vec<_>>().join(", ")
    };
    let (fits, does_not) = (said(0.8, 1.0), said(0.0, 0.2));
    if !fits.is_empty() {
        all.push(format!("fits: {fits}"));
    }
    if !does_not.is_empty() {
        all.push(format!("does not fit: {does_not}"));
    }
    all.extend(scored.explains.iter().map(|other| format!("explains: {}", title(other))));
    all.extend(scored.explained_by.map(|other| format!("may itself be due to: {}", title(other))));
    all
}

fn release_of(change: &Change) -> Option<daybook_model::ReleaseNumber> {
    match change.what {
        What::Release { number, .. } => Some(number),
        _ => None,
    }
}

/// The numbers of the change itself.
fn details(change: &Change) -> Vec<String> {
    match &change.what {
        What::Release { changed, .. } => changed.iter().map(changed_words).collect(),
        What::OutOfMemory { limit_bytes: Some(limit), .. } => vec![format!("a replica may have {}", size(*limit))],
        What::MemoryGrowth { to_bytes, limit_bytes: Some(limit), .. } => {
            vec![format!("{} % of what a replica may have", 100 * to_bytes / limit.max(&1))]
        }
        What::Dependency { seen, .. } => vec![seen.clone()],
        What::Traffic { usual, now, replicas } if *usual > 0.0 => {
            vec![format!("{:.1} times the usual, on {replicas} replicas", now / usual)]
        }
        What::Host { most: Some(Taker { who: one, percent, usual_percent }), .. } => {
            let place = if matches!(one, Who::Neighbour(_)) { ", in another environment" } else { "" };
            vec![format!("{} takes {percent} % of the machine's, {usual_percent} % before{place}", who(one))]
        }
        What::Database { trouble: DatabaseTrouble::Locks { holder: Some(holder), .. }, .. } => {
            vec![format!("the lock is held by {holder}")]
        }
        _ => Vec::new(),
    }
}

fn changed_words(changed: &Changed) -> String {
    match changed {
        Changed::Image { from, to } => format!("image {from} → {to}"),
        Changed::Configuration { keys } => format!("configuration: {}", keys.join(", ")),
        Changed::Secrets { names } => format!("new versions of secrets: {}", names.join(", ")),
        Changed::Migration { database, what } => format!("migration of {database}: {what}"),
        Changed::Less { resource, what } => format!("less {}: {what}", resource_words(*resource)),
        Changed::Routes => "routes".to_owned(),
        Changed::Others { services } => {
            let names: Vec<_> = services.iter().map(ServiceName::as_str).collect();
            format!("new, gone or otherwise different: {}", names.join(", "))
        }
    }
}

fn nearness(change: &Change, scene: &Scene<'_>) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(host) = change.host.as_deref() {
        let (hit, services) = scene.hit_on(host);
        if services > 0 {
            all.push(format!("{hit} of the {services} services on {host} suffer"));
        }
    }
    let mut suffering: Vec<&ServiceName> = scene.symptoms.iter().filter_map(|one| one.service.as_ref()).collect();
    suffering.sort_unstable();
    suffering.dedup();
    let places = places(change);
    if change.host.is_some() || places.is_empty() {
        return all;
    }
    for service in suffering.into_iter().filter(|service| !places.contains(service)) {
        let needed = places.iter().find(|place| scene.related.distance(service, place).is_some());
        let asking = places.iter().find(|place| scene.related.distance(place, service).is_some());
        all.push(match (needed, asking) {
            (Some(needed), _) => format!("{service} needs {needed}"),
            (None, Some(asking)) => format!("{asking} needs {service}"),
            (None, None) => format!("{service} has nothing to do with it"),
        });
    }
    all
}

/// What may be done about it.
fn next(change: &Change) -> Option<NextStep> {
    let one = places(change).first().map(|service| (*service).clone());
    let look = |what: &str, command: String| NextStep::Look { what: what.to_owned(), command };
    let plan = |what: String| NextStep::ShowPlan { what };
    Some(match &change.what {
        // Going back leaves what is in a database as it is.
        What::Release { changed, previous: Some(_), .. } if tables::is_migration(changed) => {
            plan("add a migration that undoes it, since a rollback leaves the database as it is".to_owned())
        }
        What::Release { previous: Some(previous), .. } => NextStep::SwapBack { to: *previous },
        What::Release { .. } => plan("there is no release before it: mend it".to_owned()),
        What::Scale { from, .. } => NextStep::Scale { service: one?, replicas: *from },
        What::Stopped => look("start it again", format!("daybook start {}", one?)),
        What::OutOfMemory { .. } => plan(format!("give {} more memory", one?)),
        What::MemoryGrowth { .. } => NextStep::Restart { service: one? },
        What::Crash { .. } | What::Restart => look("see why it ends", format!("daybook why {}", one?)),
        What::Job { job } => plan(format!("give job {job} another time, or less to use")),
        What::Certificate { .. } => look("see why it was not renewed", "daybook status".to_owned()),
        What::Dependency { name, .. } => match one {
            Some(one) if one.as_str() == name => {
                look(&format!("see why {one} does not answer"), format!("daybook why {one}"))
            }
            Some(one) => look(&format!("{name} is run by others: ask them"), format!("daybook why {one}")),
            None => look(&format!("{name} is run by others: ask them"), "daybook status".to_owned()),
        },
        What::Backup { of } => plan(format!("give backups of {of} another time")),
        What::Traffic { usual, now, replicas } if now > usual && *usual > 0.0 => {
            let wanted = (f64::from(*replicas) * now / usual).ceil();
            NextStep::Scale { service: one?, replicas: wanted as u32 }
        }
        What::Traffic { .. } => look("see what leads users elsewhere", "daybook status".to_owned()),
        What::Host { resource: Resource::Disk, .. } => look("see what fills the disk", "daybook doctor".to_owned()),
        What::Host { most: Some(most), .. } => plan(format!("bound what {} may use, or move it", who(&most.who))),
        What::Host { .. } => look("see what uses it", "daybook top".to_owned()),
        What::HostAway => look("see what ran there", "daybook ps".to_owned()),
        What::Database { trouble: DatabaseTrouble::SlowQuery { .. }, database } => {
            look("see what would make it fast", format!("daybook db tune {database}"))
        }
        What::Database { database, .. } => look("see how it stands", format!("daybook db status {database}")),
        What::Hand { .. } => look("see who did what", "daybook events".to_owned()),
    })
}
