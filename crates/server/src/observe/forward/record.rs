//! A line as OpenTelemetry has it: its counterpart is in `inflow`, which makes lines of records. Pure.

use std::collections::BTreeSet;

use daybook_ingest::otlp::LogRecord;
use daybook_logs::{Kept, Level, Line};
use serde_json::Value;

/// What is said of who printed it: the name that OpenTelemetry has for it, and the label of its stream.
const RESOURCE: [(&str, &str); 5] = [
    ("service.name", "service"),
    ("service.namespace", "app"),
    ("deployment.environment.name", "environment"),
    ("service.instance.id", "replica"),
    ("service.version", "release"),
];

/// A line as a record: its text is the body as it was printed, and what is told beside it or found in it are attributes.
pub(super) fn record(kept: &Kept) -> LogRecord {
    let line = &kept.line;
    let resource = RESOURCE.into_iter().map(|(name, label)| (name, line.stream.get(label)));
    let resource = resource.filter(|(_, value)| !value.is_empty());
    let mut record = LogRecord {
        at: u64::try_from(line.at).ok().and_then(|at| at.checked_mul(1_000)),
        severity: line.level.map(severity),
        severity_text: line.level.map(|level| level.name().to_uppercase()).unwrap_or_default(),
        body: line.text().into(),
        event: String::new(),
        attributes: Vec::new(),
        resource: resource.map(|(name, value)| (name.to_owned(), value.into())).collect(),
        service: line.stream.get("service").to_owned(),
        scope: String::new(),
        trace: None,
        span: None,
    };
    tell(line, &mut record);
    record
}

/// Puts each field where it belongs. What is told beside a line counts more than what is found in it, and what comes first.
fn tell(line: &Line, record: &mut LogRecord) {
    for field in &line.fields {
        match field.name.as_str() {
            "scope" => record.scope = field.value.to_string(),
            "event" => record.event = field.value.to_string(),
            _ => {}
        }
    }
    let beside = line.fields.iter().map(|field| (field.name.as_str(), field.value.as_str()));
    let beside = beside.filter(|(name, _)| !matches!(*name, "scope" | "event"));
    let parsed = line.parsed();
    let inside = parsed.fields.iter().map(|(name, value)| (&**name, &**value));
    let mut names = BTreeSet::new();
    for (name, value) in beside.chain(inside) {
        let is_id = match letters(name).as_str() {
            "traceid" if record.trace.is_none() => {
                record.trace = value.to_ascii_lowercase().parse().ok();
                record.trace.is_some()
            }
            "spanid" if record.span.is_none() => {
                record.span = value.to_ascii_lowercase().parse().ok();
                record.span.is_some()
            }
            _ => false,
        };
        // An attribute without a name is none.
        if !is_id && !name.is_empty() && names.insert(name) {
            record.attributes.push((name.to_owned(), Value::from(value)));
        }
    }
}

/// A name without what stands between its words.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Each level has four numbers, from 1; it is the first of them.
fn severity(level: Level) -> u8 {
    match level {
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
        Level::Fatal => 21,
    }
}

#[cfg(test)]
mod tests {
    use daybook_logs::{Field, Position, Stream};
    use serde_json::json;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(text: &str, beside: &[(&str, &str)]) -> LogRecord {
        let stream = Stream::new([
            ("app", "shop"),
            ("environment", "production"),
            ("service", "web"),
            ("replica", "web-1"),
            ("release", "7"),
        ]);
        let mut line = Line::read(1_700_000_000_000_001, stream, text);
        line.fields =
            beside.iter().map(|(name, value)| Field { name: (*name).into(), value: (*value).into() }).collect();
        record(&Kept { line, position: Position { at: 0, number: 0 }, missing: 0 })
    }

    fn texts(all: &[(String, Value)]) -> Vec<(&str, &str)> {
        all.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
    }

    #[test]
    fn a_line_says_who_printed_it_and_when_and_how_grave_it_is() {
        let record = of("error: no card was charged", &[("stderr", "true")]);
        assert_eq!(record.at, Some(1_700_000_000_000_001_000));
        assert_eq!((record.severity, record.severity_text.as_str()), (Some(17), "ERROR"));
        assert_eq!(record.body, json!("error: no card was charged"));
        assert_eq!(
            texts(&record.resource),
            [
                ("service.name", "web"),
                ("service.namespace", "shop"),
                ("deployment.environment.name", "production"),
                ("service.instance.id", "web-1"),
                ("service.version", "7"),
            ]
        );
        assert_eq!(texts(&record.attributes), [("stderr", "true")]);
        assert_eq!((record.trace, record.span), (None, None));
        let plain = of("it runs", &[]);
        assert_eq!((plain.severity, plain.severity_text.as_str()), (None, ""));
    }

    #[test]
    fn what_is_in_a_line_is_beside_its_record_and_its_text_stays() {
        let text = format!(r#"{{"level":"warn","traceId":"{TRACE}","span_id":"00F067AA0BA902B7","n":5}}"#);
        let record = of(&text, &[]);
        assert_eq!((record.severity, record.body.as_str()), (Some(13), Some(text.as_str())));
        assert_eq!(texts(&record.attributes), [("level", "warn"), ("n", "5")]);
        assert_eq!(record.trace.map(|id| id.to_string()).as_deref(), Some(TRACE));
        assert_eq!(record.span.map(|id| id.to_string()).as_deref(), Some("00f067aa0ba902b7"));
    }

    #[test]
    fn what_is_beside_a_line_counts_first_and_no_name_is_there_twice() {
        let beside = [("trace_id", TRACE), ("scope", "orders"), ("event", "charged"), ("n", "1")];
        let record = of(r#"{"n":2,"trace_id":"mine","":3}"#, &beside);
        assert_eq!(record.trace.map(|id| id.to_string()).as_deref(), Some(TRACE));
        assert_eq!((record.scope.as_str(), record.event.as_str()), ("orders", "charged"));
        assert_eq!(texts(&record.attributes), [("n", "1"), ("trace_id", "mine")]);
    }
}
