//! Pictures as they are.

use daybook_panels::{Chart, Grid, Line, Unit, svg};

const GRID: Grid = Grid { from: 1_764_583_200_000, to: 1_764_586_800_000, step: 60_000 };

fn line(name: &str, value: impl Fn(usize) -> Option<f64>) -> Line {
    Line { name: name.to_owned(), values: (0..GRID.len()).map(value).collect() }
}

#[test]
fn a_line_alone_has_a_gap_where_nothing_was_measured() {
    let wave = |i: usize| (!(20..26).contains(&i)).then(|| 40.0 + 25.0 * (i as f64 / 9.0).sin());
    let chart = Chart::new("requests of web", Unit::RequestsPerSecond, GRID, vec![line("web", wave)]);
    insta::assert_snapshot!(svg(&chart));
}

#[test]
fn several_lines_have_a_legend_and_a_bound() {
    let lines = (0..13).map(|i| line(&format!("<service> & {i}"), move |at| Some((i + at) as f64 * 1_048_576.0)));
    let chart = Chart::new("memory", Unit::Bytes, GRID, lines.collect());
    let drawn = svg(&chart);
    assert!(drawn.contains("and 3 with less, which are not shown") && !drawn.contains("<service>"), "{drawn}");
    insta::assert_snapshot!(drawn);
}

#[test]
fn nothing_is_drawn_as_nothing() {
    insta::assert_snapshot!(svg(&Chart::new("up", Unit::Number, GRID, Vec::new())));
}

#[test]
fn a_value_alone_is_a_dot() {
    let chart = Chart::new("p95", Unit::Seconds, GRID, vec![line("web", |i| (i == 30).then_some(0.012))]);
    let drawn = svg(&chart);
    assert_eq!(drawn.matches("<circle").count(), 1, "{drawn}");
}

#[test]
fn pictures_need_nothing_else() {
    let drawn = svg(&Chart::new("\"><script>", Unit::Number, GRID, vec![line("a", |_| Some(1.0))]));
    for none in ["<script", "http://", "https://", "url(", "@import", "href"] {
        let found = drawn.matches(none).count();
        // The name of the format itself.
        assert_eq!(found, usize::from(none == "http://"), "{none}");
    }
}
