use clap::Args;
use daybook_api::client::Exit;
use daybook_decide::policy;
use daybook_manifest::{Explanation, Severity, codes, explain};

use crate::error::{CommandError, Result};
use crate::output;
use crate::output::style::{STRONG, paint};
use crate::output::words::wrap;

/// Explain a diagnostic's code, or a check of the policy: what it means and how to fix it. Lists all without one.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, such as M0107, or the check, such as DB019 or no-memory-limit.
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
                let all = codes.chain(policy::all().map(|check| (check.id, check.title)));
                output::text(&all.map(|(code, title)| format!("{code}  {title}\n")).collect::<String>())?;
            }
            Some(code) => {
                if let Some(check) = policy::find(code) {
                    output::text(&about(check))?;
                    return Ok(Exit::Ok);
                }
                let unknown = || CommandError::failed(format!("no diagnostic has the code {code}"));
                let row = explain(code).ok_or_else(|| unknown().hint("list them all: daybook explain"))?;
                output::text(&render(row))?;
            }
        }
        Ok(Exit::Ok)
    }
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
}
