#[cfg(feature = "observe")]
mod check;
mod test;

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::incident::{AlertView, IncidentsQuery};
use daybook_model::Timestamp;

use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{BAD, DIM, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// Show what hurts, or soon will.
///
/// Rules by default watch every service, replica, machine, database, backup and job; `slo` and `rules` in the manifest add more.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Alert {
    #[command(subcommand)]
    command: Option<AlertCommand>,
    #[command(flatten)]
    ls: Ls,
}

#[derive(Debug, Subcommand)]
enum AlertCommand {
    /// List alerts that fire or are about to
    Ls(Ls),
    /// Replay what was measured: how often would alerts have fired?
    Test(test::Test),
    /// Check files of rules, and run their tests. Needs no server
    #[cfg(feature = "observe")]
    Check(check::Check),
}

#[derive(Debug, Args)]
struct Ls {
    /// Also those that ended within the last quarter of an hour, and of every environment.
    #[arg(short, long)]
    all: bool,
}

impl Alert {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let Ls { all } = match self.command {
            Some(AlertCommand::Ls(ls)) => ls,
            Some(AlertCommand::Test(test)) => return test.run(ctx).await,
            #[cfg(feature = "observe")]
            Some(AlertCommand::Check(check)) => return check.run(ctx),
            None => self.ls,
        };
        let key = if all { None } else { Some(ctx.key().await?) };
        let alerts = ctx.client().await?.alerts(&IncidentsQuery { key, all }).await?;
        ctx.data(&alerts, |alerts| render(alerts, now()))?;
        if alerts.iter().any(|alert| alert.state == "firing" && alert.silenced.is_none() && alert.maintenance.is_none())
        {
            ctx.next(&format!("what is suspected: {}", ctx.command("incident show")));
        }
        Ok(Exit::Ok)
    }
}

fn render(alerts: &[AlertView], now: Timestamp) -> String {
    if alerts.is_empty() {
        return "nothing fires\n".to_owned();
    }
    let places: BTreeSet<_> = alerts.iter().filter_map(|alert| alert.key.as_ref()).collect();
    let mut head = vec!["STATE", "SEVERITY", "SINCE", "ALERT", "WHAT"];
    if places.len() > 1 {
        head.insert(3, "OF");
    }
    let mut table = Table::new(&head);
    for view in alerts {
        let state = match (view.state.as_str(), view.alert.severity.as_str()) {
            ("firing" | "pending", _) if view.silenced.is_some() => paint(DIM, "silenced"),
            ("firing" | "pending", _) if view.maintenance.is_some() => paint(DIM, "maintenance"),
            ("firing", "page") => paint(BAD, "firing"),
            ("firing", _) => paint(WARN, "firing"),
            ("inactive", _) => paint(DIM, "ended"),
            (state, _) => state.to_owned(),
        };
        let mut row = vec![
            state,
            view.alert.severity.clone(),
            words::ago(view.alert.started, now),
            view.alert.name.clone(),
            view.alert.summary.clone(),
        ];
        if places.len() > 1 {
            row.insert(3, view.key.as_ref().map_or("the machine".to_owned(), ToString::to_string));
        }
        table.row(row);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn alerts_are_a_table() {
        let alerts: Vec<AlertView> = serde_json::from_str(
            r#"[{"key": "shop/production", "state": "firing", "name": "HttpErrors", "severity": "page", "value": 0.1,
                "summary": "web fails", "labels": {}, "started": "2026-11-24T11:58:00Z", "description": ""},
                {"key": "shop/production", "state": "firing", "name": "Slow", "severity": "page", "silenced": "0a1b2c3d",
                "summary": "web is slow", "labels": {}, "started": "2026-11-24T11:58:00Z", "description": ""}]"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&alerts, "2026-11-24T12:00:00Z".parse().unwrap())), @r"
        STATE     SEVERITY  SINCE      ALERT       WHAT
        firing    page      2 min ago  HttpErrors  web fails
        silenced  page      2 min ago  Slow        web is slow
        ");
        assert_eq!(render(&[], Timestamp::UNIX_EPOCH), "nothing fires\n");
    }
}
