//! What only the process runtime promises: its shims, its hints, its files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use daybook_model::launch::{LaunchFile, Role};
use daybook_model::observed::ReplicaState;
use daybook_model::spec::{Artifact, CheckTest, Mount, MountSource, Port, Protocol, PullPolicy, Restart, Stop};
use daybook_model::{Launch, SeenReplica};
use daybook_runtime::{Answer, ErrorKind, ExecRequest, Runtime};
use futures::TryStreamExt;
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Machine, SHIM, open, open_at, runtime};
use crate::subject::{Subject, check, eventually, get, launch, replica, seen, seen_when, when_running};

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Whether a process does anything any more; one that only waits to be reaped does not.
fn is_there(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn pid(seen: &SeenReplica) -> i32 {
    get(seen, "/pid").await.parse().unwrap()
}

/// The shim of the replica, by what it wrote.
fn shim(machine: &Machine, launch: &Launch) -> i32 {
    let path = machine.state.path().join("process/contract/process").join(format!("{}.main/state.json", launch.id));
    let state: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    i32::try_from(state["shim"]["pid"].as_i64().unwrap()).unwrap()
}

#[tokio::test]
async fn r03_a_replica_survives_the_death_of_the_server_that_started_it() {
    let machine = open().await;
    let mut launch = launch(&machine, &["serve"]);
    launch.restart = Restart::Always;
    let mut server = Command::new(SHIM);
    server.arg("serve").arg(machine.state.path()).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut server = server.spawn().unwrap();
    std::io::Write::write_all(&mut server.stdin.take().unwrap(), &serde_json::to_vec(&launch).unwrap()).unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stderr.as_mut().unwrap()), &mut said).unwrap();
    assert_eq!(said, "started\n");
    server.kill().unwrap();
    server.wait().unwrap();

    let running = when_running(&machine, &launch).await;
    assert_eq!(get(&running, "/healthz").await, "well");
    // Its shim still does its work, and another server has it in hand.
    signal(pid(&running).await, Signal::KILL);
    let again = seen_when(&machine, &launch, |seen| seen.is_running() && seen.restarts == 1).await;
    assert_eq!(again.last_exit.as_ref().map(|exit| exit.code), Some(137));
    machine.clean().await;
}

#[tokio::test]
async fn r14_a_lost_state_directory_loses_no_replica() {
    let machine = open().await;
    let launch = launch(&machine, &["serve"]);
    machine.runtime.start(&launch).await.unwrap();
    let before = when_running(&machine, &launch).await;
    let pid = pid(&before).await;
    fs::remove_dir_all(machine.state.path().join("process")).unwrap();

    let server = runtime(machine.state.path());
    assert!(server.environments().await.unwrap().contains(&launch.key));
    assert_eq!(seen(&server, &launch.key, &launch.id, Role::Main).await, Some(before));
    assert_eq!(server.remove(&launch.key, &launch.id, Role::Main).await.unwrap_err().kind, ErrorKind::Conflict);
    server.stop(&launch.key, &launch.id, Role::Main, &launch.stop).await.unwrap();
    assert!(!is_there(pid));
    assert!(server.observe(&launch.key).await.unwrap().replicas.is_empty());
    assert!(server.environments().await.unwrap().is_empty());
}

#[tokio::test]
async fn r08_a_replica_whose_shim_was_killed_has_ended_and_never_runs_twice() {
    let machine = open().await;
    let launch = launch(&machine, &["serve"]);
    machine.runtime.start(&launch).await.unwrap();
    let before = when_running(&machine, &launch).await;
    let orphan = pid(&before).await;
    signal(shim(&machine, &launch), Signal::KILL);
    let ended = seen_when(&machine, &launch, |seen| seen.state == ReplicaState::Exited).await;
    assert!(ended.last_exit.unwrap().error.unwrap().contains("its shim was killed"));

    machine.runtime.start(&launch).await.unwrap();
    assert!(!is_there(orphan), "two processes of one replica");
    let after = when_running(&machine, &launch).await;
    assert_eq!(after.ports, before.ports, "the edge still knows where it is");
    assert_ne!(pid(&after).await, orphan);
    machine.clean().await;
}

