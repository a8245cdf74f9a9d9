//! Operators between two expressions.

use std::collections::HashMap;

use daybook_metrics::{Histogram, Labels, Reset};
use promql_parser::parser::token::{self, TokenId};
use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};

use crate::answer::Value;
use crate::error::Error;
use crate::eval::Evaluator;
use crate::notes::{Meeting, Notes};
use crate::rows::{Evaluated, Row, RowSet, Steps, unnamed};
use crate::sets::set_operation;

impl Evaluator<'_> {
    pub(crate) fn binary(&mut self, binary: &BinaryExpr, steps: Steps) -> Result<Evaluated, Error> {
        let left = self.eval(&binary.lhs, steps)?;
        let right = self.eval(&binary.rhs, steps)?;
        let op = Op::of(binary)?;
        Ok(match (left, right) {
            (Evaluated::Scalars(left), Evaluated::Scalars(right)) => {
                let both = left.into_iter().zip(right);
                Evaluated::Scalars(both.map(|(left, right)| op.scalars(left, right)).collect())
            }
            (Evaluated::Rows(rows), Evaluated::Scalars(scalars)) => {
                Evaluated::Rows(with_scalars(rows, &scalars, op, false, &mut self.notes))
            }
            (Evaluated::Scalars(scalars), Evaluated::Rows(rows)) => {
                Evaluated::Rows(with_scalars(rows, &scalars, op, true, &mut self.notes))
            }
            (Evaluated::Rows(left), Evaluated::Rows(right)) => {
                let matching = Matching::of(binary.modifier.as_ref());
                Evaluated::Rows(match op.id {
                    token::T_LAND | token::T_LOR | token::T_LUNLESS => {
                        set_operation(op.id, left, right, &matching, steps)?
                    }
                    _ => self.vectors(left, right, op, &matching, steps)?,
                })
            }
            _ => return Err(Error::evaluate("an operator needs scalars or instant vectors")),
        })
    }
}

/// An operator of arithmetic or comparison.
#[derive(Clone, Copy)]
struct Op {
    id: TokenId,
    name: &'static str,
    compares: bool,
    /// A comparison answers 0 or 1 instead of filtering.
    as_number: bool,
}

impl Op {
    fn of(binary: &BinaryExpr) -> Result<Self, Error> {
        let name = match binary.op.id() {
            token::T_ADD => "+",
            token::T_SUB => "-",
            token::T_MUL => "*",
            token::T_DIV => "/",
            token::T_MOD => "%",
            token::T_POW => "^",
            token::T_ATAN2 => "atan2",
            token::T_EQLC => "==",
            token::T_NEQ => "!=",
            token::T_GTR => ">",
            token::T_LSS => "<",
            token::T_GTE => ">=",
            token::T_LTE => "<=",
            token::T_LAND => "and",
            token::T_LOR => "or",
            token::T_LUNLESS => "unless",
            _ => return Err(Error::evaluate(format!("the operator {} is not supported", binary.op))),
        };
        let compares = binary.op.is_comparison_operator();
        let as_number = binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
        Ok(Self { id: binary.op.id(), name, compares, as_number })
    }

    /// The result, and whether a comparison holds.
    fn floats(self, left: f64, right: f64) -> (f64, bool) {
        match self.id {
            token::T_ADD => (left + right, true),
            token::T_SUB => (left - right, true),
            token::T_MUL => (left * right, true),
            token::T_DIV => (left / right, true),
            token::T_MOD => (left % right, true),
            token::T_POW => (left.powf(right), true),
            token::T_ATAN2 => (left.atan2(right), true),
            token::T_EQLC => (left, left == right),
            token::T_NEQ => (left, left != right),
            token::T_GTR => (left, left > right),
            token::T_LSS => (left, left < right),
            token::T_GTE => (left, left >= right),
            _ => (left, left <= right),
        }
    }

    fn scalars(self, left: f64, right: f64) -> f64 {
        match self.floats(left, right) {
            (_, holds) if self.compares => f64::from(u8::from(holds)),
            (value, _) => value,
        }
    }

    /// The result; none where there is none or a comparison that filters does not hold.
    fn values(self, left: &Value, right: &Value, notes: &mut Notes) -> Option<Value> {
        let (value, holds) = match (left, right) {
            (Value::Float(left), Value::Float(right)) => {
                let (value, holds) = self.floats(*left, *right);
                (Value::Float(value), holds)
            }
            (Value::Histogram(left), Value::Histogram(right)) => self.histograms(left, right, notes)?,
            (Value::Histogram(histogram), Value::Float(factor)) if self.id == token::T_DIV => {
                (changed(histogram, |histogram| histogram.divide(*factor)), true)
            }
            (Value::Histogram(histogram), Value::Float(factor))
            | (Value::Float(factor), Value::Histogram(histogram))
                if self.id == token::T_MUL =>
            {
                (changed(histogram, |histogram| histogram.multiply(*factor)), true)
            }
            _ => return self.incompatible(left, right, notes),
        };
        match (self.as_number, holds) {
            (true, holds) => Some(Value::Float(f64::from(u8::from(holds)))),
            (false, holds) => holds.then_some(value),
        }
    }

