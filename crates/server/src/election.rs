//! Taking part in the election of a leader: asks and tells what [`Elector`] says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daybook_decide::elect::{Elector, Next, Record, Terms};
use daybook_store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::term::{Position, Term};

/// How long an answer about the record may take: a holder tries three times before its time is up.
const ANSWER: Duration = Duration::from_secs(3);

/// The record by which servers elect one of them.
#[async_trait]
pub(crate) trait Ballot: Send + Sync + 'static {
    /// Reads it.
    async fn look(&self) -> Result<Record, String>;

    /// Makes it name `holder`, or nobody, if it is still of this version. The new version; none, if it was not.
    async fn change(&self, expecting: Option<&str>, holder: Option<&str>) -> Result<Option<String>, String>;
}

/// A row of the database itself.
#[async_trait]
impl Ballot for Store {
    async fn look(&self) -> Result<Record, String> {
        let (version, holder) = self.ballot().await.map_err(|error| error.to_string())?;
        Ok(Record { version: Some(version.to_string()), holder })
    }

    async fn change(&self, expecting: Option<&str>, holder: Option<&str>) -> Result<Option<String>, String> {
        let Some(expecting) = expecting.and_then(|version| version.parse().ok()) else { return Ok(None) };
        let version = self.cast(expecting, holder).await.map_err(|error| error.to_string())?;
        Ok(version.map(|version| version.to_string()))
    }
}

#[cfg(feature = "kubernetes")]
#[async_trait]
impl Ballot for daybook_kubernetes::Lease {
    async fn look(&self) -> Result<Record, String> {
        let held = Self::look(self).await.map_err(|error| error.to_string())?;
        Ok(Record { version: held.version, holder: held.holder })
    }

    async fn change(&self, expecting: Option<&str>, holder: Option<&str>) -> Result<Option<String>, String> {
        Self::change(self, expecting, holder).await.map_err(|error| error.to_string())
    }
}

/// This server's part in an election, which goes on by itself.
pub(crate) struct Campaign {
    position: watch::Receiver<Position>,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Campaign {
    /// Takes part. `me` names this process and no other, not even an earlier one.
    pub(crate) fn begin(me: String, ballot: Arc<dyn Ballot>, terms: Terms) -> Self {
        let (sender, position) = watch::channel(Position::default());
        let end = CancellationToken::new();
        let task = tokio::spawn(take_part(me, ballot, terms, sender, end.clone()));
        Self { position, end, task }
    }

    /// The time in which this server leads.
    pub(crate) fn term(&self) -> Term {
        Term::Elected(self.position.clone())
    }

    /// What is known of the election.
    pub(crate) fn position(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    /// Comes back once this server leads.
    pub(crate) async fn elected(&self) {
        let mut position = self.position.clone();
        let leads = |position: &Position| position.until.is_some_and(|until| Instant::now() < until);
        // The task ends only when it is told to.
        let _ = position.wait_for(leads).await;
    }

    /// Stops taking part, and gives the record back if it is ours. To be called when nothing acts any more.
    pub(crate) async fn end(self) {
        self.end.cancel();
        let _ = self.task.await;
    }
}

async fn take_part(
    me: String,
    ballot: Arc<dyn Ballot>,
    terms: Terms,
    position: watch::Sender<Position>,
    end: CancellationToken,
) {
    let base = Instant::now();
    let now = || u64::try_from(base.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut elector = Elector::new(me.clone(), terms);
    while !end.is_cancelled() {
        match elector.next(now()) {
            Next::Wait(due) => tokio::select! {
                () = end.cancelled() => {}
                () = sleep(Duration::from_millis(due.saturating_sub(now()))) => {}
            },
            Next::Look => match timeout(ANSWER, ballot.look()).await {
                Ok(Ok(record)) => elector.saw(now(), record),
                unheard => silence(&mut elector, now(), unheard.map(|answer| answer.map(drop))),
            },
            Next::Take { expecting } => {
                let sent = now();
                match timeout(ANSWER, ballot.change(expecting.as_deref(), Some(&me))).await {
                    Ok(Ok(Some(version))) => elector.took(sent, now(), version),
                    Ok(Ok(None)) => elector.refused(now()),
                    unheard => silence(&mut elector, now(), unheard.map(|answer| answer.map(drop))),
                }
            }
        }
        let until = elector.until().map(|until| base + Duration::from_millis(until));
        position.send_replace(Position { until, holder: elector.holder().map(ToOwned::to_owned) });
    }
    let ours = elector.end();
    position.send_replace(Position::default());
    if let Some(version) = ours {
        // Where it cannot be given back, it is free after a while.
        let _ = timeout(ANSWER, ballot.change(Some(&version), None)).await;
    }
}

fn silence<E>(elector: &mut Elector, now: u64, what: Result<Result<(), String>, E>) {
    let why = what.map_or_else(|_| "no answer".to_owned(), |answer| answer.err().unwrap_or_default());
    tracing::warn!(why, "the record of who leads cannot be reached");
    elector.unheard(now);
}
