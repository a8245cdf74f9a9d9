//! What an exporter is answered.

use std::fmt;

use prost::Message;
use serde_json::json;

use super::{Format, Signal, Skipped};
use crate::{Answer, Refused};

/// The answer of each signal, which are alike. Nothing is said where all is taken.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The answer to a request that was taken, but for what was skipped: that is not to be sent again.
pub fn answer(signal: Signal, format: Format, skipped: &Skipped) -> Answer {
    let body = match format {
        Format::Protobuf => response(skipped),
        Format::Json if skipped.count == 0 => b"{}".to_vec(),
        Format::Json => {
            let partial = json!({ signal.rejected(): skipped.count.to_string(), "errorMessage": skipped.first });
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    };
    with_body(200, format, body)
}

/// The message of an answer to a request that was taken, as a call over gRPC has it as well.
pub fn response(skipped: &Skipped) -> Vec<u8> {
    let rejected = i64::try_from(skipped.count).unwrap_or(i64::MAX);
    let partial = (rejected > 0).then(|| Partial { rejected, message: skipped.first.clone() });
    Response { partial }.encode_to_vec()
}

/// What an answer to a request that was taken, as protobuf, says was not: how many, and why. `None`: nothing was refused.
pub fn rejected(body: &[u8]) -> Option<(u64, String)> {
    let Partial { rejected, message } = Response::decode(body).ok()?.partial?;
    (rejected > 0).then(|| (rejected.unsigned_abs(), message))
}

/// The answer to a body that is not taken: it is not to be sent again.
pub fn refuse(format: Format, refused: &Refused) -> Answer {
    // 3 is an argument that is invalid.
    error(refused.status(), format, 3, &refused.to_string())
}

/// The answer to a request that could not be kept: it is to be sent again.
pub fn failed(format: Format, why: impl fmt::Display) -> Answer {
    // 14 is a service that is not there now. Of all 5xx, exporters try only some again, and 503 is one.
    let mut answer = error(503, format, 14, &why.to_string());
    answer.headers.push(("retry-after", "5".to_owned()));
    answer
}

fn error(status: u16, format: Format, code: i32, message: &str) -> Answer {
    let body = match format {
        Format::Protobuf => Status { code, message: message.to_owned() }.encode_to_vec(),
        Format::Json => json!({ "code": code, "message": message }).to_string().into_bytes(),
    };
    with_body(status, format, body)
}

fn with_body(status: u16, format: Format, body: Vec<u8>) -> Answer {
    Answer { status, headers: vec![("content-type", format.content_type().to_owned())], body }
}
