//! The same on Kubernetes. `scripts/cluster start` gives a cluster; without one these fail.

use std::os::unix::fs::MetadataExt as _;

use daybook_bench::load::Load;
use daybook_e2e::cluster::{NAMESPACE, cluster, kubectl};
use daybook_e2e::{KEY, World};

#[tokio::test(flavor = "multi_thread")]
async fn r01_rollouts_on_a_cluster_under_load_fail_no_request() {
    let mut world = World::on_the_cluster().await;
    world.up_on_the_cluster(1).await;
    let load = Load::start(world.load());
    for build in 2..=3 {
        world.up(build, &[("SHOP_VERSION", "2")]).await.expect(0);
        assert_eq!(world.build().await, build.to_string());
    }
    let report = load.stop().await;
    world.expect_no_failure(&report);
    assert!(world.run(&["status"]).await.expect(0).out.contains("2/2"));
    world.end_on_the_cluster().await;
    let left = kubectl(&["get", "namespaces", "--field-selector", "status.phase=Active", "-o", "name"]).await;
    assert!(left.lines().all(|line| line != format!("namespace/{NAMESPACE}")), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_server_and_api_server_killed_during_rollouts_lose_and_repeat_nothing() {
    let mut world = World::on_the_cluster().await;
    world.up_on_the_cluster(1).await;
    let load = Load::start(world.load());
    for (build, steps, also) in [(2, 2, None), (3, 5, Some("kill")), (4, 4, Some("restart"))] {
        let mut up = world.command(&["up", "--yes", "--no-input"]);
        let mut up = up.env("SHOP_BUILD", build.to_string()).kill_on_drop(true).spawn().unwrap();
        world.until_steps(steps).await;
        match also {
            Some("kill") => cluster(&["kill", "apiserver"]).await,
            Some(_) => cluster(&["restart", "etcd"]).await,
            None => {}
        }
        world.daybook.kill_server().await.unwrap();
        cluster(&["start"]).await;
        world.daybook.serve().await.unwrap();
        world.daybook.settled(KEY).await.unwrap();
        up.wait().await.unwrap();
        world.expect_whole(build, steps).await;
    }
    let report = load.stop().await;
    world.expect_no_failure(&report);
    world.run(&["journal", "verify"]).await.expect(0);
    world.end_on_the_cluster().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_r07_bad_versions_swap_back_and_their_cause_is_named() {
    let mut world = World::on_the_cluster().await;
    world.up_on_the_cluster(1).await;
    let manifest = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();

    // Nowhere is there room for it.
    world.write("daybook.yaml", &manifest.replacen("cpu: 500m,", "cpu: 64,", 1).replace("ready: 30s", "ready: 4s"));
    let up = world.up(2, &[]).await.expect(4);
    let cause = "no machine is large enough: it asks for 6400m of cpu";
    assert!(up.all().contains(cause), "{up}");
    assert!(world.run(&["why", "web"]).await.expect(0).out.contains(cause));
    world.write("daybook.yaml", &manifest);

    // It ends, again and again.
    let up = world.up(3, &[("SHOP_FAULT", "crash"), ("SHOP_FAULT_AFTER", "0")]).await;
    assert_ne!(up.code, 0, "{up}");
    let why = world.run(&["why", "web"]).await.expect(0);
    assert!(why.out.contains("COUPON_KEY") && why.out.contains('3'), "{why}");

    // Its image is named and is not there.
    world.write("daybook.yaml", "app: shop\nservices: {web: {image: \"127.0.0.1:1/nothing:1\"}}\n");
    let plan = world.run(&["plan", "--target", &daybook_e2e::cluster::target()]).await;
    assert!(plan.all().contains("127.0.0.1:1/nothing:1"), "{plan}");
    world.write("daybook.yaml", &manifest);
    assert_eq!(world.build().await, "1", "the first release serves on");
    world.end_on_the_cluster().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_kept_by_the_cluster_and_told_before_anything_moves() {
    let registry = std::env::var("DAYBOOK_REGISTRY").unwrap();
    let world = World::beside_the_cluster().await;
    let write = |quota: &str, scale: u32| {
        let (target, image) = (daybook_e2e::cluster::target(), format!("{registry}/busybox:1.35"));
        let service = "command: [sleep, \"9999\"], stop_grace_period: 1s, resources: {cpu: 400m, memory: 32M}";
        let manifest = format!(
            "app: shop\ntarget: {target}&pods=direct\n{quota}\nservices:\n  calm: {{image: \"{image}\", scale: {scale}, {service}}}\n"
        );
        world.write("daybook.yaml", &manifest);
    };
    let hard = async || {
        let quota = ["-n", NAMESPACE, "get", "resourcequotas", "-o", "jsonpath={.items[*].spec.hard}"];
        kubectl(&quota).await
    };
    write("quota: {cpu: 1, memory: 1G}", 2);
    world.up(1, &[]).await.expect(0);
    assert!(hard().await.contains("\"limits.cpu\":\"1\""), "{}", hard().await);
    write("quota: {cpu: 1, memory: 1G}", 3);
    let up = world.up(1, &[]).await.expect(1);
    assert!(up.all().contains("P0112") && up.all().contains("1200m of 1 core"), "{up}");
    write("quota: {memory: 1G}", 3);
    world.up(1, &[]).await.expect(0);
    assert!(!hard().await.contains("cpu"), "{}", hard().await);
    write("", 1);
    world.up(1, &[]).await.expect(0);
    assert_eq!(hard().await, "");
    world.run(&["down", "--yes", "--no-input"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_what_a_cluster_has_against_a_service_is_named() {
    let registry = std::env::var("DAYBOOK_REGISTRY").unwrap();
    let world = World::beside_the_cluster().await;
    let head = format!(
        "app: shop
target: {}&pods=direct
x-usual: &usual
  image: {registry}/busybox:1.35
  command: [sleep, \"9999\"]
  stop_grace_period: 1s
  rollout: {{ready: 6s, probation: 1s}}
",
        daybook_e2e::cluster::target()
    );
    let page = "mkdir -p /tmp/w; exec httpd -f -h /tmp/w -p";
    let write = |sick: &str| world.write("daybook.yaml", &format!("{head}services:\n  well: {{<<: *usual}}\n{sick}\n"));
    write("");
    world.up(1, &[]).await.expect(0);
    for (sick, cause) in [
        ("  sick: {<<: *usual, gpus: 1}", "no machine has any nvidia.com/gpu, and it asks for 1"),
        ("  sick: {<<: *usual, mem_reservation: 999g}", "no machine is large enough: it asks for 999 GiB of memory"),
        (
            "  sick: {<<: *usual, volumes: [\"data:/data\"]}\nvolumes: {data: {driver: nowhere}}",
            "its volume data is not there: storageclass.storage.k8s.io \"nowhere\" not found",
        ),
        (
            &format!("  sick: {{<<: *usual, command: [sh, -c, \"{page} 8081\"], port: 8080, healthcheck: /ok}}"),
            "it listens on another port than the manifest says: on 8081, not on 8080",
        ),
        (
            &format!("  sick: {{<<: *usual, command: [sh, -c, \"{page} 8080\"], port: 8080, healthcheck: /ok}}"),
            "its check asks for a path that it does not have: GET /ok answered 404",
        ),
        (
            &format!(
                "  sick: {{<<: *usual, command: [sh, -c, \"{page} 127.0.0.1:8080\"], port: 8080, healthcheck: /ok}}"
            ),
            "it listens on 127.0.0.1:8080 only",
        ),
        ("  sick: {<<: *usual, command: [nope]}", "its process cannot be started: \"nope\": executable file not found"),
        (
            "  sick: {<<: *usual, command: [sh, -c, \"echo cannot open the ledger; exit 7\"]}",
            "its process ends by itself (exit code 7): cannot open the ledger",
        ),
        (
            "  sick: {<<: *usual, mem_limit: 32m, command: [sh, -c, \"x=a; while true; do x=$$x$$x; done\"]}",
            "killed for memory: limit 32 MiB",
        ),
    ] {
        write(sick);
        let up = world.up(1, &[]).await.expect(4);
        assert!(up.all().contains(cause), "{up}");
        let why = world.run(&["why", "sick"]).await.expect(0);
        assert!(why.out.contains(cause), "{why}");
    }

    write(&format!("  sick: {{<<: *usual, image: \"{registry}/nothing:1\"}}"));
    let up = world.up(1, &[]).await;
    assert!(up.all().contains("/nothing:1: it has no such image"), "{up}");

    // The namespace may hold no more pods.
    write("");
    kubectl(&["-n", NAMESPACE, "create", "quota", "tight", "--hard=pods=1"]).await;
    let scaled = world.run(&["scale", "well=2", "--yes", "--no-input"]).await.expect(4);
    assert!(scaled.all().contains("the quota `tight` of its namespace is used up"), "{scaled}");
    world.run(&["down", "--yes", "--no-input", "--volumes", "data", "--confirm=shop/production"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_a_volume_of_a_cluster_is_backed_up_proven_and_brought_back() {
    let world = World::on_the_cluster().await;
    let registry = std::env::var("DAYBOOK_REGISTRY").unwrap();
    world.write(
        "daybook.yaml",
        &format!(
            "target: {}\napp: shop\nservices:\n  web:\n    image: {registry}/busybox:1.35\n    command: sleep 3600\n    \
             stop_grace_period: 1s\n    volumes: [\"uploads:/data\"]\nvolumes:\n  uploads:\n    \
             backup: {{keep: 30d, before: touch /data/paused, after: rm /data/paused}}\n",
            daybook_e2e::cluster::target()
        ),
    );
    world.run(&["up", "-y"]).await.expect(0);
    let inside = async |env: &str, script: &str| {
        world.run(&["exec", "web", "-e", env, "--", "sh", "-c", script]).await.expect(0).out
    };
    let fill = "cd /data && mkdir -p album && head -c 300000 /dev/urandom > album/picture && echo kept > note && \
                chmod 640 note && chown 12:34 note && ln -s album/picture newest && ln note again && md5sum album/picture";
    let sum = inside("production", fill).await;
    let note = inside("production", "stat -c '%a %u %g %h %Y' /data/note").await;

    let created = world.run(&["backup", "create", "uploads"]).await.expect(0);
    assert!(created.err.contains("backup of volume:uploads") && created.err.contains("1 link"), "{created}");
    let drilled = world.run(&["backup", "drill", "uploads"]).await.expect(0);
    assert!(drilled.err.contains("proven: back in") && drilled.err.contains("every byte of them"), "{drilled}");

    // The disaster, and the way back.
    inside("production", "rm -r /data/album /data/newest /data/again && echo lost > /data/note").await;
    let refused = world.run(&["backup", "restore", "uploads", "--no-input"]).await.expect(64);
    assert!(refused.err.contains(".daybook/before in the volume"), "{refused}");
    let restored = world.run(&["backup", "restore", "uploads", "--confirm=uploads"]).await.expect(0);
    assert!(restored.err.contains("web started again"), "{restored}");
    world
        .until("web runs again", async |world| world.run(&["exec", "web", "--", "cat", "/data/note"]).await.code == 0)
        .await;
    assert_eq!(inside("production", "cd /data && md5sum album/picture && cat note").await, format!("{sum}kept\n"));
    assert_eq!(inside("production", "readlink /data/newest").await.trim(), "album/picture");
    let owned = inside("production", "stat -c '%a %u %g %h %Y' /data/note").await;
    // A server that is not root cannot give files away.
    match std::fs::metadata(world.state()).unwrap().uid() {
        0 => assert_eq!(owned, note),
        _ => assert!(owned.starts_with("640 "), "{owned}"),
    }
    assert_eq!(inside("production", "cat /data/.daybook/before/note").await, "lost\n", "the one before stays");
    assert_eq!(inside("production", "ls /data").await, "again\nalbum\nnewest\nnote\npaused\n", "`before` was run");

    // A clone has what it held, and nothing of how it got there is left.
    world.run(&["env", "clone", "production", "copy", "--data", "full"]).await.expect(0);
    assert_eq!(inside("copy", "cd /data && md5sum album/picture").await, sum);
    let pods = kubectl(&["get", "pods", "--all-namespaces", "-o", "name"]).await;
    assert!(!pods.contains("daybook-volume"), "{pods}");
    assert_eq!(std::fs::read_dir(world.state().join("staging")).unwrap().count(), 0);
    for env in ["copy", "production"] {
        let confirm = format!("--confirm=shop/{env}");
        world.run(&["down", "-e", env, "--volumes=uploads", &confirm, "-y"]).await.expect(0);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r31_secrets_are_in_secrets_only_and_changes_of_others_stay() {
    const CANARY: &str = "canary-5up3r-s3cr3t";
    let mut world = World::on_the_cluster().await;
    let manifest = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    let with_secret = manifest.replacen(
        "environment: &environment",
        "environment: &environment\n    SESSION_KEY: {secret: session}",
        1,
    );
    world.write("daybook.yaml", &with_secret);
    world.run_reading(&["secret", "set", "session"], CANARY).await.expect(0);
    world.up_on_the_cluster(1).await;
    let shown = kubectl(&[
        "-n",
        NAMESPACE,
        "get",
        "pods,statefulsets,deployments,jobs,configmaps,services,events",
        "-o",
        "yaml",
    ])
    .await;
    assert!(shown.contains("SESSION_KEY") && !shown.contains(CANARY));

    // Somebody else sets what is ours to set: it is told, and stays.
    let change = r#"{"spec": {"ports": [{"name": "tcp-8080", "port": 8080, "targetPort": 9}]}}"#;
    kubectl(&["-n", NAMESPACE, "patch", "service", "web", "--field-manager=somebody", "-p", change]).await;
    let up = world.up(2, &[]).await;
    assert_ne!(up.code, 0, "{up}");
    assert!(up.all().contains("somebody"), "{up}");
    let port = kubectl(&["-n", NAMESPACE, "get", "service", "web", "-o", "jsonpath={.spec.ports[0].targetPort}"]).await;
    assert_eq!(port, "9");
    kubectl(&["-n", NAMESPACE, "delete", "service", "web"]).await;
    world.up(3, &[]).await.expect(0);
    world.end_on_the_cluster().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r32_what_is_not_ours_is_never_touched() {
    let world = World::on_the_cluster().await;
    kubectl(&["create", "namespace", NAMESPACE]).await;
    let up = world.up(1, &[]).await;
    assert_ne!(up.code, 0, "{up}");
    assert!(up.all().contains("is not ours"), "{up}");
    let labels = kubectl(&["get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.labels}"]).await;
    assert!(!labels.contains("daybook"), "{labels}");

    // In a namespace that is named it works with what it makes itself, and with nothing else.
    let theirs = ["-n", NAMESPACE, "create", "service", "clusterip", "web", "--tcp=1:1"];
    kubectl(&theirs).await;
    let target = daybook_e2e::cluster::target().replace('?', &format!("/{NAMESPACE}?"));
    world.write("daybook.yaml", &format!("target: {target}\n{}", daybook_e2e::cluster::patient_manifest()));
    let up = world.up(2, &[]).await;
    assert_ne!(up.code, 0, "{up}");
    assert!(up.all().contains("apply Service web") && up.all().contains("is not ours"), "{up}");
    kubectl(&["-n", NAMESPACE, "delete", "service", "web"]).await;
    world.up(3, &[]).await.expect(0);
    world.run(&["down", "--volumes", "orders", "--confirm=shop/production", "--no-input"]).await.expect(0);
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=90s"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_a_name_is_meant_by_it() {
    let world = World::new().await;
    let run = async |words: &[&str]| world.run(words).await;
    let nowhere = run(&["target", "add", "here", "kubernetes://nowhere"]).await;
    assert!(nowhere.code != 0 && nowhere.all().contains("get-contexts"), "{nowhere}");
    run(&["target", "add", "here", &daybook_e2e::cluster::target()]).await.expect(0);
    let listed = run(&["target", "ls", "-o", "json"]).await.expect(0).json();
    let here = listed.as_array().unwrap().iter().find(|target| target["name"] == "here").cloned().unwrap();
    assert!(here["version"].as_str().unwrap().starts_with("Kubernetes v1.") && here["machines_ready"] == 1, "{here:#}");
    // The shop in this cluster may be another test's.
    let plan = run(&["plan", "--app", "named", "--target", "kubernetes://here"]).await.expect(2);
    assert!(plan.out.contains("named/production"), "{plan}");
    run(&["target", "rm", "here"]).await.expect(0);
    let plan = run(&["plan", "--target", "kubernetes://here"]).await;
    assert!(plan.code != 2 && plan.all().contains("get-contexts"), "{plan}");
    let twice = run(&["target", "rm", "here"]).await;
    assert!(twice.code != 0 && twice.all().contains("no target has a name"), "{twice}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_of_a_cluster_is_named() {
    let world = World::new().await;
    let plan = async |target: &str| world.run(&["plan", "--target", target]).await;
    let unknown = plan("kubernetes://nowhere").await;
    assert!(unknown.all().contains("nowhere") && unknown.all().contains("get-contexts"), "{unknown}");
    let wrong = plan("kubernetes://daybook-test?colour=blue").await.expect(64);
    assert!(wrong.err.contains("colour=blue"), "{wrong}");
    world.end().await;
}
