//! Carrying out a change: plan, show, ask where something is at stake, run, follow.

use daybook_api::Client;
use daybook_api::change::Change;
use daybook_api::client::{self, Exit};
use daybook_api::error::ErrorCode;
use daybook_api::plan::{PlanChange, PlanReply, PlanRequest};
use daybook_api::run::{Expect, NothingToDo, RunReply, RunRequest, RunView};
use daybook_api::status::StatusView;
use daybook_model::{EnvKey, RunId};

use crate::args::Format;
use crate::context::{Ctx, command, now};
use crate::error::{CommandError, Result};
use crate::output::style::{self, GOOD, STRONG, WARN, paint};
use crate::output::{self, words};
use crate::{follow, terminal};

/// When a person is asked before a change begins. `--yes`, and standard input or error that is no
/// terminal, answer yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// When something would be lost, or requests would have to wait.
    AtStake,
    /// Always.
    Always,
    /// Never: they were asked already.
    Never,
}

/// Plans `change`, shows it, asks, carries it out and follows it to its end.
pub(crate) async fn carry_out(ctx: &Ctx, change: Change, ask: Ask) -> Result<Exit> {
    let client = ctx.client().await?;
    let plan = client.plan(&PlanRequest { change: change.clone(), carry_out: true }).await?;
    remarks(ctx, &plan);
    if plan.empty {
        let nothing = NothingToDo { empty: true, key: plan.key.clone(), release: plan.from };
        return nothing_to_do(ctx, &nothing);
    }
    ctx.say(&style::plan(plan.text.trim_end()));
    ctx.say("");
    let asked = needs_answer(ctx, &plan, ask) && answer(&plan)?;
    let expect = asked.then_some(Expect { plan_id: plan.plan_id, basis: plan.basis });
    start(ctx, &plan.key, &RunRequest { change, expect }).await
}

/// Begins a run and follows it to its end.
pub(crate) async fn start(ctx: &Ctx, key: &EnvKey, request: &RunRequest) -> Result<Exit> {
    let client = ctx.client().await?;
    match client.run(request).await {
        Ok(RunReply::Started(started)) => {
            if ctx.global.verbose > 0 {
                ctx.say(&format!("run {}", started.run));
            }
            follow(ctx, started.run).await
        }
        Ok(RunReply::Nothing(nothing)) => nothing_to_do(ctx, &nothing),
        Err(error) => Err(explain_refusal(client, key, error).await),
    }
}

/// Follows a run to its end and says how it ended.
pub(crate) async fn follow(ctx: &Ctx, run: RunId) -> Result<Exit> {
    let view = follow::follow(ctx, run).await?;
    conclude(ctx, &view).await
}

/// Warnings of the manifest, and what cannot be had now, on standard error.
pub(crate) fn remarks(ctx: &Ctx, plan: &PlanReply) {
    for diagnostic in &plan.diagnostics {
        ctx.say(diagnostic.rendered.trim_end());
    }
    for line in unresolved(plan) {
        ctx.say(&line);
    }
}

/// A line for each cause, however many images it keeps away.
fn unresolved(plan: &PlanReply) -> Vec<String> {
    let mut causes: Vec<(&str, Option<&str>, Vec<&str>)> = Vec::new();
    for open in &plan.unresolved {
        match causes.iter_mut().find(|(reason, ..)| *reason == open.reason) {
            Some((.., names)) => names.push(&open.name),
            None => causes.push((&open.reason, open.hint.as_deref(), vec![&open.name])),
        }
    }
    let line = |(reason, hint, names): (&str, Option<&str>, Vec<&str>)| {
        let more = match names.len() {
            0..=3 => String::new(),
            all => format!(" and {} more", all - 3),
        };
        let named = names[..names.len().min(3)].join(", ");
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: not known yet: {named}{more}: {reason}{hint}", paint(WARN, "warning"))
    };
    causes.into_iter().map(line).collect()
}

fn nothing_to_do(ctx: &Ctx, nothing: &NothingToDo) -> Result<Exit> {
    ctx.data(nothing, |nothing| {
        let at = nothing.release.map(|number| format!(" is at release {number}")).unwrap_or_default();
        let key = paint(STRONG, &nothing.key);
        format!("{} {key}{at}: nothing to change, what runs is what should run.\n", paint(GOOD, "✓"))
    })?;
    Ok(Exit::Ok)
}

pub(crate) fn needs_answer(ctx: &Ctx, plan: &PlanReply, ask: Ask) -> bool {
    let at_stake = plan.destructive || plan.downtime_ms.is_some();
    let wanted = match ask {
        Ask::AtStake => at_stake,
        Ask::Always => true,
        Ask::Never => false,
    };
    wanted && !ctx.global.yes && ctx.may_ask()
}

/// Asks, and fails on no.
pub(crate) fn answer(plan: &PlanReply) -> Result<bool> {
    if terminal::confirm(&question(plan))? {
        return Ok(true);
    }
    Err(CommandError::failed("nothing was changed"))
}

