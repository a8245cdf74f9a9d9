//! The HTTP API of Prometheus: <https://prometheus.io/docs/prometheus/latest/querying/api/>.
//!
//! What asks a Prometheus (Grafana, for one) can ask us, under `/prometheus`. Answers have its shapes, and refusals too.

mod answer;
mod parameters;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use daybook_metrics::exposition::{Format, Kind, Writer};
use daybook_metrics::store::Store;
use daybook_metrics::{Labels, Matcher, NAME};
use daybook_promql::Query;
use daybook_rules::builtin::{METRICS, of_series};
use serde_json::{Value, json};

use super::ask::{NotAnswered, POINTS, When, ask, not_read};
use super::{Observatory, lock};
use crate::App;
use answer::Refused;
use parameters::Parameters;

type Answered = Result<Response, Refused>;

/// The paths below `/api/v1`, `/metrics`, and those that take something in.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/labels", get(labels).post(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/metadata", get(metadata))
        .route("/api/v1/rules", get(rules::rules))
        .route("/api/v1/alerts", get(rules::alerts))
        .route("/api/v1/query_exemplars", get(nothing).post(nothing))
        .route("/api/v1/status/buildinfo", get(build))
        .route("/api/v1/status/tsdb", get(statistics))
        .route("/metrics", get(metrics))
        .merge(super::inflow::routes())
        .merge(super::pages::routes())
}

async fn query(State(app): State<App>, asked: Parameters) -> Answered {
    let text = asked.need("query")?;
    let at = asked.time("time")?.unwrap_or_else(|| app.now().as_millisecond());
    answered(&app, &asked, text, When::At(at)).await
}

async fn query_range(State(app): State<App>, asked: Parameters) -> Answered {
    let text = asked.need("query")?;
    let (from, to) = (asked.need_time("start")?, asked.need_time("end")?);
    let step = asked.duration("step")?.ok_or_else(|| Refused::bad("invalid parameter \"step\": it is missing"))?;
    if to < from {
        return Err(Refused::bad("invalid parameter \"end\": end timestamp must not be before start time"));
    }
    if step < 1 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Refused::bad(format!("invalid parameter \"step\": {why}")));
    }
    if to.saturating_sub(from) / step > POINTS {
        let why = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
        return Err(Refused::bad(why));
    }
    answered(&app, &asked, text, When::Range { from, to, step }).await
}

async fn answered(app: &App, asked: &Parameters, text: &str, when: When) -> Answered {
    let output = ask(&app.inner.observatory, text, when, asked.timeout()?).await?;
    let at = match when {
        When::At(at) => at,
        When::Range { to, .. } => to,
    };
    Ok(answer::of_query(&output, at))
}

async fn series(State(app): State<App>, asked: Parameters) -> Answered {
    let matchers = asked.matchers()?;
    if matchers.is_empty() {
        return Err(Refused::bad("no match[] parameter provided"));
    }
    let found = look(&app, &asked, matchers, Store::series).await?;
    let found = found.iter().map(|labels: &Labels| {
        let labels = labels.iter().map(|label| (label.name.to_string(), Value::from(label.value.as_str())));
        Value::Object(labels.collect())
    });
    Ok(answer::success(&limited(&asked, found)?))
}

async fn labels(State(app): State<App>, asked: Parameters) -> Answered {
    let found = look(&app, &asked, asked.matchers()?, Store::labels).await?;
    Ok(answer::success(&limited(&asked, found.into_iter().map(Value::from))?))
}

async fn label_values(State(app): State<App>, Path(name): Path<String>, asked: Parameters) -> Answered {
    let matchers = asked.matchers()?;
    let found =
        look(&app, &asked, matchers, move |store, matchers, from, to| store.values(&name, matchers, from, to)).await?;
    Ok(answer::success(&limited(&asked, found.into_iter().map(Value::from))?))
}

