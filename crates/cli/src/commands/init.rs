use clap::Args;
use daybook_api::client::Exit;

use crate::context::Ctx;
use crate::error::Result;

/// Look at this directory and write a short manifest for it. Never overwrites anything.
#[derive(Debug, Args)]
pub(crate) struct Init {}

impl Init {
    pub(crate) fn run(self, _ctx: &Ctx) -> Result<Exit> {
        Ok(Exit::Ok)
    }
}
