use super::super::Text;
use super::*;

const INTEGER: Type = Type::Integer { bits: 32, is_unsigned: false };
const TEXT: Type = Type::Text(Text::ANY);

fn name(text: &str) -> ColumnName {
    let parts: Vec<_> = text.split('.').map(str::to_owned).collect();
    let table = TableName { schema: parts[0].clone(), table: parts[1].clone() };
    ColumnName { table, column: parts[2].clone() }
}

fn column(text: &str, of: Type) -> Column {
    let is_key = text.ends_with(".id");
    let shape = Shape { of, is_nullable: !is_key, is_unique: is_key };
    Column { name: name(text), shape, is_generated: false, is_partition_key: false }
}

fn people() -> Schema {
    Schema {
        columns: vec![
            column("public.people.id", INTEGER),
            column("public.people.email", TEXT),
            column("public.orders.id", INTEGER),
            column("public.orders.person", Type::Integer { bits: 16, is_unsigned: false }),
            column("public.orders.email", TEXT),
            column("audit.people.email", TEXT),
            Column { is_generated: true, ..column("public.people.label", TEXT) },
            Column { is_partition_key: true, ..column("public.orders.day", Type::Date) },
        ],
        foreign: vec![Foreign { from: name("public.orders.person"), to: name("public.people.id") }],
    }
}

fn masking(rules: &[(&str, &str)]) -> Masking {
    Masking { rules: rules.iter().map(|(name, rule)| ((*name).to_owned(), rule.parse().unwrap())).collect() }
}

fn check(rules: &[(&str, &str)], without: &[&str], wanted: &[&str]) {
    let without: Vec<_> = without.iter().map(|table| (*table).to_owned()).collect();
    let said = Plan::new(&people(), &masking(rules), &without).err().unwrap_or_default();
    let said: Vec<_> = said.iter().map(ToString::to_string).collect();
    assert_eq!(said, wanted);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    check(
        &[("people.emial", "hash"), ("orders.nothing_like_it", "hash"), ("x.y.z", "null")],
        &["order"],
        &[
            "`orders.nothing_like_it` is no column that is copied",
            "`people.emial` is no column that is copied; did you mean `people.email`?",
            "`x.y.z` is no column that is copied",
            "`order` is no table, and cannot be left out; did you mean `orders`?",
        ],
    );
    check(
        &[("people.email", "hash")],
        &[],
        &["`people.email` is in several schemas: use one of audit.people.email, public.people.email"],
    );
    check(
        &[("orders.email", "hash"), ("public.orders.email", "null")],
        &[],
        &["public.orders.email has two rules: leave one of them out"],
    );
}

#[test]
fn a_rule_has_to_fit_its_column() {
    check(
        &[
            ("people.id", "null"),
            ("orders.day", "shift 3d"),
            ("people.label", "hash"),
            ("orders.email", "shift 2d"),
            ("people.label", "hash"),
        ],
        &[],
        &[
            "public.orders.day says which partition a row is in: it can only be kept",
            "public.orders.email: its type is a text, and `shift 2d` makes none: use `hash`, `fake KIND` or `null`",
            "public.people.id: it may not be NULL: use another rule than `null`",
            "public.people.label is generated from other columns: give the rule to those",
        ],
    );
}

#[test]
fn what_refers_to_a_masked_column_is_masked_along() {
    let plan = Plan::new(&people(), &masking(&[("people.id", "hash")]), &[]).unwrap();
    let along = Along { column: name("public.orders.person"), with: name("public.people.id"), rule: Rule::Hash };
    assert_eq!(plan.along, [along]);
    let masked: Vec<_> = plan.masked().map(|(name, rule)| format!("{name} {rule}")).collect();
    assert_eq!(masked, ["public.orders.person hash", "public.people.id hash"]);
    // Both are masked for the narrower of the two, so that what refers still fits.
    let shapes = plan.tables.values().flatten().filter(|column| column.changes().is_some());
    assert!(shapes.into_iter().all(|column| column.shape.of == Type::Integer { bits: 16, is_unsigned: false }));
    assert_eq!(plan.tables.values().flatten().filter(|column| column.name == "label").count(), 0);
}

#[test]
fn what_would_not_match_is_refused() {
    let differs = |here: &str, there: &str| {
        format!(
            "public.orders.person refers to public.people.id, and `{here}` would not match `{there}`: give the rule to public.people.id alone"
        )
    };
    check(&[("orders.person", "hash")], &[], &[&differs("hash", "keep")]);
    check(&[("orders.person", "keep"), ("people.id", "hash")], &[], &[&differs("keep", "hash")]);
    check(&[("orders.person", "null"), ("people.id", "hash")], &[], &[]);
    check(
        &[],
        &["public.people"],
        &["public.orders refers to public.people, which is left out: leave public.orders out as well"],
    );
    check(&[("orders.person", "null")], &["public.people"], &[]);
}

#[test]
fn a_kind_that_is_told_apart_somewhere_is_told_apart_everywhere() {
    let mut schema = people();
    schema.columns[1].shape.is_unique = true;
    let rules = masking(&[("public.people.email", "fake name"), ("orders.email", "fake name")]);
    let plan = Plan::new(&schema, &rules, &[]).unwrap();
    assert!(plan.tables.values().flatten().filter(|one| one.changes().is_some()).all(|one| one.shape.is_unique));
}
