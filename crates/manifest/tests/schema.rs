//! The published JSON Schema is the one that the tables make. `UPDATE_SCHEMAS=1` writes it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[test]
fn the_published_schema_is_current() {
    let generated = format!("{}\n", serde_json::to_string_pretty(&daybook_manifest::generate_schema()).unwrap());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/daybook.schema.json");
        std::fs::write(path, generated).unwrap();
        return;
    }
    assert!(
        generated == daybook_manifest::SCHEMA,
        "run: UPDATE_SCHEMAS=1 cargo test -p daybook-manifest --test schema"
    );
}
