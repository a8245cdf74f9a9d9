use clap::{Args, Subcommand};
use daybook_api::change::{Change, Leave, Move};
use daybook_api::client::Exit;
#[cfg(feature = "databases")]
use daybook_api::clone::CloneEnvironment;
use daybook_api::clone::CloneView;
use daybook_api::environment::{EnvironmentView, OtherEnvironmentView};
use daybook_manifest::Aim;
#[cfg(feature = "databases")]
use daybook_model::clone::CloneData;
use daybook_model::{EnvKey, EnvName, Target, Timestamp};

use super::carry::{Ask, carry_out};
use crate::args::Global;
use crate::context::{Ctx, command, now};
use crate::error::Result;
use crate::manifest;
use crate::output::style::{GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// List, create, take over and remove environments.
#[derive(Debug, Args)]
pub(crate) struct Env {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every environment of every app.
    Ls,
    /// Make an empty environment, for example to set its secrets before the first `up`.
    Create {
        /// Its name; the app is the manifest's, or `--app`.
        #[arg(value_name = "NAME")]
        name: EnvName,
    },
    /// Take over an environment that belonged to another Daybook, which is no more.
    Adopt {
        /// Its name; the app is the manifest's, or `--app`.
        #[arg(value_name = "NAME")]
        name: EnvName,
    },
    /// Bring an environment to another target, with no failed request.
    ///
    /// The manifest is carried out at the new target while the old one serves on. Where one edge stands before
    /// both, requests go over as soon as the new replicas are ready, these are watched, and then the old ones end;
    /// worse ones send everything back. Where each has an edge of its own, both serve until the names of the
    /// environment lead to the new one and `--finish` says so.
    Move {
        /// Its name; the app is the manifest's, or `--app`.
        #[arg(value_name = "NAME")]
        name: EnvName,
        /// Where it goes: `docker`, `process`, `kubernetes://CONTEXT[/NAMESPACE]`.
        #[arg(long, value_name = "TARGET", required_unless_present = "finish")]
        to: Option<Target>,
        /// Begin with empty volumes there; what they hold stays where it is.
        #[arg(long, requires = "to")]
        empty_volumes: bool,
        /// End what still runs at the target that the environment came from.
        #[arg(long, conflicts_with = "to")]
        finish: bool,
        /// Even if requests still come in there.
        #[arg(long, requires = "finish")]
        force: bool,
    },
    /// Make another environment of the same app: what runs, and the data of its databases, masked or not.
    ///
    /// It has names and secrets of its own. Personal data is masked by the rules of the manifest on its way, so that
    /// the clone never holds an original value. It is there as a whole, or not at all.
    #[cfg(feature = "databases")]
    Clone {
        /// The environment that it is of.
        #[arg(value_name = "SOURCE")]
        source: EnvName,
        /// What it is called.
        #[arg(value_name = "NAME")]
        name: EnvName,
        /// What it has of the data: `none`, `masked`, `full`.
        #[arg(long, value_name = "DATA", default_value = "masked")]
        data: CloneData,
        /// As it was at this moment: the release of then, with the data of then from its backups. `2026-11-30T12:00:00Z`, or
        /// without a zone in UTC: `2026-11-30 12:00`, `2026-11-30` for its beginning.
        #[arg(long, value_name = "TIME", value_parser = super::backup::moment::parse)]
        at: Option<Timestamp>,
        /// It goes by itself after this: `72h`, `7d`.
        #[arg(long, value_name = "SPAN", value_parser = daybook_manifest::span_ms)]
        ttl: Option<u64>,
        /// Copy columns that look personal and have no rule as they are.
        #[arg(long)]
        accept_unmasked: bool,
    },
    /// Forget an environment in which nothing runs any more.
    Rm {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: EnvName,
    },
}

impl Env {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.action {
            Action::Ls => {
                let client = ctx.client().await?;
                let environments = client.environments().await?;
                ctx.data(&environments, |environments| render(environments, now()))?;
                // A runtime that is away leaves the list readable.
                for other in client.other_environments().await.unwrap_or_default() {
                    ctx.say(&elsewhere(&other));
                }
                if environments.is_empty() {
                    ctx.next("begin with: daybook init");
                }
            }
            Action::Create { name } => {
                let key = EnvKey::new(ctx.key().await?.app, name);
                ctx.client().await?.create_environment(&key).await?;
                ctx.say(&format!("{} made {key}", paint(GOOD, "✓")));
                ctx.say(&format!("  deploy to it: {}", command("up", key.env.as_str())));
            }
            Action::Adopt { name } => {
                let key = EnvKey::new(ctx.key().await?.app, name);
                ctx.client().await?.adopt_environment(&key).await?;
                ctx.say(&format!("{} took over {key}", paint(GOOD, "✓")));
                ctx.say(&format!("  make a release of it: {}", command("up", key.env.as_str())));
            }
            Action::Move { name, to: Some(to), empty_volumes, .. } => {
                let global = Global { env: name, target: Some(to), ..ctx.global.clone() };
                let up = manifest::up_by(&global, Aim::Act)?;
                return carry_out(ctx, Change::Move(Move { up, empty_volumes }), Ask::Always).await;
            }
            Action::Move { name, to: None, force, .. } => {
                let key = EnvKey::new(ctx.key().await?.app, name);
                return carry_out(ctx, Change::Leave(Leave { key, force }), Ask::AtStake).await;
            }
            #[cfg(feature = "databases")]
            Action::Clone { source, name, data, at, ttl, accept_unmasked } => {
                let key = EnvKey::new(ctx.key().await?.app, source);
                let wanted = CloneEnvironment { to: name, data, at, ttl_ms: ttl, accept_unmasked };
                return clone(ctx, &key, wanted).await;
            }
            Action::Rm { name } => {
                let key = EnvKey::new(ctx.key().await?.app, name);
                ctx.client().await?.remove_environment(&key).await?;
                ctx.say(&format!("{} forgot {key}", paint(GOOD, "✓")));
            }
        }
        Ok(Exit::Ok)
    }
}

