//! Masked copies of a real MariaDB.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use common::Database;
use common::mariadb::MariaDb;
use daybook_data::mask::mysql::copy;
use daybook_data::mask::{CopyReport, Copying, Error};
use daybook_model::masking::Masking;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

const TABLES: &[&str] = &[
    "create table people (id int unsigned auto_increment primary key, email varchar(80) not null unique, full_name varchar(40),
        born date, phone varchar(30), is_active boolean, mail_key varchar(80) as (lower(email)) stored, height float)",
    "create table accounts (id char(36) primary key, person int unsigned not null, balance decimal(12,2), extra json,
        raw varbinary(40), seen datetime(6), flags bit(4), level enum('a','b'), foreign key (person) references people (id))",
    "create table `Odd ``Table` (`a b` int, `Secret, really` text, kept text)",
    "create table logins (email varchar(80) not null, score double, ssn bigint, foreign key (email) references people (email))",
    "create table parts (id int, place int, note text) partition by hash (id) partitions 3",
    "create table audit (what text)",
];

const ROWS: &[&str] = &[
    "insert into people (email, full_name, born, phone, is_active, height) select concat('Canary', seq, '@corp.test'),
        if(seq % 7 = 0, null, concat('Canary Müller ', seq)), date '1950-01-01' + interval seq * 11 day,
        concat('+49 30 770', seq), seq % 2, seq * 1.2345678 from seq_1_to_900",
    "insert into accounts select uuid(), seq, seq * 1.25, json_object('name', concat('canary', seq), 'n', 5, 't', true),
        'canary', '2024-01-02 03:04:05.678901', seq % 16, 'b' from seq_1_to_900",
    "insert into `Odd ``Table` select seq, concat('canary', char(9), '\\'\\\\', seq), concat('kept\\n\\'\\\\\\0 ü ', char(9), seq)
        from seq_1_to_50",
    "insert into `Odd ``Table` values (null, null, null), (0, '', '')",
    "insert into logins select lower(email), id / 7, 900100000 + id from people",
    "insert into parts select seq, seq, 'canary' from seq_1_to_20000",
    "insert into audit values ('canary')",
];

const RULES: &[(&str, &str)] = &[
    ("people.id", "hash"),
    ("people.email", "fake email"),
    ("people.full_name", "fake name"),
    ("people.born", "shift 30d"),
    ("people.phone", "fake phone"),
    ("accounts.id", "hash"),
    ("accounts.balance", "fake number"),
    ("accounts.extra", "hash"),
    ("accounts.raw", "hash"),
    ("accounts.seen", "shift 9d"),
    ("Odd `Table.Secret, really", "hash"),
    ("logins.score", "hash"),
    ("parts.note", "null"),
];

fn masking(rules: &[(&str, &str)]) -> Masking {
    Masking { rules: rules.iter().map(|(name, rule)| ((*name).to_owned(), rule.parse().unwrap())).collect() }
}

async fn ask(url: &str, question: &str) -> Vec<String> {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let rows = sqlx::raw_sql(AssertSqlSafe(question.to_owned())).fetch_all(&mut connection).await.unwrap();
    let text = |row: &sqlx::mysql::MySqlRow, at| {
        let bytes: Option<Vec<u8>> = row.try_get_unchecked(at).unwrap();
        bytes.map_or("NULL".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut all: Vec<_> =
        rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect::<Vec<_>>().join("|")).collect();
    all.sort();
    all
}

/// A source with rows, and a target with tables alone.
async fn both() -> (MariaDb, String, String) {
    let mariadb = MariaDb::start();
    let root = format!("mysql://root@127.0.0.1:{}/shop", mariadb.port());
    let target = format!("mysql://root@127.0.0.1:{}/clone", mariadb.port());
    Database::new(&root).execute("create database clone").await;
    for sql in TABLES {
        Database::new(&root).execute(sql).await;
        Database::new(&target).execute(sql).await;
    }
    for sql in ROWS {
        Database::new(&root).execute(sql).await;
    }
    (mariadb, root, target)
}

async fn copied(source: &str, target: &str, rules: &[(&str, &str)]) -> Result<CopyReport, Error> {
    let masking = masking(rules);
    let without = ["audit".to_owned()];
    let seed = b"a secret of the test";
    copy(&Copying { source, target, masking: &masking, seed, without: &without, progress: &|_| {} }).await
}

#[tokio::test]
async fn r23_a_masked_copy_of_mariadb_holds_no_original_and_every_reference() {
    let (_mariadb, source, target) = both().await;
    let report = copied(&source, &target, RULES).await.unwrap();
    for table in ["people", "accounts", "`Odd ``Table`", "logins", "parts", "audit"] {
        let everything = ask(&target, &format!("select * from {table}")).await.join("\n").to_lowercase();
        for canary in ["canary", "corp.test", "+49 30"] {
            assert!(!everything.contains(canary), "{canary} in {table}");
        }
    }
    let along: Vec<_> = report.along.iter().map(|one| format!("{} {}", one.column, one.rule)).collect();
    assert_eq!(along, ["shop.accounts.person hash", "shop.logins.email fake email"]);
    let suspects: Vec<_> = report.suspects.iter().map(|one| one.column.to_string()).collect();
    assert_eq!(suspects, ["shop.logins.ssn"]);
    let rows: u64 = report.tables.iter().map(|one| one.rows).sum();
    assert_eq!(rows, 900 * 3 + 52 + 20_000);
    for alike in [
        "select count(*) from accounts join people p on p.id = person",
        "select count(*) from logins join people using (email)",
        "select count(*) from people where full_name is null",
        "select is_active, height + 0e0 from people",
        "select level, flags + 0, time(seen) from accounts",
        "select `a b`, kept, `Secret, really` is null from `Odd ``Table`",
        "select id, place from parts",
        "select datediff(max(born), min(born)) from people",
        "select count(*) from people where mail_key <> lower(email)",
        "select ssn from logins",
    ] {
        assert_eq!(ask(&source, alike).await, ask(&target, alike).await, "{alike}");
    }
    for masked in ["select id from people", "select born from people", "select score from logins"] {
        assert_ne!(ask(&source, masked).await, ask(&target, masked).await, "{masked}");
    }
    let said = copied(&source, &target, RULES).await.unwrap_err();
    assert!(matches!(said, Error::NotEmpty(_)), "{said}");
}

#[tokio::test]
async fn r23_a_copy_of_mariadb_is_whole_or_not_there() {
    let (_mariadb, source, target) = both().await;
    Database::new(&target).execute("alter table parts add check (id < 19000)").await;
    let said = copied(&source, &target, RULES).await.unwrap_err().to_string();
    assert!(said.contains("write shop.parts of the target"), "{said}");
    for table in ["people", "accounts", "`Odd ``Table`", "logins", "parts"] {
        assert_eq!(ask(&target, &format!("select * from {table}")).await, Vec::<String>::new());
    }
    let said = copied(&source, &target, &[("people.emial", "hash"), ("x.y", "null")]).await.unwrap_err().to_string();
    assert!(said.contains("did you mean `people.email`?") && said.contains("`x.y` is no column"), "{said}");
}
