//! A journal in memory that can be made to crash at any write.
//!
//! It keeps the fences of the real one, that of [leaders](MemoryJournal::lead) too. Its hashes form a chain over the sequence numbers alone:
//! nobody can alter memory unseen, and simulations append millions of entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use daybook_model::{Digest, Entry, EnvKey, Event, Release, ReleaseNumber, RunId, ServiceName, Timestamp};

use crate::fence::{self, Situation};
use crate::{Epoch, Error, Journal, Leader, Query, Result, Write, derived};

/// A [`Journal`] in memory. Clones share their entries, and each keeps the term in which it was made.
#[derive(Clone)]
pub struct MemoryJournal {
    inner: Arc<Mutex<Inner>>,
    epoch: u64,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// On which side of the commit a crash falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The entry is lost.
    Before,
    /// The entry is there, and the writer never hears of it.
    After,
    /// The writer lives, and another has begun a term: the entry is refused, and so is whatever it writes later.
    Deposed,
}

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    open: BTreeMap<EnvKey, RunId>,
    ended: BTreeSet<RunId>,
    latest: BTreeMap<EnvKey, u64>,
    ordinals: BTreeMap<(EnvKey, ServiceName), u64>,
    releases: BTreeMap<EnvKey, Vec<Release>>,
    highest: BTreeMap<EnvKey, u64>,
    epoch: u64,
    fuse: Option<Fuse>,
    crashed: bool,
}

struct Fuse {
    left: usize,
    when: When,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::with_clock(Timestamp::now)
    }
}

impl MemoryJournal {
    /// An empty journal by the machine's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty journal by another clock.
    pub fn with_clock(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { inner: Arc::default(), epoch: 0, clock: Arc::new(clock) }
    }

    /// Makes the `n`-th append from now (the next one is 1) fail as a crash would, before or after it was
    /// committed. It and every later call fail with [`Error::Unavailable`], message "crashed", until
    /// [`MemoryJournal::revive`].
    pub fn crash_at(&self, n: usize, when: When) {
        let mut inner = self.lock();
        inner.fuse = Some(Fuse { left: n.max(1), when });
    }

    /// Begins a term: from now on this journal writes, and its earlier clones do not.
    pub fn lead(&mut self) {
        let mut inner = self.inner.lock().expect("no holder of this lock panics");
        inner.epoch += 1;
        self.epoch = inner.epoch;
    }

    /// Makes a crashed journal answer again, and disarms it.
    pub fn revive(&self) {
        let mut inner = self.lock();
        inner.crashed = false;
        inner.fuse = None;
    }

    /// Whether an armed crash has happened since the last [`MemoryJournal::revive`].
    pub fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// Every entry so far, even of a crashed journal.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes `ReleaseAccepted` and keeps the release, as one: a crash keeps both or neither.
    pub async fn accept(&self, write: Write, release: &Release) -> Result<Entry> {
        let key = write.key.clone().ok_or_else(|| crate::internal("accept a release", "no environment"))?;
        let at = (self.clock)();
        self.lock().append(write, at, self.epoch, |inner| {
            let kept = inner.releases.entry(key).or_default();
            kept.retain(|other| other.number != release.number);
            kept.push(release.clone());
        })
    }

    /// The release in force: the one that was accepted last.
    pub fn current_release(&self, key: &EnvKey) -> Option<Release> {
        self.lock().releases.get(key)?.last().cloned()
    }

    /// The release of this number.
    pub fn release(&self, key: &EnvKey, number: ReleaseNumber) -> Option<Release> {
        self.lock().releases.get(key)?.iter().find(|release| release.number == number).cloned()
    }

    /// A number that no release and no run of the environment has used.
    pub fn next_release_number(&self, key: &EnvKey) -> ReleaseNumber {
        ReleaseNumber(self.lock().highest.get(key).copied().unwrap_or(0) + 1)
    }

