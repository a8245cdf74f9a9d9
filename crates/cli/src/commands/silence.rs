use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::incident::IncidentsQuery;
use daybook_api::silence::{AddSilence, SilenceView};
use daybook_manifest::span_ms;
use daybook_model::Timestamp;

use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{DIM, GOOD, paint};
use crate::output::table::Table;
use crate::output::words;

/// Let nobody be told of some alerts for a time.
///
/// A silenced alert is still evaluated and shown. It opens no incident, and ends nobody's sleep. A silence ends by itself.
#[derive(Debug, Args)]
pub(crate) struct Silence {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Debug, Subcommand)]
enum SilenceCommand {
    /// Make one
    Add {
        /// Which alerts, as Alertmanager writes it: `service=web`, `alertname=~"High.*"`. All have to hold.
        #[arg(value_name = "MATCHER", required_unless_present = "all")]
        matchers: Vec<String>,
        /// All alerts of the environment: for maintenance.
        #[arg(long, conflicts_with = "matchers")]
        all: bool,
        /// How long.
        #[arg(long = "for", value_name = "TIME", value_parser = span_ms)]
        for_ms: u64,
        /// From when on: by default from now on.
        #[arg(long, value_name = "MOMENT")]
        from: Option<Timestamp>,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// List those that hold, or are to hold
    Ls {
        /// Also those that ended within five days, and of every environment.
        #[arg(short, long)]
        all: bool,
    },
    /// End one before its time
    Rm {
        /// Its id.
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl Silence {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.command {
            SilenceCommand::Add { matchers, all, for_ms, from, why } => {
                let asked = AddSilence { key: ctx.key().await?, matchers, all, starts: from, for_ms, why };
                let silence = ctx.client().await?.add_silence(&asked).await?;
                ctx.data(&silence, |silence| added(silence, now()))?;
                ctx.next(&format!("end it before: {}", ctx.command(&format!("silence rm {}", silence.id))));
            }
            SilenceCommand::Ls { all } => {
                let key = if all { None } else { Some(ctx.key().await?) };
                let silences = ctx.client().await?.silences(&IncidentsQuery { key, all }).await?;
                ctx.data(&silences, |silences| render(silences, now()))?;
            }
            SilenceCommand::Rm { id } => {
                let silence = ctx.client().await?.end_silence(&id).await?;
                ctx.data(&silence, |silence| format!("{} silence {} is over\n", paint(GOOD, "✓"), silence.id))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn added(silence: &SilenceView, now: Timestamp) -> String {
    let about = which(silence);
    let alerts = match silence.silenced {
        0 => String::new(),
        silenced => format!("; {} that it is about", words::plural(silenced as u64, "alert")),
    };
    let length = words::span(silence.ends.as_second() - silence.starts.as_second());
    let begins = if silence.state == "pending" {
        format!("from {} on ", words::moment(silence.starts, now))
    } else {
        String::new()
    };
    format!("{} silence {} of {about} holds {begins}for {length}{alerts}\n", paint(GOOD, "✓"), silence.id)
}

fn which(silence: &SilenceView) -> &str {
    if silence.matchers == "{}" { "all alerts" } else { &silence.matchers }
}

fn render(silences: &[SilenceView], now: Timestamp) -> String {
    if silences.is_empty() {
        return "nothing is silenced\n".to_owned();
    }
    let mut table = Table::new(&["ID", "STATE", "ENDS", "ALERTS", "NOW>", "BY", "WHY"]);
    for silence in silences {
        let state = if silence.state == "active" { silence.state.clone() } else { paint(DIM, &silence.state) };
        table.row([
            silence.id.clone(),
            state,
            words::ago(silence.ends, now),
            which(silence).to_owned(),
            silence.silenced.to_string(),
            silence.by.clone(),
            silence.why.clone(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn silences_are_a_table() {
        let silences: Vec<SilenceView> = serde_json::from_str(
            r#"[{"id": "0a1b2c3d", "key": "shop/production", "matchers": "{service=\"web\"}", "state": "active",
                "starts": "2026-12-01T10:00:00Z", "ends": "2026-12-01T12:00:00Z", "by": "ann", "why": "an upgrade", "silenced": 2}]"#,
        )
        .unwrap();
        let now = "2026-12-01T10:00:00Z".parse().unwrap();
        insta::assert_snapshot!(plain(&render(&silences, now)), @r#"
        ID        STATE   ENDS    ALERTS           NOW  BY   WHY
        0a1b2c3d  active  in 2 h  {service="web"}    2  ann  an upgrade
        "#);
        let text = plain(&added(&silences[0], now));
        assert_eq!(text, "✓ silence 0a1b2c3d of {service=\"web\"} holds for 2 h; 2 alerts that it is about\n");
        assert_eq!(render(&[], now), "nothing is silenced\n");
    }
}
