//! Series over time, as they are drawn.

use std::collections::BTreeMap;

use crate::Unit;

/// More lines than these nobody tells apart.
pub const MOST_LINES: usize = 10;
/// More steps than these are no finer on any screen.
const MOST_STEPS: i64 = 2_000;

/// Times with one distance, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The first.
    pub from: i64,
    /// The last is this one, or less than a step before.
    pub to: i64,
    /// From one to the next.
    pub step: i64,
}

impl Grid {
    /// Times until `to`, so many that lines of them are fine enough for a picture.
    pub fn until(to: i64, span: i64) -> Self {
        Self::stepped(to, span, 240)
    }

    /// About `count` times until `to`, whole seconds apart.
    pub fn stepped(to: i64, span: i64, count: i64) -> Self {
        let span = span.max(1_000);
        let step = (span.div_euclid(count.max(1)).div_euclid(1_000) * 1_000).max(1_000);
        Self { from: to - span, to, step }
    }

    /// This, or a coarser one if nobody could see all of its times.
    #[must_use]
    pub fn bounded(self) -> Self {
        let span = (self.to - self.from).max(1);
        Self { step: self.step.max(1).max(span.div_euclid(MOST_STEPS) + 1), ..self }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::try_from((self.to - self.from).max(0) / self.step.max(1)).unwrap_or(0) + 1
    }

    /// There is always one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Values at their places. Where nothing is said, and where it is no number, there is a gap.
    pub fn place(&self, values: impl IntoIterator<Item = (i64, f64)>) -> Vec<Option<f64>> {
        let mut placed = vec![None; self.len()];
        for (at, value) in values {
            let place = usize::try_from((at - self.from).div_euclid(self.step.max(1))).ok();
            if let Some(cell) = place.and_then(|place| placed.get_mut(place)).filter(|_| value.is_finite()) {
                *cell = Some(value);
            }
        }
        placed
    }
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// A value for each time of the grid, if there is one.
    pub values: Vec<Option<f64>>,
}

impl Line {
    /// The greatest value.
    pub fn most(&self) -> Option<f64> {
        self.values.iter().flatten().copied().max_by(f64::total_cmp)
    }
}

/// Series over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What they are of.
    pub title: String,
    /// What their numbers are of.
    pub unit: Unit,
    /// Their times.
    pub grid: Grid,
    /// At most [`MOST_LINES`].
    pub lines: Vec<Line>,
    /// Lines that are not shown, because there are too many.
    pub left_out: usize,
}

impl Chart {
    /// A chart of lines. Where there are too many, those with the greatest values are shown.
    pub fn new(title: impl Into<String>, unit: Unit, grid: Grid, mut lines: Vec<Line>) -> Self {
        let left_out = lines.len().saturating_sub(MOST_LINES);
        if left_out > 0 {
            let most = |line: &Line| line.most().unwrap_or(f64::NEG_INFINITY);
            lines.sort_by(|a, b| most(b).total_cmp(&most(a)).then_with(|| a.name.cmp(&b.name)));
            lines.truncate(MOST_LINES);
        }
        Self { title: title.into(), unit, grid, lines, left_out }
    }
}

/// The newest of values over time.
pub fn last(values: &[Option<f64>]) -> Option<f64> {
    values.iter().rev().find_map(|value| *value)
}

/// Names of series by their labels: what all have is said of none.
pub fn names(all: &[&BTreeMap<String, String>]) -> Vec<String> {
    let shared = |name: &String, value: &String| all.iter().all(|labels| labels.get(name) == Some(value));
    let one = |labels: &&BTreeMap<String, String>| {
        let metric = labels.get("__name__").map(String::as_str).unwrap_or_default();
        let is_own = |(name, value): &(&String, &String)| {
            name.as_str() != "__name__" && (all.len() == 1 || !shared(name, value))
        };
        // What ours and Prometheus' servers add to everything tells one series from no other.
        let own = labels.iter().filter(is_own).filter(|(name, _)| all.len() > 1 || name.as_str() != "job");
        let own: Vec<_> = own.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty()).collect();
        match (metric, own.as_slice()) {
            ("", []) => "all".to_owned(),
            (metric, []) => metric.to_owned(),
            (_, own) => own.join(" "),
        }
    };
    all.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_a_gap() {
        let grid = Grid { from: 0, to: 4_000, step: 1_000 };
        let placed = grid.place([(0, 1.0), (1_000, f64::NAN), (3_000, 2.0), (9_000, 7.0), (-1, 7.0)]);
        assert_eq!(placed, [Some(1.0), None, None, Some(2.0), None]);
    }

    #[test]
    fn grids_are_fine_and_bounded() {
        assert_eq!(Grid::until(3_600_000, 3_600_000), Grid { from: 0, to: 3_600_000, step: 15_000 });
        assert_eq!(Grid::until(10_000, 10_000).step, 1_000);
        let year = Grid { from: 0, to: 365 * 86_400_000, step: 1_000 }.bounded();
        assert!(year.len() <= 2_001, "{}", year.len());
    }

    #[test]
    fn the_greatest_lines_are_shown() {
        let line = |value: usize| Line { name: format!("{value:02}"), values: vec![Some(value as f64)] };
        let chart = Chart::new("", Unit::Number, Grid { from: 0, to: 0, step: 1 }, (0..15).map(line).collect());
        assert_eq!((chart.lines.len(), chart.left_out), (10, 5));
        assert_eq!(chart.lines[0].name, "14");
    }

    #[test]
    fn names_tell_series_apart() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let (a, b) = (labels(&[("app", "shop"), ("service", "web")]), labels(&[("app", "shop"), ("service", "api")]));
        assert_eq!(names(&[&a, &b]), ["web", "api"]);
        assert_eq!(names(&[&labels(&[])]), ["all"]);
        assert_eq!(names(&[&labels(&[("__name__", "up"), ("job", "daybook")])]), ["up"]);
    }
}
