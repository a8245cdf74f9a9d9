//! Active checks: what the edge asks of each endpoint, all the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_model::spec::{Check, CheckTest};
use http::Request;

use super::connection::{Connection, connect};
use crate::backend::Endpoint;
use crate::http::upload::RequestBody;
use crate::state::State;

/// How long after the start of the edge requests wait for endpoints that have not answered yet.
const PATIENCE_AT_START: Duration = Duration::from_secs(60);

/// Asks an endpoint until it leaves.
pub(crate) async fn watch(state: Arc<State>, endpoint: Arc<Endpoint>) {
    let started = Instant::now();
    loop {
        let check = endpoint.check.load_full();
        let answer = ask(&endpoint, &check).await;
        let changed = endpoint.learn(|health, check| {
            match answer {
                Ok(()) => health.check_was_good(),
                Err(why) => health.check_was_bad(why, check),
            }
            if started.elapsed() > PATIENCE_AT_START {
                health.give_up_waiting();
            }
        });
        if changed {
            tracing::info!(replica = %endpoint.replica, environment = %endpoint.key, "endpoint changed its health");
        }
        state.changed.notify_waiters();
        tokio::select! {
            () = tokio::time::sleep(endpoint.next_check_after()) => {}
            () = asked_again(&endpoint) => {}
            () = endpoint.leaving.cancelled() => return,
        }
    }
}

/// A failed attempt brings the next question forward, but never at once: that is what backs off.
async fn asked_again(endpoint: &Endpoint) {
    endpoint.ask_now.notified().await;
    tokio::time::sleep(endpoint.next_check_after()).await;
}

async fn ask(endpoint: &Endpoint, check: &Check) -> Result<(), String> {
    let within = Duration::from_millis(check.timeout_ms.max(1));
    let lane = |port: u16| endpoint.lane(port).or_else(|| endpoint.lanes().next()).map(|lane| lane.address);
    let question = async {
        match &check.test {
            CheckTest::Http { path, port } => match lane(*port) {
                Some(address) => ask_http(address, path, within).await,
                None => Ok(()),
            },
            CheckTest::Tcp { port } => ask_tcp(lane(*port)).await,
            CheckTest::Command(_) | CheckTest::Running | CheckTest::Disabled => {
                ask_tcp(endpoint.lanes().next().map(|lane| lane.address)).await
            }
        }
    };
    match tokio::time::timeout(within, question).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} ms", within.as_millis())),
    }
}

async fn ask_tcp(address: Option<SocketAddr>) -> Result<(), String> {
    match address {
        Some(address) => connect(address).await.map(drop),
        None => Ok(()),
    }
}

async fn ask_http(address: SocketAddr, path: &str, within: Duration) -> Result<(), String> {
    let request = Request::get(path)
        .header(http::header::HOST, address.to_string())
        .header(http::header::USER_AGENT, "daybook-check")
        .header(http::header::CONNECTION, "close")
        .body(RequestBody::empty());
    let request = request.map_err(|error| format!("GET {path}: {error}"))?;
    let mut connection = Connection::open(address).await?;
    let answer = connection.send(request, within).await.map_err(|_| format!("GET {path}: the connection broke off"))?;
    let status = answer.status();
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(format!("GET {path} answers {}", status.as_u16()))
    }
}
