//! The rules of a `.dockerignore` file.

use std::fs;
use std::io;
use std::path::Path;

use crate::Result;
use crate::files::failed;

/// What a snapshot leaves out. The rules are those of Docker's `.dockerignore`: one pattern a line,
/// the last one that fits decides, `!` keeps, `**` spans directories, a pattern that fits a directory
/// fits everything in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    keep: bool,
    parts: Vec<String>,
}

impl Ignore {
    /// Leaves out nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// The rules of `.daybookignore` in `root`, or else of `.dockerignore`; none without either.
    pub fn of(root: &Path) -> Result<Self> {
        for name in [".daybookignore", ".dockerignore"] {
            if let Some(ignore) = Self::from_file(&root.join(name))? {
                return Ok(ignore);
            }
        }
        Ok(Self::nothing())
    }

    /// The rules of one file; `None` when it is not there.
    pub fn from_file(path: &Path) -> Result<Option<Self>> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Self::parse(&text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", path, &error)),
        }
    }

    /// Reads rules from text. Lines that begin with `#` are comments.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rules: text.lines().filter(|line| !line.starts_with('#')).filter_map(Rule::parse).collect() }
    }

    /// Keeps one path whatever the rules before say.
    #[must_use]
    pub fn keeping(mut self, path: &str) -> Self {
        self.rules.extend(Rule::parse(&format!("!{path}")));
        self
    }

    /// Whether `path`, relative to the root, is left out.
    pub fn excludes(&self, path: &Path) -> bool {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let fitting = self.rules.iter().rev().find(|rule| rule.fits_or_holds(&parts));
        fitting.is_some_and(|rule| !rule.keep)
    }

    /// Whether something may be kept inside what is left out.
    pub(super) fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.keep)
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let (keep, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let mut parts: Vec<String> = Vec::new();
        for part in pattern.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part.to_owned()),
            }
        }
        (!parts.is_empty()).then_some(Self { keep, parts })
    }

    fn fits_or_holds(&self, path: &[&str]) -> bool {
        (1..=path.len()).any(|length| fits(&self.parts, &path[..length]))
    }
}

fn fits(pattern: &[String], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((part, rest)), _) if part == "**" => {
            (0..=path.len()).any(|skipped| fits(rest, &path[skipped..])) && !(rest.is_empty() && path.is_empty())
        }
        (Some((part, rest)), Some((name, names))) => {
            part_fits(&part.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>()) && fits(rest, names)
        }
        _ => false,
    }
}

fn part_fits(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skipped| part_fits(rest, &name[skipped..])),
        Some(('?', rest)) => name.split_first().is_some_and(|(_, names)| part_fits(rest, names)),
        Some(('[', rest)) => class_fits(rest, name),
        Some(('\\', rest)) if !rest.is_empty() => name.first() == rest.first() && part_fits(&rest[1..], &name[1..]),
        Some((letter, rest)) => name.first() == Some(letter) && part_fits(rest, &name[1..]),
    }
}

/// `pattern` begins after `[`. A class that is never closed fits nothing.
fn class_fits(pattern: &[char], name: &[char]) -> bool {
    let negated = pattern.first() == Some(&'^');
    let body = if negated { &pattern[1..] } else { pattern };
    let (Some(end), Some(letter)) = (body.iter().skip(1).position(|c| *c == ']'), name.first()) else {
        return false;
    };
    let (class, rest) = (&body[..=end], &body[end + 2..]);
    let ranged = class.windows(3).any(|w| w[1] == '-' && (w[0]..=w[2]).contains(letter));
    (ranged || class.contains(letter)) != negated && part_fits(rest, &name[1..])
}
