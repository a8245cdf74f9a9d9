use super::*;

const TERMS: Terms = Terms { lease: 15, act: 10, every: 2 };

fn record(version: &str, holder: &str) -> Record {
    Record { version: Some(version.to_owned()), holder: Some(holder.to_owned()).filter(|holder| !holder.is_empty()) }
}

fn take(version: Option<&str>) -> Next {
    Next::Take { expecting: version.map(str::to_owned) }
}

#[test]
fn a_record_that_nobody_holds_is_taken_at_once() {
    let mut elector = Elector::new("a", TERMS);
    assert_eq!(elector.next(0), Next::Look);
    elector.saw(1, Record { version: None, holder: None });
    assert_eq!(elector.next(1), take(None));
    assert!(!elector.may_act(1));
    elector.took(1, 3, "1".into());
    assert!(elector.may_act(3) && elector.may_act(10) && !elector.may_act(11), "it counts from when it was sent");
    assert_eq!(elector.next(3), take(Some("1")), "it is renewed two units after it was sent");
}

#[test]
fn a_record_that_changes_is_left_alone_and_one_that_does_not_is_taken() {
    let mut elector = Elector::new("b", TERMS);
    elector.saw(0, record("1", "a"));
    assert_eq!((elector.next(1), elector.next(2)), (Next::Wait(2), Next::Look));
    elector.saw(14, record("2", "a"));
    elector.saw(28, record("2", "a"));
    assert_eq!(elector.next(28), Next::Wait(29), "fifteen units after its version was first seen");
    assert_eq!(elector.next(29), take(Some("2")));
    assert_eq!(elector.holder(), Some("a"));
}

#[test]
fn a_refused_change_does_not_end_a_term_and_another_holder_does() {
    let mut elector = Elector::new("a", TERMS);
    elector.took(0, 0, "1".into());
    elector.refused(3);
    assert!(elector.may_act(4));
    assert_eq!(elector.next(3), Next::Look);
    elector.saw(4, record("2", "b"));
    assert!(!elector.may_act(4));
}

#[test]
fn a_change_of_ours_that_was_not_answered_is_found_and_renewed() {
    let mut elector = Elector::new("a", TERMS);
    elector.took(0, 0, "1".into());
    elector.unheard(2);
    assert_eq!(elector.next(2), take(Some("1")));
    elector.refused(2);
    elector.saw(3, record("2", "a"));
    assert_eq!(elector.next(3), take(Some("2")));
    elector.took(3, 3, "3".into());
    assert_eq!(elector.until(), Some(13));
}

#[test]
fn who_ends_gives_back_only_what_is_its_own() {
    let mut elector = Elector::new("a", TERMS);
    elector.took(0, 0, "1".into());
    assert_eq!(elector.end(), Some("1".into()));
    assert!(!elector.may_act(1));
    elector.saw(2, record("2", "b"));
    assert_eq!(elector.end(), None);
}
