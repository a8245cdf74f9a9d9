use std::path::PathBuf;

use clap::{Args, ValueHint};
use daybook_api::change::Change;
use daybook_api::client::Exit;
use daybook_api::plan::{PlanReply, PlanRequest};
use daybook_manifest::Aim;

use super::carry::remarks;
use crate::args::Format;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::manifest;
use crate::output::style;
use crate::saved_plan::SavedPlan;

/// Show what `up` would change, without changing anything.
///
/// Exits with 0 when there is nothing to change and with 2 when there are changes.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Save the plan, for `daybook apply FILE` to carry out exactly or to refuse as stale.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Plan the environments of one of the manifest's `fleets`, wave by wave.
    #[arg(long, value_name = "FLEET", conflicts_with = "out")]
    fleet: Option<String>,
}

/// The same as `plan`.
#[derive(Debug, Args)]
pub(crate) struct Diff {}

impl Diff {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        Plan { out: None, fleet: None }.run(ctx).await
    }
}

impl Plan {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        if let Some(fleet) = &self.fleet {
            return super::fleet::plan(ctx, fleet).await;
        }
        let change = Change::Up(manifest::up(ctx, Aim::Look)?);
        let reply = ctx.client().await?.plan(&PlanRequest { change: change.clone(), carry_out: false }).await?;
        remarks(ctx, &reply);
        ctx.data(&reply, |reply| style::plan(&reply.text))?;
        if let Some(out) = &self.out {
            refuse_unresolved(&reply)?;
            SavedPlan::of(&reply, change).write(out)?;
        }
        if reply.empty {
            return Ok(Exit::Ok);
        }
        match &self.out {
            Some(out) => ctx.say(&format!("carry it out: daybook apply {}", out.display())),
            None if ctx.format() == Format::Table => ctx.say(&format!("carry it out: {}", ctx.command("up"))),
            None => {}
        }
        Ok(Exit::Changes)
    }
}

/// A saved plan is carried out exactly as it was shown, which this one cannot be.
fn refuse_unresolved(reply: &PlanReply) -> Result<()> {
    let Some(first) = reply.unresolved.first() else { return Ok(()) };
    let what = match reply.unresolved.len() {
        1 => first.name.clone(),
        many => format!("{} and {} more", first.name, many - 1),
    };
    let message = format!("the plan is not saved: it cannot be carried out exactly before {what} can be had");
    Err(CommandError::failed(message).hint("plan again with `--out` when it can"))
}
