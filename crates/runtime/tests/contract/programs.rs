//! What every runtime does that runs real programs.

use std::fs;

use daybook_model::launch::{LaunchFile, Role};
use daybook_model::observed::ReplicaState;
use daybook_model::spec::{CheckTest, Mount, MountSource, Port, Protocol, Restart, Stop, Volume};
use daybook_model::{Digest, Launch};
use daybook_runtime::{Answer, ErrorKind, ExecRequest, LogQuery, Runtime};
use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;

use crate::subject::{Subject, address, check, eventually, get, launch, replica, seen, seen_when, when_running};

pub(crate) async fn r07_a_crash_is_restarted_and_counted(subject: &dyn Subject) {
    let mut launch = launch(subject, &["serve"]);
    launch.restart = Restart::Always;
    subject.runtime().start(&launch).await.unwrap();
    let first = when_running(subject, &launch).await;
    assert_eq!(get(&first, "/healthz").await, "well");
    for round in 1..=2 {
        let seen = when_running(subject, &launch).await;
        // The answer never comes: it ends instead.
        let _ = ask_to_crash(&seen).await;
        let again = seen_when(subject, &launch, |seen| seen.is_running() && seen.restarts == round).await;
        assert_eq!(again.last_exit.as_ref().map(|exit| (exit.code, exit.oom)), Some((3, false)));
        assert_eq!(get(&again, "/healthz").await, "well");
    }
}

async fn ask_to_crash(seen: &daybook_model::SeenReplica) -> std::io::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(address(seen, 8080)).await?;
    stream.write_all(b"GET /exit?3 HTTP/1.1\r\n\r\n").await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}

pub(crate) async fn r07_running_out_of_memory_is_told(subject: &dyn Subject) {
    let runtime = subject.runtime();
    if !runtime.capabilities().memory_limits {
        // A runtime without limits must say so and start the replica all the same.
        runtime.start(&launch(subject, &["serve"])).await.unwrap();
        return;
    }
    let mut launch = launch(subject, &["use-memory", "256"]);
    launch.container.resources.memory_bytes = Some(32 << 20);
    runtime.start(&launch).await.unwrap();
    let ended = seen_when(subject, &launch, |seen| seen.state == ReplicaState::Exited).await;
    let exit = ended.last_exit.unwrap();
    assert_eq!((exit.code, exit.oom), (137, true));
}

pub(crate) async fn a_task_ends_once_and_its_code_is_kept(subject: &dyn Subject) {
    let runtime = subject.runtime();
    for (ordinal, code) in [(1, 0), (2, 3)] {
        let mut task = launch(subject, &["exit", &code.to_string()]);
        task.id = replica(ordinal);
        runtime.start(&task).await.unwrap();
        let ended = seen_when(subject, &task, |seen| seen.state == ReplicaState::Exited).await;
        assert_eq!(ended.last_exit.map(|exit| exit.code), Some(code));
        assert_eq!(ended.restarts, 0);
        let kept = seen(&*subject.reopened(), &task.key, &task.id, Role::Main).await.unwrap();
        assert_eq!(kept.state, ReplicaState::Exited);
    }
}

pub(crate) async fn logs_have_both_streams_a_tail_and_a_beginning(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let mut speaker = launch(subject, &["print", "to out", "to err"]);
    speaker.id = replica(2);
    runtime.start(&speaker).await.unwrap();
    seen_when(subject, &speaker, |seen| seen.state == ReplicaState::Exited).await;
    let mut said = lines(&*runtime, &speaker, LogQuery::default()).await;
    said.sort();
    // Where streams are not kept apart, all is called output.
    let err = if runtime.capabilities().log_streams { "err: to err" } else { "out: to err" };
    assert_eq!(said, [err, "out: to out"]);

    let launch = launch(subject, &["count", "500"]);
    runtime.start(&launch).await.unwrap();
    let all = eventually(async || {
        let lines = lines(&*runtime, &launch, LogQuery::default()).await;
        if lines.len() == 500 { Ok(lines) } else { Err(format!("{} lines", lines.len())) }
    })
    .await;
    assert_eq!(all[0], "out: line 1");
    let tail = lines(&*runtime, &launch, LogQuery { tail: Some(2), ..LogQuery::default() }).await;
    assert_eq!(tail, ["out: line 499", "out: line 500"]);

    let stream = runtime.logs(&launch.key, &launch.id, Role::Main, &LogQuery::default()).await.unwrap();
    let times: Vec<_> = stream.map_ok(|line| line.at).try_collect().await.unwrap();
    assert!(times.is_sorted());
    let since = Some(times[499]);
    let from_then = lines(&*runtime, &launch, LogQuery { since, ..LogQuery::default() }).await;
    assert_eq!(from_then.last().unwrap(), "out: line 500");
    assert_eq!(from_then.len(), times.iter().filter(|at| **at >= times[499]).count());
}

