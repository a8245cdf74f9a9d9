//! Whoever is on call is woken, level by level, until somebody sees to it; and nobody is while somebody works on it.

use daybook_bench::load::get;
use daybook_bench::shop::free_address;
use daybook_e2e::World;
use daybook_e2e::receiver::Receiver;
use serde_json::{Value, json};

const STATUS: &str = "status.shop.localhost";

/// The shop with a team and three people, who are told at a path of their names.
async fn world(receiver: &Receiver, policies: &Value) -> World {
    let world = World::telling_this_machine(free_address().expect("there is a free port")).await;
    let hook = |name: &str| json!({"webhook": {"url": format!("http://{}/{name}", receiver.address), "key": {"secret": "hook-key"}}});
    let notify = json!({"team": hook("team"), "ada": hook("ada"), "bob": hook("bob"), "cy": hook("cy")});
    let layer = json!({"people": ["ada"], "turn": "1w", "from": "2026-01-05T09:00"});
    let on_call = json!({
        "people": {"ada": "ada", "bob": ["bob"], "cy": "cy"},
        "schedules": {"first": {"timezone": "Europe/Paris", "layers": [layer]}},
        "policies": policies,
    });
    let page = format!(
        "services:\n  public:\n    domain: {STATUS}\n    status_page: {{title: Shop, components: {{Checkout: web}}}}\n"
    );
    let shop = daybook_e2e::manifest().replacen("services:\n", &page, 1);
    world.write("daybook.yaml", &format!("{shop}\nnotify: {notify}\non_call: {on_call}\nrules: shop.rules.yaml\n"));
    world.write("shop.rules.yaml", "groups: []\n");
    world.run_reading(&["secret", "set", "hook-key", "--app", "shop"], "a key that both of us know").await.expect(0);
    world
}

/// How often somebody was told this.
fn told(receiver: &Receiver, who: &str, kind: &str, title: &str) -> usize {
    let all = receiver.hooked(&format!("/{who}"));
    all.iter().filter(|(told, about)| told == kind && about == title).count()
}

async fn events(world: &World) -> String {
    world.run(&["events", "--limit", "200"]).await.expect(0).out
}

/// An incident that goes on, by its title.
async fn incident(world: &World, title: &str) -> Value {
    let listed = world.run(&["incident", "ls", "-o", "json"]).await.expect(0).json();
    let found = listed.as_array().into_iter().flatten().find(|incident| incident["title"] == title);
    found.cloned().unwrap_or_else(|| panic!("no incident is called {title}: {listed}"))
}

