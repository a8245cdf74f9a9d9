//! What every runtime does. No program is asked anything here: a simulated one will do.

use daybook_model::launch::Role;
use daybook_model::observed::ReplicaState;
use daybook_model::spec::{Network, Stop, Volume};
use daybook_runtime::{ErrorKind, FarVolume};

use crate::subject::{Subject, fingerprint, launch, replica, seen, seen_when, when_running};

pub(crate) async fn a_replica_lives_from_start_to_remove(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let launch = launch(subject, &["serve"]);
    assert!(seen(&*runtime, &launch.key, &launch.id, Role::Main).await.is_none());

    runtime.start(&launch).await.unwrap();
    let running = seen_when(subject, &launch, |seen| seen.state == ReplicaState::Running).await;
    assert_eq!((&running.fingerprint, running.release, running.run), (&launch.fingerprint, launch.release, launch.run));
    assert_eq!(running.restarts, 0);

    runtime.stop(&launch.key, &launch.id, Role::Main, &launch.stop).await.unwrap();
    let ended = seen(&*runtime, &launch.key, &launch.id, Role::Main).await.unwrap();
    assert_eq!(ended.state, ReplicaState::Exited);
    assert_eq!(ended.last_exit.as_ref().map(|exit| exit.code), Some(143), "{ended:?}");
    runtime.stop(&launch.key, &launch.id, Role::Main, &launch.stop).await.unwrap();

    runtime.remove(&launch.key, &launch.id, Role::Main).await.unwrap();
    assert!(seen(&*runtime, &launch.key, &launch.id, Role::Main).await.is_none());
    runtime.remove(&launch.key, &launch.id, Role::Main).await.unwrap();
}

pub(crate) async fn r08_started_twice_it_runs_once(subject: &dyn Subject) {
    let (one, two) = (subject.runtime(), subject.reopened());
    let launch = launch(subject, &["serve"]);
    let results = futures::join!(one.start(&launch), two.start(&launch), one.start(&launch));
    for result in [results.0, results.1, results.2] {
        result.unwrap();
    }
    one.start(&launch).await.unwrap();
    let running = seen_when(subject, &launch, |seen| seen.state == ReplicaState::Running).await;
    assert_eq!(running.restarts, 0);
    assert_eq!(one.observe(&launch.key).await.unwrap().replicas.len(), 1);
}

pub(crate) async fn another_configuration_of_the_same_replica_is_a_conflict(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let first = launch(subject, &["serve"]);
    runtime.start(&first).await.unwrap();
    let mut other = first.clone();
    other.fingerprint = fingerprint("another");
    assert_eq!(runtime.start(&other).await.unwrap_err().kind, ErrorKind::Conflict);
    runtime.stop(&first.key, &first.id, Role::Main, &first.stop).await.unwrap();
    assert_eq!(runtime.start(&other).await.unwrap_err().kind, ErrorKind::Conflict, "ended, it is still the other");
    runtime.remove(&first.key, &first.id, Role::Main).await.unwrap();
    runtime.start(&other).await.unwrap();
}

pub(crate) async fn what_is_not_there_is_fine_to_stop_and_remove(subject: &dyn Subject) {
    let (runtime, key) = (subject.runtime(), subject.key());
    runtime.stop(&key, &replica(9), Role::Main, &Stop::default()).await.unwrap();
    runtime.remove(&key, &replica(9), Role::Hook).await.unwrap();
    runtime.remove_volume(&key, &"nothing".parse().unwrap()).await.unwrap();
    runtime.remove_network(&key, &"nothing".parse().unwrap()).await.unwrap();
    runtime.release(&key).await.unwrap();
    assert_eq!(runtime.observe(&key).await.unwrap(), daybook_runtime::Seen::default());
}

pub(crate) async fn a_running_replica_is_not_removed(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let launch = launch(subject, &["serve"]);
    runtime.start(&launch).await.unwrap();
    let error = runtime.remove(&launch.key, &launch.id, Role::Main).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    when_running(subject, &launch).await;
    let error = runtime.remove(&launch.key, &launch.id, Role::Main).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(seen(&*runtime, &launch.key, &launch.id, Role::Main).await.unwrap().is_running());
}

pub(crate) async fn r14_a_new_server_sees_what_runs(subject: &dyn Subject) {
    let launch = launch(subject, &["serve"]);
    subject.runtime().start(&launch).await.unwrap();
    let before = when_running(subject, &launch).await;

    let reopened = subject.reopened();
    let after = seen(&*reopened, &launch.key, &launch.id, Role::Main).await.unwrap();
    assert_eq!(after, before);
    reopened.stop(&launch.key, &launch.id, Role::Main, &launch.stop).await.unwrap();
    let ended = seen(&*subject.runtime(), &launch.key, &launch.id, Role::Main).await.unwrap();
    assert_eq!(ended.state, ReplicaState::Exited);
}

