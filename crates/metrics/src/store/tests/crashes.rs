//! The process and the machine die wherever something is written, and what was acknowledged is there.

use super::super::HOUR;
use super::*;

/// How long samples are kept.
const KEEP: i64 = 12 * HOUR;

/// So little that all that is done is done within two days.
fn options() -> Options {
    Options { segment: 700, keep: KEEP, keep_5m: KEEP, ..Options::default() }
}

/// What a run was told: that something is kept; that it is kept even if the machine dies; what it was not told about.
#[derive(Default)]
struct Told {
    kept: All,
    flushed: All,
    unknown: All,
    /// Before this, samples may be gone, or others stand for them.
    old: i64,
    steps: Vec<super::super::Step>,
}

fn note(into: &mut All, count: usize, at: i64) {
    let batch = mixed(count, at);
    let mut note = |of, at, bits| {
        if let super::super::batch::Of::Labels(labels) = of {
            into.entry(labels).or_default().insert(at, bits);
        }
    };
    batch.rows.into_iter().for_each(|row| note(row.of, row.at, row.value.to_bits()));
    batch.histograms.into_iter().for_each(|row| note(row.of, row.at, of_histogram(&row.value)));
}

/// A day and a night with a sample of nine series each hour, three of them histograms, until the process dies.
fn run(files: &Memory) -> Told {
    let mut told = Told { old: i64::MIN, ..Told::default() };
    let Ok((store, _)) = Store::open_in(Box::new(files.clone()), options()) else { return told };
    for hour in 0..40 {
        let at = START + hour * HOUR;
        match store.append(&mixed(3, at), at) {
            Ok(receipt) => {
                assert_eq!(receipt.accepted, 9);
                note(&mut told.kept, 3, at);
            }
            Err(_) => {
                note(&mut told.unknown, 3, at);
                return told;
            }
        }
        loop {
            // Whether it is said or not, a step may have been done.
            told.old = at - KEEP;
            match store.tend(at) {
                Ok(Some(step)) => {
                    told.flushed = told.kept.clone();
                    told.steps.push(step);
                }
                Ok(None) => break told.flushed = told.kept.clone(),
                Err(_) => return told,
            }
        }
    }
    told
}

/// Each sample of these that is not old.
fn recent(all: &All, old: i64) -> impl Iterator<Item = (&Labels, i64, u64)> {
    all.iter().flat_map(move |(labels, samples)| samples.range(old..).map(move |(at, value)| (labels, *at, *value)))
}

fn check(files: &Memory, promised: &All, told: &Told, what: &str) {
    let (store, report) = open(files, options());
    assert_eq!(report.aside, [], "{what}");
    let there = all(&store);
    for (labels, at, value) in recent(promised, told.old) {
        assert_eq!(there.get(labels).and_then(|samples| samples.get(&at)), Some(&value), "{what}: {labels} {at}");
    }
    for (labels, at, value) in recent(&there, told.old) {
        let known = [&told.kept, &told.unknown].map(|some| some.get(labels).and_then(|samples| samples.get(&at)));
        assert!(known.contains(&Some(&value)), "{what}: {labels} {at} was never appended");
    }
    // It goes on from there.
    let newest = store.statistics().newest.unwrap_or(START) + HOUR;
    assert_eq!(store.append(&mixed(3, newest), newest).unwrap().accepted, 9, "{what}");
    settle(&store, newest);
    assert!(files.names().iter().all(|name| !name.ends_with(".new")), "{what}");
}

#[test]
fn r02_nothing_acknowledged_is_lost_wherever_the_process_or_the_machine_dies() {
    let whole = Memory::default();
    let told = run(&whole);
    let steps = whole.0.lock().unwrap().done;
    let kinds: Vec<_> = told.steps.iter().map(|step| format!("{step:?}")).collect();
    for kind in
        ["Cut", "Merged", "RolledUp { start: 1700006400000, tier: Hour", "tier: Raw", "Removed", "tier: FiveMinutes"]
    {
        assert!(kinds.iter().any(|step| step.contains(kind)), "{kind}: {kinds:?}");
    }
    assert!(steps > 200, "{steps}");
    check(&whole.after(false), &told.kept, &told, "the end");
    for step in 0..steps {
        // Not begun; begun, and torn; done, and not told.
        for quarters in [0, 2, 4] {
            let files = Memory::default();
            files.0.lock().unwrap().dies = Some((step, quarters));
            let told = run(&files);
            assert!(files.0.lock().unwrap().dead);
            check(&files.after(false), &told.kept, &told, &format!("process, {step} {quarters}"));
            check(&files.after(true), &told.flushed, &told, &format!("machine, {step} {quarters}"));
        }
    }
}

#[test]
fn a_second_death_while_it_is_opened_changes_nothing() {
    let files = Memory::default();
    fill(&open(&files, options()).0, 2, 0..200);
    let before = all(&open(&files.after(false), options()).0);
    for round in 0..5 {
        let files = files.after(false);
        files.0.lock().unwrap().dies = Some((round, 2));
        let opened = Store::open_in(Box::new(files.clone()), options());
        if let Ok((store, _)) = opened {
            _ = store.tend(START + 200 * MINUTE);
        }
        assert_eq!(all(&open(&files.after(false), options()).0), before);
    }
}

#[test]
fn each_length_of_the_log_opens() {
    let files = Memory::default();
    let (store, _) = open(&files, Options::default());
    for at in (0..20).map(|minute| START + minute * MINUTE) {
        store.append(&mixed(2, at), at).unwrap();
    }
    drop(store);
    let name = super::super::log::name(1);
    let bytes = files.bytes(&name);
    let mut most = 0;
    for length in 0..=bytes.len() {
        let files = Memory::default();
        files.put(&name, bytes[..length].to_vec());
        let (store, report) = open(&files, Options::default());
        let there = all(&store);
        let count: usize = there.values().map(BTreeMap::len).sum();
        assert_eq!((count as u64, count % 6, report.aside), (report.samples, 0, vec![]));
        assert!(count >= most);
        most = count;
    }
    assert_eq!(most, 120);
}

#[test]
fn r12_a_disk_that_is_full_at_any_point_loses_nothing_acknowledged() {
    let most = {
        let files = Memory::default();
        run(&files);
        files.used()
    };
    for room in (0..most).step_by(most / 40) {
        let files = Memory::default();
        files.room(Some(room));
        let (store, _) = open(&files, options());
        let mut told = Told { old: START + 39 * HOUR - KEEP, ..Told::default() };
        for at in (0..40).map(|hour| START + hour * HOUR) {
            match store.append(&mixed(3, at), at) {
                Ok(_) => note(&mut told.kept, 3, at),
                Err(refused) => {
                    assert!(matches!(refused, super::super::NotKept::Full(_)), "{refused:?}");
                    note(&mut told.unknown, 3, at);
                }
            }
            while matches!(store.tend(at), Ok(Some(_))) {}
            let there = all(&store);
            for (labels, at, value) in recent(&told.kept, at - KEEP) {
                assert_eq!(
                    there.get(labels).and_then(|samples| samples.get(&at)),
                    Some(&value),
                    "{room}: {labels} {at}"
                );
            }
        }
        files.room(None);
        settle(&store, START + 39 * HOUR);
        drop(store);
        check(&files, &told.kept, &told, &format!("room for {room}"));
    }
}