/// What the timeline of an incident has, oldest first.
async fn timeline(world: &World, title: &str) -> Vec<String> {
    let incident = incident(world, title).await;
    let lines = incident["timeline"].as_array().cloned().unwrap_or_default();
    lines.iter().map(|line| line["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_after_the_other_is_woken_until_somebody_sees_to_it() {
    let receiver = Receiver::start().await;
    let policies = json!({
        "web": {"services": "web", "levels": [
            {"schedule": "first", "wait": "10s"}, {"person": "bob", "wait": "2m"}, {"person": "cy"}]},
        "others": {"levels": [{"person": "ada", "wait": "62s"}, {"person": "bob", "wait": "62s"}, {"person": "cy"}]},
    });
    let mut world = world(&receiver, &policies).await;
    world.up(1, &[]).await.expect(0);
    let open = ["incident", "open", "checkout fails", "--service", "web", "--severity", "page"];
    world.run(&open).await.expect(0);
    let all = &receiver;
    let is_told = |who: &'static str, kind: &'static str, title: &'static str| {
        async move |_: &World| told(all, who, kind, title) > 0
    };
    world.until("the first is woken", is_told("ada", "triggered", "checkout fails")).await;
    world.until("the team is told", is_told("team", "triggered", "checkout fails")).await;
    // What was told is not told again by the server that comes after.
    world
        .until("it is known who was told", async |world| {
            events(world).await.contains("channel ada: told: triggered: checkout fails")
        })
        .await;
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    world.until("the second is woken", is_told("bob", "triggered", "checkout fails")).await;
    let id = incident(&world, "checkout fails").await["id"].as_str().expect("an incident has an id").to_owned();
    world.run(&["incident", "ack", &id]).await.expect(0);
    for who in ["ada", "bob", "team"] {
        world.until("whoever was told hears that it is seen to", is_told(who, "acknowledged", "checkout fails")).await;
    }

    // By the end of this the third would have been woken for the other as well.
    let open = ["incident", "open", "deliveries wait", "--service", "worker", "--severity", "page"];
    world.run(&open).await.expect(0);
    world.until("the other policy begins", is_told("ada", "triggered", "deliveries wait")).await;
    world.until("the other policy goes on", is_told("bob", "triggered", "deliveries wait")).await;
    world.until("the other policy comes to its end", is_told("cy", "triggered", "deliveries wait")).await;
    for who in ["ada", "bob"] {
        assert_eq!(told(&receiver, who, "triggered", "checkout fails"), 1, "{who}: {:?}", receiver.hooked("/ada"));
    }
    assert_eq!(told(&receiver, "cy", "triggered", "checkout fails"), 0, "{:?}", receiver.hooked("/cy"));
    let lines = timeline(&world, "checkout fails").await;
    let is_about_it = |line: &&String| line.starts_with("paged ") || *line == "acknowledged";
    let about_it: Vec<_> = lines.iter().filter(is_about_it).collect();
    assert_eq!(about_it, ["paged ada (level 1)", "paged bob (level 2)", "acknowledged"], "{lines:?}");
    assert!(receiver.at("/ada").iter().all(|one| one["notice"]["kind"] != "note"), "notes wake nobody");
    assert!(events(&world).await.contains("paged bob (level 2)"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_by_which_nobody_else_hears_of_incidents_is_warned_about() {
    let world = World::new().await;
    let validate = async |notify: Value| {
        let shop = daybook_e2e::manifest();
        world.write("daybook.yaml", &format!("{shop}\nnotify: {notify}\non_call: {{people: {{ada: phone}}}}\n"));
        world.run(&["validate"]).await.expect(0).err
    };
    let ntfy = json!({"ntfy": {"topic": {"secret": "topic"}}});
    let said = validate(json!({"phone": ntfy})).await;
    assert!(said.contains("M0144") && said.contains("nobody hears of incidents but who is woken for them"), "{said}");
    let said = validate(json!({"phone": ntfy, "team": {"slack": {"url": {"secret": "slack"}}}})).await;
    assert!(!said.contains("M0144"), "{said}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_call_is_told_once_with_what_goes_on() {
    let receiver = Receiver::start().await;
    let policies = json!({"all": {"levels": [{"person": "cy", "wait": "1h"}]}});
    let mut world = world(&receiver, &policies).await;
    let manifest = std::fs::read_to_string(world.path().join("daybook.yaml")).expect("there is a manifest");
    let handing_over = manifest.replace(r#""timezone":"Europe/Paris""#, r#""timezone":"Europe/Paris","handover":true"#);
    assert_ne!(handing_over, manifest, "the schedule hands over");
    world.write("daybook.yaml", &handing_over);
    world.up(1, &[]).await.expect(0);
    let shifts = |who: &str| {
        let all = receiver.at(&format!("/{who}")).into_iter().map(|body| body["notice"].clone());
        all.filter(|notice| notice["kind"] == "change").collect::<Vec<_>>()
    };
    world.until("who is on call is told", async |_| shifts("ada").len() == 1).await;
    assert_eq!(shifts("ada")[0]["impact"], "No incident goes on.", "{:?}", shifts("ada"));
    world.run(&["incident", "open", "checkout fails", "--service", "web", "--severity", "page"]).await.expect(0);
    world.run(&["oncall", "override", "first", "bob", "--for", "1h"]).await.expect(0);
    world.until("who takes over is told", async |_| shifts("bob").len() == 1).await;
    let told = &shifts("bob")[0];
    assert!(told["title"].as_str().is_some_and(|title| title.starts_with("bob is on call in first of shop")), "{told}");
    assert!(told["timeline"].to_string().contains("checkout fails; nobody sees to it"), "{told}");
    world
        .until("it is known that they were told", async |world| {
            events(world).await.contains("channel bob: told: change: bob is on call in first")
        })
        .await;

    // The next server has nothing to tell of it; and ada is told again when it is her turn again.
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    let on_call = world.run(&["oncall", "-o", "json"]).await.expect(0).json();
    let id = on_call[0]["overrides"][0]["id"].as_str().expect("bob takes over").to_owned();
    world.run(&["oncall", "rm", &id]).await.expect(0);
    world.until("whose turn it is is told", async |_| shifts("ada").len() == 2).await;
    assert_eq!((shifts("bob").len(), shifts("cy").len(), shifts("team").len()), (1, 0, 0));
    assert!(events(&world).await.contains("ada is on call in first"));
    world.end().await;
}

const RULES: &str = r#"
groups:
  - name: shop
    interval: 15s
    rules:
      - alert: WebServes
        expr: sum by (service) (daybook_replica_up{service="web"}) > 0
        labels: {severity: page}
        annotations: {summary: "web serves"}
"#;

async fn alert(world: &World) -> Option<Value> {
    let listed = world.run(&["alert", "-o", "json"]).await.expect(0).json();
    let fires = |alert: &&Value| alert["name"] == "WebServes" && alert["state"] == "firing";
    listed.as_array().into_iter().flatten().find(fires).cloned()
}

async fn page(world: &World) -> String {
    let reply = get(world.address(), STATUS, "/").await.expect("the page is served");
    String::from_utf8_lossy(&reply.body).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_woken_while_somebody_works_on_it_and_whoever_takes_over_is_woken_after() {
    let receiver = Receiver::start().await;
    let policies = json!({"all": {"levels": [{"schedule": "first", "wait": "1h"}]}});
    let mut world = world(&receiver, &policies).await;
    world.up(1, &[]).await.expect(0);
    let add = ["maintenance", "add", "Larger machines", "--service", "web", "--for", "1h", "-o", "json"];
    let window = world.run(&add).await.expect(0).json();
    let id = window["id"].as_str().expect("a window has an id").to_owned();
    // The rule comes after the window, so that it cannot fire before.
    world.write("shop.rules.yaml", RULES);
    world.up(1, &[]).await.expect(0);
    world
        .until("the alert fires during the window", async |world| {
            alert(world).await.is_some_and(|alert| alert["maintenance"] == "Larger machines")
        })
        .await;
    let shown = page(&world).await;
    assert!(shown.contains("Larger machines") && shown.contains("Maintenance goes on"), "{shown}");
    let listed = world.run(&["maintenance", "ls"]).await.expect(0);
    assert!(listed.out.contains(&id) && listed.out.contains("open"), "{listed}");
    // The machine may have one of its own.
    let incidents = world.run(&["incident", "ls", "-o", "json"]).await.expect(0).json();
    let is_of_web = |incident: &Value| incident["services"].as_array().is_some_and(|all| all.contains(&json!("web")));
    assert!(!incidents.as_array().is_some_and(|all| all.iter().any(is_of_web)), "{incidents}");

    // Somebody takes over, and both outlive the server.
    let now = world.run(&["oncall"]).await.expect(0);
    assert!(now.out.contains("first") && now.out.contains("ada"), "{now}");
    let refused = world.run(&["oncall", "override", "first", "dee", "--for", "1h"]).await.expect(1);
    assert!(refused.all().contains("ada, bob, cy"), "{refused}");
    world.run(&["oncall", "override", "first", "bob", "--for", "1h"]).await.expect(0);
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    let now = world.run(&["oncall", "-o", "json"]).await.expect(0).json();
    assert_eq!((&now[0]["person"], &now[0]["next"]), (&json!("bob"), &json!("ada")), "{now}");
    let shifts = world.run(&["oncall", "--days", "2"]).await.expect(0);
    assert!(shifts.out.contains("Europe/Paris") && shifts.out.contains("bob"), "{shifts}");

    world.run(&["maintenance", "end", &id]).await.expect(0);
    let shown = page(&world).await;
    assert!(!shown.contains("Larger machines"), "{shown}");
    world.until("who took over is woken", async |_| told(&receiver, "bob", "triggered", "web serves") > 0).await;
    assert!(receiver.at("/ada").is_empty(), "{:?}", receiver.at("/ada"));
    world.end().await;
}
