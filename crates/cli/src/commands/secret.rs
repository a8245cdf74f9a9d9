use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use daybook_api::change::{Change, NewValue, Rotate};
use daybook_api::client::Exit;
use daybook_api::secret::{SecretView, SetSecret};
use daybook_model::{SecretName, Timestamp};
use daybook_server::{KeyForm, SHORTEST_PASSPHRASE};

use super::carry::{Ask, carry_out};
use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::style::{GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;
use crate::terminal;

/// Set, rotate, list and remove secrets. Their values are sealed and never shown again.
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
    /// Set a secret for each line `NAME=value` of a file, as Compose reads env files. A value that a secret has already
    /// is no new version.
    Import {
        // Not called `file`: clap would take it for the manifest, whose option is there for every command.
        /// The file: `.env`.
        #[arg(value_name = "FILE")]
        lines: PathBuf,
        /// Only these names.
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        only: Vec<SecretName>,
    },
    /// Give secrets new values, and replace the replicas that have the old ones, with no failed request.
    ///
    /// Where nothing else is said, the new value comes from where the old one came from: a generated secret is
    /// generated again, and one that a Vault keeps is read again.
    Rotate {
        /// Their names.
        #[arg(value_name = "NAME", required = true)]
        names: Vec<SecretName>,
        /// Make random values that nobody sees.
        #[arg(long, conflicts_with = "value")]
        generate: bool,
        /// Read the new value, of one secret: typed without echo, or all of standard input.
        #[arg(long)]
        value: bool,
    },
    /// List names and versions; never values.
    Ls,
    /// Show how the master key of this machine's state lies there, or seal it under a passphrase.
    ///
    /// Whoever has the database and the master key has every secret. Sealed, the key is of no use without its
    /// passphrase, which the server is given in a file: `daybook serve --passphrase-file`.
    Key {
        /// Seal it under a passphrase: typed twice without echo, or all of standard input.
        #[arg(long, conflicts_with = "unseal")]
        seal: bool,
        /// Let it lie there as it is.
        #[arg(long)]
        unseal: bool,
        /// The file of its present passphrase.
        #[arg(long, value_name = "FILE", env = "DAYBOOK_PASSPHRASE_FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Remove a secret and all its versions.
    Rm {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: SecretName,
    },
}

impl Secret {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.action {
            Action::Key { seal, unseal, passphrase_file } => {
                return master_key(ctx, seal, unseal, passphrase_file.as_deref());
            }
            Action::Rotate { names, generate, value } => {
                let (key, secrets) = (ctx.key().await?, new_values(ctx, names, generate, value)?);
                return carry_out(ctx, Change::Rotate(Rotate { key, secrets }), Ask::AtStake).await;
            }
            Action::Import { lines, only } => import(ctx, &lines, &only).await?,
            Action::Set { name, generate } => {
                let key = ctx.key().await?;
                let value = match generate {
                    true => SetSecret::Generate { generate },
                    false => SetSecret::Value { value: read(ctx, &name)? },
                };
                let set = ctx.client().await?.set_secret(&key, &name, &value).await?;
                ctx.say(&format!("{} {name} of {key} is at version {}", paint(GOOD, "✓"), set.version));
                ctx.say(&format!("  give it to what runs: {}", ctx.command("up")));
            }
            Action::Ls => {
                let key = ctx.key().await?;
                let secrets = ctx.client().await?.secrets(&key).await?;
                ctx.data(&secrets, |secrets| render(secrets, now()))?;
                if secrets.is_empty() {
                    ctx.next(&format!("set one: {}", ctx.command("secret set NAME")));
                }
            }
            Action::Rm { name } => {
                let key = ctx.key().await?;
                ctx.client().await?.remove_secret(&key, &name).await?;
                ctx.say(&format!("{} removed {name} of {key}", paint(GOOD, "✓")));
            }
        }
        Ok(Exit::Ok)
    }
}

/// Everything is looked at before anything is set.
async fn import(ctx: &Ctx, file: &Path, only: &[SecretName]) -> Result<()> {
    let text =
        std::fs::read_to_string(file).map_err(|error| CommandError::io(format!("read {}", file.display()), &error))?;
    let located = |why: String| CommandError::failed(format!("{}: {why}", file.display()));
    let mut values = BTreeMap::new();
    for (name, value) in daybook_manifest::assignments(&text).map_err(located)? {
        let name: SecretName = name.parse().map_err(|why| located(format!("{name}: {why}")))?;
        if value.is_empty() {
            ctx.say(&format!("{} {name} is empty, and left out", paint(WARN, "!")));
        } else if only.is_empty() || only.contains(&name) {
            // The last line of a name counts.
            values.insert(name, value);
        }
    }
    if let Some(missing) = only.iter().find(|name| !values.contains_key(name)) {
        return Err(located(format!("it has no value for {missing}; nothing was set")));
    }
    if values.is_empty() {
        return Err(located("it has no line `NAME=value`; nothing was set".to_owned()));
    }
    let (key, client) = (ctx.key().await?, ctx.client().await?);
    let before = client.secrets(&key).await?;
    for (name, value) in values {
        let known = before.iter().find(|secret| secret.name == name).map(|secret| secret.version);
        let set = client.set_secret(&key, &name, &SetSecret::Value { value }).await?;
        let how = if known == Some(set.version) { " as it was" } else { "" };
        ctx.say(&format!("{} {name} of {key} is at version {}{how}", paint(GOOD, "✓"), set.version));
    }
    ctx.say(&format!(
        "  give them to what runs: `environment: {{NAME: {{secret: NAME}}}}`, then {}",
        ctx.command("up")
    ));
    Ok(())
}

