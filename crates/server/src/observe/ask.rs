//! Questions in PromQL, within bounds: of time, of memory, and of how many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daybook_metrics::store::{NotRead, Store};
use daybook_panels::Grid;
use daybook_promql::{Answer, Error, Options, Output, Query, Row};

use super::Observatory;

/// How long a question may take, if it does not say.
pub(super) const USUALLY: Duration = Duration::from_secs(30);
/// How long it may take at most.
const AT_MOST: Duration = Duration::from_secs(120);
/// Samples that it may hold: about 400 MB.
const SAMPLES: usize = 25_000_000;
/// Points of a series in the answer, as Prometheus has it.
pub(super) const POINTS: i64 = 11_000;

/// What is asked for. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// One time.
    At(i64),
    /// Each step of a range.
    Range { from: i64, to: i64, step: i64 },
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAnswered {
    /// The question is none.
    #[error("{0}")]
    Bad(String),
    /// It cannot be evaluated.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("the query took longer than {} s and was ended", .0.as_secs_f64())]
    TooLong(Duration),
    /// Nothing can be read now.
    #[error("{0}")]
    Unavailable(String),
}

/// Tells what goes on in a thread to stop when whoever asked is gone.
#[derive(Default)]
pub(super) struct Ends(Arc<AtomicBool>);

impl Ends {
    /// True from then on.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers a question. It ends when its time is over, or when nobody waits for it any more.
pub(super) async fn ask(
    observatory: &Observatory,
    text: &str,
    when: When,
    within: Option<Duration>,
) -> Result<Output, NotAnswered> {
    let store = observatory.store().map_err(NotAnswered::Unavailable)?;
    let query = Query::parse(text).map_err(told)?;
    let within = within.unwrap_or(USUALLY).min(AT_MOST);
    let ends = Ends::default();
    let ended = ends.flag();
    let answered = async {
        let turn = observatory.questions.acquire().await;
        let _turn = turn.map_err(|error| NotAnswered::Unavailable(error.to_string()))?;
        let evaluated = tokio::task::spawn_blocking(move || evaluate(&store, &query, when, &ended)).await;
        evaluated.map_err(|error| NotAnswered::Failed(format!("the evaluation broke off: {error}")))?
    };
    tokio::time::timeout(within, answered).await.unwrap_or(Err(NotAnswered::TooLong(within)))
}

/// What a question answers at each time of a grid, by labels.
pub(super) async fn rows(
    observatory: &Observatory,
    text: &str,
    grid: Grid,
    within: Option<Duration>,
) -> Result<Vec<Row>, NotAnswered> {
    let when = When::Range { from: grid.from, to: grid.to, step: grid.step };
    let Answer::Matrix(rows) = ask(observatory, text, when, within).await?.answer else { return Ok(Vec::new()) };
    Ok(rows)
}

fn evaluate(store: &Store, query: &Query, when: When, ended: &AtomicBool) -> Result<Output, NotAnswered> {
    let cancelled = || ended.load(Ordering::Relaxed);
    let options = Options { max_samples: SAMPLES, cancelled: &cancelled, ..Options::default() };
    let answer = match when {
        When::At(at) => query.instant(store, at, &options),
        When::Range { from, to, step } => query.range(store, from, to, step, &options),
    };
    answer.map_err(told)
}

fn told(error: Error) -> NotAnswered {
    match error {
        Error::Parse(said) => NotAnswered::Bad(format!("invalid parameter \"query\": {said}")),
        error => NotAnswered::Failed(with_causes(&error)),
    }
}

/// Why series cannot be told.
pub(super) fn not_read(error: &NotRead) -> NotAnswered {
    NotAnswered::Failed(with_causes(error))
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
