//! Damaged manifests: never a panic, always a located error or a specification, never without bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

mod hostile;

use daybook_fuzz::{Tally, cases};
use daybook_manifest::{Bundle, Options, load, render};
use proptest::prelude::*;

/// Every fixture's text, good and bad.
fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let good = std::fs::read_dir(root.join("compose")).unwrap().map(|entry| entry.unwrap().path().join("compose.yaml"));
    let bad = std::fs::read_dir(root.join("bad")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = good.chain(bad).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}

/// Loads `text` and checks what holds for every text.
fn survives(tally: &Tally, text: &str) {
    let mut bundle =
        Bundle { entries: vec!["/app/daybook.yaml".to_owned()], root: "/app".to_owned(), ..Bundle::default() };
    bundle.files.insert("/app/daybook.yaml".to_owned(), text.to_owned());
    bundle_survives(tally, text, &bundle);
}

fn bundle_survives(tally: &Tally, name: &str, bundle: &Bundle) {
    let (loaded, rendered) = tally.measure(name.as_bytes(), || {
        let loaded = load(bundle, &Options::new("production".parse().unwrap()));
        let rendered = render(&loaded.diagnostics, bundle, false);
        (loaded, rendered)
    });
    let name: String = name.chars().take(4_000).collect();
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error()).count();
    assert_eq!(loaded.spec.is_none(), errors > 0, "a specification or an error, and never both:\n{name}");
    assert!(loaded.diagnostics.len() <= 200);
    for found in &loaded.diagnostics {
        assert!(found.place.line >= 1 && found.place.start <= found.place.end, "{found:?}");
        let length = bundle.files.get(&found.place.file).map_or(0, String::len);
        assert!(found.place.end as usize <= length, "{found:?}");
    }
    assert!(rendered.len() <= 4_000 * (1 + loaded.diagnostics.len()), "{} bytes are said of\n{name}", rendered.len());
}

/// What is put into texts: what YAML, Compose and terminals give a meaning.
const PIECES: [&str; 40] = [
    "\t",
    "\n",
    " ",
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: ",
    "!reset ",
    "!x ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "#",
    "%",
    "---\n",
    "\0",
    "\u{feff}",
    "\r",
    "${",
    "}",
    "$$",
    "${A:-",
    "${x.y}",
    "null",
    "~",
    "-1",
    "99999999999999999999",
    "é",
    "🐳",
    "\u{1b}[31m",
    "? ",
    "x-",
    "\u{2028}",
];

#[derive(Debug, Clone)]
enum Change {
    Insert(usize, usize),
    Remove(usize, usize),
    Repeat(usize, usize),
    Swap(usize, usize),
}

fn apply(text: &str, change: &Change) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |seed: usize| seed % (chars.len() + 1);
    let text = |part: &[char]| part.iter().collect::<String>();
    match *change {
        Change::Insert(place, piece) => {
            let place = at(place);
            text(&chars[..place]) + PIECES[piece % PIECES.len()] + &text(&chars[place..])
        }
        Change::Remove(place, length) => {
            let place = at(place);
            let end = (place + length % 40).min(chars.len());
            text(&chars[..place]) + &text(&chars[end..])
        }
        Change::Repeat(place, length) => {
            let place = at(place);
            let end = (place + length % 80).min(chars.len());
            text(&chars[..end]) + &text(&chars[place..])
        }
        Change::Swap(one, other) => {
            let mut lines: Vec<String> = text(&chars).lines().map(str::to_owned).collect();
            if lines.is_empty() {
                return String::new();
            }
            let (one, other) = (one % lines.len(), other % lines.len());
            lines.swap(one, other);
            lines.join("\n")
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<usize>()).prop_map(|(place, piece)| Change::Insert(place, piece)),
        (any::<usize>(), any::<usize>()).prop_map(|(place, length)| Change::Remove(place, length)),
        (any::<usize>(), any::<usize>()).prop_map(|(place, length)| Change::Repeat(place, length)),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

#[test]
fn r36_damaged_manifests_are_told_what_is_wrong() {
    let tally = Tally::start("damaged manifests");
    let corpus = corpus();
    let config = ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(cases(10_000)) };
    proptest!(config, |(
        start in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    )| {
        let text = changes.iter().fold(corpus[start.index(corpus.len())].clone(), |text, change| apply(&text, change));
        survives(&tally, &text);
    });
}

