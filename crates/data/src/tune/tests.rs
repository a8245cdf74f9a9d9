use super::*;

fn table(name: &str, live: i64) -> Table {
    Table { name: name.to_owned(), live, is_vacuumed: true, ..Table::default() }
}

fn index(name: &str, columns: &[i16]) -> Index {
    Index {
        name: name.to_owned(),
        table: 1,
        columns: columns.to_vec(),
        scans: 5,
        bytes: 4 << 20,
        is_valid: true,
        rest: "btree".to_owned(),
        ..Index::default()
    }
}

fn seen() -> Seen {
    Seen {
        counted_s: 30 * 24 * 3_600,
        tables: [(1, table("public.orders", 50_000))].into(),
        queries: Some(Vec::new()),
        ..Seen::default()
    }
}

fn said(seen: &Seen) -> Vec<(AdviceKind, String, Option<String>)> {
    advise(seen).into_iter().map(|advice| (advice.kind, advice.about, advice.run)).collect()
}

#[test]
fn a_database_in_order_is_left_alone() {
    let key = ForeignKey { table: 1, columns: vec![2], ..ForeignKey::default() };
    let indexes = vec![Index { is_needed: true, ..index("orders_pk", &[1]) }, index("orders_customer", &[2, 3])];
    assert_eq!(said(&Seen { indexes, foreign_keys: vec![key], ..seen() }), []);
}

#[test]
fn indexes_that_lack_that_double_and_that_nobody_uses_are_told_apart() {
    let key = ForeignKey {
        name: "orders_person".to_owned(),
        table: 1,
        columns: vec![5],
        names: vec!["person".to_owned()],
        to: "people".to_owned(),
    };
    let indexes = vec![
        Index { is_needed: true, scans: 0, ..index("pk", &[1]) },
        index("a", &[2]),
        index("a_b", &[2, 3]),
        index("same_as_pk", &[1]),
        Index { scans: 0, ..index("unused", &[4]) },
        Index { scans: 0, bytes: 8_192, ..index("small", &[6]) },
        Index { rest: "gin".to_owned(), ..index("other_kind", &[2]) },
        Index { is_valid: false, ..index("broken", &[7]) },
    ];
    let seen = Seen { indexes, foreign_keys: vec![key], ..seen() };
    let run = |text: &str| Some(text.to_owned());
    assert_eq!(
        said(&seen),
        [
            (
                AdviceKind::MissingIndex,
                "public.orders".to_owned(),
                run("create index concurrently on public.orders (person);")
            ),
            (AdviceKind::BrokenIndex, "broken".to_owned(), run("reindex index concurrently broken;")),
            (AdviceKind::DuplicateIndex, "a".to_owned(), run("drop index concurrently a;")),
            (AdviceKind::DuplicateIndex, "same_as_pk".to_owned(), run("drop index concurrently same_as_pk;")),
            (AdviceKind::UnusedIndex, "unused".to_owned(), run("drop index concurrently unused;")),
        ]
    );
    let young = Seen { counted_s: 3_600, ..seen };
    assert!(said(&young).iter().all(|(kind, ..)| *kind != AdviceKind::UnusedIndex), "an hour proves nothing");
}

#[test]
fn what_ends_badly_comes_first() {
    let old = Table { age: 1_600_000_000, dead: 40_000, ..table("public.orders", 50_000) };
    let connections = Connections { used: 95, most: 100, idle_s: 900 };
    let queries = Some(vec![Query { id: 1, text: "select 1".to_owned(), calls: 10, total_ms: 5_000.0, rows: 10 }]);
    let all = said(&Seen { tables: [(1, old)].into(), connections, queries, ..seen() });
    let kinds: Vec<_> = all.iter().map(|(kind, about, _)| (*kind, about.as_str())).collect();
    assert_eq!(
        kinds,
        [
            (AdviceKind::Danger, "public.orders"),
            (AdviceKind::Danger, "connections"),
            (AdviceKind::Vacuum, "connections"),
            (AdviceKind::Vacuum, "public.orders"),
            (AdviceKind::SlowQuery, "select 1"),
        ]
    );
}

#[test]
fn an_index_that_was_tried_speaks_for_its_query_and_its_key() {
    let tried = Tried {
        query: "select *\n from orders where person = $1".to_owned(),
        calls: 40,
        total_ms: 9_000.0,
        table: "public.orders".to_owned(),
        column: "person".to_owned(),
        before: 1_000.0,
        after: 8.3,
    };
    let query = Query { id: 1, text: tried.query.clone(), calls: 40, total_ms: 9_000.0, rows: 1 };
    let key = ForeignKey { table: 1, columns: vec![5], names: vec!["person".to_owned()], ..ForeignKey::default() };
    let all = advise(&Seen { tried: vec![tried], queries: Some(vec![query]), foreign_keys: vec![key], ..seen() });
    let [advice] = &all[..] else { panic!("{all:?}") };
    assert_eq!(
        advice.why,
        "the planner expects 8 instead of 1000 for `select * from orders where person = $1`, which was called 40 times \
         and took 9.0 s"
    );
}
