//! Evaluates an expression at all steps.

use daybook_metrics::{Matcher, Series};
use promql_parser::parser::{Expr, UnaryExpr};

use crate::answer::{Point, Row as AnswerRow, Value};
use crate::error::Error;
use crate::notes::Notes;
use crate::query::Options;
use crate::rows::{Evaluated, Row, Steps, unnamed};

/// Asks a source for series.
pub(crate) type Select<'a> = dyn Fn(&[Matcher], i64, i64) -> Result<Vec<Series>, Error> + 'a;

/// One evaluation of one query.
pub(crate) struct Evaluator<'a> {
    select: &'a Select<'a>,
    pub(crate) options: &'a Options<'a>,
    /// The steps of the whole query, which `@ start()` and `@ end()` are about.
    pub(crate) query: Steps,
    pub(crate) notes: Notes,
    /// Whether selected histograms are told whether they are resets, which those within `histogram_count`, `histogram_sum`
    /// and `histogram_avg` are: there a warning of resets that contradict each other can be exact.
    pub(crate) tells_resets: bool,
    held: usize,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(select: &'a Select<'a>, options: &'a Options<'a>, query: Steps) -> Result<Self, Error> {
        let evaluator = Self { select, options, query, notes: Notes::default(), tells_resets: false, held: 0 };
        evaluator.check_steps(query)?;
        Ok(evaluator)
    }

    pub(crate) fn into_notes(self) -> Notes {
        self.notes
    }

    /// Evaluates what is a number, a text or an instant vector.
    pub(crate) fn eval(&mut self, expr: &Expr, steps: Steps) -> Result<Evaluated, Error> {
        self.check_cancelled()?;
        let evaluated = match expr {
            Expr::NumberLiteral(number) => Evaluated::Scalars(vec![number.val; steps.len()]),
            Expr::StringLiteral(text) => Evaluated::Text(text.val.clone()),
            Expr::Paren(inner) => self.eval(&inner.expr, steps)?,
            Expr::Unary(inner) => self.negate(inner, steps)?,
            Expr::VectorSelector(selector) => Evaluated::Rows(self.select_instants(selector, steps, false)?),
            Expr::Aggregate(aggregate) => Evaluated::Rows(self.aggregate(aggregate, steps)?),
            Expr::Binary(binary) => self.binary(binary, steps)?,
            Expr::Call(call) => self.call(call, steps)?,
            Expr::MatrixSelector(_) | Expr::Subquery(_) => {
                return Err(Error::evaluate("a range vector is no result of a query for a range"));
            }
            Expr::Extension(_) => return Err(Error::evaluate("the query has an extension that is not known")),
        };
        match evaluated {
            Evaluated::Rows(mut rows) => {
                rows.retain(|row| !row.is_empty());
                self.hold(rows.len() * steps.len())?;
                Ok(Evaluated::Rows(rows))
            }
            other => Ok(other),
        }
    }

    /// The samples of a range selector or a subquery; none for another expression.
    pub(crate) fn matrix(&mut self, expr: &Expr, at: i64) -> Result<Option<Vec<AnswerRow>>, Error> {
        let expr = without_parens(expr);
        if !matches!(expr, Expr::MatrixSelector(_) | Expr::Subquery(_)) {
            return Ok(None);
        }
        let tracks = self.tracks(expr, Steps::one(at))?;
        let rows = tracks.all.into_iter().map(|track| {
            let mut points: Vec<Point> = Vec::new();
            points.extend(track.series.samples.iter().map(|s| Point { at: s.at, value: Value::Float(s.value) }));
            let histograms = track.series.histograms;
            points.extend(histograms.into_iter().map(|s| Point { at: s.at, value: Value::Histogram(s.value) }));
            points.sort_by_key(|point| point.at);
            let labels = track.series.labels;
            AnswerRow { labels: if track.nameless { unnamed(&labels) } else { labels }, points }
        });
        let mut rows: Vec<_> = rows.filter(|row| !row.points.is_empty()).collect();
        rows.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Some(rows))
    }

    /// Evaluates what has to be an instant vector.
    pub(crate) fn rows(&mut self, expr: &Expr, steps: Steps) -> Result<Vec<Row>, Error> {
        match self.eval(expr, steps)? {
            Evaluated::Rows(rows) => Ok(rows),
            _ => Err(Error::evaluate("an instant vector is needed here")),
        }
    }

    /// Evaluates what has to be a number.
    pub(crate) fn scalars(&mut self, expr: &Expr, steps: Steps) -> Result<Vec<f64>, Error> {
        match self.eval(expr, steps)? {
            Evaluated::Scalars(values) => Ok(values),
            _ => Err(Error::evaluate("a scalar is needed here")),
        }
    }

    fn negate(&mut self, unary: &UnaryExpr, steps: Steps) -> Result<Evaluated, Error> {
        Ok(match self.eval(&unary.expr, steps)? {
            Evaluated::Scalars(values) => Evaluated::Scalars(values.into_iter().map(|value| -value).collect()),
            Evaluated::Rows(mut rows) => {
                rows.iter_mut().for_each(|row| row.map_cells(|value| Some(negated(value))));
                Evaluated::Rows(rows)
            }
            text @ Evaluated::Text(_) => text,
        })
    }

    /// Asks the source for series.
    pub(crate) fn fetch(&mut self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Error> {
        self.check_cancelled()?;
        let series = (self.select)(matchers, from, to)?;
        self.hold(series.iter().map(|series| series.samples.len() + 8 * series.histograms.len()).sum())?;
        Ok(series)
    }

    /// Counts samples and values; too many are an error.
    pub(crate) fn hold(&mut self, more: usize) -> Result<(), Error> {
        self.held = self.held.saturating_add(more);
        if self.held > self.options.max_samples {
            return Err(Error::TooManySamples(self.options.max_samples));
        }
        Ok(())
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), Error> {
        if (self.options.cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }

    pub(crate) fn check_steps(&self, steps: Steps) -> Result<(), Error> {
        let most = self.options.max_steps;
        match steps.len() {
            len if len > most => Err(Error::TooManySteps { steps: len as u64, most }),
            _ => Ok(()),
        }
    }
}

fn negated(value: &Value) -> Value {
    match value {
        Value::Float(value) => Value::Float(-value),
        Value::Histogram(histogram) => {
            let mut histogram = histogram.as_ref().clone();
            histogram.multiply(-1.0);
            histogram.into()
        }
    }
}

/// The expression within any parentheses.
pub(crate) fn without_parens(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(inner) = expr {
        expr = &inner.expr;
    }
    expr
}