#[test]
fn r36_texts_of_any_characters_are_told_what_is_wrong() {
    let tally = Tally::start("texts of any characters");
    proptest!(ProptestConfig::with_cases(cases(1_000)), |(text in ".{0,300}")| survives(&tally, &text));
}

/// What YAML gives a meaning, over and over: a scanner that looks ahead too far shows here.
#[test]
fn r36_repeated_marks_are_told_what_is_wrong() {
    let tally = Tally::start("repeated marks");
    for first in PIECES {
        for second in PIECES {
            survives(&tally, &[first, second].concat().repeat(1_000));
        }
    }
}

#[test]
fn r36_hostile_manifests_are_bounded() {
    let tally = Tally::start("hostile manifests");
    for (_, text) in hostile::texts() {
        survives(&tally, &text);
    }
    for (name, bundle) in hostile::bundles() {
        bundle_survives(&tally, name, &bundle);
    }
}

/// As an editor on another system, a pipe or a broken disk leaves files.
#[test]
fn r36_files_in_other_encodings_are_told_what_is_wrong() {
    let tally = Tally::start("files in other encodings");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daybook.yaml");
    let text = "app: shop\nservices:\n  web: {image: a}\n";
    let utf16 = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
        [mark, &text.encode_utf16().flat_map(bytes).collect::<Vec<_>>()].concat()
    };
    let inputs: [(Vec<u8>, bool); 9] = [
        (text.into(), true),
        ([b"\xef\xbb\xbf", text.as_bytes()].concat(), true),
        (utf16(b"\xff\xfe", u16::to_le_bytes), false),
        (utf16(b"\xfe\xff", u16::to_be_bytes), false),
        (utf16(b"", u16::to_le_bytes), false),
        ([text.as_bytes(), b"# caf\xe9\n"].concat(), false),
        ([text.as_bytes(), b"# \xf0\x9f\x90"].concat(), false),
        ([text.as_bytes(), &[0; 4096]].concat(), false),
        (vec![b'#'; 9 << 20], false),
    ];
    for (bytes, good) in inputs {
        std::fs::write(&path, &bytes).unwrap();
        let (bundle, found) = tally.measure(&bytes, || Bundle::collect(std::slice::from_ref(&path), &|_| None, None));
        let errors = found.iter().filter(|found| found.is_error()).count();
        assert_eq!(errors == 0, good, "{found:?}");
        assert_eq!(load(&bundle, &Options::new("production".parse().unwrap())).spec.is_some(), good);
    }
}

#[test]
fn r36_the_environments_that_are_collected_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daybook.yaml");
    let environments: String = (0..2_000).map(|n| format!("  e{n}: {{}}\n")).collect();
    std::fs::write(&path, format!("services: {{web: {{image: a}}}}\nenvironments:\n{environments}")).unwrap();
    let (_, found) = Bundle::collect(&[path], &|_| None, None);
    assert!(found.iter().any(|found| found.is_error() && found.place.line > 2), "{found:?}");
}

#[test]
fn a_missing_file_that_is_included_twice_is_no_circle() {
    let mut bundle =
        Bundle { entries: vec!["/app/daybook.yaml".to_owned()], root: "/app".to_owned(), ..Bundle::default() };
    let text = "include: [a.yaml, a.yaml]\nservices: {web: {image: a}}\n";
    bundle.files.insert("/app/daybook.yaml".to_owned(), text.to_owned());
    let loaded = load(&bundle, &Options::new("production".parse().unwrap()));
    assert!(loaded.diagnostics.iter().all(|found| found.code == "M0401"), "{:?}", loaded.diagnostics);
}

#[test]
fn many_warnings_hide_no_error() {
    let services: String = (0..300).map(|n| format!("  s{n}: {{image: a, scale: {{cpu: 70%}}}}\n")).collect();
    let text = format!("services:\n{services}  last: {{image: a, enviroment: {{}}}}\n");
    let mut bundle =
        Bundle { entries: vec!["/app/daybook.yaml".to_owned()], root: "/app".to_owned(), ..Bundle::default() };
    bundle.files.insert("/app/daybook.yaml".to_owned(), text);
    let loaded = load(&bundle, &Options::new("production".parse().unwrap()));
    assert_eq!(loaded.diagnostics.len(), 101);
    assert!(loaded.spec.is_none());
    assert!(loaded.diagnostics.iter().any(|found| found.message.contains("enviroment")));
}
