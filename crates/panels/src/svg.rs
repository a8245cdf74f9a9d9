//! A chart as SVG that needs nothing else: no script, no font, in light and dark.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::chart::{Chart, Line, last};
use crate::{Unit, axis};

const WIDTH: f64 = 760.0;
/// Of the lines alone.
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 20.0;
/// Where the lines begin.
const TOP: f64 = 62.0;
/// Between two rows of the legend.
const ROW: f64 = 20.0;
/// Characters of a name in the legend, where there are two columns and one.
const NAME: [usize; 2] = [36, 84];
/// How wide a character of small text is, about.
const CHARACTER: f64 = 6.3;

/// Colours in light and dark that people tell apart, also those who see few.
const COLOURS: [(&str, &str); 10] = [
    ("#1f6fd6", "#6aa9ff"),
    ("#c2410c", "#ff9b66"),
    ("#14804a", "#5fd08f"),
    ("#8b3fc7", "#c79bff"),
    ("#b42318", "#ff8f85"),
    ("#0f7c8a", "#58cbd9"),
    ("#8a6100", "#e9b264"),
    ("#b03080", "#ff8ec7"),
    ("#4d5b6b", "#a9b6c5"),
    ("#55731a", "#b3d464"),
];

/// From this line on lines are dashed: nobody need tell ten colours apart.
const DASHED: usize = 5;

/// The chart as one SVG document.
pub fn svg(chart: &Chart) -> String {
    let two = chart.lines.len() > 1;
    let entries = chart.lines.len() + usize::from(chart.left_out > 0);
    let rows = if two { entries.div_ceil(2) } else { entries };
    let height = TOP + HEIGHT + 30.0 + ROW * rows as f64 + 14.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{}\" font-family=\"system-ui,-apple-system,'Segoe UI',sans-serif\">\n<title>{}</title>\n\
         <desc>{}</desc>\n<style>{}</style>\n<rect class=\"bg\" width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escape(&chart.title),
        escape(&chart.title),
        escape(&description(chart)),
        style(chart.lines.len()),
    );
    let most = ((WIDTH - 2.0 * MARGIN) / 8.2) as usize;
    let _ = writeln!(
        out,
        "<text class=\"head\" x=\"{MARGIN}\" y=\"26\">{}</text>\n<text class=\"more\" x=\"{MARGIN}\" y=\"43\">{}</text>",
        escape(&short(&chart.title, most)),
        escape(&span(chart)),
    );
    let known = chart.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let marks = axis::values(known, chart.unit);
    let labels: Vec<String> = marks.iter().map(|mark| chart.unit.show(*mark)).collect();
    let widest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let frame = Frame {
        left: MARGIN + widest as f64 * CHARACTER + 8.0,
        from: chart.grid.from as f64,
        to: chart.grid.to as f64,
        least: marks[0],
        most: marks[marks.len() - 1],
    };
    axes(&mut out, chart, &frame, &marks, &labels);
    if chart.lines.iter().all(|line| last(&line.values).is_none()) {
        let _ = writeln!(
            out,
            "<text class=\"more\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">nothing was measured</text>",
            (frame.left + WIDTH - MARGIN) / 2.0,
            TOP + HEIGHT / 2.0
        );
    }
    for (i, line) in chart.lines.iter().enumerate() {
        draw(&mut out, chart, &frame, i, line);
    }
    legend(&mut out, chart, two);
    out.push_str("</svg>\n");
    out
}

/// Where values stand.
struct Frame {
    left: f64,
    from: f64,
    to: f64,
    least: f64,
    most: f64,
}

impl Frame {
    fn x(&self, at: f64) -> f64 {
        let share = if self.to > self.from { (at - self.from) / (self.to - self.from) } else { 1.0 };
        self.left + share * (WIDTH - MARGIN - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        TOP + HEIGHT * (1.0 - (value - self.least) / (self.most - self.least))
    }
}

/// Colours of the lines come with the picture, each once.
fn style(lines: usize) -> String {
    let colours = || COLOURS.iter().take(lines).enumerate();
    let light: String = colours().map(|(i, (light, _))| format!(".c{i}{{color:{light}}}")).collect();
    let dark: String = colours().map(|(i, (_, dark))| format!(".c{i}{{color:{dark}}}")).collect();
    format!(
        ".bg{{fill:#fff}}.head{{fill:#16191d;font-size:15px;font-weight:650}}.more,.mark{{fill:#5a6470;font-size:11.5px}}\
         .name{{fill:#2b323a;font-size:12px}}.last{{fill:#16191d;font-size:12px;font-weight:600}}\
         .grid{{stroke:#e3e8ee;stroke-width:1}}.zero{{stroke:#aab4bf;stroke-width:1}}{light}\
         @media(prefers-color-scheme:dark){{.bg{{fill:#0d1117}}.head,.last{{fill:#e6edf3}}.more,.mark{{fill:#9aa5b1}}.name{{fill:#c4ccd4}}\
         .grid{{stroke:#222a33}}.zero{{stroke:#56616d}}{dark}}}"
    )
}

fn axes(out: &mut String, chart: &Chart, frame: &Frame, marks: &[f64], labels: &[String]) {
    let right = WIDTH - MARGIN;
    for (mark, label) in marks.iter().zip(labels) {
        let y = frame.y(*mark);
        let class = if *mark == 0.0 { "zero" } else { "grid" };
        let _ = writeln!(
            out,
            "<path class=\"{class}\" d=\"M{:.1} {y:.1}H{right}\"/><text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            frame.left,
            frame.left - 7.0,
            y + 4.0,
            escape(label),
        );
    }
    for (at, label) in axis::times(chart.grid) {
        let x = frame.x(at as f64);
        // A label may not stick out of the picture.
        let half = label.chars().count() as f64 * CHARACTER / 2.0;
        let middle = x.min(right - half);
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{x:.1} {TOP}v{HEIGHT}\"/><text class=\"mark\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            TOP + HEIGHT + 17.0,
            escape(&label),
        );
    }
}

