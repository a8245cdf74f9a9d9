//! Spans by trace, as far as memory allows: the newest traces stay. What is sent often enough to be asked about is there; it is
//! no archive.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::otlp::{Span, SpanStatus};
use crate::trace_context::{SpanId, TraceId};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many bytes of memory all spans may take, about.
    pub bytes: usize,
    /// How many spans a trace may have; what comes after is counted.
    pub spans: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 64 << 20, spans: 2_000 }
    }
}

/// Spans by trace.
#[derive(Debug)]
pub struct TraceStore {
    bounds: Bounds,
    traces: HashMap<TraceId, Trace>,
    /// The one that came first is the first.
    order: VecDeque<TraceId>,
    bytes: usize,
}

/// What is known of a trace.
#[derive(Debug, Default)]
struct Trace {
    spans: Vec<Span>,
    dropped: usize,
    bytes: usize,
}

/// A step of a request, where it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The step.
    pub span: Span,
    /// How many steps it is within.
    pub depth: usize,
    /// How long after the first step it began, in nanoseconds.
    pub offset: u64,
    /// How long it took, in nanoseconds.
    pub duration: u64,
}

/// A request, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall {
    /// Each step after the one that it is within; beside each other by when they began.
    pub rows: Vec<Row>,
    /// How long all took, in nanoseconds.
    pub duration: u64,
    /// Steps that were too many to be kept.
    pub dropped: usize,
}

/// What is said of a trace in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which it is.
    pub trace: TraceId,
    /// The service and the name of its first step.
    pub service: String,
    /// That name.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// How long it took, in nanoseconds.
    pub duration: u64,
    /// How many steps it has.
    pub spans: usize,
    /// Whether any of them failed.
    pub failed: bool,
}

impl TraceStore {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, traces: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// One more step. One that is known takes the place of the other. Where there is no room, the trace that came first goes.
    pub fn insert(&mut self, span: Span) {
        let id = span.trace;
        let trace = self.traces.entry(id).or_insert_with(|| {
            self.order.push_back(id);
            Trace::default()
        });
        let before = trace.bytes;
        trace.insert(span, self.bounds.spans);
        self.bytes = self.bytes - before + trace.bytes;
        while self.bytes > self.bounds.bytes {
            let Some(gone) = self.order.pop_front() else { break };
            self.bytes -= self.traces.remove(&gone).map_or(0, |trace| trace.bytes);
        }
    }

    /// A request, step by step, if it is there.
    pub fn waterfall(&self, id: TraceId) -> Option<Waterfall> {
        self.traces.get(&id).map(Trace::waterfall)
    }

    /// The traces that `chooses` says, at most so many, the one that came last first.
    pub fn list(&self, most: usize, mut chooses: impl FnMut(&Summary) -> bool) -> Vec<Summary> {
        let all = self.order.iter().rev().filter_map(|id| self.traces.get(id)?.summary(*id));
        all.filter(|summary| chooses(summary)).take(most).collect()
    }

    /// How many traces there are, and about how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        (self.traces.len(), self.bytes)
    }
}

impl Trace {
    fn insert(&mut self, span: Span, most: usize) {
        if let Some(known) = self.spans.iter_mut().find(|known| known.id == span.id) {
            self.bytes = self.bytes - bytes(known) + bytes(&span);
            *known = span;
        } else if self.spans.len() < most {
            self.bytes += bytes(&span);
            self.spans.push(span);
        } else {
            self.dropped += 1;
        }
    }

    /// When it began and ended.
    fn times(&self) -> (u64, u64) {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or_default();
        (start, self.spans.iter().map(|span| span.end).max().unwrap_or(start))
    }

    fn summary(&self, trace: TraceId) -> Option<Summary> {
        let first = self.spans.iter().min_by_key(|span| (span.parent.is_some(), span.start))?;
        let (start, end) = self.times();
        Some(Summary {
            trace,
            service: first.service.clone(),
            name: first.name.clone(),
            start,
            duration: end - start,
            spans: self.spans.len(),
            failed: self.spans.iter().any(|span| matches!(span.status, SpanStatus::Error(_))),
        })
    }

