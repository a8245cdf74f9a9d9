//! Dashboards as Grafana has them: <https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/>.

use serde_json::{Value, json};

use super::{Asked, Dashboard, Kind, Panel, Variable};
use crate::Unit;

/// The version of the model that is written: that of Grafana 11.
const SCHEMA: u64 = 39;
/// The largest file that is read.
const MOST_BYTES: usize = 4 << 20;
/// More panels than these are no dashboard.
const MOST_PANELS: usize = 200;

/// Why a dashboard cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// It is too large.
    #[error("it has more than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// It is no JSON.
    #[error("line {line}, column {column}: it is not JSON")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It has no panels.
    #[error("it is no dashboard of Grafana: it has no list `panels`")]
    NoPanels,
    /// It has too many.
    #[error("it has more than {MOST_PANELS} panels")]
    TooManyPanels,
}

/// A dashboard that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// What of it can be shown.
    pub dashboard: Dashboard,
    /// What cannot, and why.
    pub notes: Vec<String>,
}

/// The dashboard as Grafana imports it. Which Prometheus is asked is left open: it is the variable `datasource`.
pub fn to_grafana(dashboard: &Dashboard) -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let mut variables = vec![json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0,
        "regex": "", "includeAll": false, "multi": false, "options": [], "current": {},
    })];
    variables.extend(dashboard.variables.iter().map(|variable| template(variable, &source)));
    let (mut panels, mut x, mut y) = (Vec::new(), 0, 0);
    for (i, panel) in dashboard.panels.iter().enumerate() {
        let (width, height) = (12, 8);
        panels.push(drawn(i + 1, panel, &source, &json!({"h": height, "w": width, "x": x, "y": y})));
        (x, y) = if x == 0 { (width, y) } else { (0, y + height) };
    }
    json!({
        "id": null,
        "uid": format!("daybook-{}", dashboard.name),
        "title": dashboard.title,
        "description": dashboard.about,
        "tags": ["daybook"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": variables},
        "panels": panels,
    })
}

fn template(variable: &Variable, source: &Value) -> Value {
    let mut told = json!({
        "name": variable.name, "label": variable.label, "type": "query", "datasource": source, "definition": variable.query,
        "query": {"query": variable.query, "refId": variable.name, "qryType": 1}, "refresh": 2, "sort": 1, "hide": 0, "regex": "",
        "includeAll": variable.all, "multi": variable.all, "options": [],
        "current": if variable.all { json!({"selected": true, "text": ["All"], "value": ["$__all"]}) } else { json!({}) },
    });
    if variable.all {
        told["allValue"] = json!(".*");
    }
    told
}

fn drawn(id: usize, panel: &Panel, source: &Value, place: &Value) -> Value {
    let target = |(i, asked): (usize, &Asked)| {
        json!({
            "refId": char::from(b'A' + u8::try_from(i % 26).unwrap_or(0)).to_string(), "datasource": source,
            "editorMode": "code", "expr": asked.expr, "legendFormat": asked.legend, "range": true,
            "instant": false,
        })
    };
    let targets: Vec<Value> = panel.queries.iter().enumerate().map(target).collect();
    let mut defaults = json!({
        "unit": panel.unit.grafana(), "min": 0, "color": {"mode": "palette-classic"}, "mappings": [],
        "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": null}]},
    });
    let (kind, options) = match panel.kind {
        Kind::Lines => {
            defaults["custom"] = json!({
                "drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never",
                "spanNulls": false, "axisPlacement": "auto", "stacking": {"group": "A", "mode": "none"},
            });
            let legend = json!({"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []});
            ("timeseries", json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}))
        }
        Kind::Stat => (
            "stat",
            json!({
                "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            }),
        ),
    };
    json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.about, "datasource": source, "gridPos": place,
        "targets": targets, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options, "transparent": false,
    })
}

