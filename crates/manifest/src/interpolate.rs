//! Variables in values: `$VAR`, `${VAR:-default}` and the rest, as Compose has them.
//!
//! What stands between braces with a dot in it is a reference to a service or a secret; it stays in
//! the value for the server to fill in.

use crate::context::{Context, Problem, clip, weight};
use crate::tree::{Node, Piece, Scalar, Span, Value};

/// How deep defaults may stand in one another.
const MAX_DEPTH: usize = 16;
/// The longest value that interpolation may make, in bytes.
const MAX_VALUE: usize = 1 << 20;

/// Replaces the variables in every value of `node`. Extension keys (`x-…`) at the top keep theirs:
/// nobody reads them, so nobody misses a variable in them.
pub(crate) fn interpolate(ctx: &Context<'_>, node: &mut Node, top: bool) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => {
            if scalar.text.contains('$') {
                let pieces = expand(ctx, node.span, &scalar.text, &|name| ctx.variable(node.span, name));
                *scalar = assemble(pieces, scalar.quoted);
                if !scalar.quoted && scalar.text.is_empty() && scalar.pieces.is_none() {
                    scalar.quoted = true;
                }
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| interpolate(ctx, item, false)),
        Value::Map(map) => {
            for entry in map.values_mut() {
                if !(top && entry.key.starts_with("x-")) {
                    interpolate(ctx, &mut entry.value, false);
                }
            }
        }
    }
}

/// How variables are looked up.
type Lookup<'l> = &'l dyn Fn(&str) -> Option<String>;

/// Replaces the variables in `text`, which stands at `span`. References are left as written.
pub(crate) fn expand_text(ctx: &Context<'_>, span: Span, text: &str, lookup: Lookup<'_>) -> String {
    let written = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Reference(name) => format!("${{{name}}}"),
    };
    expand(ctx, span, text, lookup).iter().map(written).collect()
}

fn assemble(pieces: Vec<Piece>, quoted: bool) -> Scalar {
    if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
        let text = pieces.into_iter().map(|piece| if let Piece::Text(text) = piece { text } else { String::new() });
        return Scalar { text: text.collect(), quoted, pieces: None };
    }
    let text = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Reference(name) => format!("${{{name}}}"),
    });
    Scalar { text: text.collect(), quoted, pieces: Some(pieces) }
}

fn expand(ctx: &Context<'_>, span: Span, text: &str, lookup: Lookup<'_>) -> Vec<Piece> {
    // What a variable holds may be long: nothing is looked up once nothing can be afforded.
    let full = !ctx.afford(span, 0);
    let mut expander = Expander { ctx, span, text, lookup, out: Vec::new(), length: 0, reported: false, full };
    expander.run(text, 0);
    expander.out
}

struct Expander<'c, 'a, 't> {
    ctx: &'c Context<'a>,
    span: Span,
    text: &'t str,
    lookup: Lookup<'t>,
    out: Vec<Piece>,
    length: usize,
    reported: bool,
    /// Nothing more goes into the value, which has been reported.
    full: bool,
}

