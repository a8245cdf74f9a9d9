use std::net::SocketAddr;

use clap::Args;
use daybook_api::client::Exit;
use daybook_server::{Config, RuntimeChoice};

use crate::context::Ctx;
use crate::error::{CommandError, Result};

/// Run the server in the foreground. It may be stopped, killed or upgraded at any time: what serves users
/// goes on without it.
///
/// Commands that need a server start one by themselves; it takes the same variables.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// What runs replicas: `process`, `docker`, or `auto` for Docker or Podman where one answers.
    #[arg(long, value_name = "RUNTIME", env = "DAYBOOK_RUNTIME", default_value = "auto")]
    runtime: RuntimeChoice,
    /// Where the edge serves HTTP, joined by commas: 0.0.0.0:80 for root, 0.0.0.0:8080 otherwise.
    #[arg(long, value_name = "ADDRESSES", env = "DAYBOOK_HTTP", value_delimiter = ',')]
    http: Vec<SocketAddr>,
    /// Where the edge serves HTTPS: 0.0.0.0:443 for root, 0.0.0.0:8443 otherwise.
    #[arg(long, value_name = "ADDRESSES", env = "DAYBOOK_HTTPS", value_delimiter = ',')]
    https: Vec<SocketAddr>,
    /// Lead a session of its own, so that it outlives the terminal that it was started from.
    #[arg(long, hide = true)]
    detached: bool,
}

impl Serve {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        if self.detached {
            // Fails only for a process that leads a group already, which is as good.
            let _ = rustix::process::setsid();
        }
        let exe = std::env::current_exe().map_err(|error| CommandError::io("find this program", &error))?;
        let config = Config {
            state: ctx.state.clone(),
            runtime: self.runtime,
            http: addresses(self.http, 80, 8080),
            https: addresses(self.https, 443, 8443),
            exe,
        };
        daybook_server::serve(config).await.map_err(|error| CommandError::failed(error.to_string()))?;
        Ok(Exit::Ok)
    }
}

/// The addresses as given, or one on all interfaces: only root may take a low port.
fn addresses(given: Vec<SocketAddr>, low: u16, high: u16) -> Vec<SocketAddr> {
    if !given.is_empty() {
        return given;
    }
    let port = if rustix::process::geteuid().is_root() { low } else { high };
    vec![SocketAddr::from(([0, 0, 0, 0], port))]
}
