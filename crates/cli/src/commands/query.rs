use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use daybook_api::client::Exit;
use daybook_api::query::{
    InstantQuery, MatrixRow, PictureQuery, Point, QueryAnswer, QueryData, RangeQuery, VectorElement,
};
use daybook_panels::{Grid, Unit, sparkline};

use crate::args::duration;
use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output;
use crate::output::style::{DIM, GOOD, WARN, clean, paint};
use crate::output::table::Table;

/// Ask what was measured, in PromQL.
///
/// Everything that runs is measured from its first start: `daybook_http_requests_total`,
/// `daybook_replica_cpu_seconds_total` and more, which docs/observe.md lists, and what services tell by `metrics` in the
/// manifest.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The question, for example `sum by (service) (rate(daybook_http_requests_total[5m]))`.
    query: String,
    /// Over so much time until now, and not only now.
    #[arg(long, visible_alias = "since", value_name = "TIME", value_parser = duration)]
    range: Option<Duration>,
    /// Between two values of a range: by default so long that there are 60.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    step: Option<Duration>,
    /// Draw it into a file, over the last hour unless --range says otherwise; `-` is standard output. Overwrites.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    svg: Option<PathBuf>,
    /// What stands above the picture; the question itself by default.
    #[arg(long, value_name = "TEXT", requires = "svg")]
    title: Option<String>,
    /// What its numbers are of, where their names do not say: `number`, `s`, `bytes`, `bytes/s`, `share`, `percent`,
    /// `requests/s`, `/s`.
    #[arg(long, value_name = "UNIT", requires = "svg", value_parser = clap::builder::PossibleValuesParser::new(Unit::names()), hide_possible_values = true)]
    unit: Option<String>,
}

/// Values of a range where nothing else is said: a line on most terminals.
const VALUES: i64 = 60;

impl Query {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        if let Some(file) = self.svg.clone() {
            return self.draw(ctx, &file).await;
        }
        let client = ctx.client().await?;
        let Some(range) = self.range else {
            let answer = client.query(&InstantQuery { query: self.query, time: None }).await?;
            notes(ctx, &answer);
            ctx.data(&answer, render)?;
            return Ok(Exit::Ok);
        };
        let grid =
            Grid::stepped(now().as_millisecond(), i64::try_from(range.as_millis()).unwrap_or(i64::MAX / 4), VALUES);
        let step = self.step.map(|step| i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1));
        let grid = Grid { step: step.unwrap_or(grid.step), ..grid };
        let answer = client.query_range(&over(self.query, grid)).await?;
        notes(ctx, &answer);
        ctx.data(&answer, |answer| match &answer.data {
            QueryData::Matrix(all) if !all.is_empty() => matrix(all, grid),
            _ => render(answer),
        })?;
        Ok(Exit::Ok)
    }

    async fn draw(self, ctx: &Ctx, file: &Path) -> Result<Exit> {
        let query = PictureQuery {
            query: self.query,
            title: self.title,
            unit: self.unit,
            end: None,
            span: self.range.map(|range| range.as_secs()),
            step: self.step.map(|step| step.as_secs()),
        };
        let drawn = ctx.client().await?.picture(&query).await?;
        if file == Path::new("-") {
            output::text(&drawn)?;
            return Ok(Exit::Ok);
        }
        std::fs::write(file, drawn).map_err(|error| CommandError::io(format!("write {}", file.display()), &error))?;
        ctx.say(&format!("{} {} shows it", paint(GOOD, "✓"), file.display()));
        Ok(Exit::Ok)
    }
}

/// The question for each time of a grid.
pub(super) fn over(query: impl Into<String>, grid: Grid) -> RangeQuery {
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    RangeQuery { query: query.into(), start: seconds(grid.from), end: seconds(grid.to), step: seconds(grid.step) }
}

/// The numbers of a series at their places in a grid.
pub(super) fn placed(row: &MatrixRow, grid: Grid) -> Vec<Option<f64>> {
    grid.place(row.values.iter().filter_map(|point| Some(((point.0 * 1_000.0).round() as i64, number(point)?))))
}

fn notes(ctx: &Ctx, answer: &QueryAnswer) {
    for note in answer.warnings.iter().chain(&answer.infos) {
        ctx.say(&paint(WARN, clean(note)));
    }
}

fn render(answer: &QueryAnswer) -> String {
    match &answer.data {
        QueryData::Scalar((_, value)) | QueryData::String((_, value)) => format!("{}\n", short(value)),
        QueryData::Vector(all) if !all.is_empty() => vector(all),
        QueryData::Vector(_) | QueryData::Matrix(_) => nothing(),
    }
}

fn nothing() -> String {
    "nothing was measured that this asks for\n".to_owned()
}

fn vector(all: &[VectorElement]) -> String {
    let mut table = Table::new(&["SERIES", "VALUE>"]);
    let common = common(&all.iter().map(|element| &element.metric).collect::<Vec<_>>());
    for element in all {
        let value = element.value.as_ref().map_or("a histogram".to_owned(), |(_, value)| short(value));
        table.row([series(&element.metric, &common), value]);
    }
    headed(&common, &table)
}

