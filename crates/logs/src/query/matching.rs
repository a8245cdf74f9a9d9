//! Whether a line is searched for.

use regex::bytes::Regex;

use super::{Condition, Query, Source};
use crate::grams::Need;
use crate::parse::{self, Parsed};
use crate::{Field, Line, Stream};

impl Query {
    /// Whether it finds this line, wherever it is: what comes in while somebody watches is chosen by this.
    pub fn takes(&self, line: &Line) -> bool {
        (self.from..=self.to).contains(&line.at)
            && self.levels.has(line.level)
            && self.takes_stream(&line.stream)
            && self.takes_text(&line.text)
            && self.takes_fields(&line.text, &line.fields)
    }

    /// Whether it finds lines of this stream.
    pub(crate) fn takes_stream(&self, stream: &Stream) -> bool {
        self.labels.iter().all(|condition| condition.takes(stream.get(&condition.name)))
    }

    pub(crate) fn takes_text(&self, text: &[u8]) -> bool {
        self.texts.iter().all(|one| one.pattern.regex.is_match(text) == one.wanted)
    }

    pub(crate) fn takes_fields(&self, text: &[u8], beside: &[Field]) -> bool {
        if self.fields.is_empty() {
            return true;
        }
        if beside.is_empty() && self.fields.iter().any(|condition| condition.excludes(text)) {
            return false;
        }
        let parsed = parse::parse(text);
        self.fields.iter().all(|condition| condition.takes(value(condition, &parsed, beside)))
    }

    /// Whether a text decides, or a field, so that lines have to be read.
    pub(crate) fn reads_text(&self) -> bool {
        !(self.texts.is_empty() && self.fields.is_empty())
    }

    /// A text that each line has, and that may be looked for in many lines at once: it finds nothing that goes on in the next line
    /// without saying so.
    pub(crate) fn phrase(&self) -> Option<&Regex> {
        let phrases = self.texts.iter().filter(|one| one.wanted && matches!(one.pattern.source, Source::Phrase(_)));
        phrases.max_by_key(|one| one.pattern.regex.as_str().len()).map(|one| &one.pattern.regex)
    }

    /// What each line has in it, or beside it.
    pub(crate) fn need(&self) -> Need {
        let texts = self.texts.iter().filter(|one| one.wanted).map(|one| one.pattern.need());
        let fields = self.fields.iter().map(Condition::need);
        Need::All(texts.chain(fields).filter(|need| !need.is_nothing()).collect())
    }
}

/// The value of a field: what is beside the line comes before what is in it.
fn value<'a>(condition: &Condition, parsed: &'a Parsed<'_>, beside: &'a [Field]) -> &'a str {
    let name = condition.name.as_str();
    let exact = beside.iter().find(|field| field.name == name).map(|field| field.value.as_str());
    if let Some(exact) = exact.or_else(|| parsed.get(name)) {
        return exact;
    }
    if !parse::names_request(name) {
        return "";
    }
    let beside = beside.iter().map(|field| (field.name.as_str(), field.value.as_str()));
    parse::request_of(beside).or_else(|| parsed.request()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut line = Line::read(5, Stream::new([("service", "web")]), text);
        line.fields.push(Field { name: "user".into(), value: "7".into() });
        line
    }

    #[test]
    fn a_line_is_taken_by_what_it_says_and_what_is_beside_it() {
        let line = line(r#"{"level":"error","msg":"Lost it\n","user":8,"n":{"took":"12ms"},"reqId":"r\u00e9"}"#);
        for (query, expected) in [
            ("", true),
            ("LOST", true),
            ("lost-it", false),
            ("-lost", false),
            ("level>=warn service:web", true),
            ("level:info", false),
            ("service!=web", false),
            ("user=7", true),
            ("user=8", false),
            ("n.took>10ms", true),
            ("n.took>10", false),
            ("request_id=ré", true),
            ("trace-id=ré", true),
            ("reqId=~\"r.\"", true),
            ("other=\"\"", true),
            ("other!=\"\"", false),
            (r#"msg="Lost it\n""#, true),
            ("/^.*Lost/", true),
            ("-/^Lost/", true),
        ] {
            assert_eq!(Query::parse(query).unwrap().takes(&line), expected, "{query}");
        }
        let late = Query { from: 6, ..Query::default() };
        assert!(!late.takes(&line));
    }
}
