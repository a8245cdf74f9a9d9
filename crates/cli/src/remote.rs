//! A server that runs in a cluster: its socket, brought here.
//!
//! Each connection to a socket of our own is joined to that of the server which leads at that moment, so that commands
//! need not know where the server is, nor that it is another one after a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_api::{Client, SOCKET_NAME};
use daybook_kubernetes::Tunnel;
use daybook_model::Target;
use daybook_runtime::Error;
use tokio::net::UnixListener;

use crate::context::Ctx;
use crate::error::{CommandError, Result};

/// How long a leader is waited for, where `--timeout` says nothing: longer than an election takes.
const WAIT_FOR: Duration = Duration::from_secs(60);

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Our end of the way to a server.
pub(crate) struct Remote {
    client: Client,
    /// Why the last connection came to nothing.
    failure: Arc<Mutex<Option<Error>>>,
}

impl Remote {
    /// Finds the cluster, and listens at a socket that only we know.
    pub(crate) async fn open(server: &Target) -> Result<Self> {
        let Target::Kubernetes(cluster) = server else {
            let message = format!("--server is a cluster that servers run in, not `{server}`");
            return Err(
                CommandError::usage(message).hint("write it as kubernetes://CONTEXT or kubernetes://CONTEXT/NAMESPACE")
            );
        };
        let tunnel = Tunnel::connect(cluster).await.map_err(told)?;
        let failed = |error: std::io::Error| CommandError::io("make a socket for the way to the server", &error);
        // Its mode keeps everybody else out, and it goes with the task that holds it.
        let directory = tempfile::tempdir().map_err(failed)?;
        let socket = directory.path().join(SOCKET_NAME);
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let failure = Arc::new(Mutex::new(None));
        tokio::spawn(serve(directory, listener, Arc::new(tunnel), failure.clone()));
        Ok(Self { client: Client::unix(socket), failure })
    }

    /// A client of the server that leads, once one does.
    pub(crate) async fn reach(&self, ctx: &Ctx) -> Result<Client> {
        let deadline = Instant::now() + ctx.global.timeout.unwrap_or(WAIT_FOR);
        let mut waits = false;
        loop {
            let said = match self.client.version().await {
                Ok(_) => return Ok(self.client.clone()),
                Err(said) if !said.is_connection() => return Err(said.into()),
                Err(said) => said,
            };
            match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(error) if !error.is_transient() || Instant::now() >= deadline => return Err(told(error)),
                None if Instant::now() >= deadline => return Err(said.into()),
                Some(error) if !waits => {
                    ctx.say(&format!("waiting for a server that leads: {}", error.message));
                    waits = true;
                }
                _ => {}
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

async fn serve(
    _directory: tempfile::TempDir,
    listener: UnixListener,
    tunnel: Arc<Tunnel>,
    failure: Arc<Mutex<Option<Error>>>,
) {
    while let Ok((connection, _)) = listener.accept().await {
        let (tunnel, failure) = (tunnel.clone(), failure.clone());
        tokio::spawn(async move {
            if let Err(error) = tunnel.join(connection).await {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        });
    }
}

fn told(error: Error) -> CommandError {
    let command = CommandError::failed(format!("{}: {}", error.operation, error.message));
    match error.hint {
        Some(hint) => command.hint(hint),
        None => command,
    }
}
