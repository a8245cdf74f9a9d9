//! A policy refuses what it denies, before anything is changed.

use daybook_e2e::World;
use daybook_e2e::workspace::package_directory;

const POLICY: &str = "policy: {deny: [no-memory-limit]}\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_refused_with_its_line_and_mended_it_is_not() {
    let world = World::new().await;
    let shop = daybook_e2e::manifest();
    let lines = shop.lines().count();
    // `report` of the example has no memory limit.
    world.write("daybook.yaml", &format!("{shop}\n{POLICY}"));
    let planned = world.run(&["plan"]).await.expect(2);
    assert!(planned.out.contains("Policy "), "{planned}");
    assert!(planned.out.contains("DB019 denied"), "{planned}");
    let json = world.run(&["plan", "-o", "json"]).await.expect(2).json();
    let denied =
        json["policy"]["findings"].as_array().unwrap().iter().find(|one| one["fate"] == "denied").unwrap().clone();
    assert_eq!((denied["check"].as_str(), denied["service"].as_str()), (Some("DB019"), Some("report")));
    assert!(denied["line"].as_u64().unwrap() < lines as u64);

    let refused = world.run(&["up", "-y"]).await.expect(3);
    assert!(refused.err.contains("denied[DB019]: `report` has no memory limit"), "{refused}");
    assert!(world.run(&["history"]).await.out.lines().count() <= 1, "nothing was begun");

    world.run(&["policy", "--fix", "no-memory-limit", "--runtime", "process"]).await.expect(0);
    world.run(&["up", "-y"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r31_what_a_policy_finds_of_a_secret_shows_it_nowhere() {
    let world = World::new().await;
    let shop =
        daybook_e2e::manifest().replacen("    SHOP_DATA:", "    API_TOKEN: canary-sesame-4711\n    SHOP_DATA:", 1);
    assert!(shop.contains("canary-sesame-4711"));
    world.write("daybook.yaml", &format!("{shop}\npolicy: {{deny: [secret-in-environment]}}\n"));
    for arguments in [
        &["policy"][..],
        &["policy", "-o", "json"],
        &["policy", "--as", "sarif"],
        &["policy", "--as", "html"],
        &["policy", "--framework", "all"],
        &["plan"],
        &["plan", "-o", "json"],
        &["up", "-y"],
    ] {
        let ended = world.run(arguments).await;
        assert!(!ended.all().contains("canary-sesame"), "{arguments:?} shows it:\n{ended}");
        assert!(ended.all().contains("API_TOKEN") || arguments.contains(&"--framework"), "{arguments:?}:\n{ended}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sarif_keeps_to_its_schema() {
    let world = World::new().await;
    world.write("daybook.yaml", &format!("{}\n{POLICY}", daybook_e2e::manifest()));
    let document = world.run(&["policy", "--as", "sarif"]).await.expect(3).json();
    let schema = std::fs::read_to_string(package_directory("serde-sarif").join("src/schema.json")).unwrap();
    let mut schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    // The published pattern of languages has a bracket too many, and is no regular expression.
    for of in ["run", "toolComponent"] {
        if let Some(language) = schema["definitions"][of]["properties"].get_mut("language") {
            language["pattern"] = "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$".into();
        }
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let results = document["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|result| result["locations"][0]["physicalLocation"]["region"]["startLine"].is_u64()));
    world.end().await;
}
