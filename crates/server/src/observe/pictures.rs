//! Answers, drawn.

use std::collections::BTreeMap;

use daybook_api::ErrorCode;
use daybook_api::query::PictureQuery;
use daybook_panels::dashboard::legend;
use daybook_panels::{Chart, Grid, Line, Unit, names, svg};
use daybook_promql::Row;

use super::ask::{NotAnswered, rows};
use crate::App;
use crate::error::ApiError;

/// Over how much time, if nothing is said: an hour.
const USUALLY: u64 = 3_600;
/// Over how much time at most: ten years.
const AT_MOST: u64 = 10 * 365 * 86_400;

impl App {
    /// What a question answers over time, as SVG.
    pub(crate) async fn picture(&self, asked: PictureQuery) -> Result<String, ApiError> {
        let unit = match asked.unit.as_deref() {
            None => Unit::of_query(&asked.query),
            Some(name) => Unit::named(name).ok_or_else(|| {
                let known = Unit::names().collect::<Vec<_>>().join(", ");
                ApiError::new(ErrorCode::Usage, format!("no unit is called {name:.40}"))
                    .hint(format!("there are: {known}"))
            })?,
        };
        let now = self.now().as_millisecond();
        let span = asked.span.unwrap_or(USUALLY).clamp(1, AT_MOST) * 1_000;
        let grid =
            Grid::until(asked.end.map_or(now, |end| end.clamp(0, now / 1_000 + 86_400) * 1_000), span.cast_signed());
        let grid = asked.step.map_or(grid, |step| Grid { step: step.clamp(1, AT_MOST).cast_signed() * 1_000, ..grid });
        let grid = grid.bounded();
        let lines = self.lines(&asked.query, "", grid).await.map_err(|error| refused(&error))?;
        let title = asked.title.unwrap_or_else(|| asked.query.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(svg(&Chart::new(title, unit, grid, lines)))
    }

    /// What a question answers at each time of a grid. `template` is what its series are called.
    pub(super) async fn lines(&self, query: &str, template: &str, grid: Grid) -> Result<Vec<Line>, NotAnswered> {
        Ok(placed(&rows(&self.inner.observatory, query, grid, None).await?, template, grid))
    }
}

/// Rows as lines; histograms have no line.
fn placed(rows: &[Row], template: &str, grid: Grid) -> Vec<Line> {
    let labels = |row: &Row| row.labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect();
    let labels: Vec<BTreeMap<String, String>> = rows.iter().map(labels).collect();
    let all = rows.iter().zip(&labels).zip(names(&labels.iter().collect::<Vec<_>>()));
    let line = |((row, labels), by_labels): ((&Row, &BTreeMap<String, String>), String)| Line {
        name: Some(legend(template, labels)).filter(|name| !name.is_empty()).unwrap_or(by_labels),
        values: grid.place(row.points.iter().filter_map(|point| Some((point.at, point.value.float()?)))),
    };
    all.map(line).collect()
}

fn refused(error: &NotAnswered) -> ApiError {
    let code = match error {
        NotAnswered::Bad(_) => ErrorCode::Usage,
        NotAnswered::Failed(_) => ErrorCode::Invalid,
        NotAnswered::TooLong(_) | NotAnswered::Unavailable(_) => ErrorCode::Unavailable,
    };
    ApiError::new(code, error.to_string())
}
