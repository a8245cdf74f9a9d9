//! For how long this server leads, and that nothing is done beyond it.

use daybook_runtime::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::time::Instant;

/// What an election has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Until when this server may act.
    pub(crate) until: Option<Instant>,
    /// Who leads, as far as is known.
    pub(crate) holder: Option<String>,
}

/// The time in which this server may act. It moves on as the election is won again.
#[derive(Clone)]
pub(crate) enum Term {
    /// Nobody else can lead: the state is a file of this machine.
    Unending,
    /// As an election has it.
    Elected(watch::Receiver<Position>),
}

impl Term {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Unending => None,
            Self::Elected(position) => Some(position.borrow().until.unwrap_or_else(Instant::now)),
        }
    }

    /// Comes back when it is over; at once where it never began.
    pub(crate) async fn ended(&self) {
        loop {
            match self.until() {
                None => std::future::pending().await,
                Some(until) if until <= Instant::now() => return,
                Some(until) => tokio::time::sleep_until(until).await,
            }
        }
    }

    /// Acts, unless it is over: then nothing is begun, and what was begun is given up.
    pub(crate) async fn within<T>(&self, act: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.ended() => {
                Err(Error::new(ErrorKind::Unavailable, "act", "this server does not lead any more"))
            }
            done = act => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn r08_nothing_is_begun_after_a_term_and_what_was_begun_ends_with_it() {
        let (sender, position) = watch::channel(Position::default());
        let term = Term::Elected(position);
        assert!(term.within(async { Ok(()) }).await.is_err(), "it has not begun");
        let lead = |ms| {
            sender.send_replace(Position { until: Some(Instant::now() + Duration::from_millis(ms)), holder: None })
        };
        lead(100);
        assert!(term.within(async { Ok(()) }).await.is_ok());
        let long = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            Ok(())
        };
        assert!(term.within(long).await.is_err());
        lead(100);
        let renewed = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            lead(200);
            tokio::time::sleep(Duration::from_millis(150)).await;
            Ok(())
        };
        assert!(term.within(renewed).await.is_ok(), "it was won again meanwhile");
    }
}
