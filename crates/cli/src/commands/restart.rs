use clap::Args;
use daybook_api::change::{Change, Services};
use daybook_api::client::Exit;
use daybook_model::ServiceName;

use super::carry::{Ask, carry_out};
use crate::context::Ctx;
use crate::error::Result;

/// Replace replicas by equal ones, with no failed request.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Services; all by default.
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
}

impl Restart {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let wanted = Services { key: ctx.key().await?, services: self.services };
        carry_out(ctx, Change::Restart(wanted), Ask::AtStake).await
    }
}
