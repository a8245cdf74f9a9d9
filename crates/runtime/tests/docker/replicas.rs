//! What containers are made with, and what is seen of them.

use std::time::Duration;

use daybook_model::Digest;
use daybook_model::fingerprint::Fingerprint;
use daybook_model::observed::{Health, ReplicaState};
use daybook_model::spec::{CheckTest, LogBound, Port, Protocol, Publish, Resources, Restart};
use daybook_runtime::{Answer, ErrorKind, ExecRequest, LogQuery, Runtime};
use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;

use crate::support::{BUSYBOX, World, check};

const IDLE: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"];

#[tokio::test]
async fn r38_limits_are_kept() {
    let world = World::new("limits").await;
    let mut launch = world.launch("web.1", BUSYBOX, &IDLE).await;
    launch.container.resources = Resources {
        cpu_millis: Some(500),
        memory_bytes: Some(64 << 20),
        pids: Some(50),
        reserve_memory_bytes: Some(32 << 20),
        ..Default::default()
    };
    launch.container.log = LogBound { max_bytes: 1 << 20, files: 2 };
    world.runtime.start(&launch).await.unwrap();
    let host = world.inspect("web.1").await["HostConfig"].clone();
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!((&host["Memory"], &host["MemorySwap"]), (&(64 << 20).into(), &(64 << 20).into()));
    assert_eq!((&host["PidsLimit"], &host["MemoryReservation"]), (&50.into(), &(32 << 20).into()));
    assert_eq!(host["LogConfig"]["Type"], "json-file");
    assert_eq!(host["LogConfig"]["Config"], serde_json::json!({"max-size": "1048576", "max-file": "2"}));

    let used = world.runtime.usage(&world.key).await.unwrap();
    assert_eq!((used.len(), used[0].memory_limit_bytes), (1, Some(64 << 20)));
    assert!(used[0].memory_bytes > 0 && used[0].pids >= 1, "{used:?}");
    let again = world.runtime.usage(&world.key).await.unwrap();
    assert!(again[0].cpu_cores >= 0.0 && again[0].cpu_cores < 2.0, "{again:?}");
    world.clear().await;
}

#[tokio::test]
async fn r07_out_of_memory_is_seen() {
    let world = World::new("oom").await;
    let mut launch = world.launch("web.1", BUSYBOX, &["tail", "/dev/zero"]).await;
    launch.container.resources.memory_bytes = Some(16 << 20);
    world.runtime.start(&launch).await.unwrap();
    let replica = world.until("web.1", |replica| replica.state == ReplicaState::Exited).await;
    let exit = replica.last_exit.unwrap();
    assert_eq!((exit.oom, exit.code), (true, 137));
    world.clear().await;
}

