//! `daybook alert test`: what rules would have done.

use std::path::PathBuf;

use clap::Args;
use daybook_api::client::Exit;
use daybook_api::rules::{AlertTest, Episode, Replay, RulesText, TestAlerts};
use daybook_manifest::span_ms;
use daybook_model::Timestamp;

use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::style::{BAD, DIM, STRONG, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// Episodes of an alert that are shown; `-o json` has more.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(super) struct Test {
    /// The alert: all that hold, if none is named.
    #[arg(value_name = "ALERT")]
    alert: Option<String>,
    // Not called `file`: clap would take it for the manifest, whose option is there for every command.
    /// A file of rules that need be in no manifest.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// How far to look back.
    #[arg(long, value_name = "TIME", value_parser = span_ms, default_value = "7d")]
    since: u64,
}

impl Test {
    pub(super) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let rules = self.rules.map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(&path);
            text.map(|text| RulesText { name, text }).map_err(|error| CommandError::io(path.display(), &error))
        });
        let asked =
            TestAlerts { key: ctx.key().await?, since_ms: self.since, alert: self.alert, rules: rules.transpose()? };
        let is_one = asked.alert.is_some() || asked.rules.is_some();
        let test = ctx.client().await?.test_alerts(&asked).await?;
        ctx.data(&test, |test| render(test, is_one, now()))?;
        let fails = test.alerts.iter().any(|replay| replay.error.is_some());
        Ok(if fails { Exit::Failed } else { Exit::Ok })
    }
}

/// Alerts that would have fired, with each time; of those that were named also if they would not.
fn render(test: &AlertTest, is_one: bool, now: Timestamp) -> String {
    let over = words::span(test.until.as_second() - test.from.as_second());
    let shown = |replay: &&Replay| is_one || replay.fired > 0 || replay.error.is_some();
    let mut out: String = test.alerts.iter().filter(shown).map(|replay| about(replay, &over, now)).collect();
    let quiet = test.alerts.iter().filter(|replay| !shown(replay)).count();
    if quiet > 0 {
        let text = format!("{} would not have fired in the last {over}", words::plural(quiet as u64, "alert"));
        out.push_str(&format!("{}\n", paint(DIM, text)));
    }
    out
}

fn about(replay: &Replay, over: &str, now: Timestamp) -> String {
    if let Some(error) = &replay.error {
        return format!("{}  {}\n", paint(STRONG, &replay.alert), paint(BAD, format!("fails: {error}")));
    }
    let pending = replay.episodes.iter().filter(|episode| episode.fired.is_none()).count();
    let times = match replay.fired {
        0 => "would not have fired".to_owned(),
        1 => "would have fired once".to_owned(),
        fired => format!("would have fired {fired} times"),
    };
    let nearly = match (replay.fired, pending) {
        (_, 0) => String::new(),
        (0, 1) => "; it was true once, and not for long enough".to_owned(),
        (0, pending) => format!("; it was true {pending} times, and never for long enough"),
        (_, 1) => "; it was true once more, and not for long enough".to_owned(),
        (_, pending) => format!("; it was true {pending} times more, and not for long enough"),
    };
    let mut out = format!("{} {times} in the last {over}{nearly}\n", paint(STRONG, &replay.alert));
    let fired: Vec<&Episode> = replay.episodes.iter().filter(|episode| episode.fired.is_some()).collect();
    let mut table = Table::new(&["  FIRED", "FOR>", "WHAT"]);
    for episode in fired.iter().rev().take(SHOWN) {
        let Some(at) = episode.fired else { continue };
        let lasted = match episode.ended {
            Some(ended) => words::span(ended.as_second() - at.as_second()),
            None => paint(WARN, "still"),
        };
        table.row([format!("  {}", words::moment(at, now)), lasted, episode.summary.clone()]);
    }
    if !fired.is_empty() {
        out.push_str(&table.render());
    }
    if fired.len() > SHOWN {
        out.push_str(&paint(DIM, format!("  … and {} more before\n", fired.len() - SHOWN)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn a_test_tells_each_time() {
        let test: AlertTest = serde_json::from_str(
            r#"{"from": "2026-11-24T12:00:00Z", "until": "2026-12-01T12:00:00Z", "step_ms": 75000, "alerts": [
                {"alert": "Slow", "file": "web.rules.yaml", "fired": 2, "episodes": [
                    {"labels": {}, "summary": "web takes 3s", "pending": "2026-11-30T10:00:00Z",
                     "fired": "2026-11-30T10:05:00Z", "ended": "2026-11-30T10:20:00Z", "value": 3},
                    {"labels": {}, "summary": "", "pending": "2026-12-01T09:00:00Z", "ended": "2026-12-01T09:01:00Z"},
                    {"labels": {}, "summary": "web takes 4s", "pending": "2026-12-01T11:00:00Z", "fired": "2026-12-01T11:05:00Z"}]},
                {"alert": "Quiet", "file": "web.rules.yaml", "fired": 0, "episodes": []}]}"#,
        )
        .unwrap();
        let now = "2026-12-01T12:00:00Z".parse().unwrap();
        insta::assert_snapshot!(plain(&render(&test, false, now)), @r"
        Slow would have fired 2 times in the last 7 days; it was true once more, and not for long enough
          FIRED               FOR  WHAT
          11:05:00          still  web takes 4s
          30 Nov 10:05:00  15 min  web takes 3s
        1 alert would not have fired in the last 7 days
        ");
        assert!(render(&test, true, now).contains("would not have fired in the last 7 days"));
    }
}
