use clap::Args;
use daybook_api::client::Exit;
use daybook_api::doctor::{CheckResult, CheckView};

use crate::context::Ctx;
use crate::error::Result;
use crate::output::style::{BAD, DIM, GOOD, WARN, paint};

/// Look whether everything is here that Daybook needs, and say how to get what is not.
#[derive(Debug, Args)]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let checks = match ctx.client().await {
            Ok(client) => client.doctor().await?,
            Err(error) => vec![CheckView {
                check: "server".to_owned(),
                result: CheckResult::Bad,
                found: error.message,
                fix: error.hint,
            }],
        };
        ctx.data(&checks, |checks| render(checks))?;
        let bad = checks.iter().any(|check| check.result == CheckResult::Bad);
        Ok(if bad { Exit::Failed } else { Exit::Ok })
    }
}

pub(super) fn render(checks: &[CheckView]) -> String {
    let width = checks.iter().map(|check| check.check.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let mark = match check.result {
            CheckResult::Ok => paint(GOOD, "✓"),
            CheckResult::Warn => paint(WARN, "!"),
            CheckResult::Bad => paint(BAD, "✗"),
        };
        out.push_str(&format!("{mark} {:width$}  {}\n", check.check, check.found));
        if let Some(fix) = &check.fix {
            out.push_str(&format!("  {:width$}  {} {fix}\n", "", paint(DIM, "→")));
        }
    }
    let count = |result: CheckResult| checks.iter().filter(|check| check.result == result).count();
    out.push_str(&match (count(CheckResult::Bad), count(CheckResult::Warn)) {
        (0, 0) => "\nall is well\n".to_owned(),
        (0, warn) => format!("\nall works; {warn} could be better\n"),
        (bad, _) => format!("\n{bad} in the way\n"),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn each_check_has_a_mark_and_what_to_do() {
        let checks: Vec<CheckView> = serde_json::from_str(
            r#"[{"check": "state directory", "result": "ok", "found": "/var/lib/daybook, 41 GB free"},
                {"check": "cgroups", "result": "warn", "found": "v1: memory limits only"},
                {"check": "docker", "result": "bad", "found": "nobody answers", "fix": "start dockerd"}]"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&checks)), @r"
        ✓ state directory  /var/lib/daybook, 41 GB free
        ! cgroups          v1: memory limits only
        ✗ docker           nobody answers
                           → start dockerd

        1 in the way
        ");
    }
}
