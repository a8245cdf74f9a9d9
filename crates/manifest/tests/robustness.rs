//! Damaged manifests: never a panic, always a located error or a specification, never without bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

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
fn survives(text: &str) {
    let mut bundle =
        Bundle { entries: vec!["/app/daybook.yaml".to_owned()], root: "/app".to_owned(), ..Bundle::default() };
    bundle.files.insert("/app/daybook.yaml".to_owned(), text.to_owned());
    let loaded = load(&bundle, &Options::new("production".parse().unwrap()));
    let errors = loaded.diagnostics.iter().filter(|found| found.is_error()).count();
    assert_eq!(loaded.spec.is_none(), errors > 0, "a specification or an error, and never both:\n{text}");
    assert!(loaded.diagnostics.len() <= 200);
    for found in &loaded.diagnostics {
        assert!(found.place.line >= 1 && found.place.start <= found.place.end, "{found:?}");
        assert!(found.place.end as usize <= text.len(), "{found:?}");
    }
    let rendered = render(&loaded.diagnostics, &bundle, false);
    assert!(rendered.len() <= 4_000 * (1 + loaded.diagnostics.len()), "{} bytes for a short text", rendered.len());
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn r36_damaged_manifests_are_told_what_is_wrong(
        start in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        static CORPUS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
        let corpus = CORPUS.get_or_init(corpus);
        let text = changes.iter().fold(corpus[start.index(corpus.len())].clone(), |text, change| apply(&text, change));
        survives(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn r36_texts_of_any_characters_are_told_what_is_wrong(text in ".{0,300}") {
        survives(&text);
    }
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

#[test]
fn r36_growth_is_bounded() {
    let nest = |open: &str, close: &str| format!("a: {}{}", open.repeat(5_000), close.repeat(5_000));
    let mut bomb = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    let mut merges = "x0: &x0 {k: v}\n".to_owned();
    let mut variables = "services: {w: {image: ".to_owned();
    for level in 1..60 {
        let below = format!("*x{}", level - 1);
        bomb += &format!("x{level}: &x{level} [{}]\n", [below.as_str(); 10].join(", "));
        merges += &format!("x{level}: &x{level} {{a: {below}, b: {below}, <<: {below}}}\n");
        variables += "${A:-";
    }
    let chain: String = (1..3_000).map(|n| format!("  s{n}: {{extends: s{}}}\n", n - 1)).rev().collect();
    let ladder: String = (1..20_000).map(|n| format!("x{n}: &x{n} [*x{}]\n", n - 1)).collect();
    for text in [
        nest("[", "]"),
        nest("{a: ", "}"),
        nest("- ", ""),
        bomb,
        merges,
        variables,
        format!("services:\n  s0: {{image: a}}\n{chain}"),
        format!("x0: &x0 a\n{ladder}"),
        "&a ".repeat(10_000),
        "services: {w: {image: a, ports: [\"1-65535:1-65535\", \"1-65535\"]}}".to_owned(),
        format!("a: {}", "x".repeat(1 << 20)),
        "\u{feff}".repeat(1000),
        "? ".repeat(5_000),
    ] {
        survives(&text);
    }
}
