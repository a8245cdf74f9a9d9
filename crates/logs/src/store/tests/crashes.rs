//! The process and the machine die wherever something is written, and what was acknowledged is there.

use super::super::{MINUTE, NotKept};
use super::*;

const LINES: i64 = 60;

/// So little that all that is done is done within a minute.
fn options() -> Options {
    Options { keep: 30 * SECOND, rest: 20 * SECOND, ..small() }
}

/// What a run was told: that something is kept; that it is kept even if the machine dies; what it was not told about.
#[derive(Default)]
struct Told {
    kept: i64,
    flushed: i64,
    unknown: Option<i64>,
    /// Before this line, lines may be gone.
    old: i64,
    steps: Vec<Step>,
}

/// A line each second, until the process dies.
fn run(files: &Memory) -> Told {
    let mut told = Told::default();
    let Ok((store, _)) = Store::open_in(Box::new(files.clone()), options()) else { return told };
    for number in 0..LINES {
        let now = START + number * SECOND;
        match store.append(&[line(number)], now) {
            Ok(receipt) => {
                assert_eq!(receipt.accepted, 1);
                told.kept = number + 1;
            }
            Err(_) => {
                told.unknown = Some(number);
                return told;
            }
        }
        if number % 5 != 0 {
            continue;
        }
        loop {
            // Whether it is said or not, a block may have been removed.
            told.old = number - 30;
            match store.tend(now) {
                Ok(Some(step)) => told.steps.push(step),
                Ok(None) => break told.flushed = told.kept,
                Err(_) => return told,
            }
        }
    }
    told
}

fn check(files: &Memory, promised: i64, told: &Told, what: &str) {
    let (store, report) = open(files, options());
    assert_eq!(report.aside, [], "{what}");
    let there = all(&store);
    for text in texts(told.old.max(0)..promised) {
        assert_eq!(there.iter().filter(|other| **other == text).count(), 1, "{what}: {text}");
    }
    let known = texts((0..told.kept).chain(told.unknown));
    assert!(there.iter().all(|text| known.contains(text)), "{what}: {there:?}");
    let numbers: std::collections::BTreeSet<u64> =
        found(&store, &Query::default()).iter().map(|kept| kept.position.number).collect();
    assert_eq!(numbers.len(), there.len(), "{what}");
    // It goes on from there.
    let newest = (store.statistics().newest.unwrap_or(START) - START) / SECOND + 1;
    fill(&store, newest..newest + 10);
    settle(&store, START + (newest + 10) * SECOND);
    assert!(all(&store).ends_with(&texts(newest..newest + 10)), "{what}");
    assert!(files.names().iter().all(|name| !name.ends_with(".new")), "{what}");
}

#[test]
fn r02_nothing_acknowledged_is_lost_wherever_the_process_or_the_machine_dies() {
    let whole = Memory::default();
    let told = run(&whole);
    let steps = whole.0.lock().unwrap().done;
    for kind in ["Cut", "Removed"] {
        assert!(told.steps.iter().any(|step| format!("{step:?}").starts_with(kind)), "{kind}: {:?}", told.steps);
    }
    assert!(steps > 100, "{steps}");
    check(&whole.after(false), told.kept, &told, "the end");
    for step in 0..steps {
        // Not begun; begun, and torn; done, and not told.
        for quarters in [0, 2, 4] {
            let files = Memory::default();
            files.0.lock().unwrap().dies = Some((step, quarters));
            let told = run(&files);
            assert!(files.0.lock().unwrap().dead);
            check(&files.after(false), told.kept, &told, &format!("process, {step} {quarters}"));
            check(&files.after(true), told.flushed, &told, &format!("machine, {step} {quarters}"));
        }
    }
}

#[test]
fn a_second_death_while_it_is_opened_changes_nothing() {
    let files = Memory::default();
    let (store, _) = open(&files, small());
    fill(&store, 0..40);
    _ = store.tend(START + MINUTE);
    let before = all(&store);
    drop(store);
    assert_eq!(before, texts(0..40));
    for round in 0..8 {
        let files = files.after(false);
        files.0.lock().unwrap().dies = Some((round, 2));
        if let Ok((store, _)) = Store::open_in(Box::new(files.clone()), small()) {
            while matches!(store.tend(START + MINUTE), Ok(Some(_))) {}
        }
        assert_eq!(all(&open(&files.after(false), small()).0), before, "{round}");
    }
}

#[test]
fn each_length_of_the_log_opens() {
    let files = Memory::default();
    fill(&open(&files, Options::default()).0, 0..20);
    let name = super::super::log::name(1);
    let bytes = files.bytes(&name);
    let mut most = 0;
    for length in 0..=bytes.len() {
        let files = Memory::default();
        files.put(&name, bytes[..length].to_vec());
        let (store, report) = open(&files, Options::default());
        let there = all(&store);
        assert_eq!((there.len() as u64, report.aside), (report.lines, vec![]));
        assert_eq!(there, texts(0..there.len() as i64));
        assert!(there.len() >= most);
        most = there.len();
    }
    assert_eq!(most, 20);
}

#[test]
fn r12_a_disk_that_is_full_at_any_point_loses_nothing_acknowledged() {
    let most = {
        let files = Memory::default();
        run(&files);
        files.used()
    };
    for room in (0..most * 2).step_by(most / 40) {
        let files = Memory::default();
        files.room(Some(room));
        let (store, _) = open(&files, options());
        let mut kept = Vec::new();
        for number in 0..LINES {
            let now = START + number * SECOND;
            match store.append(&[line(number)], now) {
                Ok(_) => kept.push(number),
                Err(refused) => assert!(matches!(refused, NotKept::Full(_)), "{refused:?}"),
            }
            if number % 5 == 0 {
                while matches!(store.tend(now), Ok(Some(_))) {}
            }
            let there = all(&store);
            let young = kept.iter().copied().filter(|kept| *kept >= number - 30);
            assert!(texts(young).iter().all(|text| there.contains(text)), "{room}: {there:?}");
        }
        files.room(None);
        settle(&store, START + LINES * SECOND);
        let there = all(&store);
        drop(store);
        assert_eq!(all(&open(&files, options()).0), there, "room for {room}");
    }
}
