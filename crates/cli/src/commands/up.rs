use clap::Args;
use daybook_api::change::Change;
use daybook_api::client::Exit;
use daybook_manifest::Aim;

use super::carry::{Ask, carry_out};
use crate::context::Ctx;
use crate::error::Result;
use crate::manifest;

/// Bring the environment to what the manifest says, with no failed request.
///
/// Shows the plan and goes. On a terminal it asks first when something would be lost for good or
/// when requests would have to wait; `--yes` answers for you, and so does a script.
///
/// Ctrl-C stops the run where it is safe; a second Ctrl-C leaves at once.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Accepted for Compose's sake: runs always go on by themselves.
    #[arg(short, long, hide = true)]
    detach: bool,
    /// Bring the environments of one of the manifest's `fleets` to it, wave by wave. The first wave that goes wrong
    /// is the last; the same command goes on from there.
    #[arg(long, value_name = "FLEET")]
    fleet: Option<String>,
}

impl Up {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        if let Some(fleet) = &self.fleet {
            return super::fleet::up(ctx, fleet).await;
        }
        carry_out(ctx, Change::Up(manifest::up(ctx, Aim::Act)?), Ask::AtStake).await
    }
}
