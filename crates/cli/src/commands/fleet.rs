//! A manifest's fleet: its environments are brought to the manifest wave by wave, and a wave that goes wrong is the last.
//!
//! Nothing of it is kept by the server: an environment that is at the manifest has nothing to do, so that the same command
//! goes on where it was stopped.

use std::time::Duration;

use daybook_api::Client;
use daybook_api::change::Change;
use daybook_api::client::Exit;
use daybook_api::plan::{PlanReply, PlanRequest};
use daybook_api::run::{Expect, RunReply, RunRequest};
use daybook_api::status::{ServiceState, StatusView};
use daybook_manifest::{Aim, Fleet};
use daybook_model::{EnvKey, EnvName, RunId};
use tokio::time::Instant;

use super::carry::{self, Ask, remarks};
use crate::args::Global;
use crate::context::{Ctx, command};
use crate::error::{CommandError, Result};
use crate::output::style::{self, BAD, GOOD, STRONG, paint};
use crate::output::words;
use crate::{manifest, output};

/// Between two looks at a wave that soaks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What one environment of a fleet has to do.
struct Planned {
    change: Change,
    plan: PlanReply,
}

/// Brings a fleet to the manifest.
pub(crate) async fn up(ctx: &Ctx, name: &str) -> Result<Exit> {
    let fleet = find(ctx, name)?;
    let waves = plan_all(ctx, &fleet, Aim::Act).await?;
    show(ctx, &waves);
    let mut done: Vec<EnvKey> = Vec::new();
    let asked = ask(ctx, &waves)?;
    for (number, wave) in waves.iter().enumerate() {
        let heading = format!("wave {} of {}", number + 1, waves.len());
        ctx.say(&format!("\n{}  {}", paint(STRONG, &heading), keys(wave)));
        let exit = carry_out(ctx, wave, asked).await?;
        if exit != Exit::Ok {
            return Ok(stopped(&heading, &done, &waves[number..], exit));
        }
        done.extend(wave.iter().map(|planned| planned.plan.key.clone()));
        let is_last = number + 1 == waves.len();
        if !is_last && let Some(why) = soak(ctx, &done, fleet.soak_ms).await? {
            output::message(&format!("{} {why}", paint(BAD, "✗")));
            return Ok(stopped(&heading, &done, &waves[number..], Exit::Failed));
        }
    }
    output::text(&format!(
        "\n{} fleet {} is as the manifest says, {}.\n",
        paint(GOOD, "✓"),
        paint(STRONG, name),
        all(&waves)
    ))?;
    Ok(Exit::Ok)
}

/// Shows what `up` of a fleet would change.
pub(crate) async fn plan(ctx: &Ctx, name: &str) -> Result<Exit> {
    let fleet = find(ctx, name)?;
    let waves = plan_all(ctx, &fleet, Aim::Look).await?;
    let replies: Vec<Vec<&PlanReply>> =
        waves.iter().map(|wave| wave.iter().map(|planned| &planned.plan).collect()).collect();
    ctx.data(&replies, |_| text(&waves))?;
    let is_empty = waves.iter().flatten().all(|planned| planned.plan.empty);
    if !is_empty {
        ctx.say(&format!("carry it out: daybook up --fleet {name}"));
    }
    Ok(if is_empty { Exit::Ok } else { Exit::Changes })
}

fn find(ctx: &Ctx, name: &str) -> Result<Fleet> {
    let (loaded, bundle) = manifest::read(&ctx.global, Aim::Look)?;
    if loaded.diagnostics.iter().any(daybook_manifest::Diagnostic::is_error) {
        return Err(manifest::refused(&loaded.diagnostics, &bundle));
    }
    let known: Vec<_> = loaded.fleets.keys().cloned().collect();
    loaded.fleets.into_iter().find(|(known, _)| known == name).map(|(_, fleet)| fleet).ok_or_else(|| {
        let error = CommandError::failed(format!("the manifest describes no fleet `{name}`"));
        match known.as_slice() {
            [] => error.hint(format!("write one: `fleets: {{{name}: {{waves: [[canary], [eu, us]]}}}}`")),
            known => error.hint(format!("it describes {}", known.join(", "))),
        }
    })
}

/// Plans every wave before the first begins: what cannot be planned anywhere is known before anything moves.
async fn plan_all(ctx: &Ctx, fleet: &Fleet, aim: Aim) -> Result<Vec<Vec<Planned>>> {
    let client = ctx.client().await?;
    let mut waves = Vec::new();
    for wave in &fleet.waves {
        let mut planned = Vec::new();
        for environment in wave {
            planned.push(plan_one(ctx, client, environment, aim).await?);
        }
        waves.push(planned);
    }
    Ok(waves)
}

async fn plan_one(ctx: &Ctx, client: &Client, environment: &EnvName, aim: Aim) -> Result<Planned> {
    let global = Global { env: environment.clone(), ..ctx.global.clone() };
    let change = Change::Up(manifest::up_by(&global, aim)?);
    let request = PlanRequest { change: change.clone(), carry_out: aim == Aim::Act };
    Ok(Planned { plan: client.plan(&request).await?, change })
}

