//! Short requests, over kept connections or each over one of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;

use super::client::{check, echo, open, said, whole};
use super::tally::Class;
use super::{Shared, ticks};

type Sender = SendRequest<Empty<Bytes>>;

/// One client that sends at a constant rate.
pub(super) async fn run(shared: Arc<Shared>, class: Class, period: Duration) {
    let mut ticks = ticks(period);
    let mut kept = None;
    while let Some(due) = shared.due(&mut ticks).await {
        let id = shared.id(class);
        shared.tally.begun(class);
        if class == Class::Connect {
            kept = None;
        }
        let result = shared.within(exchange(&shared, &mut kept, &id, class)).await;
        if result.is_err() {
            kept = None;
        }
        shared.tally.timed(class, due.elapsed(), &result);
    }
}

/// Sends one request. A kept connection that was closed before anything was sent is replaced, as every
/// client does; one that closes on a request that was sent is a failure.
async fn exchange(shared: &Shared, kept: &mut Option<Sender>, id: &str, class: Class) -> Result<(), String> {
    loop {
        let mut sender = match usable(kept.take()).await {
            Some(sender) => sender,
            None => open(shared.options.address).await?,
        };
        let mut request = shared.options.request("GET", &echo(id), Empty::new());
        if class == Class::Connect {
            request.headers_mut().insert("connection", http::HeaderValue::from_static("close"));
        }
        match sender.send_request(request).await {
            Ok(response) => {
                check(&whole(response).await?, id)?;
                *kept = Some(sender);
                return Ok(());
            }
            Err(error) if error.is_canceled() => {}
            Err(error) => return Err(said(error)),
        }
    }
}

/// A kept connection, unless the server has closed it meanwhile.
async fn usable(kept: Option<Sender>) -> Option<Sender> {
    let mut sender = kept?;
    sender.ready().await.is_ok().then_some(sender)
}