    fn histograms(self, left: &Histogram, right: &Histogram, notes: &mut Notes) -> Option<(Value, bool)> {
        let mut result = left.clone();
        let (merge, meeting) = match self.id {
            token::T_EQLC => return Some((result.into(), left == right)),
            token::T_NEQ => return Some((result.into(), left != right)),
            token::T_ADD => (result.add(right), Meeting::Addition),
            token::T_SUB => {
                let merge = result.subtract(right);
                result.reset = Reset::Gauge;
                (merge, Meeting::Subtraction)
            }
            _ => {
                notes.incompatible_types("histogram", self.name, "histogram");
                return None;
            }
        };
        let Ok(merge) = merge else {
            notes.incompatible_layout(self.name);
            return None;
        };
        if merge.collision {
            notes.reset_collision(meeting);
        }
        if merge.reconciled {
            notes.reconciled(meeting);
        }
        Some((result.into(), true))
    }

    fn incompatible(self, left: &Value, right: &Value, notes: &mut Notes) -> Option<Value> {
        let kind = |value: &Value| if value.float().is_some() { "float" } else { "histogram" };
        notes.incompatible_types(kind(left), self.name, kind(right));
        None
    }

    /// Whether the result is no longer what the metric says.
    fn drops_name(self) -> bool {
        !self.compares || self.as_number
    }
}

fn changed(histogram: &Histogram, change: impl FnOnce(&mut Histogram)) -> Value {
    let mut histogram = histogram.clone();
    change(&mut histogram);
    histogram.into()
}

/// Each value with the number of its step, which is on the left if `swapped`. A comparison keeps the value.
fn with_scalars(mut rows: Vec<Row>, scalars: &[f64], op: Op, swapped: bool, notes: &mut Notes) -> Vec<Row> {
    for row in &mut rows {
        for (cell, scalar) in row.cells.iter_mut().zip(scalars) {
            let Some(value) = cell.take() else { continue };
            let scalar = Value::Float(*scalar);
            let result = if swapped { op.values(&scalar, &value, notes) } else { op.values(&value, &scalar, notes) };
            *cell = if op.drops_name() { result } else { result.map(|_| value) };
        }
        row.nameless |= op.drops_name();
    }
    rows
}

/// Which series of both sides belong together.
pub(crate) struct Matching<'a> {
    on: bool,
    labels: &'a [String],
    /// Which side may have many series for one of the other; none if neither.
    many: Option<Side>,
    /// Labels that the side with many takes over from the other.
    included: &'a [String],
    fill_left: Option<f64>,
    fill_right: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl<'a> Matching<'a> {
    fn of(modifier: Option<&'a BinModifier>) -> Self {
        let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
        let (many, included) = match modifier.map(|modifier| &modifier.card) {
            Some(VectorMatchCardinality::ManyToOne(labels)) => (Some(Side::Left), labels.labels.as_slice()),
            Some(VectorMatchCardinality::OneToMany(labels)) => (Some(Side::Right), labels.labels.as_slice()),
            _ => (None, [].as_slice()),
        };
        Self {
            on: matching.is_some_and(LabelModifier::is_include),
            labels: matching.map_or(&[], |matching| matching.labels().labels.as_slice()),
            many,
            included,
            fill_left: modifier.and_then(|modifier| modifier.fill_values.lhs),
            fill_right: modifier.and_then(|modifier| modifier.fill_values.rhs),
        }
    }

    fn names(&self, name: &str) -> bool {
        self.labels.iter().any(|label| label == name)
    }

    /// The labels by which series belong together.
    fn key(&self, labels: &Labels) -> Labels {
        if self.on {
            return labels.filtered(|label| self.names(&label.name));
        }
        unnamed(labels).filtered(|label| !self.names(&label.name))
    }

    /// The labels of a result: those of the side with many, or of the left one.
    fn result(&self, main: &Labels, other: &Labels, op: Op) -> Labels {
        let mut labels = if op.compares { main.clone() } else { unnamed(main) };
        if self.many.is_none() {
            labels = labels.filtered(|label| self.on == self.names(&label.name));
        }
        self.included.iter().fold(labels, |labels, name| labels.with(name, other.get(name)))
    }
}

/// Numbers that are the same for rows that belong together, counted from zero.
pub(crate) struct Keys {
    pub(crate) left: Vec<usize>,
    pub(crate) right: Vec<usize>,
    count: usize,
}

impl Keys {
    pub(crate) fn of(left: &[Row], right: &[Row], matching: &Matching<'_>) -> Self {
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut number = |row: &Row| {
            let next = known.len();
            *known.entry(matching.key(&row.labels)).or_insert(next)
        };
        let left = left.iter().map(&mut number).collect();
        let right = right.iter().map(&mut number).collect();
        Self { left, right, count: known.len() }
    }
}

/// One step of an operation: which row of the side with one has each key.
struct Ones(Vec<Option<usize>>);

