//! The documents: their links, and the examples in them that are run.
//!
//! A fenced block of `console` after a line `<!-- run -->` is run as a reader would: each line that
//! begins with `$ ` is one command, what follows are lines that its output must hold (`…` stands for
//! any text, alone on a line for any lines). Blocks of one document are run in order, in one world.
//! `$ NAME=value daybook …` sets variables, and `# exit 4` behind a command names its exit code. What stands between
//! double quotes is one word.

use std::path::{Path, PathBuf};

use crate::workspace::{files, root};

/// A command of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Line of the document, from 1.
    pub line: usize,
    /// Variables that it sets.
    pub variables: Vec<(String, String)>,
    /// The command's words.
    pub words: Vec<String>,
    /// The exit code that it must have.
    pub code: i32,
    /// Lines that must be in its output, in this order.
    pub shows: Vec<String>,
}

/// Every Markdown file of the repository.
pub fn documents() -> Vec<PathBuf> {
    files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The examples of a document that are to be run.
pub fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut marked = false;
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match line {
            "<!-- run -->" => marked = true,
            "```console" if marked => inside = true,
            "```" if inside => (inside, marked) = (false, false),
            _ if inside => match line.strip_prefix("$ ") {
                Some(command) => examples.push(example(number + 1, command)),
                None if !line.trim().is_empty() => {
                    let shows = &mut examples.last_mut().expect("a block begins with a command").shows;
                    shows.push(line.trim().to_owned());
                }
                None => {}
            },
            _ => {}
        }
    }
    examples
}

fn example(line: usize, command: &str) -> Example {
    let (command, code) = command.split_once(" # exit ").unwrap_or((command, "0"));
    let mut words = words(command);
    let mut variables = Vec::new();
    while let Some((name, value)) = words.first().and_then(|word| word.split_once('=')) {
        if !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            break;
        }
        variables.push((name.to_owned(), value.to_owned()));
        words.remove(0);
    }
    Example { line, variables, words, code: code.trim().parse().expect("an exit code is a number"), shows: Vec::new() }
}

/// The words of a command. Blanks between double quotes part no words.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in command.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            blank if blank.is_whitespace() && !is_quoted => words.push(String::new()),
            other => words.last_mut().expect("there is always one").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The first expected line that `output` does not hold in its place; `None` if it holds all.
pub fn missing(shows: &[String], output: &str) -> Option<String> {
    let mut lines = output.lines();
    let wanted = shows.iter().filter(|line| *line != "…");
    wanted.into_iter().find(|line| !lines.by_ref().any(|given| fits(line, given.trim()))).cloned()
}

/// Whether a line is as it should be. `…` stands for any text, blanks for any number of blanks.
fn fits(pattern: &str, line: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (pattern, line) = (squeeze(pattern), squeeze(line));
    let mut parts = pattern.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut last_was_open = false;
    for part in parts {
        last_was_open = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    last_was_open || rest.trim().is_empty()
}

/// Links of a document to files of the repository that are not there.
pub fn broken_links(document: &Path, text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<']));
    let directory = root().join(document).parent().expect("a file has a directory").to_owned();
    let there = |target: &str| directory.join(target.split('#').next().unwrap_or_default()).exists();
    local.filter(|target| !there(target)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_read_with_variables_codes_and_output() {
        let text = "x\n```console\n$ not this\n```\n<!-- run -->\n```console\n$ A=1 daybook up -y # exit 4\n✗ web …\n\n$ daybook ps\n```\n";
        let examples = examples(text);
        assert_eq!(examples.len(), 2);
        assert_eq!(examples[0].variables, [("A".to_owned(), "1".to_owned())]);
        assert_eq!((examples[0].words.join(" ").as_str(), examples[0].code), ("daybook up -y", 4));
        assert_eq!(examples[0].shows, ["✗ web …"]);
        assert_eq!(examples[1].line, 10);
    }

    #[test]
    fn what_is_quoted_is_one_word() {
        assert_eq!(words(r#"daybook  x -c "select 1 = 1"  y"#), ["daybook", "x", "-c", "select 1 = 1", "y"]);
    }

    #[test]
    fn output_is_compared_line_by_line_and_loosely() {
        let shows = ["a … c".to_owned(), "…".to_owned(), "end".to_owned()];
        assert_eq!(missing(&shows, "x\na  b c\ny\nend\n"), None);
        assert_eq!(missing(&shows, "a b d\nend\n"), Some("a … c".to_owned()));
        assert_eq!(missing(&shows, "end\na b c\n"), Some("end".to_owned()));
        assert!(fits("✓ up in …", "✓ up in 3 s") && !fits("✓ up", "✓ up in 3 s"));
    }
}
