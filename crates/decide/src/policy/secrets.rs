//! Secrets in clear.

use daybook_model::policy::KeyPath;
use daybook_model::secrecy::is_secret;
use daybook_model::spec::{Artifact, EnvValue, FileContent};
use daybook_model::{Service, ServiceName};

use super::{Found, Subject};

/// A text of a manifest, and where it stands.
pub(super) struct Text<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) path: KeyPath,
    /// What it is: "the variable AWS_POLICY".
    pub(super) what: String,
    pub(super) text: std::borrow::Cow<'a, str>,
}

/// The texts of all services: variables, labels, commands, configs, build arguments, Dockerfiles, values of charts.
pub(super) fn texts<'a>(subject: &Subject<'a>) -> Vec<Text<'a>> {
    let mut all = Vec::new();
    for service in subject.spec.services.values() {
        of_service(service, &mut all);
    }
    for (service, text) in &subject.remarks.dockerfiles {
        let path = KeyPath::service(service, &["build"]);
        all.push(Text { service, path, what: "the Dockerfile".to_owned(), text: text.into() });
    }
    all
}

fn of_service<'a>(service: &'a Service, all: &mut Vec<Text<'a>>) {
    let name = &service.name;
    let mut add = |keys: &[&str], what: String, text: std::borrow::Cow<'a, str>| {
        all.push(Text { service: name, path: KeyPath::service(name, keys), what, text });
    };
    for (variable, value) in service.container.environment.iter() {
        if let EnvValue::Text(text) = value {
            add(&["environment", variable], format!("the variable {variable}"), text.into());
        }
    }
    for (label, text) in &service.container.labels {
        add(&["labels", label], format!("the label {label}"), text.into());
    }
    for (key, command) in [
        ("command", &service.container.command),
        ("entrypoint", &service.container.entrypoint),
        ("release", &service.release_hook),
    ] {
        if let Some(words) = command {
            add(&[key], format!("the {key}"), words.join(" ").into());
        }
    }
    for file in &service.container.files {
        if let FileContent::Text(text) = &file.content {
            add(&["configs"], format!("the config {}", file.target), text.into());
        }
    }
    match &service.artifact {
        Artifact::Build(build) => {
            for (argument, text) in &build.args {
                add(&["build", "args", argument], format!("the build argument {argument}"), text.into());
            }
            if let Some(text) = &build.dockerfile_inline {
                add(&["build", "dockerfile_inline"], "the Dockerfile".to_owned(), text.into());
            }
        }
        Artifact::Chart(chart) => {
            add(&["helm", "values"], "the chart's values".to_owned(), chart.values.to_string().into());
        }
        Artifact::Image { .. } | Artifact::Static { .. } | Artifact::StatusPage(_) => {}
    }
}

pub(super) fn in_environment(subject: &Subject<'_>, found: &mut Found) {
    for (service, variable) in &subject.remarks.clear_secrets {
        let message = format!("{variable} of `{service}` stands in the manifest");
        found.at(service, &["environment", variable], message);
    }
}

pub(super) fn in_config(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        for file in &service.container.files {
            let FileContent::Text(text) = &file.content else { continue };
            if let Some(name) = text.lines().find_map(assigned_secret) {
                let message = format!("the config {} of `{}` holds {name}", file.target, service.name);
                found.at(&service.name, &["configs"], message);
            }
        }
    }
}

/// The name of the secret that a line of a configuration sets: `password = swordfish`, `token: 123`, `url=redis://:pw@h`.
fn assigned_secret(line: &str) -> Option<&str> {
    let line = line.trim();
    if line.starts_with(['#', ';']) || line.starts_with("//") {
        return None;
    }
    let at = line.find(['=', ':'])?;
    let (name, value) = (line[..at].trim(), line[at + 1..].trim());
    let name = name.trim_matches(['"', '\'']).rsplit([' ', '.']).next()?;
    let value = value.trim_end_matches([',', ';']).trim().trim_matches(['"', '\'']);
    let is_reference = value.starts_with(['$', '{', '<', '%', '!']) || value.starts_with('/') || value.is_empty();
    let is_none = matches!(value, "true" | "false" | "null" | "none" | "~");
    (!is_reference && !is_none && is_secret(name, value)).then_some(name)
}

