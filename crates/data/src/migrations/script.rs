//! From the text of a migration to its statements.
//!
//! A server takes one statement at a time here, so that a failure has a line, and so that what may not run in a
//! transaction is known before anything is run.

use crate::Dialect;

/// One statement of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'t> {
    /// Its text, from its first word on, without what ends it.
    pub sql: &'t str,
    /// Its line, from 1.
    pub line: usize,
    /// Lines for a `COPY … FROM STDIN`.
    pub data: Option<&'t str>,
}

/// The statements of a script, in order. Comments between them are left out.
pub fn statements(text: &str, dialect: Dialect) -> Vec<Statement<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut scanner = Scanner::new(text, dialect);
    let mut all = Vec::new();
    while let Some(statement) = scanner.statement() {
        all.push(statement);
    }
    all
}

/// The first words of a statement in capitals, at most `count`. Comments are none.
pub fn words(sql: &str, dialect: Dialect, count: usize) -> Vec<String> {
    let mut scanner = Scanner::new(sql, dialect);
    let mut words = Vec::new();
    while words.len() < count
        && let Some(token) = scanner.token()
    {
        match token {
            Token::Word(word) => words.push(word.to_uppercase()),
            Token::Symbol(b'(') if !words.is_empty() => break,
            _ => {}
        }
    }
    words
}

/// A line of a script, from 1, by the place of a byte.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

enum Token<'t> {
    Word(&'t str),
    /// A string, a quoted name, or a text between dollars.
    Quoted,
    /// `/*! … */`: MySQL runs what is in it.
    Conditional,
    Symbol(u8),
    /// What ends a statement.
    End,
}

struct Scanner<'t> {
    text: &'t str,
    dialect: Dialect,
    at: usize,
    /// MySQL's `DELIMITER`.
    delimiter: &'t str,
    /// For `line`: the place that was counted to.
    counted: (usize, usize),
}

impl<'t> Scanner<'t> {
    fn new(text: &'t str, dialect: Dialect) -> Self {
        Self { text, dialect, at: 0, delimiter: ";", counted: (0, 1) }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn line(&mut self, at: usize) -> usize {
        let (from, line) = self.counted;
        let line = line + line_of(&self.text[from..], at - from) - 1;
        self.counted = (at, line);
        line
    }

    fn statement(&mut self) -> Option<Statement<'t>> {
        loop {
            self.blank();
            if self.dialect == Dialect::MySql && self.take_delimiter() {
                continue;
            }
            let from = self.at;
            let mut shape = Shape::default();
            let ended = loop {
                let before = self.at;
                match self.token() {
                    Some(Token::End) if shape.is_open() => {}
                    Some(Token::End) => break Some(before),
                    Some(token) => shape.take(&token),
                    None => break None,
                }
            };
            let sql = self.text[from..ended.unwrap_or(self.text.len())].trim_end();
            if !shape.is_something {
                match ended {
                    Some(_) => continue,
                    None => return None,
                }
            }
            let line = self.line(from);
            let takes_data = self.dialect == Dialect::PostgreSql && shape.is_copy_from_stdin() && ended.is_some();
            let data = if takes_data { Some(self.data()) } else { None };
            return Some(Statement { sql, line, data });
        }
    }

