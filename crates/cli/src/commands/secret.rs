use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::secret::{SecretView, SetSecret};
use daybook_model::{SecretName, Timestamp};

use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::style::{GOOD, paint};
use crate::output::table::Table;
use crate::output::words;
use crate::terminal;

/// Set, list and remove secrets. Their values are sealed and never shown again.
#[derive(Debug, Args)]
pub(crate) struct Secret {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set a secret to what is typed without echo, or to all of standard input. Never an argument:
    /// arguments can be seen by everybody on the machine.
    Set {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: SecretName,
        /// Make a random value that nobody sees.
        #[arg(long)]
        generate: bool,
    },
    /// List names and versions; never values.
    Ls,
    /// Remove a secret and all its versions.
    Rm {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: SecretName,
    },
}

impl Secret {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        match self.action {
            Action::Set { name, generate } => {
                let value = if generate { SetSecret::Generate { generate } } else { read(ctx, &name)? };
                let set = ctx.client().await?.set_secret(&key, &name, &value).await?;
                ctx.say(&format!("{} {name} of {key} is at version {}", paint(GOOD, "✓"), set.version));
                ctx.say(&format!("  give it to what runs: {}", ctx.command("up")));
            }
            Action::Ls => {
                let secrets = ctx.client().await?.secrets(&key).await?;
                ctx.data(&secrets, |secrets| render(secrets, now()))?;
                if secrets.is_empty() {
                    ctx.next(&format!("set one: {}", ctx.command("secret set NAME")));
                }
            }
            Action::Rm { name } => {
                ctx.client().await?.remove_secret(&key, &name).await?;
                ctx.say(&format!("{} removed {name} of {key}", paint(GOOD, "✓")));
            }
        }
        Ok(Exit::Ok)
    }
}

fn read(ctx: &Ctx, name: &SecretName) -> Result<SetSecret> {
    use std::io::IsTerminal as _;
    if std::io::stdin().is_terminal() && ctx.global.no_input {
        let error = CommandError::usage(format!("the value of {name} is missing"));
        return Err(error.hint("send it on standard input, or make one: --generate"));
    }
    let value = terminal::secret(&format!("Value of {name}:"))?;
    if value.is_empty() {
        return Err(CommandError::usage(format!("the value of {name} is empty; nothing was changed")));
    }
    Ok(SetSecret::Value { value })
}

fn render(secrets: &[SecretView], now: Timestamp) -> String {
    if secrets.is_empty() {
        return "no secret yet\n".to_owned();
    }
    let mut table = Table::new(&["SECRET", "VERSION>", "SET"]);
    for secret in secrets {
        table.row([secret.name.to_string(), secret.version.to_string(), words::ago(secret.set_at, now)]);
    }
    table.render()
}
