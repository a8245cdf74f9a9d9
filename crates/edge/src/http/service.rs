//! One request, from its head to the head of its answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request};
use http_body::Body as _;
use hyper::body::Incoming;

use super::body::{EdgeBody, Source};
use super::headers::{self, Client};
use super::upload::RequestBody;
use super::watched::Watch;
use super::{files, strict, upgrade};
use crate::access_log::Ended;
use crate::backend::{BackendCounts, Choice, Endpoint, Lane, Taken, Target};
use crate::counters::{Class, RouteCounters};
use crate::state::{OpenConnection, Route, State};
use crate::upstream::connection::{AnswerBody, Failure, Fault};
use crate::upstream::exchange::exchange;

/// A client's connection, as its requests see it.
pub(crate) struct Front {
    pub(crate) state: Arc<State>,
    pub(crate) client: Client,
    /// The address entry that it came in at; public listeners have none.
    pub(crate) entry: Option<SocketAddr>,
    pub(crate) watch: Arc<Watch>,
    /// The connection is to end with the next answer.
    pub(crate) closing: AtomicBool,
    pub(crate) _place: OpenConnection,
}

/// How many endpoints one request is tried at.
const MOST_ATTEMPTS: usize = 4;
/// How many requests of one service wait for an endpoint at once.
const MOST_HELD: u64 = 2_000;

/// Answers a request. There is always an answer.
pub(crate) async fn answer(front: Arc<Front>, request: Request<Incoming>) -> Result<Response<EdgeBody>, Infallible> {
    let started = Instant::now();
    let (head, incoming) = request.into_parts();
    let is_http1 = head.version <= Version::HTTP_11;
    let id = headers::request_id(&head.headers);
    let host = headers::host_of(&head);
    let ended = Ended {
        log: front.state.log.clone(),
        flight: None,
        watch: front.watch.clone(),
        started,
        method: head.method.clone(),
        host: host.clone(),
        uri: head.uri.clone(),
        id: id.clone(),
        client: front.client.address.clone(),
        by: None,
        status: 0,
        bytes: 0,
        broken: false,
    };
    let sound = front.watch.request_began(strict::follows(&head.headers), |raw| strict::check(&head, raw));
    let mut exchange = Exchange { front: &front, host, id, counters: None, ended: Some(ended), wants_close: false };
    let mut answer = match sound {
        Ok(()) => exchange.route(head, incoming).await,
        Err(refusal) => {
            exchange.wants_close = true;
            exchange.own(StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST), refusal.why)
        }
    };
    if is_http1
        && (exchange.wants_close || front.closing.load(Relaxed) || !front.watch.sees_next_head())
        && answer.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

/// A request while its answer is sought.
pub(super) struct Exchange<'a> {
    pub(super) front: &'a Arc<Front>,
    host: HeaderValue,
    id: HeaderValue,
    /// Those of the route that it took.
    counters: Option<Arc<RouteCounters>>,
    ended: Option<Ended>,
    /// What comes after this request on its connection cannot be trusted.
    wants_close: bool,
}

