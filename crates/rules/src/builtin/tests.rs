use std::collections::BTreeSet;

use daybook_metrics::Labels;
use daybook_promql::testfile::{self, Storage};
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::*;
use crate::group::Environment;
use crate::replay::{Range, Replayed};

fn storage(fixture: &Fixture, series: &[&str]) -> Storage {
    let every = milliseconds(fixture.every);
    let mut storage = Storage::default();
    for line in series {
        let (labels, items) = testfile::series(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let values = (0..).zip(items).filter_map(|(n, item): (i64, _)| Some((n * every, item?)));
        storage.append(labels, values);
    }
    storage
}

/// What the alert, with what is recorded for it, does over the series of its fixture.
fn replay(subject: &Subject, builtin: &Builtin, series: &[&str], wishes: &[Wish<'_>]) -> Replayed {
    let mut group = group(subject, wishes);
    group.rules.retain(|rule| matches!(rule, Rule::Record(_)) || rule.name() == builtin.name);
    let storage = storage(&builtin.fixture, series);
    let range = Range { from: 0, to: milliseconds(builtin.fixture.at), step: milliseconds(builtin.fixture.every) };
    let external = Labels::default();
    let mut all = group.replay(&storage, range, &Environment::new(&external, "https://daybook.example"));
    all.pop().unwrap()
}

#[test]
fn every_alert_fires_over_its_fixture_and_stays_quiet_over_its_twin() {
    for subject in SUBJECTS {
        for builtin in subject.alerts {
            let at = milliseconds(builtin.fixture.at);
            let loud = replay(subject, builtin, builtin.fixture.fires, &[]);
            assert!(loud.error.is_none(), "{}: {:?}", builtin.name, loud.error);
            let fires = loud.episodes.iter().filter(|episode| episode.fired_at.is_some() && episode.ended_at.is_none());
            let fires: Vec<_> = fires.collect();
            assert_eq!(fires.len(), 1, "{} at {at}: {:?}", builtin.name, loud.episodes);
            assert!(!fires[0].summary.contains("error expanding"), "{}", fires[0].summary);
            assert!(!fires[0].summary.contains("  ") && !fires[0].summary.ends_with(' '), "{}", fires[0].summary);
            let quiet = replay(subject, builtin, builtin.fixture.quiet, &[]);
            assert!(quiet.error.is_none(), "{}: {:?}", builtin.name, quiet.error);
            assert_eq!(quiet.notified(), 0, "{}: {:?}", builtin.name, quiet.episodes);
        }
    }
}

#[test]
fn an_alert_may_be_off_for_one_service_alone() {
    for subject in SUBJECTS {
        for builtin in subject.alerts.iter().filter(|builtin| builtin.is_of_services()) {
            let of_service = builtin.fixture.fires.iter().find(|line| line.contains("service=\"")).unwrap();
            let (labels, _) = testfile::series(of_service).unwrap();
            let notified = |service| {
                let off = Wish {
                    app: labels.get("app"),
                    env: labels.get("env"),
                    service: Some(service),
                    alert: builtin.name,
                    off: true,
                    threshold: None,
                    hold: None,
                    severity: None,
                };
                replay(subject, builtin, builtin.fixture.fires, &[off]).notified()
            };
            assert_eq!(notified(labels.get("service")), 0, "{}", builtin.name);
            assert!(notified("other") > 0, "{}", builtin.name);
        }
    }
}

#[test]
fn what_is_unusual_names_what_is_usual() {
    let replayed = |name: &str| {
        let builtin = alerts().find(|builtin| builtin.name == name).unwrap();
        replay(&traffic::SUBJECT, builtin, builtin.fixture.fires, &[]).episodes.pop().unwrap().summary
    };
    let drop = "web in production gets 1 requests a second; 10 to 30 are usual at this time";
    assert_eq!(replayed("TrafficDrop"), drop);
    assert_eq!(replayed("TrafficSpike"), drop.replace("gets 1 ", "gets 100 "));
    let rose = replayed("LatencyRose");
    assert!(rose.ends_with("for one request in twenty; up to 400ms is usual at this time"), "{rose}");
}

#[test]
fn names_are_unique_and_everything_is_said() {
    let mut names = BTreeSet::new();
    for builtin in alerts() {
        assert!(names.insert(builtin.name), "{} is there twice", builtin.name);
        assert!(!builtin.summary.is_empty() && builtin.description.ends_with('.'), "{}", builtin.name);
        let page = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(!builtin.runbook.is_empty() && builtin.runbook.chars().all(page), "{}", builtin.name);
        let waits = milliseconds(builtin.hold) + milliseconds(builtin.keep);
        assert!(waits > 0, "{} neither waits nor fires on", builtin.name);
    }
}

#[test]
fn every_alert_has_a_page_that_says_what_to_do() {
    let objective = crate::slo::Objective {
        app: "shop".to_owned(),
        env: "production".to_owned(),
        service: "web".to_owned(),
        availability: Some(0.999),
        latency: Vec::new(),
    };
    let (of_goals, _) = crate::slo::compile(&objective, &[]);
    let groups = groups();
    for rule in groups.iter().chain([&of_goals]).flat_map(Group::alerts) {
        let runbook = rule.annotations.iter().find(|(name, _)| name == "runbook").map(|(_, text)| text.text());
        let text = page(runbook.unwrap()).unwrap_or_else(|| panic!("{} has no page", rule.name));
        assert_eq!(page(&rule.name), Some(text), "the title of the page of {} has its name", rule.name);
        for part in ["## What users feel", "## Look first", "## Usual causes", "## What to do"] {
            assert!(text.contains(part), "the page of {} has no part {part}", rule.name);
        }
        assert!(text.contains("- `daybook "), "the page of {} begins with something to look at", rule.name);
    }
    assert!(page("Nothing").is_none());
}

/// Collects the selectors of a query.
#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = ();
    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, ()> {
        match expr {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.0.push(matrix.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

#[test]
fn queries_are_over_metrics_that_are_listed() {
    let groups = groups();
    let recorded: BTreeSet<&str> = groups.iter().flat_map(|group| &group.rules).map(Rule::name).collect();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        let mut selectors = Selectors::default();
        let expr = promql_parser::parser::parse(&rule.query().text).unwrap();
        walk_expr(&mut selectors, &expr).unwrap();
        for selector in selectors.0 {
            let name = selector.name.unwrap_or_default();
            let known = of_series(&name).is_some() || recorded.contains(name.as_str());
            assert!(known, "{} asks for {name}, which is in no table", rule.name());
        }
    }
}

#[test]
fn fixtures_have_the_labels_that_are_listed() {
    for builtin in alerts() {
        for line in builtin.fixture.fires.iter().chain(builtin.fixture.quiet) {
            let (labels, _) = testfile::series(line).unwrap();
            let metric = of_series(labels.metric()).unwrap_or_else(|| panic!("{line} is of no metric that is listed"));
            let mut wanted: BTreeSet<&str> = metric.labels.iter().copied().collect();
            if labels.metric().ends_with("_bucket") {
                wanted.insert("le");
            }
            let has: BTreeSet<&str> =
                labels.iter().map(|label| label.name.as_str()).filter(|name| *name != "__name__").collect();
            assert_eq!(has, wanted, "{line}");
        }
    }
}

#[test]
fn the_rules_are_a_file_that_is_read_back() {
    let text = crate::file::write(&groups());
    let again = crate::file::read("builtin.yml", &text).unwrap();
    assert_eq!(crate::file::write(&again), text);
}
