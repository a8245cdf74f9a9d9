//! Two owners and what they leave of each other's.

use super::*;

fn key() -> EnvKey {
    "shop/production".parse().unwrap()
}

fn open(state: &Path) -> Owners {
    Owners::open(state, &[]).unwrap()
}

#[test]
fn r15_what_a_living_owner_has_is_anothers_and_its_owner_is_named() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (open(one.path()), open(two.path()));
    assert_eq!(ours.other(&key(), &ours.labels()), None);
    assert_eq!(ours.other(&key(), &Labels::new()), None, "made before there were owners");
    assert_eq!(open(one.path()).other(&key(), &ours.labels()), None, "the same directory, opened again");
    let error = ours.refuse("observe", &key(), &theirs.labels()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains(two.path().to_str().unwrap()), "{error}");
    assert!(error.hint.unwrap().contains("daybook env adopt production --app shop"));
}

#[test]
fn r14_what_an_owner_left_that_is_gone_can_be_adopted() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (open(one.path()), open(two.path()).labels());
    fs::remove_file(two.path().join(FILE)).unwrap();
    assert_eq!(ours.other(&key(), &theirs), None);
    open(two.path());
    assert_eq!(ours.other(&key(), &theirs), None, "another identity is there now");
    drop(two);
    assert_eq!(ours.other(&key(), &theirs), None);
}

#[test]
fn r14_a_lost_directory_that_is_made_anew_is_again_what_its_things_say_it_was() {
    let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = open(state.path()).labels();
    fs::remove_file(state.path().join(FILE)).unwrap();
    let things = [open(other.path()).labels(), before.clone(), Labels::new()];
    assert_eq!(Owners::open(state.path(), &things).unwrap().labels(), before);
}

#[test]
fn a_moved_directory_is_the_same_and_a_copied_one_is_another() {
    let root = tempfile::tempdir().unwrap();
    let [first, moved, copied] = ["first", "moved", "copied"].map(|name| root.path().join(name));
    fs::create_dir(&first).unwrap();
    let id = open(&first).ours.id;
    fs::rename(&first, &moved).unwrap();
    assert_eq!(open(&moved).ours.id, id);
    fs::create_dir(&copied).unwrap();
    fs::copy(moved.join(FILE), copied.join(FILE)).unwrap();
    let copy = open(&copied);
    assert_ne!(copy.ours.id, id);
    assert!(copy.other(&key(), &open(&moved).labels()).is_some());
}

#[test]
fn what_cannot_be_told_is_left_alone() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ours = open(one.path());
    let mut elsewhere = open(two.path()).labels();
    elsewhere.insert(labels::MACHINE.to_owned(), "elsewhere 1:2".to_owned());
    elsewhere.insert(labels::STATE.to_owned(), "/nowhere".to_owned());
    assert!(ours.other(&key(), &elsewhere).is_some());
    let theirs = open(two.path()).labels();
    fs::write(two.path().join(FILE), "not what we write").unwrap();
    assert!(ours.other(&key(), &theirs).is_some());
}

#[test]
fn what_was_taken_over_stays_ours() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (open(one.path()), open(two.path()));
    ours.take(&key(), &theirs.ours).unwrap();
    for owners in [&ours, &open(one.path())] {
        assert_eq!(owners.other(&key(), &theirs.labels()), None);
        assert!(owners.other(&"shop/staging".parse().unwrap(), &theirs.labels()).is_some());
    }
}
