//! The sockets of the API. File permissions are the login: only the owner may open that of the state directory, and the
//! group of a shared directory the one in there.

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use daybook_api::SOCKET_NAME;
use tokio::net::{TcpListener, UnixListener};

use crate::App;
use crate::request::Peer;

/// How long answers that have begun may take once the server stops.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// The bound sockets. They go when this does.
pub struct Listener {
    sockets: Vec<UnixListener>,
    paths: Vec<PathBuf>,
}

impl Listener {
    /// Binds `state/daybook.sock`. A socket that is there is a stale one: whoever calls this holds the
    /// lock of the state directory.
    pub fn bind(state: &Path) -> io::Result<Self> {
        let mut listener = Self { sockets: Vec::new(), paths: Vec::new() };
        listener.add(state, 0o600)?;
        Ok(listener)
    }

    /// Binds another one in a directory that is there, for the group that it belongs to: its members ask under their own
    /// logins.
    pub fn share(&mut self, directory: &Path) -> io::Result<()> {
        let group = fs::metadata(directory)?.gid();
        let path = self.add(directory, 0o600)?;
        std::os::unix::fs::chown(&path, None, Some(group))?;
        fs::set_permissions(&path, Permissions::from_mode(0o660))
    }

    fn add(&mut self, directory: &Path, mode: u32) -> io::Result<PathBuf> {
        let path = directory.join(SOCKET_NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.sockets.push(UnixListener::bind(&path)?);
        self.paths.push(path.clone());
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for path in &self.paths {
            // A socket that stays is stale, and the next server removes it.
            let _ = fs::remove_file(path);
        }
    }
}

/// Answers questions about what was measured, and takes measurements, at an address of this machine: nobody logs in there, so
/// no other machine may reach it, and no page that a browser on this one shows.
///
/// # Errors
/// The address is not of this machine alone, or cannot be had.
pub(crate) async fn open_door(app: &App, address: SocketAddr) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    if !address.ip().is_loopback() {
        let why = format!("{address} can be reached by others, and nobody logs in there: take 127.0.0.1");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let listener = TcpListener::bind(address).await?;
    let routes = crate::observe::routes();
    let routes = routes.clone().nest("/prometheus", routes);
    let routes = routes.layer(from_fn(only_by_our_names)).with_state(app.clone());
    Ok(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, %address, "questions are answered there no more");
        }
    })
}

/// Refuses what is not asked of this machine by its own names: a page whose name is made to lead here could ask us otherwise, by
/// the browser of whoever looks at it ("DNS rebinding").
async fn only_by_our_names(request: Request, next: Next) -> Response {
    if !is_by_our_name(&request) {
        let why = "only requests for `localhost` or a loopback address, such as 127.0.0.1, are answered here\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

fn is_by_our_name(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    // HTTP/2 has it in its address instead.
    host.into_iter().chain(request.uri().authority().map(Authority::as_str)).all(is_of_this_machine)
}

/// Whether a host, with or without a port, is a name of this machine that leads nowhere else.
fn is_of_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Answers requests until `app` stops; those that have begun are finished, within a bound.
///
/// # Errors
/// A socket cannot be used any more.
pub async fn answer(app: &App, mut listener: Listener) -> io::Result<()> {
    let stop = app.inner.stop.clone();
    let serving = std::mem::take(&mut listener.sockets).into_iter().map(|socket| {
        let service = app.api().into_make_service_with_connect_info::<Peer>();
        let serving = axum::serve(socket, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        async { serving.await }
    });
    let serving = futures::future::try_join_all(serving);
    tokio::select! {
        ended = serving => ended.map(drop),
        () = async { stop.cancelled().await; tokio::time::sleep(FINISH_WITHIN).await } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "127.8.0.1", "[::1]:9090", "[::1]"] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "example.com:9090",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1:9090",
            "0.0.0.0",
            "a b",
        ] {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }
}
