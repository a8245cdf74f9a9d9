//! Files of other platforms, each case with its manifest and its notes as a text that a person can review.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod importing;

use std::path::{Path, PathBuf};

use daybook_fuzz::{Chance, Tally, cases, damage};
use daybook_manifest::import::{Document, Imported, NoteKind, fly, heroku, kamal, render, score};
use importing::{notes, snapshot, story};

fn folders(of: &str) -> Vec<PathBuf> {
    sorted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(of))
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn documents(folder: &Path) -> Vec<Document> {
    let read = |file: PathBuf| Document { path: name(&file), text: std::fs::read_to_string(&file).unwrap() };
    sorted(folder).into_iter().map(read).collect()
}

/// The folder's name begins with that of its platform.
fn import(folder: &str, documents: &[Document]) -> Imported {
    match folder.split('-').next().unwrap() {
        "fly" => fly(documents, None),
        "heroku" => heroku(documents, None),
        "kamal" => kamal(documents, None),
        "render" => render(documents, None),
        "score" => score(documents, None),
        other => panic!("no platform is called {other}"),
    }
}

#[test]
fn files_of_platforms_become_a_manifest_that_loads() {
    for folder in folders("platforms") {
        let imported = import(&name(&folder), &documents(&folder));
        snapshot(name(&folder), &story(&imported));
    }
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_place() {
    for folder in folders("platforms-bad") {
        let imported = import(&name(&folder), &documents(&folder));
        assert_eq!(imported.manifest, None, "{}", folder.display());
        assert!(imported.notes.iter().all(|note| note.kind == NoteKind::Error));
        snapshot(format!("bad-{}", name(&folder)), &notes(&imported));
    }
}

#[test]
fn r31_a_secret_of_a_platform_is_in_neither_the_manifest_nor_the_notes() {
    let mut seen = 0;
    for folder in folders("platforms") {
        let documents = documents(&folder);
        seen += documents.iter().filter(|document| document.text.contains("telltale")).count();
        let said = serde_json::to_string(&import(&name(&folder), &documents)).unwrap();
        assert!(!said.contains("telltale"), "{}: {said}", folder.display());
    }
    assert!(seen >= 5, "every platform has a secret in clear");
}

#[test]
fn r36_damaged_files_of_platforms_are_told_what_is_wrong() {
    let tally = Tally::start("damaged files of platforms");
    let folders: Vec<(String, Vec<Document>)> =
        folders("platforms").iter().map(|folder| (name(folder), documents(folder))).collect();
    for seed in 0..u64::from(cases(3_000)) {
        let mut chance = Chance::new(seed);
        let (folder, documents): &(String, Vec<Document>) = chance.one_of(&folders);
        let mut documents = documents.clone();
        let first = documents.first_mut().unwrap();
        first.text = String::from_utf8_lossy(&damage(first.text.as_bytes(), &mut chance)).into_owned();
        let text = first.text.clone();
        let imported = tally.measure(text.as_bytes(), || import(folder, &documents));
        let failed = imported.notes.iter().any(|note| note.kind == NoteKind::Error);
        assert_eq!(
            imported.manifest.is_none(),
            failed,
            "a manifest or an error, and never both:\n{}",
            notes(&imported)
        );
    }
}
