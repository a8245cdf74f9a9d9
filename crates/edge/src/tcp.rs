//! Connections that are forwarded as bytes.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use crate::backend::Taken;
use crate::counters::Class;
use crate::http::front::{Origin, serve_sniffed};
use crate::http::service::Search;
use crate::routing::sniff::{Sniffed, sniff};
use crate::state::{OpenConnection, Route, State};
use crate::upstream::connection::connect;

/// How long a client may say nothing before it is taken for one that waits for the server's first word.
const SILENCE: Duration = Duration::from_millis(150);

/// Serves a connection as HTTP if its first bytes are HTTP's, and forwards it as bytes otherwise.
pub(crate) async fn detect(state: Arc<State>, route: Arc<Route>, mut stream: TcpStream, origin: Origin) {
    let mut first = Vec::new();
    let sniffing = async {
        loop {
            match sniff(&first) {
                Sniffed::Unsure if stream.read_buf(&mut first).await.unwrap_or(0) > 0 => {}
                Sniffed::Unsure => return Sniffed::Bytes,
                sniffed => return sniffed,
            }
        }
    };
    match tokio::time::timeout(SILENCE, sniffing).await.unwrap_or(Sniffed::Bytes) {
        Sniffed::Http1 | Sniffed::Http2 => serve_sniffed(state, stream, origin, first).await,
        Sniffed::Bytes | Sniffed::Unsure => forward(state, route, stream, first, origin.place).await,
    }
}

/// Forwards a connection of which `first` has been read.
pub(crate) async fn forward(
    state: Arc<State>,
    route: Arc<Route>,
    mut client: TcpStream,
    first: Vec<u8>,
    _place: OpenConnection,
) {
    route.counters.hits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mut search = Search::new(route, Class::Connection);
    let Some((taken, mut replica)) = open(&state, &mut search).await else { return };
    if !first.is_empty() && replica.write_all(&first).await.is_err() {
        return;
    }
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut replica) => {}
        () = taken.endpoint.cut.cancelled() => {}
        () = state.cut.cancelled() => {}
    }
}

async fn open(state: &State, search: &mut Search) -> Option<(Taken, TcpStream)> {
    let mut next = search.next(state).await;
    loop {
        let taken = next.ok()?;
        match connect(search.lane(&taken).address).await {
            Ok(stream) => return Some((taken, stream)),
            Err(why) => next = search.after_failure(state, taken, &why).await,
        }
    }
}
