//! What is refused before it is parsed or evaluated, because it would take the process with it.

use promql_parser::parser::Expr;

/// The longest text of a query, in bytes.
const LONGEST: usize = 1 << 20;

/// The most operators and brackets outside strings.
const MOST_TOKENS: usize = 8_192;

/// How deep expressions may be nested: each level takes some of the stack.
const DEEPEST: usize = 192;

/// The longest duration, in seconds: what Prometheus can count in nanoseconds.
const LONGEST_DURATION: f64 = 9.2e9;

/// Whether the text of a query may be given to the parser, which has no limits of its own, and panics at numbers of seconds
/// that are no durations.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!("it has {} bytes, and {LONGEST} are the most", text.len()));
    }
    let mut tokens = 0_usize;
    let (mut expected, mut brackets) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' | '`' => quoted(rest, c),
            '#' => rest.find(['\n', '\r']).unwrap_or(rest.len()),
            '.' | '_' | '0'..='9' | 'a'..='z' | 'A'..='Z' => word(rest, brackets),
            _ => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if c.is_whitespace() || c == '#' || (expected && matches!(c, '+' | '-')) {
            tokens += usize::from(matches!(c, '+' | '-'));
            continue;
        }
        if expected && c.is_ascii_alphanumeric() | (c == '.') {
            check_duration(token)?;
        }
        tokens += usize::from(length == 1 && c.is_ascii_punctuation() && !matches!(c, '_' | ':' | ',' | '.'));
        brackets = if brackets { c != ']' } else { c == '[' };
        expected = c == '[' || (brackets && c == ':') || token.eq_ignore_ascii_case("offset");
    }
    if tokens > MOST_TOKENS { Err(format!("it has more than {MOST_TOKENS} operators and brackets")) } else { Ok(()) }
}

/// The bytes of a string that begins with a quotation mark; of one that does not end, all.
fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if mark != '`' => escaped = true,
            c if c == mark => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of a name, a number or a duration. An exponent has a sign, and a name colons, but not in brackets.
fn word(text: &str, brackets: bool) -> usize {
    let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !text[1..].starts_with(['x', 'X']);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign = number && matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
        let colon = c == ':' && !brackets;
        if !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_') && !sign && !colon {
            return at;
        }
        before = c;
    }
    text.len()
}

/// Whether a word where a duration is expected is none that is too long. What is no duration at all is left to the parser.
fn check_duration(word: &str) -> Result<(), String> {
    let lower = word.to_ascii_lowercase();
    let seconds = match lower.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).map_or(f64::NAN, |whole| whole as f64),
        // A number with units has them after its first digits.
        None => lower.parse().unwrap_or(0.0),
    };
    let mut runs = lower.split(|c: char| !c.is_ascii_digit());
    let units = lower.contains(['s', 'm', 'h', 'd', 'w', 'y']);
    let whole = !units || runs.all(|digits| digits.is_empty() || digits.parse::<u32>().is_ok());
    if whole && (0.0..=LONGEST_DURATION).contains(&seconds) {
        Ok(())
    } else {
        Err(format!("{word} is too long a duration"))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_that_are_too_long_are_told_before_they_are_parsed() {
        for text in [
            "m[1e40]",
            "m[ 1e+40 ]",
            "m[5m:1e40]",
            "m[1e400:]",
            "m offset 1e40",
            "m OFFSET - 1e40",
            "m offset inf",
            "m offset -NaN",
            "m offset # far\n 1e40",
            "rate(m[0x7fffffffffffffff])",
            "m[99999999999s]",
            "m[1h99999999999ms]",
        ] {
            assert!(check_text(text).is_err(), "{text}");
        }
        for text in [
            "m[5m]",
            "m[1e3]",
            "m[1.5e+3:.5]",
            "m[0x10]",
            "m[1y2w3d4h5m6s7ms] offset -300",
            "job:rate[5m] > 1e40",
            "job:offset - 1e40",
            "sum by (offset) (m) > 1e40",
            "m{a=\"[1e40]\"} # [1e40]",
            "1e40",
            "m offset 1h > inf",
        ] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
    }
}
