//! What an expression becomes: rows with a cell for each step.

use std::collections::HashMap;

use daybook_metrics::{Labels, NAME};

use crate::answer::Value;
use crate::error::{Error, SAME_LABELS};

/// The times at which an expression is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    /// The first, in milliseconds since 1970.
    pub(crate) from: i64,
    /// The end; the last step is not after it.
    pub(crate) to: i64,
    /// Between two; more than zero.
    pub(crate) every: i64,
}

impl Steps {
    pub(crate) fn one(at: i64) -> Self {
        Self { from: at, to: at, every: 1 }
    }

    pub(crate) fn len(self) -> usize {
        if self.to < self.from { 0 } else { self.to.abs_diff(self.from) as usize / self.every as usize + 1 }
    }

    pub(crate) fn at(self, step: usize) -> i64 {
        self.from + self.every * step as i64
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(move |step| self.at(step))
    }
}

/// One series of a vector, at all steps.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// Whether the name is dropped when the query is done.
    pub(crate) nameless: bool,
    pub(crate) cells: Vec<Option<Value>>,
}

impl Row {
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.iter().all(Option::is_none)
    }

    /// The labels it has in an answer.
    pub(crate) fn name_dropped(&self) -> Labels {
        if self.nameless { unnamed(&self.labels) } else { self.labels.clone() }
    }

    /// Another value in each cell that has a number; histograms are dropped, and the name.
    pub(crate) fn map_floats(&mut self, map: impl Fn(f64) -> f64) {
        self.map_cells(|value| value.float().map(|value| Value::Float(map(value))));
    }

    /// Another value, or none, in each cell; the name is dropped.
    pub(crate) fn map_cells(&mut self, mut map: impl FnMut(&Value) -> Option<Value>) {
        for cell in &mut self.cells {
            *cell = cell.as_ref().and_then(&mut map);
        }
        self.nameless = true;
    }
}

/// Labels without those that say what the metric is.
pub(crate) fn unnamed(labels: &Labels) -> Labels {
    labels.filtered(|label| !matches!(label.name.as_str(), NAME | "__type__" | "__unit__"))
}

/// What an expression becomes.
pub(crate) enum Evaluated {
    /// A number at each step.
    Scalars(Vec<f64>),
    /// A text.
    Text(String),
    /// A vector at each step.
    Rows(Vec<Row>),
}

/// Rows that are found by their labels while they are filled.
pub(crate) struct RowSet {
    rows: Vec<Row>,
    index: HashMap<(Labels, bool), usize>,
    steps: usize,
}

impl RowSet {
    pub(crate) fn new(steps: usize) -> Self {
        Self { rows: Vec::new(), index: HashMap::new(), steps }
    }

    /// The row of these labels.
    pub(crate) fn row(&mut self, labels: Labels, nameless: bool) -> usize {
        let (rows, steps) = (&mut self.rows, self.steps);
        *self.index.entry((labels, nameless)).or_insert_with_key(|(labels, _)| {
            rows.push(Row { labels: labels.clone(), nameless, cells: vec![None; steps] });
            rows.len() - 1
        })
    }

    /// Fills a cell; one that is filled belongs to another series of the same labels.
    pub(crate) fn set(&mut self, row: usize, step: usize, value: Value) -> Result<(), Error> {
        match self.rows[row].cells[step].replace(value) {
            None => Ok(()),
            Some(_) => Err(Error::evaluate(SAME_LABELS)),
        }
    }

    /// Fills all cells that another row has.
    pub(crate) fn merge(&mut self, labels: Labels, nameless: bool, cells: Vec<Option<Value>>) -> Result<(), Error> {
        if let Some(row) = self.index.get(&(labels.clone(), nameless)).copied() {
            return cells
                .into_iter()
                .enumerate()
                .filter_map(|(step, cell)| cell.map(|cell| (step, cell)))
                .try_for_each(|(step, cell)| self.set(row, step, cell));
        }
        self.index.insert((labels.clone(), nameless), self.rows.len());
        self.rows.push(Row { labels, nameless, cells });
        Ok(())
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}
