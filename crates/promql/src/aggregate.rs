//! Aggregations: one series of many.

use std::collections::HashMap;

use daybook_metrics::{Histogram, Labels, Reset};
use promql_parser::parser::token;
use promql_parser::parser::{AggregateExpr, LabelModifier};

use crate::answer::{Value, number};
use crate::error::Error;
use crate::eval::Evaluator;
use crate::notes::{Meeting, Notes};
use crate::numbers;
use crate::rows::{Row, RowSet, Steps, unnamed};

impl Evaluator<'_> {
    pub(crate) fn aggregate(&mut self, aggregate: &AggregateExpr, steps: Steps) -> Result<Vec<Row>, Error> {
        let op = aggregate.op.id();
        let param = aggregate.param.as_deref();
        if op == token::T_COUNT_VALUES {
            let label = param.ok_or_else(missing).and_then(|param| self.text(param))?;
            let rows = self.rows(&aggregate.expr, steps)?;
            return count_values(&rows, &label, aggregate.modifier.as_ref(), steps);
        }
        let param = param.map(|param| self.scalars(param, steps)).transpose()?;
        let rows = self.rows(&aggregate.expr, steps)?;
        let groups = group(&rows, aggregate.modifier.as_ref());
        match (op, param) {
            (token::T_TOPK | token::T_BOTTOMK | token::T_LIMITK | token::T_LIMIT_RATIO, Some(param)) => {
                self.choose(op, &param, rows, &groups, steps)
            }
            (token::T_QUANTILE, Some(param)) => {
                let quantile = |values: &[&Value], step: usize, _: &str, notes: &mut Notes| {
                    notes.quantile(param[step]);
                    let mut floats = floats(values, "quantile", notes)?;
                    Some(Value::Float(numbers::quantile(param[step], &mut floats)))
                };
                self.fold_groups(&rows, groups, steps, &quantile)
            }
            _ => {
                let function = find(op)
                    .ok_or_else(|| Error::evaluate(format!("the aggregation {} is not supported", aggregate.op)))?;
                self.fold_groups(&rows, groups, steps, &|values, _, metric, notes| function(values, metric, notes))
            }
        }
    }

    fn fold_groups(
        &mut self,
        rows: &[Row],
        groups: Vec<Group>,
        steps: Steps,
        fold: &FoldAt<'_>,
    ) -> Result<Vec<Row>, Error> {
        let mut folded = Vec::with_capacity(groups.len());
        let mut values: Vec<&Value> = Vec::new();
        for group in groups {
            self.check_cancelled()?;
            let first = &rows[group.members[0]];
            let mut cells = Vec::with_capacity(steps.len());
            for step in 0..steps.len() {
                values.clear();
                values.extend(group.members.iter().filter_map(|row| rows[*row].cells[step].as_ref()));
                let empty = values.is_empty();
                cells.push(if empty { None } else { fold(&values, step, first.labels.metric(), &mut self.notes) });
            }
            let nameless = group.members.iter().any(|row| rows[*row].nameless);
            folded.push(Row { labels: group.labels, nameless, cells });
        }
        Ok(folded)
    }
}

fn missing() -> Error {
    Error::evaluate("the aggregation needs a parameter")
}

/// Series that are aggregated to one.
pub(crate) struct Group {
    labels: Labels,
    /// Indices of rows; there is at least one.
    pub(crate) members: Vec<usize>,
}

/// Puts rows into groups by the labels that remain.
fn group(rows: &[Row], modifier: Option<&LabelModifier>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut index: HashMap<Labels, usize> = HashMap::new();
    for (row, labels) in rows.iter().map(|row| remaining(&row.labels, modifier)).enumerate() {
        let group = *index.entry(labels).or_insert_with_key(|labels| {
            groups.push(Group { labels: labels.clone(), members: Vec::new() });
            groups.len() - 1
        });
        groups[group].members.push(row);
    }
    groups
}

/// What `by` keeps, or `without` does not remove.
fn remaining(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => Labels::default(),
        Some(LabelModifier::Include(kept)) => {
            labels.filtered(|label| kept.labels.iter().any(|name| label.name == name.as_str()))
        }
        Some(LabelModifier::Exclude(removed)) => {
            unnamed(labels).filtered(|label| !removed.labels.iter().any(|name| label.name == name.as_str()))
        }
    }
}

