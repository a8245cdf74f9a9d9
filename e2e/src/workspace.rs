//! What the workspace looks like, for the tidy tests: from `cargo metadata` and from the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate of `crates/` and what it depends on, `daybook-` left out.
pub type Edges = BTreeMap<String, BTreeSet<String>>;

/// The repository's root.
pub fn root() -> PathBuf {
    daybook_bench::shop::root()
}

/// What the crates under `crates/` depend on among each other, tests' own dependencies left out.
pub fn edges() -> Edges {
    let crates = root().join("crates");
    let ours =
        |package: &&Value| package["manifest_path"].as_str().is_some_and(|path| Path::new(path).starts_with(&crates));
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("metadata has packages");
    packages.iter().filter(ours).map(|package| (short(&package["name"]), dependencies(package))).collect()
}

fn dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().expect("a package has dependencies");
    let used = all.iter().filter(|dependency| dependency["kind"] != "dev" && dependency["path"].is_string());
    used.map(|dependency| short(&dependency["name"])).collect()
}

fn short(name: &Value) -> String {
    name.as_str().unwrap_or_default().trim_start_matches("daybook-").to_owned()
}

/// Where the source of a package is that we depend on.
pub fn package_directory(name: &str) -> PathBuf {
    // What other platforms need was never fetched.
    let here = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = metadata(&["--filter-platform", &here]);
    let packages = metadata["packages"].as_array().expect("metadata has packages");
    let found = packages.iter().find(|package| package["name"] == name).expect("we depend on it");
    let manifest = found["manifest_path"].as_str().expect("a package has a manifest");
    Path::new(manifest).parent().expect("a manifest is in a directory").to_owned()
}

fn metadata(arguments: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--offline"]).args(arguments).current_dir(root());
    let output = command.output().expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Files that git keeps, as paths from the root.
pub fn files() -> Vec<PathBuf> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root());
    let output = command.output().expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let names = text.split('\0').filter(|name| !name.is_empty());
    names.map(PathBuf::from).filter(|name| root().join(name).is_file()).collect()
}

/// The workspace's Rust files with their texts. Programs of test images (`scripts/images`) are no part
/// of it: they are built by `rustc` alone, without a single dependency.
pub fn sources() -> Vec<(PathBuf, String)> {
    let rust =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs") && !path.starts_with("scripts");
    let text = |path: &PathBuf| std::fs::read_to_string(root().join(path)).expect("a source is text");
    files().into_iter().filter(rust).map(|path| (path.clone(), text(&path))).collect()
}
