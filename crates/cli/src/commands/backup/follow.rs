//! Waiting for what was begun, with a line that moves for each.

use std::time::Duration;

use daybook_api::backup::{OperationEnd, OperationView};
use daybook_api::client::Exit;
use daybook_model::EnvKey;
use indicatif::{MultiProgress, ProgressBar};

use crate::args::Format;
use crate::context::Ctx;
use crate::error::Result;
use crate::output::style::{BAD, DIM, GOOD, paint};
use crate::output::{message, words};
use crate::terminal;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Waits until all are over, and says what came of each. Breaking the wait off breaks nothing else off.
pub(in crate::commands) async fn all(ctx: &Ctx, key: &EnvKey, begun: Vec<OperationView>) -> Result<Exit> {
    let client = ctx.client().await?;
    let moves = terminal::shows_progress() && !ctx.global.quiet;
    let lines = MultiProgress::new();
    let mut bars: Vec<Option<ProgressBar>> = Vec::new();
    for operation in &begun {
        let bar = moves.then(|| lines.add(ProgressBar::new_spinner()));
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(100));
            bar.set_message(operation.what.clone());
        }
        bars.push(bar);
    }
    let mut ended: Vec<Option<OperationView>> = vec![None; begun.len()];
    while ended.iter().any(Option::is_none) {
        tokio::time::sleep(LOOK_EVERY).await;
        for (at, operation) in begun.iter().enumerate().filter(|(at, _)| ended[*at].is_none()).collect::<Vec<_>>() {
            let view = client.operation(key, operation.id).await?;
            match &view.ended {
                Some(end) => {
                    if let Some(bar) = bars[at].take() {
                        bar.finish_and_clear();
                    }
                    if ctx.format() == Format::Table {
                        tell(ctx, &view.what, end);
                    }
                    ended[at] = Some(view);
                }
                None => {
                    if let Some(bar) = &bars[at] {
                        bar.set_message(format!("{}  {}", view.what, paint(DIM, &view.note)));
                    }
                }
            }
        }
    }
    let ended: Vec<_> = ended.into_iter().flatten().collect();
    if ctx.format() != Format::Table {
        ctx.data(&ended, |_| String::new())?;
    }
    let good = ended.iter().all(|one| one.ended.as_ref().is_some_and(|end| end.good));
    Ok(if good { Exit::Ok } else { Exit::Failed })
}

fn tell(ctx: &Ctx, what: &str, end: &OperationEnd) {
    let mark = if end.good { paint(GOOD, "✓") } else { paint(BAD, "✗") };
    let mut said = end.said.iter();
    let first = said.next().cloned().unwrap_or_default();
    let took = paint(DIM, format!("({})", words::took(end.took_ms)));
    let line = format!("{mark} {what}: {first} {took}");
    // What failed is told to whoever asked for quiet as well.
    if end.good {
        ctx.say(&line);
        said.for_each(|more| ctx.say(&format!("    {more}")));
    } else {
        message(&line);
        said.for_each(|more| message(&format!("    {more}")));
    }
}
