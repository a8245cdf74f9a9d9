//! The document in `schemas/` is the one that the server answers with.
#![allow(clippy::unwrap_used)]

#[test]
fn the_checked_in_document_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/openapi.json");
    let current = serde_json::to_string_pretty(&daybook_server::openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == current, "schemas/openapi.json is out of date: run this test with UPDATE_SCHEMAS=1");
}

#[test]
fn every_operation_can_be_refused_in_the_one_shape() {
    let document = serde_json::to_value(daybook_server::openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let cannot_fail = ["/v1/version", "/v1/openapi.json", "/v1/doctor", "/v1/shutdown"];
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let refused = operation["responses"].get("default").is_some();
            assert!(refused || cannot_fail.contains(&path.as_str()), "{method} {path} documents no refusal");
        }
    }
}
