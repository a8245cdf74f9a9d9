use std::collections::BTreeMap;

use clap::Args;
use daybook_api::change::{Change, Scale as Wanted};
use daybook_api::client::Exit;
use daybook_model::ServiceName;

use super::carry::{Ask, carry_out};
use crate::context::Ctx;
use crate::error::{CommandError, Result};

/// Change how many replicas of a service run.
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// How many of which: `web=3`.
    #[arg(value_name = "SERVICE=COUNT", required = true, value_parser = share)]
    services: Vec<(ServiceName, u32)>,
}

impl Scale {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let mut services = BTreeMap::new();
        for (name, count) in self.services {
            if services.insert(name.clone(), count).is_some() {
                return Err(CommandError::usage(format!("{name} is given twice")));
            }
        }
        let wanted = Wanted { key: ctx.key().await?, services };
        carry_out(ctx, Change::Scale(wanted), Ask::AtStake).await
    }
}

fn share(text: &str) -> std::result::Result<(ServiceName, u32), String> {
    let (name, count) = text.split_once('=').ok_or("write it as SERVICE=COUNT, such as web=3")?;
    let name = name.parse().map_err(|error: daybook_model::InvalidName| error.to_string())?;
    Ok((name, count.parse().map_err(|_| format!("`{count}` is not a number of replicas"))?))
}
