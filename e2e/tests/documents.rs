//! The documents tell the truth: links lead somewhere, examples run, and promises name their tests.

#[path = "../../crates/data/tests/common/postgres.rs"]
mod postgres;

use std::collections::BTreeSet;

use daybook_bench::load::Load;
use daybook_e2e::documents::{broken_links, documents, examples, missing};
use daybook_e2e::workspace::{root, sources};
use daybook_e2e::{Ended, World};

fn text(path: &std::path::Path) -> String {
    std::fs::read_to_string(root().join(path)).expect("a document is text")
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for document in documents() {
        let broken = broken_links(&document, &text(&document));
        assert!(broken.is_empty(), "{} links to {broken:?}", document.display());
    }
}

#[test]
fn the_book_lists_every_page() {
    let summary = text("docs/SUMMARY.md".as_ref());
    for document in documents() {
        let Ok(page) = document.strip_prefix("docs") else { continue };
        let page = page.to_string_lossy();
        assert!(page == "SUMMARY.md" || summary.contains(&format!("({page})")), "docs/SUMMARY.md lacks {page}");
    }
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let promises = text("docs/promises.md".as_ref());
    let sources = sources();
    let tests: BTreeSet<&str> = sources
        .iter()
        .flat_map(|(_, text)| text.split("fn ").skip(1))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    for id in [
        "R01", "R02", "R03", "R04", "R05", "R06", "R07", "R08", "R10", "R11", "R14", "R15", "R16", "R20", "R21", "R22",
        "R23", "R31", "R32", "R33", "R36",
    ] {
        let line = promises.lines().find(|line| line.starts_with(&format!("| {id} ")));
        let line = line.unwrap_or_else(|| panic!("docs/promises.md has no line for {id}"));
        let named: Vec<&str> = line.split('`').skip(1).step_by(2).filter(|name| name.starts_with('r')).collect();
        assert!(!named.is_empty() || line.contains("not yet shown"), "{id} names no test");
        let prefix = format!("{}_", id.to_lowercase());
        for name in named {
            assert!(name.starts_with(&prefix) && tests.contains(name), "{id} names `{name}`, which is no test of it");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_examples_do_what_they_say() {
    run_examples("README.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_starts_examples_do_what_they_say() {
    run_examples("docs/quick-start.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_secrets_do_what_they_say() {
    run_examples("docs/secrets.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_databases_do_what_they_say() {
    run_examples("docs/databases.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through_data_does_what_it_says() {
    run_examples("docs/data.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_backups_do_what_they_say() {
    run_examples("docs/backups.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_watching_do_what_they_say() {
    run_examples("docs/observe.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_alerts_do_what_they_say() {
    run_examples("docs/alerts.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_dashboards_do_what_they_say() {
    run_examples("docs/dashboards.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through_an_incident_does_what_it_says() {
    run_examples("docs/incidents.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_channels_do_what_they_say() {
    run_examples("docs/notify.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_who_is_on_call_do_what_they_say() {
    run_examples("docs/on-call.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_the_status_page_do_what_they_say() {
    run_examples("docs/status-page.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_about_clones_do_what_they_say() {
    run_examples("docs/clones.md").await;
}

#[test]
fn the_manifests_of_the_book_are_valid() {
    let pages = [
        ("docs/secrets.md", 3),
        ("docs/databases.md", 3),
        ("docs/backups.md", 4),
        ("docs/clones.md", 1),
        ("docs/observe.md", 1),
        ("docs/forward.md", 1),
        ("docs/incidents.md", 1),
        ("docs/alerts.md", 1),
        ("docs/remedies.md", 1),
        ("docs/notify.md", 2),
        ("docs/on-call.md", 1),
        ("docs/status-page.md", 1),
    ];
    for (page, count) in pages {
        let text = text(page.as_ref());
        let manifests: Vec<&str> = text.split("<!-- valid -->\n```yaml\n").skip(1).collect();
        assert_eq!(manifests.len(), count, "{page}");
        for manifest in manifests {
            expect_valid(manifest.split("```").next().unwrap_or_default());
        }
    }
}

fn expect_valid(manifest: &str) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (name, text) in [("daybook.yaml", manifest), ("secrets.enc.yaml", ""), ("tls.key.age", "")] {
        std::fs::write(directory.path().join(name), text).expect("a file can be written");
    }
    for name in ["web", "migrations"] {
        std::fs::create_dir(directory.path().join(name)).expect("a directory can be made");
    }
    let mut command = std::process::Command::new(daybook_bench::daybook::binary().expect("daybook is built"));
    let output =
        command.args(["validate", "--app", "shop"]).current_dir(directory.path()).output().expect("daybook runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{manifest}\n{said}");
}

#[test]
fn the_imports_examples_do_what_they_say() {
    let page = text("docs/import.md".as_ref());
    for shown in ["examples/kubernetes/shop.yaml", "examples/heroku/Procfile", "examples/heroku/app.json"] {
        assert!(page.contains(&text(shown.as_ref())), "docs/import.md shows another file than {shown}");
    }
    run_without_server("docs/import.md");
}

#[test]
fn the_policys_examples_do_what_they_say() {
    run_without_server("docs/policy.md");
}

#[test]
fn the_diagrams_examples_do_what_they_say() {
    run_without_server("docs/diagram.md");
}

#[test]
fn the_picture_in_the_book_is_the_one_that_is_drawn() {
    let mut command = std::process::Command::new(daybook_bench::daybook::binary().expect("daybook is built"));
    let output = command.args(["diagram", "-f", "examples/diagram/daybook.yaml"]).current_dir(root()).output();
    let drawn = String::from_utf8(output.expect("daybook runs").stdout).expect("a picture is text");
    assert!(
        drawn == text("docs/pictures/shop.svg".as_ref()),
        "draw it again: daybook diagram --out docs/pictures/shop.svg"
    );
}

#[test]
fn the_exports_examples_do_what_they_say() {
    run_without_server("docs/export.md");
}

#[test]
fn the_examples_about_data_do_what_they_say() {
    let database = postgres::Postgres::start();
    run_with("docs/migrations.md", &[("DATABASE_URL", &database.text())]);
}

/// Runs the examples of a document about commands that need no server, and so no world.
fn run_without_server(document: &str) {
    run_with(document, &[]);
}

fn run_with(document: &str, variables: &[(&str, &str)]) {
    let examples = examples(&text(document.as_ref()));
    assert!(!examples.is_empty(), "{document} has no example to run");
    for example in examples {
        let here = format!("{document}:{}", example.line);
        let mut command = std::process::Command::new(daybook_bench::daybook::binary().expect("daybook is built"));
        command.args(&example.words[1..]).envs(variables.iter().copied()).current_dir(root());
        let output = command.output().expect("daybook runs");
        assert_eq!(output.status.code(), Some(example.code), "{here}");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let lacks = missing(&example.shows, &said);
        assert!(lacks.is_none(), "{here}: the output lacks `{}`:\n{said}", lacks.unwrap_or_default());
    }
}

/// Runs the examples of a document one after the other in one world.
async fn run_examples(document: &str) {
    let examples = examples(&text(document.as_ref()));
    assert!(!examples.is_empty(), "{document} has no example to run");
    let mut world = World::new().await;
    // An alert waits minutes before it fires.
    world.daybook.patience = std::time::Duration::from_secs(10 * 60);
    // Readers stand in the repository; what they deploy is the example itself.
    let port = world.daybook.http.port().to_string();
    let mut loads = Vec::new();
    for example in examples {
        let here = format!("{document}:{}", example.line);
        let words: Vec<String> = example.words.iter().map(|word| word.replace("8080", &port)).collect();
        let ended = match words[0].as_str() {
            "daybook-bench" => {
                // It stands in the background of what follows, as it does for readers.
                loads.push(Load::start(world.load()));
                continue;
            }
            "daybook" => {
                let mut command = world.command(&[]);
                command.args(&words[1..]).envs(example.variables).current_dir(root());
                let (code, out, err) = world.daybook.run(&mut command).await.expect("daybook runs");
                Ended { code, out, err }
            }
            "curl" => {
                let mut curl = tokio::process::Command::new("curl");
                curl.args(["--silent", "--show-error", "--fail", "--max-time", "30"]).args(&words[1..]);
                let said = curl.output().await.expect("curl is installed");
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                Ended { code: said.status.code().unwrap_or(-1), out: text(&said.stdout), err: text(&said.stderr) }
            }
            other => panic!("{here}: `{other}` is not daybook or curl"),
        };
        assert_eq!(ended.code, example.code, "{here}: `{}` ended with {}:\n{ended}", words.join(" "), ended.code);
        let lacks = missing(&example.shows, &ended.all());
        assert!(lacks.is_none(), "{here}: the output lacks `{}`:\n{ended}", lacks.unwrap_or_default());
    }
    for load in loads {
        load.stop().await;
    }
    world.end().await;
}