async fn lines(runtime: &dyn Runtime, launch: &Launch, query: LogQuery) -> Vec<String> {
    let stream = runtime.logs(&launch.key, &launch.id, launch.role, &query).await.unwrap();
    let marked = stream.map_ok(|line| format!("{}: {}", if line.stderr { "err" } else { "out" }, line.text));
    marked.try_collect().await.unwrap()
}

pub(crate) async fn logs_are_followed_to_the_end(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let mut launch = launch(subject, &["follow", "/data/lines"]);
    mount(&*runtime, &mut launch).await;
    runtime.start(&launch).await.unwrap();
    append(subject, "one").await;
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut followed = runtime.logs(&launch.key, &launch.id, Role::Main, &query).await.unwrap();
    assert_eq!(followed.next().await.unwrap().unwrap().text, "one");
    append(subject, "two").await;
    assert_eq!(followed.next().await.unwrap().unwrap().text, "two");
    append(subject, "end").await;
    let rest: Vec<String> = followed.map_ok(|line| line.text).try_collect().await.unwrap();
    assert_eq!(rest, ["end"]);
}

async fn mount(runtime: &dyn Runtime, launch: &mut Launch) {
    let name: daybook_model::VolumeName = "data".parse().unwrap();
    runtime.create_volume(&launch.key, &name, &Volume::default()).await.unwrap();
    let source = MountSource::Volume { name, subpath: None, nocopy: false };
    launch.container.mounts = vec![Mount { target: "/data".to_owned(), source, read_only: false }];
}

/// Adds a line to a file of the volume, by way of a replica.
async fn append(subject: &dyn Subject, text: &str) {
    let runtime = subject.runtime();
    let mut writer = launch(subject, &["append", "/data/lines", text]);
    writer.id = replica(100);
    writer.role = Role::Job;
    mount(&*runtime, &mut writer).await;
    runtime.start(&writer).await.unwrap();
    let ended = seen_when(subject, &writer, |seen| seen.state == ReplicaState::Exited).await;
    assert_eq!(ended.last_exit.map(|exit| exit.code), Some(0));
    runtime.remove(&writer.key, &writer.id, writer.role).await.unwrap();
}

pub(crate) async fn a_volume_outlives_its_replicas(subject: &dyn Subject) {
    append(subject, "one").await;
    append(subject, "two").await;
    let runtime = subject.runtime();
    let mut reader = launch(subject, &["cat", "/data/lines"]);
    mount(&*runtime, &mut reader).await;
    runtime.start(&reader).await.unwrap();
    seen_when(subject, &reader, |seen| seen.state == ReplicaState::Exited).await;
    assert_eq!(lines(&*runtime, &reader, LogQuery::default()).await, ["out: one", "out: two"]);
}

pub(crate) async fn a_replica_that_does_not_end_is_killed_after_the_grace(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let launch = launch(subject, &["serve", "--ignore-term"]);
    runtime.start(&launch).await.unwrap();
    let running = when_running(subject, &launch).await;
    get(&running, "/healthz").await;
    // Docker counts its grace in whole seconds.
    let stop = Stop { signal: "SIGTERM".to_owned(), grace_ms: 1_000 };
    runtime.stop(&launch.key, &launch.id, Role::Main, &stop).await.unwrap();
    let ended = seen(&*runtime, &launch.key, &launch.id, Role::Main).await.unwrap();
    assert_eq!((ended.state, ended.last_exit.map(|exit| exit.code)), (ReplicaState::Exited, Some(137)));
}

