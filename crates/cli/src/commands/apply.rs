use std::path::PathBuf;

use clap::{Args, ValueHint};
use daybook_api::client::Exit;
use daybook_api::run::{Expect, RunRequest};

use super::carry::start;
use super::plan::{FORMAT, SavedPlan};
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style;

/// Carry out a saved plan exactly, or refuse because something changed since.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// What `daybook plan --out` wrote.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    plan: PathBuf,
}

impl Apply {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let saved = self.read()?;
        ctx.say(&style::plan(saved.text.trim_end()));
        ctx.say("");
        let expect = Expect { plan_id: saved.plan_id, basis: saved.basis };
        start(ctx, &saved.key, &RunRequest { change: saved.change, expect: Some(expect) }).await
    }

    fn read(&self) -> Result<SavedPlan> {
        let path = self.plan.display();
        let text = std::fs::read_to_string(&self.plan)
            .map_err(|error| CommandError::io(format_args!("read the plan {path}"), &error))?;
        let wrong = |why: String| CommandError::failed(format!("{path} is not a saved plan: {why}"));
        let saved: SavedPlan = serde_json::from_str(&text)
            .map_err(|error| wrong(error.to_string()).hint("save one: daybook plan --out FILE"))?;
        if saved.format != FORMAT {
            return Err(wrong(format!("format {} is not {FORMAT}", saved.format)));
        }
        Ok(saved)
    }
}