fn master_key(ctx: &Ctx, seal: bool, unseal: bool, passphrase_file: Option<&Path>) -> Result<Exit> {
    let failed = |error: &dyn std::fmt::Display| CommandError::failed(error.to_string());
    let path = ctx.state.join("master.key");
    let Some(form) = daybook_server::key_form(&ctx.state).map_err(|error| failed(&error))? else {
        let error = CommandError::failed(format!("{} is not there", path.display()));
        return Err(
            error.hint("the first `daybook up` makes it; a server may have another, `--key-file` or `--key-from`")
        );
    };
    let is_sealed = form == KeyForm::Sealed;
    if !seal && !unseal {
        ctx.data(&serde_json::json!({"file": path, "sealed": is_sealed}), |_| {
            let how = if is_sealed { "sealed under a passphrase" } else { "as it is, readable by its owner only" };
            format!("{}: {how}\n", path.display())
        })?;
        if !is_sealed {
            ctx.next(&format!("seal it under a passphrase: {}", ctx.command("secret key --seal")));
        }
        return Ok(Exit::Ok);
    }
    let present = match passphrase_file {
        _ if !is_sealed => None,
        Some(file) => {
            let read = daybook_server::passphrase_in(file);
            Some(read.map_err(|error| CommandError::io("read the passphrase", &error))?)
        }
        None => {
            let error = CommandError::usage("the key is sealed under a passphrase, which is needed to change that");
            return Err(error.hint("give it in a file: --passphrase-file FILE"));
        }
    };
    let new = if seal { Some(new_passphrase()?) } else { None };
    let present = present.as_ref().map(|passphrase| passphrase.as_str());
    daybook_server::seal_key(&ctx.state, present, new.as_deref()).map_err(|error| failed(&error))?;
    let now = if seal { "is sealed under the passphrase" } else { "lies there as it is" };
    ctx.say(&format!("{} {} {now}", paint(GOOD, "✓"), path.display()));
    if seal {
        ctx.say("  a server needs it from its next start on: daybook serve --passphrase-file FILE, or DAYBOOK_PASSPHRASE_FILE");
        ctx.say("  without it every secret is lost: keep a copy of it elsewhere, and one of the key");
    }
    Ok(Exit::Ok)
}

fn new_passphrase() -> Result<String> {
    use std::io::IsTerminal as _;
    let passphrase = terminal::secret("New passphrase:")?;
    if passphrase.chars().count() < SHORTEST_PASSPHRASE {
        return Err(CommandError::usage(format!("a passphrase has at least {SHORTEST_PASSPHRASE} characters")));
    }
    if std::io::stdin().is_terminal() && terminal::secret("Once more:")? != passphrase {
        return Err(CommandError::usage("the two are not the same; nothing was changed"));
    }
    Ok(passphrase)
}

fn new_values(
    ctx: &Ctx,
    names: Vec<SecretName>,
    generate: bool,
    value: bool,
) -> Result<BTreeMap<SecretName, NewValue>> {
    let new = match (generate, value, names.as_slice()) {
        (true, ..) => NewValue::Generate,
        (_, true, [name]) => NewValue::Given(read(ctx, name)?),
        (_, true, _) => return Err(CommandError::usage("one value is of one secret: rotate them one by one")),
        _ => NewValue::Again,
    };
    Ok(names.into_iter().map(|name| (name, new.clone())).collect())
}

fn read(ctx: &Ctx, name: &SecretName) -> Result<String> {
    use std::io::IsTerminal as _;
    if std::io::stdin().is_terminal() && ctx.global.no_input {
        let error = CommandError::usage(format!("the value of {name} is missing"));
        return Err(error.hint("send it on standard input, or make one: --generate"));
    }
    let value = terminal::secret(&format!("Value of {name}:"))?;
    if value.is_empty() {
        return Err(CommandError::usage(format!("the value of {name} is empty; nothing was changed")));
    }
    Ok(value)
}

fn render(secrets: &[SecretView], now: Timestamp) -> String {
    if secrets.is_empty() {
        return "no secret yet\n".to_owned();
    }
    let mut table = Table::new(&["SECRET", "VERSION>", "SET", "FROM"]);
    for secret in secrets {
        let from = secret.kept.as_ref().map(|kept| format!("vault {kept}")).unwrap_or_default();
        table.row([secret.name.to_string(), secret.version.to_string(), words::ago(secret.set_at, now), from]);
    }
    table.render()
}
