//! Durations, sizes and shares as people write them.

/// Milliseconds of a duration: `90s`, `1m30s`, `1.5h`, `2d`. A number alone is seconds.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000);
    }
    let mut rest = text;
    let mut total = 0.0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3_600e3,
            "d" => 86_400e3,
            "w" => 7.0 * 86_400e3,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[letters..];
    }
    (!text.is_empty() && total < 1e15).then_some(total.round() as u64)
}

/// Milliseconds of a span that a person types: `72h`, `7d`.
pub fn span_ms(text: &str) -> Result<u64, String> {
    duration_ms(text).filter(|ms| *ms > 0).ok_or_else(|| format!("`{text}` is no span of time: like `72h` or `7d`"))
}

/// Bytes of a size: `64m`, `256Mi`, `1gb`, `1.5GiB`, `1024`. Every unit is a power of 1,024, as it is
/// for Docker.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).or_else(|| unit.strip_suffix('i'));
    let unit = unit.map_or_else(|| text[digits..].trim().to_ascii_lowercase(), str::to_owned);
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|name| *name == unit)?;
    let total = number * 1024f64.powi(power as i32);
    (total < 1e18).then_some(total.round() as u64)
}

/// Thousandths of a core: `500m`, `0.5`, `2`.
pub(crate) fn cpu_millis(text: &str) -> Option<u64> {
    let text = text.trim();
    let millis = match text.strip_suffix('m') {
        Some(millis) => millis.parse::<f64>().ok()?,
        None => text.parse::<f64>().ok()? * 1_000.0,
    };
    (millis.is_finite() && (0.0..1e9).contains(&millis)).then_some(millis.round() as u64)
}

/// A share in percent: `10%` or `10`.
pub(crate) fn percent(text: &str) -> Option<u8> {
    let number: f64 = text.trim().trim_end_matches('%').trim_end().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number.round() as u8)
}

/// A share with decimals, in millionths: `99.9%`.
pub(crate) fn millionths(text: &str) -> Option<u32> {
    let number: f64 = text.trim().strip_suffix('%')?.trim_end().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some((number * 10_000.0).round() as u32)
}

/// A truth value: `true`, `false`, and what older YAML and people write for them.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" => Some(true),
        "false" | "no" | "off" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number, in the notations of YAML 1.2.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let number = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()?
    } else {
        digits.strip_prefix('+').unwrap_or(digits).parse().ok()?
    };
    Some(sign * number)
}

/// Permission bits: `0440`, `0o440`, or the decimal number that older YAML makes of them.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let text = text.trim();
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).unwrap_or(text);
    let looks_octal = octal.len() <= 4 && octal.bytes().all(|byte| (b'0'..b'8').contains(&byte)) && !octal.is_empty();
    let mode = if looks_octal { u32::from_str_radix(octal, 8).ok()? } else { text.parse().ok()? };
    (mode <= 0o7777).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let all = [
            ("90s", Some(90_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("500ms", Some(500)),
            ("40", Some(40_000)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("10x", None),
            ("1m30", None),
            ("-5s", None),
            ("99999999999999999999s", None),
        ];
        for (text, expect) in all {
            assert_eq!(duration_ms(text), expect, "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        let all = [
            ("1024", Some(1024)),
            ("2b", Some(2)),
            ("64m", Some(64 << 20)),
            ("256Mi", Some(256 << 20)),
            ("1gb", Some(1 << 30)),
            ("1.5GiB", Some(3 << 29)),
            ("10 k", Some(10 << 10)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("9999999p", None),
        ];
        for (text, expect) in all {
            assert_eq!(bytes(text), expect, "{text}");
        }
    }

    #[test]
    fn the_rest_is_read() {
        assert_eq!((cpu_millis("500m"), cpu_millis("0.25"), cpu_millis("x")), (Some(500), Some(250), None));
        assert_eq!((percent("10%"), percent("101"), percent("5")), (Some(10), None, Some(5)));
        assert_eq!((mode("0440"), mode("0o400"), mode("288"), mode("x")), (Some(0o440), Some(0o400), Some(288), None));
        assert_eq!((integer("0x10"), integer("-3"), integer("1.5")), (Some(16), Some(-3), None));
        assert_eq!((boolean("yes"), boolean("Off"), boolean("maybe")), (Some(true), Some(false), None));
    }
}
