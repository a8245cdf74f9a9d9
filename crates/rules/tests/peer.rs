//! The same files through `promtool` and through us. Needs `promtool` (Debian: `prometheus`): `--features peer-tests`.
#![cfg(feature = "peer-tests")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the peer is a program that reads files")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use daybook_metrics::Labels;
use daybook_promql::testfile::{self, Storage};
use daybook_rules::builtin::{self, Builtin};
use daybook_rules::{Environment, Group, GroupState, State, as_map, duration, file, unit};

fn promtool(directory: &Path, arguments: &[&str]) -> Output {
    Command::new("promtool").args(arguments).current_dir(directory).output().expect("promtool is installed")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

/// Whether both accept a file of rules.
#[test]
fn files_that_one_refuses_the_other_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let rule = |rest: &str| format!("groups:\n- name: g\n  rules:\n  - {rest}\n");
    let files = [
        rule("{record: a, expr: up}"),
        rule("{alert: A, expr: up, for: 1m, keep_firing_for: 1m, labels: {a: b}, annotations: {c: d}}"),
        rule("{alert: A, expr: up, labels: {a: 1, b: true, c: ~}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ $value | humanize }}'}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ nothing }}'}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ $nothing }}'}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ if }}'}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ range query \"up\" }}{{ .Value }}{{ end }}'}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ range query \"up\" }}{{ .Value }}'}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ end }}'}}"),
        rule("{alert: A, expr: up, annotations: {a: '{{ with $x := 1 }}{{ $x }}{{ end }}{{ $x }}'}}"),
        rule("{alert: A, expr: up, labels: {__name__: b}}"),
        rule("{alert: A, record: b, expr: up}"),
        rule("{expr: up}"),
        rule("{alert: A}"),
        rule("{alert: A, expr: 'sum('}"),
        rule("{alert: A, expr: up, for: 5}"),
        rule("{alert: A, expr: up, for: 1h30m}"),
        rule("{alert: A, expr: up, for: 30m1h}"),
        rule("{alert: A, expr: up, unknown: 1}"),
        rule("{record: a, expr: up, for: 1m}"),
        rule("{record: a, expr: up, annotations: {a: b}}"),
        rule("{record: 'a{b=\"c\"}', expr: up}"),
        "groups: []".to_owned(),
        "groups: [{name: a}, {name: a}]".to_owned(),
        "groups: [{name: ''}]".to_owned(),
        "groups: [{name: a, interval: 30s, limit: 5}]".to_owned(),
        "groups: [{name: a, interval: often}]".to_owned(),
        "groups: [{name: a, limit: many}]".to_owned(),
        "groups: {a: b}".to_owned(),
        "group: []".to_owned(),
        "groups: [".to_owned(),
        "groups: [{name: a, name: b}]".to_owned(),
        "groups: [{name: &n a}, {name: *n}]".to_owned(),
    ];
    for text in &files {
        write(directory.path(), "rules.yml", text);
        let theirs = promtool(directory.path(), &["check", "rules", "rules.yml"]);
        let ours = file::read("rules.yml", text);
        assert_eq!(ours.is_ok(), theirs.status.success(), "{text}\n{}\n{ours:?}", self::text(&theirs));
    }
}

/// The alerts that fire after evaluations from zero to a time.
fn firing(groups: &[Group], series: &[String], every: i64, until: i64) -> Vec<(Labels, BTreeMap<String, String>)> {
    let mut storage = Storage::default();
    for line in series {
        let (labels, items) = testfile::series(line).unwrap();
        storage.append(labels, (0..).zip(items).filter_map(|(n, item): (i64, _)| Some((n * every, item?))));
    }
    let external = Labels::new([("region", "eu")]);
    let environment = Environment::new(&external, "https://daybook.example/ops");
    let mut states = vec![GroupState::default(); groups.len()];
    let mut at = 0;
    while at <= until {
        for (group, state) in groups.iter().zip(&mut states) {
            for sample in group.evaluate(state, &storage, at, &environment).samples {
                storage.append(sample.labels, [(sample.at, sample.value)]);
            }
        }
        at += every;
    }
    let active = states.into_iter().flat_map(|state| state.rules).flat_map(|(_, rule)| rule.active);
    let firing = active.filter(|(_, alert)| alert.state == State::Firing);
    firing.map(|(labels, alert)| (labels, alert.annotations)).collect()
}

