//! The dashboards that everybody has, and those of others.

use std::collections::BTreeMap;
use std::convert::Infallible;

use daybook_metrics::{Labels, Matcher, Sample, Series, Source};
use daybook_panels::Grid;
use daybook_panels::dashboard::{Filling, Kind, NotRead, defaults, of_grafana, to_grafana};
use daybook_promql::{Options, Query};

const HOUR: i64 = 3_600_000;
const GRID: Grid = Grid { from: 2 * HOUR, to: 3 * HOUR, step: 60_000 };

/// Every series of one shop, as the server makes them: a name, and labels.
const SERIES: &[(&str, &str)] = &[
    ("daybook_http_requests_total", "app=shop env=production service=web replica=web.1 release=1 code=2xx"),
    ("daybook_http_requests_total", "app=shop env=production service=web replica=web.1 release=1 code=5xx"),
    (
        "daybook_http_request_duration_seconds_bucket",
        "app=shop env=production service=web replica=web.1 release=1 le=0.1",
    ),
    (
        "daybook_http_request_duration_seconds_bucket",
        "app=shop env=production service=web replica=web.1 release=1 le=+Inf",
    ),
    ("daybook_http_requests_in_flight", "app=shop env=production service=web replica=web.1 release=1 class=request"),
    ("daybook_http_requests_held", "app=shop env=production service=web"),
    ("daybook_route_requests_total", "app=shop env=production service=web route=shop.example/ code=2xx"),
    ("daybook_route_requests_total", "app=shop env=production service=web route=shop.example/ code=5xx"),
    ("daybook_route_request_duration_seconds_bucket", "app=shop env=production service=web route=shop.example/ le=0.1"),
    (
        "daybook_route_request_duration_seconds_bucket",
        "app=shop env=production service=web route=shop.example/ le=+Inf",
    ),
    ("daybook_service_replicas", "app=shop env=production service=web"),
    ("daybook_service_replicas_running", "app=shop env=production service=web"),
    ("daybook_anomaly_away", "app=shop env=production service=web of=requests"),
    ("daybook_replica_requests_total", "app=shop env=production service=web replica=web.1 release=1"),
    ("daybook_replica_restarts_total", "app=shop env=production service=web replica=web.1 release=1"),
    ("daybook_replica_oom_kills_total", "app=shop env=production service=web replica=web.1 release=1"),
    ("daybook_replica_cpu_seconds_total", "app=shop env=production service=web replica=web.1 release=1"),
    ("daybook_replica_memory_bytes", "app=shop env=production service=web replica=web.1 release=1"),
    ("daybook_host_cpu_seconds_total", "host=a mode=idle"),
    ("daybook_host_cpu_seconds_total", "host=a mode=user"),
    ("daybook_host_cpus", "host=a"),
    ("daybook_host_load1", "host=a"),
    ("daybook_host_load15", "host=a"),
    ("daybook_host_memory_available_bytes", "host=a"),
    ("daybook_host_memory_total_bytes", "host=a"),
    ("daybook_host_swap_total_bytes", "host=a"),
    ("daybook_host_swap_free_bytes", "host=a"),
    ("daybook_host_filesystem_avail_bytes", "host=a mountpoint=/s"),
    ("daybook_host_filesystem_size_bytes", "host=a mountpoint=/s"),
    ("daybook_host_network_receive_bytes_total", "host=a device=eth0"),
    ("daybook_host_network_transmit_bytes_total", "host=a device=eth0"),
    ("daybook_server_memory_bytes", "host=a"),
    ("daybook_database_up", "app=shop env=production database=db"),
    ("daybook_database_connections", "app=shop env=production database=db"),
    ("daybook_database_max_connections", "app=shop env=production database=db"),
    ("daybook_database_size_bytes", "app=shop env=production database=db"),
    ("daybook_database_replication_lag_seconds", "app=shop env=production database=db standby=db2"),
    ("daybook_database_replication_lag_bytes", "app=shop env=production database=db standby=db2"),
    ("daybook_backup_last_success_timestamp_seconds", "app=shop env=production holding=db"),
    ("daybook_backup_proven_timestamp_seconds", "app=shop env=production holding=db"),
    ("daybook_backup_size_bytes", "app=shop env=production holding=db"),
];

struct Shop(Vec<Series>);

impl Shop {
    fn new() -> Self {
        let series = |(name, labels): &(&str, &str)| Series {
            labels: Labels::new(
                std::iter::once(("__name__", (*name).to_owned()))
                    .chain(
                        labels
                            .split(' ')
                            .filter_map(|pair| pair.split_once('='))
                            .map(|(name, value)| (name, value.to_owned())),
                    )
                    .chain(std::iter::once(("job", "daybook".to_owned()))),
            ),
            samples: (0..3 * 360).map(|at| Sample { at: at * 10_000, value: (at * 7) as f64 }).collect(),
            ..Series::default()
        };
        Self(SERIES.iter().map(series).collect())
    }
}

impl Source for Shop {
    type Error = Infallible;

    fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Infallible> {
        let chosen = self.0.iter().filter(|series| matchers.iter().all(|matcher| matcher.chooses(&series.labels)));
        let within = |series: &Series| Series {
            samples: series.samples.iter().filter(|sample| (from..=to).contains(&sample.at)).copied().collect(),
            ..series.clone()
        };
        Ok(chosen.map(within).collect())
    }
}

fn filling() -> Filling {
    let mut filling = Filling::over(GRID);
    for (name, value) in [("app", "shop"), ("env", "production"), ("service", ".*"), ("database", "db"), ("host", "a")]
    {
        filling.set(name, value);
    }
    filling
}

