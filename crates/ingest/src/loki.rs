//! Lines as Loki takes them: `POST /loki/api/v1/push` with JSON.
//!
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs>

use serde::Serialize;

/// The headers of a request beside the body's length.
pub const HEADERS: [(&str, &str); 1] = [("content-type", "application/json")];

/// What a line takes in a request beside its text: its time and its quotes.
const BESIDE: usize = 32;

/// A line, and the labels of its stream, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// The labels, by name, none of them empty.
    pub labels: Vec<(String, String)>,
    /// When, in nanoseconds since 1970.
    pub at: i128,
    /// What was printed, as it is.
    pub text: String,
}

/// A request that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its body.
    pub body: Vec<u8>,
    /// How many lines are in it.
    pub lines: usize,
}

#[derive(Serialize)]
struct Push<'a> {
    streams: Vec<Stream<'a>>,
}

#[derive(Serialize)]
struct Stream<'a> {
    #[serde(serialize_with = "as_object")]
    stream: &'a [(String, String)],
    values: Vec<(String, &'a str)>,
}

fn as_object<S: serde::Serializer>(labels: &&[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name, value)))
}

/// Requests with at most so many bytes of lines each, and at least one line, which hold all of them. The lines of a stream stay in
/// their order, within a request and from one to the next.
pub fn requests(lines: &[Line], most: usize) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|line| {
            bytes += line.text.len() + BESIDE;
            bytes <= most
        });
        let (some, others) = rest.split_at(fitting.count().max(1));
        requests.push(request(some));
        rest = others;
    }
    requests
}

fn request(lines: &[Line]) -> Request {
    let mut streams: Vec<Stream<'_>> = Vec::new();
    for line in lines {
        let value = (line.at.to_string(), line.text.as_str());
        match streams.iter_mut().find(|known| *known.stream == *line.labels) {
            Some(known) => known.values.push(value),
            None => streams.push(Stream { stream: &line.labels, values: vec![value] }),
        }
    }
    // Texts and numbers can always be written.
    Request { body: serde_json::to_vec(&Push { streams }).unwrap_or_default(), lines: lines.len() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn line(service: &str, at: i128, text: &str) -> Line {
        let labels = vec![("app".to_owned(), "shop".to_owned()), ("service".to_owned(), service.to_owned())];
        Line { labels, at, text: text.to_owned() }
    }

    #[test]
    fn a_request_has_the_shape_that_loki_documents() {
        let lines =
            [line("web", 1_700_000_000_000_000_001, "a \"b\""), line("db", 2, "ready"), line("web", 3, "{\"a\":1}")];
        let requests = requests(&lines, 1_000);
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].lines, 3);
        assert_eq!(
            String::from_utf8(requests[0].body.clone()).unwrap(),
            r#"{"streams":[{"stream":{"app":"shop","service":"web"},"values":[["1700000000000000001","a \"b\""],["3","{\"a\":1}"]]},{"stream":{"app":"shop","service":"db"},"values":[["2","ready"]]}]}"#
        );
    }

    proptest! {
        #[test]
        fn every_line_is_sent_once_and_in_the_order_of_its_stream(
            sent in prop::collection::vec(("[ab]", ".{0,40}"), 0..60),
            most in 0_usize..500,
        ) {
            let lines: Vec<Line> = sent.iter().zip(0..).map(|((service, text), at)| line(service, at, text)).collect();
            let requests = requests(&lines, most);
            prop_assert_eq!(requests.iter().map(|request| request.lines).sum::<usize>(), lines.len());
            let mut seen: Vec<Line> = Vec::new();
            for request in requests {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                for stream in body["streams"].as_array().unwrap() {
                    for value in stream["values"].as_array().unwrap() {
                        let text = value[1].as_str().unwrap();
                        let at = value[0].as_str().unwrap().parse().unwrap();
                        seen.push(line(stream["stream"]["service"].as_str().unwrap(), at, text));
                    }
                }
            }
            for service in ["a", "b"] {
                let of = |all: &[Line]| -> Vec<Line> {
                    all.iter().filter(|one| one.labels[1].1 == service).cloned().collect()
                };
                prop_assert_eq!(of(&seen), of(&lines));
            }
        }
    }
}
