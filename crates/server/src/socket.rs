//! The socket of the API. File permissions are the login: only the owner may open it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_api::SOCKET_NAME;
use tokio::net::UnixListener;

use crate::App;
use crate::request::Peer;

/// How long answers that have begun may take once the server stops.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// The bound socket. It goes when this does.
pub struct Listener {
    socket: Option<UnixListener>,
    path: PathBuf,
}

impl Listener {
    /// Binds `state/daybook.sock`. A socket that is there is a stale one: whoever calls this holds the
    /// lock of the state directory.
    pub fn bind(state: &Path) -> io::Result<Self> {
        let path = state.join(SOCKET_NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { socket: Some(socket), path })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A socket that stays is stale, and the next server removes it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers requests until `app` stops; those that have begun are finished, within a bound.
///
/// # Errors
/// The socket cannot be used any more.
pub async fn answer(app: &App, mut listener: Listener) -> io::Result<()> {
    let socket = listener.socket.take().ok_or_else(|| io::Error::other("the socket is answered already"))?;
    let service = app.api().into_make_service_with_connect_info::<Peer>();
    let stop = app.inner.stop.clone();
    let serving = axum::serve(socket, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        ended = async { serving.await } => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(FINISH_WITHIN).await } => Ok(()),
    }
}
