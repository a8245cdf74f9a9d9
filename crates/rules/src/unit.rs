//! Runs the files of `promtool test rules`, for `alert test`.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/>. A file says which series there are, and which
//! alerts fire and what queries answer at which times. Time begins at zero.

mod read;
mod run;

use daybook_metrics::Labels;
use daybook_promql::testfile::Item;

use crate::Expression;
use crate::problem::{Place, Problems};
use crate::rule::Group;

/// A file of tests.
#[derive(Debug, Clone)]
pub struct TestFile {
    /// The files of rules that it is about, as it names them: relative to it, perhaps with wildcards.
    pub rule_files: Vec<String>,
    /// How often rules are evaluated, in milliseconds.
    pub interval: i64,
    /// Names of groups in the order in which they are evaluated; others come after them.
    pub order: Vec<String>,
    /// Whether numbers may differ a little.
    pub fuzzy: bool,
    /// The tests.
    pub tests: Vec<Test>,
}

/// One test.
#[derive(Debug, Clone)]
pub struct Test {
    /// Its name, if it has one.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// The distance of the samples of its series, in milliseconds.
    pub interval: i64,
    /// Its series.
    pub series: Vec<(Labels, Vec<Item>)>,
    /// `$externalLabels`.
    pub external_labels: Labels,
    /// `$externalURL`.
    pub external_url: String,
    /// Which alerts fire.
    pub alerts: Vec<ExpectedAlerts>,
    /// What queries answer.
    pub queries: Vec<ExpectedAnswer>,
}

/// The alerts of one name that fire at a time.
#[derive(Debug, Clone)]
pub struct ExpectedAlerts {
    /// Where it is written.
    pub place: Place,
    /// When.
    pub at: i64,
    /// Their name.
    pub name: String,
    /// Their labels, without the name, and annotations.
    pub alerts: Vec<(Labels, Vec<(String, String)>)>,
}

/// What a query answers at a time.
#[derive(Debug, Clone)]
pub struct ExpectedAnswer {
    /// Where it is written.
    pub place: Place,
    /// When.
    pub at: i64,
    /// The query.
    pub query: Expression,
    /// The labels and values of what it answers.
    pub samples: Vec<(Labels, Item)>,
}

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The name of the test, or its place.
    pub test: String,
    /// What was not as expected, each with its place; nothing if it passed.
    pub failures: Vec<String>,
}

/// Reads the text of a file of tests; `file` is what it is called in problems.
pub fn read(file: &str, text: &str) -> Result<TestFile, Problems> {
    read::file(file, text)
}

impl TestFile {
    /// Runs all tests over the groups of its rule files.
    pub fn run(&self, groups: &[Group]) -> Vec<Outcome> {
        let mut groups: Vec<&Group> = groups.iter().collect();
        let rank = |group: &&Group| self.order.iter().position(|name| *name == group.name).unwrap_or(self.order.len());
        groups.sort_by_key(rank);
        self.tests.iter().map(|test| run::test(self, test, &groups)).collect()
    }
}

#[cfg(test)]
mod tests;