    /// The lines after a `COPY`, up to the one that ends them.
    fn data(&mut self) -> &'t str {
        let rest = self.rest();
        let begin = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let lines = &rest[begin..];
        let mut length = 0;
        for line in lines.split_inclusive('\n') {
            if line.trim_end() == "\\." {
                self.at += begin + length + line.len();
                return &lines[..length];
            }
            length += line.len();
        }
        self.at = self.text.len();
        lines
    }

    /// Takes `DELIMITER //` with its line.
    fn take_delimiter(&mut self) -> bool {
        let rest = self.rest();
        const WORD: &str = "delimiter";
        let is_one = rest.get(..WORD.len()).is_some_and(|word| word.eq_ignore_ascii_case(WORD))
            && rest[WORD.len()..].starts_with([' ', '\t']);
        if !is_one {
            return false;
        }
        let line = rest.lines().next().unwrap_or_default();
        let delimiter = line[WORD.len()..].trim();
        if delimiter.is_empty() {
            return false;
        }
        self.delimiter = delimiter;
        self.at += line.len();
        true
    }

    /// Passes over white space and comments.
    fn blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let comment = self.comment();
            if comment == 0 {
                return;
            }
            self.at += comment;
        }
    }

    /// How long the comment is that begins here.
    fn comment(&self) -> usize {
        let rest = self.rest();
        let to_end_of_line = || rest.find('\n').unwrap_or(rest.len());
        if rest.starts_with("--") {
            // To MySQL `5--1` is a sum.
            let is_one =
                self.dialect == Dialect::PostgreSql || self.byte(2).is_none_or(|byte| byte.is_ascii_whitespace());
            return if is_one { to_end_of_line() } else { 0 };
        }
        if rest.starts_with('#') && self.dialect == Dialect::MySql {
            return to_end_of_line();
        }
        let is_code = self.dialect == Dialect::MySql && (rest.starts_with("/*!") || rest.starts_with("/*M!"));
        if rest.starts_with("/*") && !is_code { self.block(rest) } else { 0 }
    }

    fn block(&self, rest: &str) -> usize {
        if self.dialect == Dialect::MySql {
            return rest[2..].find("*/").map_or(rest.len(), |at| at + 4);
        }
        let (bytes, mut depth, mut at) = (rest.as_bytes(), 0, 0);
        while at + 1 < bytes.len() {
            match &bytes[at..at + 2] {
                b"/*" => (depth, at) = (depth + 1, at + 2),
                b"*/" if depth == 1 => return at + 2,
                b"*/" => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
        }
        rest.len()
    }

    fn token(&mut self) -> Option<Token<'t>> {
        self.blank();
        let rest = self.rest();
        let first = self.byte(0)?;
        if rest.starts_with(self.delimiter) {
            self.at += self.delimiter.len();
            return Some(Token::End);
        }
        let (token, length) = match first {
            b'\'' => (Token::Quoted, quoted(rest, b'\'', self.dialect == Dialect::MySql)),
            b'"' => (Token::Quoted, quoted(rest, b'"', self.dialect == Dialect::MySql)),
            b'`' if self.dialect == Dialect::MySql => (Token::Quoted, quoted(rest, b'`', false)),
            b'$' if self.dialect == Dialect::PostgreSql => match dollars(rest) {
                Some(length) => (Token::Quoted, length),
                None => (Token::Symbol(first), 1),
            },
            b'/' if rest.starts_with("/*") => (Token::Conditional, rest.find("*/").map_or(rest.len(), |at| at + 2)),
            b'e' | b'E' if self.dialect == Dialect::PostgreSql && self.byte(1) == Some(b'\'') => {
                (Token::Quoted, 1 + quoted(&rest[1..], b'\'', true))
            }
            _ if is_word(first) => {
                let length = rest.bytes().position(|byte| !(is_word(byte) || byte == b'$')).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
            _ => (Token::Symbol(first), 1),
        };
        self.at += length;
        Some(token)
    }
}

/// Letters, digits, underscores, and whatever is beyond ASCII.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// How long a quoted text is, with its quotes. One that does not end goes to the end.
fn quoted(rest: &str, quote: u8, escapes: bool) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// How long a text between dollars is: `$$ … $$`, `$body$ … $body$`.
fn dollars(rest: &str) -> Option<usize> {
    let end = rest[1..].find('$')? + 2;
    let tag = &rest[..end];
    let name = &tag[1..end - 1];
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(is_word) {
        return None;
    }
    Some(rest[end..].find(tag).map_or(rest.len(), |at| end + at + end))
}

