//! The queue, with channels that do what each test says.

use super::*;

const START: i64 = 1_767_225_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn queue() -> Queue {
    let mut queue = Queue::new(Limits::default());
    queue.set_channels(["pager", "chat", "mail"].map(str::to_owned));
    queue
}

fn notice(key: &str, kind: Kind, title: &str) -> Notice {
    Notice::new(key, kind, Severity::Critical, title, at(0))
}

fn push(queue: &mut Queue, key: &str, kind: Kind, title: &str) -> Vec<Told> {
    queue.push("pager", notice(key, kind, title)).unwrap()
}

/// Titles of what is sent, by channel.
fn sent(next: &Next) -> Vec<(&str, &str)> {
    next.send.iter().map(|sending| (sending.channel.as_str(), sending.notice.title.as_str())).collect()
}

fn retry() -> Outcome {
    Outcome::Retry { after: None, why: "it answers 503".to_owned() }
}

#[test]
fn notices_of_one_incident_stay_in_order_and_others_do_not_wait() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "a1");
    push(&mut queue, "a", Kind::Resolved, "a2");
    push(&mut queue, "b", Kind::Triggered, "b1");
    let next = queue.next(at(0));
    assert_eq!(sent(&next), [("pager", "a1"), ("pager", "b1")]);
    assert_eq!(queue.next(at(0)), Next::default(), "what is being sent is not sent again");
    queue.record(next.send[1].id, Outcome::Delivered, at(1), 0.5);
    assert_eq!(queue.next(at(1)), Next::default());
    queue.record(next.send[0].id, Outcome::Delivered, at(1), 0.5);
    assert_eq!(sent(&queue.next(at(1))), [("pager", "a2")]);
}

#[test]
fn what_fails_is_sent_again_under_the_same_number_and_in_order() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "a1");
    push(&mut queue, "a", Kind::Resolved, "a2");
    let first = queue.next(at(0)).send.remove(0);
    let told = queue.record(first.id, retry(), at(0), 1.0);
    assert_eq!(told, [Told::Waits { channel: "pager".into(), until: at(2), why: "it answers 503".into() }]);
    let next = queue.next(at(1));
    assert_eq!((next.send, next.wake), (vec![], Some(at(2))));
    assert_eq!(queue.next(at(2)).send, std::slice::from_ref(&first));
    queue.record(first.id, retry(), at(2), 1.0);
    assert_eq!(queue.next(at(5)).wake, Some(at(6)), "each wait is twice the one before");
}

#[test]
fn a_channel_that_asks_for_time_gets_it() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "a1");
    push(&mut queue, "b", Kind::Triggered, "b1");
    let next = queue.next(at(0));
    let asked = Outcome::Retry { after: Some(Duration::from_secs(30)), why: "too many".to_owned() };
    queue.record(next.send[0].id, asked, at(0), 0.0);
    queue.record(next.send[1].id, retry(), at(0), 0.0);
    let next = queue.next(at(29));
    assert_eq!((next.send.len(), next.wake), (0, Some(at(30))));
    assert_eq!(queue.next(at(30)).send.len(), 1, "one is enough to see whether it works");
}

#[test]
fn a_notice_that_never_works_does_not_hold_up_others() {
    let mut queue = queue();
    push(&mut queue, "bad", Kind::Triggered, "bad");
    push(&mut queue, "good", Kind::Triggered, "good");
    let next = queue.next(at(0));
    queue.record(next.send[0].id, retry(), at(0), 1.0);
    queue.record(next.send[1].id, retry(), at(0), 1.0);
    let next = queue.next(at(100));
    assert_eq!(sent(&next), [("pager", "bad")]);
    queue.record(next.send[0].id, retry(), at(100), 1.0);
    assert_eq!(sent(&queue.next(at(200))), [("pager", "good")]);
}

#[test]
fn what_was_being_sent_when_the_server_died_is_sent_again() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "a1");
    let first = queue.next(at(0));
    let text = serde_json::to_string(&queue).unwrap();
    let mut read: Queue = serde_json::from_str(&text).unwrap();
    assert_eq!(read.next(at(1)), first);
    assert!(read.record(7, Outcome::Delivered, at(1), 0.0).is_empty(), "an answer to nothing is no answer");
}