    /// For each service the lowest ordinal that was never given to a replica.
    pub fn next_ordinals(&self, key: &EnvKey) -> BTreeMap<ServiceName, u64> {
        let inner = self.lock();
        let of_key = inner.ordinals.iter().filter(|((other, _), _)| other == key);
        of_key.map(|((_, service), highest)| (service.clone(), highest + 1)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of this lock panics")
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, write: Write) -> Result<Entry> {
        let at = (self.clock)();
        self.lock().append(write, at, self.epoch, |_| ())
    }

    async fn read(&self, query: &Query) -> Result<Vec<Entry>> {
        let inner = self.lock();
        inner.refuse_if_crashed("read the journal")?;
        let start = usize::try_from(query.after).unwrap_or(usize::MAX).min(inner.entries.len());
        let matching = inner.entries[start..].iter().filter(|entry| selects(query, entry));
        let limit = query.limit.unwrap_or(usize::MAX);
        if !query.newest {
            return Ok(matching.take(limit).cloned().collect());
        }
        let mut found: Vec<_> = matching.rev().take(limit).cloned().collect();
        found.reverse();
        Ok(found)
    }
}

fn selects(query: &Query, entry: &Entry) -> bool {
    let same_key = query.key.is_none() || query.key == entry.key;
    same_key && (query.run.is_none() || query.run == entry.run)
}

impl Inner {
    fn append(&mut self, write: Write, at: Timestamp, epoch: u64, also: impl FnOnce(&mut Self)) -> Result<Entry> {
        self.refuse_if_crashed("write to the journal")?;
        if self.burns(When::Before) {
            self.crashed = true;
        }
        self.refuse_if_crashed("write to the journal")?;
        if self.burns(When::Deposed) {
            self.epoch += 1;
            self.fuse = None;
        }
        if epoch != self.epoch {
            return Err(Error::Deposed { leader: Leader { epoch: Epoch(self.epoch), holder: "another".to_owned() } });
        }
        fence::check(&write, self.situation(&write))?;
        let entry = self.commit(write, at);
        also(self);
        if self.burns(When::After) {
            self.crashed = true;
        }
        self.tick();
        self.refuse_if_crashed("write to the journal")?;
        Ok(entry)
    }

    fn burns(&self, when: When) -> bool {
        self.fuse.as_ref().is_some_and(|fuse| fuse.when == when && fuse.left == 1)
    }

    fn tick(&mut self) {
        if let Some(fuse) = &mut self.fuse {
            fuse.left = fuse.left.saturating_sub(1);
        }
    }

    fn refuse_if_crashed(&self, operation: &'static str) -> Result<()> {
        if self.crashed {
            return Err(Error::Unavailable { operation, message: "crashed".to_owned() });
        }
        Ok(())
    }

    fn situation(&self, write: &Write) -> Situation {
        let Some(key) = &write.key else { return Situation::default() };
        Situation {
            open: self.open.get(key).copied(),
            latest: self.latest.get(key).copied().unwrap_or(0),
            ended: write.run.is_some_and(|run| self.ended.contains(&run)),
        }
    }

    fn commit(&mut self, write: Write, at: Timestamp) -> Entry {
        let seq = self.entries.len() as u64 + 1;
        let previous = self.entries.last().map_or_else(|| Digest::of(b""), |entry| entry.hash);
        let hash = Digest::of(&seq.to_be_bytes());
        let Write { key, run, actor, event, .. } = write;
        if let Some(key) = &key {
            self.derive(key, run, &event, seq);
        }
        let entry = Entry { seq, at, key, run, actor, event, previous, hash };
        self.entries.push(entry.clone());
        entry
    }

    fn derive(&mut self, key: &EnvKey, run: Option<RunId>, event: &Event, seq: u64) {
        self.latest.insert(key.clone(), seq);
        match (event, run) {
            (Event::RunStarted { to, .. }, Some(run)) => {
                self.open.insert(key.clone(), run);
                let highest = self.highest.entry(key.clone()).or_insert(0);
                *highest = to.0.max(*highest);
            }
            (Event::RunFinished { .. }, Some(run)) => {
                self.open.remove(key);
                self.ended.insert(run);
            }
            _ => {}
        }
        for (service, ordinal) in derived::ordinals(event) {
            let highest = self.ordinals.entry((key.clone(), service)).or_insert(0);
            *highest = ordinal.max(*highest);
        }
    }
}
