//! What others wrote, damaged: it is refused with its place, or it means something; nothing panics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use daybook_fuzz::{Chance, Tally, cases, damage};
use daybook_metrics::Labels;
use daybook_promql::{Element, Value};
use daybook_rules::template::{Scope, Template};
use daybook_rules::{Problems, builtin, duration, file, routing, unit};

const RULES: &str = r#"
groups:
  - name: web
    interval: 30s
    limit: 10
    labels: {team: shop}
    rules:
      - record: job:requests:rate5m
        expr: sum by (job) (rate(requests_total[5m]))
        labels: &l {severity: 1, empty: ~}
      - alert: Down
        expr: up == 0
        for: 5m
        labels: {<<: *l, page: "{{ $labels.team }}"}
        annotations: {summary: "{{ range query \"up\" }}{{ if gt .Value 1.0 }}{{ .Labels.job | toUpper }}{{ end }}{{ end }}"}
"#;

const ROUTES: &str = r#"
route:
  receiver: default
  group_by: [alertname, "..."]
  routes:
    - matchers: ['severity=~"page|ticket"', 'a!="b"']
      receiver: pager
      mute_time_intervals: [night]
    - {match: {team: db}, match_re: {service: "db|cache"}}
receivers:
  - {name: default, webhook_configs: [{url: "http://127.0.0.1/hook"}]}
  - {name: pager, pagerduty_configs: [{routing_key: x, send_resolved: false}]}
inhibit_rules: [{source_matchers: [severity="page"], target_matchers: [severity=ticket], equal: [service]}]
time_intervals:
  - name: night
    time_intervals: [{times: [{start_time: "22:00", end_time: "24:00"}], days_of_month: ["-3:-1"], location: Europe/Paris}]
"#;

const TESTS: &str = r#"
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series: [{series: 'up{job="web"}', values: "0x14 1+2x3 _ stale {{schema:0 sum:5 count:4 buckets:[1 2 1]}}"}]
    alert_rule_test: [{eval_time: 4m, alertname: Down, exp_alerts: [{exp_labels: {a: b}, exp_annotations: {c: d}}]}]
    promql_expr_test: [{expr: "up * 2", eval_time: 6m, exp_samples: [{labels: 'up{job="web"}', value: 1}]}]
"#;

const TEMPLATES: &[&str] = &[
    "{{ $labels.instance }} is {{ $value | humanize }} {{- /* c */ -}} x",
    "{{ range $i, $e := query \"up\" }}{{ if $i }}, {{ else if eq $i 2 }}{{ break }}{{ end }}{{ label \"job\" $e }}{{ end }}",
    "{{ with $x := args 1 \"a\" 2.5 }}{{ printf \"%5.2f|%-6s|%q|%d|%x\" .arg2 .arg1 .arg1 .arg0 255 }}{{ end }}",
    "{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" (index (query \"up\") 0).Labels.job }}{{ slice \"abc\" 1 2 }}",
    "{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }} {{ humanizeTimestamp 1e9 }} {{ toDuration 90 }} {{ 'x' }}",
];

fn damaged(text: &str, chance: &mut Chance) -> String {
    String::from_utf8_lossy(&damage(text.as_bytes(), chance)).into_owned()
}

/// Whatever is refused has a place in the file, and says what to do.
fn has_places<T>(text: &str, read: Result<T, Problems>) {
    if let Err(problems) = read {
        assert!(!problems.0.is_empty(), "{text}");
        let lines = text.lines().count() + 1;
        for problem in problems.0 {
            assert!((1..=lines).contains(&problem.place.line) && problem.place.column > 0, "{problem}\n{text}");
            assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{problem}");
        }
    }
}

fn up(text: &str) -> Result<Vec<Element>, String> {
    let element = Element { labels: Labels::new([("job", "web")]), value: Value::Float(2.0) };
    if text == "up" { Ok(vec![element; 3]) } else { Err("no such query".to_owned()) }
}

fn expand(text: &str) {
    let Ok(template) = Template::parse(text) else { return };
    let labels = Labels::new([("instance", "web-1:9100"), ("job", "web")]);
    let scope = Scope { external_labels: &labels, external_url: "https://daybook.example", query: &up };
    scope.about("t", &labels, &Value::Float(1.5), 0).expand(&template);
}

#[test]
fn r36_damaged_files_of_rules_are_told_what_is_wrong() {
    let tally = Tally::start("damaged files of rules, routes and tests");
    let builtin = file::write(&builtin::groups()[1..2]);
    for seed in 0..cases(300) {
        let mut chance = Chance::new(seed.into());
        let text = damaged(RULES, &mut chance);
        tally.measure(text.as_bytes(), || has_places(&text, file::read("r.yml", &text)));
        let text = damaged(&builtin, &mut chance);
        tally.measure(text.as_bytes(), || has_places(&text, file::read("r.yml", &text)));
        let text = damaged(ROUTES, &mut chance);
        tally.measure(text.as_bytes(), || has_places(&text, routing::read("r.yml", &text)));
        let text = damaged(TESTS, &mut chance);
        tally.measure(text.as_bytes(), || has_places(&text, unit::read("r.yml", &text)));
    }
}

#[test]
fn r36_damaged_templates_are_refused_or_expand() {
    let tally = Tally::start("damaged templates, matchers and durations");
    for seed in 0..cases(500) {
        let mut chance = Chance::new(seed.into());
        let template: &str = chance.one_of::<&str>(TEMPLATES);
        let text = damaged(template, &mut chance);
        tally.measure(text.as_bytes(), || expand(&text));
        let text = damaged(r#"{a="b, c", d!~"e|f", "g h"=~i}"#, &mut chance);
        tally.measure(text.as_bytes(), || drop(routing::parse_matchers(&text)));
        let text = damaged("1w2d3h4m5s6ms", &mut chance);
        tally.measure(text.as_bytes(), || duration::parse(&text));
    }
    TEMPLATES.iter().for_each(|text| expand(text));
}

#[test]
fn r36_hostile_files_of_rules_are_bounded() {
    let tally = Tally::start("hostile files of rules");
    let nested = "[".repeat(100_000);
    let aliases = format!(
        "a: &a [x]\n{}",
        (0..40)
            .map(|n| format!("b{n}: &b{n} [*{0}, *{0}]\n", if n == 0 { "a".to_owned() } else { format!("b{}", n - 1) }))
            .collect::<String>()
    );
    let deep = format!(
        "groups: [{{name: a, rules: [{{record: b, expr: \"{}1{}\"}}]}}]",
        "(".repeat(50_000),
        ")".repeat(50_000)
    );
    let ifs = format!(
        "groups: [{{name: a, rules: [{{alert: b, expr: up, annotations: {{c: \"{}\"}}}}]}}]",
        "{{ if 1 }}".repeat(10_000)
    );
    let parens = format!(
        "groups: [{{name: a, rules: [{{alert: b, expr: up, annotations: {{c: \"{{{{ {} }}}}\"}}}}]}}]",
        "(".repeat(50_000)
    );
    for text in [nested, aliases, deep, ifs, parens] {
        tally.measure(text.as_bytes(), || {
            assert!(file::read("r.yml", &text).is_err());
            assert!(routing::read("r.yml", &text).is_err());
        });
    }
}
