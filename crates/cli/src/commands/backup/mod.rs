mod follow;
pub(super) mod moment;
mod render;
mod restore;

pub(super) use follow::all as follow_all;

use clap::{Args, Subcommand};
use daybook_api::backup::{BackUp, RunDrill, VerifyQuery};
use daybook_api::client::Exit;
use daybook_model::Timestamp;
use daybook_model::backup::Holding;

use self::restore::Which;
use crate::context::{Ctx, now};
use crate::error::Result;

/// Make, list, prove and restore backups of databases and volumes.
///
/// A backup counts once a restore of it was proven: a drill restores it into a scratch copy, compares every row and every
/// file with what was there when it was made, and measures how long that took.
///
/// NAME is that of a database, or else of a volume; `volume:NAME` is always a volume.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make backups now: of what is named, or of all databases and of all volumes that have a policy.
    Create {
        /// Databases and volumes.
        #[arg(value_name = "NAME")]
        of: Vec<Holding>,
    },
    /// List backups, and which of them are proven.
    Ls {
        /// Of these databases and volumes only.
        #[arg(value_name = "NAME")]
        of: Vec<Holding>,
    },
    /// Restore the newest backup of each into a scratch copy, and compare every row and every file.
    Drill {
        /// Databases and volumes; all that have a backup without.
        #[arg(value_name = "NAME")]
        of: Vec<Holding>,
        /// Another backup than the newest, by the end of its id.
        #[arg(long, value_name = "ID")]
        backup: Option<String>,
    },
    /// Replace what a database or a volume holds by a backup.
    ///
    /// What is there now is backed up before. PostgreSQL: the backup is restored beside it and compared, and only then
    /// both change names, at once; the one before stays until the next restore. A volume likewise, with the services
    /// that use it stopped for the moment of the change.
    Restore {
        /// The database or the volume.
        #[arg(value_name = "NAME", required_unless_present = "all")]
        of: Option<Holding>,
        /// Everything that has a backup: each database and each volume, one after the other.
        #[arg(long, conflicts_with_all = ["of", "backup"])]
        all: bool,
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
        /// The name of the database or volume, or with `--all` of the environment, typed again instead of a yes.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
    /// Look for damage in the repository: that everything is there, or every byte of it.
    Verify {
        /// Read every byte.
        #[arg(long)]
        everything: bool,
        /// Let the next backup store again what is missing or damaged, and keep what is whole.
        #[arg(long)]
        repair: bool,
    },
}

impl Backup {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let (client, key) = (ctx.client().await?, ctx.key().await?);
        match self.action {
            Action::Create { of } => {
                let begun = client.back_up(&key, &BackUp { of }).await?;
                let exit = follow::all(ctx, &key, begun).await?;
                if exit == Exit::Ok {
                    ctx.next(&format!("prove that it can be restored: {}", ctx.command("backup drill")));
                }
                Ok(exit)
            }
            Action::Ls { of } => {
                let mut view = client.backups(&key).await?;
                if !of.is_empty() {
                    view.holdings.retain(|one| of.iter().any(|written| one.of.is_meant_by(written)));
                }
                ctx.data(&view, |view| render::list(view, now()))?;
                match view.holdings.iter().find(|one| !one.backups.is_empty()) {
                    None => ctx.next(&format!("make one: {}", ctx.command("backup create"))),
                    Some(one) if one.proven.is_none() => {
                        ctx.next(&format!("prove one: {}", ctx.command(&format!("backup drill {}", one.of))));
                    }
                    Some(one) => {
                        let restore = ctx.command(&format!("backup restore {}", one.of));
                        ctx.next(&format!("go back to one: {restore} --backup ID"));
                    }
                }
                Ok(Exit::Ok)
            }
            Action::Drill { of, backup } => {
                let begun = client.drill(&key, &RunDrill { of, backup }).await?;
                follow::all(ctx, &key, begun).await
            }
            Action::Restore { of, all: _, backup, at, without_backup, confirm } => {
                let which = Which { backup, at, without_backup };
                restore::run(ctx, &key, of, &which, confirm.as_deref()).await
            }
            Action::Verify { everything, repair } => {
                let begun = client.verify_backups(&key, VerifyQuery { everything, repair }).await?;
                let exit = follow::all(ctx, &key, vec![begun]).await?;
                if repair && exit != Exit::Ok {
                    ctx.next(&format!("store again what is still there: {}", ctx.command("backup create")));
                } else if exit != Exit::Ok {
                    ctx.next(&format!("mend it: {}", ctx.command("backup verify --everything --repair")));
                }
                Ok(exit)
            }
        }
    }
}