/// What is at stake, by name.
fn question(plan: &PlanReply) -> String {
    let names = |at_stake: fn(&PlanChange) -> bool| {
        let names: Vec<_> = plan.changes.iter().filter(|change| at_stake(change)).map(|c| c.name.as_str()).collect();
        names.join(", ")
    };
    match (plan.destructive, plan.downtime_ms) {
        (true, _) => format!("What {} holds is lost for good. Go on?", names(|change| change.destructive)),
        (false, Some(ms)) => {
            format!("{} will pause for about {}. Go on?", names(|c| c.downtime_ms.is_some()), words::took(ms))
        }
        (false, None) => "Go on?".to_owned(),
    }
}

/// Says how a run ended: success on standard output, failure on standard error.
async fn conclude(ctx: &Ctx, view: &RunView) -> Result<Exit> {
    let exit = follow::verdict::exit(view);
    if ctx.format() != Format::Table {
        ctx.data(view, |_| String::new())?;
        return Ok(exit);
    }
    let status = status(ctx, &view.key).await;
    let urls = status.iter().flat_map(|status| &status.services).flat_map(|service| &service.urls);
    let urls: Vec<String> = urls.cloned().collect();
    let text = follow::verdict::text(view, &urls);
    if exit == Exit::Ok {
        ctx.say("");
        output::text(&text)?;
    } else {
        output::message(&format!("\n{text}"));
    }
    if let Some((status, moving)) = status.as_ref().and_then(|status| Some((status, status.moving.as_ref()?))) {
        output::message(super::status::both_serve(&status.key, &status.target, moving).trim_end());
    }
    status.iter().flat_map(|status| &status.warnings).for_each(|text| output::message(&super::status::warning(text)));
    Ok(exit)
}

/// The environment after a run. Nobody is told when it cannot be had: the run matters more.
async fn status(ctx: &Ctx, key: &EnvKey) -> Option<StatusView> {
    ctx.client().await.ok()?.status(key).await.ok()
}

/// A lock names the run that holds it, who began it and when, and the ways out.
pub(crate) async fn explain_refusal(client: &Client, key: &EnvKey, error: client::Error) -> CommandError {
    let holder = error.refusal().filter(|body| body.code == ErrorCode::Locked).and_then(|body| body.run);
    let Some(run) = holder else { return error.into() };
    let Ok(view) = client.run_view(run).await else { return error.into() };
    locked(key, &view)
}

fn locked(key: &EnvKey, view: &RunView) -> CommandError {
    let env = key.env.as_str();
    let since = words::ago(view.started_at, now());
    let message =
        format!("{key} is locked by `{}`, begun by {} {since} (run {})", view.reason, view.actor.name, view.id);
    let resume = command("resume", env);
    let abandon = command("resume --abandon", env);
    CommandError { exit: Exit::Locked, ..CommandError::failed(message) }
        .hint(format!("follow it or go on with it: {resume}      give it up: {abandon}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_what_is_at_stake() {
        let plan = |change: serde_json::Value, destructive: bool| -> PlanReply {
            serde_json::from_value(serde_json::json!({
                "plan_id": "p", "key": "shop/production", "to": 2, "empty": false, "destructive": destructive,
                "downtime_ms": change.get("downtime_ms"), "text": "", "steps": [], "changes": [change], "basis": "b"
            }))
            .unwrap()
        };
        let change = |name: &str, destructive: bool, downtime: Option<u64>| {
            serde_json::json!({"sign": "-", "kind": "service", "name": name, "details": [],
                               "destructive": destructive, "downtime_ms": downtime})
        };
        let pause = question(&plan(change("worker", false, Some(3_000)), false));
        assert_eq!(pause, "worker will pause for about 3 s. Go on?");
        let lost = question(&plan(change("data", true, None), true));
        assert_eq!(lost, "What data holds is lost for good. Go on?");
        assert_eq!(question(&plan(change("web", false, None), false)), "Go on?");
    }

    #[test]
    fn each_cause_is_said_once_however_many_images_it_keeps_away() {
        let open = |name: &str, reason: &str| serde_json::json!({"kind": "image", "name": name, "services": [name], "reason": reason, "hint": "look"});
        let away = ["a:1", "b:1", "c:1", "d:1", "e:1"].map(|name| open(name, "no such host"));
        let mut all = away.to_vec();
        all.push(open("f:1", "denied"));
        let plan: PlanReply = serde_json::from_value(serde_json::json!({
            "plan_id": "p", "key": "shop/production", "to": 2, "empty": false, "destructive": false, "text": "",
            "steps": [], "changes": [], "unresolved": all, "basis": "b"
        }))
        .unwrap();
        let lines: Vec<_> = unresolved(&plan).iter().map(|line| style::plain(line)).collect();
        assert_eq!(
            lines,
            [
                "warning: not known yet: a:1, b:1, c:1 and 2 more: no such host (look)",
                "warning: not known yet: f:1: denied (look)"
            ]
        );
    }

    #[test]
    fn r15_a_lock_names_its_holder_and_the_ways_out() {
        let view = crate::follow::fixture::rollout(3);
        let error = locked(&"shop/staging".parse().unwrap(), &view);
        assert_eq!(error.exit.code(), 5);
        assert!(error.message.starts_with("shop/staging is locked by `up`, begun by ada "), "{}", error.message);
        assert!(error.hint.unwrap().contains("daybook resume --abandon -e staging"));
    }
}
