//! Uploads that take two seconds: what a rollout that cuts requests short would break.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::Shared;
use super::client::{open, said, whole};
use super::tally::Class;

const PIECES: u32 = 20;
const PIECE: usize = 2_000;
const BETWEEN: Duration = Duration::from_millis(100);

/// One client that uploads again and again.
pub(super) async fn run(shared: Arc<Shared>) {
    while shared.pause(Duration::from_millis(50)).await {
        let id = shared.id(Class::Upload);
        shared.tally.begun(Class::Upload);
        let result = shared.within(upload(&shared, &id)).await;
        shared.tally.ended(Class::Upload, &result);
        shared.rest_after(&result).await;
    }
}

async fn upload(shared: &Shared, id: &str) -> Result<(), String> {
    let pieces = stream::unfold(0, |number| async move {
        if number == PIECES {
            return None;
        }
        tokio::time::sleep(BETWEEN).await;
        let frame = Frame::data(Bytes::from_static(&[7; PIECE]));
        Some((Ok::<_, std::convert::Infallible>(frame), number + 1))
    });
    let body = StreamBody::new(Box::pin(pieces));
    let request = shared.options.request("POST", &format!("/upload?id={id}"), body);
    let response = open(shared.options.address).await?.send_request(request).await.map_err(said)?;
    let reply = whole(response).await?;
    super::client::check(&reply, id)?;
    let bytes = PIECES as usize * PIECE;
    let arrived = reply.json();
    if arrived["bytes"] == bytes && arrived["sum"] == bytes * 7 { Ok(()) } else { Err(format!("{arrived} arrived")) }
}
