use clap::Args;
use daybook_api::change::{Change, Rollback as Wanted};
use daybook_api::client::Exit;
use daybook_model::ReleaseNumber;

use super::carry::{Ask, carry_out};
use crate::context::Ctx;
use crate::error::Result;

/// Go back to an earlier release: images, configuration, secrets and routes.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Number of the release; the one before the current by default. `daybook history` lists them.
    #[arg(value_name = "RELEASE")]
    release: Option<u64>,
}

impl Rollback {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let wanted = Wanted { key: ctx.key().await?, to: self.release.map(ReleaseNumber) };
        carry_out(ctx, Change::Rollback(wanted), Ask::AtStake).await
    }
}
