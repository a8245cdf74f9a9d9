//! What a real PostgreSQL is told about itself.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use common::Database;
use common::postgres::Postgres;
use daybook_data::tune::{advise, look};
use daybook_model::database::AdviceKind;

#[tokio::test]
async fn a_missing_index_is_found_by_trying_it() {
    let postgres = Postgres::start();
    let database = Database::new(&postgres.text());
    database
        .execute(
            "create table people (id int primary key, name text);
insert into people select n, 'p' || n from generate_series(1, 20000) n;
create table orders (id int primary key, person int references people, item text, note text);
insert into orders select n, n % 20000 + 1, 'i' || n % 500, 'n' from generate_series(1, 60000) n;
create index by_item on orders (item); create index by_item_again on orders (item, note);
analyze",
        )
        .await;
    let before = look(&postgres.text()).await.unwrap();
    assert_eq!(before.queries, None, "nobody counts yet");
    let kinds: Vec<_> = advise(&before).into_iter().map(|advice| (advice.kind, advice.about)).collect();
    assert!(kinds.contains(&(AdviceKind::MissingIndex, "public.orders".to_owned())), "{kinds:?}");
    assert!(kinds.contains(&(AdviceKind::DuplicateIndex, "public.by_item".to_owned())), "{kinds:?}");

    database.execute("create extension pg_stat_statements").await;
    for person in 1..30 {
        database.execute(&format!("select * from orders where person = {person}")).await;
    }
    let seen = look(&postgres.text()).await.unwrap();
    assert!(seen.could_try, "HypoPG is installed: run scripts/setup");
    let [tried] = &seen.tried[..] else { panic!("{:?}", seen.tried) };
    assert_eq!((tried.table.as_str(), tried.column.as_str()), ("public.orders", "\"person\""));
    assert!(tried.calls == 29 && tried.after * 5.0 < tried.before, "{tried:?}");
    let advice = advise(&seen);
    let told = advice.iter().find(|one| one.kind == AdviceKind::MissingIndex).unwrap();
    // What is advised can be run, and then there is nothing more to say of it.
    database.execute(told.run.as_ref().unwrap()).await;
    let after = look(&postgres.text()).await.unwrap();
    assert_eq!(after.tried, [], "the index is there");
    assert!(advise(&after).iter().all(|one| one.kind != AdviceKind::MissingIndex), "{:?}", advise(&after));
    // Looking leaves nothing behind.
    assert!(!database.has("hypopg_hidden_indexes").await);
}
