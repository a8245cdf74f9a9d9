//! What kinds of change usually do, as tables that a person can argue with.

use super::{Changed, DatabaseTrouble, Felt, Resource, What};

/// What nobody has seen may be the cause as well: it has this score.
pub(super) const UNSEEN: f64 = 0.15;
/// What scores less is not told.
pub(super) const LEAST: f64 = 0.03;
/// Another change that explains this one leaves so much of it.
pub(super) const EXPLAINED: f64 = 0.35;
/// A change that explains others gains so much for each.
pub(super) const EXPLAINS: f64 = 1.25;
/// At most so much.
pub(super) const EXPLAINS_MOST: f64 = 1.6;

/// What kind of change it is, in a word.
pub(super) fn kind(what: &What) -> &'static str {
    match what {
        What::Release { previous: None, .. } => "release",
        What::Release { changed, .. } => release_kind(changed),
        What::Scale { .. } => "scale",
        What::Stopped => "stopped",
        What::Restart => "restart",
        What::OutOfMemory { .. } => "out-of-memory",
        What::Crash { .. } => "crash",
        What::MemoryGrowth { .. } => "memory-growth",
        What::Job { .. } => "job",
        What::Certificate { .. } => "certificate",
        What::Dependency { .. } => "dependency",
        What::Backup { .. } => "backup",
        What::Traffic { .. } => "traffic",
        What::Host { .. } => "host",
        What::HostAway => "host-away",
        What::Database { .. } => "database",
        What::Hand { .. } => "by-hand",
    }
}

/// A release whose changes are all of one kind is of that kind; one that says nothing of them is a release.
fn release_kind(changed: &[Changed]) -> &'static str {
    let kind = |changed: &Changed| match changed {
        Changed::Migration { .. } => "migration",
        Changed::Secrets { .. } => "secret",
        Changed::Configuration { .. } | Changed::Less { .. } | Changed::Routes => "configuration",
        Changed::Image { .. } | Changed::Others { .. } => "release",
    };
    let mut kinds = changed.iter().map(kind);
    match kinds.next() {
        Some(first) if kinds.all(|other| other == first) => first,
        _ => "release",
    }
}

/// Whether a release changes nothing but what is in databases. The first brings services along.
pub(super) fn is_migration(changed: &[Changed]) -> bool {
    release_kind(changed) == "migration"
}

/// Whether there are so many more requests that hardly anything is made for them: no release changes as much.
fn is_surge(usual: f64, now: f64) -> bool {
    usual > 0.0 && now >= 4.0 * usual
}

/// How often a change of this kind is the cause of trouble that follows it.
pub(super) fn prior(what: &What) -> f64 {
    match what {
        What::Release { changed, .. } if *changed == [Changed::Routes] => 0.8,
        What::Release { .. } | What::Stopped | What::HostAway => 1.0,
        What::Certificate { .. } | What::Dependency { .. } => 0.95,
        What::Database { trouble: DatabaseTrouble::Down, .. } => 0.9,
        // Reports and backups are such statements, day by day.
        What::Database { trouble: DatabaseTrouble::Long { .. }, .. } => 0.4,
        What::MemoryGrowth { .. } | What::Database { .. } => 0.8,
        What::Traffic { usual, now, .. } if is_surge(*usual, *now) => 1.1,
        What::Hand { .. } => 0.9,
        What::Host { .. } | What::Traffic { .. } => 0.75,
        What::Scale { .. } => 0.65,
        What::OutOfMemory { .. } | What::Job { .. } => 0.6,
        What::Crash { .. } => 0.5,
        What::Backup { .. } => 0.45,
        What::Restart => 0.3,
    }
}

/// What a release breaks at once is felt within a few minutes.
const AT_ONCE_MIN: f64 = 2.0;

