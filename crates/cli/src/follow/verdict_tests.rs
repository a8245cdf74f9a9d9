use daybook_api::run::VerdictView;

use super::*;
use crate::follow::fixture::rollout;
use crate::output::style::plain;

fn failure() -> FailureView {
    FailureView {
        why: "new replicas never became ready".to_owned(),
        evidence: vec![
            "GET /healthz answers 500 since it started: relation \"coupons\" does not exist".to_owned(),
            "web.3 was asked 40 times in 2 min".to_owned(),
        ],
        log: (1..=25).map(|i| format!("12:04:{i:02} web.3  ERROR line {i}")).collect(),
    }
}

fn failing(outcome: Outcome, done: u32) -> RunView {
    let mut view = rollout(done);
    let at = usize::try_from(done).unwrap();
    view.steps[at].state = StepState::Failed;
    view.state = RunState::Finished;
    view.verdict = Some(VerdictView { outcome, failure: Some(failure()) });
    view
}

#[test]
fn r01_success_says_how_many_requests_there_were_and_how_many_failed() {
    let urls = ["https://shop.example.com".to_owned()];
    insta::assert_snapshot!(plain(&text(&rollout(99), &urls)), @r"
    ✓ shop/production is at release 42 in 3:07.  18,330 requests during the rollout, 0 failed.
      https://shop.example.com      undo: daybook rollback      watch: daybook status
    ");
    let mut bad = rollout(99);
    bad.traffic.failed = 2;
    bad.from = None;
    insta::assert_snapshot!(plain(&text(&bad, &[])), @r"
    ✓ shop/production is at release 42 in 3:07.  18,330 requests during the rollout, 2 failed.
      watch: daybook status
    ");
}

#[test]
fn r04_a_failure_says_what_serves_why_the_last_lines_and_the_next_command() {
    let view = failing(Outcome::SwappedBack, 3);
    assert_eq!(exit(&view).code(), 4);
    insta::assert_snapshot!(plain(&text(&view, &[])), @r#"
    ✗ web      new replicas never became ready; release 41 serves on, nothing was moved.   exit 4

      Why       GET /healthz answers 500 since it started: relation "coupons" does not exist
                web.3 was asked 40 times in 2 min
      Last      12:04:06 web.3  ERROR line 6
                12:04:07 web.3  ERROR line 7
                12:04:08 web.3  ERROR line 8
                12:04:09 web.3  ERROR line 9
                12:04:10 web.3  ERROR line 10
                12:04:11 web.3  ERROR line 11
                12:04:12 web.3  ERROR line 12
                12:04:13 web.3  ERROR line 13
                12:04:14 web.3  ERROR line 14
                12:04:15 web.3  ERROR line 15
                12:04:16 web.3  ERROR line 16
                12:04:17 web.3  ERROR line 17
                12:04:18 web.3  ERROR line 18
                12:04:19 web.3  ERROR line 19
                12:04:20 web.3  ERROR line 20
                12:04:21 web.3  ERROR line 21
                12:04:22 web.3  ERROR line 22
                12:04:23 web.3  ERROR line 23
                12:04:24 web.3  ERROR line 24
                12:04:25 web.3  ERROR line 25
      Next      daybook why web
    "#);
}

#[test]
fn a_swap_back_after_traffic_moved_says_who_serves_again() {
    let shown = plain(&text(&failing(Outcome::SwappedBack, 7), &[]));
    assert!(shown.lines().next().unwrap().ends_with("release 41 serves again.   exit 4"), "{shown}");
}

#[test]
fn a_first_release_that_fails_leaves_nothing_to_serve() {
    let mut view = failing(Outcome::Failed, 3);
    view.from = None;
    assert_eq!(exit(&view).code(), 1);
    let shown = plain(&text(&view, &[]));
    assert!(shown.lines().next().unwrap().ends_with("there is no earlier release to serve.   exit 1"), "{shown}");
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let mut view = rollout(4);
    view.state = RunState::Interrupted;
    view.key = "shop/staging".parse().unwrap();
    assert_eq!(exit(&view).code(), 6);
    insta::assert_snapshot!(plain(&text(&view, &[])), @r"
    ■ shop/staging stopped after 4 of 10 steps on the way to release 42; what served still serves.
      go on: daybook resume -e staging      give up: daybook resume --abandon -e staging
    ");
}
