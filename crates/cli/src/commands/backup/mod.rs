mod follow;
mod moment;
mod render;

pub(super) use follow::all as follow_all;

use clap::{Args, Subcommand};
use daybook_api::backup::{BackUp, Restore, RestorePlan, RunDrill, VerifyQuery};
use daybook_api::client::Exit;
use daybook_model::{DatabaseName, Timestamp};

use crate::args::Format;
use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::terminal;

/// Make, list, prove and restore backups of databases.
///
/// A backup counts once a restore of it was proven: a drill restores it into a scratch copy, compares every row with
/// what the database held when it was made, and measures how long that took.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make backups now: of the databases named, or of all.
    Create {
        /// Databases.
        #[arg(value_name = "DATABASE")]
        databases: Vec<DatabaseName>,
    },
    /// List backups, and which of them are proven.
    Ls {
        /// Of these databases only.
        #[arg(value_name = "DATABASE")]
        databases: Vec<DatabaseName>,
    },
    /// Restore the newest backup of each database into a scratch copy, and compare every row.
    Drill {
        /// Databases; all that have a backup without.
        #[arg(value_name = "DATABASE")]
        databases: Vec<DatabaseName>,
        /// Another backup than the newest, by the end of its id.
        #[arg(long, value_name = "ID")]
        backup: Option<String>,
    },
    /// Replace what a database holds by a backup.
    ///
    /// What is there now is backed up before. PostgreSQL: the backup is restored beside it and compared, and only then
    /// both change names, at once; the one before stays until the next restore.
    Restore {
        /// The database.
        #[arg(value_name = "DATABASE")]
        database: DatabaseName,
        /// The backup, by the end of its id; the newest without.
        #[arg(long, value_name = "ID", conflicts_with = "at")]
        backup: Option<String>,
        /// As it was at this moment, where the policy says `point_in_time`; else the newest backup that is not of a later
        /// time. `2026-11-30T12:00:00Z`, or without a zone in UTC: `2026-11-30 12:00`, `2026-11-30` for its beginning.
        #[arg(long, value_name = "TIME", value_parser = moment::parse)]
        at: Option<Timestamp>,
        /// Lose what is there now.
        #[arg(long)]
        without_backup: bool,
        /// The name of the database, typed again instead of a yes.
        #[arg(long, value_name = "DATABASE")]
        confirm: Option<DatabaseName>,
    },
    /// Look for damage in the repository: that everything is there, or every byte of it.
    Verify {
        /// Read every byte.
        #[arg(long)]
        everything: bool,
    },
}

impl Backup {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let (client, key) = (ctx.client().await?, ctx.key().await?);
        match self.action {
            Action::Create { databases } => {
                let begun = client.back_up(&key, &BackUp { databases }).await?;
                let exit = follow::all(ctx, &key, begun).await?;
                if exit == Exit::Ok {
                    ctx.next(&format!("prove that it can be restored: {}", ctx.command("backup drill")));
                }
                Ok(exit)
            }
            Action::Ls { databases } => {
                let mut view = client.backups(&key).await?;
                if !databases.is_empty() {
                    view.databases.retain(|one| databases.contains(&one.database));
                }
                ctx.data(&view, |view| render::list(view, now()))?;
                match view.databases.iter().find(|one| !one.backups.is_empty()) {
                    None => ctx.next(&format!("make one: {}", ctx.command("backup create"))),
                    Some(one) if one.proven.is_none() => {
                        ctx.next(&format!("prove one: {}", ctx.command(&format!("backup drill {}", one.database))));
                    }
                    Some(one) => {
                        let restore = ctx.command(&format!("backup restore {}", one.database));
                        ctx.next(&format!("go back to one: {restore} --backup ID"));
                    }
                }
                Ok(Exit::Ok)
            }
            Action::Drill { databases, backup } => {
                let begun = client.drill(&key, &RunDrill { databases, backup }).await?;
                follow::all(ctx, &key, begun).await
            }
            Action::Restore { database, backup, at, without_backup, confirm } => {
                let wanted = Restore { database, backup, at, without_backup };
                let plan = client.plan_restore(&key, &wanted).await?;
                ask(ctx, &wanted, &plan, confirm.as_ref())?;
                let wanted = match plan.point_in_time {
                    Some(_) => wanted,
                    // What was shown is what is done: another backup may have been made meanwhile.
                    None => Restore { backup: Some(plan.backup.id.to_string()), at: None, ..wanted },
                };
                let begun = client.restore(&key, &wanted).await?;
                follow::all(ctx, &key, vec![begun]).await
            }
            Action::Verify { everything } => {
                let begun = client.verify_backups(&key, VerifyQuery { everything }).await?;
                follow::all(ctx, &key, vec![begun]).await
            }
        }
    }
}

/// What is there is replaced: the name is typed, as for whatever destroys.
fn ask(ctx: &Ctx, wanted: &Restore, plan: &RestorePlan, confirmed: Option<&DatabaseName>) -> Result<()> {
    if ctx.format() == Format::Table {
        ctx.say(render::restore(wanted, plan, now()).trim_end());
        ctx.say("");
    }
    let name = &wanted.database;
    if let Some(typed) = confirmed {
        return match typed == name {
            true => Ok(()),
            false => {
                Err(CommandError::usage(format!("`{typed}` is not the database that would be replaced, `{name}`")))
            }
        };
    }
    if !ctx.may_ask() {
        let message = format!("to replace what {name} holds needs its name");
        return Err(CommandError::usage(message).hint(format!("--confirm={name}")));
    }
    match terminal::ask(&format!("type {name} to replace what it holds: "))?.trim() == name.as_str() {
        true => Ok(()),
        false => Err(CommandError::said(Exit::Failed)),
    }
}
