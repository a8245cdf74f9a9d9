//! Rules that mend something by themselves, as the manifest writes them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use daybook_manifest::{Bundle, Options, load};
use daybook_model::Spec;
use daybook_model::remedy::Remedy::{Restart, Scale, SwapBack};
use daybook_model::remedy::Rule;

const SERVICES: &str = "services:\n  web: {image: nginx}\n  worker: {image: nginx}\n";

/// What a manifest with these lines after its services means for an environment.
fn spec(lines: &str, environment: &str) -> Spec {
    let path = "/app/daybook.yaml".to_owned();
    let mut bundle = Bundle { entries: vec![path.clone()], root: "/app".to_owned(), ..Bundle::default() };
    bundle.files.insert(path, format!("{SERVICES}{lines}"));
    let loaded = load(&bundle, &Options::new(environment.parse().unwrap()));
    loaded.spec.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

#[test]
fn what_is_not_said_is_careful() {
    assert!(spec("", "production").remedies.is_empty(), "nothing is mended where nobody asks for it");
    let [rule] = &spec("remedies: {go-back: {may: swap-back}}\n", "production").remedies[..] else { panic!() };
    let by_default = Rule {
        name: "go-back".to_owned(),
        may: [SwapBack].into(),
        services: [].into(),
        least_share: 60,
        most: 1,
        within_ms: 3_600_000,
        most_replicas: 10,
        line: 4,
    };
    assert_eq!(*rule, by_default);
}

#[test]
fn rules_keep_their_order_and_an_environment_has_its_own() {
    let lines = "remedies:
  web: {may: [restart, scale], services: [web, worker], least_share: 75%, at_most: 3 in 2h, most_replicas: 4}
  all: {may: swap-back, least_share: 0%}
environments:
  staging: {remedies: {alone: {may: restart, services: web}}}
";
    let rules = spec(lines, "production").remedies;
    let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["web", "all"]);
    let web = &rules[0];
    assert_eq!(web.may, [Restart, Scale].into());
    assert_eq!(web.services.iter().map(daybook_model::ServiceName::as_str).collect::<Vec<_>>(), ["web", "worker"]);
    assert_eq!((web.least_share, web.most, web.within_ms, web.most_replicas), (75, 3, 7_200_000, 4));
    assert_eq!(rules[1].least_share, 0);
    let names: Vec<_> = spec(lines, "staging").remedies.into_iter().map(|rule| rule.name).collect();
    assert_eq!(names, ["alone"]);
}