/// What is known of a statement while it is read.
#[derive(Default)]
struct Shape {
    is_something: bool,
    parentheses: usize,
    /// Blocks of a body in standard SQL: `BEGIN ATOMIC … END`.
    blocks: usize,
    words: usize,
    is_create: bool,
    is_routine: bool,
    is_copy: bool,
    copies: Copies,
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Copies {
    #[default]
    Nothing,
    From,
    FromStdin,
}

impl Shape {
    fn take(&mut self, token: &Token<'_>) {
        self.is_something = true;
        match token {
            Token::Symbol(b'(') => self.parentheses += 1,
            Token::Symbol(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            Token::Word(word) => self.word(word),
            _ => {}
        }
    }

    fn word(&mut self, word: &str) {
        self.words += 1;
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        match self.words {
            1 => (self.is_create, self.is_copy) = (is("create"), is("copy")),
            // `CREATE OR REPLACE FUNCTION`
            2..=4 if self.is_create && (is("function") || is("procedure")) => self.is_routine = true,
            _ => {}
        }
        if self.is_routine {
            if is("begin") || (is("case") && self.blocks > 0) {
                self.blocks += 1;
            } else if is("end") {
                self.blocks = self.blocks.saturating_sub(1);
            }
        }
        if self.is_copy && self.parentheses == 0 {
            self.copies = match self.copies {
                _ if is("from") => Copies::From,
                Copies::From if is("stdin") => Copies::FromStdin,
                Copies::From => Copies::Nothing,
                other => other,
            };
        }
    }

    /// Whether what would end it is inside of it.
    fn is_open(&self) -> bool {
        self.parentheses > 0 || self.blocks > 0
    }

    fn is_copy_from_stdin(&self) -> bool {
        self.copies == Copies::FromStdin
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn postgres(text: &str) -> Vec<&str> {
        statements(text, Dialect::PostgreSql).iter().map(|statement| statement.sql).collect()
    }

    fn mysql(text: &str) -> Vec<&str> {
        statements(text, Dialect::MySql).iter().map(|statement| statement.sql).collect()
    }

    #[test]
    fn statements_end_where_they_end() {
        assert_eq!(postgres("select 1; select 2 ;;\n -- no;\nselect 3"), ["select 1", "select 2", "select 3"]);
        assert_eq!(postgres("select ';', E'\\';', 'it''s;' ; x"), ["select ';', E'\\';', 'it''s;'", "x"]);
        assert_eq!(postgres("select \"a;b\" /* ; /* ; */ ; */ ; y"), ["select \"a;b\"", "y"]);
        assert_eq!(
            postgres("do $$ begin; end $$; do $a$ $$;$$ $a$; select $1;"),
            ["do $$ begin; end $$", "do $a$ $$;$$ $a$", "select $1"]
        );
        assert_eq!(
            postgres("create rule r as on insert to t do (select 1; select 2); z"),
            ["create rule r as on insert to t do (select 1; select 2)", "z"]
        );
        assert_eq!(postgres("-- only a comment;\n/* and another; */"), Vec::<&str>::new());
    }

    #[test]
    fn a_body_in_standard_sql_is_one_statement() {
        let body =
            "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end";
        assert_eq!(postgres(&format!("{body}; select 1")), [body, "select 1"]);
        assert_eq!(postgres("begin; select 1; end;"), ["begin", "select 1", "end"]);
    }

    #[test]
    fn data_goes_with_its_copy() {
        let all = statements("copy t (a, b) from stdin;\n1\tx;y\n2\t\\N\n\\.\nselect 1;", Dialect::PostgreSql);
        assert_eq!(all[0].data, Some("1\tx;y\n2\t\\N\n"));
        assert_eq!((all[1].sql, all[1].line), ("select 1", 5));
        assert_eq!(statements("copy t from '/x'; select 1;", Dialect::PostgreSql)[0].data, None);
        assert_eq!(statements("copy (select 1 from stdin) to stdout; select 1;", Dialect::PostgreSql).len(), 2);
    }

    #[test]
    fn mysql_has_its_own_ways() {
        assert_eq!(
            mysql("select 'a\\';b'; select `a;b`; select 5--1; -- x;\nselect 2 # ;\n;"),
            ["select 'a\\';b'", "select `a;b`", "select 5--1", "select 2"]
        );
        assert_eq!(mysql("/*!40101 SET NAMES utf8 */;\n/* no */;select 1"), ["/*!40101 SET NAMES utf8 */", "select 1"]);
        let procedure = "create procedure p() begin select 1; select 2; end";
        assert_eq!(mysql(&format!("DELIMITER //\n{procedure}//\ndelimiter ;\nselect 3;")), [procedure, "select 3"]);
    }

    #[test]
    fn statements_know_their_lines() {
        let lines: Vec<_> = statements("\n\nselect 1;\n-- a\n\nselect\n2;select 3", Dialect::PostgreSql)
            .iter()
            .map(|s| s.line)
            .collect();
        assert_eq!(lines, [3, 6, 7]);
    }

    #[test]
    fn first_words_are_found_behind_comments() {
        let found = words("/* x */ create unique -- y\n index CONCURRENTLY i on t (a)", Dialect::PostgreSql, 9);
        assert_eq!(found, ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", "I", "ON", "T"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[a-z;'\"$`/*\\-#\n ()\\\\é]{0,60}") {
            for dialect in [Dialect::PostgreSql, Dialect::MySql] {
                for statement in statements(&text, dialect) {
                    prop_assert!(!statement.sql.is_empty());
                }
            }
        }

        #[test]
        fn what_is_quoted_does_not_end_a_statement(inside in "[^'\\\\]{0,20}") {
            let one = format!("select '{inside}'");
            let both = format!("{one};select 2");
            prop_assert_eq!(postgres(&both), vec![one.as_str(), "select 2"]);
        }
    }
}
