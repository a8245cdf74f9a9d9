//! Event streams (WHATWG HTML, section 9.2): one JSON object for each event.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::transport::{lost, read_json};
use super::{Client, Error, Result};

impl Client {
    /// Asks for an event stream. An event named `error` ends it with [`Error::Refused`]; the end of
    /// the connection ends it; a break in the middle is [`Error::Lost`].
    pub(super) async fn stream<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<T>> + use<T>> {
        let response = self.call(self.prepare(Method::GET, path, Bytes::new())?, path).await?;
        let source = Source {
            body: response.into_body(),
            path: path.to_owned(),
            parser: Parser::default(),
            ready: VecDeque::new(),
        };
        let events = stream::unfold(Some(source), |source| async move {
            let mut source = source?;
            let event = source.next().await?.and_then(|message| message.read());
            let rest = event.is_ok().then_some(source);
            Some((event, rest))
        });
        // Whoever follows a server that was killed asks once more after the end.
        Ok(events.fuse())
    }
}

struct Source {
    body: Incoming,
    path: String,
    parser: Parser,
    ready: VecDeque<Message>,
}

impl Source {
    async fn next(&mut self) -> Option<Result<Message>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(Ok(message));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.ready.extend(self.parser.feed(bytes));
                    }
                }
                Err(error) => return Some(Err(lost(&self.path, error))),
            }
        }
    }
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    name: String,
    data: String,
}

impl Message {
    fn read<T: DeserializeOwned>(&self) -> Result<T> {
        if self.name == "error" {
            return Err(Error::Refused(Box::new(read_json(self.data.as_bytes())?)));
        }
        read_json(self.data.as_bytes())
    }
}

/// Cuts bytes into events. Lines may end with CR LF, LF or CR.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    message: Message,
    has_data: bool,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut out = Vec::new();
        for &byte in bytes {
            let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if was_cr => {}
                b'\n' | b'\r' => out.extend(self.end_of_line()),
                other => self.line.push(other),
            }
        }
        out
    }

    fn end_of_line(&mut self) -> Option<Message> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&str]) -> Vec<String> {
        let mut parser = Parser::default();
        pieces
            .iter()
            .flat_map(|piece| parser.feed(piece.as_bytes()))
            .map(|m| format!("{}|{}", m.name, m.data))
            .collect()
    }

    #[test]
    fn events_are_cut_whatever_the_pieces_and_line_ends() {
        assert_eq!(parse(&["id: 1\ndata: {\"a\"", ":1}\n", "\ndata: 2\n\n"]), ["|{\"a\":1}", "|2"]);
        assert_eq!(parse(&["data: a\r", "\ndata: b\r\n\r\n"]), ["|a\nb"]);
        assert_eq!(parse(&["event: error\rdata: x\r\r"]), ["error|x"]);
    }

    #[test]
    fn comments_and_events_without_data_are_nothing() {
        assert!(parse(&[": keep-alive\n\n", "id: 4\n\n", "data: unfinished\n"]).is_empty());
    }
}
