//! One attempt: a request to one endpoint, over an open connection or a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};

use super::connection::{AnswerBody, Broken, Connection, Fault};
use crate::backend::Lane;
use crate::http::upload::RequestBody;

/// Why an attempt came to no answer, and whether the request may go elsewhere.
pub(crate) enum Failure {
    /// Nothing of the request was sent: any other endpoint may be tried.
    Unsent(Box<Request<RequestBody>>, String),
    /// It may have been carried out. Only a request that may be carried out twice can be tried again.
    Sent(String),
    /// The client's own body was at fault.
    ByClient(Fault),
    /// The answer did not begin in time. The client has waited for so long that trying again elsewhere is its choice.
    Silent(String),
}

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
            (Err(Broken::Unsent(again, _)), _) => *again,
            (Err(Broken::Sent(_)), Some(copy)) => copy(),
            (Err(broken), _) => return Err(broken.into()),
        };
    }
    let mut connection = match Connection::open(lane.address).await {
        Ok(connection) => connection,
        Err(why) => return Err(Failure::Unsent(Box::new(request), why)),
    };
    let answer = connection.send(request, within).await?;
    Ok(attach(answer, connection, lane))
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Unsent(request, why) => Self::Unsent(request, why),
            Broken::Sent(why) => Self::Sent(why),
            Broken::ByClient(fault) => Self::ByClient(fault),
            Broken::Silent(why) => Self::Silent(why),
        }
    }
}

fn attach(answer: Response<hyper::body::Incoming>, connection: Connection, lane: &Arc<Lane>) -> Response<AnswerBody> {
    let (head, incoming) = answer.into_parts();
    let mut body = AnswerBody::new(incoming, connection, lane.clone());
    body.settle();
    Response::from_parts(head, body)
}
