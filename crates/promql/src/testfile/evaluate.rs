//! Evaluates a case in each way, and says whether all of them are as expected.

use promql_parser::parser::Expr;

use super::Verdict;
use super::compare;
use super::pinned::pinned;
use super::script::{Eval, Expected, Text, When};
use super::storage::Storage;
use crate::answer::{Answer, Element, Output};
use crate::error::Error;
use crate::limits::children;
use crate::query::{Options, Query};

const MINUTE: i64 = 60_000;

pub(super) fn verdict(eval: &Eval, storage: &Storage) -> Verdict {
    let query = match Query::parse(&eval.query) {
        Ok(query) => query,
        Err(error) => return Verdict::Unparsed(error.to_string()),
    };
    match check(&query, eval, storage) {
        Ok(()) => Verdict::Passed,
        Err(why) => Verdict::Failed(why),
    }
}

fn check(query: &Query, eval: &Eval, storage: &Storage) -> Result<(), String> {
    let expected = &eval.expected;
    match eval.when {
        When::Range { from, to, step } => {
            let output = query.range(storage, from, to, step, &Options::default());
            as_expected(output, expected, Some((from, to, step)))
        }
        When::At(at) => {
            instant(query, at, expected, storage)?;
            let others = if at == 0 { vec![-1_000, 0, 1_000] } else { vec![-10 * at, 0, at / 5, at, 10 * at] };
            let Some(pinned) = pinned(query, at) else { return Ok(()) };
            others.into_iter().try_for_each(|other| {
                instant(&pinned, other, expected, storage).map_err(|why| format!("with @ set, at {other} ms: {why}"))
            })
        }
    }
}

/// As an instant query, and as the middle of a range.
fn instant(query: &Query, at: i64, expected: &Expected, storage: &Storage) -> Result<(), String> {
    let output = query.instant(storage, at, &Options::default());
    let failed = output.is_err();
    as_expected(output, expected, expected.range)?;
    if failed || of_range(&query.expr) || expected.ordered || expected.range.is_some() || expected.text.is_some() {
        return Ok(());
    }
    let output = query.range(storage, at - MINUTE, at + MINUTE, MINUTE, &Options::default());
    let output = output.map_err(|error| format!("as a range: {error}"))?;
    compare::answer(&middle(output, at, expected), expected, None).map_err(|why| format!("as a range: {why}"))
}

/// Whether the answer depends on the range of the query.
fn of_range(expr: &Expr) -> bool {
    let calls = matches!(expr, Expr::Call(call) if matches!(call.func.name, "start" | "end" | "range" | "step"));
    calls || children(expr).into_iter().any(of_range)
}

/// The answer to a range, at one of its steps.
fn middle(output: Output, at: i64, expected: &Expected) -> Answer {
    let Answer::Matrix(rows) = output.answer else { return output.answer };
    let element = |row: crate::answer::Row| {
        let value = row.points.into_iter().find(|point| point.at == at)?.value;
        Some(Element { labels: row.labels, value })
    };
    let elements: Vec<Element> = rows.into_iter().filter_map(element).collect();
    match elements.as_slice() {
        [one] if expected.scalar.is_some() => Answer::Scalar(one.value.float().unwrap_or(f64::NAN)),
        _ => Answer::Vector(elements),
    }
}

fn as_expected(
    output: Result<Output, Error>,
    expected: &Expected,
    range: Option<(i64, i64, i64)>,
) -> Result<(), String> {
    match (output, &expected.fail) {
        (Err(error), Some(text)) if text.takes(&error.to_string()) => Ok(()),
        (Err(error), Some(_)) => Err(format!("it failed in another way: {error}")),
        (Err(error), None) => Err(format!("it failed: {error}")),
        (Ok(_), Some(_)) => Err("it should have failed".to_owned()),
        (Ok(output), None) => {
            notes("warning", &output.warnings, &expected.warn, expected.no_warn)?;
            notes("info", &output.infos, &expected.info, expected.no_info)?;
            compare::answer(&output.answer, expected, range)
        }
    }
}

/// Each expectation needs a note; if there are expectations, each note needs one.
fn notes(kind: &str, notes: &[String], expected: &[Text], none: bool) -> Result<(), String> {
    if none && !notes.is_empty() {
        return Err(format!("no {kind} is expected, but there is: {}", notes.join("; ")));
    }
    if expected.iter().any(|text| !notes.iter().any(|note| text.takes(note))) {
        return Err(format!("a {kind} is expected, but there is only: [{}]", notes.join("; ")));
    }
    match notes.iter().find(|note| !expected.iter().any(|text| text.takes(note))) {
        Some(note) if !expected.is_empty() => Err(format!("unexpected {kind}: {note}")),
        _ => Ok(()),
    }
}