/// A test for `promtool` that expects these alerts.
fn test_of(
    series: &[String],
    every: i64,
    at: i64,
    alerts: &[(Labels, BTreeMap<String, String>)],
    names: &[&str],
) -> String {
    let json = |value: &str| serde_json::Value::from(value).to_string();
    let map = |map: BTreeMap<String, String>| serde_json::to_string(&map).unwrap();
    let mut out = format!("- interval: {}\n", duration::format(every));
    out.push_str("  external_labels: {region: eu}\n  external_url: https://daybook.example/ops\n  input_series:\n");
    for line in series {
        let end = line.find('}').map_or_else(|| line.find(' ').unwrap(), |at| at + 1);
        let (series, values) = line.split_at(end);
        let _ = writeln!(out, "  - {{series: {}, values: {}}}", json(series), json(values.trim()));
    }
    out.push_str("  alert_rule_test:\n");
    for name in names {
        let _ = writeln!(out, "  - eval_time: {}\n    alertname: {name}\n    exp_alerts:", duration::format(at));
        for (labels, annotations) in alerts.iter().filter(|(labels, _)| labels.get("alertname") == *name) {
            let labels = map(as_map(&labels.with("alertname", "")));
            let _ = writeln!(out, "    - {{exp_labels: {labels}, exp_annotations: {}}}", map(annotations.clone()));
        }
        if out.ends_with("exp_alerts:\n") {
            out.truncate(out.len() - "    exp_alerts:\n".len());
        }
    }
    out
}

/// The text of a file of tests, which `promtool` passes.
fn promtool_passes(directory: &Path, groups: &[Group], every: i64, tests: &str) -> String {
    let file = format!("rule_files: [rules.yml]\nevaluation_interval: {}\ntests:\n{tests}", duration::format(every));
    write(directory, "rules.yml", &file::write(groups));
    write(directory, "tests.yml", &file);
    let theirs = promtool(directory, &["test", "rules", "tests.yml"]);
    assert!(theirs.status.success(), "{}\n{file}", text(&theirs));
    file
}

/// Runs tests through both.
fn both_pass(directory: &Path, groups: &[Group], every: i64, tests: &str) {
    let file = promtool_passes(directory, groups, every, tests);
    for outcome in unit::read("tests.yml", &file).unwrap().run(groups) {
        assert_eq!(outcome.failures, Vec::<String>::new(), "{file}");
    }
}

