use clap::Args;
use daybook_api::client::Exit;
use daybook_api::history::{HistoryEntry, HistoryQuery, HistoryService};
use daybook_api::run::Outcome;
use daybook_model::Timestamp;

use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{BAD, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// List releases, and the runs that did not become one.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// How many of the newest.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
}

impl History {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let query = HistoryQuery { limit: Some(self.limit) };
        let history = ctx.client().await?.history(&key, &query).await?;
        ctx.data(&history, |history| render(history, now()))?;
        let earlier = history.iter().find(|entry| !entry.current && entry.accepted_at.is_some());
        match earlier {
            Some(entry) => ctx.next(&format!("go back: {}", ctx.command(&format!("rollback {}", entry.number)))),
            None if history.is_empty() => ctx.next(&format!("make the first release: {}", ctx.command("up"))),
            None => ctx.next(&format!("every step of it: {}", ctx.command("events"))),
        }
        Ok(Exit::Ok)
    }
}

fn render(history: &[HistoryEntry], now: Timestamp) -> String {
    if history.is_empty() {
        return "no release yet\n".to_owned();
    }
    let mut table = Table::new(&["RELEASE>", "", "WHEN", "BY", "WHAT", "HOW IT ENDED", "ARTIFACTS"]);
    for entry in history {
        table.row([
            entry.number.to_string(),
            if entry.current { paint(GOOD, "now") } else { String::new() },
            words::ago(entry.accepted_at.unwrap_or(entry.started_at), now),
            entry.actor.name.clone(),
            entry.reason.clone(),
            ending(entry),
            artifacts(&entry.services),
        ]);
    }
    table.render()
}

fn ending(entry: &HistoryEntry) -> String {
    let Some(verdict) = &entry.verdict else { return paint(WARN, "open") };
    let why =
        verdict.failure.as_ref().map(|failure| format!(": {}", words::short(&failure.why, 48))).unwrap_or_default();
    match verdict.outcome {
        Outcome::Reached => "reached".to_owned(),
        Outcome::SwappedBack => paint(WARN, format!("swapped back{why}")),
        Outcome::Failed => paint(BAD, format!("failed{why}")),
        Outcome::Abandoned => "given up".to_owned(),
    }
}

/// Each artifact with the services that run it, the first few.
fn artifacts(services: &[HistoryService]) -> String {
    const SHOWN: usize = 3;
    let mut grouped: Vec<(&str, Vec<&str>)> = Vec::new();
    for service in services {
        match grouped.iter_mut().find(|(artifact, _)| *artifact == service.artifact) {
            Some((_, names)) => names.push(&service.name),
            None => grouped.push((&service.artifact, vec![&service.name])),
        }
    }
    let mut parts: Vec<_> = grouped.iter().map(|(artifact, names)| format!("{artifact} {}", names.join(","))).collect();
    let more = parts.len().saturating_sub(SHOWN);
    parts.truncate(SHOWN);
    let tail = if more > 0 { format!("  and {more} more") } else { String::new() };
    parts.join("  ") + &tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn releases_and_failed_runs_are_a_table() {
        let run = "0192f3a0-0000-7000-8000-000000000001";
        let history: Vec<HistoryEntry> = serde_json::from_value(serde_json::json!([
            {"number": 42, "accepted_at": "2026-11-24T11:58:00Z", "started_at": "2026-11-24T11:55:00Z", "run": run,
             "reason": "up", "actor": {"name": "ada", "origin": "cli"}, "current": true,
             "verdict": {"outcome": "reached"},
             "services": [{"name": "web", "artifact": "a93e01c2f4b5"}, {"name": "worker", "artifact": "a93e01c2f4b5"}]},
            {"number": 42, "started_at": "2026-11-24T09:00:00Z", "run": run, "reason": "up",
             "actor": {"name": "ada", "origin": "cli"}, "current": false,
             "verdict": {"outcome": "swapped_back", "failure": {"why": "GET /healthz answers 500"}}},
            {"number": 41, "accepted_at": "2026-11-15T09:00:00Z", "started_at": "2026-11-15T09:00:00Z", "run": run,
             "reason": "scale web=3", "actor": {"name": "bob", "origin": "api"}, "current": false,
             "verdict": {"outcome": "reached"}, "services": [{"name": "web", "artifact": "51c0ffee0000"}]}
        ]))
        .unwrap();
        insta::assert_snapshot!(plain(&render(&history, crate::follow::fixture::now())), @r"
        RELEASE       WHEN        BY   WHAT         HOW IT ENDED                            ARTIFACTS
             42  now  2 min ago   ada  up           reached                                 a93e01c2f4b5 web,worker
             42       3 h ago     ada  up           swapped back: GET /healthz answers 500
             41       9 days ago  bob  scale web=3  reached                                 51c0ffee0000 web
        ");
    }
}
