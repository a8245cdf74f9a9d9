//! `/ws`: an echo over WebSocket (RFC 6455).

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::http::{Connection, Request, Response};
use crate::server::Shop;
use crate::sha1::{base64, sha1};

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// "Service restart": the client should connect again.
const RESTART: u16 = 1012;
const LIMIT: usize = 1 << 20;

/// A frame of a client, unmasked.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    head: u8,
    payload: Vec<u8>,
}

/// Sends back each message until the client closes or the shop ends; then with close code 1012.
pub(crate) fn echo(shop: &Shop, connection: &mut Connection, request: &Request) -> io::Result<()> {
    let Some(key) = request.header("sec-websocket-key") else {
        return connection.answer(&Response::text(400, "this is a WebSocket"), false);
    };
    let accept = base64(&sha1(format!("{key}{GUID}").as_bytes()));
    let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n";
    connection.send(format!("{head}sec-websocket-accept: {accept}\r\n\r\n").as_bytes())?;
    connection.stream().set_read_timeout(Some(Duration::from_millis(100)))?;

    let mut unread = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        while let Some(frame) = take_frame(&mut unread)? {
            match frame.head & 0x0f {
                0x8 => return connection.send(&encode(0x88, &frame.payload)),
                0x9 => connection.send(&encode(0x8a, &frame.payload))?,
                0xa => {}
                _ => {
                    connection.send(&encode(frame.head, &frame.payload))?;
                    shop.served.count("websocket");
                }
            }
        }
        match connection.receive(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => unread.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shop.is_ending() {
                    return connection.send(&encode(0x88, &RESTART.to_be_bytes()));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes one whole frame off the front of `unread`, if one is there.
fn take_frame(unread: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let [head, second, ..] = unread[..] else { return Ok(None) };
    let short = usize::from(second & 0x7f);
    let (length, at) = match short {
        126 if unread.len() >= 4 => (usize::from(u16::from_be_bytes([unread[2], unread[3]])), 4),
        127 if unread.len() >= 10 => {
            let bytes = unread[2..10].try_into().expect("ten bytes are there");
            (usize::try_from(u64::from_be_bytes(bytes)).unwrap_or(usize::MAX), 10)
        }
        126 | 127 => return Ok(None),
        _ => (short, 2),
    };
    if second & 0x80 == 0 || length > LIMIT {
        return Err(io::Error::new(ErrorKind::InvalidData, "unmasked or too long a frame"));
    }
    if unread.len() < at + 4 + length {
        return Ok(None);
    }
    let frame: Vec<u8> = unread.drain(..at + 4 + length).collect();
    let mask = &frame[at..at + 4];
    let payload = frame[at + 4..].iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Ok(Some(Frame { head, payload }))
}

fn encode(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(payload: &[u8]) -> Vec<u8> {
        let mut frame = encode(0x81, payload);
        frame[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        let at = frame.len() - payload.len();
        frame.splice(at.., mask.into_iter().chain(payload.iter().zip(mask.iter().cycle()).map(|(b, k)| b ^ k)));
        frame
    }

    #[test]
    fn frames_come_in_pieces_and_of_every_length() {
        for length in [0, 1, 125, 126, 70_000] {
            let payload = vec![7; length];
            let whole = masked(&payload);
            let mut unread = whole[..whole.len() - 1].to_vec();
            assert_eq!(take_frame(&mut unread).unwrap(), None);
            unread.push(whole[whole.len() - 1]);
            assert_eq!(take_frame(&mut unread).unwrap(), Some(Frame { head: 0x81, payload }));
            assert!(unread.is_empty());
        }
    }

    #[test]
    fn an_unmasked_frame_is_refused() {
        assert!(take_frame(&mut encode(0x81, b"x")).is_err());
    }
}