#[test]
fn templates_expand_alike() {
    let templates = [
        "{{ $value }} {{ $labels.instance }} {{ .Labels.nothing }}|{{ $externalLabels.region }} {{ $externalURL }}",
        "{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }}",
        "{{ humanizeTimestamp $value }}",
        "{{ printf \"%.2f %5.1f|%-8.3f|%08.3f|%+g|%e|%g|%v\" $value $value $value $value $value $value $value $value }}",
        "{{ printf \"%s %q %d %x %t %% %5s|%-5s|%v\" \"a\" \"b\\\"c\" 42 255 true \"r\" \"l\" nil }}",
        "{{ printf \"%d\" $value }} {{ printf \"%s\" }} {{ printf \"a\" 1 }} {{ printf \"%!\" 1 }} {{ printf \"%z\" 1 }}",
        "{{ 1000000.0 }} {{ 123456.0 }} {{ 1e20 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1e6 }} {{ 21.0 }} {{ 1234567.891 }} {{ 0x10 }} {{ 'a' }}",
        "{{ range query \"up\" | sortByLabel \"instance\" }}x{{ end }}",
        "{{ range sortByLabel \"instance\" (query \"up\") }}{{ .Labels.instance }}={{ .Value }} {{ end }}",
        "{{ with query \"up{instance='b'}\" }}{{ . | first | value }} {{ first . | label \"instance\" }}{{ end }}",
        "{{ with query \"nothing\" }}some{{ else }}none{{ end }}",
        "{{ query \"nothing\" | first | value }}",
        "{{ query \"sum(\" }}",
        "{{ if gt $value 10.0 }}more{{ else if eq $value 10.0 }}same{{ else }}less{{ end }}",
        "{{ gt $value 10 }}",
        "{{ title \"one two-three\" }} {{ toUpper \"abc\" }} {{ toLower \"ABC\" }} {{ match \"^a.*\" \"abc\" }}",
        "{{ reReplaceAll \"(.*):(.*)\" \"$2-${1}\" \"a:b\" }} {{ stripPort \"host:80\" }} {{ stripPort \"[::1]:80\" }} {{ stripDomain \"a.b.c:80\" }} {{ stripDomain \"1.2.3.4:80\" }}",
        "{{ args \"a\" 1 }} {{ len \"abc\" }} {{ index $labels \"instance\" }} {{ print 1 2 \"a\" \"b\" 3 4.5 }} {{ println \"x\" 1 }}|",
        "{{ and 1 0 }} {{ or 0 \"\" \"x\" }} {{ not 0 }} {{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ lt 1 2 }} {{ le 2 2 }} {{ ge 1 2 }}",
        "{{ parseDuration \"1h30m\" }} {{ tableLink \"up == 0\" }} {{ graphLink \"sum(a) / b{c=\\\"d\\\"}\" }}",
        "{{ define \"t\" }}<{{ .arg0 }}>{{ end }}{{ template \"t\" (args \"x\") }}",
        "a {{- 1 -}} b {{/* nothing */}} c {{- /* nothing */ -}} d",
        "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }}",
        "{{ range $i, $e := query \"up\" | first | label \"instance\" }}{{ end }}",
        "{{ range $i, $e := query \"up{instance='a'}\" }}{{ $i }}:{{ $e.Value }}{{ end }}{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
        "{{ (query \"up{instance='a'}\" | first).Labels.instance }} {{ $labels }} {{ html \"<a>\" }} {{ urlquery \"a b&c\" }} {{ safeHtml \"<b>\" }}",
        "{{ . }} {{ .Value }}",
        "{{ .Nothing }}",
        "{{ slice \"abcdef\" 1 3 }} {{ true }}",
    ];
    let values = ["0.5", "1234567.891", "-12.5", "1e-7", "1435065584.128", "0", "NaN", "Inf", "1048576", "90061"];
    let mut rules = String::from("groups:\n- name: g\n  rules:\n");
    for (n, template) in templates.iter().enumerate() {
        let template = serde_json::Value::from(*template);
        let _ = writeln!(rules, "  - alert: A{n}\n    expr: probe\n    annotations: {{text: {template}}}");
    }
    let groups = file::read("rules.yml", &rules).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..templates.len()).map(|n| format!("A{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tests = String::new();
    for value in values {
        let series: Vec<String> = [
            format!("probe{{instance=\"web-1:9100\", job=\"web\"}} {value}"),
            "up{instance=\"b\", job=\"web\"} 2".to_owned(),
            "up{instance=\"a\", job=\"web\"} 1".to_owned(),
        ]
        .into();
        let mut alerts = firing(&groups, &series, 60_000, 0);
        // What says that it failed is worded by each in its own way.
        alerts.retain(|(_, annotations)| !annotations["text"].contains("<error expanding template"));
        let names: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| alerts.iter().any(|(labels, _)| labels.get("alertname") == *name))
            .collect();
        assert!(names.len() >= templates.len() - 8, "{names:?}");
        tests.push_str(&test_of(&series, 60_000, 0, &alerts, &names));
    }
    both_pass(directory.path(), &groups, 60_000, &tests);
}

