//! Functions of whole vectors: sorting, and turning vectors to numbers and back.

use std::cmp::Ordering;

use crate::answer::Value;
use crate::labels::natural;
use crate::rows::{Row, Steps};

/// Sorts the rows of an instant query by value, what is no number last; histograms are dropped.
pub(crate) fn sort(mut rows: Vec<Row>, descending: bool, steps: Steps) -> Vec<Row> {
    for row in &mut rows {
        let nameless = row.nameless;
        row.map_cells(|value| value.float().map(Value::Float));
        row.nameless = nameless;
    }
    if steps.len() == 1 {
        let value = |row: &Row| row.cells[0].as_ref().and_then(Value::float).unwrap_or(f64::NAN);
        rows.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            let order = if descending { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
            order.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        });
    }
    rows
}

/// Sorts the rows of an instant query by some labels, then by all.
pub(crate) fn sort_by_labels(mut rows: Vec<Row>, names: &[String], descending: bool, steps: Steps) -> Vec<Row> {
    if steps.len() == 1 {
        rows.sort_by(|a, b| {
            let by_names = names.iter().map(|name| natural(a.labels.get(name), b.labels.get(name)));
            let order = by_names.fold(Ordering::Equal, Ordering::then).then_with(|| a.labels.cmp(&b.labels));
            if descending { order.reverse() } else { order }
        });
    }
    rows
}

/// The one number of a vector at each step; otherwise none.
pub(crate) fn scalars(rows: &[Row], steps: Steps) -> Vec<f64> {
    let at = |step: usize| {
        let mut values = rows.iter().filter_map(|row| row.cells[step].as_ref()?.float());
        let first = values.next();
        first.filter(|_| values.next().is_none()).unwrap_or(f64::NAN)
    };
    (0..steps.len()).map(at).collect()
}

/// A number at each step as a vector without labels.
pub(crate) fn of_scalars(scalars: Vec<f64>) -> Vec<Row> {
    let cells = scalars.into_iter().map(|value| Some(Value::Float(value))).collect();
    vec![Row { labels: Default::default(), nameless: false, cells }]
}