fn matrix(all: &[MatrixRow], grid: Grid) -> String {
    let mut table = Table::new(&["SERIES", "LEAST>", "MOST>", "LAST>", "OVER TIME"]);
    let common = common(&all.iter().map(|row| &row.metric).collect::<Vec<_>>());
    for row in all {
        let numbers: Vec<f64> = row.values.iter().filter_map(number).collect();
        let finite = || numbers.iter().copied().filter(|value| value.is_finite());
        let told = |value: Option<f64>| value.map(|value| short(&value.to_string())).unwrap_or_default();
        table.row([
            series(&row.metric, &common),
            told(finite().min_by(f64::total_cmp)),
            told(finite().max_by(f64::total_cmp)),
            told(numbers.last().copied()),
            sparkline(placed(row, grid)),
        ]);
    }
    headed(&common, &table)
}

/// What all series have stands above them once.
fn headed(common: &BTreeMap<&str, &str>, table: &Table) -> String {
    let common: Vec<_> = common.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let head = if common.is_empty() { String::new() } else { format!("{}\n\n", paint(DIM, clean(&common.join("  ")))) };
    head + &table.render()
}

/// Labels that every one of several series has with the same value, where there are several.
fn common<'a>(all: &[&'a BTreeMap<String, String>]) -> BTreeMap<&'a str, &'a str> {
    let [first, _, ..] = all else { return BTreeMap::new() };
    let everywhere = |(name, value): &(&String, &String)| {
        name.as_str() != "__name__" && all.iter().all(|labels| labels.get(*name) == Some(*value))
    };
    first.iter().filter(everywhere).map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn series(labels: &BTreeMap<String, String>, common: &BTreeMap<&str, &str>) -> String {
    let own = labels.iter().filter(|(name, _)| name.as_str() != "__name__" && !common.contains_key(name.as_str()));
    let own: Vec<_> = own.map(|(name, value)| format!("{name}={value}")).collect();
    let name = labels.get("__name__").map(String::as_str).unwrap_or_default();
    match (name, own.as_slice()) {
        ("", []) => "all".to_owned(),
        ("", own) => clean(&own.join(" ")),
        (name, []) => clean(name),
        (name, own) => clean(&format!("{name} {}", own.join(" "))),
    }
}

fn number((_, text): &Point) -> Option<f64> {
    match text.as_str() {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// A number as people read it; what is no number stays as it is.
fn short(text: &str) -> String {
    let Ok(value) = text.parse::<f64>() else { return clean(text) };
    let size = value.abs();
    let text = match size {
        _ if value == value.trunc() && size < 1e15 => return format!("{value}"),
        1000.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.3}"),
        0.0001.. => format!("{value:.6}"),
        _ => return format!("{value:e}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    fn answer(text: &str) -> String {
        plain(&render(&serde_json::from_str::<QueryAnswer>(text).unwrap()))
    }

    #[test]
    fn what_series_share_is_said_once() {
        let text = answer(
            r#"{"status": "success", "data": {"resultType": "vector", "result": [
                {"metric": {"__name__": "up", "app": "shop", "service": "web"}, "value": [1.5, "1"]},
                {"metric": {"__name__": "up", "app": "shop", "service": "worker"}, "value": [1.5, "0.12345678"]}]}}"#,
        );
        insta::assert_snapshot!(text, @r"
        app=shop

        SERIES                VALUE
        up service=web            1
        up service=worker  0.123457
        ");
    }

    #[test]
    fn what_labels_hold_steers_no_terminal() {
        let text = answer(
            r#"{"data": {"resultType": "vector", "result": [
                {"metric": {"a": "\u001b[2J", "b": "\u0007"}, "value": [1, "1"]},
                {"metric": {"a": "\u001b[2J", "b": "\n"}, "value": [1, "2"]}]}}"#,
        );
        assert!(text.starts_with("a=\\u{1b}[2J\n") && text.contains("b=\\u{7} "), "{text}");
        assert!(text.contains("b=\\n ") && text.lines().count() == 5, "{text}");
    }

    #[test]
    fn a_range_is_a_line_with_gaps() {
        let answered: QueryAnswer = serde_json::from_str(
            r#"{"data": {"resultType": "matrix", "result": [
                {"metric": {"service": "web"}, "values": [[1, "0"], [2, "5"], [4, "10"], [5, "+Inf"]]}]}}"#,
        )
        .unwrap();
        let QueryData::Matrix(rows) = &answered.data else { panic!("it is one") };
        insta::assert_snapshot!(plain(&matrix(rows, Grid { from: 1_000, to: 6_000, step: 1_000 })), @"
        SERIES       LEAST  MOST  LAST  OVER TIME
        service=web      0    10   inf  ▁▄·█··
        ");
        assert_eq!(answer(r#"{"data": {"resultType": "vector", "result": []}}"#), nothing());
        assert_eq!(answer(r#"{"data": {"resultType": "scalar", "result": [1, "1234.5678"]}}"#), "1234.6\n");
    }
}
