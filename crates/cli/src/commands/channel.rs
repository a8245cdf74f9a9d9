use clap::{Args, Subcommand};
use daybook_api::channel::{ChannelTested, ChannelView, TestChannel};
use daybook_api::client::Exit;
use daybook_model::Timestamp;
use daybook_model::name::ChannelName;

use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::message;
use crate::output::style::{BAD, DIM, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// See where people are told of incidents, and whether that works.
///
/// `notify` in the manifest describes channels: PagerDuty, Slack, Microsoft Teams, e-mail, webhooks, ntfy.
#[derive(Debug, Args)]
pub(crate) struct Channel {
    #[command(subcommand)]
    command: ChannelCommand,
}

#[derive(Debug, Subcommand)]
enum ChannelCommand {
    /// List channels: what was told there last, what waits, and what fails
    Ls,
    /// Send a test through a channel, and say what its receiver answers
    Test {
        /// The channel.
        channel: String,
    },
}

impl Channel {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        match self.command {
            ChannelCommand::Ls => {
                let channels = ctx.client().await?.channels(&key).await?;
                ctx.data(&channels, |channels| render(channels, now()))?;
                if channels.is_empty() {
                    ctx.next("describe one in the manifest, under `notify`");
                }
                for channel in &channels {
                    if let Some(why) = &channel.why {
                        message(&format!("{} {}: {why}", paint(WARN, "!"), channel.name));
                    }
                }
                Ok(Exit::Ok)
            }
            ChannelCommand::Test { channel } => {
                let channel = ChannelName::new(&channel).map_err(|error| CommandError::usage(error.to_string()))?;
                let tested = ctx.client().await?.test_channel(&key, &TestChannel { channel }).await?;
                ctx.data(&tested, result)?;
                Ok(if tested.works { Exit::Ok } else { Exit::Failed })
            }
        }
    }
}

fn render(channels: &[ChannelView], now: Timestamp) -> String {
    if channels.is_empty() {
        return "there is no channel: nobody is told of incidents\n".to_owned();
    }
    let mut table = Table::new(&["CHANNEL", "STATE", "FROM", "WAITING", "TOLD LAST", "WHERE"]);
    for channel in channels {
        let state = match (channel.state.as_str(), channel.failing_since) {
            (state @ ("dead" | "unusable"), None) => paint(BAD, state),
            ("dead", Some(since)) => {
                paint(BAD, format!("dead for {}", words::span(now.as_second() - since.as_second())))
            }
            ("failing", Some(since)) => {
                paint(WARN, format!("failing for {}", words::span(now.as_second() - since.as_second())))
            }
            ("works", _) => paint(GOOD, "works"),
            (state, _) => paint(DIM, state),
        };
        let told = channel.told.as_ref();
        let told = told.map_or("-".to_owned(), |told| format!("{}, {}", told.what, words::ago(told.at, now)));
        let from = if channel.changes { format!("{}, releases", channel.least) } else { channel.least.clone() };
        table.row([channel.name.to_string(), state, from, channel.waiting.to_string(), told, channel.to.clone()]);
    }
    table.render()
}

fn result(tested: &ChannelTested) -> String {
    let line = |sent: &daybook_api::channel::SentView| {
        let mark = if sent.taken { paint(GOOD, "✓") } else { paint(BAD, "✗") };
        format!("{mark} {}: {}\n", sent.kind, sent.answer)
    };
    let lines: String = tested.sent.iter().map(line).collect();
    format!("{lines}{} {} {}\n", tested.channel, if tested.works { "works:" } else { "does not work:" }, tested.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn channels_are_a_table() {
        let channels: Vec<ChannelView> = serde_json::from_str(
            r#"[{"name": "pager", "to": "PagerDuty at events.pagerduty.com", "least": "page", "changes": true,
                 "state": "dead", "waiting": 2, "failing_since": "2026-11-24T11:50:00Z", "why": "it answers 500"},
                {"name": "chat", "to": "Slack at hooks.slack.com", "least": "ticket", "changes": false, "state": "works",
                 "waiting": 0, "told": {"at": "2026-11-24T11:58:00Z", "what": "triggered: web fails"}}]"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&channels, "2026-11-24T12:00:00Z".parse().unwrap())), @r"
        CHANNEL  STATE            FROM            WAITING  TOLD LAST                        WHERE
        pager    dead for 10 min  page, releases  2        -                                PagerDuty at events.pagerduty.com
        chat     works            ticket          0        triggered: web fails, 2 min ago  Slack at hooks.slack.com
        ");
    }

    #[test]
    fn a_test_says_what_was_answered() {
        let tested: ChannelTested = serde_json::from_str(
            r#"{"channel": "chat", "to": "Slack at hooks.slack.com", "works": false,
                "sent": [{"kind": "triggered", "taken": false, "answer": "it answers 404 Not Found: no_service"}]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&result(&tested)), @r"
        ✗ triggered: it answers 404 Not Found: no_service
        chat does not work: Slack at hooks.slack.com
        ");
    }
}
