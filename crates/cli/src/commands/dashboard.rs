use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use daybook_api::Client;
use daybook_api::client::Exit;
use daybook_api::query::QueryData;
use daybook_panels::dashboard::{
    Asked, Dashboard as Board, Filling, Kind, Panel, Read, defaults, legend, of_grafana, to_grafana,
};
use daybook_panels::{Chart, Grid, Line, last, names, sparkline};
use serde::Serialize;

use super::query::{over, placed};
use crate::args::duration;
use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::style::{DIM, GOOD, STRONG, WARN, clean, paint, width};
use crate::output::table::Table;
use crate::output::words;

/// How many numbers a line has.
const VALUES: i64 = 48;
/// The longest name of a series that is shown whole.
const NAME: usize = 28;

/// Show dashboards here, and bring them to Grafana and from there.
#[derive(Debug, Args)]
pub(crate) struct Dashboard {
    #[command(subcommand)]
    command: DashboardCommand,
}

#[derive(Debug, Subcommand)]
enum DashboardCommand {
    /// List the dashboards that everybody has
    Ls,
    /// Show a dashboard: one of ours by its name, or one of Grafana's from its file
    Show {
        /// `service`, `database`, `host`, `edge`, or a JSON file that Grafana exported.
        #[arg(value_name = "NAME|FILE", value_hint = ValueHint::AnyPath)]
        dashboard: String,
        /// Over so much time until now.
        #[arg(long, visible_alias = "range", value_name = "TIME", value_parser = duration, default_value = "1h")]
        since: Duration,
        /// A value for a variable of the dashboard: `service=web`. Everything, if nothing is said.
        #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
        set: Vec<(String, String)>,
    },
    /// Write dashboards as files that Grafana imports
    Export {
        /// Which.
        #[arg(value_name = "NAME", required_unless_present = "all")]
        names: Vec<String>,
        /// All.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// The directory to write them into. Overwrites.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        to: PathBuf,
    },
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.trim_start_matches('$').to_owned(), value.to_owned()))
}