#[tokio::test]
async fn r07_a_crash_is_seen_and_restarted_and_a_stop_is_not() {
    let world = World::new("restart").await;
    let mut launch = world.launch("web.1", BUSYBOX, &["sh", "-c", "sleep 0.2; exit 7"]).await;
    launch.restart = Restart::Always;
    world.runtime.start(&launch).await.unwrap();
    let replica = world.until("web.1", |replica| replica.state == ReplicaState::Restarting).await;
    assert_eq!(replica.last_exit.unwrap().code, 7);
    world.until("web.1", |replica| replica.restarts >= 2).await;
    world.runtime.stop(&world.key, &launch.id, launch.role, &launch.stop).await.unwrap();
    assert_eq!(world.replica("web.1").await.state, ReplicaState::Exited);
    assert_eq!(world.inspect("web.1").await["HostConfig"]["RestartPolicy"]["Name"], "no");
    world.runtime.start(&launch).await.unwrap();
    assert_eq!(world.inspect("web.1").await["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");
    world.clear().await;
}

#[tokio::test]
async fn starting_again_changes_nothing_and_another_configuration_is_a_conflict() {
    let world = World::new("again").await;
    let mut launch = world.launch("web.1", BUSYBOX, &IDLE).await;
    world.runtime.start(&launch).await.unwrap();
    let first = world.replica("web.1").await;
    world.runtime.start(&launch).await.unwrap();
    assert_eq!(world.replica("web.1").await, first);
    launch.fingerprint = Fingerprint(Digest::of(b"another"));
    assert_eq!(world.runtime.start(&launch).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(world.replica("web.1").await, first);
    world.clear().await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let world = World::new("errors").await;
    let launch = world.launch("web.1", BUSYBOX, &["/no/such/program"]).await;
    let error = world.runtime.start(&launch).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.message.contains("/no/such/program") && error.hint.is_some(), "{error}");
    let seen = world.replica("web.1").await;
    assert_eq!(seen.state, ReplicaState::Created);
    assert!(seen.last_exit.unwrap().error.unwrap().contains("/no/such/program"));
    // Asked again, it is made again: what was wrong may have been put right.
    assert_eq!(world.runtime.start(&launch).await.unwrap_err().kind, ErrorKind::Refused);

    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let publish = Publish { ip: Some("127.0.0.1".parse().unwrap()), port: Some(taken.local_addr().unwrap().port()) };
    let mut launch = world.launch("dns.1", BUSYBOX, &IDLE).await;
    launch.ports = vec![Port { container: 53, protocol: Protocol::Udp, publish: Some(publish) }];
    let error = world.runtime.start(&launch).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");

    let mut launch = world.launch("old.1", BUSYBOX, &IDLE).await;
    launch.artifact = Digest::of(b"nobody has it");
    assert_eq!(world.runtime.start(&launch).await.unwrap_err().kind, ErrorKind::NotFound);
    world.clear().await;
}

#[tokio::test]
async fn a_command_is_the_daemons_check_and_ours() {
    let world = World::new("health").await;
    let mut launch = world.launch("web.1", BUSYBOX, &IDLE).await;
    launch.check = check(CheckTest::Command(vec!["sh".into(), "-c".into(), "echo sick; test -e /tmp/well".into()]));
    world.runtime.start(&launch).await.unwrap();
    let replica = world.until("web.1", |replica| matches!(replica.health, Health::Unhealthy(_))).await;
    assert_eq!(replica.health, Health::Unhealthy("sick".into()));
    let answer = world.runtime.probe(&world.key, &replica, &launch.check).await.unwrap();
    assert_eq!(answer, Answer::Bad("exit code 1: sick".into()));
    world.run("web.1", &["touch", "/tmp/well"]).await;
    world.until("web.1", |replica| replica.health == Health::Healthy).await;

    let slow = check(CheckTest::Command(vec!["sleep".into(), "3600".into()]));
    let slow = daybook_model::spec::Check { timeout_ms: 100, ..slow };
    let answer = world.runtime.probe(&world.key, &replica, &slow).await.unwrap();
    assert!(matches!(&answer, Answer::Bad(why) if why.contains("did not end")), "{answer:?}");
    // A check that hangs is killed.
    let begun = std::time::Instant::now();
    while world.run("web.1", &["ps"]).await.0.contains("sleep 3600") {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is there still");
    }
    let missing = check(CheckTest::Command(vec!["no-such-program".into()]));
    let answer = world.runtime.probe(&world.key, &replica, &missing).await.unwrap();
    assert!(matches!(&answer, Answer::Bad(why) if why.contains("no-such-program")), "{answer:?}");

    world.runtime.stop(&world.key, &launch.id, launch.role, &launch.stop).await.unwrap();
    let answer = world.runtime.probe(&world.key, &replica, &launch.check).await.unwrap();
    assert_eq!(answer, Answer::NotRunning);
    world.clear().await;
}

#[tokio::test]
async fn logs_have_times_streams_and_bounds() {
    let world = World::new("logs").await;
    let script = "echo one; echo two >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; echo last";
    let launch = world.launch("web.1", BUSYBOX, &["sh", "-c", script]).await;
    world.runtime.start(&launch).await.unwrap();
    world.log_to_the_end("web.1").await;
    let read = async |query: LogQuery| -> Vec<_> {
        let lines = world.runtime.logs(&world.key, &launch.id, launch.role, &query).await.unwrap();
        lines.map(Result::unwrap).collect().await
    };
    let all = read(LogQuery::default()).await;
    let out: Vec<_> = all.iter().filter(|line| !line.stderr).map(|line| line.text.len()).collect();
    assert_eq!(out, [3, 40_000, 4]);
    assert_eq!(all.iter().filter(|line| line.stderr).map(|line| line.text.as_str()).collect::<Vec<_>>(), ["two"]);
    assert!(all.iter().all(|line| line.at.as_second() > 1_000_000_000));
    let tail = read(LogQuery { tail: Some(1), ..Default::default() }).await;
    assert_eq!((tail.len(), tail.last()), (1, all.last()));
    let since = all.last().unwrap().at;
    assert!(read(LogQuery { since: Some(since), ..Default::default() }).await.iter().all(|line| line.at >= since));
    let later = since + Duration::from_secs(60);
    assert!(read(LogQuery { since: Some(later), ..Default::default() }).await.is_empty());
    world.clear().await;
}

#[tokio::test]
async fn a_command_inside_has_input_a_terminal_and_a_code() {
    let world = World::new("exec").await;
    let launch = world.launch("web.1", BUSYBOX, &IDLE).await;
    world.runtime.start(&launch).await.unwrap();
    assert_eq!(world.run("web.1", &["sh", "-c", "echo out; exit 5"]).await, ("out\n".into(), 5));

    let request = ExecRequest { argv: vec!["cat".into()], tty: None, user: Some("65534".into()), working_dir: None };
    let mut cat = world.runtime.exec(&world.key, &launch.id, &request).await.unwrap();
    cat.input.write_all(b"through").await.unwrap();
    drop(cat.input);
    let pieces: Vec<_> = cat.output.try_collect().await.unwrap();
    assert_eq!(pieces.into_iter().flat_map(|piece| piece.bytes).collect::<Vec<u8>>(), b"through");
    assert_eq!(cat.code.await.unwrap(), 0);

    let argv = ["sh", "-c", "read line; stty size; pwd"].map(str::to_owned).to_vec();
    let request = ExecRequest { argv, tty: Some((80, 24)), user: None, working_dir: Some("/etc".into()) };
    let mut shell = world.runtime.exec(&world.key, &launch.id, &request).await.unwrap();
    (shell.resize)(132, 50).await.unwrap();
    shell.input.write_all(b"go\n").await.unwrap();
    let pieces: Vec<_> = shell.output.try_collect().await.unwrap();
    let text: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("50 132") && text.contains("/etc"), "{text}");
    world.clear().await;
}
