//! `daybook backup restore`: of one thing, or of a whole environment.

use daybook_api::backup::{BackupsView, Restore, RestorePlan};
use daybook_api::client::Exit;
use daybook_model::backup::Holding;
use daybook_model::{EnvKey, Timestamp};

use super::{follow, render};
use crate::args::Format;
use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::terminal;

/// Which backups are meant.
pub(super) struct Which {
    pub(super) backup: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) without_backup: bool,
}

/// Restores `of`; without one, everything that has a backup. All is planned and shown before anything is done.
pub(super) async fn run(
    ctx: &Ctx,
    key: &EnvKey,
    of: Option<Holding>,
    which: &Which,
    confirmed: Option<&str>,
) -> Result<Exit> {
    let client = ctx.client().await?;
    let is_all = of.is_none();
    let all = match of {
        Some(of) => vec![of],
        None => with_backups(key, &client.backups(key).await?)?,
    };
    let wanted = |of, backup, at| Restore { of, backup, at, without_backup: which.without_backup };
    let mut plans = Vec::with_capacity(all.len());
    for of in all {
        plans.push(client.plan_restore(key, &wanted(of, which.backup.clone(), which.at)).await?);
    }
    if ctx.format() == Format::Table {
        for plan in &plans {
            ctx.say(render::restore(plan, now()).trim_end());
        }
        ctx.say("");
    }
    match plans.first() {
        Some(plan) if !is_all => ask(ctx, plan.of.kind(), plan.of.name(), |typed| is_of(plan, typed), confirmed)?,
        _ => ask(ctx, "environment", key.env.as_str(), |typed| typed == key.env.as_str(), confirmed)?,
    }
    let mut exit = Exit::Ok;
    for plan in plans {
        let wanted = match plan.point_in_time {
            Some(at) => wanted(plan.of, None, Some(at)),
            // What was shown is what is done: another backup may have been made meanwhile.
            None => wanted(plan.of, Some(plan.backup.id.to_string()), None),
        };
        let begun = client.restore(key, &wanted).await?;
        // What can be had back is, whatever becomes of the others.
        if follow::all(ctx, key, vec![begun]).await? != Exit::Ok {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// Everything that has a backup.
fn with_backups(key: &EnvKey, view: &BackupsView) -> Result<Vec<Holding>> {
    let with = view.holdings.iter().filter(|one| one.backups.iter().any(|backup| backup.snapshot.is_some()));
    let all: Vec<_> = with.map(|one| one.of.clone()).collect();
    if all.is_empty() {
        return Err(CommandError::usage(format!("{key} has no backup in {}", view.place)));
    }
    Ok(all)
}

fn is_of(plan: &RestorePlan, typed: &str) -> bool {
    typed.parse().is_ok_and(|typed| plan.of.is_meant_by(&typed))
}

/// What is there is replaced: the name is typed, as for whatever destroys.
fn ask(ctx: &Ctx, kind: &str, name: &str, is_it: impl Fn(&str) -> bool, confirmed: Option<&str>) -> Result<()> {
    if let Some(typed) = confirmed {
        return match is_it(typed) {
            true => Ok(()),
            false => Err(CommandError::usage(format!("`{typed}` is not the {kind} that would be replaced, `{name}`"))),
        };
    }
    if !ctx.may_ask() {
        let message = format!("to replace what {name} holds needs its name");
        return Err(CommandError::usage(message).hint(format!("--confirm={name}")));
    }
    match is_it(terminal::ask(&format!("type {name} to replace what it holds: "))?.trim()) {
        true => Ok(()),
        false => Err(CommandError::said(Exit::Failed)),
    }
}
