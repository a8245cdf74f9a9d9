use clap::Args;
use daybook_api::client::Exit;
use daybook_api::run::{RunState, RunsQuery};

use super::carry::follow;
use crate::context::Ctx;
use crate::error::{CommandError, Result};

/// Go on with the run that is open, or follow it if it goes on already.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Give the run up instead, so that another change can begin.
    #[arg(long)]
    abandon: bool,
}

impl Resume {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let client = ctx.client().await?;
        let query = RunsQuery { key: Some(key.clone()), limit: Some(1) };
        let newest = client.runs(&query).await?.into_iter().find(|run| run.state != RunState::Finished);
        let Some(run) = newest else {
            let message = format!("no run of {key} is open");
            return Err(CommandError::failed(message).hint(format!("see what ran: {}", ctx.command("history"))));
        };
        if self.abandon {
            client.abandon(run.id).await?;
            ctx.say(&format!("gave up `{}` of {key}; what served still serves.", run.reason));
            ctx.say(&format!("bring it to a release: {}", ctx.command("up")));
            return Ok(Exit::Ok);
        }
        if run.state == RunState::Interrupted {
            client.resume(run.id).await?;
        }
        follow(ctx, run.id).await
    }
}