/// A line, broken where nothing was measured; a value alone between two gaps is a dot.
fn draw(out: &mut String, chart: &Chart, frame: &Frame, place: usize, line: &Line) {
    let at = |i: usize| frame.x(chart.grid.from as f64 + i as f64 * chart.grid.step as f64);
    let points = line.values.iter().enumerate().map(|(i, value)| value.map(|value| (at(i), frame.y(value))));
    let points: Vec<Option<(f64, f64)>> = points.collect();
    let (mut path, mut area, mut dots) = (String::new(), String::new(), String::new());
    for run in points.split(Option::is_none).filter(|run| !run.is_empty()) {
        let run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
        if let [(x, y)] = run[..] {
            let _ = write!(dots, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"currentColor\"/>");
            continue;
        }
        let mut traced = String::new();
        for (i, (x, y)) in run.iter().enumerate() {
            let _ = write!(traced, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
        }
        let (first, last, zero) = (run[0].0, run[run.len() - 1].0, frame.y(0.0));
        let _ = write!(area, "{traced}L{last:.1} {zero:.1}L{first:.1} {zero:.1}Z");
        path.push_str(&traced);
    }
    let _ = write!(out, "<g class=\"c{place}\"><title>{}</title>", escape(&line.name));
    // Areas of several lines would cover each other.
    if chart.lines.len() == 1 && !area.is_empty() {
        let _ = write!(out, "<path d=\"{area}\" fill=\"currentColor\" fill-opacity=\".12\"/>");
    }
    if !path.is_empty() {
        let dash = if place >= DASHED { " stroke-dasharray=\"5 3\"" } else { "" };
        let _ = write!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-linejoin=\"round\"{dash}/>"
        );
    }
    let _ = writeln!(out, "{dots}</g>");
}

fn legend(out: &mut String, chart: &Chart, two: bool) {
    let width = if two { (WIDTH - 3.0 * MARGIN) / 2.0 } else { WIDTH - 2.0 * MARGIN };
    let place = |i: usize| {
        let (column, row) = if two { (i % 2, i / 2) } else { (0, i) };
        (MARGIN + column as f64 * (width + MARGIN), TOP + HEIGHT + 44.0 + row as f64 * ROW)
    };
    for (i, line) in chart.lines.iter().enumerate() {
        let (x, y) = place(i);
        let dash = if i >= DASHED { " stroke-dasharray=\"5 3\"" } else { "" };
        let last = last(&line.values).map_or("–".to_owned(), |value| chart.unit.show(value));
        let _ = writeln!(
            out,
            "<path class=\"c{i}\" d=\"M{x:.1} {:.1}h16\" stroke=\"currentColor\" stroke-width=\"3\"{dash}/>\
             <text class=\"name\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>\
             <text class=\"last\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>",
            y - 4.0,
            x + 23.0,
            escape(&short(&line.name, NAME[usize::from(!two)])),
            x + width,
            escape(&last),
        );
    }
    if chart.left_out > 0 {
        let (x, y) = place(chart.lines.len());
        let _ = writeln!(
            out,
            "<text class=\"more\" x=\"{:.1}\" y=\"{y:.1}\">and {} with less, which are not shown</text>",
            x + 23.0,
            chart.left_out
        );
    }
}

/// "1 Dec 10:00 to 11:00 UTC".
fn span(chart: &Chart) -> String {
    let at = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let (from, to) = (at(chart.grid.from), at(chart.grid.to));
    let same_day = from.as_second().div_euclid(86_400) == to.as_second().div_euclid(86_400);
    let last = if same_day { "%H:%M" } else { "%-d %b %H:%M" };
    format!("{} to {} UTC", from.strftime("%-d %b %Y %H:%M"), to.strftime(last))
}

/// The picture in words, for whoever does not see it.
fn description(chart: &Chart) -> String {
    let told = |line: &Line| {
        let known = || line.values.iter().flatten().copied();
        let show = |value: Option<f64>| value.map_or("nothing".to_owned(), |value| Unit::show(chart.unit, value));
        let (least, most) = (known().min_by(f64::total_cmp), line.most());
        format!("{}: {} to {}, last {}", line.name, show(least), show(most), show(last(&line.values)))
    };
    let lines: Vec<String> = chart.lines.iter().map(told).collect();
    format!("{}. {}", span(chart), lines.join("; "))
}

/// The first `most` characters of `text`, marked where there are more.
pub fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Text as it stands between tags and in attributes of SVG and HTML, without what XML does not know
/// (<https://www.w3.org/TR/xml/#charsets>).
pub fn escape(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    plain.collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grid;

    #[test]
    fn what_xml_does_not_know_is_left_out() {
        assert_eq!(escape("a\u{fffe}b\u{ffff}c\u{0}\u{1b}<\"&>\u{fffd}"), "abc&lt;&quot;&amp;&gt;\u{fffd}");
    }

    #[test]
    fn what_is_too_long_is_marked() {
        assert_eq!([short("four", 4), short("fives", 4)], ["four", "fiv…"]);
    }

    #[test]
    fn the_least_and_the_largest_numbers_have_a_place() {
        let grid = Grid { from: 0, to: 2_000, step: 1_000 };
        for values in [[5e-324, 0.0, 5e-324], [f64::MAX, 0.0, -f64::MAX], [1.7e308, -1.7e308, 1.0]] {
            let line = Line { name: "x".to_owned(), values: values.map(Some).to_vec() };
            let drawn = svg(&Chart::new("t", Unit::Bytes, grid, vec![line]));
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        }
    }
}
