use daybook_metrics::Labels;
use daybook_promql::{Element, Value as Number};

use super::*;

fn elements(text: &str) -> Result<Vec<Element>, String> {
    let element = |name: &str, instance: &str, value: f64| Element {
        labels: Labels::new([("__name__", name), ("instance", instance)]),
        value: Number::Float(value),
    };
    match text {
        "up" => Ok(vec![element("up", "b.example.com:9100", 1.0), element("up", "a.example.com:9100", 2.0)]),
        "none" => Ok(Vec::new()),
        _ => Err("no such query".to_owned()),
    }
}

fn expand(text: &str, value: f64) -> String {
    let external = Labels::new([("region", "eu")]);
    let scope = Scope { external_labels: &external, external_url: "https://daybook.example/ops", query: &elements };
    let labels = Labels::new([("__name__", "up"), ("instance", "web-1:9100"), ("job", "web")]);
    let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    scope.about("__alert_Down", &labels, &Number::Float(value), 1_700_000_000_000).expand(&template)
}

#[test]
fn templates_expand_as_go_expands_them() {
    for (text, value, expected) in [
        ("plain", 0.0, "plain"),
        ("{{ $labels.instance }} is {{ $value }}", 0.5, "web-1:9100 is 0.5"),
        ("{{ .Labels.job }}{{.Labels.missing}} {{ .Value }}", 3.0, "web 3"),
        (
            "{{ $externalLabels.region }} {{ $externalURL }} {{ pathPrefix }}",
            0.0,
            "eu https://daybook.example/ops /ops",
        ),
        ("{{ $.Labels.job }} {{ index $labels \"job\" }}", 0.0, "web web"),
        ("a  {{- \" b \" -}}  c {{/* nothing */ -}} d", 0.0, "a b c d"),
        ("{{ if gt $value 1.0 }}many{{ else if eq $value 1.0 }}one{{ else }}none{{ end }}", 1.0, "one"),
        ("{{ with query \"up\" }}{{ . | first | value | humanize }}{{ end }}", 0.0, "1"),
        ("{{ with query \"none\" }}some{{ else }}none{{ end }}", 0.0, "none"),
        ("{{ range query \"up\" | sortByLabel \"instance\" }}{{ .Value }}{{ end }}", 0.0, "21"),
        (
            "{{ range sortByLabel \"instance\" (query \"up\") }}{{ .Labels.instance }}={{ .Value }};{{ end }}",
            0.0,
            "a.example.com:9100=2;b.example.com:9100=1;",
        ),
        (
            "{{ range $i, $e := query \"up\" }}{{ if $i }}, {{ end }}{{ label \"instance\" $e | stripPort }}{{ end }}",
            0.0,
            "b.example.com, a.example.com",
        ),
        ("{{ range $name, $label := $labels }}{{ $name }} {{ end }}", 0.0, "__name__ instance job "),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", 0.0, "2"),
        ("{{ (index (query \"up\") 1).Labels.instance | stripDomain }}", 0.0, "a:9100"),
        (
            "{{ printf \"%.2f %5.1f|%-6s|%q|%d|%x|%t|%g|%e|%v|%%\" $value $value \"a\" \"b\" 7 255 true 0.1 1234.5 2.5 }}",
            3.5678,
            "3.57   3.6|a     |\"b\"|7|ff|true|0.1|1.234500e+03|2.5|%",
        ),
        ("{{ printf \"%d %s\" $value }}", 2.0, "%!d(float64=2) %!s(MISSING)"),
        (
            "{{ \"a-b\" | toUpper | printf \"%s!\" }} {{ title \"one two\" }} {{ toLower \"ABC\" }}",
            0.0,
            "A-B! One Two abc",
        ),
        ("{{ match \"we.*\" $labels.job }} {{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}", 0.0, "true web-1"),
        (
            "{{ tableLink \"up == 0\" }} {{ graphLink \"a\" }}",
            0.0,
            "/graph?g0.expr=up+%3D%3D+0&g0.tab=1 /graph?g0.expr=a&g0.tab=0",
        ),
        (
            "{{ parseDuration \"1h30m\" }} {{ toDuration 5400 }} {{ now | toTime }}",
            0.0,
            "5400 1h30m0s 2023-11-14 22:13:20 +0000 UTC",
        ),
        (
            "{{ and 1 0 }} {{ or 0 \"x\" }} {{ not true }} {{ len \"abc\" }} {{ eq 1 2 1 }} {{ ne \"a\" \"b\" }}",
            0.0,
            "0 x false 3 true true",
        ),
        ("{{ print 1 2 \"a\" 3 }}|{{ println 1 \"a\" }}", 0.0, "1 2a3|1 a\n"),
        ("{{ define \"t\" }}<{{ .arg0 }}>{{ end }}{{ template \"t\" (args \"x\") }}", 0.0, "<x>"),
        ("{{ $value }}", 1_234_567.0, "1.234567e+06"),
        ("{{ $value }}", f64::NAN, "NaN"),
        ("{{ range query \"up\" }}{{ if eq .Value 2.0 }}{{ break }}{{ end }}{{ .Value }}{{ end }}", 0.0, "1"),
        ("{{ humanizeTimestamp $value }}", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
    ] {
        assert_eq!(expand(text, value), expected, "{text}");
    }
}

#[test]
fn numbers_are_written_for_people() {
    for (function, value, expected) in [
        ("humanize", 0.0, "0"),
        ("humanize", 1.0, "1"),
        ("humanize", 1_234_567.0, "1.235M"),
        ("humanize", 0.12, "120m"),
        ("humanize", -2e-7, "-200n"),
        ("humanize", f64::INFINITY, "+Inf"),
        ("humanize1024", 1_048_576.0, "1Mi"),
        ("humanize1024", 1.0, "1"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 0.1, "100ms"),
        ("humanizeDuration", 59.25, "59.25s"),
        ("humanizeDuration", 60.0, "1m 0s"),
        ("humanizeDuration", 90_061.0, "1d 1h 1m 1s"),
        ("humanizeDuration", -3_600.0, "-1h 0m 0s"),
        ("humanizePercentage", 0.123_456, "12.35%"),
        ("humanizePercentage", 1.0, "100%"),
    ] {
        assert_eq!(expand(&format!("{{{{ {function} $value }}}}"), value), expected, "{function} {value}");
    }
}

#[test]
fn what_fails_says_so_and_stops_nothing() {
    for (text, why) in [
        ("{{ query \"bad\" }}", "error calling query: no such query"),
        ("{{ gt $value 1 }}", "error calling gt: incompatible types for comparison"),
        ("{{ query \"none\" | first | value }}", "error calling first: first() called on vector with no elements"),
        ("{{ .Nothing }}", "can't evaluate field Nothing"),
        ("{{ humanize }}", "wrong number of args for humanize: want 1 got 0"),
        ("{{ template \"x\" }}", "template \"x\" not defined"),
        ("{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}", "exceeded maximum template depth (32)"),
    ] {
        let expected = format!("<error expanding template: error executing template __alert_Down: {why}>");
        assert_eq!(expand(text, 2.0), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (text, why) in [
        ("a\n{{ if true }}", "line 2: unexpected EOF"),
        ("{{ end }}", "line 1: unexpected {{end}}"),
        ("{{ nothing }}", "line 1: function \"nothing\" not defined"),
        ("{{ $nothing }}", "line 1: undefined variable \"$nothing\""),
        ("{{ if true }}{{ $x := 1 }}{{ end }}\n{{ $x }}", "line 2: undefined variable \"$x\""),
        ("{{ \"a }}", "line 1: unterminated quoted string"),
        ("{{ (1 }}", "line 1: unclosed left paren"),
        ("{{ 1 ) }}", "line 1: unexpected right paren"),
        ("{{", "line 1: unclosed action"),
        ("{{}}", "line 1: missing value for command"),
        ("{{ break }}", "line 1: {{break}} outside {{range}}"),
        ("{{/* a }}", "line 1: unclosed comment"),
    ] {
        assert_eq!(Template::parse(text).unwrap_err().to_string(), why, "{text}");
    }
}

#[test]
fn what_would_take_all_memory_is_stopped() {
    let doubled = |function: &str| {
        format!("{{{{ $x := \"aaaaaaaa\" }}}}{}{{{{ $x }}}}", format!("{{{{ $x = {function} $x $x }}}}").repeat(60))
    };
    for text in [doubled("print"), doubled("args"), doubled("printf \"%s%s\"")] {
        assert!(expand(&text, 0.0).contains("its result is too large"), "{text}");
    }
    assert_eq!(expand("{{ printf \"%99999999d\" 1 }}", 0.0).len(), 1_000);
}
