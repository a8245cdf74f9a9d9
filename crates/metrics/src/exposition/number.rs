//! Numbers as text.

use std::fmt::Write;

/// A number as it is written anywhere: a decimal, or a word for what is none.
pub(super) fn read(text: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if text.bytes().all(plain) {
        return text.parse().ok();
    }
    let (negative, word) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::from_bits(0x7ff8_0000_0000_0001));
    }
    let hexadecimal = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"))?;
    let value = u64::from_str_radix(hexadecimal, 16).ok().filter(|_| hexadecimal.len() <= 16)? as f64;
    Some(if negative { -value } else { value })
}

/// Milliseconds of a number of seconds.
pub(super) fn milliseconds(seconds: f64) -> Option<i64> {
    let exact = seconds * 1000.0;
    (exact.abs() < 9e15).then_some(exact.round() as i64)
}

/// A number as samples have it.
pub(super) fn write(out: &mut String, value: f64) {
    // Writing to a string does not fail.
    _ = if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else if value != 0.0 && !(1e-5..1e21).contains(&value.abs()) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
}

/// A bound or a quantile as labels have it, however it was written: `1` is `1.0`, `10000000` is `1e+07`.
pub fn format_bound(value: f64) -> String {
    let mut out = String::new();
    if value.is_nan() || value.is_infinite() {
        write(&mut out, value);
        return out;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // From a million on, and below a ten thousandth, Prometheus' own writing has an exponent of two digits.
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        _ = write!(out, "{digits}e{sign}{:02}", exponent.abs());
        return out;
    }
    _ = write!(out, "{value}");
    if !out.contains('.') {
        out.push_str(".0");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_one_way() {
        let written: Vec<_> =
            [1.0, 0.0, -1.0, 0.25, 10.0, 1e6, 1_234_567.0, 999_999.0, 1e-4, 1.5e-5, 1e100, f64::INFINITY]
                .map(format_bound)
                .into();
        assert_eq!(
            written,
            [
                "1.0",
                "0.0",
                "-1.0",
                "0.25",
                "10.0",
                "1e+06",
                "1.234567e+06",
                "999999.0",
                "0.0001",
                "1.5e-05",
                "1e+100",
                "+Inf"
            ]
        );
    }

    #[test]
    fn numbers_are_read() {
        let read = |text: &str| read(text).map(f64::to_bits);
        for (text, value) in
            [("1", 1.0), ("-1.5e3", -1500.0), (".5", 0.5), ("+Inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY)]
        {
            assert_eq!(read(text), Some(f64::to_bits(value)), "{text}");
        }
        assert_eq!((read("0x1F"), read("NaN")), (Some(31f64.to_bits()), Some(0x7ff8_0000_0000_0001)));
        assert!(
            ["", "e", "1_0", "nanx", "0x", "--1", "1e", "+-inf", "infinit"].iter().all(|text| read(text).is_none())
        );
        assert_eq!(
            (milliseconds(1.5), milliseconds(1_700_000_000.123), milliseconds(1e30)),
            (Some(1500), Some(1_700_000_000_123), None)
        );
    }
}
