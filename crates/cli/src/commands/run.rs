use std::collections::BTreeMap;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use daybook_api::Client;
use daybook_api::client::Exit;
use daybook_api::logs::LogsQuery;
use daybook_api::oneoff::OneOffRequest;
use daybook_model::{EnvKey, ReplicaId, ServiceName};
use futures::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};

use super::exec::exit_code;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output;

/// Run a command once, in a new replica with a service's image, configuration and secrets.
///
/// Shows what it prints, removes the replica, and exits with the command's code. Ctrl-C ends it.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A further environment variable; may be given several times.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// The service.
    #[arg(value_name = "SERVICE")]
    service: ServiceName,
    /// Program and arguments, the service's own by default; no shell reads them.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Run {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<u8> {
        let key = ctx.key().await?;
        let client = ctx.client().await?;
        let env: BTreeMap<_, _> = self.variables.into_iter().collect();
        let request = OneOffRequest { service: self.service, argv: self.command, env };
        let replica = client.start_one_off(&key, &request).await?.replica;
        let failed = |error: std::io::Error| CommandError::io("listen for Ctrl-C", &error);
        let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let code = tokio::select! {
            code = watch(client, &key, &replica) => code,
            _ = interrupts.recv() => Ok(Exit::Killed.code()),
        };
        let removed = client.remove_one_off(&key, &replica).await;
        let code = code?;
        removed?;
        Ok(code)
    }
}

/// Between two questions whether the replica has ended.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Shows what the replica prints until it has ended, and returns its exit code.
async fn watch(client: &Client, key: &EnvKey, replica: &ReplicaId) -> Result<u8> {
    let query = LogsQuery { replica: Some(replica.clone()), follow: true, ..LogsQuery::default() };
    let mut lines = pin!(client.follow_logs(key, &query).await?);
    while let Some(line) = lines.next().await {
        let line = line?;
        if line.stderr {
            // A lost standard error is nobody's concern.
            let _ = writeln!(std::io::stderr(), "{}", line.text);
        } else {
            output::text(&format!("{}\n", line.text))?;
        }
    }
    loop {
        let view = client.one_off(key, replica).await?;
        if !view.running {
            let lost = || CommandError::failed(format!("nobody knows how {replica} ended"));
            return view.code.map(exit_code).ok_or_else(lost);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn variable(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