#[test]
fn every_question_by_default_has_an_answer() {
    let (shop, filling) = (Shop::new(), filling());
    for dashboard in defaults() {
        for panel in &dashboard.panels {
            for asked in &panel.queries {
                let here = format!("{} / {}: {}", dashboard.title, panel.title, asked.expr);
                let text = filling.fill(&asked.expr).unwrap_or_else(|error| panic!("{here}: {error}"));
                let query = Query::parse(&text).unwrap_or_else(|error| panic!("{here}: {error}"));
                let output = query.range(&shop, GRID.from, GRID.to, GRID.step, &Options::default());
                let output = output.unwrap_or_else(|error| panic!("{here}: {error}"));
                let daybook_promql::Answer::Matrix(rows) = output.answer else { panic!("{here}: no rows") };
                assert!(!rows.is_empty(), "{here}: nothing is chosen");
                assert!(output.warnings.is_empty(), "{here}: {:?}", output.warnings);
            }
        }
        for variable in &dashboard.variables {
            let selector = variable.query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(','));
            let (selector, label) = selector.expect("every variable has its values from a label");
            assert_eq!(label.trim(), format!("{})", variable.name));
            Query::selector(&filling.fill(selector).expect("it is filled")).expect("it is a selector");
        }
    }
}

#[test]
fn the_model_of_grafana_comes_back_as_it_went() {
    for dashboard in defaults() {
        let text = to_grafana(&dashboard).to_string();
        let read = of_grafana(&dashboard.name, &text).expect("ours is read");
        assert!(read.notes.is_empty(), "{:?}", read.notes);
        let names = |variables: &[daybook_panels::dashboard::Variable]| {
            variables.iter().map(|variable| (variable.name.clone(), variable.query.clone())).collect::<Vec<_>>()
        };
        assert_eq!(names(&read.dashboard.variables), names(&dashboard.variables));
        assert_eq!(read.dashboard.panels, dashboard.panels);
    }
}

#[test]
fn what_is_exported_is_reviewed() {
    let edge = defaults().into_iter().find(|dashboard| dashboard.name == "edge").expect("there is one");
    insta::assert_snapshot!(serde_json::to_string_pretty(&to_grafana(&edge)).expect("it is JSON"));
}

#[test]
fn a_dashboard_of_others_is_shown_as_far_as_it_can_be() {
    let text = r#"{"title": "Node", "templating": {"list": [
        {"name": "ds", "type": "datasource", "query": "prometheus"},
        {"name": "job", "type": "query", "query": {"query": "label_values(up, job)"}, "current": {"value": "node"}},
        {"name": "every", "type": "query", "query": "label_values(up, x)", "includeAll": true, "current": {"value": ["$__all"]}},
        {"name": "q", "type": "custom", "query": "0.9, 0.99"}]},
        "panels": [
            {"type": "row", "title": "folded", "collapsed": true, "panels": [
                {"type": "stat", "title": "Up", "targets": [{"expr": "up{job=\"$job\"}", "refId": "A"}]}]},
            {"type": "timeseries", "title": "Latency", "fieldConfig": {"defaults": {"unit": "ms"}},
             "targets": [{"expr": "a", "legendFormat": "__auto"}, {"expr": "b", "hide": true}]},
            {"type": "heatmap", "title": "Heat", "targets": [{"expr": "c"}]},
            {"type": "timeseries", "title": "Lines", "datasource": {"type": "loki", "uid": "x"}, "targets": [{"expr": "{}"}]}]}"#;
    let read = of_grafana("node", text).expect("it is read");
    assert_eq!(
        read.notes,
        ["Heat: panels of the kind heatmap are not drawn", "Lines: a data source of the kind loki is not asked"]
    );
    let panels: Vec<_> =
        read.dashboard.panels.iter().map(|panel| (panel.title.as_str(), panel.kind, panel.factor)).collect();
    assert_eq!(panels, [("Up", Kind::Stat, 1.0), ("Latency", Kind::Lines, 1e-3)]);
    let values: BTreeMap<_, _> = read
        .dashboard
        .variables
        .iter()
        .map(|one| (one.name.as_str(), one.value.as_deref().unwrap_or("none")))
        .collect();
    assert_eq!(values, BTreeMap::from([("every", ".*"), ("job", "node"), ("q", "0.9")]));
}

#[test]
fn r36_what_is_no_dashboard_is_refused() {
    let place = NotRead::NotJson { line: 1, column: 2 };
    assert_eq!(of_grafana("a", "{x"), Err(place.clone()));
    assert_eq!(place.to_string(), "line 1, column 2: it is not JSON");
    for text in ["[]", "{}", "null", "3", r#"{"panels": 3}"#, r#"{"dashboard": {}}"#] {
        assert_eq!(of_grafana("a", text), Err(NotRead::NoPanels), "{text}");
    }
    for text in [
        r#"{"panels": [3, null, [], {"type": 4, "title": []}, {"type": "stat", "targets": {"a": 1}}]}"#,
        r#"{"panels": [], "templating": {"list": [1, {"name": 3}, {"name": "a", "current": {"value": {"b": []}}}]}}"#,
    ] {
        assert!(of_grafana("a", text).expect("odd parts are passed over").dashboard.panels.is_empty());
    }
    let many = format!(r#"{{"panels": [{}]}}"#, vec!["{}"; 201].join(","));
    assert_eq!(of_grafana("a", &many), Err(NotRead::TooManyPanels));
    assert_eq!(of_grafana("a", &" ".repeat(5 << 20)), Err(NotRead::TooLarge));
    let deep = "[".repeat(100_000);
    assert!(matches!(of_grafana("a", &deep), Err(NotRead::NotJson { .. })));
}
