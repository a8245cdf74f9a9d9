//! How a run ended, as a person reads it, and what the command exits with.

use daybook_api::client::Exit;
use daybook_api::run::{FailureView, Outcome, RunState, RunStep, RunView, StepState, TowardView};
use daybook_model::RunKind;

use super::progress::subject;
use crate::context::command;
use crate::output::style::{BAD, GOOD, STRONG, WARN, paint};
use crate::output::words;

/// How many of the last log lines a failure shows.
const LOG_LINES: usize = 20;

/// How much of a headline fits into one line.
const HEADLINE: usize = 100;

/// How many addresses success shows.
const URLS: usize = 3;

/// What the command exits with after `view`.
pub(crate) fn exit(view: &RunView) -> Exit {
    match (view.state, view.verdict.as_ref().map(|verdict| verdict.outcome)) {
        (RunState::Interrupted, _) | (_, Some(Outcome::Abandoned)) => Exit::Interrupted,
        (_, Some(Outcome::Reached)) => Exit::Ok,
        (_, Some(Outcome::SwappedBack)) => Exit::SwappedBack,
        (_, Some(Outcome::Failed) | None) => Exit::Failed,
    }
}

/// What is left on the screen when a run has ended. `urls` are those of the environment now.
pub(crate) fn text(view: &RunView, urls: &[String]) -> String {
    let env = view.key.env.as_str();
    match (exit(view), &view.verdict) {
        (Exit::Ok, _) => reached(view, urls),
        (Exit::Interrupted, None) => interrupted(view),
        (_, Some(verdict)) if verdict.outcome == Outcome::Abandoned => {
            format!("{} the run was given up.\n  see where it is: {}\n", paint(WARN, "✗"), command("status", env))
        }
        (_, verdict) => failed(view, verdict.as_ref().and_then(|verdict| verdict.failure.as_ref())),
    }
}

fn reached(view: &RunView, urls: &[String]) -> String {
    let tick = paint(GOOD, "✓");
    let key = paint(STRONG, &view.key);
    let took = duration(view);
    let traffic = traffic(view);
    if view.purpose == RunKind::Down {
        let command = command("up", view.key.env.as_str());
        return format!("{tick} {key} is down{took}.{traffic}\n  bring it back: {command}\n");
    }
    let env = view.key.env.as_str();
    let undo = match (view.purpose, view.from) {
        (RunKind::Stop, _) => Some(command("start", env)),
        (RunKind::Start, _) => Some(command("stop", env)),
        (RunKind::Restart | RunKind::Heal | RunKind::Move | RunKind::Upgrade, _) | (_, None) => None,
        _ => Some(command("rollback", env)),
    };
    let mut next = Vec::new();
    next.extend(undo.map(|undo| format!("undo: {undo}")));
    next.push(format!("watch: {}", command("status", env)));
    let shown = urls.iter().take(URLS).cloned().collect::<Vec<_>>().join("  ");
    let next = next.join("      ");
    let gap = match shown.len() + next.len() {
        _ if shown.is_empty() => "",
        ..90 => "      ",
        _ => "\n  ",
    };
    format!("{tick} {key} is at release {}{took}.{traffic}\n  {shown}{gap}{next}\n", view.to)
}

fn duration(view: &RunView) -> String {
    let ms = view.finished_at.map(|end| end.as_millisecond() - view.started_at.as_millisecond());
    ms.and_then(|ms| u64::try_from(ms).ok()).map(|ms| format!(" in {}", words::took(ms))).unwrap_or_default()
}

/// The measured traffic: the one promise that everybody checks.
fn traffic(view: &RunView) -> String {
    let traffic = view.traffic;
    if traffic.requests == 0 {
        return "  No requests came meanwhile.".to_owned();
    }
    let failed = format!("{} failed", words::count(traffic.failed));
    let failed = if traffic.failed == 0 { failed } else { paint(BAD, failed) };
    format!("  {} during the rollout, {failed}.", words::plural(traffic.requests, "request"))
}

fn interrupted(view: &RunView) -> String {
    let env = view.key.env.as_str();
    let mark = paint(WARN, "■");
    let done = view.steps.iter().filter(|step| step.state == StepState::Done).count();
    format!(
        "{mark} {} stopped after {done} of {} steps on the way to release {}; what served still serves.\n  \
         go on: {}      give up: {}\n",
        view.key,
        view.steps.len(),
        view.to,
        command("resume", env),
        command("resume --abandon", env),
    )
}

fn failed(view: &RunView, failure: Option<&FailureView>) -> String {
    let step = view.steps.iter().rfind(|step| step.state == StepState::Failed);
    let service = step.and_then(|step| step.service.as_deref());
    let name = step.map_or(view.key.to_string(), |step| subject(step).to_owned());
    let nothing = FailureView::default();
    let failure = failure.or(step.and_then(|step| step.failure.as_ref())).unwrap_or(&nothing);
    let exit = exit(view);
    let why = match failure.why.trim_end_matches('.') {
        "" => "the run failed",
        why => why,
    };
    let cross = paint(BAD, "✗");
    let name = paint(STRONG, format!("{name:8}"));
    let serves = format!("{}.   exit {}", now_serves(view), exit.code());
    let gap = if why.chars().count() + serves.chars().count() > HEADLINE { "\n           " } else { " " };
    let mut out = format!("{cross} {name} {why};{gap}{serves}\n\n");
    list(&mut out, "Why", &failure.evidence);
    list(&mut out, "Last", &last_lines(&failure.log));
    let env = view.key.env.as_str();
    let next = match service {
        Some(service) => command(&format!("why {service}"), env),
        None => command("status", env),
    };
    list(&mut out, "Next", &[next]);
    out
}

/// The last lines of a log; one that came several times in a row is told once.
pub(crate) fn last_lines(log: &[String]) -> Vec<String> {
    let runs = log.chunk_by(|one, next| one == next);
    let told = runs.map(|run| match run {
        [line] => line.clone(),
        run => format!("{} ({} times)", run[0], run.len()),
    });
    let told: Vec<_> = told.collect();
    told[told.len().saturating_sub(LOG_LINES)..].to_vec()
}

/// Who serves after a failure.
fn now_serves(view: &RunView) -> String {
    let swapped = view.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::SwappedBack);
    let done = |actions: &[&str]| {
        let reached = |step: &&RunStep| step.toward == TowardView::Target && step.state == StepState::Done;
        view.steps.iter().filter(reached).any(|step| actions.contains(&step.action.as_str()))
    };
    // A chart that failed has changed what it could.
    let is_charted = |step: &RunStep| step.toward == TowardView::Target && step.action == "release_chart";
    match (swapped, view.from) {
        (true, Some(from)) if done(&["route", "hold"]) || view.steps.iter().any(is_charted) => {
            format!("release {from} serves again")
        }
        (true, Some(from)) if done(&["drain", "stop", "remove"]) => format!("release {from} serves on"),
        (true, Some(from)) => format!("release {from} serves on, nothing was moved"),
        (false, Some(from)) => format!("release {from} could not be restored whole"),
        (_, None) => "there is no earlier release to serve".to_owned(),
    }
}

/// Lines under a heading at the margin.
pub(crate) fn list(out: &mut String, heading: &str, lines: &[String]) {
    for (i, line) in lines.iter().enumerate() {
        let heading = if i == 0 { heading } else { "" };
        out.push_str(&format!("  {heading:9} {line}\n"));
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
