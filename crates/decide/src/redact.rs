//! Values of secrets in text that somebody else wrote: what replicas print.
//!
//! A value is found as it stands, and as programs commonly write it: escaped for JSON, percent-encoded for a URL, and
//! in Base64, alone or in the middle of something longer. What else may be done to it nobody can find: half of it, or a
//! digest.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in the place of a value.
pub const MARK: &str = "[secret]";

/// Shorter values are not looked for, bytes: they would be found in ordinary words.
pub const SHORTEST: usize = 6;

/// Finds the values of some secrets, all at once.
#[derive(Debug, Default)]
pub struct Redactor {
    /// `None`: there is nothing to find.
    finder: Option<AhoCorasick>,
}

impl Redactor {
    /// Looks for these values from now on.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let forms: BTreeSet<Vec<u8>> = values.into_iter().flat_map(forms).collect();
        if forms.is_empty() {
            return Self::default();
        }
        // The longest first: what a value begins with may be a value too.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms);
        Self { finder: Some(finder.expect("there are fewer values than an automaton has room for")) }
    }

    /// `text` with [`MARK`] in the place of each value.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(finder) = self.finder.as_ref().filter(|finder| finder.is_match(text)) else { return text.into() };
        let (mut out, mut done) = (String::with_capacity(text.len()), 0);
        for found in finder.find_iter(text) {
            // A value of bytes may begin or end in the middle of a character.
            let start = floor(text, found.start()).max(done);
            out.push_str(&text[done..start]);
            if !out.ends_with(MARK) || start > done {
                out.push_str(MARK);
            }
            done = ceil(text, found.end());
        }
        out.push_str(&text[done..]);
        out.into()
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

/// Every way in which a value may stand in a line.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    // A log is read by lines; what is encoded is encoded whole. How a part of PEM begins and ends is no secret.
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !(line.starts_with(b"-----") && line.ends_with(b"-----")));
    let password = std::str::from_utf8(value).ok().and_then(password);
    for part in lines.chain(password.map(str::as_bytes)).filter(|part| part.len() >= SHORTEST) {
        forms.push(part.to_vec());
        forms.extend(percent_encoded(part));
        forms.extend(escaped(part));
        forms.extend(in_base64(part));
    }
    if value.contains(&b'\n') {
        forms.extend(percent_encoded(value).into_iter().chain(escaped(value)).chain(in_base64(value)));
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// The password in a URL: programs print the one without the other.
fn password(value: &str) -> Option<&str> {
    let authority = value.split_once("://")?.1.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
}

/// As `encodeURIComponent` writes it, as stricter programs do, and as forms do; in capitals and in small letters.
fn percent_encoded(value: &[u8]) -> Vec<Vec<u8>> {
    let write = |kept: &[u8], space: &str, capitals: bool| {
        let mut out = String::new();
        for byte in value {
            match *byte {
                byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => out.push(char::from(byte)),
                b' ' => out.push_str(space),
                // Writing to a text cannot fail.
                byte if capitals => drop(write!(out, "%{byte:02X}")),
                byte => drop(write!(out, "%{byte:02x}")),
            }
        }
        out.into_bytes()
    };
    let ways: [(&[u8], &str); 4] = [(b"-_.~", "%20"), (b"-_.!~*'()", "%20"), (b"-_.*", "+"), (b"-_.~", "+")];
    ways.into_iter().flat_map(|(kept, space)| [write(kept, space, true), write(kept, space, false)]).collect()
}

/// As it stands in a text of JSON.
fn escaped(value: &[u8]) -> Option<Vec<u8>> {
    let text = serde_json::to_string(std::str::from_utf8(value).ok()?).ok()?;
    Some(text.as_bytes().get(1..text.len() - 1)?.to_vec())
}

/// In Base64, whatever stands before and behind it in the same three bytes: what those decide is left out.
fn in_base64(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let padded = [&[0; 2][..before], value].concat();
        let (start, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.extend(encoded.as_bytes().get(start..end).map(<[u8]>::to_vec));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    /// A value with everything in it that encodings change.
    const VALUE: &str = "s3cr&t \"p/w\"+ü?=~";

    fn redacted(text: &str) -> String {
        Redactor::new([VALUE.as_bytes()]).redact(text).into_owned()
    }

    #[test]
    fn r31_a_value_is_found_as_it_stands_and_as_programs_write_it() {
        assert_eq!(redacted(&format!("a {VALUE} b {VALUE}")), "a [secret] b [secret]");
        let json = serde_json::to_string(&serde_json::json!({"password": VALUE})).unwrap();
        assert_eq!(redacted(&json), r#"{"password":"[secret]"}"#);
        for url in [
            "s3cr%26t%20%22p%2Fw%22%2B%C3%BC%3F%3D~",
            "s3cr%26t%20%22p%2fw%22%2b%c3%bc%3f%3d~",
            "s3cr%26t+%22p%2Fw%22%2B%C3%BC%3F%3D%7E",
        ] {
            assert_eq!(redacted(&format!("/?q={url}&x")), "/?q=[secret]&x", "{url}");
        }
    }

    #[test]
    fn r31_a_value_is_found_in_base64_wherever_it_stands() {
        for before in ["", "u:", "user:", "admin:", "x"] {
            for behind in ["", "\n", "!!"] {
                let whole = format!("{before}{VALUE}{behind}");
                for encoded in [STANDARD.encode(&whole), URL_SAFE.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                    let shown = redacted(&format!("Basic {encoded}"));
                    assert!(shown.contains(MARK), "{whole:?}: {shown}");
                    // What is left decodes to nothing of the value but its ends.
                    assert!(
                        shown.len() < "Basic ".len() + MARK.len() + 8 + 4 * (before.len() + behind.len()),
                        "{shown}"
                    );
                }
            }
        }
    }

    #[test]
    fn r31_each_line_of_a_value_and_the_password_of_a_url_are_values_too() {
        let redactor = Redactor::new([&b"-----BEGIN-----\nMIIEvQIBADAN\nend"[..], b"postgres://app:hunter22@db/app"]);
        assert_eq!(redactor.redact("key MIIEvQIBADAN, end"), "key [secret], end");
        assert_eq!(redactor.redact("-----BEGIN-----"), "-----BEGIN-----", "it is no secret how each begins");
        assert_eq!(redactor.redact("login app hunter22"), "login app [secret]");
        assert_eq!(redactor.redact("dsn=postgres://app:hunter22@db/app?x"), "dsn=[secret]?x");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        assert!(matches!(redactor_of_nothing().redact("hello"), Cow::Borrowed("hello")));
        assert_eq!(Redactor::new([&b"yes"[..], b"12345", b""]).redact("yes, 12345"), "yes, 12345");
        assert_eq!(redacted("nothing of it"), "nothing of it");
        // A value of bytes ends in the middle of a character.
        assert_eq!(Redactor::new([&"abcdefü".as_bytes()[..7]]).redact("xabcdefüy"), "x[secret]y");
    }

    fn redactor_of_nothing() -> Redactor {
        Redactor::new([])
    }
}
