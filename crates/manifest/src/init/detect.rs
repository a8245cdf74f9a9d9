//! What a directory holds, by the files that say so.

use super::Directory;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) services: Vec<Proposed>,
    pub(super) notes: Vec<String>,
}

/// A service to propose.
#[derive(Debug)]
pub(super) struct Proposed {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
}

/// Looks for what says most: a Procfile names processes, a Dockerfile an image, the others a program.
pub(super) fn look(directory: &dyn Directory) -> Found {
    let finders = [procfile, dockerfile, package_json, cargo_toml, site];
    finders.into_iter().find_map(|find| find(directory)).unwrap_or_else(example)
}

fn one(note: &str, lines: Vec<String>) -> Option<Found> {
    let service = Proposed { name: "web".to_owned(), lines };
    Some(Found { services: vec![service], notes: vec![note.to_owned()] })
}

fn web_lines(port: u16) -> Vec<String> {
    vec![
        format!("port: {port}                    # the port that it listens on"),
        "# domain: shop.example.com    # a public name; TLS comes with it".to_owned(),
        "# healthcheck: /healthz       # a path that answers 200 when it works".to_owned(),
    ]
}

fn dockerfile(directory: &dyn Directory) -> Option<Found> {
    let text = directory.read("Dockerfile")?;
    let port = text.lines().find_map(exposed);
    let note = match port {
        Some(port) => format!("Dockerfile: builds an image that listens on {port}"),
        None => "Dockerfile: builds an image; it has no EXPOSE, so check `port`".to_owned(),
    };
    let mut lines = vec!["build: .".to_owned()];
    lines.extend(web_lines(port.unwrap_or(8080)));
    one(&note, lines)
}

/// The first port of an `EXPOSE` line.
fn exposed(line: &str) -> Option<u16> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("EXPOSE"))?;
    words.next()?.split('/').next()?.parse().ok().filter(|port| *port > 0)
}

fn procfile(directory: &dyn Directory) -> Option<Found> {
    let text = directory.read("Procfile")?;
    let line = |line: &str| {
        let (name, command) = line.split_once(':')?;
        let good = daybook_model::ServiceName::new(name.trim()).is_ok();
        (good && !line.trim_start().starts_with('#')).then(|| (name.trim().to_owned(), command.trim().to_owned()))
    };
    let processes: Vec<(String, String)> = text.lines().filter_map(line).collect();
    let release = processes.iter().find(|(name, _)| name == "release").map(|(_, command)| command);
    let mut found = Found { notes: vec!["Procfile: a service for each process".to_owned()], ..Found::default() };
    for (name, command) in processes.iter().filter(|(name, _)| name != "release") {
        let first = found.services.first().map(|first| first.name.clone());
        let mut lines = match first {
            Some(first) => vec![format!("from: {first}                     # the same code and variables")],
            None => vec!["build: .".to_owned()],
        };
        lines.push(format!("command: {}", quoted(command)));
        if name == "web" {
            lines.extend(web_lines(8080));
            lines.extend(
                release.map(|command| format!("release: {}     # once, before traffic moves", quoted(command))),
            );
        }
        found.services.push(Proposed { name: name.clone(), lines });
    }
    (!found.services.is_empty()).then_some(found)
}

/// A command as a YAML scalar. Variables are left to the program: `$` is doubled.
fn quoted(command: &str) -> String {
    let command = command.replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '/' | '.' | '-' | '_' | '=' | '$');
    let word =
        command.chars().all(plain) && command.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.');
    if word { command } else { serde_json::Value::String(command).to_string() }
}

fn package_json(directory: &dyn Directory) -> Option<Found> {
    let json: serde_json::Value = serde_json::from_str(&directory.read("package.json")?).ok()?;
    let has = |name: &str| json.get("scripts").and_then(|scripts| scripts.get(name)).is_some();
    let script = ["start", "serve", "preview", "dev"].into_iter().find(|name| has(name))?;
    let mut lines = vec!["build: .".to_owned(), format!("command: npm run {script}")];
    lines.extend(web_lines(3000));
    one(&format!("package.json: runs the script `{script}`; check `port`"), lines)
}

fn cargo_toml(directory: &dyn Directory) -> Option<Found> {
    let text = directory.read("Cargo.toml")?;
    let value = |line: &str| {
        Some(line.strip_prefix("name")?.trim_start().strip_prefix('=')?.trim().trim_matches('"').to_owned())
    };
    let name = text.lines().find_map(|line| value(line.trim())).unwrap_or_else(|| "PROGRAM".to_owned());
    let mut lines = vec!["build: .".to_owned(), format!("command: {}", quoted(&format!("target/release/{name}")))];
    lines.extend(web_lines(8080));
    one("Cargo.toml: runs the program of `cargo build --release`; check `port`", lines)
}

fn site(directory: &dyn Directory) -> Option<Found> {
    let folders = ["", "public/", "dist/", "build/", "site/", "_site/"];
    let folder = folders.into_iter().find(|folder| directory.read(&format!("{folder}index.html")).is_some())?;
    let root = if folder.is_empty() { "." } else { folder.trim_end_matches('/') };
    let root = if root == "." { ".".to_owned() } else { format!("./{root}") };
    let lines = vec![
        format!("static: {root}              # the edge serves these files itself"),
        "domain: site.localhost".to_owned(),
    ];
    one(&format!("{folder}index.html: a site of files"), lines)
}

fn example() -> Found {
    let mut lines = vec!["image: nginx:1.27               # or `build: .` with a Dockerfile".to_owned()];
    lines.extend(web_lines(80));
    let note = "nothing was recognised here: the manifest is an example to change".to_owned();
    Found { services: vec![Proposed { name: "web".to_owned(), lines }], notes: vec![note] }
}