/// Shows what a clone will be, and makes it.
#[cfg(feature = "databases")]
async fn clone(ctx: &Ctx, key: &EnvKey, wanted: CloneEnvironment) -> Result<Exit> {
    let client = ctx.client().await?;
    let plan = client.plan_clone(key, &wanted).await?;
    if ctx.format() == crate::args::Format::Table {
        plan.steps.iter().for_each(|step| ctx.say(&format!("  {step}")));
    }
    for column in plan.unmasked.iter().filter(|_| wanted.accept_unmasked) {
        ctx.say(&format!("{} {} is copied as it is: {}", paint(WARN, "!"), column.column, column.why));
    }
    let begun = client.clone_environment(key, &wanted).await?;
    let exit = super::backup::follow_all(ctx, key, vec![begun]).await?;
    if exit == Exit::Ok {
        ctx.next(&format!("look at it: {}", command("status", wanted.to.as_str())));
    }
    Ok(exit)
}

/// One that is here and not ours.
fn elsewhere(other: &OtherEnvironmentView) -> String {
    format!("{} belongs to another Daybook, the one of {} on {}", other.key, other.state, other.host)
}

fn render(environments: &[EnvironmentView], now: Timestamp) -> String {
    if environments.is_empty() {
        return "no environment yet\n".to_owned();
    }
    let mut table = Table::new(&["ENVIRONMENT", "TARGET", "RELEASE>", "SINCE", "READY>", "NOTE"]);
    for one in environments {
        let run = one.open_run.map(|_| paint(WARN, "a run is open"));
        let moving = one.leaving.as_ref().map(|from| paint(WARN, format!("{from} still serves as well")));
        let adopted = one.adopted.then(|| paint(WARN, "adopted from what runs"));
        table.row([
            one.key.to_string(),
            one.target.clone(),
            one.release.map_or("-".to_owned(), |number| number.to_string()),
            one.reached.map(|at| words::ago(at, now)).unwrap_or_default(),
            format!("{}/{}", one.ready, one.services),
            [run, adopted, moving, one.clone.as_ref().map(|clone| clone_words(clone, now))]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; "),
        ]);
    }
    table.render()
}

fn clone_words(clone: &CloneView, now: Timestamp) -> String {
    let then = clone.at.map(|at| format!(" as it was at {}", at.strftime("%Y-%m-%d %H:%M:%S UTC"))).unwrap_or_default();
    let words = format!("clone of {}{then}, data: {}", clone.from, clone.data);
    match (clone.under_way, clone.expires) {
        (true, _) => paint(WARN, format!("{words}; not whole yet")),
        (false, Some(expires)) => format!("{words}; goes {}", words::ago(expires, now)),
        (false, None) => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn environments_are_a_table() {
        let environments: Vec<EnvironmentView> = serde_json::from_value(serde_json::json!([
            {"key": "shop/production", "target": "kubernetes://prod", "leaving": "docker", "release": 42, "reached": "2026-11-24T11:58:00Z", "services": 4, "ready": 3,
             "open_run": "0192f3a0-0000-7000-8000-000000000001"},
            {"key": "shop/staging", "services": 0, "ready": 0}
        ]))
        .unwrap();
        insta::assert_snapshot!(plain(&render(&environments, crate::follow::fixture::now())), @r"
        ENVIRONMENT      TARGET             RELEASE  SINCE      READY  NOTE
        shop/production  kubernetes://prod       42  2 min ago    3/4  a run is open; docker still serves as well
        shop/staging                              -               0/0
        ");
    }
}