/// Folds the values of a group at a step; the name of a metric is for notes.
type FoldAt<'a> = dyn Fn(&[&Value], usize, &str, &mut Notes) -> Option<Value> + 'a;

type Function = fn(&[&Value], &str, &mut Notes) -> Option<Value>;

fn find(op: token::TokenId) -> Option<Function> {
    Some(match op {
        token::T_SUM => |values, metric, notes| fold(values, Fold::Sum, metric, notes),
        token::T_AVG => |values, metric, notes| fold(values, Fold::Mean, metric, notes),
        token::T_COUNT => |values, _, _| Some(Value::Float(values.len() as f64)),
        token::T_GROUP => |_, _, _| Some(Value::Float(1.0)),
        token::T_MIN => |values, _, notes| Some(Value::Float(numbers::extreme(floats(values, "min", notes)?, true))),
        token::T_MAX => |values, _, notes| Some(Value::Float(numbers::extreme(floats(values, "max", notes)?, false))),
        token::T_STDDEV => {
            |values, _, notes| Some(Value::Float(numbers::variance(floats(values, "stddev", notes)?).sqrt()))
        }
        token::T_STDVAR => |values, _, notes| Some(Value::Float(numbers::variance(floats(values, "stdvar", notes)?))),
        _ => return None,
    })
}

/// The numbers among values, if there is any.
fn floats(values: &[&Value], aggregation: &str, notes: &mut Notes) -> Option<Vec<f64>> {
    let floats: Vec<f64> = values.iter().filter_map(|value| value.float()).collect();
    if floats.len() < values.len() {
        notes.ignored_in_aggregation(aggregation);
    }
    (!floats.is_empty()).then_some(floats)
}

/// How values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Sum,
    Mean,
}

fn fold(values: &[&Value], how: Fold, metric: &str, notes: &mut Notes) -> Option<Value> {
    let floats = || values.iter().filter_map(|value| value.float());
    let histograms: Vec<&Histogram> = values.iter().filter_map(|v| v.histogram()).map(AsRef::as_ref).collect();
    match histograms.len() {
        0 if how == Fold::Sum => Some(Value::Float(numbers::sum(floats()))),
        0 => Some(Value::Float(numbers::mean(floats()))),
        some if some == values.len() => fold_histograms(&histograms, how, metric, notes).map(Value::from),
        _ => {
            notes.mixed_aggregation();
            None
        }
    }
}

/// The sum or the mean of histograms; none where their schemas have nothing in common.
pub(crate) fn fold_histograms(all: &[&Histogram], how: Fold, metric: &str, notes: &mut Notes) -> Option<Histogram> {
    let Ok((layout, reconciled)) = Histogram::common_layout(all) else {
        notes.mixed_schemas(metric);
        return None;
    };
    if reconciled {
        notes.reconciled(Meeting::Aggregation);
    }
    let has = |reset| all.iter().any(|histogram| histogram.reset == reset);
    if has(Reset::Reset) && has(Reset::NotReset) {
        notes.reset_collision(Meeting::Aggregation);
    }
    let fold = |values: &[f64]| match how {
        Fold::Sum => numbers::sum(values.iter().copied()),
        Fold::Mean => numbers::mean(values.iter().copied()),
    };
    Some(layout.fold(all, &fold))
}

fn count_values(rows: &[Row], label: &str, modifier: Option<&LabelModifier>, steps: Steps) -> Result<Vec<Row>, Error> {
    if label.is_empty() {
        return Err(Error::evaluate("invalid label name \"\""));
    }
    let mut set = RowSet::new(steps.len());
    let mut counts: HashMap<usize, f64> = HashMap::new();
    for step in 0..steps.len() {
        counts.clear();
        for row in rows {
            let Some(value) = &row.cells[step] else { continue };
            let text = value.float().map_or_else(|| value.to_string(), number);
            let labels = remaining(&row.labels, modifier);
            let excluded =
                matches!(modifier, Some(LabelModifier::Exclude(removed)) if removed.labels.iter().any(|l| l == label));
            let labels = if excluded { labels } else { labels.with(label, &text) };
            *counts.entry(set.row(labels, false)).or_default() += 1.0;
        }
        for (row, count) in &counts {
            set.set(*row, step, Value::Float(*count))?;
        }
    }
    Ok(set.into_rows())
}
