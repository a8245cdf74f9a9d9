use clap::Args;
use daybook_api::change::{Change, Down as Wanted};
use daybook_api::client::Exit;
use daybook_model::{EnvKey, VolumeName};

use super::carry::{Ask, carry_out};
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::message;
use crate::terminal;

/// End and remove everything that runs. Volumes stay unless they are named.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Volumes to remove with all that they hold, joined by commas. `daybook status` lists them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    volumes: Vec<VolumeName>,
    /// Confirms that volumes are to be removed: APP/ENVIRONMENT, as it would have to be typed.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

impl Down {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let ask = if self.volumes.is_empty() {
            Ask::Always
        } else {
            self.confirm(ctx, &key)?;
            Ask::Never
        };
        carry_out(ctx, Change::Down(Wanted { key, volumes: self.volumes }), ask).await
    }

    /// Removing data asks for the environment's name; `--yes` is not enough.
    fn confirm(&self, ctx: &Ctx, key: &EnvKey) -> Result<()> {
        let names: Vec<_> = self.volumes.iter().map(ToString::to_string).collect();
        let typed = match &self.confirm {
            Some(name) => name.clone(),
            None if ctx.may_ask() => {
                message(&format!("This removes {} of {key} and all that they hold, for good.", names.join(", ")));
                terminal::ask(&format!("Type {key} to go on:"))?
            }
            None => {
                let message = format!("removing volumes has to be confirmed: {}", names.join(", "));
                return Err(CommandError::usage(message).hint(format!("add --confirm={key}")));
            }
        };
        if typed == key.to_string() {
            return Ok(());
        }
        Err(CommandError::failed(format!("`{typed}` is not {key}; nothing was changed")))
    }
}
