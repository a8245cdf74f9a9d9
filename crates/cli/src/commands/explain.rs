use clap::Args;
use daybook_api::client::Exit;
use daybook_decide::plan::codes as of_plans;
use daybook_decide::policy;
use daybook_manifest::{Explanation, Severity, codes, explain};

use crate::error::{CommandError, Result};
use crate::output;
use crate::output::style::{STRONG, paint};
use crate::output::words::wrap;

/// Explain a diagnostic's code, a check of the policy or an alert: what it means and what to do. Lists all without one.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, such as M0107 or P0118, the check, such as DB019 or no-memory-limit, or the alert, such as HighErrorRate.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// How wide prose is.
const COLUMNS: usize = 100;

impl Explain {
    pub(crate) fn run(self) -> Result<Exit> {
        match &self.code {
            None => {
                let codes = codes().map(|row| (row.code, row.title));
                let plans = of_plans::CODES.iter().map(|row| (row.code, row.title));
                let all = codes.chain(plans).chain(policy::all().map(|check| (check.id, check.title))).chain(alerts());
                output::text(&all.map(|(code, title)| format!("{code}  {title}\n")).collect::<String>())?;
            }
            Some(code) => {
                if let Some(check) = policy::find(code) {
                    output::text(&about(check))?;
                    return Ok(Exit::Ok);
                }
                if let Some(row) = of_plans::explain(code) {
                    output::text(&refused(row))?;
                    return Ok(Exit::Ok);
                }
                if let Some(page) = runbook(code) {
                    output::text(page)?;
                    return Ok(Exit::Ok);
                }
                let unknown =
                    || CommandError::failed(format!("no diagnostic has the code {code:.80}, and no alert the name"));
                let row = explain(code).ok_or_else(|| unknown().hint("list them all: daybook explain"))?;
                output::text(&render(row))?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Alerts that are there by default, with their titles.
#[cfg(feature = "observe")]
fn alerts() -> impl Iterator<Item = (&'static str, &'static str)> {
    daybook_rules::builtin::alerts().map(|alert| {
        let title = alert.page().lines().next().unwrap_or_default();
        (alert.name, title.split_once(": ").map_or(title, |(_, title)| title))
    })
}

#[cfg(not(feature = "observe"))]
fn alerts() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::empty()
}

/// The page about an alert, by its name or that of the page.
#[cfg(feature = "observe")]
fn runbook(name: &str) -> Option<&'static str> {
    daybook_rules::builtin::page(name)
}

#[cfg(not(feature = "observe"))]
fn runbook(_: &str) -> Option<&'static str> {
    None
}

/// A check of the policy.
fn about(check: &policy::Check) -> String {
    let title = paint(STRONG, format!("{} {} {}: {}", check.severity, check.id, check.name, check.title));
    let sources = match check.sources {
        [] => String::new(),
        sources => format!("\nElsewhere it is called {}.\n", sources.join(", ")),
    };
    format!("{title}\n\n{}\n→ {}\n{sources}", wrap(check.why, COLUMNS), check.help)
}

/// A code that a plan may be refused with.
fn refused(row: &of_plans::Explanation) -> String {
    let title = paint(STRONG, format!("{}: {}", row.code, row.title));
    format!("{title}\n\n{}\n", wrap(row.text, COLUMNS).trim_end())
}

fn render(row: &Explanation) -> String {
    let severity = match row.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let example: String = row.example.trim_end().lines().map(|line| format!("    {line}\n")).collect();
    let example = if example.is_empty() { example } else { format!("\nFor example:\n\n{example}") };
    let title = paint(STRONG, format!("{severity} {}: {}", row.code, row.title));
    format!("{title}\n\n{}{example}", wrap(row.text.trim(), COLUMNS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn every_code_explains_itself() {
        for row in codes() {
            let shown = plain(&render(row));
            assert!(shown.contains(row.code) && shown.contains(row.title), "{shown}");
            assert!(shown.lines().count() > 2, "{shown}");
        }
        assert!(explain("m0107").is_some());
    }

    /// The words of a command on a page. What is in capitals stands for something: a name, or a number if it is `N`.
    #[cfg(feature = "databases")]
    fn words(command: &str) -> Vec<String> {
        let filled = |part: &str| match part {
            "N" => "1".to_owned(),
            _ if part.bytes().all(|byte| byte.is_ascii_uppercase()) => part.to_lowercase(),
            _ => part.to_owned(),
        };
        let filled = |word: &str| word.split('=').map(filled).collect::<Vec<_>>().join("=");
        let mut words = Vec::new();
        for (i, piece) in command.split('"').enumerate() {
            match i % 2 {
                0 => words.extend(piece.split_whitespace().map(filled)),
                _ => words.push(piece.to_owned()),
            }
        }
        words
    }

    #[cfg(feature = "databases")]
    #[test]
    fn what_the_pages_about_alerts_tell_people_to_type_is_understood() {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks");
        let mut found = 0;
        for entry in std::fs::read_dir(pages).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
            for command in code.filter(|code| code.starts_with("daybook ") && !code.contains('…')) {
                found += 1;
                if let Err(error) = crate::args::read(words(command)) {
                    panic!("{}: {command}: {error}", path.display());
                }
            }
        }
        assert!(found > 80, "{found}");
    }

    #[test]
    fn every_code_that_refuses_a_plan_is_explained() {
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let (mut left, mut found) = (vec![crates], std::collections::BTreeSet::new());
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let codes = text.split("\"P0").skip(1).filter_map(|rest| rest.get(..3));
                    let codes = codes.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
                    found.extend(codes.map(|digits| format!("P0{digits}")));
                }
            }
        }
        assert!(found.len() > 15, "{found:?}");
        let unknown: Vec<_> = found.iter().filter(|code| of_plans::explain(code).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(plain(&refused(of_plans::explain("P0118").unwrap())).starts_with("P0118: "));
    }
}
