//! Lines of what others logged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daybook_decide::redact::Redactor;
use daybook_ingest::Limits;
use daybook_ingest::otlp::{LogRecord, Logs, logs};
use daybook_ingest::remote::Skipped;
use daybook_logs::{Field, Level, Line, Stream};
use daybook_model::EnvKey;
use serde_json::Value;

use super::super::lock;
use super::blocking;
use super::body::Failure;
use super::otlp::Message;
use crate::App;

/// Where lines of others may come from: services, each in each environment. Streams of replicas need room too.
const ORIGINS: usize = 1_000;
/// Bytes of the name of a service.
const NAME: usize = 200;

/// Takes a message of log records in.
pub(super) async fn take(app: &App, message: Message) -> Result<Skipped, Failure> {
    let store = app.inner.observatory.lines().map_err(Failure::Later)?;
    let Message { format, encoding, bytes, .. } = message;
    let read = blocking(move || Ok(logs(format, encoding, &bytes, Limits::otlp())?)).await?;
    let Logs { records, mut skipped } = read;
    let known = app.managed().await;
    let environments: Vec<Option<EnvKey>> = records.iter().map(|record| environment(record, &known)).collect();
    let redactors = redactors(app, &environments, &known).await?;
    let app = app.clone();
    blocking(move || {
        let now = app.now().as_microsecond();
        let mut lines = Vec::with_capacity(records.len());
        let mut origins = lock(&app.inner.observatory.inflow.origins);
        for (record, environment) in records.into_iter().zip(&environments) {
            match admitted(&mut origins, stream(&record, environment.as_ref())) {
                Some(stream) => lines.push(line(record, stream, now, &|text| hidden(&redactors, environment, text))),
                None => skipped.add(1, format!("there are lines of {ORIGINS} services, as many as there may be")),
            }
        }
        drop(origins);
        let receipt = store.append(&lines, now).map_err(|error| Failure::Later(error.to_string()))?;
        for ((stream, why), amount) in &receipt.dropped {
            skipped.add(amount.lines, format!("lines of {stream} are not kept: {why}"));
        }
        Ok(skipped)
    })
    .await
}

/// The environment that a record says it is of, if there is one.
pub(super) fn environment(record: &LogRecord, known: &[EnvKey]) -> Option<EnvKey> {
    let said = |name: &str| record.resource.iter().find(|(other, _)| other == name).map(|(_, value)| text(value));
    let app = said("service.namespace")?;
    let environment = said("deployment.environment.name").or_else(|| said("deployment.environment"))?;
    known.iter().find(|key| key.app.as_str() == app && key.env.as_str() == environment).cloned()
}

/// What hides the secrets that may be in the records: those of their environments, or of all where one has none.
async fn redactors(
    app: &App,
    of: &[Option<EnvKey>],
    known: &[EnvKey],
) -> Result<BTreeMap<EnvKey, Arc<Redactor>>, Failure> {
    let any = of.iter().any(Option::is_none);
    let wanted: BTreeSet<&EnvKey> = if any { known.iter().collect() } else { of.iter().flatten().collect() };
    let mut redactors = BTreeMap::new();
    for key in wanted {
        let redactor = app.inner.executor.redactor(key).await;
        let redactor = redactor.map_err(|why| Failure::Later(format!("secrets of {key} cannot be hidden: {why}")))?;
        redactors.insert(key.clone(), redactor);
    }
    Ok(redactors)
}

fn hidden(redactors: &BTreeMap<EnvKey, Arc<Redactor>>, of: &Option<EnvKey>, text: &str) -> String {
    let chosen = redactors.iter().filter(|(key, _)| of.as_ref().is_none_or(|of| of == *key));
    chosen.fold(text.to_owned(), |text, (_, redactor)| redactor.redact(&text).into_owned())
}

pub(super) fn stream(record: &LogRecord, environment: Option<&EnvKey>) -> Stream {
    let service = &record.service[..record.service.floor_char_boundary(NAME)];
    let service = if service.is_empty() { "unknown" } else { service };
    let of = |part: Option<String>| part.unwrap_or_default();
    Stream::new([
        ("app", of(environment.map(|key| key.app.to_string()))),
        ("environment", of(environment.map(|key| key.env.to_string()))),
        ("service", service.to_owned()),
    ])
}

/// The stream, if there is room for it.
pub(super) fn admitted(origins: &mut BTreeSet<String>, stream: Stream) -> Option<Stream> {
    let name = stream.to_string();
    let there = origins.contains(&name) || (origins.len() < ORIGINS && origins.insert(name));
    there.then_some(stream)
}

/// The line of a record. What is said beside its text is beside the line.
pub(super) fn line(record: LogRecord, stream: Stream, now: i64, hide: &dyn Fn(&str) -> String) -> Line {
    let said = if record.body.is_null() { record.event.clone() } else { text(&record.body) };
    let at = record.at.map_or(now, |nanoseconds| (nanoseconds / 1_000) as i64);
    let mut line = Line::read(at, stream, hide(said.trim_end_matches(['\n', '\r'])));
    line.level = record.severity.map(level).or_else(|| Level::named(&record.severity_text)).or(line.level);
    let mut beside = |name: &str, value: String| {
        if !value.is_empty() {
            line.fields.push(Field { name: name.into(), value: value.into() });
        }
    };
    beside("trace_id", record.trace.map(|id| id.to_string()).unwrap_or_default());
    beside("span_id", record.span.map(|id| id.to_string()).unwrap_or_default());
    beside("scope", record.scope);
    beside("event", record.event);
    for (name, value) in record.attributes {
        beside(&name, hide(&text(&value)));
    }
    line
}

/// Texts as they are, all else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Four numbers make a level, from 1.
fn level(severity: u8) -> Level {
    let at = usize::from(severity.saturating_sub(1) / 4);
    Level::ALL.get(at).copied().unwrap_or(Level::Fatal)
}
