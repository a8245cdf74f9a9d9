//! Manifests that grow by the other files and the variables that they read.

use daybook_manifest::Bundle;

const ROOT: &str = "/app/daybook.yaml";

/// Every bundle, with a name.
pub(crate) fn bundles() -> Vec<(&'static str, Bundle)> {
    let services = |body: &str| {
        let all: String = (0..5_000).map(|n| format!("  s{n}: {{image: a, {body}}}\n")).collect();
        format!("services:\n{all}")
    };
    let one = |body: &str| format!("services: {{web: {{image: a, {body}}}}}\n");
    let lines = |line: &dyn Fn(usize) -> String| (0..50_000).map(line).collect::<String>();
    let mega = "x".repeat(1 << 20);
    let listed = |count: usize| "'$A', ".repeat(count);
    vec![
        ("variables in a dotenv file", with(one(""), &[("/app/.env", &lines(&|n| format!("A{n}=$A{}\n", n / 2)))])),
        ("a dotenv file that doubles", with(one("command: $A99"), &[("/app/.env", &doubling())])),
        ("a dotenv file of nothing", with(one(""), &[("/app/.env", &lines(&|_| "=\n".to_owned()))])),
        ("variables in an env file", with(one("env_file: e"), &[("/app/e", &lines(&|n| format!("A{n}=${{B}}\n")))])),
        (
            "an env file that stays quoted",
            with(one("env_file: e"), &[("/app/e", &format!("A=\"{}", "a\n".repeat(1 << 19)))]),
        ),
        ("one env file for all", with(services("env_file: e"), &[("/app/e", &lines(&|n| format!("A{n}=b\n")))])),
        (
            "one env file again and again",
            with(one(&format!("env_file: [{}]", "e, ".repeat(20_000))), &[("/app/e", "A=$B\n")]),
        ),
        ("one label file for all", with(services("label_file: e"), &[("/app/e", &lines(&|n| format!("A{n}=b\n")))])),
        (
            "one config for all",
            with(format!("configs: {{c: {{file: c}}}}\n{}", services("configs: [c]")), &[("/app/c", &mega)]),
        ),
        (
            "one secret for all",
            with(format!("secrets: {{c: {{file: c}}}}\n{}", services("secrets: [c]")), &[("/app/c", &mega)]),
        ),
        (
            "one long text extended by all",
            with(format!("{}  base: {{image: a, command: {mega}}}\n", services("extends: base")), &[]),
        ),
        ("a long variable", variable(one(&format!("command: [{}]", listed(20_000))), &mega)),
        ("a long variable in one text", variable(one(&format!("command: '{}'", "$A".repeat(1 << 18))), &mega)),
        ("a variable that is YAML", variable(one("command: $A"), "]}\n&a [*a")),
        (
            "files that include each other",
            with(
                "include: [a.yaml]\n",
                &[("/app/a.yaml", "include: [b.yaml]\n"), ("/app/b.yaml", "include: [a.yaml]\n")],
            ),
        ),
        ("one file included in many ways", with(ways(0), &included())),
        (
            "one large file again and again",
            with(format!("include: [{}]\n", "[a.yaml], ".repeat(300)), &[("/app/a.yaml", &services(""))]),
        ),
        (
            "files that extend each other",
            with(
                one("extends: {file: a.yaml, service: web}"),
                &[
                    ("/app/a.yaml", "services: {web: {extends: {file: b.yaml, service: web}}}\n"),
                    ("/app/b.yaml", "services: {web: {extends: {file: a.yaml, service: web}}}\n"),
                ],
            ),
        ),
        (
            "many files extended",
            with(
                (0..5_000).fold("services:\n".to_owned(), |text, n| {
                    text + &format!("  s{n}: {{extends: {{file: a.yaml, service: s{n}}}}}\n")
                }),
                &[("/app/a.yaml", &services("command: [a, b, c]"))],
            ),
        ),
        ("a manifest that is not there", Bundle { entries: vec![ROOT.to_owned()], ..Bundle::default() }),
        ("no manifest", Bundle::default()),
        ("one manifest again and again", Bundle { entries: vec![ROOT.to_owned(); 1_000], ..with(services(""), &[]) }),
        (
            "paths that are none",
            Bundle { entries: vec!["\0/../é".to_owned()], root: String::new(), ..Bundle::default() },
        ),
    ]
}

fn with(text: impl Into<String>, files: &[(&str, &str)]) -> Bundle {
    let mut bundle = Bundle { entries: vec![ROOT.to_owned()], root: "/app".to_owned(), ..Bundle::default() };
    bundle.files.insert(ROOT.to_owned(), text.into());
    bundle.files.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    bundle
}

fn variable(text: String, value: &str) -> Bundle {
    let mut bundle = with(text, &[]);
    bundle.variables.insert("A".to_owned(), value.to_owned());
    bundle
}

/// Each line says the one before twice.
fn doubling() -> String {
    (1..100).fold("A0=xxxxxxxx\n".to_owned(), |text, n| text + &format!("A{n}=$A{0}$A{0}\n", n - 1))
}

/// A file that includes the two of the next level.
fn ways(level: usize) -> String {
    format!("include: [a{level}.yaml, b{level}.yaml]\nservices: {{s{level}: {{image: a}}}}\n")
}

fn included() -> Vec<(&'static str, &'static str)> {
    const LEVELS: [(&str, &str); 8] = [
        ("/app/a0.yaml", "include: [a1.yaml, b1.yaml]\n"),
        ("/app/b0.yaml", "include: [a1.yaml, b1.yaml]\n"),
        ("/app/a1.yaml", "include: [a2.yaml, b2.yaml]\n"),
        ("/app/b1.yaml", "include: [a2.yaml, b2.yaml]\n"),
        ("/app/a2.yaml", "include: [a3.yaml, a3.yaml, a3.yaml, a3.yaml]\n"),
        ("/app/b2.yaml", "include: [a3.yaml, a3.yaml, a3.yaml, a3.yaml]\n"),
        ("/app/a3.yaml", "include: [b3.yaml, b3.yaml, b3.yaml, b3.yaml]\n"),
        ("/app/b3.yaml", "services: {web: {image: a}}\n"),
    ];
    LEVELS.to_vec()
}
