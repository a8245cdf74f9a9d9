//! Searches, counts, labels, and what they look at.

use super::super::NotSearched;
use super::*;
use crate::query::Condition;
use crate::{Level, Levels};

/// An id that looks random.
fn request(number: u64) -> String {
    let mixed = (number ^ number << 40).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    format!("{:016x}", (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb))
}

/// Lines of three services, most of them in blocks of some chunks.
fn store(files: &Memory, lines: i64) -> Store {
    let (store, _) = open(files, Options { block: 512 << 10, ..small() });
    let batch: Vec<Line> = (0..lines)
        .map(|number| {
            let mut line = line(number);
            line.text = format!("{} request_id={}", line.text(), request(number as u64)).into_bytes();
            line
        })
        .collect();
    for some in batch.chunks(500) {
        store.append(some, some[0].at).unwrap();
        settle(&store, some[0].at);
    }
    store
}

#[test]
fn a_selective_search_reads_few_chunks() {
    let store = store(&Memory::default(), 40_000);
    assert!(store.statistics().blocks >= 3);
    let id = request(20_000);
    for text in
        [id.clone(), format!("request_id={id}"), format!("/{id}$/"), id[2..13].to_owned(), format!("trace-id={id}")]
    {
        let query = Query::parse(&text).unwrap();
        let page = store.search(&query, &never).unwrap();
        assert_eq!((page.lines.len(), page.next), (1, None), "{text}");
        assert_eq!(page.lines[0].line.at, START + 20_000 * SECOND);
        let scanned = page.scanned;
        let read = scanned.chunks - scanned.ruled_out;
        assert!(scanned.chunks >= 12 && read <= 3, "{text}: {scanned:?}");
    }
    // The newest lines are in the first chunks that are looked at.
    let page = store.search(&Query { limit: 10, ..Query::default() }, &never).unwrap();
    assert!(page.lines.len() == 10 && page.scanned.lines < 5000, "{:?}", page.scanned);
    // A time, a level and a service choose chunks.
    let mut query = Query::parse("level:error service:web").unwrap();
    (query.from, query.to) = (START + 30_000 * SECOND, START + 30_100 * SECOND);
    let page = store.search(&query, &never).unwrap();
    assert_eq!(page.lines.len(), (30_000..=30_100).filter(|number| number % 4 == 1 && number % 3 == 0).count());
    assert!(page.scanned.chunks <= 2, "{:?}", page.scanned);
}

#[test]
fn pages_go_on_where_the_one_before_ended_even_if_lines_become_blocks() {
    let files = Memory::default();
    let (store, _) = open(&files, Options { block: 2000, ..small() });
    // Many lines of one time, and of two streams.
    let lines: Vec<Line> = (0..90).map(|number| Line { at: START + number / 30, ..line(number) }).collect();
    lines.chunks(10).for_each(|some| assert_eq!(store.append(some, START).unwrap().accepted, 10));
    for direction in [Direction::Newest, Direction::Oldest] {
        let mut query = Query { direction, limit: 7, ..Query::default() };
        let mut seen = Vec::new();
        loop {
            let page = store.search(&query, &never).unwrap();
            seen.extend(page.lines.iter().map(|kept| kept.position.number as i64));
            _ = store.tend(START);
            if page.next.is_none() {
                break;
            }
            query.after = page.next;
        }
        if direction == Direction::Newest {
            seen.reverse();
        }
        assert_eq!(seen, (0..90).collect::<Vec<_>>());
    }
}

#[test]
fn lines_are_found_by_the_order_in_which_they_came() {
    let files = Memory::default();
    let (store, _) = open(&files, Options { block: 2000, ..small() });
    // Those that come later are older.
    let lines: Vec<Line> = (0..90).map(|number| Line { at: START - number * SECOND, ..line(number) }).collect();
    for some in lines.chunks(10) {
        store.append(some, START).unwrap();
        _ = store.tend(START);
    }
    assert_eq!(store.next(), 90);
    for (from, end) in [(0, 90), (0, 1), (13, 47), (47, 47), (85, 200), (90, 100)] {
        let query = Query { numbers: Some((from, end)), direction: Direction::Oldest, limit: 7, ..Query::default() };
        let mut numbers: Vec<u64> = found(&store, &query).iter().map(|kept| kept.position.number).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(from..end.min(90).max(from)), "{from} to {end}");
    }
}

