//! Calls of functions.

use promql_parser::parser::{Call, Expr};

use crate::answer::{Value, number};
use crate::buckets::{self, Question};
use crate::error::Error;
use crate::eval::{Evaluator, without_parens};
use crate::rows::{Evaluated, Row, Steps};
use crate::{dates, elementwise, labels, vectors};

impl Evaluator<'_> {
    pub(crate) fn call(&mut self, call: &Call, steps: Steps) -> Result<Evaluated, Error> {
        if let Some(scalars) = self.call_of_scalars(call, steps)? {
            return Ok(Evaluated::Scalars(scalars));
        }
        if let Some(rows) = self.call_over_range(call, steps)? {
            return Ok(Evaluated::Rows(rows));
        }
        let name = call.func.name;
        let args = Args { name, args: &call.args.args };
        if let Some(function) = elementwise::find(name) {
            let mut rows = self.rows(args.get(0)?, steps)?;
            rows.iter_mut().for_each(|row| row.map_floats(function));
            return Ok(Evaluated::Rows(rows));
        }
        if let Some(function) = dates::find(name) {
            let mut rows = match args.args.first() {
                Some(arg) => self.rows(arg, steps)?,
                None => vectors::of_scalars(seconds(steps)),
            };
            rows.iter_mut().for_each(|row| row.map_floats(|time| if time.is_nan() { time } else { function(time) }));
            return Ok(Evaluated::Rows(rows));
        }
        self.call_of_vectors(&args, steps).map(Evaluated::Rows)
    }

    /// A function whose result is a number.
    fn call_of_scalars(&mut self, call: &Call, steps: Steps) -> Result<Option<Vec<f64>>, Error> {
        let args = Args { name: call.func.name, args: &call.args.args };
        let always = |value: f64| Ok(Some(vec![value; steps.len()]));
        match call.func.name {
            "time" => Ok(Some(seconds(steps))),
            "pi" => always(std::f64::consts::PI),
            "start" => always(self.query.from as f64 / 1e3),
            "end" => always(self.query.to as f64 / 1e3),
            "range" => always((self.query.to - self.query.from) as f64 / 1e3),
            "step" => always(if self.query.len() == 1 { 0.0 } else { self.query.every as f64 / 1e3 }),
            "scalar" => Ok(Some(vectors::scalars(&self.rows(args.get(0)?, steps)?, steps))),
            "max_of" | "min_of" => {
                let (a, b) = (self.scalars(args.get(0)?, steps)?, self.scalars(args.get(1)?, steps)?);
                let least = call.func.name == "min_of";
                let of = |(a, b): (f64, f64)| match least {
                    _ if a.is_nan() || b.is_nan() => f64::NAN,
                    true => a.min(b),
                    false => a.max(b),
                };
                Ok(Some(a.into_iter().zip(b).map(of).collect()))
            }
            _ => Ok(None),
        }
    }

    fn call_of_vectors(&mut self, args: &Args<'_>, steps: Steps) -> Result<Vec<Row>, Error> {
        match args.name {
            "absent" => {
                let rows = self.rows(args.get(0)?, steps)?;
                Ok(labels::absent_rows(args.get(0)?, &rows, steps))
            }
            "vector" => Ok(vectors::of_scalars(self.scalars(args.get(0)?, steps)?)),
            "timestamp" => self.timestamps(args.get(0)?, steps),
            "round" | "clamp" | "clamp_min" | "clamp_max" => self.rounded(args, steps),
            name if name.starts_with("sort") && self.query.len() > 1 => {
                self.notes.sorted_range();
                let rows = self.rows(args.get(0)?, steps)?;
                let by_label = name.starts_with("sort_by_label");
                Ok(if by_label { rows } else { vectors::sort(rows, false, steps) })
            }
            "sort" | "sort_desc" => Ok(vectors::sort(self.rows(args.get(0)?, steps)?, args.name == "sort_desc", steps)),
            "sort_by_label" | "sort_by_label_desc" => {
                let names = self.texts(&args.args[1..])?;
                let rows = self.rows(args.get(0)?, steps)?;
                Ok(vectors::sort_by_labels(rows, &names, args.name == "sort_by_label_desc", steps))
            }
            "label_replace" | "label_join" => self.relabelled(args, steps),
            "info" => self.info(args.get(0)?, args.args.get(1).map(AsRef::as_ref), steps),
            _ => self.histograms(args, steps),
        }
    }

    fn timestamps(&mut self, arg: &Expr, steps: Steps) -> Result<Vec<Row>, Error> {
        if let Expr::VectorSelector(selector) = without_parens(arg) {
            return self.select_instants(selector, steps, true);
        }
        let mut rows = self.rows(arg, steps)?;
        for row in &mut rows {
            let mut times = steps.iter();
            for cell in &mut row.cells {
                let time = times.next().unwrap_or_default() as f64 / 1e3;
                *cell = cell.take().map(|_| Value::Float(time));
            }
            row.nameless = true;
        }
        Ok(rows)
    }

    fn rounded(&mut self, args: &Args<'_>, steps: Steps) -> Result<Vec<Row>, Error> {
        let mut rows = self.rows(args.get(0)?, steps)?;
        let mut bound = |arg: usize, default: f64| match args.args.get(arg) {
            Some(arg) => self.scalars(arg, steps),
            None => Ok(vec![default; steps.len()]),
        };
        let (low, high) = match args.name {
            "round" => {
                let nearest = bound(1, 1.0)?;
                (nearest.clone(), nearest)
            }
            "clamp_min" => (bound(1, 0.0)?, vec![f64::INFINITY; steps.len()]),
            "clamp_max" => (vec![f64::NEG_INFINITY; steps.len()], bound(1, 0.0)?),
            _ => (bound(1, 0.0)?, bound(2, 0.0)?),
        };
        let rounds = args.name == "round";
        let change = |value: f64, low: f64, high: f64| match rounds {
            true => Some((value * (1.0 / low) + 0.5).floor() / (1.0 / low)),
            false if high < low => None,
            // What is no number stays none, also where a bound is none.
            false if value.is_nan() || low.is_nan() || high.is_nan() => Some(f64::NAN),
            false => Some(value.min(high).max(low)),
        };
        for row in &mut rows {
            let mut bounds = low.iter().zip(&high);
            for cell in &mut row.cells {
                let Some((low, high)) = bounds.next() else { break };
                let value = cell.take().and_then(|value| value.float());
                *cell = value.and_then(|value| change(value, *low, *high)).map(Value::Float);
            }
            row.nameless = true;
        }
        Ok(rows)
    }

    fn relabelled(&mut self, args: &Args<'_>, steps: Steps) -> Result<Vec<Row>, Error> {
        let texts = self.texts(&args.args[1..])?;
        let rows = self.rows(args.get(0)?, steps)?;
        match texts.as_slice() {
            [to, template, from, pattern] if args.name == "label_replace" => {
                labels::replace(rows, to, template, from, pattern)
            }
            [to, separator, from @ ..] if args.name == "label_join" => labels::join(rows, to, separator, from),
            _ => Err(args.missing()),
        }
    }

    fn histograms(&mut self, args: &Args<'_>, steps: Steps) -> Result<Vec<Row>, Error> {
        let of = match args.name {
            "histogram_quantile" => {
                let q = self.scalars(args.get(0)?, steps)?;
                let rows = self.rows(args.get(1)?, steps)?;
                return Ok(buckets::ask(rows, Question::Quantile(&q), steps, &mut self.notes));
            }
            "histogram_fraction" => {
                let lower = self.scalars(args.get(0)?, steps)?;
                let upper = self.scalars(args.get(1)?, steps)?;
                let rows = self.rows(args.get(2)?, steps)?;
                return Ok(buckets::ask(rows, Question::Fraction(&lower, &upper), steps, &mut self.notes));
            }
            "histogram_quantiles" => return self.quantiles(args, steps),
            "histogram_count" => |histogram: &daybook_metrics::Histogram| histogram.count,
            "histogram_sum" => |histogram: &daybook_metrics::Histogram| histogram.sum,
            "histogram_avg" => |histogram: &daybook_metrics::Histogram| histogram.mean(),
            "histogram_stdvar" => |histogram: &daybook_metrics::Histogram| histogram.variance(),
            "histogram_stddev" => |histogram: &daybook_metrics::Histogram| histogram.variance().sqrt(),
            name => return Err(Error::evaluate(format!("the function {name} is not supported"))),
        };
        let outer = self.tells_resets;
        self.tells_resets = matches!(args.name, "histogram_count" | "histogram_sum" | "histogram_avg");
        let rows = self.rows(args.get(0)?, steps);
        self.tells_resets = outer;
        let mut rows = rows?;
        rows.iter_mut().for_each(|row| row.map_cells(|value| Some(Value::Float(of(value.histogram()?)))));
        Ok(rows)
    }

    /// Several quantiles at once, which a label tells apart.
    fn quantiles(&mut self, args: &Args<'_>, steps: Steps) -> Result<Vec<Row>, Error> {
        let rows = self.rows(args.get(0)?, steps)?;
        let label = self.text(args.get(1)?)?;
        let mut all = Vec::new();
        for arg in &args.args[2..] {
            let q = self.scalars(arg, steps)?;
            let mut text = number(q.first().copied().unwrap_or(f64::NAN));
            if text.chars().all(|c| c.is_ascii_digit()) {
                text.push_str(".0");
            }
            let mut answers = buckets::ask(rows.clone(), Question::Quantile(&q), steps, &mut self.notes);
            answers.iter_mut().for_each(|row| row.labels = row.labels.with(&label, &text));
            all.append(&mut answers);
        }
        Ok(all)
    }

    fn texts(&mut self, args: &[Box<Expr>]) -> Result<Vec<String>, Error> {
        args.iter().map(|arg| self.text(arg)).collect()
    }

    /// An argument that has to be a text.
    pub(crate) fn text(&self, arg: &Expr) -> Result<String, Error> {
        match without_parens(arg) {
            Expr::StringLiteral(text) => Ok(text.val.clone()),
            _ => Err(Error::evaluate("a string is needed here")),
        }
    }
}

/// The arguments of a call. The parser checked how many there are and of which type.
struct Args<'a> {
    name: &'static str,
    args: &'a [Box<Expr>],
}

impl<'a> Args<'a> {
    fn get(&self, at: usize) -> Result<&'a Expr, Error> {
        self.args.get(at).map(AsRef::as_ref).ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Error {
        Error::evaluate(format!("the function {} has too few arguments", self.name))
    }
}

/// The time of each step, in seconds.
fn seconds(steps: Steps) -> Vec<f64> {
    steps.iter().map(|at| at as f64 / 1e3).collect()
}
