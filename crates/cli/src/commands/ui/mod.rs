//! A terminal that shows an environment as it goes on.
//!
//! - `state` says what is looked at, and what a key or news make of it. Pure.
//! - `view` draws it. Pure.
//! - `feed` asks the server again and again, and reads keys.

mod feed;
mod state;
mod view;

use std::io;

use clap::Args;
use daybook_api::Client;
use daybook_api::client::Exit;
use daybook_api::incident::Marking;
use daybook_api::plan::PlanRequest;
use daybook_api::run::{RunReply, RunRequest};
use ratatui::DefaultTerminal;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use state::{Effect, Input, State};

/// Watch the environment in a terminal: services, logs, measurements, incidents.
///
/// `?` shows the keys, `q` leaves. Nothing is changed without a plan that was looked at.
#[derive(Debug, Args)]
pub(crate) struct Ui {}

impl Ui {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let hint = "daybook status, logs, query and incident show the same without one";
        if !io::IsTerminal::is_terminal(&io::stdout()) || !io::IsTerminal::is_terminal(&io::stdin()) {
            return Err(CommandError::usage("ui needs a terminal").hint(hint));
        }
        let key = ctx.key().await?;
        let client = ctx.client().await?.clone();
        // What is seen first is known before the screen is taken, so that a refusal is told as by any command.
        let status = client.status(&key).await?;
        let mut state = State::new(key.clone(), now());
        state.update(Input::Status(Ok(Box::new(status))));
        let (wanted, lines) = watch::channel(state.wanted());
        let (news, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let ends = feed::Ends::caught().map_err(|error| CommandError::io("listen for signals", &error))?;
        let mut screen = Screen::take().map_err(|error| CommandError::io("take the terminal", &error))?;
        feed::begin(&client, &key, &news, &lines, ends);
        loop {
            screen.draw(&state).map_err(|error| CommandError::io("draw", &error))?;
            let Some(input) = heard.recv().await else { return Ok(Exit::Ok) };
            let effect = state.update(input);
            wanted.send_if_modified(|known| {
                let before = std::mem::replace(known, state.wanted());
                effect == Some(Effect::Search) || before != *known
            });
            match effect {
                None | Some(Effect::Search) => {}
                Some(Effect::Leave) => return Ok(Exit::Ok),
                Some(effect) => _ = tokio::spawn(carry_out(client.clone(), effect, news.clone())),
            }
        }
    }
}

/// Does what a person wants done, and tells what came of it.
async fn carry_out(client: Client, effect: Effect, news: UnboundedSender<Input>) {
    let input = match effect {
        Effect::Acknowledge(incident) => Input::Said(acknowledge(&client, &incident).await),
        Effect::Plan(request) => planned(&client, *request).await,
        Effect::Run(request) => Input::Said(begun(&client, *request).await),
        Effect::Leave | Effect::Search => return,
    };
    // Whoever has left need not know.
    let _ = news.send(input);
}

async fn acknowledge(client: &Client, incident: &str) -> String {
    match client.mark_incident(incident, &Marking::Acknowledge).await {
        Ok(incident) => format!("{} is {}", incident.short, incident.state),
        Err(error) => error.to_string(),
    }
}

async fn planned(client: &Client, request: PlanRequest) -> Input {
    let plan = client.plan(&request).await;
    Input::Planned(plan.map(|plan| Box::new((plan, request.change))).map_err(|error| error.to_string()))
}

async fn begun(client: &Client, request: RunRequest) -> String {
    match client.run(&request).await {
        Ok(RunReply::Started(started)) => format!("it goes on to release {}", started.to),
        Ok(RunReply::Nothing(_)) => "there is nothing to do".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The terminal, taken until this is dropped; given back as it was also where something panics.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }

    fn draw(&mut self, state: &State) -> io::Result<()> {
        self.0.draw(|frame| view::draw(frame, state)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