impl Evaluator<'_> {
    /// An operation between the rows that belong together.
    fn vectors(
        &mut self,
        left: Vec<Row>,
        right: Vec<Row>,
        op: Op,
        matching: &Matching<'_>,
        steps: Steps,
    ) -> Result<Vec<Row>, Error> {
        let keys = Keys::of(&left, &right, matching);
        let swapped = matching.many == Some(Side::Right);
        let (main, main_keys, other, other_keys) = match swapped {
            false => (left, keys.left, right, keys.right),
            true => (right, keys.right, left, keys.left),
        };
        let (fill_main, fill_other) = match swapped {
            false => (matching.fill_left, matching.fill_right),
            true => (matching.fill_right, matching.fill_left),
        };
        let mut results = Results::new(op, matching, steps);
        let mut used = vec![false; keys.count];
        for step in 0..steps.len() {
            self.check_cancelled()?;
            let ones = Ones::of(&other, &other_keys, keys.count, step, matching)?;
            used.fill(false);
            for (row, key) in main_keys.iter().enumerate() {
                let Some(value) = &main[row].cells[step] else { continue };
                let partner = ones.0[*key];
                let filled = fill_other.map(Value::Float);
                let other_value = match partner {
                    Some(partner) => other[partner].cells[step].as_ref(),
                    None => filled.as_ref(),
                };
                let first = !std::mem::replace(&mut used[*key], true);
                let Some(other_value) = other_value else { continue };
                let (left, right) = if swapped { (other_value, value) } else { (value, other_value) };
                if matching.many.is_none() && !first {
                    return Err(Error::evaluate(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                    ));
                }
                let Some(result) = op.values(left, right, &mut self.notes) else { continue };
                results.set(&main[row], partner.map(|partner| &other[partner]), (row, partner), step, result)?;
            }
            let Some(fill) = fill_main.map(Value::Float) else { continue };
            for (key, partner) in ones.0.iter().enumerate().filter(|(key, _)| !used[*key]) {
                let Some(partner) = *partner else { continue };
                let Some(value) = &other[partner].cells[step] else { continue };
                let (left, right) = if swapped { (value, &fill) } else { (&fill, value) };
                if let Some(result) = op.values(left, right, &mut self.notes) {
                    let labels = matching.key(&other[partner].labels);
                    results.set_filled(&labels, &other[partner], (main.len() + key, Some(partner)), step, result)?;
                }
            }
        }
        Ok(results.set.into_rows())
    }
}

impl Ones {
    fn of(rows: &[Row], keys: &[usize], count: usize, step: usize, matching: &Matching<'_>) -> Result<Self, Error> {
        let mut ones: Vec<Option<usize>> = vec![None; count];
        for (row, key) in keys.iter().enumerate().filter(|(row, _)| rows[*row].cells[step].is_some()) {
            if let Some(first) = ones[*key].replace(row) {
                return Err(duplicate(&rows[first].labels, &rows[row].labels, matching));
            }
        }
        Ok(Self(ones))
    }
}

fn duplicate(first: &Labels, second: &Labels, matching: &Matching<'_>) -> Error {
    let side = if matching.many == Some(Side::Right) { "left" } else { "right" };
    let group = matching.key(first);
    let (first, second) = (first.min(second), first.max(second));
    Error::evaluate(format!(
        "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
         many-to-many matching not allowed: matching labels must be unique on one side",
        braced(&group),
        braced(first),
        braced(second),
    ))
}

/// Labels with the name among them, as Prometheus writes them in errors.
fn braced(labels: &Labels) -> String {
    let all: Vec<String> = labels.iter().map(|label| format!("{}={:?}", label.name, label.value.as_str())).collect();
    format!("{{{}}}", all.join(", "))
}

/// The rows of a result as they are filled.
struct Results<'a> {
    op: Op,
    matching: &'a Matching<'a>,
    set: RowSet,
    /// The row of a pair of rows.
    known: HashMap<(usize, Option<usize>), usize>,
}

impl<'a> Results<'a> {
    fn new(op: Op, matching: &'a Matching<'a>, steps: Steps) -> Self {
        Self { op, matching, set: RowSet::new(steps.len()), known: HashMap::new() }
    }

    fn set(
        &mut self,
        main: &Row,
        other: Option<&Row>,
        pair: (usize, Option<usize>),
        step: usize,
        value: Value,
    ) -> Result<(), Error> {
        let (op, matching, set) = (self.op, self.matching, &mut self.set);
        let row = *self.known.entry(pair).or_insert_with(|| {
            let none = Labels::default();
            let labels = matching.result(&main.labels, other.map_or(&none, |other| &other.labels), op);
            set.row(labels, op.drops_name() || main.nameless)
        });
        let grouped = self.matching.many.is_some();
        self.set.set(row, step, value).map_err(|error| match grouped {
            true => Error::evaluate("multiple matches for labels: grouping labels must ensure unique matches"),
            false => error,
        })
    }

    fn set_filled(
        &mut self,
        labels: &Labels,
        other: &Row,
        pair: (usize, Option<usize>),
        step: usize,
        value: Value,
    ) -> Result<(), Error> {
        let main = Row { labels: labels.clone(), nameless: false, cells: Vec::new() };
        self.set(&main, Some(other), pair, step, value)
    }
}
