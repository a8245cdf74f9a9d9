//! One attempt: a request to one endpoint, over an open connection or a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};

use super::connection::{AnswerBody, Connection, Failure};
use crate::backend::Lane;
use crate::http::upload::RequestBody;

/// Sends a request. `copy` makes it again, when it may be carried out twice and has no body: then a
/// connection that turns out to be closed costs nothing. The head of the answer must come `within` this time.
pub(crate) async fn exchange(
    lane: &Arc<Lane>,
    mut request: Request<RequestBody>,
    copy: Option<&(dyn Fn() -> Request<RequestBody> + Sync)>,
    within: Duration,
) -> Result<Response<AnswerBody>, Failure> {
    while let Some(mut connection) = lane.pool.take(copy.is_some(), Instant::now()) {
        if !connection.is_open() {
            continue;
        }
        request = match (connection.send(request, within).await, copy) {
            (Ok(answer), _) => return Ok(attach(answer, connection, lane)),
            (Err(Failure::Unsent(again, _)), _) => *again,
            (Err(Failure::Sent(_)), Some(copy)) => copy(),
            (Err(failure), _) => return Err(failure),
        };
    }
    let mut connection = match Connection::open(lane.address).await {
        Ok(connection) => connection,
        Err(why) => return Err(Failure::Unsent(Box::new(request), why)),
    };
    let answer = connection.send(request, within).await?;
    Ok(attach(answer, connection, lane))
}

fn attach(answer: Response<hyper::body::Incoming>, connection: Connection, lane: &Arc<Lane>) -> Response<AnswerBody> {
    let (head, incoming) = answer.into_parts();
    let mut body = AnswerBody::new(incoming, connection, lane.clone());
    body.settle();
    Response::from_parts(head, body)
}