impl Exchange<'_> {
    async fn route(&mut self, head: request::Parts, incoming: Incoming) -> Response<EdgeBody> {
        let Some(route) = self.find_route(&head) else {
            return self.own(StatusCode::NOT_FOUND, "nothing is served here");
        };
        route.counters.hits.fetch_add(1, Relaxed);
        self.counters = Some(route.counters.clone());
        if route.redirect && self.front.client.scheme(&head.headers) == "http" {
            return self.redirect(&head);
        }
        match &route.backend.target {
            Target::Files(root) => {
                let answer = files::serve(root, &head).await;
                self.finish(answer, None)
            }
            Target::Endpoints(_) if upgrade::is_wanted(&head) => upgrade::tunnel(self, route, head, incoming).await,
            Target::Endpoints(_) => self.forward(route, head, incoming).await,
        }
    }

    /// The route by the table that is in force now.
    pub(super) fn find_route(&self, head: &request::Parts) -> Option<Arc<Route>> {
        let live = self.front.state.live.load();
        match self.front.entry {
            Some(address) => live.addresses.get(&address).map(|entry| entry.route.clone()),
            None => live.domains.find(self.host.to_str().ok()?, head.uri.path()).cloned(),
        }
    }

    async fn forward(&mut self, route: Arc<Route>, mut head: request::Parts, incoming: Incoming) -> Response<EdgeBody> {
        let has_body = !incoming.is_end_stream();
        let repeatable = !has_body && is_idempotent(&head.method);
        self.headers_for(&mut head);
        let mut search = Search::new(route, if has_body { Class::Upload } else { Class::Request });
        let mut taken = match search.next(&self.front.state).await {
            Ok(taken) => taken,
            Err(why) => return self.nobody(why, has_body),
        };
        let copy = repeatable.then(|| head.clone());
        let copy = copy.as_ref().map(|head| move || Request::from_parts(head.clone(), RequestBody::empty()));
        let again = copy.as_ref().map(|copy| copy as &(dyn Fn() -> Request<RequestBody> + Sync));
        let limits = self.front.state.limits;
        let body = if has_body {
            RequestBody::incoming(incoming, taken.flight.clone(), self.front.watch.clone(), limits.upload)
        } else {
            RequestBody::empty()
        };
        let mut request = Request::from_parts(head, body);
        loop {
            let failure = match exchange(search.lane(&taken), request, again, limits.answer).await {
                Ok(answer) => return self.pass(answer, taken),
                Err(failure) => failure,
            };
            let why;
            (request, why) = match (failure, again) {
                (Failure::Unsent(request, why), _) => (*request, why),
                (Failure::Sent(why), Some(copy)) => (copy(), why),
                (Failure::Sent(why), None) => {
                    taken.endpoint.attempt_failed(&why);
                    self.wants_close = has_body;
                    return self.own(StatusCode::BAD_GATEWAY, "the replica gave no answer");
                }
                (Failure::ByClient(fault), _) => {
                    self.wants_close = true;
                    return match fault {
                        Fault::Broken => self.own(StatusCode::BAD_REQUEST, "the body of the request broke off"),
                        Fault::Stalled => self.own(StatusCode::REQUEST_TIMEOUT, "nothing more of the request came"),
                    };
                }
                (Failure::Silent, _) => {
                    self.wants_close = has_body;
                    return self.too_late(&taken.endpoint);
                }
            };
            taken = match search.after_failure(&self.front.state, taken, &why).await {
                Ok(taken) => taken,
                Err(why) => return self.nobody(why, has_body),
            };
            request.body_mut().set_flight(&taken.flight);
        }
    }

    fn pass(&mut self, answer: Response<AnswerBody>, taken: Taken) -> Response<EdgeBody> {
        let (mut head, body) = answer.into_parts();
        headers::strip_hop_by_hop(&mut head.headers);
        let mut body = EdgeBody::new(Source::Answer(Box::new(body)));
        if is_event_stream(&head.headers) {
            taken.flight.become_class(Class::Stream);
            body = body.until(taken.endpoint.cut.clone().cancelled_owned());
        }
        head.version = Version::HTTP_11;
        self.finish(Response::from_parts(head, body), Some(taken))
    }

    /// Counts the answer, and lets its body keep what lasts until it has been sent.
    pub(super) fn finish(&mut self, answer: Response<EdgeBody>, by: Option<Taken>) -> Response<EdgeBody> {
        let (mut head, body) = answer.into_parts();
        let mut ended = self.ended.take().expect("a request is finished once");
        ended.status = head.status.as_u16();
        let took = by.as_ref().and_then(|taken| taken.flight.took());
        if let Some(counters) = &self.counters {
            counters.answers.add(ended.status, took);
        }
        if let Some(Taken { endpoint, flight }) = by {
            endpoint.counters.answers.add(ended.status, took);
            ended.by = Some(endpoint);
            ended.flight = Some(flight);
        }
        head.headers.entry(headers::REQUEST_ID).or_insert_with(|| self.id.clone());
        Response::from_parts(head, body.ends(ended))
    }

    /// An answer of the edge itself.
    pub(super) fn own(&mut self, status: StatusCode, text: &str) -> Response<EdgeBody> {
        let mut answer = Response::new(EdgeBody::text(format!("{} {text}\n", status.as_u16())));
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        self.finish(answer, None)
    }

    /// Nobody can answer now.
    pub(super) fn nobody(&mut self, why: Nobody, has_body: bool) -> Response<EdgeBody> {
        self.wants_close = has_body;
        let text = match why {
            Nobody::Unusable => "no replica can answer now",
            Nobody::Waited => "no replica became ready in time",
            Nobody::Crowded => "too many requests wait for a replica",
        };
        let mut answer = self.own(StatusCode::SERVICE_UNAVAILABLE, text);
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }

    /// A replica that had the request did not answer in time.
    pub(super) fn too_late(&mut self, endpoint: &Endpoint) -> Response<EdgeBody> {
        endpoint.answer_was_late(&format!("no answer within {} ms", self.front.state.limits.answer.as_millis()));
        self.own(StatusCode::GATEWAY_TIMEOUT, "the replica gave no answer in time")
    }

    fn redirect(&mut self, head: &request::Parts) -> Response<EdgeBody> {
        let host = crate::routing::domain::normalize(self.host.to_str().unwrap_or_default()).into_owned();
        // A proxy before us serves HTTPS at a port of its own: the usual one.
        let port = self.front.state.https_port().filter(|port| *port != 443 && !self.front.client.behind);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let rest = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut answer = self.own(StatusCode::PERMANENT_REDIRECT, "this is served over HTTPS");
        if let Ok(location) = HeaderValue::from_str(&format!("https://{host}{port}{rest}")) {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        answer
    }

    pub(super) fn headers_for(&self, head: &mut request::Parts) {
        headers::prepare_request(head, &self.host, &self.front.client, &self.id);
    }
}

