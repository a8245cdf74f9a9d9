use super::*;
use crate::migrations::history::BASELINE;
use crate::migrations::set::File;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn files(all: &[(&str, &str)]) -> Migrations {
    let files: Vec<_> =
        all.iter().map(|(path, text)| File { path: (*path).to_owned(), bytes: text.as_bytes().to_vec() }).collect();
    Migrations::read(&files).unwrap()
}

fn row(rank: i32, number: Option<&str>, description: &str, kind: Kind, text: &str) -> Row {
    Row {
        rank,
        version: number.map(version),
        description: description.to_owned(),
        kind,
        script: format!("V{rank}__x.sql"),
        checksum: Some(checksum::of(text)),
        by: "shop".to_owned(),
        on: String::new(),
        took_ms: 1,
        success: true,
    }
}

fn sql(rank: i32, number: &str, text: &str) -> Row {
    row(rank, Some(number), text, Kind::Sql, text)
}

/// Each standing as `VERSION STATE`, or as the description of a repeatable one.
fn told(files: &Migrations, rows: &[Row], options: &Options) -> Vec<String> {
    let tell = |standing: &Standing<'_>| {
        let what = standing.version.map_or_else(|| standing.description().to_owned(), ToString::to_string);
        format!("{what} {}", standing.state)
    };
    standings(files, rows, options).iter().map(tell).collect()
}

#[test]
fn a_new_database_has_everything_to_be_run() {
    let files = files(&[("V1__a.sql", "a"), ("V2__b.sql", "b"), ("R__v.sql", "v")]);
    let options = Options::default();
    assert_eq!(told(&files, &[], &options), ["1 pending", "2 pending", "v pending"]);
    let target = Options { target: Some(version("1")), ..Options::default() };
    assert_eq!(told(&files, &[], &target), ["1 pending", "2 above target", "v pending"]);
    assert!(wrong(&files, &[], &options).is_empty());
}

#[test]
fn a_new_database_begins_with_the_newest_that_stands_for_all_before() {
    let files = files(&[
        ("V1__a.sql", "a"),
        ("V2__b.sql", "b"),
        ("B2__all.sql", "ab"),
        ("B1__old.sql", "a"),
        ("V3__c.sql", "c"),
    ]);
    let options = Options::default();
    assert_eq!(told(&files, &[], &options), ["1 below baseline", "2 pending", "3 pending"]);
    assert_eq!(pending(&files, &[], &options)[0].migration.unwrap().script, "B2__all.sql");
    // One that is not new goes on by its versions.
    assert_eq!(told(&files, &[sql(1, "1", "a")], &options), ["1 applied", "2 pending", "3 pending"]);
    let begun = row(1, Some("2"), "all", Kind::SqlBaseline, "ab");
    assert_eq!(told(&files, &[begun], &options), ["1 below baseline", "2 baseline", "3 pending"]);
}

#[test]
fn what_was_run_is_compared() {
    let files = files(&[("V1__a.sql", "a"), ("V2__b.sql", "changed"), ("V4__other_name.sql", "d")]);
    let rows = [sql(1, "1", "a"), sql(2, "2", "b"), sql(3, "3", "c"), sql(4, "4", "d"), sql(5, "5", "e")];
    let options = Options::default();
    assert_eq!(told(&files, &rows, &options), ["1 applied", "2 applied", "3 missing", "4 applied", "5 future"]);
    let said: Vec<_> = wrong(&files, &rows, &options).iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("version 2 (b) was changed after it was run: V2__b.sql has checksum"), "{}", said[0]);
    assert!(said[1].starts_with("version 3 (c) was run and V3__x.sql is gone"), "{}", said[1]);
    assert!(said[2].starts_with("version 4 (other name) is called `other name` now"), "{}", said[2]);
}

#[test]
fn a_checksum_of_an_older_history_counts() {
    let files = files(&[("V1__a.sql", "a\n")]);
    let mut old = sql(1, "1", "a");
    old.checksum = Some(checksum::legacy("a\n"));
    assert!(wrong(&files, &[old], &Options::default()).is_empty());
}

