//! Invented values. None of them can reach anybody: domains, telephone numbers and addresses are those that are set
//! aside for examples, and bank codes are of no bank.

use daybook_model::masking::Kind;

use super::dates;
use super::keyed::Draws;
use super::words::{CITIES, FIRST, FORMS, LAST, STREETS, TEXT, TRADES};

/// Letters and digits by which values of one kind are told apart: 62 bits.
const SUFFIX: usize = 12;
/// The longest text that is invented.
const MOST_TEXT: usize = 4000;

/// What is asked of an invented value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) kind: Kind,
    /// The value that it replaces: some take its length.
    pub(super) original: &'a str,
    /// At most so many characters.
    pub(super) most: Option<usize>,
    /// Whether no two may be the same.
    pub(super) is_unique: bool,
}

/// How many characters a kind needs so that no two values are the same. `None`: no number is enough.
pub(super) fn least_when_unique(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Date => None,
        Kind::Email => Some(SUFFIX + "@example.com".len()),
        Kind::Phone => Some("+12005550100x".len() + 10),
        Kind::Iban => Some(31),
        Kind::Ip => Some(39),
        Kind::Url => Some("https://example.com/".len() + SUFFIX),
        Kind::Uuid => Some(36),
        Kind::Number => Some(10),
        _ => Some(SUFFIX),
    }
}

/// Invents a value, no longer than there is room for.
pub(super) fn invent(draws: &mut Draws, wanted: Wanted<'_>) -> String {
    let room = wanted.most.unwrap_or(usize::MAX);
    let value = match wanted.kind {
        Kind::Email => return email(draws, room),
        Kind::Username => return username(draws, room),
        Kind::Phone => phone(draws, room, wanted.is_unique),
        Kind::Ip => ip(draws, wanted.original.contains(':') || wanted.is_unique),
        Kind::Iban => iban(draws, wanted.is_unique),
        Kind::Url => format!("https://example.com/{}", draws.letters(SUFFIX)),
        Kind::Uuid => draws.uuid(),
        Kind::Date => dates::invented(draws),
        Kind::Number => scrambled(draws, wanted.original, wanted.is_unique),
        words => return named(draws, words, wanted.original, room, wanted.is_unique),
    };
    cut(&value, room)
}

fn named(draws: &mut Draws, kind: Kind, original: &str, room: usize, is_unique: bool) -> String {
    let value = match kind {
        Kind::FirstName => draws.one_of(&FIRST).to_owned(),
        Kind::LastName => draws.one_of(&LAST).to_owned(),
        Kind::Address => format!("{} {}", 1 + draws.below(199), draws.one_of(&STREETS)),
        Kind::City => draws.one_of(&CITIES).to_owned(),
        Kind::Company => {
            format!("{} {} {}", draws.one_of(&LAST), draws.one_of(&TRADES), draws.one_of(&FORMS))
        }
        Kind::Text => words(draws, original.chars().count().min(MOST_TEXT).min(room)),
        _ => format!("{} {}", draws.one_of(&FIRST), draws.one_of(&LAST)),
    };
    if !is_unique {
        return cut(&value, room);
    }
    let suffix = draws.letters(SUFFIX.min(room));
    let head = cut(&value, room.saturating_sub(SUFFIX + 1));
    if head.is_empty() { suffix } else { format!("{head} {suffix}") }
}

fn words(draws: &mut Draws, length: usize) -> String {
    let mut text = draws.one_of(&TEXT).to_owned();
    while text.len() < length {
        text.push(' ');
        text.push_str(draws.one_of(&TEXT));
    }
    cut(&text, length.max(1))
}

fn email(draws: &mut Draws, room: usize) -> String {
    let domain = if draws.byte().is_multiple_of(2) { "@example.com" } else { "@example.org" };
    let Some(room) = room.checked_sub(domain.len()).filter(|room| *room > 0) else { return draws.letters(room) };
    format!("{}{domain}", username(draws, room))
}

fn username(draws: &mut Draws, room: usize) -> String {
    let name = format!("{}.{}", draws.one_of(&FIRST), draws.one_of(&LAST)).to_lowercase();
    let name: String = name.chars().filter(char::is_ascii).collect();
    let suffix = draws.letters(SUFFIX.min(room));
    if name.len() + 1 + suffix.len() <= room { format!("{name}.{suffix}") } else { suffix }
}

