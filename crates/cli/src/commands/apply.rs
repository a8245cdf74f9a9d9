use std::path::PathBuf;

use clap::{Args, ValueHint};
use daybook_api::client::Exit;
use daybook_api::run::{Expect, RunRequest};

use super::carry::start;
use crate::context::Ctx;
use crate::error::Result;
use crate::output::style;
use crate::saved_plan::SavedPlan;

/// Carry out a saved plan exactly, or refuse because something changed since.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// What `daybook plan --out` wrote.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    plan: PathBuf,
}

impl Apply {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let saved = SavedPlan::read(&self.plan)?;
        ctx.say(&style::plan(saved.text.trim_end()));
        ctx.say("");
        let change = saved.change()?;
        let expect = Expect { plan_id: saved.plan_id, basis: saved.basis };
        start(ctx, &saved.key, &RunRequest { change, expect: Some(expect) }).await
    }
}
