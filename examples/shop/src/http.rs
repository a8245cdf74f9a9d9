//! HTTP/1.1 on a connection: as much as a shop needs (RFC 9112).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

const HEAD_LIMIT: u64 = 32 << 10;
const BODY_LIMIT: u64 = 64 << 20;

/// One connection of a client.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Request {
    /// `GET`, `POST`, ….
    pub(crate) method: String,
    /// Path without its query.
    pub(crate) path: String,
    /// Query without its question mark.
    pub(crate) query: String,
    headers: Vec<(String, String)>,
    body: BodyLength,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyLength {
    Bytes(u64),
    Chunked,
}

/// An answer whose body is known.
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    /// Media type of the body.
    pub(crate) kind: &'static str,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Where a redirection leads.
    pub(crate) location: Option<String>,
}

impl Response {
    /// An answer with a body of some media type.
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, kind, body: body.into(), location: None }
    }

    /// A JSON answer.
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// A plain text answer.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n"))
    }
}

impl Request {
    /// A header's value; names in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A value of the query, as it stands.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, v)| v)
    }

    /// Whether the client wants the connection to go on.
    pub(crate) fn keeps_alive(&self) -> bool {
        !self.header("connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
    }

    fn parse(head: &str) -> io::Result<Self> {
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad("request line"));
        };
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| bad("header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = body_length(&headers)?;
        Ok(Self { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), headers, body })
    }
}

fn body_length(headers: &[(String, String)]) -> io::Result<BodyLength> {
    let all = |wanted: &'static str| headers.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value);
    let chunked = all("transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked"));
    let mut lengths = all("content-length");
    match (chunked, lengths.next(), lengths.next()) {
        (true, None, _) => Ok(BodyLength::Chunked),
        (false, None, _) => Ok(BodyLength::Bytes(0)),
        (false, Some(length), None) => length.parse().map(BodyLength::Bytes).map_err(|_| bad("content-length")),
        _ => Err(bad("two body lengths")),
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("bad {what}"))
}

impl Connection {
    /// Takes over an accepted connection.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { writer: stream.try_clone()?, reader: BufReader::new(stream) })
    }

    /// The next request's head; `None` when the client has closed.
    pub(crate) fn next(&mut self) -> io::Result<Option<Request>> {
        let mut head = Vec::new();
        let mut limited = (&mut self.reader).take(HEAD_LIMIT);
        loop {
            let start = head.len();
            if limited.read_until(b'\n', &mut head)? == 0 {
                return if head.is_empty() { Ok(None) } else { Err(bad("head")) };
            }
            match &head[start..] {
                b"\r\n" if start == 0 => head.clear(),
                b"\r\n" => break,
                _ => {}
            }
        }
        Request::parse(std::str::from_utf8(&head).map_err(|_| bad("head"))?).map(Some)
    }

    /// Reads the request's body whole, handing each piece to `take`, and says how long it was.
    pub(crate) fn body(&mut self, request: &Request, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        match request.body {
            BodyLength::Bytes(length) => self.pieces(length, &mut take),
            BodyLength::Chunked => self.chunks(&mut take),
        }
    }

    fn pieces(&mut self, length: u64, take: &mut impl FnMut(&[u8])) -> io::Result<u64> {
        if length > BODY_LIMIT {
            return Err(bad("body: too long"));
        }
        let mut buffer = [0; 16 << 10];
        let mut limited = (&mut self.reader).take(length);
        let mut seen = 0;
        while seen < length {
            match limited.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    take(&buffer[..count]);
                    seen += count as u64;
                }
            }
        }
        Ok(seen)
    }

    fn chunks(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).map_err(|_| bad("chunk length"))?;
            if length == 0 {
                while !self.line()?.is_empty() {}
                return Ok(total);
            }
            total += length;
            if total > BODY_LIMIT {
                return Err(bad("body: too long"));
            }
            self.pieces(length, take)?;
            if !self.line()?.is_empty() {
                return Err(bad("chunk end"));
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.reader).take(1024).read_line(&mut line)?;
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| bad("line"))
    }

    /// Sends an answer whole.
    pub(crate) fn answer(&mut self, response: &Response, keep_alive: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
        head += &format!("content-type: {}\r\ncontent-length: {}\r\n", response.kind, response.body.len());
        if let Some(location) = &response.location {
            head += &format!("location: {location}\r\n");
        }
        if !keep_alive {
            head += "connection: close\r\n";
        }
        head += "\r\n";
        let mut whole = head.into_bytes();
        whole.extend_from_slice(&response.body);
        self.writer.write_all(&whole)
    }

    /// Sends bytes as they are: heads of streams, chunks, frames.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Sends one chunk of a chunked body; an empty one ends the body.
    pub(crate) fn send_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.writer.write_all(&chunk)
    }

    /// Reads bytes as they are.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }

    /// The stream beneath, for time-outs.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.writer
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        303 => "See Other",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart() {
        let head = "POST /api/orders?id=7&x= HTTP/1.1\r\nHost: shop\r\nContent-Length: 12\r\n\r\n";
        let request = Request::parse(head).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/orders"));
        assert_eq!(request.parameter("id"), Some("7"));
        assert_eq!(request.header("host"), Some("shop"));
        assert_eq!(request.body, BodyLength::Bytes(12));
        assert!(request.keeps_alive());
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for head in [
            "GET / HTTP/2\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(Request::parse(head).is_err(), "{head:?}");
        }
    }
}