/// Minutes after which it is half as likely to be the cause.
fn half_life_min(what: &What) -> f64 {
    match what {
        What::Release { changed, .. } if changed.iter().any(|one| matches!(one, Changed::Migration { .. })) => 45.0,
        What::MemoryGrowth { .. } | What::Certificate { .. } => 240.0,
        What::Release { .. } | What::Host { .. } | What::HostAway | What::Hand { .. } => 25.0,
        What::Scale { .. } | What::Job { .. } | What::Database { .. } | What::Dependency { .. } => 15.0,
        What::Stopped | What::Backup { .. } | What::Traffic { .. } => 12.0,
        What::OutOfMemory { .. } | What::Crash { .. } | What::Restart => 6.0,
    }
}

/// What it has left after so many minutes.
///
/// Half of what releases break is broken as soon as they get traffic; the rest shows when something else comes along.
pub(super) fn decay(what: &What, minutes: f64) -> f64 {
    let of = |half_life: f64| 0.5_f64.powf(minutes / half_life);
    let slow = of(half_life_min(what));
    match what {
        What::Release { changed, .. } if !changed.iter().any(|one| matches!(one, Changed::Migration { .. })) => {
            f64::midpoint(of(AT_ONCE_MIN), slow)
        }
        _ => slow,
    }
}

/// Whether it was seen rather than done: such things may be noticed a little after what they cause.
pub(super) fn is_seen(what: &What) -> bool {
    !matches!(
        what,
        What::Release { .. }
            | What::Scale { .. }
            | What::Stopped
            | What::Restart
            | What::Job { .. }
            | What::Hand { .. }
    )
}

/// How much a symptom tells of its cause: all sorts of things cause errors.
pub(super) fn weight(felt: Felt) -> f64 {
    match felt {
        Felt::Errors | Felt::Latency | Felt::Unreachable => 1.0,
        Felt::Crash | Felt::Cpu | Felt::TrafficDown | Felt::Job => 1.5,
        Felt::Tls | Felt::Memory | Felt::Disk | Felt::Database | Felt::TrafficUp => 2.0,
    }
}

