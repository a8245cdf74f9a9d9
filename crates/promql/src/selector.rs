//! Selects series: where a selector looks, and what is there at each step.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daybook_metrics::{Histogram, HistogramSample, Matcher, Op, Reset, Sample, Series, is_stale};
use promql_parser::label::{MatchOp, Matcher as ParsedMatcher};
use promql_parser::parser::{AtModifier, Expr, Offset, SubqueryExpr, VectorSelector};

use crate::answer::Value;
use crate::error::Error;
use crate::eval::{Evaluator, without_parens};
use crate::rows::{Row, Steps};

/// Where a selector looks at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reach {
    /// Always at this time, whatever the step.
    pub(crate) fixed: Option<i64>,
    offset: i64,
}

impl Reach {
    pub(crate) fn new(at: Option<&AtModifier>, offset: Option<&Offset>, query: Steps) -> Self {
        let fixed = at.map(|at| match at {
            AtModifier::Start => query.from,
            AtModifier::End => query.to,
            AtModifier::At(time) => since_1970(*time),
        });
        let offset = match offset {
            None => 0,
            Some(Offset::Pos(duration)) => milliseconds(*duration),
            Some(Offset::Neg(duration)) => -milliseconds(*duration),
        };
        match fixed {
            Some(at) => Self { fixed: Some(at.saturating_sub(offset)), offset: 0 },
            None => Self { fixed, offset },
        }
    }

    /// Where one looks whose step is where this one looks.
    pub(crate) fn then(self, inner: Self) -> Self {
        match inner.fixed {
            Some(_) => inner,
            None => Self {
                fixed: self.fixed.map(|at| at.saturating_sub(inner.offset)),
                offset: self.offset.saturating_add(inner.offset),
            },
        }
    }

    /// The time it looks at.
    pub(crate) fn at(self, step: i64) -> i64 {
        self.fixed.unwrap_or_else(|| step.saturating_sub(self.offset))
    }

    /// The first and the last time it looks at.
    fn ends(self, steps: Steps) -> (i64, i64) {
        (self.at(steps.from), self.at(steps.at(steps.len().saturating_sub(1))))
    }

    /// The steps at which it sees something else than at the one before: one, if it always looks at the same time.
    pub(crate) fn distinct(self, steps: Steps) -> Steps {
        if self.fixed.is_some() { Steps::one(steps.from) } else { steps }
    }
}

/// The samples of a series that a range selector or a subquery has, without markers of staleness.
pub(crate) struct Track {
    pub(crate) series: Series,
    pub(crate) nameless: bool,
}

/// All of them, and where windows over them lie.
pub(crate) struct Tracks {
    pub(crate) all: Vec<Track>,
    pub(crate) reach: Reach,
    pub(crate) range: i64,
}

impl Evaluator<'_> {
    /// The present value of each series at each step; with `timestamps` its time in seconds instead.
    pub(crate) fn select_instants(
        &mut self,
        selector: &VectorSelector,
        steps: Steps,
        timestamps: bool,
    ) -> Result<Vec<Row>, Error> {
        let reach = Reach::new(selector.at.as_ref(), selector.offset.as_ref(), self.query);
        self.instants(selector, reach, steps, timestamps)
    }

    /// The same, looking elsewhere than the selector says.
    pub(crate) fn instants(
        &mut self,
        selector: &VectorSelector,
        reach: Reach,
        steps: Steps,
        timestamps: bool,
    ) -> Result<Vec<Row>, Error> {
        let lookback = self.options.lookback;
        let all = self.select_series(selector, reach, lookback, steps)?;
        let distinct = reach.distinct(steps);
        let mut rows = Vec::with_capacity(all.len());
        for series in all {
            self.check_cancelled()?;
            let mut cells = Vec::with_capacity(steps.len());
            let (mut floats, mut histograms) = (0, 0);
            for step in distinct.iter() {
                let now = reach.at(step);
                floats += count_until(&series.samples[floats..], now, |sample| sample.at);
                histograms += count_until(&series.histograms[histograms..], now, |sample| sample.at);
                let latest = latest(
                    floats.checked_sub(1).map(|at| &series.samples[at]),
                    histograms.checked_sub(1).map(|at| &series.histograms[at]),
                    now.saturating_sub(lookback),
                );
                cells.push(latest.map(|(at, value)| if timestamps { Value::Float(at as f64 / 1e3) } else { value }));
            }
            if let (true, Some(first)) = (reach.fixed.is_some(), cells.first().cloned()) {
                cells.resize(steps.len(), first);
            }
            rows.push(Row { labels: series.labels, nameless: timestamps, cells });
        }
        Ok(rows)
    }

    /// The samples that a range selector or a subquery is about.
    pub(crate) fn tracks(&mut self, expr: &Expr, steps: Steps) -> Result<Tracks, Error> {
        match without_parens(expr) {
            Expr::MatrixSelector(matrix) => {
                let reach = Reach::new(matrix.vs.at.as_ref(), matrix.vs.offset.as_ref(), self.query);
                let range = milliseconds(matrix.range);
                let all = self.select_series(&matrix.vs, reach, range, steps)?;
                let track = |mut series: Series| {
                    series.samples.retain(|sample| !is_stale(sample.value));
                    series.histograms.retain(|sample| !sample.value.is_stale());
                    Track { series, nameless: false }
                };
                Ok(Tracks { all: all.into_iter().map(track).collect(), reach, range })
            }
            Expr::Subquery(subquery) => self.subquery(subquery, steps),
            _ => Err(Error::evaluate("a range vector is needed here")),
        }
    }

    /// Evaluates what is within at each time that is a multiple of the subquery's step.
    fn subquery(&mut self, subquery: &SubqueryExpr, steps: Steps) -> Result<Tracks, Error> {
        let reach = Reach::new(subquery.at.as_ref(), subquery.offset.as_ref(), self.query);
        let range = milliseconds(subquery.range);
        let every = subquery.step.map_or(self.options.subquery_step, milliseconds).max(1);
        let (first, last) = reach.ends(steps);
        let after = first.saturating_sub(range);
        let inner = Steps { from: (after.div_euclid(every) + 1).saturating_mul(every), to: last, every };
        self.check_steps(inner)?;
        let rows = if inner.len() == 0 { Vec::new() } else { self.rows(&subquery.expr, inner)? };
        let track = |row: Row| {
            let mut series = Series { labels: row.labels, ..Series::default() };
            for (step, cell) in row.cells.into_iter().enumerate() {
                let at = inner.at(step);
                match cell {
                    Some(Value::Float(value)) => series.samples.push(Sample { at, value }),
                    Some(Value::Histogram(value)) => {
                        series.histograms.push(HistogramSample { at, value: apart(value) });
                    }
                    None => {}
                }
            }
            Track { series, nameless: row.nameless }
        };
        Ok(Tracks { all: rows.into_iter().map(track).collect(), reach, range })
    }

    /// Series with all samples within `before` of any time that is looked at.
    fn select_series(
        &mut self,
        selector: &VectorSelector,
        reach: Reach,
        before: i64,
        steps: Steps,
    ) -> Result<Vec<Series>, Error> {
        let (first, last) = reach.ends(steps);
        let from = first.saturating_sub(before).saturating_add(1);
        let mut all = Vec::new();
        for matchers in alternatives(selector)? {
            all.append(&mut self.fetch(&matchers, from, last)?);
        }
        if !selector.matchers.or_matchers.is_empty() {
            all.sort_by(|a, b| a.labels.cmp(&b.labels));
            all.dedup_by(|a, b| a.labels == b.labels);
        }
        if self.tells_resets {
            all.iter_mut().for_each(|series| tell_resets(&mut series.histograms));
        }
        Ok(all)
    }
}