#[test]
fn a_page_has_no_more_bytes_than_it_may() {
    let (store, _) = open(&Memory::default(), Options { page: 2000, line: 5000, ..small() });
    let lines: Vec<Line> =
        (0..50).map(|at| Line::read(START + at, Stream::default(), vec![b'a'; 100 * (at as usize % 30)])).collect();
    store.append(&lines, START).unwrap();
    for direction in [Direction::Newest, Direction::Oldest] {
        let query = Query { direction, ..Query::default() };
        let page = store.search(&query, &never).unwrap();
        assert!(!page.lines.is_empty() && page.lines.len() < 50);
        assert_eq!(found(&store, &query).len(), 50);
    }
}

#[test]
fn lines_are_counted_by_time_and_level() {
    let files = Memory::default();
    let store = store(&files, 20_000);
    for text in ["", "level>=warn service:web", "refused", "took>1s", "request_id!=\"\""] {
        let query = Query { from: START + 1000 * SECOND, to: START + 19_000 * SECOND, ..Query::parse(text).unwrap() };
        let (bars, scanned) = store.count(&query, 3600 * SECOND, &never).unwrap();
        let mut expected: BTreeMap<(i64, Option<Level>), u64> = BTreeMap::new();
        for kept in found(&store, &query) {
            let start = kept.line.at - kept.line.at.rem_euclid(3600 * SECOND);
            *expected.entry((start, kept.line.level)).or_default() += 1;
        }
        let counted = bars.iter().flat_map(|bar| bar.counts.iter().map(|(level, count)| ((bar.from, *level), *count)));
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), expected, "{text}");
        assert!(expected.len() > 4 || text.contains(':'), "{text}");
        assert_eq!(scanned.bytes == 0, text.is_empty() || text.contains(':'), "{text} {scanned:?}");
    }
    // Chunks that are within one bar are not even opened.
    let (bars, scanned) = store.count(&Query::default(), i64::MAX, &never).unwrap();
    assert_eq!((bars.len(), bars[0].total(), scanned.bytes), (1, 20_000, 0));
    let narrow = store.count(&Query::default(), 1, &never).unwrap_err();
    assert!(matches!(narrow, NotSearched::TooMany { most: 10_000 }));
}

#[test]
fn labels_and_streams_are_known() {
    let files = Memory::default();
    let (store, _) = open(&files, small());
    fill(&store, 0..100);
    settle(&store, START);
    assert_eq!(store.values("service", i64::MIN, i64::MAX), ["api", "web", "worker"]);
    assert_eq!(store.values("replica", START, START), ["0", "1"]);
    assert_eq!(store.values("nothing", i64::MIN, i64::MAX), [""; 0]);
    assert_eq!(store.streams(START - 10, START - 1), []);
    assert_eq!(store.streams(START, START + SECOND).len(), 6);
    let one = Query::default().with_label("service", "web").at_least(Level::Warn);
    assert_eq!(one.levels, Levels::at_least(Level::Warn));
    assert_eq!(found(&store, &one).len(), (0..100).filter(|at| at % 3 == 0 && matches!(at % 4, 1 | 2)).count());
    assert!(one.labels.iter().all(|condition: &Condition| condition.name == "service"));
}

#[test]
fn a_search_that_nobody_waits_for_ends() {
    let files = Memory::default();
    let store = store(&files, 5_000);
    let asked = std::cell::Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    let query = Query::parse("nowhere").unwrap();
    assert!(matches!(store.search(&query, &cancelled), Err(NotSearched::Cancelled)));
    assert_eq!(asked.get(), 3);
}

#[test]
fn who_appends_searches_and_tends_at_once_loses_nothing() {
    let files = Memory::default();
    let (store, _) = open(&files, Options { block: 5000, ..small() });
    let done = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                for number in 0..500 {
                    fill(store, thread * 500 + number..thread * 500 + number + 1);
                }
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        let mut before = 0;
        while done.load(std::sync::atomic::Ordering::SeqCst) < 2 {
            _ = store.tend(START).unwrap();
            let (bars, _) = store.count(&Query::default(), i64::MAX, &never).unwrap();
            let now = bars.first().map_or(0, super::super::Bar::total);
            assert!(now >= before);
            before = now;
        }
    });
    assert_eq!(all(&store), texts(0..1000));
}

#[test]
fn a_directory_of_the_system_is_of_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs");
    let (store, _) = Store::open(&path, small()).unwrap();
    fill(&store, 0..50);
    assert!(Store::open(&path, small()).is_err());
    settle(&store, START);
    store.flush().unwrap();
    let before = all(&store);
    drop(store);
    let (store, report) = Store::open(&path, small()).unwrap();
    assert!(report.blocks > 2);
    assert_eq!((all(&store), report.aside), (before, vec![]));
}
