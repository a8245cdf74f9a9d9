//! The generic webhook.
//!
//! The body is `{"version": 1, "delivery": "…", "notice": {…}}`. `delivery` is the same whenever the same notice is sent
//! again: who receives it does nothing for one that it knows. The signature is as [`crate::signature`] says.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Request, Stamp};
use crate::{Notice, Secret, signature};

/// The version of the body that is written.
pub(crate) const VERSION: u32 = 1;

/// The body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) version: u32,
    pub(crate) delivery: String,
    pub(crate) notice: Notice,
}

pub(super) fn render(notice: &Notice, url: &Secret, key: &Secret, stamp: Stamp<'_>) -> Request {
    let envelope = Envelope { version: VERSION, delivery: stamp.delivery.to_owned(), notice: notice.clone() };
    let mut request = Request::new(url.expose(), &json!(envelope));
    let signature = signature::sign(key, stamp.at, &request.body);
    request.headers.push((signature::HEADER, Secret::new(signature)));
    request
}
