//! The operators `and`, `or` and `unless`.

use promql_parser::parser::token::{self, TokenId};

use crate::binary::{Keys, Matching};
use crate::error::Error;
use crate::rows::{Row, RowSet, Steps};

/// Rows of the left by whether there is one on the right that belongs to them; `or` also has those of the right that belong
/// to none of the left.
pub(crate) fn set_operation(
    op: TokenId,
    mut left: Vec<Row>,
    mut right: Vec<Row>,
    matching: &Matching<'_>,
    steps: Steps,
) -> Result<Vec<Row>, Error> {
    let keys = Keys::of(&left, &right, matching);
    match op {
        token::T_LAND => {
            let in_right = Present::of(&right, &keys.right, steps);
            keep(&mut left, &keys.left, |key, step| in_right.has(key, step));
            Ok(left)
        }
        token::T_LUNLESS => {
            let in_right = Present::of(&right, &keys.right, steps);
            keep(&mut left, &keys.left, |key, step| !in_right.has(key, step));
            Ok(left)
        }
        _ => {
            let in_left = Present::of(&left, &keys.left, steps);
            keep(&mut right, &keys.right, |key, step| !in_left.has(key, step));
            let mut set = RowSet::new(steps.len());
            for row in left.into_iter().chain(right) {
                set.merge(row.labels, row.nameless, row.cells)?;
            }
            Ok(set.into_rows())
        }
    }
}

/// Which keys have a value at which step.
struct Present {
    cells: Vec<bool>,
    steps: usize,
}

impl Present {
    fn of(rows: &[Row], keys: &[usize], steps: Steps) -> Self {
        let steps = steps.len();
        let mut cells = vec![false; keys.iter().max().map_or(0, |most| most + 1) * steps];
        for (row, key) in rows.iter().zip(keys) {
            for (step, cell) in row.cells.iter().enumerate() {
                cells[key * steps + step] |= cell.is_some();
            }
        }
        Self { cells, steps }
    }

    fn has(&self, key: usize, step: usize) -> bool {
        self.cells.get(key * self.steps + step).copied().unwrap_or(false)
    }
}

/// Empties the cells of which `keeps` does not say so.
fn keep(rows: &mut [Row], keys: &[usize], keeps: impl Fn(usize, usize) -> bool) {
    for (row, key) in rows.iter_mut().zip(keys) {
        for (step, cell) in row.cells.iter_mut().enumerate() {
            if !keeps(*key, step) {
                *cell = None;
            }
        }
    }
}
