use clap::Args;
use daybook_api::client::Exit;
use daybook_api::trace::{SpanView, TraceLine, TraceView, TracesQuery};
use daybook_model::Timestamp;

use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{BAD, DIM, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

/// See a request step by step, as services told it by OpenTelemetry.
///
/// Without an id it lists those that were told of last. docs/observe.md says where services send their steps.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The trace: 32 hexadecimal digits, as logs have them.
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// List only requests that begin at this service.
    #[arg(long, value_name = "SERVICE", conflicts_with = "id")]
    service: Option<String>,
    /// List only requests in which a step failed.
    #[arg(long, conflicts_with = "id")]
    failed: bool,
}

/// Columns of the bars.
const BAR: usize = 40;

impl Trace {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let client = ctx.client().await?;
        match self.id {
            Some(id) => ctx.data(&client.trace(&id).await?, waterfall)?,
            None => {
                let query = TracesQuery { service: self.service, failed: self.failed, ..TracesQuery::default() };
                ctx.data(&client.traces(&query).await?, |traces| list(traces, now()))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn list(traces: &[TraceLine], now: Timestamp) -> String {
    if traces.is_empty() {
        return "no request was told step by step: docs/observe.md says where services send that\n".to_owned();
    }
    let mut table = Table::new(&["TRACE", "BEGAN", "TOOK>", "STEPS>", "SERVICE", "NAME"]);
    for of in traces {
        let name = if of.failed { paint(BAD, &of.name) } else { of.name.clone() };
        let (began, took) = (words::ago(of.began, now), took(of.duration_ns));
        table.row([of.trace.clone(), began, took, words::count(of.spans as u64), of.service.clone(), name]);
    }
    table.render()
}

fn waterfall(trace: &TraceView) -> String {
    let began = trace.began.strftime("%Y-%m-%d %H:%M:%S%.3f UTC");
    let head = format!("{began}  {}  {}", took(trace.duration_ns), words::plural(trace.spans.len() as u64, "step"));
    let mut table = Table::new(&["OVER TIME", "AFTER>", "TOOK>", "SERVICE", "STEP"]);
    for span in &trace.spans {
        let bar = bar(span, trace.duration_ns);
        let bar = if span.failed { paint(BAD, bar) } else { bar };
        table.row([bar, took(span.offset_ns), took(span.duration_ns), span.service.clone(), step(span)]);
    }
    let mut out = format!("{}\n\n{}", paint(DIM, head), table.render());
    if trace.dropped > 0 {
        let more = format!("{} more, too many to be kept", words::plural(trace.dropped as u64, "step"));
        out.push_str(&format!("{}\n", paint(WARN, more)));
    }
    out
}

/// What was done, as far in as it is within other steps, and why it failed.
fn step(span: &SpanView) -> String {
    let indent = "  ".repeat(span.depth.min(20));
    match (span.failed, span.error.as_str()) {
        (false, _) => format!("{indent}{}", span.name),
        (true, "") => format!("{indent}{}", paint(BAD, &span.name)),
        (true, why) => format!("{indent}{} {}", paint(BAD, &span.name), paint(BAD, format!("({why})"))),
    }
}

/// Where a step was in the time of all. The shortest has one column.
fn bar(span: &SpanView, all: u64) -> String {
    let column = |at: u64| (at as f64 / all.max(1) as f64 * BAR as f64).round() as usize;
    let from = column(span.offset_ns).min(BAR - 1);
    let to = column(span.offset_ns.saturating_add(span.duration_ns)).clamp(from + 1, BAR);
    format!("{}{}", " ".repeat(from), "█".repeat(to - from))
}

/// Nanoseconds in the unit that fits.
fn took(nanoseconds: u64) -> String {
    match nanoseconds {
        ..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{} µs", nanoseconds / 1_000),
        1_000_000..10_000_000 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        _ => words::took(nanoseconds / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    fn span(name: &str, depth: usize, offset_ns: u64, duration_ns: u64) -> SpanView {
        SpanView {
            id: "00f067aa0ba902b7".to_owned(),
            parent: None,
            depth,
            service: "web".to_owned(),
            name: name.to_owned(),
            kind: "server".to_owned(),
            offset_ns,
            duration_ns,
            failed: false,
            error: String::new(),
            attributes: std::collections::BTreeMap::default(),
        }
    }

    #[test]
    fn a_request_is_drawn_step_by_step() {
        let failed =
            SpanView { failed: true, error: "timeout".to_owned(), ..span("INSERT", 1, 60_000_000, 40_000_000) };
        let trace = TraceView {
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            began: "2026-03-01T12:00:00.25Z".parse().unwrap(),
            duration_ns: 100_000_000,
            dropped: 1,
            spans: vec![span("GET /", 0, 0, 100_000_000), span("cache", 1, 50_000_000, 12_000), failed],
        };
        insta::assert_snapshot!(plain(&waterfall(&trace)), @r"
        2026-03-01 12:00:00.250 UTC  0.1 s  3 steps

        OVER TIME                                 AFTER   TOOK  SERVICE  STEP
        ████████████████████████████████████████   0 ns  0.1 s  web      GET /
                            █                     50 ms  12 µs  web        cache
                                ████████████████  60 ms  40 ms  web        INSERT (timeout)
        1 step more, too many to be kept
        ");
    }

    #[test]
    fn without_requests_it_is_said_where_they_come_from() {
        assert!(list(&[], Timestamp::UNIX_EPOCH).contains("docs/observe.md"));
    }
}