/// Reads a dashboard that Grafana exported, or that is in its API's wrapping. `name` is what it is known by here.
pub fn of_grafana(name: &str, text: &str) -> Result<Read, NotRead> {
    if text.len() > MOST_BYTES {
        return Err(NotRead::TooLarge);
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| NotRead::NotJson { line: error.line(), column: error.column() })?;
    let value = value.get("dashboard").filter(|inner| inner.get("panels").is_some()).unwrap_or(&value);
    let panels = value.get("panels").and_then(Value::as_array).ok_or(NotRead::NoPanels)?;
    let mut notes = Vec::new();
    let variables = list(&value["templating"], "list").iter().filter_map(|told| variable(told, &mut notes)).collect();
    // Panels of a row that is folded are in it.
    let within = |panel: &Value| list(panel, "panels").to_vec();
    let all: Vec<Value> = panels.iter().flat_map(|panel| std::iter::once(panel.clone()).chain(within(panel))).collect();
    if all.len() > MOST_PANELS {
        return Err(NotRead::TooManyPanels);
    }
    let dashboard = Dashboard {
        name: name.to_owned(),
        title: text_of(value, "title").unwrap_or(name).to_owned(),
        about: text_of(value, "description").unwrap_or_default().to_owned(),
        variables,
        panels: all.iter().filter_map(|told| panel(told, &mut notes)).collect(),
    };
    Ok(Read { dashboard, notes })
}

fn variable(told: &Value, notes: &mut Vec<String>) -> Option<Variable> {
    let name = text_of(told, "name")?;
    let kind = text_of(told, "type").unwrap_or("query");
    if kind == "datasource" {
        return None;
    }
    if kind == "adhoc" {
        notes.push(format!("the filters of ${name:.80} are not applied"));
        return None;
    }
    let query = match &told["query"] {
        Value::String(query) => query.as_str(),
        query => text_of(query, "query").or_else(|| text_of(told, "definition")).unwrap_or_default(),
    };
    let current = match &told["current"]["value"] {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
        value => value.as_str().unwrap_or_default().to_owned(),
    };
    let all = told["includeAll"].as_bool().unwrap_or(false);
    let whole = text_of(told, "allValue").unwrap_or(".*");
    let value = match current.as_str() {
        "$__all" => Some(whole.to_owned()),
        "" if all => Some(whole.to_owned()),
        "" => (kind != "query").then(|| query.split(',').next().unwrap_or_default().trim().to_owned()),
        current => Some(current.to_owned()),
    };
    Some(Variable {
        name: name.to_owned(),
        label: text_of(told, "label").unwrap_or(name).to_owned(),
        query: if kind == "query" { query.to_owned() } else { String::new() },
        all,
        value,
    })
}

fn panel(told: &Value, notes: &mut Vec<String>) -> Option<Panel> {
    let title = text_of(told, "title").unwrap_or("untitled");
    let kind = match text_of(told, "type").unwrap_or_default() {
        "timeseries" | "graph" | "barchart" | "trend" => Kind::Lines,
        "stat" | "singlestat" | "gauge" | "bargauge" => Kind::Stat,
        "row" => return None,
        other => {
            notes.push(format!("{title:.80}: panels of the kind {other:.40} are not drawn"));
            return None;
        }
    };
    let mut queries = Vec::new();
    for target in list(told, "targets").iter().filter(|target| !target["hide"].as_bool().unwrap_or(false)) {
        let source = target["datasource"]["type"].as_str().or_else(|| told["datasource"]["type"].as_str());
        if source.is_some_and(|source| source != "prometheus") {
            notes.push(format!(
                "{title:.80}: a data source of the kind {:.40} is not asked",
                source.unwrap_or_default()
            ));
            continue;
        }
        let Some(expr) = text_of(target, "expr") else {
            notes.push(format!("{title:.80}: a query without PromQL is not asked"));
            continue;
        };
        let legend = text_of(target, "legendFormat").filter(|legend| *legend != "__auto").unwrap_or_default();
        queries.push(Asked { expr: expr.to_owned(), legend: legend.to_owned() });
    }
    if !list(told, "transformations").is_empty() {
        notes.push(format!("{title:.80}: its transformations are left out"));
    }
    if queries.is_empty() {
        return None;
    }
    let defaults = &told["fieldConfig"]["defaults"];
    let (unit, factor) = match text_of(defaults, "unit").or_else(|| told["yaxes"][0]["format"].as_str()) {
        Some(name) => Unit::of_grafana(name),
        None => (Unit::of_query(&queries[0].expr), 1.0),
    };
    Some(Panel {
        title: title.to_owned(),
        about: text_of(told, "description").unwrap_or_default().to_owned(),
        kind,
        unit,
        factor,
        queries,
    })
}

fn text_of<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
