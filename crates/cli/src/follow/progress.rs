//! How far a run is, in words: pure functions of what the server says about it.

use daybook_api::run::{RunState, RunStep, RunView, StepState, TowardView};
use daybook_model::Timestamp;

use crate::output::style::{BAD, DIM, GOOD, paint};
use crate::output::words;

/// One service and how far its part of the run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceLine {
    /// The service; `volumes`, `networks` and `target` for what belongs to none.
    pub(crate) name: String,
    /// What is going on, or what came of it.
    pub(crate) text: String,
    /// How far it is.
    pub(crate) state: StepState,
    /// What was measured while it was watched.
    pub(crate) note: Option<String>,
    /// Since its first step began until now, or until its last step ended, milliseconds.
    pub(crate) elapsed_ms: Option<u64>,
}

/// A line for each service in the order in which the plan comes to them.
pub(crate) fn services(view: &RunView, now: Timestamp) -> Vec<ServiceLine> {
    let mut names: Vec<&str> = Vec::new();
    for step in &view.steps {
        if !names.contains(&subject(step)) {
            names.push(subject(step));
        }
    }
    names.into_iter().map(|name| line(view, name, now)).collect()
}

fn line(view: &RunView, name: &str, now: Timestamp) -> ServiceLine {
    let steps: Vec<_> = view.steps.iter().filter(|step| subject(step) == name).collect();
    let state = state(view, &steps);
    let text = match state {
        StepState::Waiting => "waits".to_owned(),
        StepState::Running => running(&steps),
        StepState::Done => summary(&steps),
        StepState::Failed => failed(&steps),
    };
    let elapsed_ms = elapsed(&steps, (state == StepState::Running).then_some(now));
    let note = steps.iter().rfind(|step| step.action == "watch" && step.state == StepState::Done);
    ServiceLine { name: name.to_owned(), text, state, note: note.and_then(|step| step.note.clone()), elapsed_ms }
}

/// The service or the database that a step is about.
pub(crate) fn subject(step: &RunStep) -> &str {
    match (step.service.as_ref().or(step.database.as_ref()), step.action.as_str()) {
        (Some(service_or_database), _) => service_or_database,
        (None, action) if action.ends_with("volume") => "volumes",
        (None, "close_at" | "leave") => "target",
        (None, _) => "networks",
    }
}

/// A service that has some of its steps behind it and none running waits for others: it is on its way
/// as long as the run is.
fn state(view: &RunView, steps: &[&RunStep]) -> StepState {
    let any = |state: StepState| steps.iter().any(|step| step.state == state);
    let begun = any(StepState::Done) || any(StepState::Running);
    if any(StepState::Running) {
        StepState::Running
    } else if any(StepState::Failed) {
        StepState::Failed
    } else if !any(StepState::Waiting) {
        StepState::Done
    } else if begun && view.state != RunState::Finished {
        StepState::Running
    } else {
        StepState::Waiting
    }
}

fn running(steps: &[&RunStep]) -> String {
    let done = steps.iter().filter(|step| step.state == StepState::Done).count();
    let step = steps.iter().rfind(|step| step.state == StepState::Running);
    let text = match step {
        Some(step) => step.note.clone().unwrap_or_else(|| step.text.clone()),
        None => "waits for others".to_owned(),
    };
    let back = if step.is_some_and(|step| step.toward == TowardView::Previous) { "back: " } else { "" };
    format!("{}/{} {back}{text}", done + 1, steps.len())
}

fn failed(steps: &[&RunStep]) -> String {
    let step = steps.iter().find(|step| step.state == StepState::Failed);
    step.map(|step| step.failure.as_ref().map_or_else(|| step.text.clone(), |f| f.why.clone())).unwrap_or_default()
}

/// What came of a service whose steps are all done: "3 new replicas serve, 3 old removed". Once it went
/// back, only the way back counts.
fn summary(steps: &[&RunStep]) -> String {
    let back: Vec<_> = steps.iter().copied().filter(|step| step.toward == TowardView::Previous).collect();
    if !back.is_empty() && back.len() < steps.len() {
        return format!("went back: {}", summary(&back));
    }
    let count = |action: &str| steps.iter().filter(|step| step.action == action).count() as u64;
    let (started, removed) = (count("start"), count("remove"));
    let served = if count("route") > 0 { "serve" } else { "run" };
    let mut parts = Vec::new();
    if count("run_hook") > 0 {
        parts.push("release hook done".to_owned());
    }
    match (started, removed) {
        (0, 0) => {}
        (0, _) => parts.push(format!("{} removed", words::plural(removed, "replica"))),
        (_, 0) if count("await_completed") > 0 => parts.push("completed".to_owned()),
        (1, 0) => parts.push(format!("1 replica {served}s")),
        (_, 0) => parts.push(format!("{started} replicas {served}")),
        (1, _) => parts.push(format!("1 new replica {served}s, {removed} old removed")),
        (_, _) => parts.push(format!("{started} new replicas {served}, {removed} old removed")),
    }
    if parts.is_empty() {
        return steps.last().map(|step| step.text.clone()).unwrap_or_default();
    }
    parts.join("; ")
}

