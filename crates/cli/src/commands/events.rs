use std::pin::pin;

use clap::Args;
use daybook_api::Client;
use daybook_api::client::Exit;
use daybook_api::event::{EventView, EventsQuery, PROGRESS};
use daybook_model::Timestamp;
use futures::StreamExt as _;

use crate::args::Format;
use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{DIM, STRONG, paint};
use crate::output::{self, words};
use crate::server;

/// Show the journal: everything that happened, who caused it and when.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with new ones.
    #[arg(short, long)]
    follow: bool,
    /// How many of the last ones: 50 in a table and all otherwise, by default.
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Of every environment.
    #[arg(short, long)]
    all: bool,
}

/// How many events a table shows.
const TABLE: usize = 50;

impl Events {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = if self.all { None } else { Some(ctx.key().await?) };
        let client = ctx.client().await?;
        let limit = self.limit.or((ctx.format() == Format::Table).then_some(TABLE));
        let query = EventsQuery { key, limit, ..EventsQuery::default() };
        if !self.follow {
            let events = client.events(&query).await?;
            ctx.data(&events, |events| events.iter().map(|event| render(event, self.all, now())).collect())?;
            return Ok(Exit::Ok);
        }
        self.follow(ctx, client.clone(), query).await
    }

    /// Goes on across restarts of the server, from the last entry that was seen.
    async fn follow(&self, ctx: &Ctx, mut client: Client, mut query: EventsQuery) -> Result<Exit> {
        loop {
            let mut events = pin!(client.follow_events(&query).await?);
            while let Some(event) = events.next().await {
                let event = match event {
                    Err(error) if error.is_connection() => break,
                    event => event?,
                };
                match ctx.format() {
                    Format::Table => output::text(&render(&event, self.all, now()))?,
                    _ => output::data(Format::Jsonl, &event, |_| String::new())?,
                }
                query.after = event.seq.or(query.after);
                query.limit = None;
            }
            client = server::wait(ctx).await?;
        }
    }
}

fn render(event: &EventView, with_key: bool, now: Timestamp) -> String {
    let seq = event.seq.map(|seq| seq.to_string()).unwrap_or_default();
    let time = words::moment(event.at, now);
    let key = event.key.as_ref().filter(|_| with_key).map(|key| format!("{key}  ")).unwrap_or_default();
    let strong = matches!(event.kind.as_str(), "run_started" | "run_finished" | "swap_back" | "release_accepted");
    let text = match event.kind.as_str() {
        PROGRESS => paint(DIM, &event.text),
        _ if strong => paint(STRONG, &event.text),
        _ => event.text.clone(),
    };
    format!("{} {time}  {:8} {key}{text}\n", paint(DIM, format!("{seq:>6}")), event.actor.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn an_event_is_a_line_with_its_place_time_and_actor() {
        let event: EventView = serde_json::from_str(
            r#"{"seq": 12, "at": "2026-11-24T11:59:01Z", "key": "shop/production", "kind": "run_started",
                "actor": {"name": "ada", "origin": "cli"}, "text": "run began: up, release 41 → 42"}"#,
        )
        .unwrap();
        let now = crate::follow::fixture::now();
        assert_eq!(plain(&render(&event, false, now)), "    12 11:59:01  ada      run began: up, release 41 → 42\n");
        assert!(render(&event, true, now).contains("ada      shop/production  "));
    }
}