/// What each of several lists of matchers chooses, once; everything, where there is no list.
async fn look<T: Ord + Send + 'static>(
    app: &App,
    asked: &Parameters,
    matchers: Vec<Vec<Matcher>>,
    look: impl Fn(&Store, &[Matcher], i64, i64) -> Result<Vec<T>, daybook_metrics::store::NotRead> + Send + 'static,
) -> Result<BTreeSet<T>, Refused> {
    let store = kept(&app.inner.observatory)?;
    let (from, to) = (asked.time("start")?.unwrap_or(i64::MIN), asked.time("end")?.unwrap_or(i64::MAX));
    let lists = if matchers.is_empty() { vec![Vec::new()] } else { matchers };
    let found = tokio::task::spawn_blocking(move || {
        let mut all = BTreeSet::new();
        for matchers in &lists {
            all.extend(look(&store, matchers, from, to).map_err(|error| not_read(&error))?);
        }
        Ok::<_, NotAnswered>(all)
    });
    Ok(found.await.map_err(|error| NotAnswered::Failed(format!("the look broke off: {error}")))??)
}

/// As many as are asked for; all without a limit.
fn limited(asked: &Parameters, found: impl Iterator<Item = Value>) -> Result<Value, Refused> {
    Ok(Value::Array(found.take(asked.limit()?).collect()))
}

async fn metadata(State(app): State<App>, asked: Parameters) -> Answered {
    let wanted = asked.get("metric").filter(|name| !name.is_empty());
    let known = lock(&app.inner.observatory.metadata);
    let ours = METRICS.iter().map(|metric| (metric.name, metric.kind, metric.help));
    let theirs = known.iter().map(|(name, (kind, help))| (name.as_str(), *kind, help.as_str()));
    let told = ours.chain(theirs).filter(|(name, ..)| wanted.is_none_or(|wanted| wanted == *name));
    let told = told
        .take(asked.limit()?)
        .map(|(name, kind, help)| (name.to_owned(), json!([{"type": kind.word(), "help": help, "unit": ""}])));
    Ok(answer::success(&Value::Object(told.collect())))
}

async fn nothing() -> Response {
    answer::success(&json!([]))
}

/// Grafana asks which Prometheus it speaks to: what it may ask follows from that.
async fn build() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    answer::success(&json!({
        "version": "3.0.0", "revision": format!("daybook-{version}"), "branch": "", "buildUser": "", "buildDate": "",
        "goVersion": "",
    }))
}

async fn statistics(State(app): State<App>) -> Answered {
    let store = kept(&app.inner.observatory)?;
    let statistics = store.statistics();
    let largest =
        statistics.largest.iter().map(|(count, culprit)| json!({"name": culprit.to_string(), "value": count}));
    Ok(answer::success(&json!({
        "headStats": {"numSeries": statistics.series, "chunkCount": 0, "maxTime": statistics.newest},
        "seriesCountByMetricName": largest.collect::<Vec<_>>(),
    })))
}

/// The last samples of our own, for a Prometheus that scrapes us.
async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let open = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.split(',').any(|kind| kind.trim().starts_with("application/openmetrics-text")));
    let format = if open { Format::OpenMetrics } else { Format::Text };
    let text = exposition(&app.inner.observatory, format);
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

fn exposition(observatory: &Observatory, format: Format) -> String {
    let told = lock(&observatory.told);
    let mut of: BTreeMap<&str, Vec<(&Labels, f64)>> = BTreeMap::new();
    for (labels, value) in told.values().flat_map(super::samples::Told::iter) {
        if let Some(metric) = of_series(labels.metric()) {
            of.entry(metric.name).or_default().push((labels, value));
        }
    }
    let mut writer = Writer::new(format);
    for metric in METRICS {
        let Some(mut samples) = of.remove(metric.name) else { continue };
        // Buckets come with the count and the sum of their series.
        samples.sort_by_cached_key(|(labels, _)| labels.filtered(|label| label.name != NAME && label.name != "le"));
        let open_counter = format == Format::OpenMetrics && metric.kind == Kind::Counter;
        let name = if open_counter { metric.name.strip_suffix("_total").unwrap_or(metric.name) } else { metric.name };
        writer.metric(name, metric.kind, metric.help);
        for (labels, value) in samples {
            // Whoever scrapes us says where it has that from.
            writer.sample(&labels.filtered(|label| label.name != "job"), value, None);
        }
    }
    writer.finish()
}

fn kept(observatory: &Observatory) -> Result<Arc<Store>, NotAnswered> {
    observatory.store().map_err(NotAnswered::Unavailable)
}

/// Lists of matchers of selectors.
fn selectors<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<Matcher>>, Refused> {
    let mut all = Vec::new();
    for text in texts {
        let lists = Query::selector(text);
        all.extend(lists.map_err(|error| Refused::bad(format!("invalid parameter \"match[]\": {error}")))?);
    }
    Ok(all)
}
