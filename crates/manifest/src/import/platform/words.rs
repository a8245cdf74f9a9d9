//! Command lines.

use crate::import::yaml::Yaml;

/// A command line as other platforms have it: a shell reads it there, and none does here. One that means something to
/// a shell keeps its shell.
pub(super) fn command(line: &str) -> Yaml {
    let line = line.trim();
    if needs_shell(line) { Yaml::texts(["sh", "-c", line]) } else { Yaml::text(line) }
}

fn needs_shell(line: &str) -> bool {
    let means_something =
        |c: char| matches!(c, '$' | '`' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '*' | '?' | '~' | '#' | '\n');
    let first = line.split_whitespace().next().unwrap_or_default();
    let is_built_in =
        matches!(first, "cd" | "export" | "source" | "." | "if" | "for" | "while" | "exec" | "set" | "eval");
    line.contains(means_something) || first.contains('=') || is_built_in
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_means_something_to_a_shell_keeps_it() {
        for line in ["puma -p $PORT", "a && b", "RAILS_ENV=production rake", "cd web; npm start", "ls *.rb"] {
            assert_eq!(command(line), Yaml::texts(["sh", "-c", line]), "{line}");
        }
        for line in ["bundle exec puma -C config/puma.rb", "node 'a b.js'"] {
            assert_eq!(command(line), Yaml::text(line), "{line}");
        }
    }
}