#[tokio::test]
async fn r08_a_paused_replica_is_not_started_beside_itself_and_can_be_stopped() {
    let machine = open().await;
    let launch = launch(&machine, &["serve"]);
    machine.runtime.start(&launch).await.unwrap();
    let running = when_running(&machine, &launch).await;
    let (pid, shim) = (pid(&running).await, shim(&machine, &launch));
    signal(shim, Signal::STOP);
    assert_eq!(machine.runtime.start(&launch).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(when_running(&machine, &launch).await.is_running(), "it is seen as it last was");
    let now = Stop { signal: "SIGTERM".to_owned(), grace_ms: 0 };
    machine.runtime.stop(&launch.key, &launch.id, Role::Main, &now).await.unwrap();
    assert!(!is_there(pid));
    machine.clean().await;
}

#[tokio::test]
async fn r06_a_shim_that_is_told_to_end_ends_its_replica_first() {
    let machine = open().await;
    let mut launch = launch(&machine, &["serve"]);
    launch.restart = Restart::Always;
    machine.runtime.start(&launch).await.unwrap();
    get(&when_running(&machine, &launch).await, "/healthz").await;
    signal(shim(&machine, &launch), Signal::TERM);
    let ended = seen_when(&machine, &launch, |seen| seen.state == ReplicaState::Exited).await;
    let exit = ended.last_exit.unwrap();
    assert_eq!((exit.code, exit.error, ended.restarts), (143, None, 0));
    machine.clean().await;
}

#[tokio::test]
async fn r07_a_program_that_is_not_there_is_named_and_not_tried_again() {
    let machine = open().await;
    let mut launch = launch(&machine, &[]);
    launch.restart = Restart::Always;
    launch.container.command = Some(vec!["bin/x".to_owned()]);
    machine.runtime.start(&launch).await.unwrap();
    let ended = seen_when(&machine, &launch, |seen| seen.state == ReplicaState::Exited).await;
    let exit = ended.last_exit.unwrap();
    assert_eq!((exit.code, exit.error.as_deref(), ended.restarts), (127, Some("exec bin/x: no such file"), 0));
    let log = machine.runtime.logs(&launch.key, &launch.id, Role::Main, &Default::default()).await.unwrap();
    let log: Vec<String> = log.map_ok(|line| line.text).try_collect().await.unwrap();
    assert_eq!(log, ["daybook: exec bin/x: no such file"]);
    machine.clean().await;
}

#[tokio::test]
async fn r07_a_wrong_port_is_named() {
    let machine = open().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let launch = launch(&machine, &["serve-at", &port.to_string()]);
    machine.runtime.start(&launch).await.unwrap();
    let running = when_running(&machine, &launch).await;
    let given = running.ports[&8080];
    let expected = format!("nothing listens on 127.0.0.1:{given} (PORT); it listens on 127.0.0.1:{port} instead");
    for test in [CheckTest::Tcp { port: 8080 }, CheckTest::Http { path: "/".to_owned(), port: 8080 }] {
        // It listens a moment after it runs.
        eventually(async || {
            let answer = machine.runtime.probe(&launch.key, &running, &check(test.clone())).await.unwrap();
            if answer == Answer::Bad(expected.clone()) { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }
    machine.clean().await;
}

#[tokio::test]
async fn r07_a_worker_that_crashes_again_and_again_does_not_pass_for_running() {
    let machine = open().await;
    let mut launch = launch(&machine, &["exit", "3"]);
    launch.restart = Restart::OnFailure(None);
    machine.runtime.start(&launch).await.unwrap();
    let seen = seen_when(&machine, &launch, |seen| seen.restarts >= 2).await;
    let answer = machine.runtime.probe(&launch.key, &seen, &check(CheckTest::Running)).await.unwrap();
    assert!(!matches!(answer, Answer::Good(_)), "{answer:?}");
    assert_eq!(seen.last_exit.map(|exit| exit.code), Some(3));
    machine.clean().await;
    assert!(machine.runtime.observe(&launch.key).await.unwrap().replicas.is_empty());
}

#[tokio::test]
async fn r31_no_secret_is_written_but_for_the_files_of_a_running_replica() {
    const CANARY: &str = "canary-5up3r-s3cr3t";
    let machine = open().await;
    let mut launch = launch(&machine, &["serve"]);
    launch.environment.push(("SESSION_KEY".to_owned(), CANARY.to_owned()));
    let target = "/run/secrets/key".to_owned();
    launch.files.push(LaunchFile { target, content: CANARY.into(), uid: None, gid: None, mode: 0o400 });
    machine.runtime.start(&launch).await.unwrap();
    let running = when_running(&machine, &launch).await;
    assert_eq!(get(&running, "/file?/run/secrets/key").await, CANARY);

    let mut with_secret = files_with(machine.state.path(), CANARY);
    let file = with_secret.pop().unwrap();
    assert!(with_secret.is_empty(), "{with_secret:?}");
    let directory = Path::new(&file).parent().unwrap();
    assert_eq!(mode(directory), 0o700);
    assert_eq!(mode(Path::new(&file)), 0o400);
    for process in [pid(&running).await, shim(&machine, &launch)] {
        let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
        assert!(!line.contains(CANARY));
    }
    machine.runtime.stop(&launch.key, &launch.id, Role::Main, &launch.stop).await.unwrap();
    assert!(files_with(machine.state.path(), CANARY).is_empty(), "ended, it leaves no secret");
    machine.clean().await;
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
}

fn files_with(root: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&entry.path(), text));
        } else if kind.is_file() {
            let content = fs::read(entry.path()).unwrap();
            if content.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn r32_names_made_of_metacharacters_are_only_text_and_paths_stay_inside() {
    let machine = open().await;
    let mut speaker = launch(&machine, &["print", "$(touch /tmp/daybook-was-here); `id`", "a\\nb"]);
    speaker.environment.push(("X".to_owned(), "$(touch /tmp/daybook-was-here)".to_owned()));
    machine.runtime.start(&speaker).await.unwrap();
    seen_when(&machine, &speaker, |seen| seen.state == ReplicaState::Exited).await;
    assert!(!Path::new("/tmp/daybook-was-here").exists());

    for target in ["/../../../escape", "../escape", "/a/../../escape"] {
        let mut climber = launch(&machine, &["sleep"]);
        climber.id = replica(2);
        climber.files.push(LaunchFile { target: target.into(), content: vec![1], uid: None, gid: None, mode: 0o400 });
        assert_eq!(machine.runtime.start(&climber).await.unwrap_err().kind, ErrorKind::Refused, "{target}");
        climber.files.clear();
        let source = MountSource::Volume { name: "v".parse().unwrap(), subpath: Some(target.into()), nocopy: true };
        climber.container.mounts = vec![Mount { target: "/v".into(), source, read_only: false }];
        assert_eq!(machine.runtime.start(&climber).await.unwrap_err().kind, ErrorKind::Refused, "{target}");
    }
    machine.clean().await;
}

#[tokio::test]
async fn r38_processes_and_processor_time_are_bounded() {
    let machine = open().await;
    let mut launch = launch(&machine, &["serve"]);
    launch.container.resources.pids = Some(64);
    launch.container.resources.cpu_millis = Some(250);
    machine.runtime.start(&launch).await.unwrap();
    let running = when_running(&machine, &launch).await;
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", pid(&running).await)).unwrap();
    if machine.runtime.check().await.unwrap().contains("pids") {
        assert!(groups.lines().any(|line| line.contains("/daybook/") && line.ends_with("/web.1.main")), "{groups}");
    }
    machine.clean().await;
}

#[tokio::test]
async fn a_replica_runs_as_its_user() {
    let machine = open().await;
    if !rustix::process::geteuid().is_root() {
        let mut other = launch(&machine, &["id"]);
        other.container.user = Some("0".to_owned());
        assert_eq!(machine.runtime.start(&other).await.unwrap_err().kind, ErrorKind::Refused);
        return;
    }
    let mut launch = launch(&machine, &["append", "/data/lines", "mine"]);
    launch.container.user = Some("4711:4712".to_owned());
    let source = MountSource::Volume { name: "data".parse().unwrap(), subpath: None, nocopy: false };
    launch.container.mounts = vec![Mount { target: "/data".into(), source, read_only: false }];
    machine.runtime.start(&launch).await.unwrap();
    let ended = seen_when(&machine, &launch, |seen| seen.state == ReplicaState::Exited).await;
    assert_eq!(ended.last_exit.map(|exit| exit.code), Some(0));
    let file = machine.state.path().join("process/contract/process/volumes/data/lines");
    let meta = fs::metadata(file).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((meta.uid(), meta.gid()), (4711, 4712));
    let mut unknown = launch.clone();
    unknown.id = replica(2);
    unknown.container.user = Some("nobody-of-this-name".to_owned());
    assert_eq!(machine.runtime.start(&unknown).await.unwrap_err().kind, ErrorKind::Refused);
    machine.clean().await;
}

#[tokio::test]
async fn a_replica_writes_to_a_copy_and_not_to_the_snapshot() {
    let machine = open().await;
    let writer = launch(&machine, &["append", "/testapp", "more"]);
    machine.runtime.start(&writer).await.unwrap();
    seen_when(&machine, &writer, |seen| seen.state == ReplicaState::Exited).await;
    let (artifact, _) = machine.artifact();
    let program = machine.state.path().join("artifacts").join(artifact.hex()).join("testapp");
    let original = fs::metadata(env!("CARGO_BIN_EXE_daybook-testapp")).unwrap().len();
    assert_eq!(fs::metadata(program).unwrap().len(), original);
    machine.clean().await;
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_with_a_hint() {
    let machine = open().await;
    let reference = "nginx:1.27".to_owned();
    let image = Artifact::image(reference, PullPolicy::Missing, None);
    let error = machine.runtime.resolve(&machine.key(), &image).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.hint.unwrap().starts_with("images need Docker or Podman"));
    let mut nothing = launch(&machine, &[]);
    nothing.container.command = None;
    let error = machine.runtime.start(&nothing).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Refused, "service web has no command"));
    let mut unknown = launch(&machine, &["serve"]);
    unknown.artifact = daybook_model::Digest::of(b"not here");
    assert_eq!(machine.runtime.start(&unknown).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn each_port_has_a_variable_of_its_own() {
    let machine = open().await;
    let mut launch = launch(&machine, &["serve"]);
    launch.ports.push(Port { container: 9090, protocol: Protocol::Tcp, publish: None });
    launch.hosts.push(("api-2".to_owned(), "127.64.0.9".parse().unwrap()));
    machine.runtime.start(&launch).await.unwrap();
    let running = when_running(&machine, &launch).await;
    let variable = async |name: &str| get(&running, &format!("/env?{name}")).await;
    assert_eq!(variable("PORT").await, running.ports[&8080].to_string());
    assert_eq!(variable("PORT_8080").await, running.ports[&8080].to_string());
    assert_eq!(variable("PORT_9090").await, running.ports[&9090].to_string());
    assert_eq!(variable("DAYBOOK_HOST_API_2").await, "127.64.0.9");
    assert_eq!(variable("DAYBOOK_REPLICA").await, "web.1");
    assert_eq!(variable("CARGO").await, "", "nothing of the server's environment is inherited");
    machine.clean().await;
}

#[tokio::test]
async fn a_command_that_nobody_reads_is_killed() {
    let machine = open().await;
    let launch = launch(&machine, &["serve"]);
    machine.runtime.start(&launch).await.unwrap();
    when_running(&machine, &launch).await;
    let argv = vec![machine.program(), "sleep".to_owned()];
    let request = ExecRequest { argv, tty: None, user: None, working_dir: None };
    let processes = async || machine.runtime.usage(&launch.key).await.unwrap()[0].pids;
    let before = processes().await;
    let exec = machine.runtime.exec(&launch.key, &launch.id, &request).await.unwrap();
    eventually(async || if processes().await > before { Ok(()) } else { Err("it has not begun".to_owned()) }).await;
    drop(exec);
    eventually(async || if processes().await <= before { Ok(()) } else { Err("it goes on".to_owned()) }).await;
    machine.clean().await;
}

/// A file system of its own, of few megabytes.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let options = ["-t", "tmpfs", "-o", "size=40m,mode=0711", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(place.path()).status().unwrap();
        assert!(mounted.success(), "this test mounts a file system: it needs root");
        Self(place)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn r12_a_full_disk_refuses_new_replicas_and_keeps_the_old() {
    let disk = Disk::new();
    let machine = open_at(tempfile::tempdir_in(disk.0.path()).unwrap()).await;
    let mut old = launch(&machine, &["serve"]);
    old.restart = Restart::Always;
    machine.runtime.start(&old).await.unwrap();
    let running = when_running(&machine, &old).await;
    let rest = machine.state.path().join("rest");
    let full = std::io::copy(&mut std::io::repeat(0), &mut fs::File::create(&rest).unwrap()).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    let mut new = launch(&machine, &["serve"]);
    new.id = replica(2);
    let refused = machine.runtime.start(&new).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Full, "{refused}");
    let left = machine.state.path().join("process/contract/process/web.2.main");
    assert!(!left.exists(), "something half made is left");
    assert_eq!(get(&running, "/healthz").await, "well");
    // Its end is neither written nor logged, but seen, and it is started again.
    signal(pid(&running).await, Signal::KILL);
    let again = seen_when(&machine, &old, |seen| seen.is_running() && seen.restarts == 1).await;
    assert_eq!(get(&again, "/healthz").await, "well");

    fs::remove_file(rest).unwrap();
    machine.runtime.start(&new).await.unwrap();
    when_running(&machine, &new).await;
    machine.clean().await;
}
