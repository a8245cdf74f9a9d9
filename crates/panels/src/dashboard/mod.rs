//! Panels that belong together.
//!
//! - [`defaults`]: ours, for services, databases, machines and the edge.
//! - [`to_grafana`], [`of_grafana`]: the same as Grafana has it.
//! - [`Filling`]: what stands for the variables in their queries.

mod defaults;
mod fill;
mod grafana;

use crate::Unit;

pub use defaults::defaults;
pub use fill::{Filling, Unfilled, legend};
pub use grafana::{NotRead, Read, of_grafana, to_grafana};

/// Panels that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// What it is known by: `service`.
    pub name: String,
    /// What it is called.
    pub title: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// What its queries leave open.
    pub variables: Vec<Variable>,
    /// In the order in which they are read.
    pub panels: Vec<Panel>,
}

/// What queries leave open: `$service`.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Its name, without the dollar.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// Which values there are, in Grafana's words: `label_values(daybook_host_load1, host)`. Empty where it has one value.
    pub query: String,
    /// Whether all of them may be meant at once; queries then have a pattern.
    pub all: bool,
    /// What it is if nobody says; none for [`defaults`].
    pub value: Option<String>,
}

/// One question, or several of one kind, and how the answer is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What it is called.
    pub title: String,
    /// What there is to know about it.
    pub about: String,
    /// How it is shown.
    pub kind: Kind,
    /// What its numbers are of.
    pub unit: Unit,
    /// What its numbers are multiplied by before they are of that unit.
    pub factor: f64,
    /// Its questions.
    pub queries: Vec<Asked>,
}

/// How a panel is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Lines,
    /// The newest numbers.
    Stat,
}

/// A question in PromQL.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The question, in which variables are open.
    pub expr: String,
    /// What its series are called, `{{service}}`; by their labels where it is empty.
    pub legend: String,
}
