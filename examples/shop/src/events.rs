//! `/api/events`: a stream of the shop's counters (the format of server-sent events, WHATWG HTML).

use std::io;
use std::time::Duration;

use serde_json::json;

use crate::http::{Connection, Request};
use crate::server::Shop;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
transfer-encoding: chunked\r\n\r\n";

/// Sends counters twice a second until the client goes or the shop ends; then the body ends as it
/// should, and the client comes back elsewhere.
pub(crate) fn stream(shop: &Shop, connection: &mut Connection, request: &Request) -> io::Result<()> {
    connection.send(HEAD)?;
    shop.served.count("stream");
    let id = request.parameter("id").unwrap_or("-");
    let settings = &shop.settings;
    for number in 0_u64.. {
        let (waiting, packed) = shop.orders.count()?;
        let counters = json!({
            "id": id, "number": number, "orders": waiting + packed, "packed": packed,
            "version": settings.version, "replica": settings.replica, "release": settings.release,
        });
        connection.send_chunk(format!("id: {number}\ndata: {counters}\n\n").as_bytes())?;
        if shop.wait(Duration::from_millis(500)) {
            break;
        }
    }
    connection.send_chunk(b"")
}
