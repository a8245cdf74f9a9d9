//! `info`: adds to series what another metric says of where they come from.

use std::collections::{HashMap, HashSet};

use daybook_metrics::{Labels, Matcher, NAME, Op};
use promql_parser::label::Matcher as ParsedMatcher;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, VectorSelector};

use crate::answer::Value;
use crate::error::Error;
use crate::eval::{Evaluator, without_parens};
use crate::limits::children;
use crate::rows::{Row, RowSet, Steps};
use crate::selector::Reach;

/// The labels by which a series and its information belong together.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The metric that has the information, where the query names none.
const TARGET_INFO: &str = "target_info";

impl Evaluator<'_> {
    /// Adds the labels that the second argument selects; without one, all of `target_info`.
    pub(crate) fn info(&mut self, base_expr: &Expr, wanted: Option<&Expr>, steps: Steps) -> Result<Vec<Row>, Error> {
        let wanted = Wanted::of(wanted)?;
        let base = self.rows(base_expr, steps)?;
        let own: HashSet<usize> = (0..base.len()).filter(|row| wanted.is_name(base[*row].labels.metric())).collect();
        let reach = self.common_reach(base_expr).unwrap_or_default();
        let values = self.information(&base, &own, &wanted, steps, (reach, false))?;
        let times = self.information(&base, &own, &wanted, steps, (reach, true))?;
        let mut set = RowSet::new(steps.len());
        for step in 0..steps.len() {
            self.check_cancelled()?;
            let newest = newest(&values, &times, step)?;
            for (at, row) in base.iter().enumerate() {
                let Some(value) = row.cells[step].clone() else { continue };
                let labels = match own.contains(&at) {
                    true => Some(row.labels.clone()),
                    false => wanted.enriched(&row.labels, newest.get(&identity(&row.labels)))?,
                };
                if let Some(labels) = labels {
                    let row = set.row(labels, row.nameless);
                    set.set(row, step, value)?;
                }
            }
        }
        Ok(set.into_rows())
    }

    /// The series that have information on any of the base, with their values or the times of them.
    fn information(
        &mut self,
        base: &[Row],
        own: &HashSet<usize>,
        wanted: &Wanted<'_>,
        steps: Steps,
        (reach, times): (Reach, bool),
    ) -> Result<Vec<Row>, Error> {
        let matchers = wanted.matchers.iter().map(|matcher| (*matcher).clone()).collect();
        let selector = VectorSelector::new(None, promql_parser::label::Matchers::new(matchers));
        let of_base: HashSet<Labels> = base
            .iter()
            .enumerate()
            .filter(|(row, _)| !own.contains(row))
            .map(|(_, row)| identity(&row.labels))
            .collect();
        let mut rows = self.instants(&selector, reach, steps, times)?;
        rows.retain(|row| wanted.is_name(row.labels.metric()) && of_base.contains(&identity(&row.labels)));
        Ok(rows)
    }

    /// Where all vectors that an expression is made of look; none if not all at the same time.
    fn common_reach(&self, expr: &Expr) -> Option<Reach> {
        match expr {
            Expr::VectorSelector(selector) => Some(self.reach_of(selector)),
            Expr::MatrixSelector(matrix) => Some(self.reach_of(&matrix.vs)),
            Expr::Subquery(subquery) => {
                let outer = Reach::new(subquery.at.as_ref(), subquery.offset.as_ref(), self.query);
                self.common_reach(&subquery.expr).map(|inner| outer.then(inner))
            }
            Expr::Call(call) if matches!(call.func.name, "vector" | "absent") => Some(Reach::default()),
            // The second argument of `info` is no vector that is evaluated.
            Expr::Call(call) if call.func.name == "info" => self.common_reach(&call.args.args[0]),
            _ => {
                let is_vector = |inner: &&Expr| !matches!(inner.value_type(), ValueType::Scalar | ValueType::String);
                let mut all = children(expr).into_iter().filter(is_vector).map(|inner| self.common_reach(inner));
                let first = all.next()??;
                all.all(|reach| reach == Some(first)).then_some(first)
            }
        }
    }

    fn reach_of(&self, selector: &VectorSelector) -> Reach {
        Reach::new(selector.at.as_ref(), selector.offset.as_ref(), self.query)
    }
}

