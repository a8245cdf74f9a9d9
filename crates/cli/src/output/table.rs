//! Aligned columns.

use super::style::{DIM, paint, width};

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// At its left edge: words.
    Left,
    /// At its right edge: numbers.
    Right,
}

/// Rows under a head. Cells may be coloured.
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns. A name that ends with `>` is a column of numbers.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_suffix('>') {
            Some(name) => (name, Align::Right),
            None => (*name, Align::Left),
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<_> = cells.into_iter().collect();
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The lines. A column in which no row has anything is left out.
    pub(crate) fn render(&self) -> String {
        let shown: Vec<_> =
            (0..self.columns.len()).filter(|&i| self.rows.iter().any(|row| !row[i].is_empty())).collect();
        let widths: Vec<_> = shown.iter().map(|&i| self.column_width(i)).collect();
        let line = |cells: &dyn Fn(usize) -> String| {
            let mut out = String::new();
            for (&i, &column_width) in shown.iter().zip(&widths) {
                let cell = cells(i);
                let pad = " ".repeat(column_width.saturating_sub(width(&cell)));
                match self.columns[i].1 {
                    Align::Left => out.push_str(&format!("{cell}{pad}  ")),
                    Align::Right => out.push_str(&format!("{pad}{cell}  ")),
                }
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
            out
        };
        let mut out = line(&|i| paint(DIM, self.columns[i].0));
        for row in &self.rows {
            out.push_str(&line(&|i| row[i].clone()));
        }
        out
    }

    fn column_width(&self, i: usize) -> usize {
        let cells = self.rows.iter().map(|row| width(&row[i])).max().unwrap_or(0);
        cells.max(width(self.columns[i].0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::{GOOD, plain};

    #[test]
    fn columns_align_whatever_the_colours_and_empty_ones_vanish() {
        let mut table = Table::new(&["SERVICE", "STATE", "NOTE", "REQUESTS>"]);
        table.row(["web".into(), paint(GOOD, "running"), String::new(), "1,204".into()]);
        table.row(["mailer-long".into(), "stopped".into(), String::new(), "7".into()]);
        insta::assert_snapshot!(plain(&table.render()), @r"
        SERVICE      STATE    REQUESTS
        web          running     1,204
        mailer-long  stopped         7
        ");
    }
}