pub(super) fn in_build(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        let Artifact::Build(build) = &service.artifact else { continue };
        for (argument, _) in build.args.iter().filter(|(argument, value)| is_secret(argument, value)) {
            let message = format!("{argument} is given to the build of `{}`, whose image keeps it", service.name);
            found.at(&service.name, &["build", "args", argument], message);
        }
        let inline = build.dockerfile_inline.as_deref().map(|text| ("dockerfile_inline", text));
        let beside = subject.remarks.dockerfiles.iter().find(|(name, _)| *name == service.name);
        for (key, text) in inline.into_iter().chain(beside.map(|(_, text)| ("dockerfile", text.as_str()))) {
            if let Some((line, name)) =
                text.lines().enumerate().find_map(|(at, line)| Some((at + 1, instruction_secret(line)?)))
            {
                let message = format!("line {line} of the Dockerfile of `{}` sets {name}", service.name);
                found.at(&service.name, &["build", key], message);
            }
        }
    }
}

/// The secret that `ENV` or `ARG` sets.
fn instruction_secret(line: &str) -> Option<&str> {
    let (word, rest) = line.trim().split_once(char::is_whitespace)?;
    if !word.eq_ignore_ascii_case("ENV") && !word.eq_ignore_ascii_case("ARG") {
        return None;
    }
    rest.split_whitespace().find_map(|assignment| {
        let (name, value) = assignment.split_once('=')?;
        let value = value.trim_matches(['"', '\'']);
        (!value.starts_with('$') && is_secret(name, value)).then_some(name)
    })
}

pub(super) fn private_key(subject: &Subject<'_>, found: &mut Found) {
    for text in texts(subject).iter().filter(|text| has_private_key(&text.text)) {
        let message = format!("{} of `{}` holds a private key", text.what, text.service);
        found.add(Some(text.service), text.path.clone(), message);
    }
}

fn has_private_key(text: &str) -> bool {
    let marked = text.split("-----BEGIN ").skip(1).any(|rest| {
        rest.split("-----")
            .next()
            .is_some_and(|kind| kind.ends_with("PRIVATE KEY") || kind.ends_with("PRIVATE KEY BLOCK"))
    });
    marked || text.contains("AGE-SECRET-KEY-1")
}

/// Beginnings of credentials, with how many letters and digits follow.
const CREDENTIALS: [(&str, usize); 12] = [
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 36),
    ("gho_", 36),
    ("github_pat_", 60),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("sk_live_", 20),
    ("AIza", 35),
    ("dop_v1_", 60),
    ("hf_", 34),
];

pub(super) fn provider_credentials(subject: &Subject<'_>, found: &mut Found) {
    for text in texts(subject).iter().filter(|text| has_credentials(&text.text)) {
        let message = format!("{} of `{}` holds credentials of a provider", text.what, text.service);
        found.add(Some(text.service), text.path.clone(), message);
    }
    // What is sealed by its name is in no text above; that it stands in the manifest is known all the same.
    for (service, variable) in &subject.remarks.clear_secrets {
        let known = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "GOOGLE_CREDENTIALS"];
        if known.contains(&variable.as_str()) {
            let message = format!("{variable} of `{service}` stands in the manifest");
            found.at(service, &["environment", variable], message);
        }
    }
}

fn has_credentials(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    CREDENTIALS.iter().any(|(head, length)| {
        text.match_indices(head).any(|(at, _)| {
            let begins = at == 0 || !is_part(text.as_bytes()[at - 1]);
            let rest = text.as_bytes()[at + head.len()..].iter().take_while(|byte| is_part(**byte)).count();
            begins && rest >= *length
        })
    }) || (text.contains("\"private_key_id\"") && text.contains("service_account"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_set_a_secret_are_known() {
        for line in [
            "password = swordfish",
            "  token: 123",
            "\"api_key\": \"x\",",
            "url=redis://:pw@cache/0",
            "set requirepass-token: x",
        ] {
            assert!(assigned_secret(line).is_some(), "{line}");
        }
        for line in [
            "# password = swordfish",
            "password = ${PW}",
            "password_file: /run/secrets/pw",
            "port = 80",
            "token:",
            "key: true",
        ] {
            assert_eq!(assigned_secret(line), None, "{line}");
        }
    }

    #[test]
    fn instructions_that_set_a_secret_are_known() {
        assert_eq!(instruction_secret("ENV A=b DB_PASSWORD=\"x\""), Some("DB_PASSWORD"));
        for line in ["ARG TOKEN", "ENV TOKEN=$TOKEN", "RUN TOKEN=x build", "ENV PORT=80"] {
            assert_eq!(instruction_secret(line), None, "{line}");
        }
    }

    #[test]
    fn credentials_are_told_from_words() {
        let made_up = format!("id {}", ["AKIA", "ABCDEFGHIJKLMNOP"].concat());
        assert!(has_credentials(&made_up));
        for text in ["AKIA", "TAKIAABCDEFGHIJKLMNOPQ", "ghp_short", "half_of_it"] {
            assert!(!has_credentials(text), "{text}");
        }
        assert!(has_private_key("x\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc"));
        assert!(!has_private_key("-----BEGIN PUBLIC KEY-----"));
    }
}