fn elapsed(steps: &[&RunStep], until: Option<Timestamp>) -> Option<u64> {
    let first = steps.iter().filter_map(|step| step.started_at).min()?;
    let end = |step: &&RunStep| Some(step.started_at?.as_millisecond() + i64::try_from(step.took_ms?).ok()?);
    let last = until.map(Timestamp::as_millisecond).or_else(|| steps.iter().filter_map(end).max())?;
    u64::try_from(last - first.as_millisecond()).ok()
}

/// How wide the columns of names and texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Widths {
    name: usize,
    text: usize,
}

impl Widths {
    /// Wide enough for every line; texts are kept from jumping about while they change.
    pub(crate) fn of(lines: &[ServiceLine]) -> Self {
        let widest = |of: fn(&ServiceLine) -> &str| lines.iter().map(|line| of(line).chars().count()).max();
        Self {
            name: widest(|line| &line.name).unwrap_or(0),
            text: widest(|line| &line.text).unwrap_or(0).clamp(44, 64),
        }
    }
}

/// The line as a terminal shows it. The caller puts a mark at its end, then the note.
pub(crate) fn render(line: &ServiceLine, widths: Widths) -> String {
    let time = line.elapsed_ms.map(words::clock).unwrap_or_default();
    let ServiceLine { name, text, .. } = line;
    format!("  {name:0$}  {text:1$}  {time:>5} ", widths.name, widths.text)
}

/// A line that stands still, with its mark and note.
pub(crate) fn render_still(line: &ServiceLine, widths: Widths) -> String {
    let note = line.note.as_ref().map(|note| format!("  {note}")).unwrap_or_default();
    format!("{}{}{note}", render(line, widths), mark(line.state))
}

/// The mark of a line that stands still.
fn mark(state: StepState) -> String {
    match state {
        StepState::Done => paint(GOOD, "✓"),
        StepState::Failed => paint(BAD, "✗"),
        StepState::Waiting => paint(DIM, "·"),
        StepState::Running => paint(DIM, "…"),
    }
}

/// What happened between two looks at a run: a line for each step that ended, and for each that takes
/// its time and began.
pub(crate) fn changes(before: Option<&RunView>, after: &RunView) -> Vec<String> {
    let width = after.steps.iter().map(|step| subject(step).chars().count()).max().unwrap_or(0);
    let mut out = Vec::new();
    let was = before.map_or(RunState::Planning, |view| view.state);
    if after.state == RunState::SwappingBack && was != RunState::SwappingBack {
        out.push(paint(BAD, "  going back to the release before"));
    }
    for step in &after.steps {
        let known = before.and_then(|view| view.steps.iter().find(|s| s.id == step.id && s.plan == step.plan));
        if known.map(|step| step.state) == Some(step.state) {
            continue;
        }
        let name = subject(step);
        let head = format!("  {name:width$}  {:44}", step.text);
        match step.state {
            StepState::Done => {
                let took = step.took_ms.map(words::took).unwrap_or_default();
                let note = step.note.as_ref().map(|note| format!("  {note}")).unwrap_or_default();
                out.push(format!("{head} {} {}", mark(step.state), paint(DIM, format!("{took}{note}"))));
            }
            StepState::Failed => {
                let why = step.failure.as_ref().map(|failure| format!(": {}", failure.why)).unwrap_or_default();
                out.push(format!("{head} {}{why}", mark(step.state)));
            }
            StepState::Running if takes_time(step) => out.push(format!("{head} {}", mark(step.state))),
            StepState::Running | StepState::Waiting => {}
        }
    }
    out
}

fn takes_time(step: &RunStep) -> bool {
    matches!(step.action.as_str(), "prepare" | "run_hook" | "watch" | "await_completed")
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