impl Dashboard {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.command {
            DashboardCommand::Ls => ls(ctx)?,
            DashboardCommand::Show { dashboard, since, set } => show(ctx, &dashboard, since, set).await?,
            DashboardCommand::Export { names, all, to } => {
                let known = defaults();
                let chosen = if all { known } else { names.iter().map(|name| named(name)).collect::<Result<_>>()? };
                export(ctx, &chosen, &to)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// What is told of a dashboard that is not shown.
#[derive(Serialize)]
struct Listed {
    name: String,
    title: String,
    panels: usize,
    about: String,
}

fn ls(ctx: &Ctx) -> Result<()> {
    let listed =
        |board: Board| Listed { panels: board.panels.len(), name: board.name, title: board.title, about: board.about };
    let all: Vec<Listed> = defaults().into_iter().map(listed).collect();
    ctx.data(&all, |all| {
        let mut table = Table::new(&["DASHBOARD", "PANELS>", "SHOWS"]);
        for one in all {
            table.row([one.name.clone(), one.panels.to_string(), one.about.clone()]);
        }
        table.render()
    })?;
    ctx.next(&format!("look at one: {}", ctx.command("dashboard show service")));
    Ok(())
}

fn named(name: &str) -> Result<Board> {
    let known = defaults();
    let names = known.iter().map(|board| board.name.clone()).collect::<Vec<_>>().join(", ");
    known.into_iter().find(|board| board.name == name).ok_or_else(|| {
        CommandError::usage(format!("no dashboard is called {name:.80}"))
            .hint(format!("there are {names}, and files that Grafana exported, which end with .json"))
    })
}

fn export(ctx: &Ctx, boards: &[Board], to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(|error| CommandError::io(format!("make {}", to.display()), &error))?;
    for board in boards {
        let file = to.join(format!("daybook-{}.json", board.name));
        let text = format!("{:#}\n", to_grafana(board));
        std::fs::write(&file, text).map_err(|error| CommandError::io(format!("write {}", file.display()), &error))?;
        ctx.say(&format!("{} {}  {}", paint(GOOD, "✓"), file.display(), board.title));
    }
    ctx.next("in Grafana: Dashboards, New, Import; its data source is a Prometheus at `daybook serve --prometheus`");
    Ok(())
}

/// A dashboard by its name, or of a file.
fn find(dashboard: &str) -> Result<Read> {
    let is_file = Path::new(dashboard).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    if !is_file {
        return Ok(Read { dashboard: named(dashboard)?, notes: Vec::new() });
    }
    let text =
        std::fs::read_to_string(dashboard).map_err(|error| CommandError::io(format!("read {dashboard}"), &error))?;
    of_grafana(dashboard, &text).map_err(|error| {
        CommandError::usage(format!("{dashboard}: {error}")).hint("in Grafana: Share or Export, as JSON")
    })
}

/// A dashboard with what was measured.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    title: String,
    /// Seconds since 1970 of the first and the last number of each series, and between two.
    from: i64,
    to: i64,
    step: i64,
    panels: Vec<ShownPanel>,
    /// What is not shown, and why.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownPanel {
    title: String,
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    chart: Chart,
    series: Vec<ShownSeries>,
}

#[derive(Debug, Serialize)]
struct ShownSeries {
    name: String,
    values: Vec<Option<f64>>,
}

async fn show(ctx: &Ctx, dashboard: &str, since: Duration, set: Vec<(String, String)>) -> Result<()> {
    let Read { dashboard: board, mut notes } = find(dashboard)?;
    let span = i64::try_from(since.as_millis()).unwrap_or(i64::MAX / 4);
    let grid = Grid::stepped(now().as_millisecond(), span, VALUES);
    let mut filling = Filling::over(grid);
    for variable in &board.variables {
        if let Some(value) = variable.value.clone().or_else(|| variable.all.then(|| ".*".to_owned())) {
            filling.set(&variable.name, value);
        }
    }
    let is_open = |name: &str| board.variables.iter().any(|one| one.name == name) && filling.get(name).is_none();
    let key = if is_open("app") || is_open("env") { Some(ctx.key().await?) } else { None };
    if let Some(key) = &key {
        filling.set("app", key.app.as_str());
        filling.set("env", key.env.as_str());
    }
    set.into_iter().for_each(|(name, value)| filling.set(name, value));
    let client = ctx.client().await?;
    let mut panels = Vec::new();
    for panel in &board.panels {
        panels.push(measured(client, panel, &filling, grid, &mut notes).await?);
    }
    let seconds = |ms: i64| ms / 1_000;
    let shown = Shown {
        name: board.name,
        title: board.title,
        from: seconds(grid.from),
        to: seconds(grid.to),
        step: seconds(grid.step),
        panels,
        notes,
    };
    let about = key.map(|key| format!("   {key}")).unwrap_or_default();
    ctx.data(&shown, |shown| render(shown, &format!("{about}   last {}", words::span(span / 1_000))))?;
    Ok(())
}

/// A panel with what was measured. A question that cannot be answered is noted.
async fn measured(
    client: &Client,
    panel: &Panel,
    filling: &Filling,
    grid: Grid,
    notes: &mut Vec<String>,
) -> Result<ShownPanel> {
    let mut lines = Vec::new();
    for Asked { expr, legend: template } in &panel.queries {
        let query = filling.fill(expr).map_err(|error| {
            CommandError::usage(clean(&format!("{:.80}: {error}", panel.title)))
                .hint(clean(&format!("give it a value: --set {:.80}=…", error.0)))
        })?;
        let answer = match client.query_range(&over(query, grid)).await {
            Ok(answer) => answer,
            Err(error) => {
                notes.push(format!("{:.80}: {error}", panel.title));
                continue;
            }
        };
        let QueryData::Matrix(rows) = answer.data else { continue };
        let by_labels = names(&rows.iter().map(|row| &row.metric).collect::<Vec<_>>());
        for (row, by_labels) in rows.iter().zip(by_labels) {
            let values = placed(row, grid).into_iter().map(|value| value.map(|value| value * panel.factor)).collect();
            lines.push(Line { name: called(template, &row.metric, by_labels), values });
        }
    }
    let series = |line: &Line| ShownSeries { name: line.name.clone(), values: line.values.clone() };
    Ok(ShownPanel {
        title: panel.title.clone(),
        kind: panel.kind,
        series: lines.iter().map(series).collect(),
        chart: Chart::new(panel.title.clone(), panel.unit, grid, lines),
    })
}

fn called(template: &str, labels: &BTreeMap<String, String>, by_labels: String) -> String {
    let called = legend(template, labels);
    if called.is_empty() { by_labels } else { called }
}

fn render(shown: &Shown, about: &str) -> String {
    let mut out = format!("{}{}\n", paint(STRONG, clean(&shown.title)), paint(DIM, about));
    let called = |line: &Line| words::short(&clean(&line.name), NAME);
    let known = shown.panels.iter().flat_map(|panel| &panel.chart.lines);
    let widest = known.map(|line| width(&called(line))).max().unwrap_or(0);
    for panel in &shown.panels {
        out.push_str(&format!("\n{}\n", paint(STRONG, clean(&panel.title))));
        if panel.chart.lines.is_empty() {
            out.push_str(&format!("  {}\n", paint(DIM, "nothing was measured")));
        }
        for line in &panel.chart.lines {
            let show = |value: Option<f64>| value.map_or("–".to_owned(), |value| panel.chart.unit.show(value));
            let name = called(line);
            let pad = " ".repeat(widest.saturating_sub(width(&name)));
            let (last, most) = (show(last(&line.values)), paint(DIM, format!("most {}", show(line.most()))));
            match panel.kind {
                Kind::Lines => {
                    let over_time = sparkline(line.values.iter().copied());
                    out.push_str(&format!("  {name}{pad}  {over_time}  {last:>10}  {most}\n"));
                }
                Kind::Stat => out.push_str(&format!("  {name}{pad}  {last}\n")),
            }
        }
        if panel.chart.left_out > 0 {
            out.push_str(&format!("  {}\n", paint(DIM, format!("and {} with less", panel.chart.left_out))));
        }
    }
    if !shown.notes.is_empty() {
        out.push('\n');
        shown.notes.iter().for_each(|note| out.push_str(&format!("{} {}\n", paint(WARN, "!"), clean(note))));
    }
    out
}

#[cfg(test)]
mod tests {
    use daybook_panels::Unit;

