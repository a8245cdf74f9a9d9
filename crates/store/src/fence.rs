//! Which writes are refused, so that one change of an environment is made at a time. Pure.

use daybook_model::{Event, RunId};

use crate::{Error, Result, Write};

/// What is known of an environment when something is to be written about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Situation {
    /// The run that has started and not finished.
    pub(crate) open: Option<RunId>,
    /// Sequence number of its latest entry; 0 before the first.
    pub(crate) latest: u64,
    /// The write's own run has finished already.
    pub(crate) ended: bool,
}

/// Lets `write` pass or says why not. What is about no environment always passes.
pub(crate) fn check(write: &Write, now: Situation) -> Result<()> {
    let Some(key) = &write.key else { return Ok(()) };
    if let Some(expected) = write.expected
        && expected != now.latest
    {
        return Err(Error::Stale { key: key.clone(), expected, now: now.latest });
    }
    let Some(run) = write.run else { return refuse_ownerless_run(write) };
    let begins = matches!(write.event, Event::RunStarted { .. });
    match now.open {
        Some(open) if begins || open != run => Err(Error::Locked { key: key.clone(), run: open }),
        None if now.ended || !begins => Err(Error::Ended { key: key.clone(), run }),
        _ => Ok(()),
    }
}

fn refuse_ownerless_run(write: &Write) -> Result<()> {
    match write.event {
        Event::RunStarted { .. } | Event::RunFinished { .. } => Err(Error::Internal {
            operation: "write to the journal",
            message: "the beginning or end of a run without the run's id".to_owned(),
        }),
        _ => Ok(()),
    }
}
