//! Databases of the manifest: the server knows where they are and how to get in.

use daybook_api::client::Exit;
use daybook_api::database::HistoryChange;
use daybook_model::DatabaseName;

use super::{Action, advise, confirm, render, say_wrong, shell, tell, upgrade};
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style::{GOOD, paint};

/// Carries out what is asked of the database `name`, and gives the code to exit with.
pub(super) async fn run(ctx: &Ctx, name: &DatabaseName, action: Action) -> Result<u8> {
    let exit = match action {
        Action::Shell { arguments, .. } => return shell::run(ctx, name, arguments).await,
        Action::Status { .. } => status(ctx, name).await?,
        Action::Validate { .. } => validate(ctx, name).await?,
        Action::Upgrade { rehearse, finish, .. } => {
            let what = match (rehearse, finish) {
                (true, _) => upgrade::What::Rehearsal,
                (_, true) => upgrade::What::Finish,
                _ => upgrade::What::All,
            };
            upgrade::run(ctx, name, what).await?
        }
        Action::Tune { .. } => advise(ctx, &ctx.client().await?.tune(&ctx.key().await?, name).await?)?,
        Action::Migrate { .. } => {
            let message = format!("`{name}` is migrated by `daybook up`, before what uses it starts");
            return Err(CommandError::usage(message).hint("`daybook plan` shows what is to be run"));
        }
        Action::Baseline { version, .. } => change(ctx, name, HistoryChange::Baseline(version.to_string())).await?,
        Action::Repair { .. } => {
            confirm(ctx, "change the history of", name.as_str())?;
            change(ctx, name, HistoryChange::Repair).await?
        }
        Action::Undo { to, .. } => {
            confirm(ctx, "take versions back in", name.as_str())?;
            change(ctx, name, HistoryChange::Undo(to.map(|version| version.to_string()))).await?
        }
    };
    Ok(exit.code())
}

async fn status(ctx: &Ctx, name: &DatabaseName) -> Result<Exit> {
    let view = ctx.client().await?.database(&ctx.key().await?, name).await?;
    ctx.data(&view, render::status)?;
    if view.wrong.is_empty() {
        match view.migrations.iter().any(|migration| migration.state == "pending") {
            true => ctx.next("run them: daybook up"),
            false => ctx.next("nothing is to be run"),
        }
    } else {
        say_wrong(ctx, &view.wrong);
    }
    Ok(Exit::Ok)
}

async fn validate(ctx: &Ctx, name: &DatabaseName) -> Result<Exit> {
    let view = ctx.client().await?.database(&ctx.key().await?, name).await?;
    if view.wrong.is_empty() {
        ctx.say(&format!("{} the files fit the history of {name}", paint(GOOD, "✓")));
        return Ok(Exit::Ok);
    }
    Err(CommandError::failed(view.wrong.join("\n")))
}

async fn change(ctx: &Ctx, name: &DatabaseName, change: HistoryChange) -> Result<Exit> {
    let done = ctx.client().await?.change_history(&ctx.key().await?, name, &change).await?;
    tell(ctx, name.as_str(), &done, true)?;
    Ok(Exit::Ok)
}
