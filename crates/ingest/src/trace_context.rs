//! W3C's trace context: which request is followed, and under which name.
//!
//! <https://www.w3.org/TR/trace-context/>. Whether a trace is sampled follows from the last 56 bits of its id, as OpenTelemetry has
//! it, so that all who see it decide alike.

use std::fmt;
use std::str::FromStr;

/// A trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// A step of a trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

/// What is no id: it has another length, or only zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no id of a trace or a span")]
pub struct NoId;

macro_rules! id {
    ($name:ident, $length:literal) => {
        impl $name {
            /// Of bytes that are not all zero.
            pub fn new(bytes: [u8; $length]) -> Result<Self, NoId> {
                if bytes == [0; $length] { Err(NoId) } else { Ok(Self(bytes)) }
            }

            /// Of as many bytes as it has.
            pub fn of(bytes: &[u8]) -> Result<Self, NoId> {
                bytes.try_into().map_err(|_| NoId).and_then(Self::new)
            }

            /// Its bytes.
            pub fn bytes(self) -> [u8; $length] {
                self.0
            }
        }

        /// Of hexadecimal digits in lower case.
        impl FromStr for $name {
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, NoId> {
                let mut bytes = [0; $length];
                hexadecimal(text, &mut bytes).ok_or(NoId)?;
                Self::new(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(TraceId, 16);
id!(SpanId, 8);

fn hexadecimal(text: &str, bytes: &mut [u8]) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != bytes.len() * 2 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(())
}

/// The trace is kept by who sent it.
const SAMPLED: u8 = 1;
/// The last 56 bits of the trace's id are random.
const RANDOM: u8 = 2;

/// Where a request stands in a trace: what the header `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The step that sends the request.
    pub span: SpanId,
    flags: u8,
}

impl Context {
    /// A new trace, whose id is random.
    pub fn begin(trace: TraceId, span: SpanId, sampled: bool) -> Self {
        Self { trace, span, flags: RANDOM | u8::from(sampled) }
    }

    /// What a header says. A version that is not known yet is read as far as it is known. None where it is broken: a new trace
    /// begins.
    pub fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let (known, rest) = header.split_at_checked(55)?;
        let mut parts = known.split('-');
        let mut version = [0];
        hexadecimal(parts.next()?, &mut version)?;
        let (trace, span) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let mut flags = [0];
        hexadecimal(parts.next()?, &mut flags)?;
        let more = match version[0] {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        // Other flags are of versions that are not known.
        more.then_some(Self { trace, span, flags: flags[0] & (SAMPLED | RANDOM) })
    }

    /// Whether who sent it keeps the trace.
    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// A step within this one, which sends on.
    pub fn child(&self, span: SpanId, sampled: bool) -> Self {
        Self { span, flags: self.flags & RANDOM | u8::from(sampled), ..*self }
    }
}

/// The value of the header `traceparent`.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// What systems on the way remember with a trace: what the header `tracestate` says. The one that wrote last is the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State(Vec<(String, String)>);

/// Systems that are remembered at most.
const MEMBERS: usize = 32;
/// The bytes that have to be sent on at least, and are at most.
const STATE_BYTES: usize = 512;

impl State {
    /// What headers say; several are one. Where any of it is broken, nothing is known.
    pub fn parse<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all: Vec<(String, String)> = Vec::new();
        for member in
            headers.into_iter().flat_map(|header| header.split(',')).map(|member| member.trim_matches([' ', '\t']))
        {
            if member.is_empty() {
                continue;
            }
            match member.split_once('=') {
                Some((key, value)) if is_key(key) && is_value(value) && all.iter().all(|(other, _)| other != key) => {
                    all.push((key.to_owned(), value.to_owned()));
                }
                _ => return Self::default(),
            }
        }
        if all.len() > MEMBERS { Self::default() } else { Self(all) }
    }

    /// What a system remembers.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    /// The same after a system wrote. What is no key or no value changes nothing.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if is_key(key) && is_value(value) {
            self.0.retain(|(other, _)| other != key);
            self.0.insert(0, (key.to_owned(), value.to_owned()));
            self.0.truncate(MEMBERS);
        }
        self
    }

    /// Whether nothing is remembered: the header is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The value of the header `tracestate`: those that wrote last, as far as there is room.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = STATE_BYTES;
        for (at, (key, value)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let Some(left) = room.checked_sub(comma.len() + key.len() + 1 + value.len()) else { break };
            room = left;
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

fn is_key(key: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-*/@".contains(c);
    let first = key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    first && key.len() <= 256 && key.chars().all(fits) && key.matches('@').count() <= 1
}

fn is_value(value: &str) -> bool {
    let fits = |c: char| (' '..='~').contains(&c) && c != ',' && c != '=';
    !value.is_empty() && value.len() <= 256 && !value.ends_with(' ') && value.chars().all(fits)
}

/// Which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// The share of traces that begin here and are kept, from 0 to 1.
    pub ratio: f64,
}

impl Sampler {
    /// Whether a trace is kept: as who sent it says, and if it begins here, by its id.
    pub fn keeps(&self, parent: Option<&Context>, trace: TraceId) -> bool {
        parent.map_or_else(|| self.keeps_new(trace), Context::sampled)
    }

    fn keeps_new(&self, trace: TraceId) -> bool {
        const ALL: f64 = (1_u64 << 56) as f64;
        let ratio = if self.ratio.is_nan() { 0.0 } else { self.ratio.clamp(0.0, 1.0) };
        let [.., a, b, c, d, e, f, g] = trace.bytes();
        let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        random as f64 >= ALL * (1.0 - ratio)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_as_the_standard_says() {
        let context = Context::parse(HEADER).unwrap();
        assert!(context.sampled() && context.to_string() == HEADER);
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-what-comes";
        assert_eq!(Context::parse(later).map(|later| later.to_string()).as_deref(), Some(HEADER));
        for broken in [
            "",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        ] {
            assert_eq!(Context::parse(broken), None, "{broken}");
        }
        let child = context.child("b7ad6b7169203331".parse().unwrap(), false);
        assert_eq!(child.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-b7ad6b7169203331-00");
    }

    #[test]
    fn state_is_sent_on_with_the_last_writer_first() {
        let state = State::parse(["rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", "", "t@v=x y"]);
        assert_eq!(state.to_string(), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,t@v=x y");
        assert_eq!(state.with("congo", "new").to_string(), "congo=new,rojo=00f067aa0ba902b7,t@v=x y");
        for broken in ["a=1,a=2", "A=1", "a", "a=", "a=b=c", "=1"] {
            assert!(State::parse([broken]).is_empty(), "{broken}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        assert!(State::parse([many.join(",").as_str()]).is_empty());
        let long = (0..9).fold(State::default(), |state, n| state.with(&format!("k{n}"), &"v".repeat(200)));
        assert_eq!(long.to_string().len(), 2 * 203 + 1);
    }

    #[test]
    fn about_as_many_traces_are_kept_as_asked_for() {
        let trace = |n: u64| {
            let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            TraceId::of(&[n.to_be_bytes(), (mixed ^ mixed >> 29).to_be_bytes()].concat()).unwrap()
        };
        let kept = |ratio: f64| (0..10_000).filter(|n| Sampler { ratio }.keeps(None, trace(*n))).count();
        assert_eq!((kept(0.0), kept(1.0), kept(f64::NAN)), (0, 10_000, 0));
        assert!((900..1_100).contains(&kept(0.1)), "{}", kept(0.1));
        let parent = Context::parse(HEADER).unwrap();
        assert!(Sampler { ratio: 0.0 }.keeps(Some(&parent), parent.trace));
        assert!(!Sampler { ratio: 1.0 }.keeps(Some(&parent.child(parent.span, false)), parent.trace));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_none(text in "\\PC{0,80}", hex in "[0-9a-f-]{50,70}") {
            for text in [text, hex] {
                if let Some(context) = Context::parse(&text) {
                    prop_assert_eq!(Context::parse(&context.to_string()), Some(context));
                }
                let state = State::parse([text.as_str()]);
                prop_assert_eq!(State::parse([state.to_string().as_str()]), state);
            }
        }
    }
}