pub(crate) async fn r02_nothing_of_a_stopped_replica_is_left(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let mut launch = launch(subject, &["serve-two", "8081"]);
    launch.ports.push(Port { container: 8081, protocol: Protocol::Tcp, publish: None });
    launch.environment.push(("PORT_8081".to_owned(), "8081".to_owned()));
    runtime.start(&launch).await.unwrap();
    let running = when_running(subject, &launch).await;
    let second = address(&running, 8081);
    eventually(async || tokio::net::TcpStream::connect(second).await.map(drop).map_err(|e| e.to_string())).await;
    let stop = Stop { signal: "SIGTERM".to_owned(), grace_ms: 20_000 };
    get(&running, "/healthz").await;
    runtime.stop(&launch.key, &launch.id, Role::Main, &stop).await.unwrap();
    assert!(tokio::net::TcpStream::connect(second).await.is_err(), "its child serves on");
}

pub(crate) async fn checks_are_answered(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let launch = launch(subject, &["serve"]);
    let key = launch.key.clone();
    runtime.start(&launch).await.unwrap();
    let running = when_running(subject, &launch).await;
    let ask = async |test: CheckTest| runtime.probe(&key, &running, &check(test)).await.unwrap();
    let healthz = || CheckTest::Http { path: "/healthz".to_owned(), port: 8080 };
    let command = |name: &str| CheckTest::Command(vec![subject.program(), "exit".to_owned(), name.to_owned()]);

    get(&running, "/healthz").await;
    assert!(matches!(ask(healthz()).await, Answer::Good(text) if text.starts_with("200")));
    assert!(matches!(ask(CheckTest::Tcp { port: 8080 }).await, Answer::Good(_)));
    assert!(matches!(ask(CheckTest::Running).await, Answer::Good(_)));
    assert!(matches!(ask(CheckTest::Disabled).await, Answer::Good(_)));
    assert!(matches!(ask(command("0")).await, Answer::Good(_)));
    assert!(matches!(ask(command("4")).await, Answer::Bad(text) if text.contains('4')));
    get(&running, "/sick").await;
    assert_eq!(ask(healthz()).await, Answer::Bad("GET /healthz answered 500: no database".to_owned()));

    runtime.stop(&key, &launch.id, Role::Main, &launch.stop).await.unwrap();
    for test in [healthz(), CheckTest::Tcp { port: 8080 }, CheckTest::Running, command("0")] {
        assert_eq!(ask(test).await, Answer::NotRunning);
    }
}

pub(crate) async fn a_replica_has_its_environment_and_files(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let mut launch = launch(subject, &["serve"]);
    launch.environment.push(("GREETING".to_owned(), "hello $HOME; `id`".to_owned()));
    launch.files.push(LaunchFile {
        target: "/etc/shop/config.toml".to_owned(),
        content: b"colour = 'blue'".to_vec(),
        uid: None,
        gid: None,
        mode: 0o444,
    });
    runtime.start(&launch).await.unwrap();
    let running = when_running(subject, &launch).await;
    assert_eq!(get(&running, "/env?GREETING").await, "hello $HOME; `id`");
    assert_eq!(get(&running, "/file?/etc/shop/config.toml").await, "colour = 'blue'");
}

pub(crate) async fn r31_no_secret_is_seen(subject: &dyn Subject) {
    const CANARY: &str = "canary-5up3r-s3cr3t";
    let runtime = subject.runtime();
    let mut launch = launch(subject, &["serve"]);
    launch.environment.push(("SESSION_KEY".to_owned(), CANARY.to_owned()));
    runtime.start(&launch).await.unwrap();
    let running = when_running(subject, &launch).await;
    assert_eq!(get(&running, "/env?SESSION_KEY").await, CANARY, "the replica has it");
    let seen = runtime.observe(&launch.key).await.unwrap();
    assert!(!format!("{seen:?}").contains(CANARY));
    assert!(!lines(&*runtime, &launch, LogQuery::default()).await.concat().contains(CANARY));
    let mut other = launch.clone();
    other.fingerprint = crate::subject::fingerprint("another");
    assert!(!format!("{:?}", runtime.start(&other).await.unwrap_err()).contains(CANARY));
}

