use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use daybook_api::change::Change;
use daybook_api::client::Exit;
use daybook_api::plan::{PlanReply, PlanRequest};
use daybook_manifest::Aim;
use daybook_model::EnvKey;
use serde::{Deserialize, Serialize};

use super::carry::remarks;
use crate::args::Format;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::manifest;
use crate::output::style;

/// Show what `up` would change, without changing anything.
///
/// Exits with 0 when there is nothing to change and with 2 when there are changes.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Save the plan, for `daybook apply FILE` to carry out exactly or to refuse as stale.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

/// The same as `plan`.
#[derive(Debug, Args)]
pub(crate) struct Diff {}

impl Diff {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        Plan { out: None }.run(ctx).await
    }
}

/// A plan that a person looked at and saved.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedPlan {
    /// Version of this format.
    pub(crate) format: u32,
    /// The environment.
    pub(crate) key: EnvKey,
    /// What was asked for.
    pub(crate) change: Change,
    /// What was shown.
    pub(crate) plan_id: String,
    /// What it was made from.
    pub(crate) basis: String,
    /// As it was shown.
    pub(crate) text: String,
}

/// The format that is written, and the only one that is read.
pub(crate) const FORMAT: u32 = 1;

impl Plan {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let change = Change::Up(manifest::up(ctx, Aim::Look)?);
        let reply = ctx.client().await?.plan(&PlanRequest { change: change.clone(), carry_out: false }).await?;
        remarks(ctx, &reply);
        ctx.data(&reply, |reply| style::plan(&reply.text))?;
        if let Some(out) = &self.out {
            refuse_unresolved(&reply)?;
            save(out, &reply, change)?;
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

/// The file is readable by its owner only: a manifest's variables may be in it.
fn save(path: &Path, reply: &PlanReply, change: Change) -> Result<()> {
    let saved = SavedPlan {
        format: FORMAT,
        key: reply.key.clone(),
        change,
        plan_id: reply.plan_id.clone(),
        basis: reply.basis.clone(),
        text: reply.text.clone(),
    };
    let text = serde_json::to_string_pretty(&saved).expect("a saved plan is plain data");
    let failed = |error: std::io::Error| CommandError::io(format_args!("save the plan to {}", path.display()), &error);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
