use super::super::{TableName, Text};
use super::*;

fn column(table: &str, column: &str, of: Type, samples: &[&str]) -> Sampled {
    let table = TableName { schema: "public".to_owned(), table: table.to_owned() };
    let name = ColumnName { table, column: column.to_owned() };
    let samples = samples.iter().map(|sample| (*sample).to_owned()).collect();
    Sampled { name, of, has_rule: false, samples }
}

fn suggested(column: Sampled) -> Option<String> {
    scan(&[column]).first().map(|suspect| suspect.suggested.to_string())
}

const TEXT: Type = Type::Text(Text::ANY);

#[test]
fn names_are_told() {
    let table = [
        ("email", "fake email"),
        ("billingEmail", "fake email"),
        ("e_mail_2", "fake email"),
        ("MobilePhone", "fake phone"),
        ("tel", "fake phone"),
        ("first_name", "fake first_name"),
        ("lastName", "fake last_name"),
        ("full_name", "fake name"),
        ("date_of_birth", "shift 30d"),
        ("dob", "shift 30d"),
        ("ssn", "fake number"),
        ("iban", "fake iban"),
        ("card_number", "fake number"),
        ("ip_address", "fake ip"),
        ("street", "fake address"),
        ("ZIP", "fake number"),
        ("postal_code", "fake number"),
        ("city", "fake city"),
        ("password_hash", "hash"),
        ("apiKey", "hash"),
        ("reset_token", "hash"),
        ("passport_no", "fake number"),
        ("gender", "null"),
        ("lat", "null"),
        ("internal_notes", "fake text"),
        ("user_agent", "hash"),
        ("national_id", "fake number"),
    ];
    for (name, rule) in table {
        let of = if rule.starts_with("shift") { Type::Date } else { TEXT };
        assert_eq!(suggested(column("t", name, of, &[])).as_deref(), Some(rule), "{name}");
    }
    for name in ["id", "title", "email_verified", "address_id", "token_count", "shipping", "capacity", "latest", "name"]
    {
        assert_eq!(suggested(column("products", name, TEXT, &[])), None, "{name}");
    }
    assert_eq!(suggested(column("app_users", "name", TEXT, &[])).as_deref(), Some("fake name"));
}

#[test]
fn a_suggestion_makes_values_of_the_type() {
    let of = Type::Integer { bits: 64, is_unsigned: false };
    assert_eq!(suggested(column("t", "phone", of.clone(), &[])).as_deref(), Some("hash"));
    assert_eq!(suggested(column("t", "ssn", of, &[])).as_deref(), Some("fake number"));
    assert_eq!(suggested(column("t", "seen_from", Type::Inet, &[])).as_deref(), Some("fake ip"));
    assert_eq!(suggested(column("t", "location_lat", Type::Other("point".to_owned()), &[])).as_deref(), Some("null"));
    assert_eq!(suggested(column("t", "email_wanted", Type::Other("boolean".to_owned()), &[])), None);
}

#[test]
fn values_are_told() {
    let table: [(&[&str], Option<&str>); 12] = [
        (&["ann@example.net", "bob@example.net"], Some("fake email")),
        (&["+44 1632 960001", "+1 (212) 555-0143"], Some("fake phone")),
        (&["212-555-0143"], Some("fake phone")),
        (&["GB82 WEST 1234 5698 7654 32"], Some("fake iban")),
        (&["4111 1111 1111 1111", "5500000000000004"], Some("fake number")),
        (&["192.0.2.7", "2001:db8::1"], Some("fake ip")),
        (&["4111 1111 1111 1112"], None),
        (&["GB83 WEST 1234 5698 7654 32"], None),
        (&["2024-01-31", "12345678", "1.2.3"], None),
        (&["see ann@example.net", "nothing", "nothing at all", "still nothing"], None),
        (&["me@localhost", "@here", "a@b"], None),
        (&[], None),
    ];
    for (samples, rule) in table {
        assert_eq!(suggested(column("t", "value", TEXT, samples)).as_deref(), rule, "{samples:?}");
    }
    let within = ["{\"a\": 1}", "{\"to\": \"ann@example.net\"}"];
    assert_eq!(suggested(column("t", "value", Type::Json, &within)).as_deref(), Some("fake email"));
}

#[test]
fn dates_of_births_are_spread() {
    let births = ["1951-02-03", "1964-12-24", "1979-07-07", "1988-01-01", "2001-09-09"];
    assert_eq!(suggested(column("t", "day", Type::Date, &births)).as_deref(), Some("shift 30d"));
    let orders = ["2023-02-03", "2024-12-24", "2024-07-07", "2025-01-01", "2025-09-09"];
    assert_eq!(suggested(column("t", "day", Type::Date, &orders)), None);
}

#[test]
fn a_column_with_a_rule_is_not_told() {
    let known = Sampled { has_rule: true, ..column("t", "email", TEXT, &[]) };
    assert_eq!(scan(&[known]), []);
}