fn identity(labels: &Labels) -> Labels {
    labels.filtered(|label| IDENTIFYING.contains(&label.name.as_str()))
}

/// Of each place the newest information of each metric.
fn newest<'a>(values: &'a [Row], times: &[Row], step: usize) -> Result<HashMap<Labels, Vec<&'a Labels>>, Error> {
    let mut newest: HashMap<(Labels, &str), (f64, &Labels)> = HashMap::new();
    for (row, time) in values.iter().zip(times) {
        let Some(Value::Float(time)) = time.cells[step] else { continue };
        if row.cells[step].as_ref().is_some_and(|value| value.float().is_none()) {
            return Err(Error::evaluate("info sample should be float"));
        }
        let key = (identity(&row.labels), row.labels.metric());
        match newest.get(&key) {
            Some((other, _)) if *other > time => {}
            Some((other, labels)) if *other == time => {
                let at = (time * 1e3) as i64;
                let both = format!("existing {labels} @ {at}, new {} @ {at}", row.labels);
                return Err(Error::evaluate(format!("found duplicate series for info metric: {both}")));
            }
            _ => {
                newest.insert(key, (time, &row.labels));
            }
        }
    }
    let mut by_place: HashMap<Labels, Vec<&Labels>> = HashMap::new();
    for ((place, _), (_, labels)) in newest {
        by_place.entry(place).or_default().push(labels);
    }
    Ok(by_place)
}

/// What the second argument asks for.
struct Wanted<'a> {
    matchers: Vec<&'a ParsedMatcher>,
    names: Vec<Matcher>,
}

impl<'a> Wanted<'a> {
    fn of(argument: Option<&'a Expr>) -> Result<Self, Error> {
        let matchers: Vec<&ParsedMatcher> = match argument.map(without_parens) {
            None => Vec::new(),
            Some(Expr::VectorSelector(selector)) => selector.matchers.matchers.iter().collect(),
            Some(_) => return Err(Error::evaluate("the second argument of info has to be a selector of labels")),
        };
        let mut names = Vec::new();
        for matcher in matchers.iter().filter(|matcher| matcher.name == NAME) {
            names.push(crate::selector::parsed(matcher)?);
        }
        if names.is_empty() {
            names.push(crate::selector::matcher(NAME, Op::Equal, TARGET_INFO)?);
        } else if names.iter().all(|matcher| matches!(matcher.op, Op::NotEqual | Op::Unlike)) {
            names.push(crate::selector::matcher(NAME, Op::Like, ".+_info")?);
        }
        Ok(Self { matchers, names })
    }

    /// Whether a series of this name has information itself.
    fn is_name(&self, name: &str) -> bool {
        self.names.iter().all(|matcher| matcher.takes(name))
    }

    /// The matchers that are about labels, not about the name of the metric.
    fn data(&self) -> impl Iterator<Item = &&'a ParsedMatcher> {
        self.matchers.iter().filter(|matcher| matcher.name != NAME)
    }

    /// The labels of a series with those that are wanted of its information; none if it must have some and has not.
    fn enriched(&self, base: &Labels, information: Option<&Vec<&Labels>>) -> Result<Option<Labels>, Error> {
        let mut added: HashMap<&str, &str> = HashMap::new();
        let all = self.data().next().is_none();
        for label in information.into_iter().flatten().flat_map(|labels| labels.iter()) {
            let is_wanted = all || self.data().any(|matcher| matcher.name == label.name.as_str());
            if label.name == NAME || !is_wanted {
                continue;
            }
            if added.get(label.name.as_str()).is_some_and(|value| *value != label.value.as_str()) {
                return Err(Error::evaluate(format!("conflicting label: {}", label.name)));
            }
            if base.get(&label.name).is_empty() {
                added.insert(&label.name, &label.value);
            }
        }
        if information.is_none() && !self.data().all(|matcher| matcher.is_match("")) {
            return Ok(None);
        }
        Ok(Some(added.into_iter().fold(base.clone(), |labels, (name, value)| labels.with(name, value))))
    }
}
