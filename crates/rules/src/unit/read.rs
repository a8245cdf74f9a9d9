//! Text to tests.

use daybook_metrics::Labels;
use daybook_promql::testfile;

use super::{ExpectedAlerts, ExpectedAnswer, Test, TestFile};
use crate::problem::Problems;
use crate::read::{Fields, Reading};
use crate::yaml::Node;

const ROOT: [&str; 5] = ["rule_files", "evaluation_interval", "group_eval_order", "fuzzy_compare", "tests"];
const TEST: [&str; 7] =
    ["name", "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url"];

pub(super) fn file(file: &str, text: &str) -> Result<TestFile, Problems> {
    let (reading, root) = Reading::of(file, text);
    let mut read =
        TestFile { rule_files: Vec::new(), interval: 60_000, order: Vec::new(), fuzzy: false, tests: Vec::new() };
    if let Some(root) = &root {
        let fields = reading.fields(root, "the file", &ROOT);
        let texts = |key| {
            let text = |node: &Node| reading.text(node, key).map(ToOwned::to_owned);
            fields.items(key).iter().filter_map(text).collect::<Vec<_>>()
        };
        read.rule_files = texts("rule_files");
        read.order = texts("group_eval_order");
        read.interval = fields.duration("evaluation_interval").filter(|interval| *interval > 0).unwrap_or(60_000);
        read.fuzzy = fields.boolean("fuzzy_compare").unwrap_or(false);
        read.tests = fields.items("tests").iter().map(|node| test(&reading, node, read.interval)).collect();
    }
    reading.finish(read)
}

fn test(reading: &Reading, node: &Node, interval: i64) -> Test {
    let fields = reading.fields(node, "a test", &TEST);
    let external = fields.get("external_labels").map_or_else(Vec::new, |node| reading.texts(node, "`external_labels`"));
    Test {
        name: fields.text("name").unwrap_or_default().to_owned(),
        place: reading.place(fields.at),
        interval: fields.duration("interval").filter(|interval| *interval > 0).unwrap_or(interval),
        series: fields.items("input_series").iter().filter_map(|node| series(reading, node)).collect(),
        external_labels: Labels::new(external.into_iter().map(|(name, _, value)| (name, value))),
        external_url: fields.text("external_url").unwrap_or_default().to_owned(),
        alerts: fields.items("alert_rule_test").iter().map(|node| alerts(reading, node)).collect(),
        queries: fields.items("promql_expr_test").iter().filter_map(|node| answer(reading, node)).collect(),
    }
}

fn series(reading: &Reading, node: &Node) -> Option<(Labels, Vec<testfile::Item>)> {
    let fields = reading.fields(node, "a series", &["series", "values"]);
    let line = format!("{} {}", fields.text("series")?, fields.text("values").unwrap_or_default());
    match testfile::series(&line) {
        Ok(series) => Some(series),
        Err(why) => {
            reading.problem(
                fields.at,
                format!("the series is wrong: {why}"),
                "write it like `up{job=\"web\"}` and `1x5 0x5`",
            );
            None
        }
    }
}

fn at(fields: &Fields<'_, '_>) -> i64 {
    fields.duration("eval_time").unwrap_or(0)
}

fn alerts(reading: &Reading, node: &Node) -> ExpectedAlerts {
    let fields = reading.fields(node, "an alert test", &["eval_time", "alertname", "exp_alerts"]);
    let name = fields.text("alertname").unwrap_or_default().to_owned();
    if name.is_empty() {
        reading.problem(fields.at, "an alert test has no `alertname`", "name the alert");
    }
    let alert = |node: &Node| {
        let fields = reading.fields(node, "an expected alert", &["exp_labels", "exp_annotations"]);
        let texts = |key| fields.get(key).map_or_else(Vec::new, |node| reading.texts(node, key));
        let labels = Labels::new(texts("exp_labels").into_iter().map(|(name, _, value)| (name, value)));
        let mut annotations: Vec<_> =
            texts("exp_annotations").into_iter().map(|(name, _, value)| (name, value)).collect();
        annotations.sort();
        (labels, annotations)
    };
    ExpectedAlerts {
        place: reading.place(fields.at),
        at: at(&fields),
        name,
        alerts: fields.items("exp_alerts").iter().map(alert).collect(),
    }
}

fn answer(reading: &Reading, node: &Node) -> Option<ExpectedAnswer> {
    let fields = reading.fields(node, "a query test", &["expr", "eval_time", "exp_samples"]);
    let sample = |node: &Node| {
        let fields = reading.fields(node, "an expected sample", &["labels", "value", "histogram"]);
        let labels = fields.text("labels").unwrap_or_default().trim();
        let value = fields.text("histogram").or_else(|| fields.text("value")).unwrap_or_default();
        let written = if labels.is_empty() { "{}" } else { labels };
        match testfile::series(&format!("{written} {value}")) {
            Ok((labels, items)) if items.len() == 1 => Some((labels, items.into_iter().next().flatten())),
            Ok(_) => {
                reading.problem(fields.at, "an expected sample has one value", "write `value: NUMBER`");
                None
            }
            Err(why) => {
                reading.problem(
                    fields.at,
                    format!("the sample is wrong: {why}"),
                    "write it like `up{job=\"web\"}` and `1`",
                );
                None
            }
        }
    };
    let samples = fields.items("exp_samples").iter().filter_map(sample).collect();
    let query = match fields.get("expr") {
        Some(node) => reading.query(node, "`expr`")?,
        None => {
            reading.problem(fields.at, "a query test has no `expr`", "write a query");
            return None;
        }
    };
    Some(ExpectedAnswer { place: reading.place(fields.at), at: at(&fields), query, samples })
}
