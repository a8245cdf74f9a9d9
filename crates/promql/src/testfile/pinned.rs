//! The same query with its time written into it.

use std::time::{Duration, SystemTime};

use promql_parser::parser::{AtModifier, Expr};

use crate::query::Query;

/// Functions whose result depends on the time of the evaluation, whatever `@` says.
const OF_TIME: &[&str] = &[
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "range",
    "step",
    "info",
];

/// The query with `@` set to a time wherever it looks at series; none if its answer depends on the time otherwise.
pub(super) fn pinned(query: &Query, at: i64) -> Option<Query> {
    let mut expr = query.expr.clone();
    pin(&mut expr, at).then_some(Query { expr })
}

/// Sets `@` where there is none; whether all depends on it alone.
fn pin(expr: &mut Expr, at: i64) -> bool {
    let time = || {
        let distance = Duration::from_millis(at.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        AtModifier::At(if at < 0 { epoch - distance } else { epoch + distance })
    };
    match expr {
        Expr::VectorSelector(selector) => {
            selector.at.get_or_insert_with(time);
            true
        }
        Expr::MatrixSelector(matrix) => {
            matrix.vs.at.get_or_insert_with(time);
            true
        }
        // What is within a subquery is evaluated at times that its own `@` decides.
        Expr::Subquery(subquery) => {
            subquery.at.get_or_insert_with(time);
            !uses_time(&subquery.expr)
        }
        Expr::Call(call) => !OF_TIME.contains(&call.func.name) && call.args.args.iter_mut().all(|arg| pin(arg, at)),
        Expr::Aggregate(aggregate) => {
            aggregate.param.as_deref_mut().is_none_or(|param| pin(param, at)) && pin(&mut aggregate.expr, at)
        }
        Expr::Binary(binary) => pin(&mut binary.lhs, at) && pin(&mut binary.rhs, at),
        Expr::Unary(unary) => pin(&mut unary.expr, at),
        Expr::Paren(paren) => pin(&mut paren.expr, at),
        _ => true,
    }
}

fn uses_time(expr: &Expr) -> bool {
    let calls = matches!(expr, Expr::Call(call) if OF_TIME.contains(&call.func.name));
    calls || crate::limits::children(expr).into_iter().any(uses_time)
}
