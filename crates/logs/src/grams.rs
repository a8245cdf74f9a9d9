//! What cannot be in a chunk.
//!
//! A chunk has a set of bits: each five bytes that stand together in one of its lines set one of them, with letters of ASCII in
//! lower case. What is searched for consists of fives as well, and if the bit of one of them is not set, the chunk does not have
//! it. One bit says little, as up to 60 % of them are set; but a request id of 16 letters has twelve fives. So the bits are
//! few (about one for each five that is in no other line), and pieces of words are found like whole ones.

use std::ops::ControlFlow;

use regex_syntax::hir::{Class, Hir, HirKind};

/// So many bytes make a gram.
const GRAM: usize = 5;
const MASK: u64 = (1 << (8 * GRAM)) - 1;
/// Before they are folded there are so many bits; a chunk has not many more fives.
const MOST_BITS: usize = 1 << 19;
/// What repeats is looked at so many times.
const REPEATED: u32 = 16;

/// Tells a number of each gram of a text.
fn each(text: &[u8], mut take: impl FnMut(u32)) {
    let mut gram = 0u64;
    for (at, byte) in text.iter().enumerate() {
        gram = (gram << 8 | u64::from(byte.to_ascii_lowercase())) & MASK;
        if at + 1 >= GRAM {
            take((gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32);
        }
    }
}

/// What collects the grams of a chunk.
pub(crate) struct Collected(Vec<u64>);

impl Collected {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self(vec![0; MOST_BITS / 64])
    }

    /// The grams of one line.
    pub(crate) fn add(&mut self, text: &[u8]) {
        each(text, |gram| {
            let bit = gram as usize % MOST_BITS;
            self.0[bit / 64] |= 1 << (bit % 64);
        });
    }

    /// The bits, as few as are of use. It begins anew.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut words = self.0.clone();
        self.0.fill(0);
        while words.len() > 1 {
            let (low, high) = words.split_at(words.len() / 2);
            let ones: u32 = low.iter().zip(high).map(|(a, b)| (a | b).count_ones()).sum();
            if ones as usize * 5 > low.len() * 64 * 3 {
                break;
            }
            words = low.iter().zip(high).map(|(a, b)| a | b).collect();
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Whether this may be the bits of a chunk.
pub(crate) fn is_valid(bits: &[u8]) -> bool {
    bits.len() >= 8 && bits.len().is_power_of_two() && bits.len() <= MOST_BITS / 8
}

/// What a line has to have in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Each of these grams.
    Grams(Vec<u32>),
    /// Each of these.
    All(Vec<Need>),
    /// One of these.
    Any(Vec<Need>),
}

impl Need {
    /// Anything will do.
    pub(crate) const NOTHING: Self = Self::All(Vec::new());

    /// This text, in upper or lower case.
    pub(crate) fn text(text: &[u8]) -> Self {
        let mut grams = Vec::new();
        each(text, |gram| grams.push(gram));
        if grams.is_empty() { Self::NOTHING } else { Self::Grams(grams) }
    }

    /// What each text has in it that a pattern finds.
    pub(crate) fn pattern(pattern: &str) -> Self {
        let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
        parser.parse(pattern).map_or(Self::NOTHING, |hir| of(&hir))
    }

    /// Whether anything will do.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }

    /// Whether a chunk with these bits may have it.
    pub(crate) fn may_be_in(&self, bits: &[u8]) -> bool {
        let mask = bits.len() * 8 - 1;
        let set = |gram: &u32| {
            let bit = *gram as usize & mask;
            bits[bit / 8] & 1 << (bit % 8) != 0
        };
        match self {
            Self::Grams(grams) => grams.iter().all(set),
            Self::All(needs) => needs.iter().all(|need| need.may_be_in(bits)),
            Self::Any(needs) => needs.iter().any(|need| need.may_be_in(bits)),
        }
    }
}

fn of(hir: &Hir) -> Need {
    let mut found = Found::default();
    _ = found.visit(hir);
    found.end();
    if found.needs.len() == 1 { found.needs.remove(0) } else { Need::All(found.needs) }
}

/// Bytes that stand together, and what was found before them.
#[derive(Default)]
struct Found {
    run: Vec<u8>,
    needs: Vec<Need>,
}

impl Found {
    fn end(&mut self) {
        let need = Need::text(&self.run);
        if !need.is_nothing() {
            self.needs.push(need);
        }
        self.run.clear();
    }

    /// Breaks off where what follows does not stand directly after what was before.
    fn visit(&mut self, hir: &Hir) -> ControlFlow<()> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.run.extend_from_slice(&literal.0),
            HirKind::Class(class) => match letter(class) {
                Some(letter) => self.run.push(letter),
                None => self.end(),
            },
            HirKind::Capture(capture) => return self.visit(&capture.sub),
            HirKind::Concat(all) => {
                for one in all {
                    if self.visit(one).is_break() {
                        self.end();
                    }
                }
            }
            HirKind::Repetition(repeated) => {
                for _ in 0..repeated.min.min(REPEATED) {
                    if self.visit(&repeated.sub).is_break() {
                        self.end();
                    }
                }
                if repeated.max != Some(repeated.min) || repeated.min > REPEATED {
                    self.end();
                    return ControlFlow::Break(());
                }
            }
            HirKind::Alternation(all) => {
                self.end();
                let needs: Vec<Need> = all.iter().map(of).collect();
                if !needs.iter().any(Need::is_nothing) {
                    self.needs.push(Need::Any(needs));
                }
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

/// The letter, where a class is a letter in upper and lower case.
fn letter(class: &Class) -> Option<u8> {
    let bytes: Vec<u8> = match class {
        Class::Unicode(class) => {
            let single = class.ranges().iter().filter(|range| range.start() == range.end());
            single.map(|range| u8::try_from(range.start()).unwrap_or(0x80)).collect()
        }
        Class::Bytes(class) => {
            let single = class.ranges().iter().filter(|range| range.start() == range.end());
            single.map(regex_syntax::hir::ClassBytesRange::start).collect()
        }
    };
    let ranges = match class {
        Class::Unicode(class) => class.ranges().len(),
        Class::Bytes(class) => class.ranges().len(),
    };
    match bytes[..] {
        [upper, lower] if ranges == 2 && upper.is_ascii_uppercase() && upper.to_ascii_lowercase() == lower => {
            Some(lower)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    fn bits(lines: &[&str]) -> Vec<u8> {
        let mut collected = Collected::new();
        lines.iter().for_each(|line| collected.add(line.as_bytes()));
        collected.take()
    }

    fn texts(all: &[&str]) -> Need {
        let needs: Vec<Need> = all.iter().map(|text| Need::text(text.as_bytes())).collect();
        if needs.len() == 1 { needs[0].clone() } else { Need::All(needs) }
    }

    #[test]
    fn patterns_need_what_is_in_all_that_they_find() {
        for (pattern, expected) in [
            ("refused", texts(&["refused"])),
            ("(?i)abort(ed)", texts(&["aborted"])),
            ("^connect (?:to )db-[0-9]+ refused$", texts(&["connect to db-", " refused"])),
            ("hello+ world", texts(&["hello", " world"])),
            ("hello.*world?", texts(&["hello"])),
            ("(?:ab){3}", texts(&["ababab"])),
            ("(?:tim[eé]out|abcdefg)!", Need::NOTHING),
            ("timeout|refused by", Need::Any(vec![texts(&["timeout"]), texts(&["refused by"])])),
            ("a|refused by", Need::NOTHING),
            (r"\d+ms", Need::NOTHING),
            ("(", Need::NOTHING),
        ] {
            assert_eq!(Need::pattern(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_not_there_is_mostly_told() {
        let lines: Vec<String> = (0..2000u64)
            .map(|line| {
                format!("GET /orders/{line} took {}ms id={:016x}", line % 97, line.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            })
            .collect();
        let bits = bits(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(is_valid(&bits) && bits.len() <= 8 << 10, "{}", bits.len());
        for line in lines.iter().step_by(50) {
            assert!(Need::text(&line.as_bytes()[3..]).may_be_in(&bits));
        }
        let others =
            (0..1000u64).map(|line| format!("{:016x}", (line ^ 0x5555_0000).wrapping_mul(0xbf58_476d_1ce4_e5b9)));
        let wrong = others.filter(|other| Need::text(other.as_bytes()).may_be_in(&bits)).count();
        assert!(wrong < 30, "{wrong}");
    }

    proptest! {
        #[test]
        fn what_is_found_is_never_ruled_out(
            lines in prop::collection::vec("[a-cA-C ]{0,30}", 1..20),
            pattern in "(\\(\\?i\\))?([a-c]{3,7}|[a-c]{2}[+*?]|[abcABC]|\\([a-c]{5,6}\\|[a-c]{6}\\)|\\^| ){1,6}",
        ) {
            let bits = bits(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            if let Ok(regex) = Regex::new(&pattern) && lines.iter().any(|line| regex.is_match(line.as_bytes())) {
                prop_assert!(Need::pattern(&pattern).may_be_in(&bits));
            }
        }
    }
}