/// A number that is set aside for stories: `555-01xx` of North America, `01632 960xxx` of Britain.
fn phone(draws: &mut Draws, room: usize, is_unique: bool) -> String {
    let number = if draws.byte().is_multiple_of(2) {
        format!("+1{}55501{:02}", 200 + draws.below(800), draws.below(100))
    } else {
        format!("+441632960{:03}", draws.below(1000))
    };
    if !is_unique {
        return number;
    }
    let digits = room.saturating_sub(number.len() + 1).min(16);
    let extension: String = (0..digits).map(|_| draws.digit()).collect();
    format!("{number}x{extension}")
}

/// An address of the networks for documents: RFC 5737, or RFC 3849 of version 6.
pub(super) fn ip(draws: &mut Draws, is_six: bool) -> String {
    if is_six {
        let parts: Vec<_> = (0..6).map(|_| format!("{:x}", u16::from_le_bytes(draws.bytes()) | 1)).collect();
        return format!("2001:db8:{}", parts.join(":"));
    }
    let network = draws.one_of(&["192.0.2", "198.51.100", "203.0.113"]);
    format!("{network}.{}", 1 + draws.below(254))
}

/// A bank account of no bank: no German bank code begins with 0, and no bank of Malta is called XXXX.
fn iban(draws: &mut Draws, is_unique: bool) -> String {
    let (country, account) = if is_unique {
        ("MT", format!("XXXX00000{}", draws.letters(18).to_uppercase()))
    } else {
        ("DE", format!("00000000{}", (0..10).map(|_| draws.digit()).collect::<String>()))
    };
    let check = 98 - remainder(&format!("{account}{country}00"));
    format!("{country}{check:02}{account}")
}

/// The remainder by 97 of a text of letters and digits, where A is 10 and Z is 35 (ISO 7064).
pub(super) fn remainder(text: &str) -> u32 {
    text.chars().filter_map(|c| c.to_digit(36)).fold(0, |sum, digit| {
        let shifted = if digit < 10 { sum * 10 } else { sum * 100 };
        (shifted + digit) % 97
    })
}

/// Other digits and letters in the places of those that were there.
fn scrambled(draws: &mut Draws, original: &str, is_unique: bool) -> String {
    if is_unique {
        return draws.letters(16);
    }
    let mut change = |c: char| match c {
        '0'..='9' => draws.digit(),
        c if c.is_uppercase() => char::from(b'A' + draws.below(26) as u8),
        c if c.is_alphanumeric() => char::from(b'a' + draws.below(26) as u8),
        other => other,
    };
    original.chars().map(&mut change).collect()
}

/// The beginning of a text, without a space at its end.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].trim_end().to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keyed::Key;
    use super::*;

    fn draws(of: u32) -> Draws {
        Key::new(b"seed").draws(&of.to_le_bytes(), 0)
    }

    #[test]
    fn a_bank_account_is_well_formed() {
        assert_eq!(remainder("3214282912345698765432161182"), 1, "the example of ISO 13616");
        for of in 0..50 {
            for is_unique in [false, true] {
                let iban = iban(&mut draws(of), is_unique);
                assert_eq!(remainder(&format!("{}{}", &iban[4..], &iban[..4])), 1, "{iban}");
                assert_eq!(iban.len(), if is_unique { 31 } else { 22 });
            }
        }
    }

    #[test]
    fn addresses_are_nobodys() {
        for of in 0..50 {
            assert!(ip(&mut draws(of), true).parse::<std::net::Ipv6Addr>().unwrap().segments()[1] == 0xdb8);
            assert!(ip(&mut draws(of), false).parse::<std::net::Ipv4Addr>().unwrap().is_documentation());
            let email = email(&mut draws(of), 40);
            assert!(email.len() <= 40 && (email.ends_with("@example.com") || email.ends_with("@example.org")));
        }
    }

    #[test]
    fn everything_fits_where_it_is_told_apart() {
        for (_, kind) in Kind::ALL {
            let Some(least) = least_when_unique(kind) else { continue };
            let wanted = Wanted { kind, original: "a-1", most: Some(least), is_unique: true };
            let all: std::collections::BTreeSet<_> = (0..2000).map(|of| invent(&mut draws(of), wanted)).collect();
            assert_eq!(all.len(), 2000, "{kind}");
            assert!(all.iter().all(|value| value.chars().count() <= least), "{kind}");
        }
    }
}