#[test]
fn alerts_go_through_the_same_states() {
    let rules = r#"
groups:
- name: g
  rules:
  - {record: "job:up:sum", expr: "sum by (job) (up)"}
  - {alert: Now, expr: "up == 0"}
  - {alert: Waits, expr: "up == 0", for: 3m, labels: {severity: page, where: "{{ $labels.instance }}!"}}
  - {alert: Keeps, expr: "up == 0", for: 1m, keep_firing_for: 4m, annotations: {text: "{{ $value }}"}}
  - {alert: Sum, expr: "job:up:sum < 2", for: 2m}
  - {alert: Other, expr: 'ALERTS{alertname="Waits", alertstate="firing"}', for: 1m, labels: {alertstate: ""}}
  - {alert: Gone, expr: 'absent(up{job="web"})', for: 2m}
"#;
    let groups = file::read("rules.yml", rules).unwrap();
    let series: Vec<String> = [
        r#"up{job="web", instance="a"} 1 1 0x4 1 0 0 1x4 0x12 1x8 stale _x9"#.to_owned(),
        r#"up{job="web", instance="b"} 1x9 0x3 1x20 stale _x9"#.to_owned(),
    ]
    .into();
    let names = ["Now", "Waits", "Keeps", "Sum", "Other", "Gone"];
    let directory = tempfile::tempdir().unwrap();
    let tests: String = (0..50)
        .map(|minute| {
            let at = minute * 60_000;
            test_of(&series, 60_000, at, &firing(&groups, &series, 60_000, at), &names)
        })
        .collect();
    both_pass(directory.path(), &groups, 60_000, &tests);
}

#[test]
fn promtool_refuses_what_we_refuse() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "rules.yml", "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]");
    let tests = "rule_files: [rules.yml]\ntests:\n- interval: 1m\n  input_series: [{series: up, values: '0 0'}]\n  alert_rule_test: [{eval_time: 1m, alertname: A}]\n";
    write(directory.path(), "tests.yml", tests);
    assert!(!promtool(directory.path(), &["test", "rules", "tests.yml"]).status.success());
    let groups = file::read("rules.yml", "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]").unwrap();
    assert_eq!(unit::read("tests.yml", tests).unwrap().run(&groups)[0].failures.len(), 1);
}

/// The group of an alert by default, with nothing but it and what is recorded for it.
fn group_of(builtin: &Builtin) -> Group {
    let mut groups = builtin::groups();
    groups.retain(|group| group.alerts().any(|rule| rule.name == builtin.name));
    let mut group = groups.remove(0);
    let is_asked_for = |name: &str| builtin.expr.contains(name);
    group.rules.retain(|rule| rule.name() == builtin.name || is_asked_for(rule.name()));
    group
}

#[test]
fn the_rules_by_default_do_the_same_in_prometheus() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "rules.yml", &file::write(&builtin::groups()));
    let checked = promtool(directory.path(), &["check", "rules", "rules.yml"]);
    assert!(checked.status.success(), "{}", text(&checked));
    for alert in builtin::alerts() {
        let group = [group_of(alert)];
        let (every, at) = (duration::parse(alert.fixture.every).unwrap(), duration::parse(alert.fixture.at).unwrap());
        let mut tests = String::new();
        for (series, fires) in [(alert.fixture.fires, true), (alert.fixture.quiet, false)] {
            let series: Vec<String> = series.iter().map(|line| (*line).to_owned()).collect();
            let alerts = firing(&group, &series, every, at);
            assert_eq!(!alerts.is_empty(), fires, "{}", alert.name);
            tests.push_str(&test_of(&series, every, at, &alerts, &[alert.name]));
        }
        promtool_passes(directory.path(), &group, every, &tests);
    }
}
