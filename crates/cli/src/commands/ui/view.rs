//! The screen: what is looked at, drawn.

use daybook_api::incident::IncidentView;
use daybook_api::logs::FoundLine;
use daybook_api::status::{ServiceState, ServiceView};
use daybook_panels::{Unit, last, sparkline};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Axis, Block, Cell, Chart, Clear, Dataset, GraphType, Paragraph, Row, Table, Tabs, Wrap};

use super::state::{PLAN_COLUMNS, Pane, State};
use crate::commands::pulse::Pulse;
use crate::output::style::plain;
use crate::output::words;

const GOOD: Style = Style::new().fg(Color::Green);
const WARN: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Columns of a line over time in a table.
const SPARK: usize = 16;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let [head, tabs, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Line::from(title(state)), head);
    let open = state.incidents.iter().filter(|incident| incident.state == "open").count();
    let incidents = if open > 0 { format!("4 Incidents ({open})") } else { "4 Incidents".to_owned() };
    let names = ["1 Services".to_owned(), "2 Logs".to_owned(), "3 Metrics".to_owned(), incidents];
    let chosen = Pane::ALL.iter().position(|pane| *pane == state.pane);
    frame.render_widget(Tabs::new(names).select(chosen).highlight_style(CHOSEN).divider(" "), tabs);
    match state.pane {
        Pane::Services => services(frame, body, state),
        Pane::Logs => logs(frame, body, state),
        Pane::Metrics => metrics(frame, body, state),
        Pane::Incidents => incidents_pane(frame, body, state),
    }
    frame.render_widget(bottom(state), foot);
    if let Some(question) = &state.question {
        let plan = Paragraph::new(Text::from(question.plan.as_str())).wrap(Wrap { trim: false });
        let title = " Roll back: y carries it out, n does not ";
        over(frame, title, plan.scroll((state.scroll, 0)), (PLAN_COLUMNS + 2, 20));
    }
    if state.helps {
        over(frame, " Keys ", Paragraph::new(HELP), (60, 16));
    }
}

const HELP: &str = "\
1 2 3 4, Tab    services, logs, metrics, incidents
↑ ↓, j k        choose; in logs: read on
PgUp, PgDn      move what is shown
Enter           measurements of the chosen service
/               filter logs: timeout, level>=warn, -health
Esc             leave a filter

a               acknowledge the chosen incident
r               roll back: shows the plan first

?               these keys
q, Ctrl-C       leave

Any key goes on.";

fn title(state: &State) -> Vec<Span<'static>> {
    let mut spans = vec![Span::styled(format!(" {}", state.key), STRONG)];
    if let Some(status) = &state.status {
        let release = status.release.map_or("no release yet".to_owned(), |number| format!("release {number}"));
        let failing = status.services.iter().filter(|service| is_bad(service.state)).count();
        spans.push(Span::raw(format!("   {release}")));
        if let Some(coming) = &status.coming {
            spans.push(Span::styled(format!(" → {}", coming.release), WARN));
        }
        let told = if failing > 0 { format!("{failing} in trouble") } else { "all well".to_owned() };
        spans.push(Span::styled(format!("   {told}"), if failing > 0 { BAD } else { GOOD }));
    }
    if let Some(why) = &state.lost {
        spans.push(Span::styled(format!("   the server does not answer: {why}"), BAD));
    }
    spans
}

/// What was said, what is typed, or which keys there are.
fn bottom(state: &State) -> Line<'static> {
    if let Some(typed) = &state.typing {
        return Line::from(vec![Span::styled(" filter: ", STRONG), Span::raw(format!("{typed}▏"))]);
    }
    if let Some(said) = &state.said {
        return Line::styled(format!(" {}", plain(said).replace('\n', " ")), WARN);
    }
    let keys = match state.pane {
        Pane::Services => " ↑↓ choose   Enter measurements   / search logs   ? keys   q leave",
        Pane::Logs => " / filter   Esc all   ↑↓ read   ? keys   q leave",
        Pane::Metrics => " ↑↓ other service   ? keys   q leave",
        Pane::Incidents => " ↑↓ choose   a acknowledge   r roll back   PgDn more   ? keys   q leave",
    };
    Line::styled(keys, DIM)
}

fn is_bad(state: ServiceState) -> bool {
    matches!(state, ServiceState::Failing | ServiceState::Degraded)
}

fn services(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(status) = &state.status else { return waits(frame, area) };
    if status.services.is_empty() {
        return frame.render_widget(Paragraph::new("nothing runs: daybook up").style(DIM), area);
    }
    let row = |(i, service): (usize, &ServiceView)| {
        let row = service_row(service, state.pulses.iter().find(|pulse| pulse.service == service.name));
        if i == state.service { row.style(CHOSEN) } else { row }
    };
    let widths = [
        Constraint::Min(10),
        Constraint::Length(9),
        Constraint::Length(5),
        Constraint::Length(4),
        Constraint::Length(26),
        Constraint::Length(16),
    ];
    let head = Row::new(["SERVICE", "STATE", "READY", "REL.", "REQUESTS, LAST HOUR", "FAILED"]).style(DIM);
    let offset = state.service.saturating_sub(usize::from(area.height).saturating_sub(2));
    let rows = status.services.iter().enumerate().skip(offset).map(row);
    frame.render_widget(Table::new(rows, widths).header(head).column_spacing(1), area);
}

