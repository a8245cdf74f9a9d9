//! Windows over the samples of a series, and the functions over them.

use daybook_metrics::{HistogramSample, NAME, Sample};
use promql_parser::parser::{Call, Expr};

use crate::answer::Value;
use crate::error::Error;
use crate::eval::{Evaluator, without_parens};
use crate::notes::Notes;
use crate::rows::{Row, RowSet, Steps};
use crate::selector::{Tracks, count_until};
use crate::{labels, over_time, rate};

/// The samples of one series that a function sees at one step. There is at least one.
pub(crate) struct Window<'a> {
    pub(crate) floats: &'a [Sample],
    pub(crate) histograms: &'a [HistogramSample],
    /// Samples are after this, in milliseconds since 1970.
    pub(crate) start: i64,
    /// None is after this.
    pub(crate) end: i64,
    /// The time of the step.
    pub(crate) at: i64,
    /// The name of the metric.
    pub(crate) metric: &'a str,
    /// The arguments that are numbers, at this step.
    pub(crate) numbers: &'a [f64],
}

impl Window<'_> {
    /// The numbers in it.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.floats.iter().map(|sample| sample.value)
    }

    /// Of a function that ignores histograms: says so where there are both.
    pub(crate) fn only_floats(&self, notes: &mut Notes) -> bool {
        if !self.floats.is_empty() && !self.histograms.is_empty() {
            notes.ignored_in_range(self.metric);
        }
        !self.floats.is_empty()
    }
}

/// A function over a window; none where it has no value.
pub(crate) type Function = fn(&Window<'_>, &mut Notes) -> Result<Option<Value>, Error>;

fn find(name: &str) -> Option<Function> {
    rate::find(name).or_else(|| over_time::find(name))
}

impl Evaluator<'_> {
    /// A call of a function that has a range vector as an argument; none if it has not.
    pub(crate) fn call_over_range(&mut self, call: &Call, steps: Steps) -> Result<Option<Vec<Row>>, Error> {
        let is_range = |arg: &Expr| matches!(without_parens(arg), Expr::MatrixSelector(_) | Expr::Subquery(_));
        let Some(at) = call.args.args.iter().position(|arg| is_range(arg)) else { return Ok(None) };
        let range = &call.args.args[at];
        let name = call.func.name;
        let mut numbers = Vec::new();
        for (_, arg) in call.args.args.iter().enumerate().filter(|(other, _)| *other != at) {
            numbers.push(self.scalars(arg, steps)?);
        }
        let function = find(name).ok_or_else(|| Error::evaluate(format!("the function {name} is not supported")))?;
        let tracks = self.tracks(range, steps)?;
        let rows = self.over_windows(name, function, tracks, &numbers, steps)?;
        if name == "absent_over_time" {
            return Ok(Some(labels::absent_rows(range, &rows, steps)));
        }
        Ok(Some(rows))
    }

    fn over_windows(
        &mut self,
        name: &str,
        function: Function,
        tracks: Tracks,
        numbers: &[Vec<f64>],
        steps: Steps,
    ) -> Result<Vec<Row>, Error> {
        let reach = tracks.reach;
        let once = reach.fixed.is_some() && numbers.is_empty();
        let distinct = if once { reach.distinct(steps) } else { steps };
        let keeps_name = matches!(name, "last_over_time" | "first_over_time");
        let counts = matches!(name, "rate" | "increase");
        let mut set = RowSet::new(steps.len());
        let mut at_step = vec![0.0; numbers.len()];
        for track in tracks.all {
            self.check_cancelled()?;
            let (floats, histograms) = (&track.series.samples, &track.series.histograms);
            let (mut float, mut histogram) = (Cursor::default(), Cursor::default());
            let mut cells = Vec::with_capacity(steps.len());
            for (step, at) in distinct.iter().enumerate() {
                let end = reach.at(at);
                let start = end.saturating_sub(tracks.range);
                at_step.iter_mut().zip(numbers).for_each(|(now, all)| *now = all[step]);
                let window = Window {
                    floats: float.advance(floats, start, end, |sample| sample.at),
                    histograms: histogram.advance(histograms, start, end, |sample| sample.at),
                    start,
                    end,
                    at,
                    metric: track.series.labels.get(NAME),
                    numbers: &at_step,
                };
                let empty = window.floats.is_empty() && window.histograms.is_empty();
                cells.push(if empty { None } else { function(&window, &mut self.notes)? });
            }
            if once && let Some(first) = cells.first().cloned() {
                cells.resize(steps.len(), first);
            }
            if counts && cells.iter().flatten().any(|value| value.float().is_some()) {
                self.notes.maybe_no_counter(track.series.labels.metric());
            }
            set.merge(track.series.labels, track.nameless || !keeps_name, cells)?;
        }
        Ok(set.into_rows())
    }
}

/// Moves a window along the samples of a series; both its ends only move forward.
#[derive(Default)]
struct Cursor {
    first: usize,
    end: usize,
}

impl Cursor {
    fn advance<'s, T>(&mut self, samples: &'s [T], after: i64, until: i64, at: impl Fn(&T) -> i64 + Copy) -> &'s [T] {
        self.first += count_until(&samples[self.first..], after, at);
        self.end = self.end.max(self.first);
        self.end += count_until(&samples[self.end..], until, at);
        &samples[self.first..self.end]
    }
}
