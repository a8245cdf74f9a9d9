//! Parses a query and answers it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use daybook_metrics::{Matcher, Source};
use promql_parser::parser::{Expr, parse};

use crate::answer::{Answer, Element, Output, Point, Row, Value};
use crate::error::{Error, SAME_LABELS};
use crate::eval::Evaluator;
use crate::limits;
use crate::rows::{self, Evaluated, RowSet, Steps};
use crate::selector::alternatives;

/// How queries are evaluated.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How old a sample may be to count as the present one, in milliseconds.
    pub lookback: i64,
    /// How many samples and values an evaluation may hold.
    pub max_samples: usize,
    /// How many steps a range, or a subquery, may have.
    pub max_steps: usize,
    /// The step of a subquery that names none, in milliseconds.
    pub subquery_step: i64,
    /// Whether to stop; asked often.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Those of Prometheus; never cancelled.
impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            lookback: 300_000,
            max_samples: 50_000_000,
            max_steps: 1_000_000,
            subquery_step: 60_000,
            cancelled: &|| false,
        }
    }
}

/// A query that was parsed.
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) expr: Expr,
}

impl Query {
    /// Parses it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        limits::check_text(text).map_err(Error::Parse)?;
        // What is known to make the parser panic was refused; what is not known takes no process with it.
        let parsed =
            catch_unwind(AssertUnwindSafe(|| parse(text))).unwrap_or_else(|_| Err("it cannot be parsed".to_owned()));
        let expr = parsed.map_err(Error::Parse)?;
        limits::check_depth(&expr).map_err(Error::Parse)?;
        Ok(Self { expr })
    }

    /// Parses a selector of series, such as `up{job="web"}`: lists of matchers, of which one has to choose a series.
    pub fn selector(text: &str) -> Result<Vec<Vec<Matcher>>, Error> {
        match Self::parse(text)?.expr {
            Expr::VectorSelector(selector) => alternatives(&selector),
            _ => Err(Error::Parse("a selector of series is expected, such as up{job=\"web\"}".to_owned())),
        }
    }

    /// Answers it for one time, in milliseconds since 1970.
    pub fn instant<S: Source>(&self, source: &S, at: i64, options: &Options<'_>) -> Result<Output, Error> {
        let steps = Steps::one(at);
        self.evaluate(source, steps, options, |evaluator| {
            if let Some(rows) = evaluator.matrix(&self.expr, at)? {
                return Ok(Answer::Matrix(rows));
            }
            Ok(match evaluator.eval(&self.expr, steps)? {
                Evaluated::Scalars(values) => Answer::Scalar(values.first().copied().unwrap_or(f64::NAN)),
                Evaluated::Text(text) => Answer::Text(text),
                Evaluated::Rows(rows) => Answer::Vector(vector(rows)?),
            })
        })
    }

    /// Answers it for each step of a range: `from`, `from + step` and so on until `to`, in milliseconds. The answer is a
    /// matrix. A query whose answer is a text or a range has none.
    pub fn range<S: Source>(
        &self,
        source: &S,
        from: i64,
        to: i64,
        step: i64,
        options: &Options<'_>,
    ) -> Result<Output, Error> {
        if step < 1 {
            return Err(Error::evaluate("the step of a range has to be longer than zero"));
        }
        let steps = Steps { from, to, every: step };
        self.evaluate(source, steps, options, |evaluator| match evaluator.eval(&self.expr, steps)? {
            Evaluated::Scalars(values) => {
                let cells = values.into_iter().map(|value| Some(Value::Float(value))).collect();
                let row = rows::Row { labels: Default::default(), nameless: false, cells };
                matrix(vec![row], steps).map(Answer::Matrix)
            }
            Evaluated::Text(_) => {
                Err(Error::evaluate("a query for a range has to be of a scalar or an instant vector"))
            }
            Evaluated::Rows(rows) => matrix(rows, steps).map(Answer::Matrix),
        })
    }

    fn evaluate<S: Source>(
        &self,
        source: &S,
        steps: Steps,
        options: &Options<'_>,
        run: impl FnOnce(&mut Evaluator<'_>) -> Result<Answer, Error>,
    ) -> Result<Output, Error> {
        let select = |matchers: &[_], from, to| source.select(matchers, from, to).map_err(|e| Error::Source(e.into()));
        let mut evaluator = Evaluator::new(&select, options, steps)?;
        let answer = run(&mut evaluator)?;
        let notes = evaluator.into_notes();
        Ok(Output { answer, warnings: notes.warnings.into_iter().collect(), infos: notes.infos.into_iter().collect() })
    }
}

/// The one cell of each row; names that are to be dropped are.
fn vector(rows: Vec<rows::Row>) -> Result<Vec<Element>, Error> {
    let mut elements = Vec::with_capacity(rows.len());
    let mut seen = std::collections::HashSet::with_capacity(rows.len());
    for mut row in rows {
        let Some(value) = row.cells.first_mut().and_then(Option::take) else { continue };
        let labels = row.name_dropped();
        if !seen.insert(labels.clone()) {
            return Err(Error::evaluate(SAME_LABELS));
        }
        elements.push(Element { labels, value });
    }
    Ok(elements)
}

/// All cells of each row, by labels; rows that have the same labels at different steps are one.
fn matrix(rows: Vec<rows::Row>, steps: Steps) -> Result<Vec<Row>, Error> {
    let mut set = RowSet::new(steps.len());
    for row in rows.into_iter().filter(|row| !row.is_empty()) {
        set.merge(row.name_dropped(), false, row.cells)?;
    }
    let points = |cells: Vec<Option<Value>>| {
        let cells = cells.into_iter().enumerate();
        cells.filter_map(|(step, cell)| cell.map(|value| Point { at: steps.at(step), value })).collect()
    };
    let mut rows: Vec<Row> =
        set.into_rows().into_iter().map(|row| Row { labels: row.labels, points: points(row.cells) }).collect();
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(rows)
}