/// Why no endpoint was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// None can be used.
    Unusable,
    /// The request waited for one as long as it may.
    Waited,
    /// Too many wait already.
    Crowded,
}

/// The search for an endpoint, over as many attempts as it takes.
pub(crate) struct Search {
    route: Arc<Route>,
    tried: Vec<Arc<Endpoint>>,
    class: Class,
}

impl Search {
    pub(crate) fn new(route: Arc<Route>, class: Class) -> Self {
        Self { route, tried: Vec::new(), class }
    }

    /// An endpoint, waiting for one where the table says so.
    pub(crate) async fn next(&mut self, state: &State) -> Result<Taken, Nobody> {
        loop {
            match self.choose() {
                Choice::Use(taken) => return Ok(taken),
                Choice::Left => self.refresh(state),
                Choice::Nobody => return self.unserved(Nobody::Unusable),
                Choice::Hold(_) => return self.wait(state).await,
            }
        }
    }

    /// Another endpoint, by the table that is in force now, because `taken` failed before it answered.
    pub(crate) async fn after_failure(&mut self, state: &State, taken: Taken, why: &str) -> Result<Taken, Nobody> {
        taken.endpoint.attempt_failed(why);
        self.tried.push(taken.endpoint);
        if self.tried.len() >= MOST_ATTEMPTS {
            return self.unserved(Nobody::Unusable);
        }
        self.refresh(state);
        self.next(state).await
    }

    /// The lane to the port that is asked for.
    pub(crate) fn lane<'a>(&self, taken: &'a Taken) -> &'a Arc<Lane> {
        taken.endpoint.lane(self.route.port).expect("the table was checked to have the port")
    }

    fn choose(&self) -> Choice {
        match &self.route.backend.target {
            Target::Endpoints(endpoints) => self.route.backend.choose(endpoints, &self.tried, self.class),
            Target::Files(_) => Choice::Nobody,
        }
    }

    /// Takes the route of the table in force, if it still has one for this request.
    fn refresh(&mut self, state: &State) {
        if let Some(route) = state.live.load().same_route(&self.route) {
            self.route = route;
        }
    }

    fn unserved(&self, why: Nobody) -> Result<Taken, Nobody> {
        self.route.backend.counts.unserved.fetch_add(1, Relaxed);
        Err(why)
    }

    async fn wait(&mut self, state: &State) -> Result<Taken, Nobody> {
        let Some(_held) = Held::begin(&self.route.backend.counts) else { return self.unserved(Nobody::Crowded) };
        let started = Instant::now();
        loop {
            let changed = state.changed.notified();
            tokio::pin!(changed);
            // The ear is open before the choice is made, so that no change is missed.
            changed.as_mut().enable();
            self.refresh(state);
            // What failed before may have come back.
            self.tried.clear();
            let time = match self.choose() {
                Choice::Use(taken) => return Ok(taken),
                Choice::Left => continue,
                Choice::Nobody => return self.unserved(Nobody::Unusable),
                Choice::Hold(time) => time,
            };
            let left = time.saturating_sub(started.elapsed());
            if left.is_zero() || tokio::time::timeout(left, changed).await.is_err() {
                return self.unserved(Nobody::Waited);
            }
        }
    }
}

/// A request that waits is counted while it does.
struct Held(Arc<BackendCounts>);

impl Held {
    /// Begins to wait, unless too many do already.
    fn begin(counts: &Arc<BackendCounts>) -> Option<Self> {
        let before = counts.held.fetch_add(1, Relaxed);
        let held = Self(counts.clone());
        (before < MOST_HELD).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Relaxed);
    }
}

/// Methods that may be carried out twice (RFC 9110, section 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}

fn is_event_stream(headers: &http::HeaderMap) -> bool {
    let is = |value: &HeaderValue| {
        value.as_bytes().get(..17).is_some_and(|text| text.eq_ignore_ascii_case(b"text/event-stream"))
    };
    headers.get(header::CONTENT_TYPE).is_some_and(is)
}
