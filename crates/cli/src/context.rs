//! What every command needs: the flags, the server, and which environment is meant.

use std::path::PathBuf;

use daybook_api::Client;
use daybook_api::environment::EnvironmentView;
use daybook_model::{EnvKey, Timestamp};
use tokio::sync::OnceCell;

use crate::args::{Format, Global};
use crate::error::{CommandError, Result};
use crate::{manifest, output, server, terminal};

/// What every command needs.
pub(crate) struct Ctx {
    /// Flags.
    pub(crate) global: Global,
    /// The server's state directory.
    pub(crate) state: PathBuf,
    client: OnceCell<Client>,
    #[cfg(feature = "kubernetes")]
    remote: OnceCell<crate::remote::Remote>,
}

impl Ctx {
    /// Fails when no state directory is given and none can be derived.
    pub(crate) fn new(global: Global) -> Result<Self> {
        let state = server::state_directory(global.state.as_deref())?;
        Ok(Self {
            global,
            state,
            client: OnceCell::new(),
            #[cfg(feature = "kubernetes")]
            remote: OnceCell::new(),
        })
    }

    /// A client of a server that answers; one is started when there is none.
    pub(crate) async fn client(&self) -> Result<&Client> {
        self.client.get_or_try_init(|| server::reach(self)).await
    }

    /// A client of the server in a cluster, where one is meant.
    #[cfg(feature = "kubernetes")]
    pub(crate) async fn elsewhere(&self) -> Result<Option<Client>> {
        let Some(server) = &self.global.server else { return Ok(None) };
        let remote = self.remote.get_or_try_init(|| crate::remote::Remote::open(server)).await?;
        remote.reach(self).await.map(Some)
    }

    /// This build knows no clusters.
    #[cfg(not(feature = "kubernetes"))]
    pub(crate) async fn elsewhere(&self) -> Result<Option<Client>> {
        Ok(None)
    }

    /// The environment that is meant: `--app` or the manifest's app, and `--env`. Without either, the
    /// only environment of that name which the server knows.
    pub(crate) async fn key(&self) -> Result<EnvKey> {
        let env = self.global.env.clone();
        if let Some(app) = &self.global.app {
            return Ok(EnvKey::new(app.clone(), env));
        }
        if let Some(app) = manifest::app(&self.global)? {
            return Ok(EnvKey::new(app, env));
        }
        let known = self.client().await?.environments().await?;
        only(&known, env.as_str())
    }

    /// How data is printed.
    pub(crate) fn format(&self) -> Format {
        self.global.output
    }

    /// Prints data.
    pub(crate) fn data<T: serde::Serialize>(&self, value: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        output::data(self.format(), value, table)
    }

    /// Tells a person something, unless they asked for quiet.
    pub(crate) fn say(&self, text: &str) {
        if !self.global.quiet {
            output::message(text);
        }
    }

    /// Prints the obvious next command under a table for people.
    pub(crate) fn next(&self, text: &str) {
        if self.format() == Format::Table {
            self.say(&format!("\n{}", output::style::paint(output::style::DIM, text)));
        }
    }

    /// A command of ours for the environment that is meant: `daybook ps`, `daybook ps -e staging`.
    pub(crate) fn command(&self, words: &str) -> String {
        command(words, self.global.env.as_str())
    }

    /// Whether a person can be asked.
    pub(crate) fn may_ask(&self) -> bool {
        !self.global.no_input && terminal::is_interactive()
    }
}

/// The time on this machine, for "2 min ago".
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A command of ours for `env`; the default environment is not worth naming.
pub(crate) fn command(words: &str, env: &str) -> String {
    if env == "production" { format!("daybook {words}") } else { format!("daybook {words} -e {env}") }
}

/// The only environment called `env`.
fn only(known: &[EnvironmentView], env: &str) -> Result<EnvKey> {
    let mut named = known.iter().filter(|one| one.key.env.as_str() == env);
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(one.key.clone()),
        (None, _) => {
            let message = format!("no manifest is here, and no app has an environment called {env}");
            Err(CommandError::failed(message).hint("go to the manifest's directory, or begin with: daybook init"))
        }
        (Some(_), Some(_)) => {
            let apps: Vec<_> =
                known.iter().filter(|one| one.key.env.as_str() == env).map(|one| one.key.app.to_string()).collect();
            let message = format!("no manifest is here, and several apps have an environment called {env}");
            Err(CommandError::usage(message).hint(format!("say which: --app {}", apps.join(" or --app "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(keys: &[&str]) -> Vec<EnvironmentView> {
        let one = |key: &&str| serde_json::json!({"key": key, "services": 1, "ready": 1});
        serde_json::from_value(keys.iter().map(one).collect()).unwrap()
    }

    #[test]
    fn without_a_manifest_only_one_app_can_be_meant() {
        assert_eq!(
            only(&known(&["shop/production", "blog/staging"]), "production").unwrap().to_string(),
            "shop/production"
        );
        assert!(only(&known(&[]), "production").unwrap_err().hint.unwrap().contains("daybook init"));
        let two = only(&known(&["shop/production", "blog/production"]), "production").unwrap_err();
        assert_eq!(two.hint.unwrap(), "say which: --app shop or --app blog");
    }

    #[test]
    fn commands_name_the_environment_unless_it_is_the_default() {
        assert_eq!(command("status", "production"), "daybook status");
        assert_eq!(command("status", "staging"), "daybook status -e staging");
    }
}