fn show(ctx: &Ctx, waves: &[Vec<Planned>]) {
    waves.iter().flatten().for_each(|planned| remarks(ctx, &planned.plan));
    ctx.say(text(waves).trim_end());
}

fn text(waves: &[Vec<Planned>]) -> String {
    let mut out = String::new();
    for (number, wave) in (1..).zip(waves) {
        for planned in wave {
            let heading = paint(STRONG, format!("wave {number}"));
            out.push_str(&format!("{heading}  {}\n", style::plan(planned.plan.text.trim_end())));
        }
    }
    out
}

/// Asks once for all, where something is at stake anywhere.
fn ask(ctx: &Ctx, waves: &[Vec<Planned>]) -> Result<bool> {
    let mut asked = false;
    for planned in waves.iter().flatten() {
        if carry::needs_answer(ctx, &planned.plan, Ask::AtStake) {
            asked |= carry::answer(&planned.plan)?;
        }
    }
    Ok(asked)
}

/// Begins every run of a wave, and follows each to its end. The first bad end counts.
async fn carry_out(ctx: &Ctx, wave: &[Planned], asked: bool) -> Result<Exit> {
    let client = ctx.client().await?;
    let (mut runs, mut worst) = (Vec::<RunId>::new(), Exit::Ok);
    for Planned { change, plan } in wave {
        let expect = asked.then(|| Expect { plan_id: plan.plan_id.clone(), basis: plan.basis.clone() });
        match client.run(&RunRequest { change: change.clone(), expect }).await {
            Ok(RunReply::Started(started)) => runs.push(started.run),
            Ok(RunReply::Nothing(nothing)) => {
                ctx.say(&format!("{} {}: nothing to change", paint(GOOD, "✓"), nothing.key));
            }
            Err(error) => {
                let error = carry::explain_refusal(client, &plan.key, error).await;
                output::message(&format!("{} {}: {}", paint(BAD, "✗"), plan.key, error.message));
                worst = error.exit;
            }
        }
    }
    for run in runs {
        let exit = carry::follow(ctx, run).await?;
        worst = if worst == Exit::Ok { exit } else { worst };
    }
    Ok(worst)
}

/// Waits while what was rolled out goes on working. What does not is told.
async fn soak(ctx: &Ctx, done: &[EnvKey], soak_ms: u64) -> Result<Option<String>> {
    if soak_ms > 0 {
        ctx.say(&format!("soaking for {} before the next wave", words::took(soak_ms)));
    }
    let client = ctx.client().await?;
    let ends = Instant::now() + Duration::from_millis(soak_ms);
    loop {
        for key in done {
            if let Some(why) = unwell(&client.status(key).await?) {
                return Ok(Some(why));
            }
        }
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        tokio::time::sleep(left.min(LOOK_EVERY)).await;
    }
}

/// What is wrong with an environment that was rolled out.
fn unwell(status: &StatusView) -> Option<String> {
    let bad = |state| matches!(state, ServiceState::Failing | ServiceState::Degraded);
    let service = status.services.iter().find(|service| bad(service.state))?;
    let fewer = format!("{} of {} replicas are ready", service.ready, service.wanted);
    Some(format!("{} of {} does not work as it should: {fewer}", service.name, status.key))
}

/// Says where a fleet stopped, and what is where.
fn stopped(heading: &str, done: &[EnvKey], left: &[Vec<Planned>], exit: Exit) -> Exit {
    let began = left.first().into_iter().flatten().map(|planned| &planned.plan.key);
    let untouched: Vec<_> = left.iter().skip(1).flatten().map(|planned| planned.plan.key.to_string()).collect();
    let mut text = format!("\n{} the fleet stops at {heading}.\n", paint(BAD, "✗"));
    if !untouched.is_empty() {
        text.push_str(&format!("  not begun: {}\n", untouched.join(", ")));
    }
    for key in done.iter().filter(|key| !began.clone().any(|began| began == *key)) {
        text.push_str(&format!("  {key} is at the new release; back: {}\n", command("rollback", key.env.as_str())));
    }
    text.push_str("  the same command goes on from here, once what is wrong is corrected\n");
    output::message(text.trim_end());
    exit
}

fn keys(wave: &[Planned]) -> String {
    wave.iter().map(|planned| planned.plan.key.to_string()).collect::<Vec<_>>().join(", ")
}

fn all(waves: &[Vec<Planned>]) -> String {
    let environments = waves.iter().map(Vec::len).sum::<usize>();
    format!("{} in {}", words::plural(environments as u64, "environment"), words::plural(waves.len() as u64, "wave"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r05_a_wave_with_a_service_that_serves_with_less_than_it_should_is_unwell() {
        let status = |ready: u32, state: &str| -> StatusView {
            serde_json::from_value(serde_json::json!({
                "key": "shop/eu",
                "services": [{"name": "web", "kind": "service", "wanted": 2, "ready": ready, "state": state}]
            }))
            .unwrap()
        };
        assert_eq!(unwell(&status(2, "running")), None);
        assert_eq!(unwell(&status(0, "stopped")), None);
        let degraded = unwell(&status(1, "degraded")).unwrap();
        assert_eq!(degraded, "web of shop/eu does not work as it should: 1 of 2 replicas are ready");
    }
}
