use clap::Args;
use daybook_api::approval::{ApprovalView, Vote};
use daybook_api::client::Exit;
use daybook_model::Timestamp;

use crate::context::{Ctx, command, now};
use crate::error::{CommandError, Result};
use crate::output::style::{self, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;
use crate::terminal;

/// Approve a plan that somebody else asked for: that of a protected environment is carried out only then.
///
/// Shows the plan, and asks. It is approved as it is: what changes afterwards is another plan.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The plan, by how its id begins; the one that waits where there is only one.
    #[arg(value_name = "PLAN")]
    plan: Option<String>,
    /// List the plans that wait, and those that are approved.
    #[arg(long, conflicts_with = "plan")]
    list: bool,
}

impl Approve {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let (key, client) = (ctx.key().await?, ctx.client().await?);
        let all = client.approvals(&key).await?;
        if self.list {
            ctx.data(&all, |all| render(all, now()))?;
            return Ok(Exit::Ok);
        }
        let waits = |one: &&ApprovalView| match &self.plan {
            Some(plan) => one.plan.starts_with(plan.as_str()),
            None => one.approved.is_none(),
        };
        let waiting: Vec<_> = all.iter().filter(waits).collect();
        let one = match (waiting[..].first(), waiting.len()) {
            (Some(one), 1) => *one,
            (Some(_), _) => {
                let error = CommandError::usage(format!("several plans of {key} wait: which one is meant?"));
                return Err(error.hint(format!("they are: {}", command("approve --list", key.env.as_str()))));
            }
            (None, _) => return Err(CommandError::failed(format!("no plan of {key} waits for anybody"))),
        };
        ctx.say(&style::plan(one.text.trim_end()));
        ctx.say("");
        let asked: Vec<_> = one.asked.iter().map(|vote| said(vote, now())).collect();
        ctx.say(&format!("  asked for by {}: {}", asked.join(", "), one.reason));
        if !ctx.global.yes && ctx.may_ask() && !terminal::confirm("May it be carried out?")? {
            return Err(CommandError::failed("nothing was approved"));
        }
        let approved = client.approve(&key, &one.plan).await?;
        ctx.say(&format!("{} approved {}, until {}", paint(GOOD, "✓"), approved.plan, moment(approved.until)));
        ctx.next(&format!("whoever asked goes on with: {}", command("up", key.env.as_str())));
        Ok(Exit::Ok)
    }
}

fn said(vote: &Vote, now: Timestamp) -> String {
    format!("{} {}", vote.by, words::ago(vote.at, now))
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn render(all: &[ApprovalView], now: Timestamp) -> String {
    if all.is_empty() {
        return "no plan waits for a second person\n".to_owned();
    }
    let mut table = Table::new(&["PLAN", "WHAT", "ASKED BY", "APPROVED BY", "UNTIL"]);
    for one in all {
        table.row([
            one.plan.clone(),
            one.reason.clone(),
            one.asked.iter().map(|vote| said(vote, now)).collect::<Vec<_>>().join(", "),
            one.approved.as_ref().map_or(paint(WARN, "nobody yet"), |vote| said(vote, now)),
            moment(one.until),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn plans_that_wait_are_a_table() {
        let all: Vec<ApprovalView> = serde_json::from_value(serde_json::json!([
            {"plan": "3f9a2c01", "reason": "up", "text": "", "until": "2026-11-25T11:58:00Z",
             "asked": [{"by": "ann", "at": "2026-11-24T11:58:00Z"}]},
            {"plan": "77aa00bb", "reason": "scale web=3", "text": "", "until": "2026-11-25T11:00:00Z",
             "asked": [{"by": "ann", "at": "2026-11-24T11:00:00Z"}], "approved": {"by": "bob", "at": "2026-11-24T11:59:00Z"}}
        ]))
        .unwrap();
        insta::assert_snapshot!(plain(&render(&all, crate::follow::fixture::now())), @r"
        PLAN      WHAT         ASKED BY        APPROVED BY   UNTIL
        3f9a2c01  up           ann 2 min ago   nobody yet    2026-11-25 11:58 UTC
        77aa00bb  scale web=3  ann 60 min ago  bob 90 s ago  2026-11-25 11:00 UTC
        ");
    }
}
