//! What the design says is absent is absent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use daybook_e2e::workspace::{Edges, edges, files, root, sources};

/// Crates that may import the model and nothing else of ours.
const LEAVES: [&str; 10] =
    ["manifest", "decide", "rego", "store", "metrics", "logs", "panels", "runtime", "data", "edge"];
/// Leaves too, which come after those in the design's table.
const OUTSIDE: [&str; 4] = ["connect", "notify", "backup", "api"];
/// Below the leaves: they know nothing of ours, and a leaf may use them.
const ROOTS: [(&str, &str); 1] = [("cdc", "backup")];
/// Leaves that are about what others have: queries are of series, rules are of queries, and what others send becomes series.
const UPON: [(&str, &[&str]); 3] =
    [("promql", &["metrics"]), ("rules", &["metrics", "promql"]), ("ingest", &["metrics"])];
/// What drives something with a client so large that a build may leave it out: above the runtime's trait, and used by
/// the server, and by the export.
const DRIVERS: [&str; 1] = ["kubernetes"];
/// The upper layers, lowest first: each may import whatever is before it.
const LAYERS: [&str; 3] = ["executor", "server", "cli"];

fn allowed() -> Edges {
    let leaves: Vec<&str> = LEAVES.into_iter().chain(OUTSIDE).collect();
    let mut below: BTreeSet<String> = BTreeSet::from(["model".to_owned()]);
    let mut table = BTreeMap::from([("model".to_owned(), BTreeSet::new())]);
    for leaf in &leaves {
        table.insert((*leaf).to_owned(), below.clone());
    }
    for (root, leaf) in ROOTS {
        table.insert(root.to_owned(), BTreeSet::new());
        table.entry(leaf.to_owned()).or_default().insert(root.to_owned());
    }
    for (name, others) in UPON {
        table.insert(name.to_owned(), others.iter().map(|other| (*other).to_owned()).collect());
    }
    for driver in DRIVERS {
        table.insert(driver.to_owned(), ["model", "runtime"].map(ToOwned::to_owned).into());
    }
    below.extend(leaves.iter().map(|leaf| (*leaf).to_owned()));
    below.extend(UPON.map(|(name, _)| name.to_owned()));
    below.extend(DRIVERS.map(ToOwned::to_owned));
    for layer in LAYERS {
        table.insert(layer.to_owned(), below.clone());
        below.insert(layer.to_owned());
    }
    table
}

#[test]
fn crates_depend_on_each_other_as_the_design_says() {
    let allowed = allowed();
    for (name, dependencies) in edges() {
        let allowed = allowed.get(&name).unwrap_or_else(|| panic!("the design knows no crate `{name}`"));
        let more: Vec<_> = dependencies.difference(allowed).collect();
        assert!(more.is_empty(), "{name} must not depend on {more:?}");
    }
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    for file in files().iter().filter(|path| path.ends_with("Cargo.toml") && path.components().count() > 1) {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{} has no `lints.workspace = true`", file.display());
    }
}

#[test]
fn decisions_have_no_clock_no_file_and_no_socket() {
    for name in ["decide", "rules", "panels"] {
        pure(&root().join("crates").join(name));
    }
}

/// Asserts that a crate bans clocks, files and sockets.
fn pure(directory: &Path) {
    let text = std::fs::read_to_string(directory.join("clippy.toml")).expect("it bans what is impure");
    for banned in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "jiff::Timestamp::now",
        "std::env::var",
        "std::thread::spawn",
        "std::fs::read",
        "std::fs::write",
        "std::fs::File",
        "std::net::TcpStream",
        "std::net::TcpListener",
        "std::os::unix::net::UnixStream",
        "std::process::Command",
    ] {
        let line = text.lines().find(|line| line.contains(&format!("\"{banned}\"")));
        let line = line.unwrap_or_else(|| panic!("clippy.toml of {} does not ban {banned}", directory.display()));
        assert!(line.contains("reason = "), "{banned} is banned without a reason");
    }
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).expect("a crate has a manifest");
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    for name in ["tokio", "rand", "uuid", "rustix", "reqwest", "hyper"] {
        assert!(!dependencies.contains(&format!("\n{name}")), "{} depends on {name}", directory.display());
    }
}

#[test]
fn r32_no_shell_is_ever_started() {
    // Written in two parts, so that this file does not find itself.
    let shells = [["Command::new(\"s", "h\")"], ["Command::new(\"ba", "sh\")"], ["Command::new(\"/bin/s", "h\")"]];
    for (path, text) in sources() {
        for shell in shells.map(|parts| parts.concat()) {
            assert!(!text.contains(&shell), "{} starts a shell", path.display());
        }
    }
}

#[test]
fn nothing_is_unsafe_ignored_or_unfinished() {
    let marks =
        [["uns", "afe {"], ["uns", "afe fn"], ["#[ign", "ore"], ["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"]];
    for (path, text) in sources() {
        for mark in marks.map(|parts| parts.concat()) {
            assert!(!text.contains(&mark), "{} holds `{mark}`", path.display());
        }
    }
}

#[test]
fn sources_stay_small_enough_to_read() {
    let long: Vec<_> =
        sources().into_iter().filter(|(_, text)| text.lines().count() > 1_000).map(|(path, _)| path).collect();
    assert!(long.is_empty(), "longer than 1,000 lines: {long:?}");
}
