use clap::Args;
use daybook_api::client::Exit;
use daybook_manifest::{Explanation, Severity, codes, explain};

use crate::error::{CommandError, Result};
use crate::output;
use crate::output::style::{STRONG, paint};

/// Explain a diagnostic's code: what it means, an example, and how to fix it. Lists all without one.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, such as M0107.
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

impl Explain {
    pub(crate) fn run(self) -> Result<Exit> {
        match &self.code {
            None => output::text(&codes().map(|row| format!("{}  {}\n", row.code, row.title)).collect::<String>())?,
            Some(code) => {
                let unknown = || CommandError::failed(format!("no diagnostic has the code {code}"));
                let row = explain(code).ok_or_else(|| unknown().hint("list them all: daybook explain"))?;
                output::text(&render(row))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn render(row: &Explanation) -> String {
    let severity = match row.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let example: String = row.example.trim_end().lines().map(|line| format!("    {line}\n")).collect();
    let example = if example.is_empty() { example } else { format!("\nFor example:\n\n{example}") };
    format!("{}\n\n{}\n{example}", paint(STRONG, format!("{severity} {}: {}", row.code, row.title)), row.text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn every_code_explains_itself() {
        for row in codes() {
            let shown = plain(&render(row));
            assert!(shown.contains(row.code) && shown.contains(row.text.trim()), "{shown}");
        }
        assert!(explain("m0107").is_some());
    }
}
