//! What is refused before it is parsed or evaluated, because it would take the process with it.

use promql_parser::parser::Expr;

/// The longest text of a query, in bytes.
const LONGEST: usize = 1 << 20;

/// The most operators and brackets outside strings.
const MOST_TOKENS: usize = 8_192;

/// How deep expressions may be nested: each level takes some of the stack.
const DEEPEST: usize = 192;

/// Whether the text of a query may be given to the parser, which has no limits of its own.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!("it has {} bytes, and {LONGEST} are the most", text.len()));
    }
    let (mut tokens, mut quote, mut escaped) = (0_usize, None, false);
    for c in text.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"' | '\'') if c == '\\' => escaped = true,
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None => tokens += usize::from(c.is_ascii_punctuation() && !matches!(c, '_' | ':' | ',' | '.')),
        }
    }
    if tokens > MOST_TOKENS { Err(format!("it has more than {MOST_TOKENS} operators and brackets")) } else { Ok(()) }
}

/// Whether an expression may be evaluated.
pub(crate) fn check_depth(expr: &Expr) -> Result<(), String> {
    if depth(expr) > DEEPEST { Err(format!("it is nested more than {DEEPEST} levels deep")) } else { Ok(()) }
}

fn depth(expr: &Expr) -> usize {
    1 + children(expr).into_iter().map(depth).max().unwrap_or(0)
}

/// The expressions within one.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(inner) => inner.param.iter().map(AsRef::as_ref).chain([inner.expr.as_ref()]).collect(),
        Expr::Unary(inner) => vec![&inner.expr],
        Expr::Binary(inner) => vec![&inner.lhs, &inner.rhs],
        Expr::Paren(inner) => vec![&inner.expr],
        Expr::Subquery(inner) => vec![&inner.expr],
        Expr::Call(inner) => inner.args.args.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}
