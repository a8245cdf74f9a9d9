use std::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// What a text says, a line for each thing.
fn said(text: &str, format: Format) -> String {
    let mut reader = Reader::new(text, format, Bounds::default());
    let mut out = String::new();
    while let Some(item) = reader.next() {
        _ = match item {
            Ok(Item::Help { metric, text }) => writeln!(out, "help {metric}: {text:?}"),
            Ok(Item::Kind { metric, kind }) => writeln!(out, "kind {metric}: {}", kind.word()),
            Ok(Item::Unit { metric, unit }) => writeln!(out, "unit {metric}: {unit}"),
            Ok(Item::Sample(one)) => {
                let at = one.at.map_or(String::new(), |at| format!(" at {at}"));
                writeln!(out, "{:?} {}{at}", one.series(), one.value)
            }
            Err(broken) => writeln!(out, "{broken}"),
        };
    }
    out
}

#[test]
fn text_is_read() {
    let text = "# HELP http_requests_total All \\\\ of\\nthem. \"x\"\n# TYPE http_requests_total counter\n\
        http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
        http_requests_total{method=\"a\\\"b\\\\c\\nd\\q\",} 3\r\n\n# just a comment\n#\n\
        \tno_labels  12.47e-3 -5\nodd{ a = \"1\" , b=\"\" } +Inf\n\
        # TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} NaN\nother_bucket{le=\"1\"} 2\n\
        # TYPE s summary\ns{quantile=\"1\"} 2\ns_sum 0x10\n{\"ünï.code\",\"a b\"=\"1\"} 1\n# EOF\nlast 1";
    let expected = r#"help http_requests_total: "All \\ of\nthem. \"x\""
kind http_requests_total: counter
http_requests_total{code="200", method="post"} 1027 at 1395066363000
http_requests_total{method="a\"b\\c\nd\\q"} 3
no_labels 0.01247 at -5
odd{a="1"} inf
kind h: histogram
h_bucket{le="1.0"} 2
h_bucket{le="+Inf"} NaN
other_bucket{le="1"} 2
kind s: summary
s{quantile="1.0"} 2
s_sum 16
ünï.code{a b="1"} 1
last 1
"#;
    assert_eq!(said(text, Format::Text), expected);
}

#[test]
fn openmetrics_is_read() {
    let text = "# TYPE a counter\n# UNIT a seconds\n# HELP a say \\\"it\\\"\n\
        a_total{x=\"1\"} 17.0 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879607.5\n\
        a_created 1520872607.123 # {} 3\na_bad 1 # 3\n# TYPE \"q.x\" gauge\n{\"q.x\"} 1 # {a=\"b\"} 1\n# EOF\n";
    let expected = r#"kind a: counter
unit a: seconds
help a: "say \"it\""
a_total{x="1"} 17 at 1520879607789
a_created 1520872607.123
line 6, column 11: expected the labels of an exemplar
kind q.x: gauge
q.x 1
"#;
    assert_eq!(said(text, Format::OpenMetrics), expected);
    assert_eq!(said("a 1\n", Format::OpenMetrics), "a 1\nline 2, column 1: `# EOF` is missing\n");
    assert_eq!(said("# EOF\na 1\nb 2\n", Format::OpenMetrics), "line 2, column 1: something follows `# EOF`\n");
}

#[test]
fn a_broken_line_is_told_and_lost() {
    for (line, broken) in [
        ("1a 1", "column 1: expected the name of a metric"),
        ("ok", "column 3: expected a value"),
        ("ok{", "column 4: expected a label or `}`"),
        ("ok{a} 1", "column 5: expected `=`"),
        ("ok{a=1} 1", "column 6: expected a value in quotes"),
        ("ok{a=\"ü} 1", "column 11: expected a quote"),
        ("ok{a=\"ü\" b=\"\"} 1", "column 10: expected `,` or `}`"),
        ("ok{a=\"\",a=\"\"} 1", "column 9: the label is there twice"),
        ("ok{__name__=\"b\"} 1", "column 4: the label is there twice"),
        ("ok{a=\"\"} one", "column 10: expected a value"),
        ("ok 1 now", "column 6: expected a time"),
        ("ok 1 1.5", "column 6: expected a time"),
        ("ok 1 1 1", "column 8: expected the end of the line"),
        ("ok 1 # {} 1", "column 6: expected the end of the line"),
        ("{a=\"b\"} 1", "column 8: expected the name of a metric"),
        ("# TYPE ok fish", "column 15: expected the kind of a metric"),
        ("# HELP 1", "column 8: expected the name of a metric"),
        ("ok{a=\"\\", "column 8: expected a quote"),
    ] {
        let text = format!("before 1\n{line}\nafter 2\n");
        assert_eq!(said(&text, Format::Text), format!("before 1\nline 2, {broken}\nafter 2\n"), "{line}");
    }
}

#[test]
fn there_are_bounds() {
    let bounds = Bounds { line: 40, samples: 3, labels: 2 };
    let text =
        "a 1\nb{a=\"\",b=\"\",c=\"\"} 1\nc{a=\"1234567890123456789012345678901234567890\"} 1\nd 1\ne 1\nf 1\ng 1\n";
    let mut reader = Reader::new(text, Format::Text, bounds);
    let mut told = Vec::new();
    while let Some(item) = reader.next() {
        told.extend(item.err().map(|broken| (broken.line, broken.what)));
    }
    assert_eq!(told, [(2, What::TooManyLabels), (3, What::TooLong), (6, What::TooManySamples)]);
    assert_eq!((reader.samples(), reader.broken()), (3, 3));
}

/// Reads all, and checks that each line is told once at most, in less than a tenth of a second when nothing else runs.
fn survives(text: &str) {
    for format in [Format::Text, Format::OpenMetrics] {
        let took = (0..5).map(|_| {
            let started = Instant::now();
            let mut reader = Reader::new(text, format, Bounds::default());
            let mut count = 0;
            while let Some(item) = reader.next() {
                count += 1;
                if let Err(broken) = item {
                    assert!(broken.line >= 1 && broken.column >= 1);
                }
            }
            assert!(count <= text.split('\n').count() + 1);
            started.elapsed()
        });
        assert!({ took }.any(|took| took < Duration::from_millis(100)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn r36_any_text_is_read_or_told(text in "\\PC{0,200}") {
        survives(&text);
    }

    #[test]
    fn r36_nearly_good_text_is_read_or_told(
        parts in prop::collection::vec(prop::sample::select(vec![
            "a", "_b:c", "{", "}", "\"", "le", "=", ",", " ", "\n", "\\", "1", "-", "e5", "NaN", "+Inf", "# ", "#", "TYPE ",
            "HELP ", "UNIT ", "EOF", "histogram", "\t", "ü", "\r", "0x", "{a=\"b\"}", " 1\n", "\0", "1e999", "# TYPE a histogram\n",
        ]), 0..60),
    ) {
        survives(&parts.concat());
    }
}
