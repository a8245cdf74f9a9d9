use daybook_model::launch::Role;
use daybook_model::spec::Restart;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use super::*;
use crate::objects::tests::{around, launch, web};
use crate::objects::{Workload, workload};

/// The Deployment of a web service's replica.
fn deployment() -> Deployment {
    match workload(&launch(&web(), Role::Main), &around()).unwrap() {
        Workload::Deployment(deployment) => *deployment,
        other => panic!("{other:?}"),
    }
}

/// The Job of something that ends, with what the cluster says of it.
fn job(restart: Restart, suspended: bool, status: Value) -> Keeper {
    let mut service = web();
    service.restart = restart;
    let Workload::Job(mut job) = workload(&launch(&service, Role::Main), &around()).unwrap() else { panic!("a job") };
    job.spec.as_mut().unwrap().suspend = Some(suspended);
    job.status = serde_json::from_value(status).unwrap();
    Keeper::of_job(&job).unwrap()
}

fn kept() -> Keeper {
    Keeper::of_deployment(&deployment()).unwrap()
}

fn stopped() -> Keeper {
    let mut deployment = deployment();
    deployment.spec.replicas = Some(0);
    Keeper::of_deployment(&deployment).unwrap()
}

/// A pod in a phase, whose container is in a state and was in another.
fn pod(phase: &str, state: &Value, before: &Value, restarts: i32) -> Pod {
    let container = json!({
        "name": "replica", "image": "x", "imageID": "x", "ready": false, "restartCount": restarts,
        "state": state, "lastState": before,
    });
    let status = json!({"phase": phase, "podIP": "10.0.0.7", "containerStatuses": [container]});
    serde_json::from_value(json!({"metadata": {"name": "web-1-x"}, "status": status})).unwrap()
}

fn retrying(mut pod: Pod) -> Pod {
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(crate::objects::RETRIES.to_owned(), "3".to_owned());
    pod
}

fn terminated(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": "2026-01-01T00:00:05Z"}})
}

fn running() -> Value {
    json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
}

fn waiting(reason: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": "it says why"}})
}

/// What is seen, on one line.
fn told(keeper: &Keeper, pods: &[Pod]) -> String {
    let seen = seen(keeper, &pods.iter().collect::<Vec<_>>());
    let exit = seen.last_exit.map_or("no exit".to_owned(), |exit| {
        let oom = if exit.oom { " out of memory" } else { "" };
        format!("exit {}{oom} {}", exit.code, exit.error.unwrap_or_default())
    });
    let address = seen.address.map_or("no address".to_owned(), |address| address.to_string());
    format!("{:?}, {} restarts, {}, {address}", seen.state, seen.restarts, exit.trim())
}

