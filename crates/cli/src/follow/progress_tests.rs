use super::*;
use crate::follow::fixture::{now, rollout, step};
use crate::output::style::plain;

fn shown(view: &RunView) -> String {
    let lines = services(view, now());
    let widths = Widths::of(&lines);
    lines.iter().map(|line| plain(&render_still(line, widths)).trim_end().to_owned() + "\n").collect()
}

#[test]
fn each_service_has_a_line_with_what_is_going_on() {
    insta::assert_snapshot!(shown(&rollout(3)), @r"
    volumes  make volume data                               0:01 ✓
    web      3/7 wait until web.3 is ready                  0:28 …
    mailer   waits                                               ·
    ");
    insta::assert_snapshot!(shown(&rollout(6)), @r"
    volumes  make volume data                               0:01 ✓
    web      5/7 watch web (probation, 10 s)                0:28 …
    mailer   2/2 waits for others                           0:22 …
    ");
}

#[test]
fn a_service_that_is_done_says_what_came_of_it() {
    insta::assert_snapshot!(shown(&rollout(99)), @r"
    volumes  make volume data                               0:01 ✓
    web      1 new replica serves, 1 old removed            0:15 ✓  1,204 requests, 0 failed, p95 41 ms
    mailer   1 replica runs                                 0:11 ✓
    ");
}

#[test]
fn a_failed_step_says_why() {
    let mut view = rollout(4);
    view.steps[3].state = StepState::Failed;
    view.steps[3].failure =
        Some(daybook_api::run::FailureView { why: "GET /healthz answers 500".to_owned(), ..Default::default() });
    insta::assert_snapshot!(shown(&view), @r"
    volumes  make volume data                               0:01 ✓
    web      GET /healthz answers 500                       0:05 ✗
    mailer   1/2 start mailer.1                             0:22 …
    ");
}

#[test]
fn without_a_terminal_each_step_that_ends_is_a_line() {
    let mut out = String::new();
    let mut before: Option<RunView> = None;
    for done in 0..12 {
        let after = rollout(done);
        for line in changes(before.as_ref(), &after) {
            out.push_str(&plain(&line));
            out.push('\n');
        }
        before = Some(after);
    }
    insta::assert_snapshot!(out, @r"
    volumes  make volume data                             ✓ 1.2 s
    web      get the artifact of web                      …
    web      get the artifact of web                      ✓ 1.2 s
    web      start web.3                                  ✓ 1.2 s
    web      wait until web.3 is ready                    ✓ 1.2 s
    mailer   start mailer.1                               ✓ 1.2 s
    web      send requests for web to 1 replica           ✓ 1.2 s
    web      watch web (probation, 10 s)                  …
    web      watch web (probation, 10 s)                  ✓ 1.2 s  1,204 requests, 0 failed, p95 41 ms
    web      stop web.2                                   ✓ 1.2 s
    web      remove web.2                                 ✓ 1.2 s
    mailer   wait until mailer.1 is ready                 ✓ 1.2 s
    ");
}

#[test]
fn a_look_at_the_same_run_twice_shows_nothing_new() {
    assert_eq!(changes(Some(&rollout(4)), &rollout(4)), Vec::<String>::new());
}

#[test]
fn a_step_of_a_second_plan_is_another_step() {
    let before = rollout(4);
    let mut after = before.clone();
    let mut again = step(1, "start", "start web.3", Some("web"), StepState::Done);
    again.plan = "other".to_owned();
    after.steps.push(again);
    assert_eq!(changes(Some(&before), &after).len(), 1);
}

#[test]
fn a_service_that_went_back_says_so() {
    let mut view = rollout(99);
    for (id, action) in [(0, "start"), (1, "remove")] {
        let mut back = step(id, action, "start web.5", Some("web"), StepState::Done);
        back.toward = TowardView::Previous;
        back.plan = "back".to_owned();
        view.steps.push(back);
    }
    assert!(shown(&view).contains("went back: 1 new replica runs, 1 old removed"), "{}", shown(&view));
}
