//! OpenTelemetry's protocol over gRPC, to whoever speaks HTTP/2 from the first byte.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use daybook_ingest::grpc::{self, Code};
use daybook_ingest::otlp::{Format, Signal, response};
use daybook_ingest::remote::Skipped;
use daybook_ingest::{Encoding, Limits};
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::body::{Failure, header};
use super::otlp::{Message, take};
use crate::App;

/// The bytes before a message.
const HEAD: usize = 5;

pub(super) async fn call(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if !grpc::is_grpc(header(&head.headers, "content-type")) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Some(signal) = Signal::of_grpc(head.uri.path()) else {
        return ended(Code::Unimplemented, "there is no such method");
    };
    match taken(&app, signal, &head, body).await {
        Ok(skipped) => answered(&response(&skipped)),
        Err(Failure::Refused(refused)) => ended(Code::of(&refused), &refused.to_string()),
        Err(Failure::Later(why)) => ended(Code::Unavailable, &why),
    }
}

async fn taken(app: &App, signal: Signal, head: &Parts, body: Body) -> Result<Skipped, Failure> {
    let limits = Limits::otlp();
    let (framed, _turn) = app.inner.observatory.inflow.body(body, limits.bytes + HEAD).await?;
    let plain = grpc::message(&framed, header(&head.headers, "grpc-encoding"), limits)?;
    let bytes = Bytes::from(plain.into_owned());
    take(app, Message { signal, format: Format::Protobuf, encoding: Encoding::Identity, bytes }).await
}

/// An answer, and that it went well.
fn answered(message: &[u8]) -> Response {
    let frames = [Frame::data(Bytes::from(grpc::frame(message))), Frame::trailers(status(Code::Ok, ""))];
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Infallible>)));
    ([(CONTENT_TYPE, "application/grpc")], Body::new(body)).into_response()
}

/// How a call ended that has no answer.
fn ended(code: Code, why: &str) -> Response {
    ([(CONTENT_TYPE, "application/grpc")], status(code, why)).into_response()
}

fn status(code: Code, why: &str) -> HeaderMap {
    let told = grpc::trailers(code, why).into_iter();
    let told = told.filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(&value).ok()?)));
    told.collect()
}