#[test]
fn a_kept_replica_is_told_as_its_pod_is() {
    let none = || json!({});
    let unscheduled = json!({"status": {"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]}});
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"}});
    let of = |value: Value| serde_json::from_value::<Pod>(value).unwrap();
    let table = [
        ("no pod yet", vec![]),
        ("running", vec![pod("Running", &running(), &none(), 0)]),
        ("being made", vec![pod("Pending", &waiting("ContainerCreating"), &none(), 0)]),
        ("no image", vec![pod("Pending", &waiting("ImagePullBackOff"), &none(), 0)]),
        ("no machine", vec![of(unscheduled)]),
        ("crashes", vec![pod("Running", &waiting("CrashLoopBackOff"), &terminated(1, "Error"), 4)]),
        ("just ended", vec![pod("Running", &terminated(3, "Error"), &none(), 0)]),
        ("too much memory", vec![pod("Running", &running(), &terminated(137, "OOMKilled"), 1)]),
        ("evicted", vec![of(evicted.clone())]),
        ("evicted, and another is there", vec![of(evicted), pod("Running", &running(), &none(), 0)]),
    ];
    let lines = table.map(|(what, pods)| format!("{what}: {}", told(&kept(), &pods)));
    insta::assert_snapshot!(lines.join("\n"), @r"
    no pod yet: Starting, 0 restarts, no exit, no address
    running: Running, 0 restarts, no exit, 10.0.0.7
    being made: Starting, 0 restarts, no exit, no address
    no image: Starting, 0 restarts, exit -1 ImagePullBackOff: it says why, no address
    no machine: Starting, 0 restarts, exit -1 no machine takes it: 0/3 nodes are available, no address
    crashes: Restarting, 4 restarts, exit 1, no address
    just ended: Restarting, 0 restarts, exit 3, no address
    too much memory: Running, 1 restarts, exit 137 out of memory, 10.0.0.7
    evicted: Restarting, 0 restarts, exit -1 Evicted: the node was low on memory, no address
    evicted, and another is there: Running, 0 restarts, exit -1 Evicted: the node was low on memory, 10.0.0.7
    ");
}

#[test]
fn a_replica_that_was_stopped_has_ended() {
    assert!(told(&stopped(), &[]).starts_with("Exited"));
    let ended = pod("Succeeded", &terminated(0, "Completed"), &json!({}), 0);
    assert!(told(&stopped(), &[ended]).starts_with("Exited, 0 restarts, exit 0"));
    let leaves = pod("Running", &running(), &json!({}), 0);
    assert!(told(&stopped(), &[leaves]).starts_with("Running"), "it serves until it has gone");
}

#[test]
fn a_set_that_is_being_deleted_is_leaving() {
    let mut set = StatefulSet { metadata: deployment().metadata, ..StatefulSet::default() };
    assert!(!Keeper::of_stateful_set(&set).unwrap().leaving);
    set.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    assert!(Keeper::of_stateful_set(&set).unwrap().leaving);
    let terminating = pod("Running", &running(), &json!({}), 0);
    assert!(told(&Keeper::of_stateful_set(&set).unwrap(), &[terminating]).starts_with("Running"));
}

#[test]
fn a_job_has_ended_when_nobody_tries_again() {
    let failed = || pod("Failed", &terminated(2, "Error"), &json!({}), 0);
    let done = || pod("Succeeded", &terminated(0, "Completed"), &json!({}), 0);
    let condition =
        |kind: &str, failed: u32| json!({"failed": failed, "conditions": [{"type": kind, "status": "True"}]});
    let again = Restart::OnFailure(Some(3));
    let table = [
        ("runs", told(&job(Restart::No, false, json!({})), &[pod("Running", &running(), &json!({}), 0)])),
        ("complete", told(&job(Restart::No, false, condition("Complete", 0)), &[done()])),
        ("failed", told(&job(Restart::No, false, condition("Failed", 1)), &[failed()])),
        ("failed, its pod is gone", told(&job(Restart::No, false, condition("Failed", 1)), &[])),
        ("failed, not yet said", told(&job(Restart::No, false, json!({})), &[failed()])),
        ("tried again", told(&job(again, false, json!({"failed": 1})), &[retrying(failed())])),
        ("done, not yet said", told(&job(again, false, json!({"failed": 1})), &[retrying(done())])),
        ("given up", told(&job(again, false, condition("Failed", 4)), &[retrying(failed())])),
        ("suspended", told(&job(Restart::No, true, json!({})), &[])),
    ];
    insta::assert_snapshot!(table.map(|(what, told)| format!("{what}: {told}")).join("\n"), @r"
    runs: Running, 0 restarts, no exit, 10.0.0.7
    complete: Exited, 0 restarts, exit 0, no address
    failed: Exited, 0 restarts, exit 2, no address
    failed, its pod is gone: Exited, 0 restarts, no exit, no address
    failed, not yet said: Exited, 0 restarts, exit 2, no address
    tried again: Restarting, 1 restarts, exit 2, no address
    done, not yet said: Exited, 0 restarts, exit 0, no address
    given up: Exited, 3 restarts, exit 2, no address
    suspended: Exited, 0 restarts, no exit, no address
    ");
}

#[test]
fn the_answer_of_a_command_is_the_machines() {
    let asked = |ready: Value| {
        let mut pod = pod("Running", &running(), &json!({}), 0);
        let probed = json!({"containers": [{"name": "replica", "readinessProbe": {"exec": {"command": ["check"]}}}]});
        pod.spec = serde_json::from_value(probed).unwrap();
        pod.status.as_mut().unwrap().conditions = serde_json::from_value(json!([ready])).unwrap();
        seen(&kept(), &[&pod]).health
    };
    let ready = |status: &str, since: &str| json!({"type": "Ready", "status": status, "lastTransitionTime": since});
    assert_eq!(asked(ready("True", "2026-01-01T00:00:09Z")), Health::Healthy);
    assert_eq!(asked(ready("False", "2026-01-01T00:00:00Z")), Health::Starting, "it was never ready");
    assert!(matches!(asked(ready("False", "2026-01-01T00:01:00Z")), Health::Unhealthy(_)));
    let unasked = pod("Running", &running(), &json!({}), 0);
    assert_eq!(seen(&kept(), &[&unasked]).health, Health::Unasked);
}

#[test]
fn what_does_not_say_that_it_is_ours_is_left_alone() {
    let mut deployment = deployment();
    deployment.metadata.annotations = None;
    assert!(Keeper::of_deployment(&deployment).is_none());
    assert!(Keeper::of_job(&Job::default()).is_none());
}
