//! The binary makes manifests of what other tools describe. No server is asked.

#![allow(clippy::unwrap_used, reason = "test helpers outside of #[test] functions")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  nodeName: a\n  containers: [{name: web, image: nginx}]\n";
const MANIFEST: &str = "# Imported from Kubernetes. Next: daybook validate, then daybook plan.\napp: app\nservices:\n  web:\n    image: nginx\n    stop_grace_period: 30s\n";

/// What a command did: its exit code, standard output and standard error.
type Ended = (Option<i32>, String, String);

fn import(directory: &Path, words: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command.args(["import", "kubernetes"]).args(words).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env("DAYBOOK_STATE", directory.join("state")).spawn().unwrap();
    // Who refuses the command line reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_manifest_is_data_and_the_notes_are_messages() {
    let here = tempfile::tempdir().unwrap();
    let (code, out, err) = import(here.path(), &["-"], POD);
    assert_eq!((code, out.as_str()), (Some(0), MANIFEST));
    insta::assert_snapshot!(err, @r"
    -:5:3 not carried over: `nodeName` of the pod of Pod web: everything runs on one machine

    1 not carried over
    ");
    assert_eq!(import(here.path(), &["-", "-q"], POD), (Some(0), MANIFEST.to_owned(), String::new()));
}

#[test]
fn programs_get_both_as_one_document() {
    let here = tempfile::tempdir().unwrap();
    let (code, out, err) = import(here.path(), &["-", "-o", "json"], POD);
    let imported: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), imported["manifest"].as_str()), (Some(0), "", Some(MANIFEST)));
    let note = &imported["notes"][0];
    assert_eq!((note["kind"].as_str(), note["place"]["line"].as_u64()), (Some("not_carried"), Some(5)));
}

#[test]
fn a_directory_is_read_by_name_and_what_lies_beneath_is_named() {
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(here.path().join("k8s/overlays")).unwrap();
    std::fs::write(here.path().join("k8s/b.yml"), POD.replace("name: web}\nspec", "name: b}\nspec")).unwrap();
    std::fs::write(here.path().join("k8s/a.yaml"), POD).unwrap();
    std::fs::write(here.path().join("k8s/README.md"), "not: [yaml").unwrap();
    let (code, out, err) = import(here.path(), &["k8s", "--app", "shop"], "");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("app: shop\n") && out.contains("  web:\n") && out.contains("  b:\n"), "{out}");
    assert!(err.contains("k8s/overlays was not read") && err.contains("k8s/a.yaml:5:3 "), "{err}");
    let (code, _, err) = import(here.path(), &["k8s/overlays"], "");
    assert_eq!(code, Some(1));
    assert!(err.contains("no .yaml, .yml or .json file is in it"), "{err}");
}

#[test]
fn a_file_that_is_there_is_overwritten_only_by_force() {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("daybook.yaml");
    std::fs::write(&file, "mine").unwrap();
    let (code, out, err) = import(here.path(), &["-", "--out", "daybook.yaml"], POD);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("daybook.yaml is here already; nothing was changed"), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let (code, out, err) = import(here.path(), &["-", "--out", "daybook.yaml", "--force"], POD);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), MANIFEST);
}

#[test]
fn bad_input_makes_no_manifest_and_exits_with_1() {
    let here = tempfile::tempdir().unwrap();
    let (code, out, err) = import(here.path(), &["-", "--out", "daybook.yaml"], "kind: [Pod\n");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("-:1:7 error: this is not YAML") && err.contains("1 error; nothing was imported"), "{err}");
    assert!(!here.path().join("daybook.yaml").exists());
    assert_eq!(import(here.path(), &["gone.yaml"], "").0, Some(1));
    assert_eq!(import(here.path(), &[], "").0, Some(64));
    assert_eq!(import(here.path(), &["-", "--force"], POD).0, Some(64));
}

#[test]
fn r31_a_value_of_a_secret_is_in_no_output() {
    let here = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes/shop.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("not-in-the-manifest"));
    for format in ["table", "json", "yaml", "jsonl"] {
        let (code, out, err) = import(here.path(), &["-", "-o", format], &text);
        assert_eq!(code, Some(0), "{err}");
        assert!(!format!("{out}{err}").contains("not-in-the-manifest"), "{out}{err}");
    }
}