/// The matchers of a selector; more than one list where it has `or`.
pub(crate) fn alternatives(selector: &VectorSelector) -> Result<Vec<Vec<Matcher>>, Error> {
    let lists: Vec<&[ParsedMatcher]> = match selector.matchers.or_matchers.as_slice() {
        [] => vec![&selector.matchers.matchers],
        lists => lists.iter().map(Vec::as_slice).collect(),
    };
    let all = lists.into_iter().map(|list| {
        let name = selector.name.iter().map(|name| matcher(daybook_metrics::NAME, Op::Equal, name));
        name.chain(list.iter().map(parsed)).collect()
    });
    all.collect()
}

pub(crate) fn parsed(parsed: &ParsedMatcher) -> Result<Matcher, Error> {
    let op = match &parsed.op {
        MatchOp::Equal => Op::Equal,
        MatchOp::NotEqual => Op::NotEqual,
        MatchOp::Re(_) => Op::Like,
        MatchOp::NotRe(_) => Op::Unlike,
    };
    matcher(&parsed.name, op, &parsed.value)
}

pub(crate) fn matcher(name: &str, op: Op, value: &str) -> Result<Matcher, Error> {
    Matcher::new(name, op, value).map_err(|error| Error::evaluate(error.to_string()))
}

/// The later of both that is after `after`, unless it marks an end.
fn latest(float: Option<&Sample>, histogram: Option<&HistogramSample>, after: i64) -> Option<(i64, Value)> {
    let float = float.filter(|sample| sample.at > after);
    let histogram = histogram.filter(|sample| sample.at > after);
    match (float, histogram) {
        (Some(float), histogram) if histogram.is_none_or(|histogram| histogram.at < float.at) => {
            (!is_stale(float.value)).then_some((float.at, Value::Float(float.value)))
        }
        (_, Some(histogram)) if !histogram.value.is_stale() => {
            Some((histogram.at, Value::Histogram(histogram.value.clone())))
        }
        _ => None,
    }
}

/// Says of each histogram that does not, whether it is a reset of the one before it.
fn tell_resets(histograms: &mut [HistogramSample]) {
    for at in 1..histograms.len() {
        let (before, histogram) = (&histograms[at - 1].value, &histograms[at].value);
        if histogram.reset == Reset::Unknown && !before.is_stale() && !histogram.is_stale() {
            let reset = if histogram.resets(before) { Reset::Reset } else { Reset::NotReset };
            histograms[at].value = Arc::new(Histogram { reset, ..histogram.as_ref().clone() });
        }
    }
}

/// A histogram that is no longer beside the one that its hint of a reset is about.
fn apart(histogram: Arc<Histogram>) -> Arc<Histogram> {
    match histogram.reset {
        Reset::Unknown | Reset::Gauge => histogram,
        Reset::Reset | Reset::NotReset => Arc::new(Histogram { reset: Reset::Unknown, ..histogram.as_ref().clone() }),
    }
}

/// How many are not after `until`.
pub(crate) fn count_until<T>(samples: &[T], until: i64, at: impl Fn(&T) -> i64) -> usize {
    samples.iter().take_while(|sample| at(sample) <= until).count()
}

pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn since_1970(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => milliseconds(after),
        Err(before) => -milliseconds(before.duration()),
    }
}
