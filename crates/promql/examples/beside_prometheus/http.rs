//! The least of HTTP: a connection for each request, on loopback, with a peer that is trusted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use crate::Result;

/// Names and values.
pub(crate) type Headers<'a> = &'a [(&'a str, &'a str)];

/// A request that has come.
pub(crate) struct Request {
    /// What it is for, without parameters.
    pub(crate) path: String,
    /// Its parameters.
    pub(crate) parameters: Vec<(String, String)>,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A parameter; empty if there is none.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }
}

/// Reads a request.
pub(crate) fn read(stream: &TcpStream) -> Result<Request> {
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).ok_or("a request has no target")?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, parameters) = target.split_once('?').unwrap_or((&target, ""));
    let mut decoded = Vec::new();
    for (name, value) in parameters.split('&').filter_map(|pair| pair.split_once('=')) {
        decoded.push((name.to_owned(), decode(value)?));
    }
    Ok(Request { path: path.to_owned(), parameters: decoded, body })
}

/// Answers it.
pub(crate) fn answer(mut stream: &TcpStream, status: u16, body: &[u8]) -> Result<()> {
    let head = format!("HTTP/1.0 {status} Told\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    Ok(stream.write_all(body)?)
}

/// Asks for a target, or sends headers and a body to it; what was answered.
pub(crate) fn send(port: u16, target: &str, post: Option<(Headers<'_>, &[u8])>) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let (headers, body) = post.unwrap_or_default();
    let method = if post.is_some() { "POST" } else { "GET" };
    let mut request = format!("{method} {target} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut request = request.into_bytes();
    request.extend(b"\r\n");
    request.extend(body);
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("an answer has no end of its headers")?;
    let rest = answer.split_off(head + 4);
    let is_good = answer.split(|byte| *byte == b' ').nth(1).is_some_and(|status| status.starts_with(b"2"));
    if is_good { Ok(rest) } else { Err(format!("{target}: {}", String::from_utf8_lossy(&rest)).into()) }
}

/// A text as the value of a parameter.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.map(char::from).and_then(|c| c.to_digit(16)));
                let [Some(high), Some(low)] = digits else { return Err("a parameter is not encoded".into()) };
                (high * 16 + low) as u8
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    Ok(String::from_utf8(bytes)?)
}
