use super::*;

fn said(dialect: Dialect, text: &str) -> Vec<String> {
    let remarks = Lint::new(dialect).remarks(text);
    remarks.iter().map(|remark| format!("{}: {:?}: {}", remark.line, remark.kind, remark.text)).collect()
}

fn kinds(dialect: Dialect, text: &str) -> Vec<RemarkKind> {
    Lint::new(dialect).remarks(text).iter().map(|remark| remark.kind).collect()
}

#[test]
fn r22_what_keeps_others_waiting_is_told_with_what_does_not() {
    use RemarkKind::{Breaks, Lock, LongLock, Loses};
    let cases = [
        ("alter table t add column c int", vec![Lock]),
        ("alter table t add column c int not null default 0", vec![Lock]),
        ("alter table t add c timestamptz not null default now()", vec![Lock]),
        ("alter table t add column c uuid default gen_random_uuid()", vec![LongLock]),
        ("alter table t add column c bigserial", vec![LongLock]),
        ("alter table t add column c bigint generated always as identity", vec![LongLock]),
        ("alter table t add column c int not null", vec![Breaks]),
        ("alter table t add column c int unique", vec![LongLock]),
        ("alter table t drop column c", vec![Loses]),
        ("alter table t drop column c, drop column d", vec![Loses, Loses]),
        ("alter table t rename column c to d", vec![Breaks]),
        ("alter table t rename to u", vec![Breaks]),
        ("alter table t alter column c type bigint", vec![LongLock]),
        ("alter table t alter column c set not null", vec![LongLock]),
        ("alter table t alter column c drop not null", vec![Lock]),
        ("alter table t alter column c set default 1", vec![Lock]),
        ("alter table t add constraint k check (c > 0)", vec![LongLock]),
        ("alter table t add constraint k check (c > 0) not valid", vec![Lock]),
        ("alter table t validate constraint k", vec![]),
        ("alter table t add constraint k foreign key (c) references u (id)", vec![LongLock]),
        ("alter table t add constraint k foreign key (c) references u (id) not valid", vec![Lock]),
        ("alter table t add constraint k unique (c)", vec![LongLock]),
        ("alter table t add constraint k unique using index i", vec![Lock]),
        ("alter table t add primary key (c)", vec![LongLock]),
        ("create index i on t (c)", vec![LongLock]),
        ("create unique index i on t (c)", vec![LongLock]),
        ("create index concurrently i on t (c)", vec![]),
        ("drop index i", vec![Lock]),
        ("drop table t", vec![Loses]),
        ("drop table if exists t, u", vec![Loses, Loses]),
        ("drop view v", vec![Breaks]),
        ("drop function f(int)", vec![Breaks]),
        ("drop schema s cascade", vec![Loses]),
        ("truncate t", vec![Loses]),
        ("delete from t", vec![Loses]),
        ("delete from t where c = 1", vec![]),
        ("update t set c = 1", vec![LongLock]),
        ("update t set c = 1 where c is null", vec![]),
        ("vacuum full t", vec![LongLock]),
        ("cluster t using i", vec![LongLock]),
        ("reindex table t", vec![LongLock]),
        ("reindex table concurrently t", vec![]),
        ("refresh materialized view v", vec![LongLock]),
        ("refresh materialized view concurrently v", vec![]),
        ("insert into t values (1)", vec![]),
        ("create table t (c int)", vec![]),
        ("select this is not sql", vec![]),
    ];
    for (sql, expected) in cases {
        assert_eq!(kinds(Dialect::PostgreSql, sql), expected, "{sql}: {:?}", said(Dialect::PostgreSql, sql));
    }
}

#[test]
fn mysql_is_judged_by_its_own_rules() {
    use RemarkKind::{Breaks, Lock, LongLock, Loses};
    let cases = [
        ("alter table t add column c int not null", vec![Lock]),
        ("alter table t modify column c bigint", vec![LongLock]),
        ("alter table t change column c d int", vec![Breaks]),
        ("alter table t change column c c bigint", vec![LongLock]),
        ("alter table t add constraint k foreign key (c) references u (id)", vec![LongLock]),
        ("alter table t add index i (c)", vec![]),
        ("create index i on t (c)", vec![]),
        ("drop table t", vec![Loses]),
        ("alter table t drop column c", vec![Loses]),
    ];
    for (sql, expected) in cases {
        assert_eq!(kinds(Dialect::MySql, sql), expected, "{sql}: {:?}", said(Dialect::MySql, sql));
    }
}

#[test]
fn nobody_waits_for_a_table_that_was_just_made() {
    let text = "create table t (c int);\ncreate index i on t (c);\nalter table public.t add unique (c);\nupdate t set c = 1;\n\
create index j on u (c);";
    assert_eq!(said(Dialect::PostgreSql, text), ["5: LongLock: nobody writes to u while the index is made"],);
    let mut lint = Lint::new(Dialect::PostgreSql);
    assert!(lint.remarks("create table orders (id int)").is_empty());
    assert!(lint.remarks("drop table orders").is_empty(), "made by the migration before");
}
