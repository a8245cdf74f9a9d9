//! A first manifest for a directory: what is there decides what it says.

mod detect;

use detect::Found;

/// What is asked of a directory. Names are relative to it; nothing outside of it is asked for.
pub trait Directory {
    /// The text of the file `name`, where it is there and is text.
    fn read(&self, name: &str) -> Option<String>;
    /// The name of the directory itself.
    fn name(&self) -> String;
}

/// A manifest to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The text of `daybook.yaml`; `None` when a compose file is there, which runs as it is.
    pub text: Option<String>,
    /// What was seen, and what the author should look at: a line each.
    pub notes: Vec<String>,
}

/// Looks at `directory` and proposes a manifest. Writes nothing.
pub fn propose(directory: &dyn Directory) -> Proposal {
    const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
    if let Some(name) = COMPOSE.into_iter().find(|name| directory.read(name).is_some()) {
        let note = format!("{name} is a manifest already: daybook plan");
        return Proposal { text: None, notes: vec![note] };
    }
    let found = detect::look(directory);
    Proposal { text: Some(write(&app_name(&directory.name()), &found)), notes: found.notes }
}

fn app_name(directory: &str) -> String {
    let lower = directory.to_lowercase();
    let kept: String = lower.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(63).collect();
    let name = kept.trim_start_matches(['-', '_']);
    if name.is_empty() { "app".to_owned() } else { name.to_owned() }
}

fn write(app: &str, found: &Found) -> String {
    let mut out = format!("# What runs, in one file. Next: daybook plan, then daybook up.\napp: {app}\nservices:\n");
    for service in &found.services {
        out.push_str(&format!("  {}:\n", service.name));
        for line in &service.lines {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Bundle, Options, load};

    struct Listing(BTreeMap<&'static str, &'static str>);

    impl Directory for Listing {
        fn read(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|text| (*text).to_owned())
        }
        fn name(&self) -> String {
            "My Shop".to_owned()
        }
    }

    fn proposal(files: &[(&'static str, &'static str)]) -> Proposal {
        propose(&Listing(files.iter().copied().collect()))
    }

    /// The proposed text, which must load without any finding.
    fn text(files: &[(&'static str, &'static str)]) -> String {
        let text = proposal(files).text.unwrap();
        let mut bundle =
            Bundle { entries: vec!["/x/daybook.yaml".to_owned()], root: "/x".to_owned(), ..Bundle::default() };
        bundle.files.insert("/x/daybook.yaml".to_owned(), text.clone());
        bundle.present.insert("/x".to_owned());
        let loaded = load(&bundle, &Options::new("production".parse().unwrap()));
        assert_eq!(loaded.diagnostics, [], "{text}");
        text
    }

    #[test]
    fn a_compose_file_runs_as_it_is() {
        let proposal = proposal(&[("compose.yml", "services: {}"), ("Dockerfile", "FROM x")]);
        assert_eq!(proposal.text, None);
        assert_eq!(proposal.notes, ["compose.yml is a manifest already: daybook plan"]);
    }

    #[test]
    fn a_dockerfile_says_its_port() {
        let text = text(&[("Dockerfile", "FROM alpine\nEXPOSE 3000/tcp\nHEALTHCHECK NONE\n")]);
        assert!(
            text.contains("app: myshop\n") && text.contains("build: .\n") && text.contains("port: 3000 "),
            "{text}"
        );
    }

    #[test]
    fn a_procfile_names_its_processes() {
        let text =
            text(&[("Procfile", "web: bin/serve --port $PORT\nrelease: bin/migrate\nworker: bin/jobs \"a: b\"\n")]);
        for part in ["release: bin/migrate", "  worker:\n", "from: web", "bin/jobs"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn scripts_programs_and_sites_are_found() {
        let node = text(&[("package.json", r#"{"scripts": {"start": "node server.js"}}"#)]);
        assert!(node.contains("command: npm run start"), "{node}");
        let rust = text(&[("Cargo.toml", "[package]\nname = \"shop\"\n")]);
        assert!(rust.contains("target/release/shop"), "{rust}");
        let site = text(&[("public/index.html", "<p>")]);
        assert!(site.contains("static: ./public"), "{site}");
    }

    #[test]
    fn an_empty_directory_gets_an_example_to_change() {
        let proposal = proposal(&[]);
        assert!(proposal.text.unwrap().contains("image:"));
        assert_eq!(proposal.notes.len(), 1);
    }
}
