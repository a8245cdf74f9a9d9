//! Several servers that share a database: one leads. `scripts/cluster start` gives the cluster, `scripts/setup` the
//! PostgreSQL; without them these fail.
#![allow(clippy::unwrap_used)]

#[path = "../../crates/store/tests/common/postgres.rs"]
mod postgres;

use daybook_bench::daybook::Daybook;
use daybook_bench::load::Load;
use daybook_e2e::cluster::{kubectl, manifest_on_the_cluster, target};
use daybook_e2e::receiver::Receiver;
use daybook_e2e::{KEY, World};
use postgres::Postgres;
use serde_json::json;

const LEASE: &str = "daybook-test-leader";

/// A server that takes part in the election by the Lease. Its state directory holds nothing but its own processes' affairs.
fn server(world: &World, postgres: &Postgres, name: &str) -> Daybook {
    server_with(world, postgres, name, ("DAYBOOK_LEASE", format!("default/{LEASE}")))
}

fn server_with(world: &World, postgres: &Postgres, name: &str, variable: (&'static str, String)) -> Daybook {
    let state = world.path().join(name);
    std::fs::create_dir_all(&state).unwrap();
    let variables = vec![
        ("DAYBOOK_DATABASE", postgres.text()),
        ("DAYBOOK_KEY_FILE", postgres.key().display().to_string()),
        ("DAYBOOK_IDENTITY", name.to_owned()),
        variable,
    ];
    Daybook::stand_by(&state, "process", variables).unwrap()
}

/// Who holds the Lease: the identity of a server.
async fn leader() -> String {
    let lease = ["-n", "default", "get", "lease", LEASE, "-o", "jsonpath={.spec.holderIdentity}"];
    let holder = kubectl(&lease).await;
    holder.rsplit_once('_').map_or(holder.clone(), |(name, _)| name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_leader_killed_during_rollouts_is_followed_by_another_server() {
    let mut world = World::beside_the_cluster().await;
    kubectl(&["-n", "default", "delete", "lease", LEASE, "--ignore-not-found"]).await;
    let postgres = Postgres::start();
    // From here on `world.daybook` is the server that leads.
    let first = server(&world, &postgres, "first");
    first.answers().await.unwrap();
    assert_eq!(leader().await, "first");
    world.daybook.end("none").await.unwrap();
    world.daybook = first;
    world.write("daybook.yaml", &manifest_on_the_cluster());
    world.up_on_the_cluster(1).await;

    let load = Load::start(world.load());
    for (build, steps, next) in [(2, 2, "second"), (3, 5, "third"), (4, 8, "fourth")] {
        let follower = server(&world, &postgres, next);
        let mut up = world.command(&["up", "--yes", "--no-input"]);
        let mut up = up.env("SHOP_BUILD", build.to_string()).kill_on_drop(true).spawn().unwrap();
        world.until_steps(steps).await;
        world.daybook.kill_server().await.unwrap();
        follower.answers().await.unwrap();
        assert_eq!(leader().await, next);
        world.daybook = follower;
        world.daybook.settled(KEY).await.unwrap();
        up.kill().await.unwrap();
        world.expect_whole(build, steps).await;
    }
    let report = load.stop().await;
    eprintln!("{report}");
    world.expect_no_failure(&report);
    world.run(&["journal", "verify"]).await.expect(0);
    world.end_on_the_cluster().await;
}

/// Neither server has anything of the other but the database, which elects them as well.
#[tokio::test(flavor = "multi_thread")]
async fn r02_the_next_leader_tells_what_the_one_before_had_not_told_and_nothing_again() {
    let receiver = Receiver::start().await;
    let mut world = World::new().await;
    let postgres = Postgres::start();
    let telling = |world: &World, name: &str| {
        server_with(world, &postgres, name, ("DAYBOOK_NOTIFY_ALLOW", "127.0.0.0/8,::1".to_owned()))
    };
    let first = telling(&world, "first");
    first.answers().await.unwrap();
    // From here on `world.daybook` is the server that leads.
    world.daybook.end("none").await.unwrap();
    world.daybook = first;
    let url = format!("http://{}/hook", receiver.address);
    let notify = json!({"hook": {"webhook": {"url": url, "key": {"secret": "hook-key"}}}});
    world.write("daybook.yaml", &format!("{}\nnotify: {notify}\n", daybook_e2e::manifest()));
    world.run_reading(&["secret", "set", "hook-key", "--app", "shop"], "a key that both of us know").await.expect(0);
    world.up(1, &[]).await.expect(0);

    // Nobody takes anything until the first is gone.
    let second = telling(&world, "second");
    receiver.answers(500);
    world.run(&["incident", "open", "checkout fails", "--severity", "page"]).await.expect(0);
    world.until("it is tried", async |_| receiver.refused() >= 1).await;
    world.daybook.kill_server().await.unwrap();
    second.answers().await.unwrap();
    let mut first = std::mem::replace(&mut world.daybook, second);
    receiver.answers(202);
    // The machine may have an incident of its own.
    let is_ours = |told: &(String, String)| ["checkout fails", "deliveries wait"].contains(&told.1.as_str());
    let heard = || receiver.hooked("/hook").into_iter().filter(is_ours).collect::<Vec<_>>();
    world.until("the second tells it", async |_| !heard().is_empty()).await;
    world.run(&["incident", "resolve", "--note", "it was the disk"]).await.expect(0);
    world
        .until("its end is told, and it is known that it was", async |world| {
            world
                .run(&["events", "--limit", "200"])
                .await
                .expect(0)
                .out
                .contains("channel hook: told: resolved: checkout fails")
        })
        .await;

    // The first leads again: it was away, and knows what the second told.
    first.launch().unwrap();
    world.daybook.kill_server().await.unwrap();
    first.answers().await.unwrap();
    let second = std::mem::replace(&mut world.daybook, first);
    world.run(&["incident", "open", "deliveries wait", "--severity", "page"]).await.expect(0);
    let told = |kind: &str, title: &str| (kind.to_owned(), title.to_owned());
    let all =
        [told("triggered", "checkout fails"), told("resolved", "checkout fails"), told("triggered", "deliveries wait")];
    world.until("the first tells what is new", async |_| heard().len() >= all.len()).await;
    assert_eq!(heard(), all);
    drop(second);
    world.end().await;
}

/// What `export server` writes, for this cluster: it has one machine, whose loopback alone has the database and the
/// registry. So each of two servers is a Deployment of its own, in the machine's network and with ports of its own.
fn on_one_machine(written: &str) -> String {
    let documents = written.split("\n---\n").flat_map(|document| {
        if document.contains("kind: Namespace") {
            return vec![document.replace("enforce: restricted", "enforce: privileged")];
        }
        if !document.contains("kind: Deployment") {
            return vec![document.to_owned()];
        }
        [("a", 18088), ("b", 18089)]
            .map(|(name, port)| {
                let addresses = format!(
                    "            - {{name: DAYBOOK_HTTP, value: \"127.0.0.1:{}\"}}
            - {{name: DAYBOOK_HTTPS, value: \"127.0.0.1:{}\"}}
            - {{name: DAYBOOK_HEALTH",
                    port + 100,
                    port + 200
                );
                document
                    .replace("metadata: {name: daybook-server,", &format!("metadata: {{name: daybook-server-{name},"))
                    .replace("name: daybook-server}", &format!("name: daybook-server-{name}}}"))
                    .replace("8088", &port.to_string())
                    .replace("      serviceAccountName", "      hostNetwork: true\n      serviceAccountName")
                    .replace("            - {name: DAYBOOK_HEALTH", &addresses)
            })
            .to_vec()
    });
    documents.collect::<Vec<_>>().join("\n---\n")
}

async fn remove_servers() {
    let ours =
        ["deployment/daybook-server-a", "deployment/daybook-server-b", "secret/daybook-server", "lease/daybook-leader"];
    kubectl(&[&["-n", "daybook-system", "delete", "--ignore-not-found", "--wait"], &ours[..]].concat()).await;
    kubectl(&["delete", "namespace", "hi-production", "--ignore-not-found", "--timeout=90s"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_command_follows_the_servers_of_a_cluster_from_one_leader_to_the_next() {
    let world = World::beside_the_cluster().await;
    remove_servers().await;
    let postgres = Postgres::listening();
    let export = ["export", "server", "--target", &target(), "--replicas", "1"];
    let servers = on_one_machine(&world.run(&export).await.expect(0).out);
    let key = "k".repeat(32);
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: daybook-server, namespace: daybook-system}}\n\
         stringData: {{database: \"{}\", master.key: {key}}}",
        postgres.text()
    );
    world.write("servers.yaml", &format!("{servers}\n---\n{secret}\n"));
    kubectl(&["apply", "-f", &world.path().join("servers.yaml").display().to_string()]).await;
    let registry = std::env::var("DAYBOOK_REGISTRY").unwrap();
    let write = |text: &str| {
        let manifest = format!(
            "app: hi
target: {}
services:
  web:
    image: {registry}/busybox:1.35
    command: [sh, -c, \"echo {text} >/tmp/index.html; exec httpd -f -h /tmp -p 8080\"]
    user: \"1000\"
    port: 8080
    domain: hi.localhost
    healthcheck: /
    scale: 2
    stop_grace_period: 1s
    rollout: {{probation: 2s}}
",
            target()
        );
        world.write("daybook.yaml", &manifest);
    };
    let server = [("DAYBOOK_SERVER", "kubernetes://daybook-test")];
    write("one");
    world.run_with(&["up", "--yes"], &server).await.expect(0);

    write("two");
    let mut up = world.command(&["up", "--yes"]);
    let up = up.envs(server).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    world.until("the second version starts", async |_| replicas().await > 2).await;
    let lease = ["-n", "daybook-system", "get", "lease", "daybook-leader", "-o", "jsonpath={.spec.holderIdentity}"];
    let leader = kubectl(&lease).await;
    let pod = leader.rsplit_once('_').unwrap().0;
    kubectl(&["-n", "daybook-system", "delete", "pod", pod, "--force", "--grace-period=0"]).await;
    let ended = up.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    // Whether it says that it looked for the leader depends on what was asked just then: a question that comes between
    // two leaders waits for the next one.
    assert!(ended.status.success() && said.contains("is at release 2"), "{said}");
    assert_ne!(kubectl(&lease).await, leader, "another server leads");
    let status = world.run_with(&["status"], &server).await.expect(0);
    assert!(status.out.contains("release 2") && status.out.contains("2/2"), "{status}");
    let inside = world.run_with(&["exec", "web", "--", "cat", "/tmp/index.html"], &server).await.expect(0);
    assert_eq!(inside.out.trim(), "two");
    world.run_with(&["journal", "verify"], &server).await.expect(0);
    world.run_with(&["down", "--yes"], &server).await.expect(0);
    remove_servers().await;
    kubectl(&["label", "namespace", "daybook-system", "pod-security.kubernetes.io/enforce=restricted", "--overwrite"])
        .await;
    world.daybook.end("none").await.unwrap();
}

/// Pods of the second scenario.
async fn replicas() -> usize {
    kubectl(&["-n", "hi-production", "get", "deployments", "-o", "name"]).await.lines().count()
}
