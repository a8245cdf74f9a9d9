//! The rules that hold where nobody wrote any: one table by subject, with a fixture beside each rule.
//!
//! The rules are over series that the server writes; [`METRICS`] lists their names and labels. They are quiet by construction:
//! each waits (`for`) before it fires, fires on for a while (`keep_firing_for`) so that it does not flap, and rates have a floor of
//! traffic below which they say nothing.

mod adjust;
mod databases;
mod duties;
mod hosts;
mod metrics;
mod pages;
mod replicas;
mod traffic;

pub use adjust::{NotAdjusted, Wish, check};
pub use metrics::{METRICS, Metric, of_series};
pub use traffic::{WATCHED, Watched};

use daybook_promql::Query;

use crate::duration;
use crate::problem::Place;
use crate::rule::{Expression, Group, Recording, Rule};
use crate::template::Template;

/// How much somebody has to hurry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Users are hurt or soon will be: somebody has to look now.
    Page,
    /// It has to be seen to on a working day.
    Ticket,
    /// It is worth knowing when something else is wrong.
    Info,
    /// It says nothing but that alerts arrive at all.
    None,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
            Self::Info => "info",
            Self::None => "none",
        }
    }
}

/// An alert by default.
#[derive(Debug)]
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// How much somebody has to hurry.
    pub severity: Severity,
    /// The query.
    pub expr: &'static str,
    /// How long it has to be true.
    pub hold: &'static str,
    /// How long it fires on.
    pub keep: &'static str,
    /// What is wrong, in a line.
    pub summary: &'static str,
    /// What is wrong, with its numbers.
    pub description: &'static str,
    /// The name of the page that says what to do.
    pub runbook: &'static str,
    /// Series that make it fire, and others that must not.
    pub fixture: Fixture,
}

/// Series in the notation of Prometheus' test files, beginning at time zero.
#[derive(Debug)]
pub struct Fixture {
    /// The distance of their samples, and of evaluations.
    pub every: &'static str,
    /// When the alert fires.
    pub at: &'static str,
    /// Series that make it fire.
    pub fires: &'static [&'static str],
    /// Nearly the same, which must not make it fire at any time until then.
    pub quiet: &'static [&'static str],
}

/// Rules on one subject.
pub(crate) struct Subject {
    name: &'static str,
    /// Names and queries of what is recorded for the alerts.
    recorded: &'static [(&'static str, &'static str)],
    alerts: &'static [Builtin],
}

const SUBJECTS: [&Subject; 5] =
    [&traffic::SUBJECT, &replicas::SUBJECT, &hosts::SUBJECT, &databases::SUBJECT, &duties::SUBJECT];

/// All alerts by default.
pub fn alerts() -> impl Iterator<Item = &'static Builtin> {
    SUBJECTS.into_iter().flat_map(|subject| subject.alerts)
}

/// What to do about an alert of ours, as Markdown: by its name, or by that of the page.
pub fn page(name: &str) -> Option<&'static str> {
    let is_about = |text: &str| {
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        title.split(':').next().unwrap_or_default().split(", ").any(|alert| alert.eq_ignore_ascii_case(name))
    };
    pages::PAGES.iter().find(|(page, text)| *page == name || is_about(text)).map(|(_, text)| *text)
}

impl Builtin {
    /// The page that says what to do about it.
    pub fn page(&self) -> &'static str {
        page(self.runbook).expect("every alert has a page, which a test checks")
    }
}

/// The rules by default, as groups.
pub fn groups() -> Vec<Group> {
    groups_for(&[])
}

/// The rules by default, with what environments want different. Wishes that cannot be fulfilled ([`check`]) change nothing.
pub fn groups_for(wishes: &[Wish<'_>]) -> Vec<Group> {
    let subjects = SUBJECTS.into_iter().map(|subject| group(subject, wishes));
    let always = named("watchdog", vec![crate::slo::watchdog()]);
    subjects.chain([always]).collect()
}

fn group(subject: &Subject, wishes: &[Wish<'_>]) -> Group {
    let recorded = subject.recorded.iter().map(|(name, query)| record(name, query));
    let alerts = subject.alerts.iter().flat_map(|builtin| builtin.rules(wishes));
    named(subject.name, recorded.chain(alerts).collect())
}

fn named(name: &str, rules: Vec<Rule>) -> Group {
    Group { name: format!("daybook-{name}"), file: "builtin".into(), interval: None, query_offset: 0, limit: 0, rules }
}

/// A rule of ours that records.
pub(crate) fn record(name: &str, query: &str) -> Rule {
    Rule::Record(Recording { name: name.to_owned(), query: expression(query), labels: Vec::new(), place: place() })
}

/// Rules of ours are written in no file.
pub(crate) fn place() -> Place {
    Place { file: "builtin".into(), line: 1, column: 1 }
}

/// A query of ours.
pub(crate) fn expression(text: &str) -> Expression {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let query = Query::parse(&text).expect("queries of ours can be read, which a test checks");
    Expression { text, query }
}

/// A template of ours.
pub(crate) fn template(text: &str) -> Template {
    Template::parse(text).expect("templates of ours can be read, which a test checks")
}

fn milliseconds(text: &str) -> i64 {
    duration::parse(text).expect("durations of ours can be read, which a test checks")
}

#[cfg(test)]
mod tests;
