//! The public status page: served by the edge whether a server lives or not, and silent about what is inside.

use daybook_bench::load::get;
use daybook_e2e::World;

const HOST: &str = "status.shop.localhost";

/// The shop with a page for the public beside it.
fn manifest(title: &str) -> String {
    let page = format!(
        "services:\n  public:\n    domain: {HOST}\n    status_page:\n      title: {title}\n      components: \
         {{Checkout: [web], Deliveries: worker}}\n      timezone: Europe/Paris\n"
    );
    daybook_e2e::manifest().replacen("services:\n", &page, 1)
}

/// What somebody outside gets. `None`: nothing is served.
async fn fetch(world: &World, path: &str) -> Option<String> {
    let reply = get(world.address(), HOST, path).await.ok()?;
    (reply.status == 200).then(|| String::from_utf8_lossy(&reply.body).into_owned())
}

async fn page(world: &World) -> String {
    fetch(world, "/").await.expect("the page is served")
}

async fn newest(world: &World) -> String {
    let listed = world.run(&["incident", "ls", "-o", "json"]).await.expect(0).json();
    listed[0]["short"].as_str().expect("an incident goes on").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_reads_what_was_published_and_nothing_else() {
    let mut world = World::new().await;
    world.write("daybook.yaml", &manifest("Our shop"));
    let up = world.up(1, &[]).await.expect(0);
    let text = page(&world).await;
    assert!(text.contains("<h1>Our shop</h1>") && text.contains("Checkout"), "{up}\n{text}");
    let told = world.run(&["open", "--status"]).await.expect(0);
    assert!(told.out.contains(HOST), "{told}");

    world.run(&["incident", "open", "the disk of db-7 at 10.0.0.7 is full", "--service", "web"]).await.expect(0);
    let incident = newest(&world).await;
    let refused = world.run(&["incident", "publish", &incident, " "]).await;
    assert_ne!(refused.code, 0, "{refused}");
    let published = world.run(&["incident", "publish", &incident, "Paying is <slow> today."]).await.expect(0);
    assert!(published.out.contains(HOST), "{published}");
    let (text, data) = (page(&world).await, fetch(&world, "/status.json").await.expect("the data is served"));
    assert!(text.contains("Checkout: degraded") && text.contains("Paying is &lt;slow&gt; today."), "{text}");
    assert!(data.contains("Paying is <slow> today."), "{data}");
    for inside in ["web", "worker", "db-7", "10.0.0.7", "disk"] {
        assert!(
            !text.contains(inside) && !data.contains(inside),
            "{inside} is no matter of the public\n{text}\n{data}"
        );
    }

    world.daybook.kill_server().await.expect("the server is killed");
    assert_eq!(page(&world).await, text, "it is served without a server");
    world.daybook.serve().await.expect("the server starts again");

    // A rollout interrupts it as little.
    let rollout = async { world.up(2, &[]).await.expect(0) };
    let reading = async {
        loop {
            let text = page(&world).await;
            assert!(text.contains("Checkout: degraded"), "{text}");
        }
    };
    tokio::select! {
        _ = rollout => {}
        () = reading => {}
    }
    world.run(&["incident", "resolve", &incident, "--note", "a larger disk"]).await.expect(0);
    let text = page(&world).await;
    assert!(text.contains("Everything works") && text.contains("Paying is &lt;slow&gt; today."), "{text}");
    assert!(!text.contains("a larger disk"), "{text}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_comes_changes_and_goes_with_the_release() {
    let world = World::new().await;
    world.write("daybook.yaml", &manifest("Our shop"));
    world.up(1, &[]).await.expect(0);
    world.write("daybook.yaml", &manifest("Boutique"));
    let plan = world.run_with(&["plan"], &[("SHOP_BUILD", "1")]).await;
    assert!(plan.out.contains("title Our shop → Boutique"), "{plan}");
    world.up(1, &[]).await.expect(0);
    assert!(page(&world).await.contains("<h1>Boutique</h1>"));
    world.run(&["rollback", "1", "--yes"]).await.expect(0);
    assert!(page(&world).await.contains("<h1>Our shop</h1>"), "settings belong to the release");

    world.write("daybook.yaml", &daybook_e2e::manifest());
    world.up(1, &[]).await.expect(0);
    assert_eq!(fetch(&world, "/").await, None);
    let files = world.state().join("status-pages/shop/production/public");
    world.until("its files are gone", async |_| !files.exists()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_drawn_exported_and_judged_like_any_service() {
    let world = World::new().await;
    world.write("daybook.yaml", &manifest("Our shop"));
    for command in [&["validate"][..], &["policy"], &["diagram"], &["export", "kubernetes"], &["plan"]] {
        let said = world.run(command).await;
        assert!(!said.err.contains("panicked"), "{command:?}: {said}");
    }
    let bad = manifest("Our shop").replace("worker}", "wrker}");
    world.write("daybook.yaml", &bad);
    let refused = world.run(&["validate"]).await;
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("did you mean `worker`?"), "{refused}");
}
