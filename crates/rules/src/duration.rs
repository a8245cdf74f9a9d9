//! Durations as Prometheus writes them: `1h30m`.

/// Units and their milliseconds, longest first.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration in milliseconds; none if the text is no duration. Units come longest first, each once.
pub fn parse(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut total, mut next) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let at = UNITS.iter().position(|(unit, _)| *unit == &rest[..letters])?;
        if at < next {
            return None;
        }
        next = at + 1;
        total = total.checked_add(count.checked_mul(UNITS[at].1)?)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(total)
}

/// The duration as text; years and weeks only where nothing is left over.
pub fn format(milliseconds: i64) -> String {
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let mut text = if milliseconds < 0 { "-".to_owned() } else { String::new() };
    let mut rest = milliseconds.unsigned_abs();
    for (unit, size) in UNITS {
        let size = size.unsigned_abs();
        if matches!(unit, "y" | "w") && !rest.is_multiple_of(size) {
            continue;
        }
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        for (text, milliseconds) in [
            ("0", 0),
            ("1m", 60_000),
            ("1h30m", 5_400_000),
            ("90d", 7_776_000_000),
            ("1w", 604_800_000),
            ("1s5ms", 1_005),
        ] {
            assert_eq!(parse(text), Some(milliseconds), "{text}");
        }
        for text in ["", "5", "m", "1m1h", "1m1m", "-1m", "1.5h", "1 m", "99999999999999y", "1mm"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["0s", "1h30m", "90d", "1w", "1y", "100ms", "1d1ms"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(format(-60_000), "-1m");
    }
}
