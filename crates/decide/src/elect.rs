//! Who leads, of several servers that share a record: the decisions of a lease.
//!
//! The record can only be changed by whoever knows its latest version. The holder changes it again and again; others
//! take it over when it has not changed for as long as a lease lasts. Times are milliseconds of a clock of this process
//! that never goes back: those of different processes are never compared, so that it does not matter what they show,
//! only that none runs much faster than another.
//!
//! A holder counts from *before* it sent the change and the others from *after* they saw it, and it stops earlier than
//! they begin: at no time do two hold the record. What is written beside is fenced by epochs all the same.

/// How long things last, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A record that has not changed for so long is free.
    pub lease: u64,
    /// Its holder acts for so long after a change. The difference to `lease` bounds how much faster one clock may run
    /// than another.
    pub act: u64,
    /// Between two changes by the holder, and between two looks by the others.
    pub every: u64,
}

impl Terms {
    /// Fifteen seconds until another server takes over, as Kubernetes' own components have it.
    pub const DEFAULT: Self = Self { lease: 15_000, act: 10_000, every: 2_000 };
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Another with each change. None: there is no record yet.
    pub version: Option<String>,
    /// Who holds it; nobody, where it was given back.
    pub holder: Option<String>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Look at the record.
    Look,
    /// Change the record, if this is still its version, so that it names us.
    Take {
        /// The version that was seen.
        expecting: Option<String>,
    },
    /// Nothing before this time.
    Wait(u64),
}

/// One server's part in the election.
#[derive(Debug, Clone)]
pub struct Elector {
    me: String,
    terms: Terms,
    /// The latest record, and when this version of it was first seen.
    seen: Option<(Record, u64)>,
    /// Until when we may act: by the latest change that is known to have been ours.
    until: Option<u64>,
    /// When there is something to be done next.
    due: u64,
}

impl Elector {
    /// A server that has seen nothing yet. `me` names this process, and no other, not even an earlier one.
    pub fn new(me: impl Into<String>, terms: Terms) -> Self {
        Self { me: me.into(), terms, seen: None, until: None, due: 0 }
    }

    /// Until when this server may act, if it leads. To be compared with a clock right before each act.
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// Whether this server may act.
    pub fn may_act(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Who holds the record, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.0.holder.as_deref()
    }

    /// What to do at `now`.
    pub fn next(&self, now: u64) -> Next {
        if now < self.due {
            return Next::Wait(self.due);
        }
        let Some((record, since)) = &self.seen else { return Next::Look };
        if self.is_ours_to_take(record) || now >= since.saturating_add(self.terms.lease) {
            Next::Take { expecting: record.version.clone() }
        } else {
            Next::Look
        }
    }

    /// What nobody holds, and what we hold: a change of ours whose answer was lost, too.
    fn is_ours_to_take(&self, record: &Record) -> bool {
        record.holder.as_deref().is_none_or(|holder| holder == self.me)
    }

    /// The record was looked at; the answer came at `now`.
    pub fn saw(&mut self, now: u64, record: Record) {
        if record.holder.as_deref() != Some(&*self.me) {
            self.until = None;
        }
        let known = self.seen.as_ref().filter(|(seen, _)| seen.version == record.version);
        let since = known.map_or(now, |(_, since)| *since);
        self.due = if self.is_ours_to_take(&record) {
            now
        } else {
            (now + self.terms.every).min(since.saturating_add(self.terms.lease)).max(now)
        };
        self.seen = Some((record, since));
    }

    /// Our change of the record, sent at `sent`, was made; it has this version now.
    pub fn took(&mut self, sent: u64, now: u64, version: String) {
        self.seen = Some((Record { version: Some(version), holder: Some(self.me.clone()) }, now));
        self.until = Some(sent.saturating_add(self.terms.act));
        self.due = sent.saturating_add(self.terms.every).max(now);
    }

    /// Our change was refused: the record has another version. Until when we may act does not depend on that.
    pub fn refused(&mut self, now: u64) {
        self.seen = None;
        self.due = now;
    }

    /// There was no answer, be it that what was sent was done, or will be.
    pub fn unheard(&mut self, now: u64) {
        self.due = now + self.terms.every / 4;
    }

    /// We act no more, whatever the record says. The version to expect when it is given back, if it is ours.
    #[must_use]
    pub fn end(&mut self) -> Option<String> {
        self.until = None;
        let (record, _) = self.seen.as_ref()?;
        record.version.clone().filter(|_| record.holder.as_deref() == Some(&*self.me))
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