impl Expander<'_, '_, '_> {
    fn run(&mut self, mut rest: &str, depth: usize) {
        while let Some(at) = rest.find('$') {
            if self.full {
                return;
            }
            self.push(&rest[..at]);
            let after = &rest[at + 1..];
            let name = name_length(after);
            if let Some(after) = after.strip_prefix('$') {
                self.push("$");
                rest = after;
            } else if let Some(inner) = after.strip_prefix('{') {
                let Some(end) = closing_brace(inner) else {
                    self.invalid("`${` has no `}`");
                    return;
                };
                self.braced(&inner[..end], depth);
                rest = &inner[end + 1..];
            } else if name > 0 {
                self.plain(&after[..name]);
                rest = &after[name..];
            } else {
                // A dollar sign that begins no variable is one, as in Compose: `$(date)`, `$1`.
                self.push("$");
                rest = after;
            }
        }
        self.push(rest);
    }

    fn push(&mut self, text: &str) {
        self.length += text.len();
        if text.is_empty() {
            return;
        }
        if self.length > MAX_VALUE {
            self.full = true;
            let problem = Problem::new("M0106", self.span, "with its variables the value is longer than 1 MiB");
            return self.ctx.report(problem.label("give long texts as files"));
        }
        match self.out.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.out.push(Piece::Text(text.to_owned())),
        }
    }

    /// Says once what is wrong with the text, however often it is.
    fn invalid(&mut self, why: &str) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        let problem =
            Problem::new("M0301", self.span, format!("a variable in `{}` is not well formed", short(self.text)));
        self.ctx.report(problem.label(why).help("write `$$` for a dollar sign"));
    }

    fn plain(&mut self, name: &str) {
        match (self.lookup)(name) {
            Some(value) => self.filled(&value),
            None => self.unset(name),
        }
    }

    /// Puts a variable's value in its place.
    fn filled(&mut self, value: &str) {
        self.full |= !self.ctx.afford(self.span, weight(value));
        if !self.full {
            self.push(value);
        }
    }

    fn unset(&self, name: &str) {
        self.ctx.mark_hollow(self.span);
        if self.ctx.first_unset(name) {
            let problem = Problem::new("M0302", self.span, format!("the variable `{name}` is not set"));
            let help = format!("set it in the environment or in `.env`, or give a default: `${{{name}:-value}}`");
            self.ctx.report(problem.label("an empty text takes its place").help(help));
        }
    }

    fn braced(&mut self, inner: &str, depth: usize) {
        let end = name_length(inner);
        let (name, rest) = inner.split_at(end);
        if depth > MAX_DEPTH {
            return self.invalid("defaults stand too deep in one another");
        }
        if is_reference(inner) {
            return self.out.push(Piece::Reference(inner.to_owned()));
        }
        if name.is_empty() {
            return self.invalid("a name must follow `${`");
        }
        if rest.is_empty() {
            return self.plain(name);
        }
        let value = (self.lookup)(name);
        let filled = value.clone().filter(|value| !value.is_empty());
        let operator = [":-", ":?", ":+", "-", "?", "+"].into_iter().find(|operator| rest.starts_with(operator));
        let Some(operator) = operator else {
            return self.invalid("after the name come `:-`, `-`, `:?`, `?`, `:+`, `+` or `}`");
        };
        let word = &rest[operator.len()..];
        let present = if operator.starts_with(':') { filled } else { value };
        match (operator.trim_start_matches(':'), present) {
            ("+", Some(_)) => self.run(word, depth + 1),
            ("+", None) => {}
            (_, Some(value)) => self.filled(&value),
            ("-", None) => self.run(word, depth + 1),
            (_, None) => self.required(name, word),
        }
    }

    fn required(&self, name: &str, word: &str) {
        self.ctx.mark_hollow(self.span);
        let why = if word.is_empty() { "it must be set".to_owned() } else { short(word) };
        let problem = Problem::new("M0303", self.span, format!("the variable `{name}` is required"));
        self.ctx.report(problem.label(why).help("set it in the environment or in `.env`"));
    }
}

/// `web.host`, `db.url`, `secret.NAME`: a dot, and nothing that interpolation gives a meaning. With a
/// hyphen it is one only where a fact stands behind the dot: `${TAG-1.27}` has a default, as in Compose.
fn is_reference(inner: &str) -> bool {
    let facts = [".host", ".port", ".url"];
    if inner.contains('-') && !inner.starts_with("secret.") && !facts.iter().any(|fact| inner.ends_with(fact)) {
        return false;
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    inner.contains('.') && inner.bytes().all(plain) && !inner.starts_with(['.', '-']) && !inner.ends_with('.')
}

fn name_length(text: &str) -> usize {
    let head = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if head { text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count() } else { 0 }
}

/// Where the brace closes that stands before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut previous = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if previous == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        previous = byte;
    }
    None
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    clip(line, 60).unwrap_or_else(|| line.to_owned())
}
