//! Runs test files in the format of Prometheus (`promqltest`): series to load, queries and what they answer.
//!
//! [`run`] takes the text of a file and tells of each query how it went. An instant query is also evaluated as the middle
//! step of a range, and with `@` set to its time, as Prometheus does. What the parser of queries cannot read is reported
//! apart, as [`Verdict::Unparsed`]: it says nothing of the evaluation.
//!
//! The notation for series ([`series`]) and the [`Storage`] that holds them are of use to other kinds of test files too.

mod compare;
mod evaluate;
mod pinned;
mod script;
mod sequence;
mod storage;

use daybook_metrics::Labels;

pub use script::BadFile;
pub use sequence::Item;
pub use storage::Storage;

/// Reads a series and its values in the notation of test files: `up{job="web"} 1 0x3 _ stale 1+2x5`. The error says what is
/// wrong.
pub fn series(line: &str) -> Result<(Labels, Vec<Item>), String> {
    sequence::parse(line)
}

/// How the cases of a file went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The line of the query, counted from one.
    pub line: usize,
    /// The query.
    pub query: String,
    /// How it went.
    pub verdict: Verdict,
}

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected: why.
    Failed(String),
    /// The query, or what it needs to be loaded, cannot be parsed: why.
    Unparsed(String),
}

/// Runs all cases of a file.
pub fn run(text: &str) -> Result<Vec<Case>, BadFile> {
    let mut storage = storage::Storage::default();
    let mut cases = Vec::new();
    let mut incomplete = false;
    for command in script::parse(text)? {
        match command {
            script::Command::Load { every, histograms, series, beginnings } => {
                storage.load(every, histograms, series);
                incomplete |= beginnings;
            }
            script::Command::Clear => {
                storage = storage::Storage::default();
                incomplete = false;
            }
            script::Command::Eval(eval) => {
                let verdict = match incomplete {
                    true => {
                        Verdict::Unparsed("it needs to know when counters began, which samples do not say".to_owned())
                    }
                    false => evaluate::verdict(&eval, &storage),
                };
                cases.push(Case { line: eval.line, query: eval.query, verdict });
            }
        }
    }
    Ok(cases)
}
