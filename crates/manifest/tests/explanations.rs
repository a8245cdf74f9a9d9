//! Every code is explained, and every explanation's example shows its code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use daybook_manifest::{Aim, Bundle, Cipher, Options, Severity, codes, explain, load};

fn bundle(code: &str, example: &str) -> Bundle {
    let mut bundle =
        Bundle { entries: vec!["/app/daybook.yaml".to_owned()], root: "/app".to_owned(), ..Bundle::default() };
    if code == "M0120" {
        bundle.entries = vec!["/daybook.yaml".to_owned()];
        bundle.root = "/".to_owned();
    }
    let path = bundle.entries[0].clone();
    bundle.files.insert(path, example.to_owned());
    let mut side = |name: &str, text: &str| bundle.files.insert(format!("/app/{name}"), text.to_owned());
    side("base.yaml", "services:\n  web: {image: httpd}\n");
    side("bad.env", "A=1\n=2\n");
    for number in 0..300 {
        side(&format!("{number}.yaml"), &format!("include: [{}.yaml]\n", number + 1));
    }
    side("large.yaml", &"#".repeat(2 << 20));
    side("many.yaml", "include: [0.yaml]\n");
    bundle.unreadable.insert("/app/directory".to_owned(), "it is a directory".to_owned());
    let encrypted = "/app/secrets.enc.yaml".to_owned();
    bundle.present.insert(encrypted.clone());
    match code {
        "M0410" => bundle.opened.insert(Cipher::Sops.key(&encrypted), r#"{"password": "swordfish"}"#.to_owned()),
        _ => bundle.unopened.insert(Cipher::Sops.key(&encrypted), "there is no key to open it with".to_owned()),
    };
    bundle
}

fn options(code: &str) -> Options {
    let mut options = Options::new("production".parse().unwrap());
    options.runtime = (code == "M0210").then(|| "process".to_owned());
    options
}

#[test]
fn each_example_shows_its_code() {
    let mut missing = Vec::new();
    for row in codes() {
        let loaded = load(&bundle(row.code, row.example), &Options { aim: Aim::Act, ..options(row.code) });
        let found: Vec<_> = loaded.diagnostics.iter().map(|found| found.code.as_ref()).collect();
        if !found.contains(&row.code) {
            missing.push(format!("the example of {} shows {found:?}", row.code));
        }
        let error = loaded.diagnostics.iter().any(daybook_manifest::Diagnostic::is_error);
        assert_eq!(loaded.spec.is_none(), error, "{}: a specification exists exactly when there is no error", row.code);
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_is_put_off_is_a_warning_until_the_manifest_is_carried_out() {
    for row in codes().filter(|row| row.deferred) {
        let severity = |aim: Aim| {
            let loaded = load(&bundle(row.code, row.example), &Options { aim, ..options(row.code) });
            let found = loaded.diagnostics.into_iter().find(|found| found.code == row.code).unwrap();
            (found.severity, loaded.spec.is_some())
        };
        assert_eq!(severity(Aim::Look), (Severity::Warning, true), "{}", row.code);
        assert_eq!(severity(Aim::Act), (Severity::Error, false), "{}", row.code);
    }
}

#[test]
fn codes_are_in_order_and_each_once() {
    let all: Vec<_> = codes().map(|row| row.code).collect();
    let sorted: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(all, sorted.into_iter().collect::<Vec<_>>());
    assert_eq!(explain(" m0107 ").unwrap().title, "unknown key");
    assert!(explain("M9999").is_none());
}

#[test]
fn every_code_in_the_source_is_explained_and_every_explained_code_is_used() {
    let mut used = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("codes") {
                folders.push(path);
            } else if path.is_file() {
                let text = std::fs::read_to_string(path).unwrap();
                let quoted = text.split('"').filter(|part| part.len() == 5 && part.starts_with("M0"));
                used.extend(quoted.map(str::to_owned));
            }
        }
    }
    let explained: BTreeSet<_> = codes().map(|row| row.code.to_owned()).collect();
    assert_eq!(used, explained);
}
