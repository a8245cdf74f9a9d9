//! What probably caused an incident, with what speaks for it.
//!
//! Everything that changed before is compared with what is felt. The score of a change is a product of factors that a
//! person can check one by one, and each says in a sentence what it is from:
//!
//! - how often changes of its kind cause trouble (`tables`);
//! - how shortly before the onset it began;
//! - how near it is in the graph of services: what a service needs may hurt it, what needs it seldom does;
//! - whether what is felt is what such a change does;
//! - whether replicas of the new release fail and those of the release before do not;
//! - whether it explains other changes, or another explains it: a release whose replicas run out of memory is the cause,
//!   and the kills are what follows.

pub mod measured;
mod score;
mod symptom;
mod tables;
mod words;

use std::collections::BTreeSet;

use daybook_model::incident::Suspect;
use daybook_model::{DatabaseName, ReleaseNumber, ServiceName, Timestamp};

use crate::incident::Related;
pub use symptom::{Felt, Symptom};

/// Something that changed, or that was seen to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// When it began.
    pub at: Timestamp,
    /// When it ended; of what has no duration: the same as `at`. `None`: it goes on.
    pub ended: Option<Timestamp>,
    /// What.
    pub what: What,
    /// Services that it is about. Empty: all.
    pub services: BTreeSet<ServiceName>,
    /// The machine that it is about.
    pub host: Option<String>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A release came into force, or began to get traffic.
    Release {
        /// Its number.
        number: ReleaseNumber,
        /// The release before, to which one can go back.
        previous: Option<ReleaseNumber>,
        /// What is different in it.
        changed: Vec<Changed>,
    },
    /// The number of replicas changed.
    Scale {
        /// Before.
        from: u32,
        /// After.
        to: u32,
    },
    /// Somebody stopped it.
    Stopped,
    /// Replicas were replaced by equal ones.
    Restart,
    /// The kernel killed replicas for want of memory.
    OutOfMemory {
        /// How often.
        times: u32,
        /// What a replica may have, bytes.
        limit_bytes: Option<u64>,
    },
    /// Replicas ended by themselves.
    Crash {
        /// How often.
        times: u32,
        /// The exit code of the last.
        code: i32,
    },
    /// The memory of replicas grows and does not shrink.
    MemoryGrowth {
        /// At first, bytes.
        from_bytes: u64,
        /// Now.
        to_bytes: u64,
        /// What a replica may have.
        limit_bytes: Option<u64>,
    },
    /// A scheduled job ran.
    Job {
        /// Which.
        job: ServiceName,
    },
    /// A certificate ceased to be valid, or is about to.
    Certificate {
        /// The host name that it is of.
        name: String,
        /// When it ceases to be valid, or did.
        until: Timestamp,
    },
    /// Something that others run does not answer as it should.
    Dependency {
        /// What it is called.
        name: String,
        /// What was seen, with numbers.
        seen: String,
    },
    /// A backup, or an index, or a drill: work of Daybook itself.
    Backup {
        /// Of what.
        of: String,
    },
    /// Requests became more, or fewer.
    Traffic {
        /// Usually at this time, by second.
        usual: f64,
        /// Now.
        now: f64,
        /// How many replicas take them.
        replicas: u32,
    },
    /// A machine has no more of something.
    Host {
        /// Of what.
        resource: Resource,
        /// How much of it is used.
        percent: u8,
        /// Who takes most of it.
        most: Option<Taker>,
    },
    /// A machine does not answer.
    HostAway,
    /// A database has trouble of its own.
    Database {
        /// Which.
        database: DatabaseName,
        /// What.
        trouble: DatabaseTrouble,
    },
    /// Somebody did something by hand: ran a command in a replica, restored a backup.
    Hand {
        /// What, in words.
        what: String,
    },
}

/// What is different in a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The artifact.
    Image {
        /// Before, in short.
        from: String,
        /// After.
        to: String,
    },
    /// Variables, files, commands.
    Configuration {
        /// Which.
        keys: Vec<String>,
    },
    /// Versions of secrets.
    Secrets {
        /// Which.
        names: Vec<String>,
    },
    /// A database was migrated.
    Migration {
        /// Which.
        database: DatabaseName,
        /// What: `version 4 (add notes)`.
        what: String,
    },
    /// What a replica may have is less.
    Less {
        /// `memory` or `cpu`.
        resource: Resource,
        /// In words: "256 MB → 128 MB".
        what: String,
    },
    /// Host names and paths.
    Routes,
    /// Services that are new, gone, or different in something else.
    Others {
        /// Which.
        services: Vec<ServiceName>,
    },
}

/// Something that there is a limited amount of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Processors.
    Cpu,
    /// Memory.
    Memory,
    /// Room on a disk.
    Disk,
    /// Reading from and writing to a disk.
    Io,
    /// The network.
    Network,
}

/// Who takes most of what a machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    /// Who.
    pub who: Who,
    /// How much of the machine's: percent.
    pub percent: u8,
    /// How much it took before.
    pub usual_percent: u8,
}

/// A service that runs on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// One of the same environment.
    Service(ServiceName),
    /// One of another, in words: `api of shop/staging`.
    Neighbour(String),
}

/// Trouble of a database.
#[derive(Debug, Clone, PartialEq)]
pub enum DatabaseTrouble {
    /// Nobody else can connect soon.
    Connections {
        /// In use.
        used: u32,
        /// At most.
        most: u32,
    },
    /// A statement takes longer than it did.
    SlowQuery {
        /// The beginning of it, without values.
        query: String,
        /// Usually, milliseconds.
        usual_ms: f64,
        /// Now.
        now_ms: f64,
    },
    /// Many wait for one.
    Locks {
        /// How many wait.
        waiting: u32,
        /// Whom for, in words: `web_1, which is idle in transaction for 300 s`.
        holder: Option<String>,
    },
    /// One statement goes on for long.
    Long {
        /// For how long, seconds.
        seconds: u32,
    },
    /// It does not answer.
    Down,
}

/// Where even the first has less than this, any of them would send people the wrong way: percent.
const FIRST_PERCENT: f64 = 10.0;
/// Suspects beyond this many help nobody.
const MOST_TOLD: usize = 6;

/// What is suspected, most first. `onset` is when users began to feel it: the earliest of the symptoms.
///
/// Shares are of everything that is suspected and of what nobody has seen (`tables::UNSEEN`), so they do not add up
/// to 100: a lone weak suspect stays weak.
pub fn rank(symptoms: &[Symptom], changes: &[Change], related: &Related, onset: Timestamp) -> Vec<Suspect> {
    let scene = score::Scene { symptoms, changes, related, onset };
    let mut scored: Vec<_> = (0..changes.len()).map(|index| scene.score(index)).collect();
    scored.retain(|one| one.score() >= tables::LEAST);
    // The later of two equals: it is nearer to the onset.
    scored.sort_by(|a, b| b.score().total_cmp(&a.score()).then(b.change.at.cmp(&a.change.at)));
    let all: f64 = scored.iter().map(score::Scored::score).sum::<f64>() + tables::UNSEEN;
    if scored.first().is_none_or(|first| 100.0 * first.score() / all < FIRST_PERCENT) {
        return Vec::new();
    }
    scored.truncate(MOST_TOLD);
    scored.iter().map(|one| words::suspect(one, &scene, all)).collect()
}

#[cfg(test)]
mod tests;
