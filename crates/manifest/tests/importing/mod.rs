//! What came of an import, as texts that a person can review.

use std::fmt::Write as _;

use daybook_manifest::import::Imported;
use daybook_manifest::{Bundle, Options, load};

pub(crate) fn loaded(manifest: &str) -> daybook_manifest::Loaded {
    let mut bundle = Bundle { entries: vec!["/x/daybook.yaml".to_owned()], root: "/x".to_owned(), ..Bundle::default() };
    bundle.files.insert("/x/daybook.yaml".to_owned(), manifest.to_owned());
    load(&bundle, &Options::new("production".parse().unwrap()))
}

pub(crate) fn notes(imported: &Imported) -> String {
    let mut out = String::new();
    for note in &imported.notes {
        let _ =
            writeln!(out, "{}:{}:{} {}: {}", note.place.file, note.place.line, note.place.column, note.kind, note.what);
        if let Some(advice) = &note.advice {
            let _ = writeln!(out, "    {advice}");
        }
    }
    out
}

pub(crate) fn snapshot(name: String, text: &str) {
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots"}, {
        insta::assert_snapshot!(name, text);
    });
}

/// The manifest, the notes, and what loading the manifest says. It must load.
pub(crate) fn story(imported: &Imported) -> String {
    let manifest = imported.manifest.as_ref().unwrap_or_else(|| panic!("no manifest:\n{}", notes(imported)));
    let loaded = loaded(manifest);
    assert!(loaded.spec.is_some(), "{manifest}\n{:#?}", loaded.diagnostics);
    let warnings: Vec<String> =
        loaded.diagnostics.iter().map(|found| format!("{} {}\n", found.code, found.message)).collect();
    format!("{manifest}\n--- notes\n{}\n--- what loading says\n{}", notes(imported), warnings.concat())
}
