//! Event streams that stay open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use serde_json::Value;

use super::Shared;
use super::client::{open, said, whole};
use super::tally::Class;

/// The shop sends twice a second; so much silence is a stream that died.
const SILENCE: Duration = Duration::from_secs(10);

/// One client that is always listening. A stream that ends in order is opened again.
pub(super) async fn run(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        let id = shared.id(Class::Stream);
        shared.tally.begun(Class::Stream);
        let result = listen(&shared, &id).await;
        shared.tally.ended(Class::Stream, &result);
        if result.is_ok() && !shared.stop.is_cancelled() {
            shared.tally.reopened(Class::Stream);
        }
        shared.pause(Duration::from_millis(20)).await;
        shared.rest_after(&result).await;
    }
}

/// Listens until the stream ends or the load stops. Every event must be of this stream and the next.
async fn listen(shared: &Shared, id: &str) -> Result<(), String> {
    let opening = async {
        let request = shared.options.request("GET", &format!("/api/events?id={id}"), Empty::<Bytes>::new());
        let mut sender = open(shared.options.address).await?;
        let response = sender.send_request(request).await.map_err(said)?;
        Ok((response, sender))
    };
    let (response, _sender) = shared.within(opening).await?;
    if response.status() != 200 {
        let reply = whole(response).await?;
        return Err(format!("status {}", reply.status));
    }
    let mut body = response.into_body();
    let mut unread = Vec::new();
    let mut expected = 0;
    loop {
        let frame = tokio::select! {
            () = shared.stop.cancelled() => return Ok(()),
            frame = tokio::time::timeout(SILENCE, body.frame()) => frame.map_err(|_| "the stream fell silent")?,
        };
        let Some(frame) = frame else {
            return if unread.is_empty() { Ok(()) } else { Err("the stream ended within an event".to_owned()) };
        };
        if let Ok(data) = frame.map_err(said)?.into_data() {
            unread.extend_from_slice(&data);
        }
        while let Some(event) = take_event(&mut unread) {
            if event["id"] != id || event["number"] != expected {
                return Err(format!("event {expected} of {id} was expected, {event} came"));
            }
            expected += 1;
        }
    }
}

/// Takes one whole event's data off the front.
fn take_event(unread: &mut Vec<u8>) -> Option<Value> {
    let end = unread.windows(2).position(|pair| pair == b"\n\n")?;
    let event: Vec<u8> = unread.drain(..end + 2).collect();
    let text = String::from_utf8_lossy(&event).into_owned();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
    Some(serde_json::from_str(data).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_pieces() {
        let mut unread = b"id: 0\ndata: {\"number\":0}\n\nid: 1\nda".to_vec();
        assert_eq!(take_event(&mut unread).unwrap()["number"], 0);
        assert!(take_event(&mut unread).is_none());
        unread.extend_from_slice(b"ta: {\"number\":1}\n\n");
        assert_eq!(take_event(&mut unread).unwrap()["number"], 1);
        assert!(unread.is_empty());
    }
}
