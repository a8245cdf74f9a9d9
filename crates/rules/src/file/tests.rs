use super::*;
use crate::rule::Rule;

const GOOD: &str = r#"
groups:
  - name: web
    interval: 30s
    limit: 10
    query_offset: 1m
    labels: {team: shop}
    rules:
      - record: job:requests:rate5m
        expr: sum by (job) (rate(requests_total[5m]))
        labels: {severity: 1, empty: ~}
      - alert: Down
        expr: |
          up == 0
        for: 5m
        keep_firing_for: 1m
        labels: {severity: page, team: "{{ $labels.team }}"}
        annotations:
          summary: "{{ $labels.instance }} is down"
"#;

#[test]
fn a_file_becomes_groups() {
    let groups = read("rules.yml", GOOD).unwrap();
    let [group] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((group.interval, group.limit, group.query_offset), (Some(30_000), 10, 60_000));
    let [Rule::Record(record), Rule::Alert(alert)] = group.rules.as_slice() else { panic!("{group:?}") };
    let labels = [("empty", ""), ("severity", "1"), ("team", "shop")];
    assert_eq!(record.labels, labels.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((alert.hold, alert.keep, alert.query.text.as_str()), (300_000, 60_000, "up == 0"));
    assert_eq!(alert.labels[1].1.text(), "{{ $labels.team }}");
    assert_eq!(alert.place.to_string(), "rules.yml:12:9");
}

#[test]
fn what_is_written_is_read_back() {
    let text = write(&read("rules.yml", GOOD).unwrap());
    assert_eq!(write(&read("again.yml", &text).unwrap()), text);
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let text = r#"groups:
- name: a
  intervall: 5m
  rules:
  - alert: A
    expr: sum(
    for: 5
    labels: {__name__: x}
    annotations: {summary: "{{ nothing }}"}
  - record: b{x="y"}
    expr: up
    for: 5m
  - expr: up
  - record: c
    alert: C
    expr: up
  - record: d
    record: e
- name: a
  rules: up
"#;
    let problems = read("r.yml", text).unwrap_err();
    let told: Vec<String> =
        problems.0.iter().map(|problem| format!("{}: {}", problem.place, problem.message)).collect();
    let expected = [
        "r.yml:3:3: a group has no field `intervall`",
        "r.yml:6:11: `expr` is wrong",
        "r.yml:7:10: `for` is `5`, which is no duration",
        "r.yml:8:24: `__name__` cannot be set as a label",
        "r.yml:9:28: the template `summary` is wrong: line 1: function \"nothing\" not defined",
        "r.yml:10:13: `b{x=\"y\"}` is no name of a series",
        "r.yml:12:5: a rule that records has no `for`",
        "r.yml:13:5: a rule has neither `record` nor `alert`",
        "r.yml:14:5: a rule has both `record` and `alert`",
        "r.yml:17:5: a rule has no `expr`",
        "r.yml:18:5: `record` is written twice, first in line 17",
        "r.yml:19:3: the group `a` is there twice, first in line 2",
        "r.yml:20:10: `rules` is a single value",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\ninstead of\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{problems}");
    assert!(problems.to_string().contains("did you mean `interval`?"));
}

#[test]
fn an_empty_file_has_no_groups_and_a_torn_one_is_refused() {
    assert!(read("r.yml", "").unwrap().is_empty());
    assert!(read("r.yml", "groups:\n").unwrap().is_empty());
    for text in
        ["groups: [", "a: b", "- x", "groups: {a: b}", "groups: [1]", "x: &a [*a]", "groups: []\n---\ngroups: []"]
    {
        assert!(read("r.yml", text).is_err(), "{text}");
    }
}
