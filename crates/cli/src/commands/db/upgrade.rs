//! `daybook db upgrade`: to another series of a database server, rehearsed on a copy.

use daybook_api::client::Exit;
use daybook_api::upgrade::{Upgrade, UpgradePlan};
use daybook_manifest::Aim;
use daybook_model::{DatabaseName, EnvKey};

use super::confirm;
use crate::args::Format;
use crate::commands::backup::follow_all;
use crate::context::{Ctx, now};
use crate::error::Result;
use crate::manifest;
use crate::output::words;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The rehearsal and the upgrade.
    All,
    /// The rehearsal.
    Rehearsal,
    /// The end: the old files go.
    Finish,
}

/// Carries out what is asked of the database `name`.
pub(super) async fn run(ctx: &Ctx, name: &DatabaseName, what: What) -> Result<Exit> {
    let (client, key) = (ctx.client().await?, ctx.key().await?);
    if what == What::Finish {
        confirm(ctx, "remove the files that the server before has left of", name.as_str())?;
        return follow_all(ctx, &key, vec![client.finish_upgrade(&key, name).await?]).await;
    }
    let wanted = Upgrade { up: manifest::up_by(&ctx.global, Aim::Act)? };
    let mut plan = client.plan_upgrade(&key, name, &wanted).await?;
    if let Some(why) = &plan.needless {
        ctx.say(why);
        return Ok(Exit::Ok);
    }
    if plan.rehearsed.is_none() || what == What::Rehearsal {
        let begun = client.rehearse_upgrade(&key, name, &wanted).await?;
        let exit = follow_all(ctx, &key, vec![begun]).await?;
        if exit != Exit::Ok || what == What::Rehearsal {
            if exit == Exit::Ok {
                ctx.next(&format!("do it: {}", ctx.command(&format!("db upgrade {name}"))));
            }
            return Ok(exit);
        }
        plan = client.plan_upgrade(&key, name, &wanted).await?;
    }
    carry_out(ctx, &key, name, &wanted, &plan).await
}

async fn carry_out(ctx: &Ctx, key: &EnvKey, name: &DatabaseName, wanted: &Upgrade, plan: &UpgradePlan) -> Result<Exit> {
    if ctx.format() == Format::Table {
        ctx.say(&text(plan));
    }
    confirm(ctx, "upgrade", name.as_str())?;
    let begun = ctx.client().await?.upgrade(key, name, wanted).await?;
    let exit = follow_all(ctx, key, vec![begun]).await?;
    if exit == Exit::Ok {
        let finish = ctx.command(&format!("db upgrade {name} --finish"));
        ctx.next(&format!("once all is well, remove the old files: {finish}"));
    }
    Ok(exit)
}

fn text(plan: &UpgradePlan) -> String {
    let when = plan.rehearsed.as_ref().map(|one| format!(", rehearsed {}", words::ago(one.at, now())));
    let mut text = format!("from {} to {}{}\n", plan.from, plan.to, when.unwrap_or_default());
    for (at, step) in (1..).zip(&plan.steps) {
        text.push_str(&format!("  {at}. {step}\n"));
    }
    for what in &plan.left_out {
        text.push_str(&format!("  not carried over: {what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_done_is_shown_before_the_question() {
        let plan = UpgradePlan {
            from: "PostgreSQL 15".to_owned(),
            to: "PostgreSQL 16".to_owned(),
            needless: None,
            steps: vec!["stop web".to_owned(), "start web again".to_owned()],
            left_out: vec!["db__before, which the last restore has left".to_owned()],
            rehearsed: None,
        };
        insta::assert_snapshot!(text(&plan), @r"
        from PostgreSQL 15 to PostgreSQL 16
          1. stop web
          2. start web again
          not carried over: db__before, which the last restore has left
        ");
    }
}