pub(crate) async fn a_command_runs_beside_a_replica(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let mut launch = launch(subject, &["serve"]);
    launch.environment.push(("GREETING".to_owned(), "hello".to_owned()));
    let request = |arguments: &[&str]| {
        let mut argv = vec![subject.program()];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        ExecRequest { argv, tty: None, user: None, working_dir: None }
    };
    let missing = runtime.exec(&launch.key, &launch.id, &request(&["echo"])).await.map(drop).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    runtime.start(&launch).await.unwrap();
    when_running(subject, &launch).await;

    let run = async |request: ExecRequest, input: &str| {
        let mut exec = runtime.exec(&launch.key, &launch.id, &request).await.unwrap();
        exec.input.write_all(input.as_bytes()).await.unwrap();
        exec.input.shutdown().await.unwrap();
        drop(exec.input);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(piece) = exec.output.try_next().await.unwrap() {
            if piece.stderr { err.extend(piece.bytes) } else { out.extend(piece.bytes) }
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (exec.code.await.unwrap(), text(out), text(err))
    };
    assert_eq!(run(request(&["env", "GREETING"]), "").await, (0, "hello\n".to_owned(), String::new()));
    assert_eq!(run(request(&["exit", "5"]), "").await.0, 5);
    assert_eq!(run(request(&["print", "a", "b"]), "").await, (0, "a\n".to_owned(), "b\n".to_owned()));
    assert_eq!(run(request(&["echo"]), "back").await, (0, "back".to_owned(), String::new()));
    let terminal = ExecRequest { tty: Some((80, 24)), ..request(&["terminal"]) };
    let (code, out, _) = run(terminal, "").await;
    assert_eq!((code, out.trim_end()), (0, "terminal: true"));
}

pub(crate) async fn a_build_is_told_by_what_it_holds(subject: &dyn Subject) {
    let (runtime, key) = (subject.runtime(), subject.key());
    let directory = tempfile::tempdir().unwrap();
    // Unlike any other run's, so that no earlier build is there.
    let unique = format!("{:?}", std::time::SystemTime::now());
    fs::write(directory.path().join("content"), &unique).unwrap();
    let resolve = async || runtime.resolve(&key, &subject.build(directory.path())).await.unwrap();
    let first = resolve().await;
    assert_eq!(first, resolve().await);
    assert!(runtime.present(&key, &[first].into()).await.unwrap().is_empty());
    fs::write(directory.path().join("content"), unique + "!").unwrap();
    let second = resolve().await;
    assert_ne!(first, second);

    let mut build = subject.build(directory.path());
    if let daybook_model::spec::Artifact::Build(build) = &mut build {
        build.digest = Some(second);
    }
    for _ in 0..2 {
        runtime.prepare(&key, &build, &|_| ()).await.unwrap();
        let asked = [first, second, Digest::of(b"another")].into();
        assert_eq!(runtime.present(&key, &asked).await.unwrap(), [second].into());
    }
}

pub(crate) async fn usage_is_measured(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let launch = launch(subject, &["serve"]);
    runtime.start(&launch).await.unwrap();
    let running = when_running(subject, &launch).await;
    get(&running, "/alloc?40").await;
    // Some measure only now and then.
    let usage = eventually(async || {
        let usage = runtime.usage(&launch.key).await.unwrap();
        let is_measured = usage.iter().any(|usage| usage.memory_bytes >= 40 << 20);
        if is_measured { Ok(usage) } else { Err(format!("{usage:?}")) }
    })
    .await;
    assert_eq!(usage.len(), 1);
    assert_eq!(usage[0].id, launch.id);
    assert!(usage[0].pids >= 1 && usage[0].cpu_cores >= 0.0);
    runtime.stop(&launch.key, &launch.id, Role::Main, &launch.stop).await.unwrap();
    assert!(runtime.usage(&launch.key).await.unwrap().is_empty());
}
