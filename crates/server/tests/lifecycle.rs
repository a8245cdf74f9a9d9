//! An environment from its first release to its end, over the API.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Server, down, first, key, manifest, rollback, scale, services, up};
use daybook_api::change::Change;
use daybook_api::client::Error;
use daybook_api::event::EventsQuery;
use daybook_api::history::HistoryQuery;
use daybook_api::run::{Expect, Outcome, RunReply, RunRequest, RunState, StepState};
use daybook_api::status::ServiceState;
use daybook_api::{ErrorBody, ErrorCode};
use daybook_model::ReleaseNumber;
use daybook_runtime::Owner;
use daybook_runtime::simulated::{Behaviour, Simulated};

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorBody {
    result.unwrap_err().refusal().expect("the server refused").clone()
}

fn artifact(tag: &str) -> daybook_model::Digest {
    daybook_model::Digest::of(format!("shop:{tag}").as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_first_release_to_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let plan = server.plan(up(&manifest("1", ""))).await;
    assert!(!plan.empty && plan.text.contains("web"), "{}", plan.text);

    let run = server.carry_out(up(&manifest("1", ""))).await;
    assert_eq!(run.verdict.unwrap().outcome, Outcome::Reached);
    assert!(run.steps.iter().all(|step| step.state == StepState::Done));
    let status = server.client.status(&key()).await.unwrap();
    assert_eq!((status.release, status.services[0].state), (Some(ReleaseNumber(1)), ServiceState::Running));
    assert!(server.plan(up(&manifest("1", ""))).await.empty);
    let again = server.client.run(&RunRequest { change: up(&manifest("1", "")), expect: None }).await.unwrap();
    assert!(matches!(again, RunReply::Nothing(_)));

    for (change, wanted, release) in
        [(scale(3), 3, 2), (up(&manifest("2", "")), 1, 3), (rollback(Some(2)), 3, 4), (rollback(None), 1, 5)]
    {
        let run = server.carry_out(change).await;
        assert_eq!(run.verdict.unwrap().outcome, Outcome::Reached);
        let status = server.client.status(&key()).await.unwrap();
        let web = &status.services[0];
        assert_eq!((status.release, web.wanted, web.ready), (Some(ReleaseNumber(release)), wanted, wanted));
    }
    server.carry_out(Change::Stop(services())).await;
    assert_eq!(server.client.status(&key()).await.unwrap().services[0].state, ServiceState::Stopped);
    server.carry_out(Change::Start(services())).await;
    server.carry_out(Change::Restart(services())).await;

    let history = server.client.history(&key(), &HistoryQuery { limit: Some(3) }).await.unwrap();
    let reasons: Vec<_> = history.iter().map(|entry| (entry.reason.as_str(), entry.current)).collect();
    assert_eq!(reasons, [("restart", true), ("start", false), ("stop", false)]);
    server.carry_out(down()).await;
    assert!(server.client.environments().await.unwrap().is_empty());
    assert!(server.world.picture().lines().all(|line| !line.contains("web")), "{}", server.world.picture());
    assert_eq!(server.world.violations(), Vec::<String>::new());
    assert_eq!(server.client.verify_journal().await.unwrap().damaged, None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_of_two_changes_one_wins_and_the_other_is_told_which() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(2)).await;
    let request = |tag| RunRequest { change: up(&manifest(tag, "")), expect: None };
    let (one, two) = (request("1"), request("2"));
    let (one, two) = tokio::join!(server.client.run(&one), server.client.run(&two));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let RunReply::Started(started) = won.unwrap() else { panic!("nothing to do") };
    let refused = refusal(lost);
    assert_eq!((refused.code, refused.run), (ErrorCode::Locked, Some(started.run)));
    assert_eq!(server.ended(started.run).await.state, RunState::Finished);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_a_saved_plan_that_holds_no_more_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(3)).await;
    let plan = server.plan(up(&manifest("1", ""))).await;
    let expect = Some(Expect { plan_id: plan.plan_id, basis: plan.basis });
    let request = RunRequest { change: up(&manifest("1", "")), expect };
    server.carry_out(up(&manifest("2", ""))).await;
    assert_eq!(refusal(server.client.run(&request).await).code, ErrorCode::Stale);

    let plan = server.plan(up(&manifest("1", ""))).await;
    let expect = Some(Expect { plan_id: plan.plan_id, basis: plan.basis });
    let request = RunRequest { change: up(&manifest("1", "")), expect };
    let RunReply::Started(started) = server.client.run(&request).await.unwrap() else { panic!("nothing to do") };
    assert_eq!(server.ended(started.run).await.verdict.unwrap().outcome, Outcome::Reached);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r04_a_version_that_never_gets_ready_leaves_the_old_one_serving() {
    let dir = tempfile::tempdir().unwrap();
    let world = Simulated::new(4);
    let server = Server::start(dir.path(), &world).await;
    server.carry_out(up(&manifest("1", ""))).await;
    world.behave(
        &artifact("2"),
        Behaviour { ends_after_ms: Some((20, 3)), ready_after_ms: None, ..Behaviour::default() },
    );
    let run = server
        .carry_out(up(&manifest("2", "    rollout: {ready: 2s, probation: 0s}\n").replacen(
            "    rollout: {probation: 100ms}\n",
            "",
            1,
        )))
        .await;
    let verdict = run.verdict.unwrap();
    assert_eq!(verdict.outcome, Outcome::SwappedBack);
    assert!(!verdict.failure.unwrap().why.is_empty());
    let status = server.client.status(&key()).await.unwrap();
    assert_eq!((status.release, status.services[0].ready), (Some(ReleaseNumber(1)), 1));
    let why = server.client.why(&key(), &"web".parse().unwrap()).await.unwrap();
    assert!(!why.headline.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r02_a_run_goes_on_with_the_next_server() {
    let dir = tempfile::tempdir().unwrap();
    let world = Simulated::new(5);
    let server = Server::start(dir.path(), &world).await;
    let started = server.begin(up(&manifest("1", "").replace("100ms", "1s"))).await;
    server.until(started.run, "step_started").await;
    server.stop().await;

    let server = Server::start(dir.path(), &world).await;
    assert_eq!(server.ended(started.run).await.verdict.unwrap().outcome, Outcome::Reached);
    assert_eq!(world.violations(), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_waits_to_be_resumed_or_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let world = Simulated::new(6);
    let server = Server::start(dir.path(), &world).await;
    let change = || up(&manifest("1", "").replace("100ms", "30s"));
    let started = server.begin(change()).await;
    server.until(started.run, "step_finished").await;
    server.client.interrupt(started.run).await.unwrap();
    server.until(started.run, "run_interrupted").await;
    let locked = server.client.run(&RunRequest { change: change(), expect: None }).await;
    assert_eq!(refusal(locked).run, Some(started.run));

    server.stop().await;
    let server = Server::start(dir.path(), &world).await;
    assert_eq!(server.client.run_view(started.run).await.unwrap().state, RunState::Interrupted);
    server.client.resume(started.run).await.unwrap();
    server.until(started.run, "run_resumed").await;
    let view = server.client.abandon(started.run).await.unwrap();
    assert_eq!(view.verdict.unwrap().outcome, Outcome::Abandoned);
    assert_eq!(refusal(server.client.resume(started.run).await).code, ErrorCode::Stale);
    assert_eq!(server.carry_out(up(&manifest("1", ""))).await.verdict.unwrap().outcome, Outcome::Reached);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_what_runs_without_a_record_is_taken_on_and_released_again() {
    let (dir, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = Simulated::new(7);
    let server = Server::start(dir.path(), &world).await;
    server.carry_out(up(&manifest("1", ""))).await;
    server.carry_out(scale(2)).await;
    server.stop().await;

    let server = Server::start(empty.path(), &world).await;
    let query = EventsQuery { after: Some(0), ..EventsQuery::default() };
    first(server.client.follow_events(&query).await.unwrap(), |event| event.kind == "adopted").await;
    let status = server.client.status(&key()).await.unwrap();
    assert!(status.adopted && status.release.is_none());
    assert_eq!((status.services[0].name.as_str(), status.services[0].replicas.len()), ("web", 2));
    let before = world.picture();
    let same = manifest("1", "    scale: 2\n");
    let run = server.carry_out(up(&same)).await;
    assert_eq!(
        (run.verdict.unwrap().outcome, run.to),
        (Outcome::Reached, ReleaseNumber(3)),
        "no number that runs is used again"
    );
    assert_eq!(world.picture(), before, "nothing that ran was replaced");
    assert!(!server.client.status(&key()).await.unwrap().adopted);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_an_environment_of_another_daybook_is_left_alone_until_it_is_adopted_by_name() {
    let (dir, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = Simulated::new(11);
    let server = Server::start(dir.path(), &world).await;
    server.carry_out(up(&manifest("1", ""))).await;
    server.stop().await;
    let owner = Owner { id: "1".into(), machine: "elsewhere 1:2".into(), state: "/var/lib/daybook".into() };
    world.give_away(&key(), owner);
    let before = world.picture();

    let server = Server::start(empty.path(), &world).await;
    assert!(server.client.environments().await.unwrap().is_empty());
    let others = server.client.other_environments().await.unwrap();
    assert_eq!((others[0].key.clone(), others[0].state.as_str()), (key(), "/var/lib/daybook"));
    let checks = server.client.doctor().await.unwrap();
    let check = checks.iter().find(|check| check.check == "other owners").unwrap();
    assert!(check.fix.as_ref().unwrap().contains("daybook env adopt production --app shop"));
    let refused = refusal(server.client.run(&RunRequest { change: up(&manifest("2", "")), expect: None }).await);
    assert!(refused.message.contains("another Daybook, the one of /var/lib/daybook on elsewhere"), "{refused:?}");
    assert_eq!(world.picture(), before);

    let adopted = server.client.adopt_environment(&key()).await.unwrap();
    assert!(adopted.adopted && adopted.services == 1);
    let events = server.client.events(&EventsQuery::default()).await.unwrap();
    assert!(
        events.iter().any(|event| event.kind == "adopted" && event.actor.name != "daybook"),
        "a person asked for it"
    );
    let run = server.carry_out(up(&manifest("2", ""))).await;
    assert_eq!(run.verdict.unwrap().outcome, Outcome::Reached);
    let unknown = "no/such".parse().unwrap();
    assert_eq!(refusal(server.client.adopt_environment(&unknown).await).code, ErrorCode::NotFound);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r07_a_lost_replica_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let world = Simulated::new(8);
    let server = Server::start(dir.path(), &world).await;
    server.carry_out(up(&manifest("1", "    scale: 2\n"))).await;
    let after = server.client.events(&EventsQuery::default()).await.unwrap().last().unwrap().seq;
    world.lose("web.1");
    let query = EventsQuery { after, key: Some(key()), ..EventsQuery::default() };
    let events = server.client.follow_events(&query).await.unwrap();
    let began = first(events, |event| event.kind == "run_started").await;
    assert_eq!(began.actor.name, "daybook");
    let run = server.ended(began.run.unwrap()).await;
    assert_eq!((run.verdict.unwrap().outcome, run.to), (Outcome::Reached, ReleaseNumber(1)));
    assert_eq!(server.client.status(&key()).await.unwrap().services[0].ready, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_made_and_removed_only_when_nothing_runs() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(9)).await;
    let made = server.client.create_environment(&key()).await.unwrap();
    assert_eq!((made.release, made.services), (None, 0));
    assert_eq!(refusal(server.client.create_environment(&key()).await).code, ErrorCode::Usage);
    server.client.remove_environment(&key()).await.unwrap();
    assert_eq!(refusal(server.client.remove_environment(&key()).await).code, ErrorCode::NotFound);
    server.carry_out(up(&manifest("1", ""))).await;
    assert_eq!(refusal(server.client.remove_environment(&key()).await).code, ErrorCode::Denied);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_shown_before_everything_can_be_had_and_carried_out_only_after() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    server.world.behave(&artifact("1"), Behaviour { unknown: true, ..Behaviour::default() });
    let text = manifest("1", "    environment: {KEY: {secret: outside}}\n    env_file: settings.env\n");
    let plan = server.plan(up(&text)).await;
    assert!(plan.text.contains("shop:1 (digest known after pull)"), "{}", plan.text);
    let open: Vec<_> = plan.unresolved.iter().map(|open| (open.kind.as_str(), open.name.as_str())).collect();
    assert_eq!(open, [("image", "shop:1"), ("secret", "outside")]);
    assert!(plan.diagnostics.iter().all(|found| found.severity == "warning"));
    assert!(plan.diagnostics.iter().any(|found| found.code == "M0401" && found.line == 8), "{:?}", plan.diagnostics);

    let run = |text: &str| RunRequest { change: up(text), expect: None };
    let refused = refusal(server.client.run(&run(&text)).await);
    assert!(refused.diagnostics.iter().any(|found| found.code == "M0401" && found.severity == "error"));
    let refused = refusal(server.client.run(&run(&text.replace("env_file", "x-env_file"))).await);
    let said: Vec<_> = refused.diagnostics.iter().map(|found| (found.code.as_str(), found.line)).collect();
    assert_eq!(said, [("P0103", 3), ("P0120", 3)], "everything at once: {refused:?}");
    assert!(server.client.environments().await.unwrap().is_empty(), "nothing was recorded");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_it_costs_and_a_budget_refuses_what_costs_more() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let with = |budget: &str, cpu: &str| {
        format!("{}budget: {budget}\n", manifest("1", &format!("    resources: {{cpu: {cpu}, memory: 256M}}\n")))
    };
    let blocks = "{at: ovh/eu, monthly: 60 USD, over: block}";
    let plan = server.plan(up(&with(blocks, "1"))).await;
    let cost = plan.cost.unwrap();
    assert_eq!((cost.before, &*cost.currency, &*cost.place, cost.refused), (None, "USD", "ovh/eu", false));
    assert!(plan.text.contains("  Cost      $") && plan.text.contains("budget $60.00"), "{}", plan.text);
    server.carry_out(up(&with(blocks, "1"))).await;

    let more = with(blocks, "6");
    let plan = server.plan(up(&more)).await;
    assert!(plan.cost.unwrap().refused && plan.text.contains("over the budget of $60.00"), "{}", plan.text);
    let refused = refusal(server.client.run(&RunRequest { change: up(&more), expect: None }).await);
    assert_eq!(refused.code, ErrorCode::Denied);
    assert!(refused.message.contains("more than its budget of $60.00"), "{}", refused.message);
    let warned = server.carry_out(up(&more.replace("over: block", "over: warn"))).await;
    assert_eq!(warned.verdict.unwrap().outcome, Outcome::Reached);
    let less = server.carry_out(up(&with("{at: ovh/eu, monthly: 1 USD, over: block}", "1"))).await;
    assert_eq!(less.verdict.unwrap().outcome, Outcome::Reached, "over, and less than what runs");

    let unknown = server.client.run(&RunRequest { change: up(&with("{at: ovh/ue}", "1")), expect: None }).await;
    let unknown = refusal(unknown);
    assert!(unknown.message.contains("`ovh/eu`"), "{}", unknown.message);
    server.stop().await;
}
