//! What is mended by itself: only where a rule of the manifest says so, once, and in the journal.

use daybook_bench::load::Load;
use daybook_e2e::{World, manifest};
use serde_json::Value;

/// An alert that does not wait, so that the scenario need not.
const ALERTS: &str = "\nalerts:\n  HighErrorRate: {for: 0s}\n";
/// What is suspected is clear here; how clear depends on how fast the machine is.
const RULE: &str = "\nremedies:\n  go-back: {may: swap-back, least_share: 20%, at_most: 1 in 1h}\n";

fn is_of_errors(incident: &Value) -> bool {
    incident["alerts"].as_array().is_some_and(|all| all.iter().any(|alert| alert["name"] == "HighErrorRate"))
}

async fn incident(world: &World) -> Option<Value> {
    let listed = world.run(&["incident", "ls", "-o", "json"]).await.expect(0).json();
    let id = listed.as_array()?.iter().find(|incident| is_of_errors(incident))?["short"].clone();
    Some(world.run(&["incident", "show", id.as_str()?, "-o", "json"]).await.expect(0).json())
}

/// A release that goes bad after its probation.
const BAD: [(&str, &str); 3] = [("SHOP_FAULT", "errors"), ("SHOP_FAULT_AFTER", "30"), ("SHOP_PROBATION", "2s")];

/// The build that answers, if one does well.
async fn build(world: &World) -> Option<String> {
    let reply = world.get("/api/about").await.ok().filter(|reply| reply.status == 200)?;
    Some(reply.json()["build"].as_str()?.to_owned())
}

fn by_rule(incident: &Value) -> usize {
    let actions = incident["actions"].as_array().cloned().unwrap_or_default();
    actions.iter().filter(|taken| taken["rule"] == "go-back").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_goes_back_once_by_itself() {
    let mut world = World::new().await;
    world.write("daybook.yaml", &format!("{}{ALERTS}{RULE}", manifest()));
    let plan = world.run(&["plan"]).await.expect(2);
    let rule = "go-back: may swap back, where 20 % is suspected, once in 1 h";
    assert!(plan.out.contains("remedies") && plan.out.contains(rule), "{plan}");
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    world.up(2, &BAD).await.expect(0);
    world.until("an incident goes on", async |world| incident(world).await.is_some()).await;
    let back = async |world: &World| incident(world).await.is_some_and(|incident| by_rule(&incident) == 1);
    world.until("a rule does something", back).await;
    world.until("the build before serves", async |world| build(world).await.is_some_and(|build| build == "1")).await;
    world.until("the run is over", async |world| world.open_run().await.is_none()).await;
    load.stop().await;

    // The incident, the history and the journal say who it was, and why.
    let told = incident(&world).await.expect("it goes on");
    let taken = told["actions"].as_array().and_then(|all| all.first()).cloned().unwrap_or_default();
    assert_eq!((&taken["what"], &taken["by"]), (&"swap back to release 1".into(), &"daybook".into()), "{told}");
    let shown = world.run(&["incident", "show"]).await.expect(0);
    assert!(shown.out.contains("swap back to release 1, by itself: rule go-back"), "{shown}");
    let events = world.run(&["events", "-o", "json"]).await.expect(0);
    assert!(events.out.contains("swap back to release 1 (rule go-back)"), "{events}");
    assert!(events.out.contains("rollback to 1: ") && events.out.contains("% of what is suspected"), "{events}");

    // Neither the next looks nor another server do it again.
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    // It says so only once it has looked.
    let looked = async |world: &World| {
        let why = incident(world).await.unwrap_or_default()["left_alone"][0].clone();
        why.as_str().is_some_and(|why| why.starts_with("a rule did something about this incident already"))
    };
    world.until("the next server has looked", looked).await;
    let after = incident(&world).await.expect("it goes on");
    assert_eq!((&after["id"], by_rule(&after)), (&told["id"], 1), "nothing more was done: {after}");
    assert_eq!(build(&world).await.as_deref(), Some("1"));
    world.run(&["journal", "verify"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rule_that_may_nothing_is_done() {
    let world = World::new().await;
    let restart = RULE.replace("swap-back", "restart");
    world.write("daybook.yaml", &format!("{}{ALERTS}{restart}", manifest()));
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    world.up(2, &BAD).await.expect(0);
    world.until("an incident goes on", async |world| incident(world).await.is_some()).await;
    let why = async |world: &World| {
        let incident = incident(world).await.unwrap_or_default();
        incident["left_alone"]
            .as_array()
            .is_some_and(|why| why.iter().any(|line| line == "go-back: it may not swap back"))
    };
    world.until("the rule says why it does nothing", why).await;
    let shown = world.run(&["incident", "show"]).await.expect(0);
    assert!(shown.out.contains("by itself: nothing, because\n  go-back: it may not swap back"), "{shown}");

    // Where no rule is there is nothing to say.
    world.write("daybook.yaml", &format!("{}{ALERTS}", manifest()));
    let plan = world.run_with(&["plan"], &[&[("SHOP_BUILD", "2")], &BAD[..]].concat()).await.expect(2);
    assert!(plan.out.contains("no longer: go-back"), "{plan}");
    world.up(2, &BAD).await.expect(0);
    load.stop().await;
    let silent = async |world: &World| {
        incident(world).await.is_some_and(|incident| incident["left_alone"].is_null() && by_rule(&incident) == 0)
    };
    world.until("nothing is said of rules", silent).await;
    let history = world.run(&["history"]).await.expect(0);
    assert!(!history.out.contains("rollback"), "{history}");
    world.end().await;
}
