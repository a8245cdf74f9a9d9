use std::collections::BTreeSet;

use daybook_ingest::otlp::LogRecord;
use daybook_ingest::remote::Skipped;
use daybook_logs::Level;
use daybook_metrics::store::Batch;
use daybook_metrics::{Histogram, Labels, NAME};
use daybook_model::EnvKey;
use serde_json::json;

use super::log_records::{admitted, environment, line, stream};
use super::without_ours;

fn record() -> LogRecord {
    LogRecord {
        at: Some(1_700_000_000_123_456_789),
        severity: Some(17),
        severity_text: String::new(),
        body: json!("no card secret-1\n"),
        event: String::new(),
        attributes: vec![("user".to_owned(), json!(7)), ("key".to_owned(), json!("secret-1"))],
        resource: vec![
            ("deployment.environment".to_owned(), json!("production")),
            ("service.namespace".to_owned(), json!("shop")),
        ],
        service: "web".to_owned(),
        scope: "cards".to_owned(),
        trace: "4bf92f3577b34da6a3ce929d0e0e4736".parse().ok(),
        span: None,
    }
}

#[test]
fn a_record_becomes_a_line_of_its_environment_without_secrets() {
    let known: [EnvKey; 1] = ["shop/production".parse().unwrap()];
    let key = environment(&record(), &known);
    assert_eq!(key.as_ref(), Some(&known[0]));
    assert_eq!(environment(&record(), &[]), None);
    let hide = |text: &str| text.replace("secret-1", "***");
    let line = line(record(), stream(&record(), key.as_ref()), 0, &hide);
    assert_eq!((line.at, line.level, &*line.text()), (1_700_000_000_123_456, Some(Level::Error), "no card ***"));
    let labels: Vec<_> = line.stream.iter().collect();
    assert_eq!(labels, [("app", "shop"), ("environment", "production"), ("service", "web")]);
    let beside: Vec<_> = line.fields.iter().map(|field| format!("{}={}", field.name, field.value)).collect();
    assert_eq!(beside, ["trace_id=4bf92f3577b34da6a3ce929d0e0e4736", "scope=cards", "user=7", "key=***"]);
}

#[test]
fn a_record_without_a_time_or_a_text_is_one_of_now_and_of_its_event() {
    let bare = LogRecord {
        at: None,
        severity: None,
        severity_text: "WARN".to_owned(),
        body: json!(null),
        event: "card.refused".to_owned(),
        service: String::new(),
        ..record()
    };
    let line = line(bare.clone(), stream(&bare, None), 5, &str::to_owned);
    assert_eq!((line.at, line.level, &*line.text()), (5, Some(Level::Warn), "card.refused"));
    assert_eq!(line.stream.iter().collect::<Vec<_>>(), [("service", "unknown")]);
}

#[test]
fn services_of_others_are_not_more_than_there_is_room_for() {
    let mut origins: BTreeSet<String> = (0..1_000).map(|n| n.to_string()).collect();
    let of = |service: &str| stream(&LogRecord { service: service.to_owned(), ..record() }, None);
    assert_eq!(admitted(&mut origins, of("web")), None);
    origins.pop_first();
    assert_eq!(admitted(&mut origins, of("web")), Some(of("web")));
    assert_eq!(admitted(&mut origins, of("web")), Some(of("web")), "what is known is no more");
}

#[test]
fn nobody_tells_for_us_how_we_do() {
    let labels = |name: &str| Labels::new([(NAME, name), ("job", "other")]);
    let mut batch = Batch::default();
    batch.add(labels("daybook_replica_up"), 1, 0.0);
    batch.add(labels("up"), 1, 1.0);
    batch.add_histogram(labels("daybook_http_request_duration_seconds"), 1, Histogram::default());
    let mut skipped = Skipped::default();
    let left = without_ours(batch, &mut skipped);
    let names: Vec<_> = left.samples().map(|(labels, ..)| labels.metric()).collect();
    assert_eq!((names, left.len(), skipped.count), (vec!["up"], 1, 2));
}
