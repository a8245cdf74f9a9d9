use super::*;

fn file(text: &str) -> RuleFile {
    RuleFile { name: "policy/team.rego".to_owned(), text: text.to_owned() }
}

fn asked(text: &str) -> Result<Ran, Broken> {
    let input =
        serde_json::json!({"app": "shop", "services": {"web": {"labels": {}}, "db": {"labels": {"team": "data"}}}});
    run(&[file(text)], &input, Author::Manifest)
}

#[test]
fn what_rules_hold_becomes_findings() {
    let ran = asked(
        "package team\n\
         deny contains {\"msg\": msg, \"service\": name, \"path\": path, \"severity\": \"low\", \"id\": \"T1\"} if {\n\
           some name, service in input.services\n\
           not service.labels.team\n\
           msg := sprintf(\"%s has no team\", [name])\n\
           path := sprintf(\"services.%s.labels\", [name])\n\
         }\n\
         warn contains \"the app is a shop\" if input.app == \"shop\"\n",
    );
    let ran = ran.unwrap();
    assert_eq!(ran.asked, 2);
    let shown: Vec<_> =
        ran.findings.iter().map(|one| (one.check.as_str(), one.severity, one.message.as_str())).collect();
    assert_eq!(shown, [("T1", Severity::Low, "web has no team"), ("team", Severity::Medium, "the app is a shop")]);
    assert_eq!(ran.findings[0].fate, Fate::Denied { by: Author::Manifest });
    assert_eq!(ran.findings[0].path.to_string(), "services.web.labels");
}

#[test]
fn rules_that_are_no_rego_are_refused_with_their_place() {
    let broken = asked("package team\ndeny contains msg if {\n  msg := ]\n}\n").unwrap_err();
    assert!(broken.why.starts_with("policy/team.rego:3:"), "{}", broken.why);
    let unknown = asked("package team\ndeny contains 1 if no_such_function(2)\n").unwrap_err();
    assert!(unknown.why.contains("no_such_function") || unknown.why.contains("policy/team.rego:2"), "{}", unknown.why);
    let mute = asked("package team\ndeny contains {\"service\": \"web\"} if true\n").unwrap_err();
    assert!(mute.why.contains("no message"), "{}", mute.why);
}

#[test]
fn rules_that_do_not_end_are_given_up() {
    let all = "numbers.range(1, 3000)";
    let text = format!(
        "package team\ndeny contains \"x\" if {{ some a in {all}; some b in {all}; some c in {all}; a + b + c < 0 }}\n"
    );
    let broken = asked(&text).unwrap_err();
    assert!(broken.why.contains("given up after 2 s"), "{}", broken.why);
}

#[test]
fn rules_have_tests_of_their_own() {
    let rules = file("package team\nimport rego.v1\ndeny contains \"no\" if input.bad\n");
    let tests = RuleFile {
        name: "policy/team_test.rego".to_owned(),
        text: "package team\n\ntest_bad_is_denied if {\n  deny[\"no\"] with input as {\"bad\": true}\n}\n\
               test_wrong if {\n  deny[\"no\"] with input as {\"bad\": false}\n}\n"
            .to_owned(),
    };
    let ran = test(&[rules, tests]).unwrap();
    let shown: Vec<_> = ran.iter().map(|one| (one.name.as_str(), one.line, one.failure.is_none())).collect();
    assert_eq!(shown, [("team.test_bad_is_denied", 3, true), ("team.test_wrong", 6, false)]);
}