#[test]
fn a_version_below_one_that_was_run_is_named_unless_it_is_allowed() {
    let files = files(&[("V1__a.sql", "a"), ("V2__b.sql", "b"), ("V3__c.sql", "c")]);
    let rows = [sql(1, "1", "a"), sql(2, "3", "c")];
    let strict = Options::default();
    assert_eq!(told(&files, &rows, &strict), ["1 applied", "2 ignored", "3 applied"]);
    assert_eq!(
        wrong(&files, &rows, &strict),
        [Wrong::Ignored { what: "version 2 (b)".to_owned(), highest: "3".to_owned() }]
    );
    let free = Options { out_of_order: true, ..Options::default() };
    assert_eq!(told(&files, &rows, &free), ["1 applied", "2 pending", "3 applied"]);
    let after = [rows[0].clone(), rows[1].clone(), sql(3, "2", "b")];
    assert_eq!(told(&files, &after, &strict), ["1 applied", "2 out of order", "3 applied"]);
}

#[test]
fn a_history_may_begin_at_a_baseline() {
    let files = files(&[("V1__a.sql", "a"), ("V2__b.sql", "b"), ("V3__c.sql", "c")]);
    let mut baseline = row(1, Some("2"), BASELINE, Kind::Baseline, "");
    baseline.checksum = None;
    let rows = [baseline];
    let options = Options::default();
    assert_eq!(told(&files, &rows, &options), ["1 below baseline", "2 baseline", "3 pending"]);
    assert!(wrong(&files, &rows, &options).is_empty());
}

#[test]
fn r22_what_was_broken_off_forbids_to_go_on() {
    let files = files(&[("V1__a.sql", "a"), ("V2__b.sql", "b")]);
    let mut broken = sql(1, "1", "a");
    broken.success = false;
    let options = Options::default();
    assert_eq!(told(&files, &[broken.clone()], &options), ["1 failed", "2 pending"]);
    assert_eq!(wrong(&files, &[broken], &options), [Wrong::Failed("version 1 (a)".to_owned())]);
}

#[test]
fn repeatable_migrations_run_again_when_they_have_changed() {
    let files = files(&[("R__a.sql", "create ${what}"), ("R__b.sql", "b2")]);
    let repeatable = |rank, description, text| row(rank, None, description, Kind::Sql, text);
    let placeholders = [("what", "view")].into_iter().collect();
    let options = Options { placeholders, ..Options::default() };
    let rows = [repeatable(1, "a", "create view"), repeatable(2, "b", "b1"), repeatable(3, "gone", "g")];
    assert_eq!(told(&files, &rows, &options), ["gone missing", "a applied", "b outdated"]);
    // As it is written counts as well.
    let raw = [repeatable(1, "a", "create ${what}"), repeatable(2, "b", "b1"), repeatable(3, "b", "b2")];
    assert_eq!(told(&files, &raw, &options), ["b superseded", "a applied", "b applied"]);
    let deleted = [raw[0].clone(), row(2, None, "a", Kind::Delete, "")];
    assert_eq!(told(&files, &deleted, &options), ["a undone", "a pending", "b pending"]);
}

#[test]
fn what_was_taken_back_waits_again() {
    let files = files(&[("V1__a.sql", "a"), ("V2__b.sql", "b")]);
    let rows = [sql(1, "1", "a"), sql(2, "2", "b"), row(3, Some("2"), "b", Kind::Delete, "")];
    let options = Options::default();
    assert_eq!(told(&files, &rows, &options), ["1 applied", "2 pending"]);
    assert_eq!(super::version(&standings(&files, &rows, &options)), Some(&version("1")));
    let again = [rows[0].clone(), rows[1].clone(), rows[2].clone(), sql(4, "2", "b")];
    assert_eq!(told(&files, &again, &options), ["1 applied", "2 applied"]);
    assert_eq!(told(&files_without_second(), &rows, &options), ["1 applied", "2 undone"]);
}

fn files_without_second() -> Migrations {
    files(&[("V1__a.sql", "a")])
}

#[test]
fn a_script_may_say_that_it_is_not_run() {
    let files = files(&[("V1__a.sql", "a"), ("V1__a.sql.conf", "shouldExecute=false"), ("V2__b.sql", "b")]);
    assert_eq!(told(&files, &[], &Options::default()), ["1 skipped", "2 pending"]);
}
