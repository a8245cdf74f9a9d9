//! The binary against a server that answers as each test says.

#![allow(clippy::unwrap_used, reason = "test helpers outside of #[test] functions")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{RUN, Reply, Server, ok, run, running, status};

fn finished(outcome: &str) -> Value {
    let failure = json!({
        "why": "new replicas never became ready", "evidence": ["GET /healthz answers 500"], "log": ["web.3 ERROR boom"]
    });
    let failure = (outcome != "reached").then_some(failure);
    run("finished", Some(&json!({"outcome": outcome, "failure": failure})))
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn a_change_that_is_reached_says_so_on_standard_output_and_exits_with_0() {
    let server = running(|| ok(finished("reached")));
    let ended = server.run(&["scale", "web=3"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    insta::assert_snapshot!(ended.out, @r"
    ✓ shop/production is at release 42 in 3 s.  1,204 requests during the rollout, 0 failed.
      https://shop.example.com  https://docs.example.com
      undo: daybook rollback      watch: daybook status
    ");
    insta::assert_snapshot!(ended.err, @r"
    shop/production  release 41 → 42

      ~ web  scale 2 → 3

    1 to change, 0 to add, 0 to remove.

      web  start web.3                                  ✓ 0.1 s
      web  wait until web.3 is ready                    ✓ 0.4 s
    ");
    let sent = server.bodies("POST /v1/runs");
    assert_eq!(sent, [json!({"change": {"scale": {"key": "shop/production", "services": {"web": 3}}}})]);
}

#[test]
fn r04_a_swap_back_exits_with_4_and_says_why_on_standard_error() {
    let ended = running(|| ok(finished("swapped_back"))).run(&["scale", "web=3"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(4), ""));
    insta::assert_snapshot!(ended.err, @r"
    shop/production  release 41 → 42

      ~ web  scale 2 → 3

    1 to change, 0 to add, 0 to remove.

      web  start web.3                                  ✓ 0.1 s
      web  wait until web.3 is ready                    ✗

    ✗ web      new replicas never became ready; release 41 serves on, nothing was moved.   exit 4

      Why       GET /healthz answers 500
      Last      web.3 ERROR boom
      Next      daybook why web
    ");
}

#[test]
fn a_failure_and_an_interrupted_run_have_codes_of_their_own() {
    assert_eq!(running(|| ok(finished("failed"))).run(&["scale", "web=3"]).code, Some(1));
    let ended = running(|| ok(run("interrupted", None))).run(&["scale", "web=3"]);
    assert_eq!(ended.code, Some(6));
    assert!(ended.err.contains("go on: daybook resume"), "{}", ended.err);
}

#[test]
fn data_for_programs_is_the_run_itself() {
    let ended = running(|| ok(finished("swapped_back"))).run(&["scale", "web=3", "-o", "json", "-q"]);
    let view: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, ended.err.as_str()), (Some(4), ""));
    assert_eq!(view["verdict"]["outcome"], "swapped_back");
}

#[test]
fn r15_a_locked_environment_exits_with_5_and_names_the_holder() {
    let server = Server::new(|target, _| match target {
        "POST /v1/plan" => ok(support::plan()),
        "POST /v1/runs" => Reply::Json(409, json!({"code": "locked", "message": "a run is open", "run": RUN})),
        _ => ok(run("running", None)),
    });
    let ended = server.run(&["scale", "web=3"]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("locked by `scale web=3`, begun by ada"), "{}", ended.err);
    assert!(ended.err.contains("daybook resume --abandon"), "{}", ended.err);
}

#[test]
fn ctrl_c_stops_the_run_where_it_is_safe_and_exits_with_6() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = running(|| match ASKED.load(Ordering::SeqCst) {
        0 => ok(run("running", None)),
        _ => ok(run("interrupted", None)),
    });
    let mut child = server.start(&["scale", "web=3"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("start web.3")).unwrap();
    interrupt(&child);
    lines.find(|line| line.contains("stopping where it is safe")).unwrap();
    ASKED.store(1, Ordering::SeqCst);
    lines.find(|line| line.contains("go on: daybook resume")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert_eq!(server.bodies(&format!("POST /v1/runs/{RUN}/interrupt")).len(), 1);
}

#[test]
fn ctrl_c_twice_leaves_at_once_with_130() {
    let server = running(|| ok(run("running", None)));
    let mut child = server.start(&["scale", "web=3"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("start web.3")).unwrap();
    interrupt(&child);
    lines.find(|line| line.contains("stopping where it is safe")).unwrap();
    interrupt(&child);
    lines.find(|line| line.contains("the server winds the run down by itself")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn r02_a_server_that_goes_away_is_looked_for_and_the_run_followed_to_its_end() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    let server = running(|| match LOOKS.fetch_add(1, Ordering::SeqCst) {
        0 => ok(run("running", None)),
        1 => Reply::Nothing,
        _ => ok(finished("reached")),
    });
    let ended = server.run(&["scale", "web=3"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lost = ended.err.find("lost the connection to the server").unwrap();
    assert!(ended.err[lost..].contains("the server answers again"), "{}", ended.err);
    assert_eq!(ended.err.matches("start web.3").count(), 1, "nothing is shown twice: {}", ended.err);
}

#[test]
fn a_run_that_outlasts_the_timeout_goes_on_by_itself() {
    let ended = running(|| ok(run("running", None))).run(&["scale", "web=3", "--timeout", "1s"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("it goes on by itself") && ended.err.contains("daybook resume"), "{}", ended.err);
}

#[test]
fn lists_are_for_people_or_for_programs_and_without_colour_in_a_pipe() {
    let server = running(|| Reply::Nothing);
    let table = server.run(&["status"]);
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.out.contains("worker   failing") && !table.out.contains('\x1b'), "{}", table.out);
    assert_eq!(table.err.trim(), "find out why: daybook why worker");
    let json = server.run(&["status", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["key"], status()["key"]);
    assert_eq!(json.err, "");
    assert_eq!(server.run(&["ps", "-o", "jsonl"]).out.lines().count(), 3);
    assert!(server.run(&["ps", "-o", "yaml"]).out.starts_with("- id: web.3\n"));
}

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    let line = |i: usize| json!({"at": "2026-11-24T12:00:00Z", "replica": "web.3", "role": "main", "stderr": false, "text": format!("line {i}")});
    let server = Server::new(move |_, _| ok((0..20_000).map(line).collect()));
    let mut child = server.start(&["logs"]);
    drop(child.stdout.take());
    let ended: support::Ended = child.wait_with_output().unwrap().into();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn wrong_use_exits_with_64() {
    let server = running(|| Reply::Nothing);
    for words in [&["frobnicate"][..], &["scale", "web=three"], &["secret", "set", "KEY", "value"], &["ps", "--nope"]] {
        assert_eq!(server.run(words).code, Some(64), "{words:?}");
    }
    let ended = server.run(&["down", "--volumes", "data", "--yes"]);
    assert_eq!(ended.code, Some(64));
    assert!(ended.err.contains("--confirm=shop/production"), "{}", ended.err);
    let ended = server.run(&["down", "--volumes", "data", "--confirm=shop/staging"]);
    assert_eq!(ended.code, Some(1));
    assert!(server.bodies("POST /v1/runs").is_empty());
}

#[test]
fn r31_a_secret_comes_from_standard_input_and_appears_nowhere() {
    let server = Server::new(|_, _| ok(json!({"version": 3})));
    let ended = server.run_with_input(&["secret", "set", "KEY"], "canary-7f3\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let sent = server.bodies("PUT /v1/environments/shop/production/secrets/KEY");
    assert_eq!(sent, [json!({"value": "canary-7f3"})]);
    assert!(!format!("{ended:?}").contains("canary"), "{ended:?}");
    assert!(ended.err.contains("KEY of shop/production is at version 3"), "{}", ended.err);
}

#[test]
fn help_and_versions_need_no_server() {
    let daybook = || Command::new(env!("CARGO_BIN_EXE_daybook"));
    let help = daybook().arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("daybook init"));
    let state = tempfile::tempdir().unwrap();
    let version = daybook().args(["version", "--state"]).arg(state.path()).output().unwrap();
    assert!(String::from_utf8(version.stdout).unwrap().contains("none runs"));
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}

#[test]
fn following_events_goes_on_from_the_last_one_when_the_server_comes_back() {
    static STREAMS: AtomicUsize = AtomicUsize::new(0);
    let event = |seq: u64| {
        json!({"seq": seq, "at": "2026-11-24T12:00:00Z", "key": "shop/production", "kind": "run_resumed",
               "actor": {"name": "ada", "origin": "cli"}, "text": format!("event {seq}")})
    };
    let server = Server::new(move |target, _| match (target, STREAMS.fetch_add(1, Ordering::SeqCst)) {
        (_, 0) => Reply::Broken(vec![event(4), event(5)]),
        (target, _) => {
            assert!(target.contains("after=5"), "{target}");
            Reply::Stream(vec![event(6)])
        }
    });
    let mut child = server.start(&["events", "-f", "-o", "jsonl"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for seq in 4..=6 {
        assert_eq!(serde_json::from_str::<Value>(&lines.next().unwrap()).unwrap()["seq"], seq);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
