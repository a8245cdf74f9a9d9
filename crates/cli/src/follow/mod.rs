//! Following a run until it ends, across lost connections and restarts of the server.
//!
//! Events only wake the loop: what is shown is always the whole run as the server tells of it, so
//! that nothing is missed or shown twice after a reconnection.

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod progress;
mod screen;
pub(crate) mod verdict;

use std::pin::pin;
use std::time::{Duration, Instant};

use daybook_api::Client;
use daybook_api::client::{self, Exit};
use daybook_api::event::{EventView, EventsQuery};
use daybook_api::run::{RunState, RunView};
use daybook_model::RunId;
use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::server;
use screen::Screen;

/// The run is asked for at least so often, for notes that no event announces.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Between two looks that events ask for.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(50);

/// Between two looks at a run of very many steps.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Between two attempts to reach a server that went away.
const RECONNECT_EVERY: Duration = Duration::from_millis(200);

/// How long a server that went away is looked for, where `--timeout` says nothing.
const RECONNECT_FOR: Duration = Duration::from_secs(60);

/// Shows a run until it has ended or stopped, and returns its last state.
///
/// Ctrl-C asks the server to stop the run where it is; a second one leaves at once with
/// [`Exit::Killed`]. A server that goes away is waited for, and started again if it is gone.
pub(crate) async fn follow(ctx: &Ctx, run: RunId) -> Result<RunView> {
    let interrupts = signal(SignalKind::interrupt()).map_err(|error| CommandError::io("listen for Ctrl-C", &error))?;
    let mut follow = Following {
        ctx,
        client: ctx.client().await?.clone(),
        run,
        screen: Screen::new(ctx.global.quiet),
        interrupts,
        asked_to_stop: false,
        deadline: ctx.global.timeout.map(|timeout| Instant::now() + timeout),
    };
    let view = follow.follow_to_the_end().await?;
    follow.screen.end(&view, now());
    Ok(view)
}

struct Following<'a> {
    ctx: &'a Ctx,
    client: Client,
    run: RunId,
    screen: Screen,
    interrupts: Signal,
    asked_to_stop: bool,
    deadline: Option<Instant>,
}

/// Why one connection's watch ended without the run having ended.
enum Broken {
    /// The server went away.
    Lost,
    /// There is nothing to wait for any more.
    Over(CommandError),
}

impl From<client::Error> for Broken {
    fn from(error: client::Error) -> Self {
        if error.is_connection() { Self::Lost } else { Self::Over(error.into()) }
    }
}

impl Following<'_> {
    async fn follow_to_the_end(&mut self) -> Result<RunView> {
        loop {
            match self.watch().await {
                Ok(view) => return Ok(view),
                Err(Broken::Over(error)) => return Err(error),
                Err(Broken::Lost) => self.reconnect().await?,
            }
        }
    }

    /// Watches over one connection.
    async fn watch(&mut self) -> std::result::Result<RunView, Broken> {
        // The newest entry is asked for too, so that the stream is not empty: nothing is lost between
        // the subscription and the first look, which comes after it.
        let query = EventsQuery { run: Some(self.run), limit: Some(1), ..EventsQuery::default() };
        let mut events = pin!(self.client.follow_events(&query).await?);
        loop {
            let began = Instant::now();
            let view = self.client.run_view(self.run).await?;
            self.screen.show(&view, now());
            if matches!(view.state, RunState::Finished | RunState::Interrupted) {
                return Ok(view);
            }
            // A look at a run of thousands of steps is large: looking takes a fifth of the time at most.
            let rest = (began.elapsed() * 4).clamp(LOOK_AT_MOST_EVERY, LONGEST_REST);
            tokio::select! {
                () = next(&mut events, rest) => {}
                _ = self.interrupts.recv() => self.interrupt().await?,
                () = tokio::time::sleep(rest.max(LOOK_EVERY)) => {}
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Broken::Over(self.out_of_time()));
            }
        }
    }

    /// The first Ctrl-C stops the run; the second leaves it to itself.
    async fn interrupt(&mut self) -> std::result::Result<(), Broken> {
        if self.asked_to_stop {
            return Err(Broken::Over(self.left()));
        }
        self.asked_to_stop = true;
        self.screen.say("stopping where it is safe; Ctrl-C again leaves at once");
        self.client.interrupt(self.run).await?;
        Ok(())
    }

    fn left(&self) -> CommandError {
        let command = self.ctx.command("resume");
        self.screen.say(&format!("left; the server winds the run down by itself.   see: {command}"));
        CommandError::said(Exit::Killed)
    }

    fn out_of_time(&self) -> CommandError {
        let command = self.ctx.command("resume");
        CommandError::failed("the run is not over after --timeout; it goes on by itself")
            .hint(format!("look at it again: {command}"))
    }

    /// Waits for the server to answer again, starting one where none is left.
    async fn reconnect(&mut self) -> Result<()> {
        self.screen.clear();
        self.screen.say("lost the connection to the server; looking for it again");
        let until = self.deadline.unwrap_or_else(|| Instant::now() + RECONNECT_FOR);
        loop {
            let reached = tokio::select! {
                reached = server::reach(self.ctx) => reached,
                _ = self.interrupts.recv() => return Err(self.left()),
            };
            match reached {
                Ok(client) => {
                    self.client = client;
                    self.screen.say("the server answers again; the run goes on");
                    return Ok(());
                }
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => tokio::time::sleep(RECONNECT_EVERY).await,
            }
        }
    }
}

/// Waits for an event, then swallows those that come with it. The end of the stream is no event: the
/// next look finds out what it means.
async fn next(events: &mut (impl Stream<Item = client::Result<EventView>> + Unpin), rest: Duration) {
    if !matches!(events.next().await, Some(Ok(_))) {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(rest).await;
    while let Some(Some(Ok(_))) = events.next().now_or_never() {}
}