#[test]
fn a_channel_that_fails_for_long_is_told_through_the_next_and_its_end_too() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "web fails");
    let mut told = Vec::new();
    let mut now = 0;
    while told.len() < 2 {
        let id = queue.next(at(now)).send.remove(0).id;
        told = queue.record(id, retry(), at(now), 1.0);
        now += 301;
    }
    assert_eq!(
        told[1],
        Told::Trouble { channel: "pager".into(), why: "it answers 503".into(), through: Some("chat".into()) }
    );
    assert!(queue.health()["pager"].in_trouble && !queue.health()["chat"].in_trouble);
    let next = queue.next(at(10_000));
    assert_eq!(sent(&next), [("chat", "The channel pager does not work"), ("pager", "web fails")]);
    let alarm = &next.send[0].notice;
    assert_eq!((alarm.kind, alarm.key.as_str()), (Kind::Triggered, "daybook-channel-pager"));
    assert_eq!(alarm.timeline[0].text, "not told there: Triggered: web fails");
    assert_eq!(queue.record(next.send[1].id, retry(), at(10_001), 1.0).len(), 1, "it is told once");
    queue.record(next.send[0].id, Outcome::Delivered, at(10_001), 1.0);
    let again = queue.next(at(20_000)).send.remove(0);
    let told = queue.record(again.id, Outcome::Delivered, at(20_000), 1.0);
    assert_eq!(told[1], Told::Works { channel: "pager".into() });
    let next = queue.next(at(20_000));
    assert_eq!(sent(&next), [("chat", "The channel pager works again")]);
    assert_eq!(next.send[0].notice.kind, Kind::Resolved);
}

#[test]
fn a_page_that_is_refused_is_told_through_another_channel_at_once() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "web fails");
    push(&mut queue, "b", Kind::Note, "note");
    let next = queue.next(at(0));
    let refused = || Outcome::Refused { why: "it answers 400: invalid event".to_owned() };
    let told = queue.record(next.send[0].id, refused(), at(0), 0.0);
    assert!(matches!(&told[0], Told::Lost { notice, .. } if notice.title == "web fails"));
    assert!(matches!(&told[1], Told::Trouble { through: Some(name), .. } if name == "chat"));
    assert_eq!(queue.record(next.send[1].id, refused(), at(0), 0.0).len(), 1, "a note is not worth an alarm");
    let next = queue.next(at(0));
    assert_eq!(sent(&next), [("chat", "The channel pager refused a notice: web fails")]);
    assert_eq!(next.send[0].notice.severity, Severity::Critical);
}

#[test]
fn trouble_is_not_told_to_who_is_in_trouble_too() {
    let mut queue = queue();
    let refused = || Outcome::Refused { why: "no".to_owned() };
    let refuse_all = |queue: &mut Queue| -> Vec<Told> {
        let next = queue.next(at(0));
        next.send.iter().flat_map(|sending| queue.record(sending.id, refused(), at(0), 0.0)).collect()
    };
    push(&mut queue, "a", Kind::Triggered, "web fails");
    let through = |told: Vec<Told>| {
        told.into_iter().find_map(|told| match told {
            Told::Trouble { through, .. } => Some(through),
            _ => None,
        })
    };
    assert_eq!(through(refuse_all(&mut queue)), Some(Some("chat".to_owned())));
    assert_eq!(through(refuse_all(&mut queue)), Some(Some("mail".to_owned())));
    assert_eq!(through(refuse_all(&mut queue)), Some(None));
    assert_eq!(queue.next(at(0)), Next::default(), "it ends");
}

