//! `on_call` and `maintenance` of a manifest.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use daybook_manifest::{Bundle, Options, load, render};
use daybook_model::Spec;
use daybook_model::oncall::{Target, Turn, When};

const SHOP: &str = r#"
app: shop
services:
  web: {image: web}
  worker: {image: worker}
notify:
  team: {slack: {url: {secret: slack}}}
  ada-phone: {ntfy: {topic: {secret: ada}}}
  bob-phone: {ntfy: {topic: {secret: bob}}}
on_call:
  people:
    ada: ada-phone
    bob: [bob-phone, team]
  schedules:
    web:
      timezone: Europe/Paris
      layers:
        - {people: [ada, bob], turn: 1w, from: 2026-01-05T09:00}
        - {people: bob, turn: 12h, from: 2026-01-05T20:00, only: {days: [sat, Sunday], from: "20:00", until: "08:00"}}
      overrides:
        - {person: bob, from: 2026-07-14T09:00, until: 2026-07-14T16:00:00Z}
      handover: true
  policies:
    shop:
      services: web
      repeat: 1
      levels:
        - {schedule: web, wait: 10s}
        - {person: [bob, ada]}
maintenance:
  - {title: Updates, every: "0 2 * * 0", for: 2h, timezone: Europe/Paris}
environments:
  staging:
    maintenance:
      - {title: Larger machines, services: [worker], from: 2026-12-24T20:00, until: 2026-12-24T22:00, timezone: Europe/Paris}
"#;

/// What a manifest makes of an environment, and what is said about it.
fn read(manifest: &str, environment: &str) -> (Spec, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daybook.yaml");
    std::fs::write(&path, manifest).unwrap();
    let (bundle, _) = Bundle::collect(&[path], &|_| None, None);
    let loaded = load(&bundle, &Options::new(environment.parse().unwrap()));
    let said = render(&loaded.diagnostics, &bundle, false);
    (loaded.spec.unwrap_or_else(|| panic!("{said}")), said)
}

fn spec(environment: &str) -> Spec {
    read(SHOP, environment).0
}

#[test]
fn who_is_woken_when_and_in_which_order() {
    let on_call = spec("production").on_call;
    let channels: Vec<_> = on_call.people["bob"].iter().map(daybook_model::ChannelName::as_str).collect();
    assert_eq!(channels, ["bob-phone", "team"]);
    let schedule = &on_call.schedules[0];
    assert_eq!((schedule.name.as_str(), schedule.zone.as_str()), ("web", "Europe/Paris"));
    assert!(schedule.handover);
    assert_eq!((schedule.layers[0].turn, schedule.layers[1].turn), (Turn::Weeks(1), Turn::Hours(12)));
    assert_eq!(schedule.layers[1].only[0].days, [6, 7]);
    let taken = &schedule.overrides[0];
    assert_eq!(
        (taken.from.to_string(), taken.until.to_string()),
        ("2026-07-14T07:00:00Z".into(), "2026-07-14T16:00:00Z".into())
    );
    let policy = &on_call.policies[0];
    assert_eq!((policy.repeat, policy.services.len()), (1, 1));
    assert_eq!(policy.levels[0].targets, [Target::Schedule("web".to_owned())]);
    assert_eq!((policy.levels[0].wait_ms, policy.levels[1].wait_ms), (10_000, 300_000));
    assert_eq!(policy.levels[1].targets, ["bob", "ada"].map(|name| Target::Person(name.to_owned())));
}

#[test]
fn somebody_who_is_not_woken_hears_of_incidents() {
    let warns = |manifest: &str, environment: &str| read(manifest, environment).1.contains("M0144");
    assert!(warns(SHOP, "production"), "the team's channel is bob's own");
    let others = SHOP.replace("bob: [bob-phone, team]", "bob: bob-phone");
    assert!(!warns(&others, "production"));
    let own = format!("{others}    on_call: {{people: {{ada: [ada-phone, bob-phone, team]}}}}\n");
    assert!(warns(&own, "staging") && !warns(&own, "production"), "an environment may have its own");
    let nobody = others.replace("on_call:", "x-on-call:");
    assert!(!warns(&nobody, "production"), "where nobody is on call, all channels are told");
}

#[test]
fn windows_are_once_or_again_and_again_and_of_an_environment() {
    let whole = spec("production").maintenance;
    assert!(matches!(&whole[0].when, When::Every { begins, length_ms: 7_200_000 } if begins.zone == "Europe/Paris"));
    assert!(whole[0].services.is_empty());
    let own = spec("staging").maintenance;
    assert_eq!(own.len(), 1, "an environment's own replace those of the whole manifest");
    let When::Once { from, until } = &own[0].when else { panic!("{own:?}") };
    assert_eq!((from.to_string(), until.to_string()), ("2026-12-24T19:00:00Z".into(), "2026-12-24T21:00:00Z".into()));
}
