//! Credentials of registries, as `docker login` keeps them.
//!
//! They are read anew for each question, so that a login counts at once, and go nowhere but into the
//! request to the daemon. The format is that of the Docker command line's `config.json`, and of its
//! credential helpers: <https://github.com/docker/docker-credential-helpers>.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::{Error, ErrorKind};

/// What Docker Hub is called there.
const HUB: &str = "https://index.docker.io/v1/";

/// A helper may have to ask a service far away.
const HELPER_PATIENCE: Duration = Duration::from_secs(10);

/// Where logins are kept.
pub struct Logins {
    directory: Option<PathBuf>,
}

/// `config.json`, as far as it matters. Not `Debug`: it holds passwords.
#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

/// A login to one registry.
#[derive(Default, Clone, Deserialize)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// What a helper prints.
#[derive(Deserialize)]
struct Helped {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl Logins {
    /// The logins of `directory`, else of `DOCKER_CONFIG`, else of `~/.docker`.
    pub fn new(directory: Option<PathBuf>) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let usual = || set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")));
        Self { directory: directory.or_else(usual) }
    }

    /// The credentials for a registry, by its host and port. `None`: nobody logged in, or the helper does
    /// not tell, which is logged: a public image needs none.
    pub async fn of(&self, registry: &str) -> Option<DockerCredentials> {
        credentials(&self.read(), registry).await
    }

    /// The credentials for every registry that somebody logged in to: a build may need any.
    pub async fn all(&self) -> HashMap<String, DockerCredentials> {
        let file = self.read();
        let mut all = HashMap::new();
        for name in file.auths.keys().chain(file.helpers.keys()) {
            if let Some(found) = credentials(&file, host(name)).await {
                all.insert(name.clone(), found);
            }
        }
        all
    }

    /// The error of a registry that wants a login: says what to do about it.
    pub async fn explain(&self, error: Error, registry: &str) -> Error {
        if !is_refusal(&error.message) {
            return error;
        }
        let login =
            if registry == "docker.io" { "docker login".to_owned() } else { format!("docker login {registry}") };
        let hint = match self.of(registry).await {
            Some(_) => {
                format!("the login to {registry} is not accepted for this image: correct the name, or `{login}` again")
            }
            None => format!("nobody is logged in to {registry}: correct the name, or `{login}`"),
        };
        // Registries answer "unauthorized" and "denied" for repositories that do not exist.
        Error { kind: ErrorKind::NotFound, ..error }.hint(hint)
    }

    fn read(&self) -> File {
        let Some(path) = self.directory.as_ref().map(|directory| directory.join("config.json")) else {
            return File::default();
        };
        read(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "logins to registries cannot be read");
            File::default()
        })
    }
}

fn read(path: &Path) -> io::Result<File> {
    match std::fs::read(path) {
        // What serde says of a wrong value may hold the value.
        Ok(text) => serde_json::from_slice(&text).map_err(|_| io::Error::other("it is not a configuration of Docker")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(error),
    }
}

/// Whether a registry refused to tell, in any of the ways in which daemons report it.
fn is_refusal(message: &str) -> bool {
    let message = message.to_lowercase();
    ["unauthorized", "denied", "no basic auth credentials", "authentication required"]
        .iter()
        .any(|text| message.contains(text))
}

/// The host and port of a registry's name in the file, which may be an address.
fn host(name: &str) -> &str {
    if name == HUB {
        return "docker.io";
    }
    let name = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    name.split('/').next().unwrap_or(name)
}

async fn credentials(file: &File, registry: &str) -> Option<DockerCredentials> {
    let asked = if registry == "docker.io" { HUB } else { registry };
    let named = |name: &&String| host(name) == registry;
    let helper = file.helpers.iter().find(|(name, _)| named(name)).map(|(_, helper)| helper).or(file.store.as_ref());
    if let Some(helper) = helper {
        match ask(helper, asked).await {
            Ok(Some(helped)) => return Some(of_helper(helped, asked)),
            Ok(None) => {}
            Err(error) => tracing::warn!(helper, registry, %error, "the credential helper does not tell"),
        }
    }
    let (_, login) = file.auths.iter().find(|(name, _)| named(name))?;
    of_login(login, asked)
}

fn of_helper(helped: Helped, asked: &str) -> DockerCredentials {
    let server = Some(asked.to_owned());
    // So helpers mark a token.
    if helped.username == "<token>" {
        return DockerCredentials { identitytoken: Some(helped.secret), serveraddress: server, ..Default::default() };
    }
    DockerCredentials {
        username: Some(helped.username),
        password: Some(helped.secret),
        serveraddress: server,
        ..Default::default()
    }
}

/// An entry without anything in it only says that a helper has it.
fn of_login(login: &Login, asked: &str) -> Option<DockerCredentials> {
    let decoded = login.auth.as_deref().and_then(|auth| String::from_utf8(STANDARD.decode(auth).ok()?).ok());
    let pair = decoded.as_deref().and_then(|text| text.trim_end_matches('\0').split_once(':'));
    let username = pair.map(|(user, _)| user.to_owned()).or_else(|| login.username.clone());
    let password = pair.map(|(_, password)| password.to_owned()).or_else(|| login.password.clone());
    let (identitytoken, registrytoken) = (login.identitytoken.clone(), login.registrytoken.clone());
    if password.is_none() && identitytoken.is_none() && registrytoken.is_none() {
        return None;
    }
    // A token is used instead of a password.
    let password = password.filter(|_| identitytoken.is_none());
    let serveraddress = Some(asked.to_owned());
    Some(DockerCredentials { username, password, serveraddress, identitytoken, registrytoken, ..Default::default() })
}

/// Asks `docker-credential-NAME`. `None`: it has nothing for this registry.
async fn ask(helper: &str, registry: &str) -> io::Result<Option<Helped>> {
    if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(io::Error::other("its name is none that a helper may have"));
    }
    run(Path::new(&format!("docker-credential-{helper}")), registry).await
}

async fn run(helper: &Path, registry: &str) -> io::Result<Option<Helped>> {
    let mut command = Command::new(helper);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().expect("its input is piped");
    let answered = async {
        input.write_all(registry.as_bytes()).await?;
        drop(input);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(HELPER_PATIENCE, answered).await.map_err(io::Error::other)??;
    if output.status.success() {
        // As above: nothing of what it printed is repeated.
        return serde_json::from_slice(&output.stdout)
            .map(Some)
            .map_err(|_| io::Error::other("its answer is not JSON"));
    }
    match String::from_utf8_lossy(&output.stdout).contains("credentials not found") {
        true => Ok(None),
        false => Err(io::Error::other(output.status.to_string())),
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