#[test]
fn notes_are_left_out_when_too_much_waits_and_that_is_told() {
    let mut queue = Queue::new(Limits { most: 3, ..Limits::default() });
    queue.set_channels(["pager".to_owned()]);
    push(&mut queue, "a", Kind::Triggered, "a1");
    push(&mut queue, "a", Kind::Note, "n1");
    push(&mut queue, "a", Kind::Note, "n2");
    let told = push(&mut queue, "a", Kind::Resolved, "a2");
    assert!(matches!(&told[..], [Told::Lost { notice, .. }] if notice.title == "n1"));
    for key in ["b", "c", "d"] {
        push(&mut queue, key, Kind::Triggered, key);
    }
    assert_eq!(queue.health()["pager"].waiting, 5, "what moves an incident is never left out");
    let next = queue.next(at(0));
    assert_eq!(next.send[0].notice.timeline[0].text, "2 notes were left out, since too much waited for this channel");
    queue.record(next.send[0].id, Outcome::Delivered, at(0), 0.0);
    assert!(queue.next(at(0)).send[0].notice.timeline.is_empty());
}

#[test]
fn what_nobody_was_told_yet_is_told_at_its_newest() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "a: 1 % fail");
    push(&mut queue, "a", Kind::Triggered, "a: 5 % fail");
    let next = queue.next(at(0));
    assert_eq!(sent(&next), [("pager", "a: 5 % fail")]);
    push(&mut queue, "a", Kind::Triggered, "a: 9 % fail");
    queue.record(next.send[0].id, Outcome::Delivered, at(0), 0.0);
    assert_eq!(sent(&queue.next(at(0))), [("pager", "a: 9 % fail")]);
}

#[test]
fn what_waits_for_a_channel_that_is_gone_is_told_to_be_lost() {
    let mut queue = queue();
    push(&mut queue, "a", Kind::Triggered, "a1");
    let lost = queue.set_channels(["chat".to_owned()]);
    assert!(matches!(&lost[..], [Told::Lost { channel, .. }] if channel == "pager"));
    assert_eq!(queue.push("pager", notice("a", Kind::Note, "x")), Err(NoChannel("pager".to_owned())));
}

mod model {
    //! Whatever a channel does, each notice arrives or is told to be lost, and in order.

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_lost_untold_and_nothing_overtakes(
            pushes in proptest::collection::vec((0..3_u8, 0..5_u8), 1..40),
            luck in proptest::collection::vec(0..4_u8, 1..200),
        ) {
            let kinds = [Kind::Triggered, Kind::Acknowledged, Kind::Resolved, Kind::Note, Kind::Change];
            let mut queue = Queue::new(Limits { most: 10, ..Limits::default() });
            queue.set_channels(["pager".to_owned()]);
            let (mut told, mut delivered) = (0, Vec::new());
            let mut luck = luck.into_iter();
            let mut now = 0;
            for (index, (key, kind)) in pushes.iter().enumerate() {
                let kind = kinds[usize::from(*kind)];
                told += push(&mut queue, &key.to_string(), kind, &format!("{key} {index:03}")).len();
                now += 400;
                for sending in queue.next(at(now)).send {
                    let outcome = if luck.next() == Some(0) { retry() } else { Outcome::Delivered };
                    if outcome == Outcome::Delivered { delivered.push(sending.notice.title.clone()); }
                    queue.record(sending.id, outcome, at(now), 0.5);
                }
            }
            loop {
                now += 400;
                let next = queue.next(at(now));
                if next.send.is_empty() { break }
                for sending in next.send {
                    delivered.push(sending.notice.title.clone());
                    queue.record(sending.id, Outcome::Delivered, at(now), 0.5);
                }
            }
            prop_assert!(delivered.len() + told <= pushes.len());
            prop_assert_eq!(queue.health()["pager"].waiting, 0);
            for key in 0..3_u8 {
                let of_key: Vec<_> = delivered.iter().filter(|title| title.starts_with(&format!("{key} "))).collect();
                prop_assert!(of_key.is_sorted(), "{:?}", of_key);
                let newest = pushes.iter().enumerate().rfind(|(_, push)| push.0 == key && push.1 < 3);
                if let Some((index, _)) = newest {
                    let title = format!("{key} {index:03}");
                    prop_assert!(of_key.contains(&&title), "{} did not arrive", title);
                }
            }
        }
    }
}
