//! Frames of HTTP/2 that no decent client sends so many of.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::replica::Replica;
use common::{PATIENCE, TestEdge, endpoint, web};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET http://a/`, by the static table of HPACK.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

/// One frame (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends frames one after the other until the edge ends the connection. Returns the kinds of frames that it sent
/// before, with the reason of its GOAWAY.
async fn flood(edge: &TestEdge, frames: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, Option<u32>) {
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    let (mut from, mut to) = stream.split();
    let send = async {
        let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat();
        let _ = to.write_all(&begin).await;
        for frame in frames {
            if to.write_all(&frame).await.is_err() {
                break;
            }
        }
    };
    let mut bytes = Vec::new();
    let read = async {
        // A reset is an end too.
        let _ = from.read_to_end(&mut bytes).await;
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(send, read) }).await.expect("the connection is ended");
    let (mut kinds, mut reason) = (Vec::new(), None);
    let mut rest = &bytes[..];
    while let Some((head, more)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, more)) = more.split_at_checked(length) else { break };
        kinds.push(head[3]);
        if head[3] == GOAWAY {
            reason = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        rest = more;
    }
    (kinds, reason)
}

async fn edge_with(replica: &Replica) -> TestEdge {
    let edge = TestEdge::start().await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    edge
}

/// What RFC 9113 calls `ENHANCE_YOUR_CALM`.
const TOO_MUCH: u32 = 11;

#[tokio::test(flavor = "multi_thread")]
async fn r09_streams_that_are_reset_at_once_end_their_connection() {
    let replica = Replica::start("web.1").await;
    let edge = edge_with(&replica).await;
    let streams = (0..50_000_u32).map(|number| 2 * number + 1);
    let resets = streams.map(|stream| {
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, GET), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())]
            .concat()
    });
    let (kinds, reason) = flood(&edge, resets).await;
    assert!(reason.is_none_or(|reason| reason == TOO_MUCH), "{kinds:?} {reason:?}");
    assert!(replica.requests() < 5_000, "{} were forwarded", replica.requests());
    assert_eq!(edge.get("/").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_head_without_end_ends_its_connection() {
    let replica = Replica::start("web.1").await;
    let edge = edge_with(&replica).await;
    // A literal that is not indexed, over and over.
    let lines = b"\x00\x01x\x01y".repeat(2_000);
    let begin = frame(HEADERS, END_STREAM, 1, GET);
    let frames = std::iter::once(begin).chain(std::iter::repeat_with(|| frame(CONTINUATION, 0, 1, &lines)));
    let (kinds, _) = flood(&edge, frames.take(100_000)).await;
    assert!(!kinds.contains(&HEADERS), "it was not answered: {kinds:?}");
    assert_eq!(replica.requests(), 0);
    assert_eq!(edge.get("/").await.status(), 200);
}

/// Each is to be answered; who does not read the answers is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn r09_pings_whose_answers_are_not_read_fill_no_memory() {
    let replica = Replica::start("web.1").await;
    let edge = edge_with(&replica).await;
    let memory = || {
        let pid = std::fs::read_to_string(format!("/proc/{}/statm", edge.pid())).unwrap();
        pid.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
    };
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat();
    stream.write_all(&begin).await.unwrap();
    let (before, pings) = (memory(), frame(PING, 0, 0, &[7; 8]).repeat(1_000));
    for _ in 0..5_000 {
        let sent = tokio::time::timeout(std::time::Duration::from_millis(300), stream.write_all(&pings)).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
    assert_eq!(edge.get("/").await.status(), 200);
}
