//! From nothing to a running shop and back, as the README tells it.

use daybook_e2e::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_planned_deployed_changed_rolled_back_and_taken_down() {
    let world = World::new().await;

    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("+ web"), "{plan}");
    world.up(1, &[]).await.expect(0);
    let page = world.get("/").await.unwrap();
    assert!(String::from_utf8_lossy(&page.body).contains("version <b id=version>1</b>"));
    world.run_with(&["plan"], &[("SHOP_BUILD", "1")]).await.expect(0);
    world.run_with(&["diff"], &[("SHOP_BUILD", "2")]).await.expect(2);

    let up = world.up(2, &[("SHOP_VERSION", "2")]).await.expect(0);
    assert!(up.all().contains("0 failed"), "the requests of the rollout are told: {up}");
    let page = world.get("/").await.unwrap();
    assert!(String::from_utf8_lossy(&page.body).contains("version <b id=version>2</b>"));

    world.run(&["rollback", "--yes"]).await.expect(0);
    assert_eq!(world.build().await, "1", "a rollback brings the configuration back too");
    let history = world.run(&["history", "-o", "json"]).await.expect(0).json();
    assert_eq!(history[0]["reason"].as_str().map(|reason| reason.starts_with("rollback")), Some(true), "{history}");

    world.run(&["journal", "verify"]).await.expect(0);
    world.run(&["down", "--yes", "--no-input"]).await.expect(0);
    assert!(world.get("/").await.is_ok_and(|reply| reply.status != 200), "nothing serves any more");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_scaled_restarted_stopped_and_started() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    assert_eq!(world.replicas("web").await.len(), 2);

    world.run(&["scale", "web=3"]).await.expect(0);
    assert_eq!(world.replicas("web").await.len(), 3);
    let before = ids(&world).await;
    world.run(&["restart", "web"]).await.expect(0);
    let after = ids(&world).await;
    assert!(before.iter().all(|id| !after.contains(id)), "every replica was replaced: {before:?} {after:?}");

    world.run(&["stop", "web"]).await.expect(0);
    assert_eq!(world.replicas("web").await.len(), 0);
    assert_eq!(world.replicas("worker").await.len(), 1, "only web was stopped");
    world.run(&["start", "web"]).await.expect(0);
    assert_eq!(world.build().await, "1");
    world.end().await;
}

async fn ids(world: &World) -> Vec<String> {
    world.replicas("web").await.iter().map(|replica| replica["id"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_is_carried_out_exactly_or_refused_as_stale() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    world.run_with(&["plan", "--out", "two.plan"], &[("SHOP_BUILD", "2")]).await.expect(2);
    world.run_with(&["plan", "--out", "three.plan"], &[("SHOP_BUILD", "3")]).await.expect(2);

    world.run(&["apply", "two.plan", "--yes"]).await.expect(0);
    assert_eq!(world.build().await, "2");
    let stale = world.run(&["apply", "three.plan", "--yes"]).await.expect(1);
    assert!(stale.err.contains("plan"), "{stale}");
    assert_eq!(world.build().await, "2", "a stale plan changes nothing");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_and_wrong_manifests_change_nothing() {
    let world = World::new().await;
    world.run(&["upp"]).await.expect(64);
    world.write("daybook.yaml", "app: shop\nservices:\n  web:\n    enviroment: {A: b}\n    build: .\n");
    let validate = world.run(&["validate"]).await.expect(1);
    assert!(validate.err.contains("daybook.yaml:4:5") && validate.err.contains("environment"), "{validate}");
    world.run(&["up", "--yes"]).await.expect(1);
    let environments = world.run(&["env", "ls", "-o", "json"]).await.expect(0).json();
    assert_eq!(environments.as_array().map_or(0, Vec::len), 0, "{environments}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compose_file_is_planned_without_what_it_names_and_carried_out_only_with_it() {
    let world = World::new().await;
    let services =
        "services:\n  db: {image: \"postgres:16\", env_file: db.env}\n  web: {build: ./nowhere, command: bin/web}\n";
    world.write("daybook.yaml", &format!("app: shop\n{services}"));
    let validate = world.run(&["validate"]).await.expect(0);
    assert!(validate.err.contains("M0401") && validate.err.contains("daybook.yaml:3"), "{validate}");
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("postgres:16 (digest known after pull)"), "{plan}");
    assert!(plan.err.contains("not known yet: postgres:16"), "{plan}");
    let json = world.run(&["plan", "-o", "json"]).await.expect(2).json();
    assert_eq!(json["unresolved"].as_array().map_or(0, Vec::len), 2, "{json}");
    let saved = world.run(&["plan", "--out", "open.plan"]).await.expect(1);
    assert!(saved.err.contains("the plan is not saved"), "{saved}");
    let up = world.run(&["up", "--yes"]).await.expect(1);
    assert!(up.err.contains("error[M0401]") && up.err.contains("error[M0408]"), "all at once: {up}");
    let environments = world.run(&["env", "ls", "-o", "json"]).await.expect(0).json();
    assert_eq!(environments.as_array().map_or(0, Vec::len), 0, "{environments}");
    world.end().await;
}
