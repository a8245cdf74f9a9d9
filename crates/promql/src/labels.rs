//! Functions of labels.

use std::cmp::Ordering;

use daybook_metrics::{Labels, NAME};
use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector};
use regex::Regex;

use crate::answer::Value;
use crate::error::Error;
use crate::eval::without_parens;
use crate::rows::{Row, RowSet, Steps, unnamed};

/// `label_replace`: sets a label to what a pattern finds in another.
pub(crate) fn replace(rows: Vec<Row>, to: &str, template: &str, from: &str, pattern: &str) -> Result<Vec<Row>, Error> {
    let regex = Regex::new(&format!("^(?s:{pattern})$"))
        .map_err(|_| Error::evaluate(format!("invalid regular expression in label_replace(): {pattern}")))?;
    if to.is_empty() {
        return Err(Error::evaluate(format!("invalid destination label name in label_replace(): {to}")));
    }
    relabel(rows, to, |labels| {
        let captures = regex.captures(labels.get(from))?;
        let mut value = String::new();
        captures.expand(template, &mut value);
        Some(value)
    })
}

/// `label_join`: sets a label to the values of others.
pub(crate) fn join(rows: Vec<Row>, to: &str, separator: &str, from: &[String]) -> Result<Vec<Row>, Error> {
    if let Some(name) = from.iter().find(|name| name.is_empty()) {
        return Err(Error::evaluate(format!("invalid source label name in label_join(): {name}")));
    }
    if to.is_empty() {
        return Err(Error::evaluate(format!("invalid destination label name in label_join(): {to}")));
    }
    relabel(rows, to, |labels| {
        let values: Vec<&str> = from.iter().map(|name| labels.get(name)).collect();
        Some(values.join(separator))
    })
}

/// Sets a label; a name that is set is not dropped. Series that then are one have to be so at different steps.
fn relabel(rows: Vec<Row>, to: &str, value: impl Fn(&Labels) -> Option<String>) -> Result<Vec<Row>, Error> {
    let mut set = RowSet::new(rows.first().map_or(0, |row| row.cells.len()));
    for row in rows {
        match value(&row.labels) {
            Some(value) => set.merge(row.labels.with(to, &value), row.nameless && to != NAME, row.cells)?,
            None => set.merge(row.labels, row.nameless, row.cells)?,
        }
    }
    Ok(set.into_rows())
}

/// One where a vector or a range has nothing, with the labels that its selector asks for.
pub(crate) fn absent_rows(argument: &Expr, rows: &[Row], steps: Steps) -> Vec<Row> {
    let cells = (0..steps.len()).map(|step| {
        let absent = rows.iter().all(|row| row.cells[step].is_none());
        absent.then_some(Value::Float(1.0))
    });
    vec![Row { labels: asked(argument), nameless: false, cells: cells.collect() }]
}

/// The labels for which a selector asks one value.
fn asked(argument: &Expr) -> Labels {
    let selector: &VectorSelector = match without_parens(argument) {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(matrix) => &matrix.vs,
        _ => return Labels::default(),
    };
    let matchers = &selector.matchers.matchers;
    let once = |name: &str| matchers.iter().filter(|other| other.name == name).count() == 1;
    let equal = matchers.iter().filter(|matcher| matches!(matcher.op, MatchOp::Equal) && once(&matcher.name));
    unnamed(&Labels::new(equal.map(|matcher| (matcher.name.as_str(), matcher.value.as_str()))))
}

/// Compares texts as people sort them: numbers within them by their value.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let ((first, rest_a), (second, rest_b)) = (chunk(a), chunk(b));
        let order = match (first.parse::<u128>(), second.parse::<u128>()) {
            (Ok(first_number), Ok(second_number)) => first_number.cmp(&second_number).then(first.cmp(second)),
            _ => first.cmp(second),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The digits, or what is none, at the start of a text, and the rest.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    text.split_at(text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_labels_are_sorted_by_value() {
        let mut all = ["4m600", "4m5", "200", "4m1000", "", "b", "10a"];
        all.sort_by(|a, b| natural(a, b));
        assert_eq!(all, ["", "4m5", "4m600", "4m1000", "10a", "200", "b"]);
    }
}
