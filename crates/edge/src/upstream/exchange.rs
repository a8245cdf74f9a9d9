//! One attempt: a request to one endpoint, over an open connection or a new one.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};

use super::connection::{AnswerBody, Broken, Connection};
use crate::backend::Lane;
use crate::http::body::RequestBody;

/// Why an attempt came to no answer, and whether the request may go elsewhere.
pub(crate) enum Failure {
    /// Nothing of the request was sent: any other endpoint may be tried.
    Unsent(Box<Request<RequestBody>>, String),
    /// It may have been carried out. Only a request that may be carried out twice can be tried again.
    Sent(String),
    /// The client's own body broke off or was malformed.
    ByClient,
}

/// Sends a request. `copy` makes it again, when it may be carried out twice and has no body: then a
/// connection that turns out to be closed costs nothing.
pub(crate) async fn exchange(
    lane: &Arc<Lane>,
    mut request: Request<RequestBody>,
    copy: Option<&(dyn Fn() -> Request<RequestBody> + Sync)>,
) -> Result<Response<AnswerBody>, Failure> {
    while let Some(mut connection) = lane.pool.take(copy.is_some(), Instant::now()) {
        if !connection.is_open() {
            continue;
        }
        match connection.send(request).await {
            Ok(answer) => return Ok(attach(answer, connection, lane)),
            Err(Broken::Unsent(again, _)) => request = *again,
            Err(Broken::Sent { by_client: true, .. }) => return Err(Failure::ByClient),
            Err(Broken::Sent { why, .. }) => match copy {
                Some(copy) => request = copy(),
                None => return Err(Failure::Sent(why)),
            },
        }
    }
    let mut connection = match Connection::open(lane.address).await {
        Ok(connection) => connection,
        Err(why) => return Err(Failure::Unsent(Box::new(request), why)),
    };
    match connection.send(request).await {
        Ok(answer) => Ok(attach(answer, connection, lane)),
        Err(Broken::Unsent(request, why)) => Err(Failure::Unsent(request, why)),
        Err(Broken::Sent { by_client: true, .. }) => Err(Failure::ByClient),
        Err(Broken::Sent { why, .. }) => Err(Failure::Sent(why)),
    }
}

fn attach(answer: Response<hyper::body::Incoming>, connection: Connection, lane: &Arc<Lane>) -> Response<AnswerBody> {
    let (head, incoming) = answer.into_parts();
    let mut body = AnswerBody::new(incoming, connection, lane.clone());
    body.settle();
    Response::from_parts(head, body)
}
