//! Files that SOPS or age have encrypted, opened by those programs: they know every kind of key that there is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use daybook_manifest::Cipher;

/// Opens a file, with a key of whoever runs this. The error says why not, and nothing of the content.
pub(crate) fn open(path: &Path, cipher: Cipher) -> Result<String, String> {
    match cipher {
        Cipher::Sops => run("sops", Command::new("sops").args(["--decrypt", "--output-type", "json"]).arg(path)),
        Cipher::Age => {
            let identities = identities();
            if !identities.is_file() {
                let at = identities.display();
                return Err(format!("no key to open it with: {at} is not there, and SOPS_AGE_KEY_FILE names no other"));
            }
            run("age", Command::new("age").arg("--decrypt").arg("--identity").arg(identities).arg(path))
        }
    }
}

/// Where SOPS looks for keys of age: age itself has no usual place.
fn identities() -> PathBuf {
    let named = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = || named("XDG_CONFIG_HOME").or_else(|| Some(named("HOME")?.join(".config"))).unwrap_or_default();
    named("SOPS_AGE_KEY_FILE").unwrap_or_else(|| config().join("sops/age/keys.txt"))
}

fn run(program: &str, command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("the program `{program}` is not installed here"),
        _ => format!("`{program}` cannot be run: {error}"),
    })?;
    if !output.status.success() {
        return Err(format!("`{program}` {}", said(&String::from_utf8_lossy(&output.stderr))));
    }
    String::from_utf8(output.stdout).map_err(|_| "what it holds is not UTF-8 text".to_owned())
}

/// The part of what a program said that tells why.
fn said(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| line.trim_matches(|c: char| c.is_whitespace() || matches!(c, '|' | '-')));
    let mut lines = lines.filter(|line| !line.is_empty() && !line.ends_with("FAILED"));
    let first = lines.next().unwrap_or("failed and said nothing");
    let first = first.split_once("error: ").map_or(first, |(_, rest)| rest);
    let reason = lines.find(|line| ["no identity", "failed to", "did not"].iter().any(|word| line.contains(word)));
    let whole = match reason {
        Some(reason) => format!("says: {first} {reason}"),
        None => format!("says: {first}"),
    };
    whole.chars().take(240).collect()
}