fn service_row(service: &ServiceView, pulse: Option<&Pulse>) -> Row<'static> {
    let (word, style) = match service.state {
        ServiceState::Running => ("running", GOOD),
        ServiceState::Starting => ("starting", WARN),
        ServiceState::Degraded => ("degraded", WARN),
        ServiceState::Failing => ("failing", BAD),
        ServiceState::Stopped => ("stopped", DIM),
        ServiceState::Scheduled => ("scheduled", Style::new()),
        ServiceState::Completed => ("completed", GOOD),
        ServiceState::Static => ("static", Style::new()),
    };
    let counts = !matches!(service.state, ServiceState::Static | ServiceState::Scheduled | ServiceState::Completed);
    let ready = if counts { format!("{}/{}", service.ready, service.wanted) } else { "-".to_owned() };
    let release = service.replicas.iter().map(|replica| replica.release.0).max();
    let failed = pulse.and_then(|pulse| last(&pulse.failed_share));
    let line = |numbers: Option<&Vec<Option<f64>>>, unit: Unit, columns: usize| {
        numbers
            .and_then(|numbers| Some(format!("{} {}", spark(numbers, columns), unit.show(last(numbers)?))))
            .unwrap_or_default()
    };
    Row::new([
        Cell::from(service.name.clone()),
        Cell::from(word).style(style),
        Cell::from(ready),
        Cell::from(release.map(|number| number.to_string()).unwrap_or_default()),
        Cell::from(line(pulse.map(|pulse| &pulse.requests_per_second), Unit::RequestsPerSecond, SPARK)),
        Cell::from(line(pulse.map(|pulse| &pulse.failed_share), Unit::Share, SPARK / 2)).style(if failed > Some(0.0) {
            BAD
        } else {
            Style::new()
        }),
    ])
}

/// The newest numbers, as many as there is room for.
fn spark(numbers: &[Option<f64>], columns: usize) -> String {
    sparkline(numbers[numbers.len().saturating_sub(columns)..].iter().copied())
}

fn waits(frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(Paragraph::new("looking…").style(DIM), area);
}

fn logs(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let title = if state.filter.is_empty() { " everything ".to_owned() } else { format!(" {} ", state.filter) };
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if state.lines.is_empty() {
        return frame.render_widget(Paragraph::new("no line in the last hour").style(DIM), inner);
    }
    // The newest is at the bottom.
    let rows = usize::from(inner.height);
    let behind = usize::from(state.scroll).min(state.lines.len().saturating_sub(rows));
    let shown: Vec<Line<'_>> = state.lines.iter().skip(behind).take(rows).rev().map(log_line).collect();
    frame.render_widget(Paragraph::new(shown), inner);
}

fn log_line(line: &FoundLine) -> Line<'static> {
    let style = match line.level.as_deref() {
        Some("error" | "fatal") => BAD,
        Some("warn") => WARN,
        _ => Style::new(),
    };
    Line::from(vec![
        Span::styled(line.at.strftime("%H:%M:%S ").to_string(), DIM),
        Span::styled(format!("{:12} ", words::short(&line.replica, 12)), STRONG),
        Span::styled(plain(&line.text), style),
    ])
}

fn metrics(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(service) = state.chosen_service() else { return waits(frame, area) };
    let [head, upper, lower] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Line::styled(format!(" {service}, the last hour"), STRONG), head);
    let Some(pulse) = state.pulses.iter().find(|pulse| pulse.service == service) else {
        return frame.render_widget(Paragraph::new(" nothing was measured").style(DIM), upper);
    };
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [requests, failed] = Layout::horizontal(halves).areas(upper);
    let [latency, memory] = Layout::horizontal(halves).areas(lower);
    chart(frame, requests, "requests", &pulse.requests_per_second, Unit::RequestsPerSecond);
    chart(frame, failed, "failed", &pulse.failed_share, Unit::Share);
    chart(frame, latency, "p95", &pulse.p95_seconds, Unit::Seconds);
    chart(frame, memory, "memory", &pulse.memory_bytes, Unit::Bytes);
}

fn chart(frame: &mut Frame<'_>, area: Rect, name: &str, numbers: &[Option<f64>], unit: Unit) {
    let newest = last(numbers).map_or("nothing measured".to_owned(), |last| unit.show(last));
    let block = Block::bordered().title(format!(" {name}: {newest} "));
    let most = numbers.iter().flatten().copied().fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    let point = |(i, value): (usize, &Option<f64>)| Some((i as f64, (*value)?));
    let points: Vec<Option<(f64, f64)>> = numbers.iter().enumerate().map(point).collect();
    // A gap stays one: what is on its sides is not joined.
    let runs: Vec<Vec<(f64, f64)>> = points
        .split(Option::is_none)
        .filter(|run| !run.is_empty())
        .map(|run| run.iter().flatten().copied().collect())
        .collect();
    let kind = |run: &Vec<(f64, f64)>| if run.len() > 1 { GraphType::Line } else { GraphType::Scatter };
    let drawn = |run| Dataset::default().marker(Marker::Braille).graph_type(kind(run)).style(Color::Cyan).data(run);
    let drawn: Vec<Dataset<'_>> = runs.iter().map(drawn).collect();
    let width = numbers.len().saturating_sub(1).max(1) as f64;
    let times = Axis::default().bounds([0.0, width]).labels(["-1 h", "now"]).style(DIM);
    let values = Axis::default().bounds([0.0, most]).labels([unit.show(0.0), unit.show(most)]).style(DIM);
    frame.render_widget(Chart::new(drawn).block(block).x_axis(times).y_axis(values), area);
}

