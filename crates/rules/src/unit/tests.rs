use super::*;

const RULES: &str = r#"
groups:
  - name: example
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: InstanceDown
        expr: up == 0
        for: 5m
        labels: {severity: page}
        annotations:
          summary: "{{ $labels.instance }} of {{ $externalLabels.region }} down, {{ query \"job:up:sum\" | first | value }} left"
"#;

const TESTS: &str = r#"
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - name: down
    interval: 1m
    external_labels: {region: eu}
    input_series:
      - series: up{job="web", instance="a"}
        values: "0x14 1 1"
      - series: up{job="web", instance="b"}
        values: 1+0x6 _x9
    alert_rule_test:
      - eval_time: 4m
        alertname: InstanceDown
      - eval_time: 10m
        alertname: InstanceDown
        exp_alerts:
          - exp_labels: {severity: page, instance: a, job: web}
            exp_annotations: {summary: "a of eu down, 1 left"}
      - eval_time: 15m
        alertname: InstanceDown
    promql_expr_test:
      - expr: job:up:sum
        eval_time: 6m
        exp_samples:
          - labels: job:up:sum{job="web"}
            value: 1
      - expr: count(ALERTS{alertstate="firing"}) * 2
        eval_time: 14m
        exp_samples: [{labels: '{}', value: 2}]
      - expr: vector(1) < 0
"#;

#[test]
fn a_file_of_tests_runs() {
    let groups = crate::file::read("rules.yml", RULES).unwrap();
    let file = read("tests.yml", TESTS).unwrap();
    assert_eq!((file.rule_files.as_slice(), file.interval), (&["rules.yml".to_owned()][..], 60_000));
    let outcomes = file.run(&groups);
    assert_eq!(outcomes, [Outcome { test: "down".to_owned(), failures: Vec::new() }]);
}

#[test]
fn what_is_not_as_expected_is_told() {
    let groups = crate::file::read("rules.yml", RULES).unwrap();
    let text = TESTS
        .replace("a of eu down, 1 left", "else")
        .replace("value: 1\n", "value: 3\n")
        .replace("eval_time: 4m", "eval_time: 6m");
    let file = read("tests.yml", &text).unwrap();
    let [outcome] = file.run(&groups).try_into().unwrap();
    let [early, other, query] = outcome.failures.as_slice() else { panic!("{outcome:?}") };
    assert!(early.starts_with("tests.yml:14:9: the alert InstanceDown at 6m: expected none, got {"), "{early}");
    assert!(other.contains(r#"summary: "else""#) && other.contains("a of eu down, 1 left"), "{other}");
    assert!(
        query.ends_with("job:up:sum at 6m: expected job:up:sum{job=\"web\"} 3, got job:up:sum{job=\"web\"} 1"),
        "{query}"
    );
}

#[test]
fn a_rule_that_fails_fails_its_test() {
    let rules = "groups: [{name: a, rules: [{record: b, expr: 'up + on() up'}]}]";
    let groups = crate::file::read("rules.yml", rules).unwrap();
    let tests = "tests: [{input_series: [{series: 'up{a=\"1\"}', values: '1'}, {series: 'up{a=\"2\"}', values: '1'}]}]";
    let [outcome] = read("tests.yml", tests).unwrap().run(&groups).try_into().unwrap();
    assert!(outcome.failures[0].starts_with("rules.yml:1:28: b failed at 0s: "), "{:?}", outcome.failures);
}

#[test]
fn a_file_that_is_wrong_is_refused() {
    let text = "tests:\n- input_series: [{series: 'up{', values: 1}]\n  promql_expr_test: [{expr: 'sum('}]\n  alert_rule_tests: []\n";
    let problems = read("t.yml", text).unwrap_err().to_string();
    for part in ["t.yml:2:18: the series is wrong", "t.yml:3:29: `expr` is wrong", "did you mean `alert_rule_test`?"] {
        assert!(problems.contains(part), "{part} in {problems}");
    }
}
