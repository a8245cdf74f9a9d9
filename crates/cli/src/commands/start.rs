use clap::Args;
use daybook_api::change::{Change, Services};
use daybook_api::client::Exit;
use daybook_model::ServiceName;

use super::carry::{Ask, carry_out};
use crate::context::Ctx;
use crate::error::Result;

/// Start stopped services.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Services; all by default.
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
}

impl Start {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let wanted = Services { key: ctx.key().await?, services: self.services };
        carry_out(ctx, Change::Start(wanted), Ask::AtStake).await
    }
}