pub(crate) async fn an_environment_is_known_as_long_as_something_of_it_is_there(subject: &dyn Subject) {
    let (runtime, key) = (subject.runtime(), subject.key());
    assert!(!runtime.environments().await.unwrap().contains(&key));
    let launch = launch(subject, &["serve"]);
    runtime.start(&launch).await.unwrap();
    assert!(subject.reopened().environments().await.unwrap().contains(&key));
    runtime.stop(&key, &launch.id, Role::Main, &launch.stop).await.unwrap();
    runtime.remove(&key, &launch.id, Role::Main).await.unwrap();
    assert!(!runtime.environments().await.unwrap().contains(&key));
}

pub(crate) async fn volumes_and_networks_are_made_and_removed_once(subject: &dyn Subject) {
    let (runtime, key) = (subject.runtime(), subject.key());
    let (volume, network) = ("data".parse().unwrap(), "default".parse().unwrap());
    for _ in 0..2 {
        runtime.create_volume(&key, &volume, &Volume::default()).await.unwrap();
        runtime.create_network(&key, &network, &Network::default()).await.unwrap();
    }
    let seen = subject.reopened().observe(&key).await.unwrap();
    assert_eq!(seen.volumes.iter().collect::<Vec<_>>(), [&volume]);
    assert_eq!(seen.networks.iter().collect::<Vec<_>>(), [&network]);
    for _ in 0..2 {
        runtime.remove_volume(&key, &volume).await.unwrap();
        runtime.remove_network(&key, &network).await.unwrap();
    }
    assert_eq!(runtime.observe(&key).await.unwrap(), daybook_runtime::Seen::default());
}

pub(crate) async fn a_volume_is_in_a_directory_or_what_it_holds_is_carried(subject: &dyn Subject) {
    let (runtime, key) = (subject.runtime(), subject.key());
    let (name, volume) = ("data".parse().unwrap(), Volume::default());
    runtime.create_volume(&key, &name, &volume).await.unwrap();
    match runtime.volume_directory(&key, &name, &volume).await {
        Ok(Some(directory)) => return assert!(directory.is_dir(), "{}", directory.display()),
        Err(refused) => return assert!(refused.kind == ErrorKind::Refused && refused.hint.is_some(), "{refused}"),
        Ok(None) => {}
    }
    // Of a volume that is not there nothing is taken, and nothing is laid beside what it holds.
    let nothing = "nothing".parse().unwrap();
    let far = FarVolume { key: &key, name: &nothing, volume: &volume, services: Vec::new() };
    let here = tempfile::tempdir().unwrap();
    let into = here.path().join("taken");
    for error in [
        runtime.take_volume(&far, &into).await.unwrap_err(),
        runtime.lay_volume(&far, here.path()).await.unwrap_err(),
        runtime.exchange_volume(&far).await.unwrap_err(),
        runtime.settle_volume(&far).await.unwrap_err(),
    ] {
        assert!(matches!(error.kind, ErrorKind::NotFound | ErrorKind::Refused), "{error}");
        assert!(error.to_string().contains("nothing"), "{error}");
    }
    assert!(!into.exists());
}

pub(crate) async fn hooks_are_apart_from_the_replicas_of_a_service(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let main = launch(subject, &["serve"]);
    let mut hook = launch(subject, &["exit", "0"]);
    hook.role = Role::Hook;
    hook.ports.clear();
    runtime.start(&main).await.unwrap();
    runtime.start(&hook).await.unwrap();
    let ended = seen_when(subject, &hook, |seen| seen.state == ReplicaState::Exited).await;
    assert_eq!(ended.last_exit.map(|exit| exit.code), Some(0));
    when_running(subject, &main).await;
    runtime.remove(&hook.key, &hook.id, Role::Hook).await.unwrap();
    assert!(seen(&*runtime, &main.key, &main.id, Role::Main).await.unwrap().is_running());
    assert!(seen(&*runtime, &hook.key, &hook.id, Role::Hook).await.is_none());
}

pub(crate) async fn an_ended_replica_can_be_started_again(subject: &dyn Subject) {
    let runtime = subject.runtime();
    let launch = launch(subject, &["serve"]);
    for _ in 0..2 {
        runtime.start(&launch).await.unwrap();
        when_running(subject, &launch).await;
        runtime.stop(&launch.key, &launch.id, Role::Main, &launch.stop).await.unwrap();
        assert!(!seen(&*runtime, &launch.key, &launch.id, Role::Main).await.unwrap().is_running());
    }
}

pub(crate) async fn a_service_keeps_its_address(subject: &dyn Subject) {
    let (runtime, key) = (subject.runtime(), subject.key());
    let (web, api) = ("web".parse().unwrap(), "api".parse().unwrap());
    let first = runtime.service_address(&key, &web).await.unwrap();
    assert_eq!(first.is_some(), runtime.capabilities().service_addresses);
    assert_eq!(subject.reopened().service_address(&key, &web).await.unwrap(), first);
    let other = runtime.service_address(&key, &api).await.unwrap();
    assert!(first.is_none() || other != first);
}