    fn waterfall(&self) -> Waterfall {
        let (start, end) = self.times();
        let known: HashSet<SpanId> = self.spans.iter().map(|span| span.id).collect();
        let mut sorted: Vec<&Span> = self.spans.iter().collect();
        sorted.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        // What is within something that is not there is shown as if it were within nothing.
        let parent = |span: &Span| span.parent.filter(|parent| known.contains(parent));
        let mut within: HashMap<Option<SpanId>, Vec<&Span>> = HashMap::new();
        sorted.iter().for_each(|span| within.entry(parent(span)).or_default().push(span));
        let (mut rows, mut shown) = (Vec::new(), HashSet::new());
        // Steps that are within each other are in no step that is in none: they follow.
        for first in within.get(&None).into_iter().flatten().chain(&sorted) {
            let mut open = vec![(*first, 0)];
            while let Some((span, depth)) = open.pop() {
                if !shown.insert(span.id) {
                    continue;
                }
                let (offset, duration) = (span.start - start, span.end.saturating_sub(span.start));
                rows.push(Row { span: span.clone(), depth, offset, duration });
                open.extend(within.get(&Some(span.id)).into_iter().flatten().rev().map(|one| (*one, depth + 1)));
            }
        }
        Waterfall { rows, duration: end - start, dropped: self.dropped }
    }
}

/// About how many bytes of memory a span takes.
fn bytes(span: &Span) -> usize {
    let attributes = span.attributes.iter().map(|(name, value)| name.len() + size_of_value(value) + 64);
    size_of::<Span>() + span.name.len() + span.service.len() + attributes.sum::<usize>() + 64
}

fn size_of_value(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(all) => all.iter().map(|one| size_of_value(one) + 32).sum(),
        serde_json::Value::Object(all) => all.iter().map(|(name, one)| name.len() + size_of_value(one) + 96).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::SpanKind;

    fn trace(number: u8) -> TraceId {
        TraceId::new([number; 16]).unwrap()
    }

    fn span(of: u8, id: u8, parent: u8, start: u64, end: u64) -> Span {
        Span {
            trace: trace(of),
            id: SpanId::new([id; 8]).unwrap(),
            parent: SpanId::new([parent; 8]).ok(),
            name: format!("step {id}"),
            kind: SpanKind::Server,
            start,
            end,
            status: SpanStatus::Unset,
            attributes: Vec::new(),
            service: "web".to_owned(),
        }
    }

    #[test]
    fn a_request_is_shown_step_by_step() {
        let mut store = TraceStore::new(Bounds::default());
        for one in [span(1, 4, 2, 30, 40), span(1, 1, 0, 10, 100), span(1, 3, 1, 60, 70), span(1, 2, 1, 20, 50)] {
            store.insert(one);
        }
        // Within one that is not there, and within each other.
        for one in [span(1, 5, 99, 80, 90), span(1, 6, 7, 81, 82), span(1, 7, 6, 83, 84)] {
            store.insert(one);
        }
        store.insert(Span { status: SpanStatus::Error("no".to_owned()), ..span(1, 3, 1, 60, 71) });
        let shown = store.waterfall(trace(1)).unwrap();
        let rows: Vec<_> =
            shown.rows.iter().map(|row| (row.span.id.bytes()[0], row.depth, row.offset, row.duration)).collect();
        assert_eq!(
            rows,
            [
                (1, 0, 0, 90),
                (2, 1, 10, 30),
                (4, 2, 20, 10),
                (3, 1, 50, 11),
                (5, 0, 70, 10),
                (6, 0, 71, 1),
                (7, 1, 73, 1)
            ]
        );
        let summary = &store.list(5, |summary| summary.failed)[0];
        assert_eq!((summary.name.as_str(), summary.duration, summary.spans), ("step 1", 90, 7));
        assert_eq!(store.waterfall(trace(2)), None);
    }

    #[test]
    fn the_newest_traces_stay() {
        let mut store = TraceStore::new(Bounds { bytes: 20_000, spans: 10 });
        for number in 1..200 {
            (1..15).for_each(|id| store.insert(span(number, id, 0, 1, 2)));
        }
        let (count, bytes) = store.size();
        assert!(bytes <= 20_000 && count > 2, "{count} {bytes}");
        let newest = store.list(2, |_| true);
        assert_eq!(newest.iter().map(|one| one.trace).collect::<Vec<_>>(), [trace(199), trace(198)]);
        assert_eq!(store.waterfall(trace(199)).map(|shown| (shown.rows.len(), shown.dropped)), Some((10, 4)));
        assert_eq!(store.waterfall(trace(1)), None);
    }
}