    use super::*;
    use crate::output::style::plain;

    #[test]
    fn panels_are_lines_of_text() {
        let grid = Grid { from: 0, to: 4_000, step: 1_000 };
        let line = |name: &str, values: [Option<f64>; 5]| Line { name: name.to_owned(), values: values.to_vec() };
        let panel = |title: &str, kind, unit, lines| ShownPanel {
            title: title.to_owned(),
            kind,
            series: Vec::new(),
            chart: Chart::new(title, unit, grid, lines),
        };
        let web = line("web", [Some(1.0), Some(2.0), None, Some(4.0), Some(3.0)]);
        let shown = Shown {
            name: "service".to_owned(),
            title: "Daybook / Service".to_owned(),
            from: 0,
            to: 4,
            step: 1,
            panels: vec![
                panel("Requests", Kind::Lines, Unit::RequestsPerSecond, vec![web, line("worker", [Some(0.0); 5])]),
                panel("Replicas", Kind::Stat, Unit::Number, vec![line("web", [Some(2.0); 5])]),
                panel("Latency", Kind::Lines, Unit::Seconds, Vec::new()),
            ],
            notes: vec!["Heat: panels of the kind heatmap are not drawn".to_owned()],
        };
        insta::assert_snapshot!(plain(&render(&shown, "   shop/production   last 60 min")), @r"
        Daybook / Service   shop/production   last 60 min

        Requests
          web     ▁▃·█▅         3/s  most 4/s
          worker  ▁▁▁▁▁         0/s  most 0/s

        Replicas
          web     2

        Latency
          nothing was measured

        ! Heat: panels of the kind heatmap are not drawn
        ");
    }

    #[test]
    fn what_a_file_says_steers_no_terminal() {
        let grid = Grid { from: 0, to: 1_000, step: 1_000 };
        let lines = vec![Line { name: "a\u{1b}[2J".to_owned(), values: vec![Some(1.0), Some(2.0)] }];
        let panel = ShownPanel {
            title: "Heat\u{7}".to_owned(),
            kind: Kind::Stat,
            series: Vec::new(),
            chart: Chart::new("Heat", Unit::Number, grid, lines),
        };
        let shown = Shown {
            name: "x".to_owned(),
            title: "T\u{1b}]0;x\u{7}".to_owned(),
            from: 0,
            to: 1,
            step: 1,
            panels: vec![panel],
            notes: vec!["a\rb".to_owned()],
        };
        let text = plain(&render(&shown, ""));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.contains(r"a\u{1b}[2J") && text.contains(r"Heat\u{7}") && text.contains(r"a\rb"), "{text:?}");
    }

    #[test]
    fn a_dashboard_that_is_not_there_is_told_with_those_that_are() {
        let refused = named("servise").unwrap_err();
        assert_eq!(refused.message, "no dashboard is called servise");
        assert!(refused.hint.unwrap().contains("service, database, host, edge"));
    }
}
