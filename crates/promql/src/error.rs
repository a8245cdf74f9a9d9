//! Why a query has no answer.

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read: the one who wrote it must act.
    #[error("the query cannot be read: {0}")]
    Parse(String),
    /// It cannot be evaluated over these series: the one who wrote it must act.
    #[error("{0}")]
    Evaluate(String),
    /// It would hold more samples than [`Options`](crate::Options) allow.
    #[error("the query would hold more than {0} samples: choose fewer series, a shorter range or a longer step")]
    TooManySamples(usize),
    /// It would have more steps than [`Options`](crate::Options) allow.
    #[error("the query would have {steps} steps, and {most} are the most: choose a longer step or a shorter range")]
    TooManySteps {
        /// How many it would have.
        steps: u64,
        /// How many are allowed.
        most: usize,
    },
    /// The check in [`Options`](crate::Options) said so.
    #[error("the query was stopped before it had an answer")]
    Cancelled,
    /// The source of series failed: trying again may help.
    #[error("the series cannot be read")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One of evaluation.
    pub(crate) fn evaluate(what: impl Into<String>) -> Self {
        Self::Evaluate(what.into())
    }
}

/// Two series of a result that nothing distinguishes.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";