/// Whether what is felt is what such a change does: 0 to 1.
pub(super) fn fit(what: &What, felt: Felt) -> f64 {
    match what {
        What::Release { changed, .. } => changed.iter().map(|one| fit_of_changed(one, felt)).fold(0.2, f64::max),
        What::Scale { from, to } if to < from => {
            row(felt, [0.7, 1.0, 0.3, 0.0, 0.5, 0.7, 1.0, 0.1, 0.2, 0.0, 0.2, 0.3])
        }
        What::Scale { .. } => row(felt, [0.4, 0.4, 0.2, 0.0, 0.2, 0.3, 0.4, 0.2, 0.9, 0.0, 0.1, 0.2]),
        What::Stopped => row(felt, [0.9, 0.4, 1.0, 0.0, 0.3, 0.0, 0.1, 0.0, 0.9, 0.0, 0.9, 0.8]),
        What::Restart => row(felt, [0.7, 0.6, 0.8, 0.0, 0.5, 0.1, 0.5, 0.0, 0.4, 0.0, 0.3, 0.4]),
        What::OutOfMemory { .. } => row(felt, [0.8, 0.5, 0.8, 0.0, 1.0, 1.0, 0.2, 0.0, 0.6, 0.0, 0.3, 0.8]),
        What::Crash { .. } => row(felt, [0.9, 0.5, 0.9, 0.0, 1.0, 0.3, 0.2, 0.0, 0.6, 0.0, 0.4, 0.8]),
        What::MemoryGrowth { .. } => row(felt, [0.6, 0.7, 0.5, 0.0, 0.8, 1.0, 0.3, 0.0, 0.3, 0.0, 0.1, 0.5]),
        What::Job { .. } => row(felt, [0.4, 0.9, 0.2, 0.0, 0.3, 0.7, 0.9, 0.7, 0.9, 0.2, 0.0, 0.6]),
        What::Certificate { .. } => row(felt, [0.5, 0.05, 0.8, 1.0, 0.1, 0.0, 0.0, 0.0, 0.2, 0.0, 0.7, 0.2]),
        What::Dependency { .. } => row(felt, [1.0, 0.95, 0.7, 0.3, 0.5, 0.2, 0.1, 0.0, 0.9, 0.0, 0.3, 0.7]),
        What::Backup { .. } => row(felt, [0.2, 0.9, 0.1, 0.0, 0.1, 0.4, 0.7, 1.0, 0.8, 0.0, 0.0, 0.3]),
        What::Traffic { usual, now, .. } if now < usual => {
            row(felt, [0.0, 0.0, 0.2, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        }
        What::Traffic { usual, now, .. } if is_surge(*usual, *now) => {
            row(felt, [0.95, 1.0, 0.5, 0.0, 0.5, 0.8, 1.0, 0.3, 0.8, 1.0, 0.0, 0.2])
        }
        What::Traffic { .. } => row(felt, [0.7, 1.0, 0.3, 0.0, 0.4, 0.8, 1.0, 0.3, 0.8, 1.0, 0.0, 0.2]),
        What::Host { resource, .. } => fit_of_host(*resource, felt),
        What::HostAway => row(felt, [0.9, 0.6, 1.0, 0.1, 0.6, 0.0, 0.3, 0.0, 0.8, 0.0, 0.5, 0.6]),
        What::Database { trouble, .. } => match trouble {
            DatabaseTrouble::SlowQuery { .. } | DatabaseTrouble::Long { .. } => {
                row(felt, [0.5, 1.0, 0.2, 0.0, 0.1, 0.1, 0.7, 0.4, 0.9, 0.0, 0.2, 0.5])
            }
            DatabaseTrouble::Locks { .. } => row(felt, [0.7, 1.0, 0.3, 0.0, 0.1, 0.1, 0.1, 0.1, 1.0, 0.0, 0.2, 0.6]),
            _ => row(felt, [0.95, 0.7, 0.7, 0.0, 0.5, 0.1, 0.1, 0.2, 1.0, 0.0, 0.3, 0.8]),
        },
        What::Hand { .. } => row(felt, [0.9, 0.7, 0.7, 0.2, 0.7, 0.5, 0.7, 0.6, 0.8, 0.1, 0.4, 0.5]),
    }
}

fn fit_of_changed(changed: &Changed, felt: Felt) -> f64 {
    match changed {
        Changed::Image { .. } => row(felt, [1.0, 0.9, 0.8, 0.1, 1.0, 0.9, 0.9, 0.4, 0.6, 0.2, 0.5, 0.8]),
        Changed::Configuration { .. } | Changed::Others { .. } => {
            row(felt, [1.0, 0.7, 0.9, 0.4, 1.0, 0.6, 0.6, 0.3, 0.7, 0.1, 0.5, 0.8])
        }
        Changed::Secrets { .. } => row(felt, [1.0, 0.2, 0.7, 0.5, 0.9, 0.0, 0.0, 0.0, 0.8, 0.0, 0.4, 0.8]),
        Changed::Migration { .. } => row(felt, [1.0, 1.0, 0.4, 0.0, 0.6, 0.1, 0.4, 0.5, 1.0, 0.0, 0.2, 0.7]),
        Changed::Less { resource: Resource::Memory, .. } => {
            row(felt, [0.7, 0.5, 0.5, 0.0, 0.9, 1.0, 0.1, 0.0, 0.2, 0.0, 0.1, 0.6])
        }
        Changed::Less { .. } => row(felt, [0.5, 1.0, 0.3, 0.0, 0.2, 0.1, 1.0, 0.1, 0.2, 0.0, 0.1, 0.4]),
        Changed::Routes => row(felt, [0.8, 0.1, 1.0, 0.6, 0.0, 0.0, 0.1, 0.0, 0.0, 0.3, 1.0, 0.0]),
    }
}

fn fit_of_host(resource: Resource, felt: Felt) -> f64 {
    match resource {
        Resource::Cpu => row(felt, [0.5, 1.0, 0.2, 0.0, 0.2, 0.1, 1.0, 0.1, 0.4, 0.0, 0.1, 0.4]),
        Resource::Memory => row(felt, [0.6, 0.7, 0.4, 0.0, 0.9, 1.0, 0.2, 0.1, 0.4, 0.0, 0.1, 0.5]),
        Resource::Disk => row(felt, [0.9, 0.5, 0.5, 0.1, 0.9, 0.0, 0.0, 1.0, 1.0, 0.0, 0.1, 0.9]),
        Resource::Io => row(felt, [0.4, 1.0, 0.2, 0.0, 0.1, 0.1, 0.3, 1.0, 0.9, 0.0, 0.1, 0.5]),
        Resource::Network => row(felt, [0.9, 0.9, 0.9, 0.3, 0.2, 0.0, 0.1, 0.0, 0.7, 0.0, 0.8, 0.5]),
    }
}

/// One row of the table: errors, latency, unreachable, TLS, crash, memory, processors, disk, database, more traffic,
/// less traffic, job.
fn row(felt: Felt, values: [f64; 12]) -> f64 {
    values[match felt {
        Felt::Errors => 0,
        Felt::Latency => 1,
        Felt::Unreachable => 2,
        Felt::Tls => 3,
        Felt::Crash => 4,
        Felt::Memory => 5,
        Felt::Cpu => 6,
        Felt::Disk => 7,
        Felt::Database => 8,
        Felt::TrafficUp => 9,
        Felt::TrafficDown => 10,
        Felt::Job => 11,
    }]
}

/// Whether one change may be what brought the other about.
pub(super) fn may_bring(one: &What, other: &What) -> bool {
    let is_fewer = |what: &What| matches!(what, What::Traffic { usual, now, .. } if now < usual);
    let is_heavy = |what: &What| matches!(what, What::Host { .. } | What::Database { .. } | What::OutOfMemory { .. });
    match one {
        // Routes that lead elsewhere take visitors along.
        What::Release { changed, .. } if changed.contains(&Changed::Routes) && is_fewer(other) => true,
        What::Release { .. } => {
            is_heavy(other)
                || matches!(
                    other,
                    What::Crash { .. } | What::MemoryGrowth { .. } | What::Restart | What::Dependency { .. }
                )
        }
        What::Scale { from, to } if to > from => is_heavy(other),
        What::Scale { .. } => is_heavy(other) || matches!(other, What::Crash { .. }),
        What::Traffic { usual, now, .. } if now > usual => {
            is_heavy(other) || matches!(other, What::Crash { .. } | What::Scale { .. })
        }
        What::Backup { .. } | What::Job { .. } => is_heavy(other),
        What::MemoryGrowth { .. } => matches!(
            other,
            What::OutOfMemory { .. }
                | What::Crash { .. }
                | What::Host { resource: Resource::Memory, .. }
                | What::Restart
        ),
        What::OutOfMemory { .. } => {
            matches!(other, What::Crash { .. } | What::Restart | What::Dependency { .. })
        }
        What::Host { resource: Resource::Memory, .. } => {
            matches!(other, What::OutOfMemory { .. } | What::Crash { .. } | What::Dependency { .. })
        }
        What::Host { .. } => {
            matches!(other, What::Crash { .. } | What::Database { .. } | What::Restart | What::Dependency { .. })
        }
        What::HostAway => {
            matches!(other, What::Crash { .. } | What::Database { .. } | What::Dependency { .. } | What::Restart)
        }
        What::Certificate { .. } => matches!(other, What::Dependency { .. }),
        What::Dependency { .. } | What::Database { .. } => matches!(other, What::Crash { .. } | What::Restart),
        What::Crash { .. } => matches!(other, What::Restart | What::Dependency { .. }),
        What::Stopped | What::Hand { .. } => {
            matches!(other, What::Database { .. } | What::Dependency { .. } | What::Crash { .. } | What::Host { .. })
        }
        What::Restart | What::Traffic { .. } => false,
    }
}