fn incidents_pane(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(chosen) = state.chosen_incident() else {
        return frame.render_widget(Paragraph::new("no incident goes on").style(GOOD), area);
    };
    let rows = u16::try_from(state.incidents.len()).unwrap_or(u16::MAX).min(5) + 1;
    let [list, detail] = Layout::vertical([Constraint::Length(rows), Constraint::Min(3)]).areas(area);
    let row = |(i, incident): (usize, &IncidentView)| {
        let row = Row::new([
            Cell::from(incident.short.clone()),
            Cell::from(incident.state.clone()).style(if incident.state == "open" { BAD } else { WARN }),
            Cell::from(words::ago(incident.onset, state.now)),
            Cell::from(incident.title.clone()),
        ]);
        if i == state.incident { row.style(CHOSEN) } else { row }
    };
    let widths = [Constraint::Length(8), Constraint::Length(12), Constraint::Length(10), Constraint::Min(20)];
    let head = Row::new(["INCIDENT", "STATE", "BEGAN", "WHAT"]).style(DIM);
    let offset = state.incident.saturating_sub(4);
    let listed = state.incidents.iter().enumerate().skip(offset).map(row);
    frame.render_widget(Table::new(listed, widths).header(head).column_spacing(1), list);
    let told = Paragraph::new(told(chosen, state)).wrap(Wrap { trim: false }).scroll((state.scroll, 0));
    frame.render_widget(told.block(Block::bordered()), detail);
}

fn told(incident: &IncidentView, state: &State) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(who) = incident.owner.as_ref().or(incident.acknowledged_by.as_ref()) {
        lines.push(Line::raw(format!("{who} sees to it")));
    }
    if let Some(impact) = &incident.impact {
        let (failed, all) = (words::count(impact.failed), words::count(impact.requests));
        let most = impact.routes.first().map(|one| format!(", most at {}", one.route)).unwrap_or_default();
        lines.push(Line::raw(format!("users: {failed} of {all} requests failed{most}")));
    }
    for alert in &incident.alerts {
        lines.push(Line::styled(format!("● {}  {}", alert.name, alert.summary), BAD));
    }
    for (i, suspect) in incident.suspects.iter().enumerate() {
        let style = if i == 0 { STRONG } else { Style::new() };
        lines.push(Line::styled(format!("{:>3} %  {}", suspect.share, suspect.title), style));
        if i > 0 {
            continue;
        }
        lines.extend(suspect.evidence.iter().map(|evidence| Line::raw(format!("       {evidence}"))));
        if let (Some(next), Some(command)) = (&suspect.next, &suspect.command) {
            lines.push(Line::raw(format!("       → {next}: {command}")));
        }
    }
    for happened in &incident.timeline {
        let at = words::moment(happened.at, state.now);
        lines.push(Line::styled(format!("{at}  {:8} {}", happened.by, happened.text), DIM));
    }
    lines
}

/// Draws something over everything else, as large as it has room for.
fn over(frame: &mut Frame<'_>, title: &str, content: Paragraph<'_>, (width, height): (u16, u16)) {
    let all = frame.area();
    let (width, height) = (width.min(all.width), height.min(all.height));
    let (x, y) = (all.x + (all.width - width) / 2, all.y + (all.height - height) / 2);
    let area = Rect { x, y, width, height };
    frame.render_widget(Clear, area);
    frame.render_widget(content.block(Block::bordered().title(title.to_owned())), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::state::tests::state;
    use super::super::state::{Input, Key};
    use super::*;

    fn screen(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn each_pane_fits_into_a_small_terminal() {
        let mut state = state();
        for (digit, name) in ['1', '2', '3', '4'].into_iter().zip(["services", "logs", "metrics", "incidents"]) {
            state.update(Input::Key(Key::Char(digit)));
            insta::assert_snapshot!(name, screen(&state, 80, 24));
        }
        state.update(Input::Key(Key::Char('?')));
        insta::assert_snapshot!("keys", screen(&state, 80, 24));
    }

    #[test]
    fn no_size_is_too_small_or_too_large() {
        let mut state = state();
        for digit in ['1', '2', '3', '4', '?'] {
            state.update(Input::Key(Key::Char(digit)));
            for (width, height) in [(1, 1), (7, 3), (20, 5), (300, 100)] {
                screen(&state, width, height);
            }
        }
        screen(&State::new("shop/production".parse().unwrap(), state.now), 80, 24);
    }
}
