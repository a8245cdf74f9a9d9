//! Every fixture, as a text that a person can review.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod summary;

use std::path::{Path, PathBuf};

use daybook_manifest::{Bundle, Options, load, render};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn environment(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/ada".to_owned()),
        "DEPLOY_TOKEN" => Some("canary-token".to_owned()),
        _ => None,
    }
}

fn options() -> Options {
    Options::new("production".parse().unwrap())
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let files = ["compose.yaml", "compose.override.yaml"].map(|name| folder.join(name));
    files.into_iter().filter(|file| file.is_file()).collect()
}

#[test]
fn compose_files_run_as_they_are() {
    let folders = sorted(&folder("compose"));
    assert!(folders.len() >= 25);
    for folder in folders {
        let (bundle, _) = Bundle::collect(&entries(&folder), &environment, None);
        let loaded = load(&bundle, &options());
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let findings = render(&loaded.diagnostics, &bundle, false);
        assert!(loaded.spec.is_some(), "{name}:\n{findings}");
        let text = format!("{}\n{findings}", summary::of(&loaded));
        let text = text.replace(&bundle.root, "ROOT");
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(format!("compose-{name}"), text);
        });
    }
}

#[test]
fn malformed_files_are_told_what_is_wrong() {
    for file in sorted(&folder("bad")) {
        let (bundle, _) = Bundle::collect(std::slice::from_ref(&file), &environment, None);
        let loaded = load(&bundle, &options());
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(loaded.spec.is_none(), "{name} was accepted");
        let text = render(&loaded.diagnostics, &bundle, false).replace(&bundle.root, "ROOT");
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(format!("bad-{name}"), text);
        });
    }
}

#[test]
fn a_bundle_says_the_same_after_a_journey() {
    for folder in sorted(&folder("compose")) {
        let (bundle, found) = Bundle::collect(&entries(&folder), &environment, None);
        let text = serde_json::to_string(&bundle).unwrap();
        let there: Bundle = serde_json::from_str(&text).unwrap();
        assert_eq!(load(&there, &options()), load(&bundle, &options()));
        assert!(!found.iter().any(daybook_manifest::Diagnostic::is_error));
        assert!(there.variables.keys().all(|name| name == "HOME" || name == "DEPLOY_TOKEN"));
    }
}

#[test]
fn r31_a_secret_from_the_environment_or_a_file_is_not_in_the_specification() {
    let (bundle, _) = Bundle::collect(&entries(&folder("compose/secrets")), &environment, None);
    let loaded = load(&bundle, &options());
    assert!(!serde_json::to_string(&loaded.spec).unwrap().contains("canary-"));
    assert_eq!(loaded.provided_secrets.values().collect::<Vec<_>>(), ["canary-password\n", "canary-token"]);
}

#[test]
fn an_environment_changes_what_it_says() {
    let (bundle, _) = Bundle::collect(&entries(&folder("compose/daybook")), &environment, None);
    let min = |environment: &str| {
        let loaded = load(&bundle, &Options::new(environment.parse().unwrap()));
        let spec = loaded.spec.unwrap();
        let target = spec.target.as_ref().map(ToString::to_string);
        (spec.services[&"web".parse().unwrap()].scale.min, loaded.environment.protected, target)
    };
    assert_eq!(min("production"), (3, true, Some("kubernetes://prod".to_owned())));
    assert_eq!(min("staging"), (2, false, None));
}

#[test]
fn profiles_are_asked_for() {
    let (bundle, _) = Bundle::collect(&entries(&folder("compose/profiles")), &environment, None);
    let names = |profiles: &[&str]| {
        let profiles = profiles.iter().map(|name| (*name).to_owned()).collect();
        let spec = load(&bundle, &Options { profiles, ..options() }).spec.unwrap();
        spec.services.keys().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&[]), "api web");
    assert_eq!(names(&["debug"]), "api debug mail web");
    assert_eq!(names(&["*"]), "api debug mail web");
}
