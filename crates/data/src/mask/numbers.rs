//! Numbers that become other numbers which their columns have room for.
//!
//! Whole and decimal numbers are permuted within a span, so that numbers of a unique column stay unique. The spans do
//! not depend on whether a column has 32 or 64 bits: a key is masked alike in both.

use super::keyed::{Draws, Key};

/// Numbers from one to another, both included, that are permuted among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span(i128, i128);

impl Span {
    fn has(self, number: i128) -> bool {
        (self.0..=self.1).contains(&number)
    }

    fn other(self, key: &Key, number: i128) -> i128 {
        let size = (self.1 - self.0 + 1).unsigned_abs();
        if size < 2 {
            return number;
        }
        let place = (number - self.0).unsigned_abs();
        self.0 + i128::try_from(key.other(size, place)).expect("a place within a span of i128")
    }
}

/// Another number of a column of `bits`. `None`: it is no number of the column.
///
/// The sign stays, since columns are often held to it; 0 becomes a negative number where there are some.
pub(super) fn integer(key: &Key, bits: u8, is_unsigned: bool, value: &str) -> Option<String> {
    let number: i128 = value.parse().ok()?;
    let span = integer_spans(bits, is_unsigned).into_iter().find(|span| span.has(number))?;
    Some(span.other(key, number).to_string())
}

/// Half of the positive numbers stay among themselves: the other half is left for what a sequence gives out next.
fn integer_spans(bits: u8, is_unsigned: bool) -> Vec<Span> {
    let narrow = bits.min(32);
    let signs = u8::from(!is_unsigned);
    let (half, edge, end) = (1_i128 << (narrow - signs - 1), 1_i128 << (narrow - signs), 1_i128 << (bits - signs));
    let mut spans = vec![Span(i128::from(signs), half - 1), Span(half, edge - 1), Span(edge, end - 1)];
    if !is_unsigned {
        spans.extend([Span(-edge, 0), Span(-end, -edge - 1)]);
    }
    spans
}

/// Another whole number with as many digits and the same sign.
pub(super) fn integer_alike(key: &Key, bits: u8, is_unsigned: bool, value: &str) -> Option<String> {
    let number: i128 = value.parse().ok()?;
    let most = match (is_unsigned, number < 0) {
        (true, _) => (1_i128 << bits) - 1,
        (false, true) => 1_i128 << (bits - 1),
        (false, false) => (1_i128 << (bits - 1)) - 1,
    };
    let other = alike(key, number.abs(), most);
    Some(if number < 0 { format!("-{other}") } else { other.to_string() })
}

fn alike(key: &Key, number: i128, most: i128) -> i128 {
    if number == 0 {
        return 1 + key.draws(b"0", 0).below(9) as i128;
    }
    let least = 10_i128.pow(number.ilog10());
    let span = Span(least, (least * 10 - 1).min(most));
    // A span of a single number: the largest that there are. Those with a digit less are as good.
    if span.0 == span.1 { span.0 - 1 } else { span.other(key, number) }
}

/// Another decimal number, with as many digits after the point.
pub(super) fn decimal(key: &Key, precision: Option<u32>, value: &str) -> Option<String> {
    /// Digits of the spans that all columns have alike.
    const DIGITS: [u32; 3] = [9, 18, 37];
    let Some((number, scale)) = unscaled(value) else { return digits(key, value) };
    let most = precision.unwrap_or(37).min(37);
    let steps = DIGITS.iter().map(|digits| *digits.min(&most));
    let end = steps.map(|digits| 10_i128.pow(digits)).find(|end| number.abs() < *end)?;
    let begin = DIGITS.iter().map(|digits| 10_i128.pow(*digits)).rfind(|begin| *begin < end && *begin <= number.abs());
    let span = match (begin, number > 0) {
        (None, true) => Span(1, end - 1),
        (None, false) => Span(1 - end, 0),
        (Some(begin), true) => Span(begin, end - 1),
        (Some(begin), false) => Span(1 - end, -begin),
    };
    Some(scaled(span.other(key, number), scale))
}

/// Another decimal number with as many digits on both sides of the point and the same sign.
pub(super) fn decimal_alike(key: &Key, value: &str) -> Option<String> {
    let Some((number, scale)) = unscaled(value) else { return digits(key, value) };
    let other = alike(key, number.abs(), i128::MAX);
    Some(scaled(if number < 0 { -other } else { other }, scale))
}

/// The digits without the point, and how many were behind it. `None`: too many, or no decimal number.
fn unscaled(value: &str) -> Option<(i128, usize)> {
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let number: i128 = format!("{whole}{part}").parse().ok()?;
    (number.unsigned_abs() < 10_u128.pow(37)).then_some((number, part.len()))
}

fn scaled(number: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// Other digits in the places of those of a number with an exponent or very many digits.
///
/// `NaN` and the infinities, which have none, are nobody's: they stay.
pub(super) fn digits(key: &Key, value: &str) -> Option<String> {
    if !value.contains(|c: char| c.is_ascii_digit()) {
        return Some(value.to_owned());
    }
    /// After so many there is none: nearly every draw is another number.
    const ATTEMPTS: u32 = 64;
    let drawn = (0..ATTEMPTS).map(|attempt| digits_once(&mut key.draws(value.as_bytes(), attempt), value));
    drawn.into_iter().find(|other| !is_same(value, other) && is_held(value, other))
}

/// Whether whatever float holds one number holds the other.
fn is_held(one: &str, other: &str) -> bool {
    let narrow = |text: &str| text.parse::<f32>().is_ok_and(f32::is_finite);
    let wide = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    (narrow(other) || !narrow(one)) && (wide(other) || !wide(one))
}

/// Whether two texts are one number in a column: 0.1 and 0.10000000001 are one `real`.
fn is_same(one: &str, two: &str) -> bool {
    /// Longer texts are told apart by numbers that no float holds.
    const EXACT: usize = 30;
    let narrow = |text: &str| text.parse::<f32>().ok().filter(|number| number.is_normal());
    match (narrow(one), narrow(two)) {
        _ if one.len() > EXACT => one == two,
        (Some(one), Some(two)) => one.to_bits() == two.to_bits(),
        _ => one.parse::<f64>().ok() == two.parse::<f64>().ok(),
    }
}

fn digits_once(draws: &mut Draws, value: &str) -> String {
    let (mantissa, exponent) = value.split_once(['e', 'E']).unwrap_or((value, ""));
    let mut is_first = true;
    let mut changed = |c: char| match c {
        '0' if is_first && mantissa.contains(|c: char| matches!(c, '1'..='9')) => c,
        '0'..='9' if is_first => {
            is_first = false;
            char::from(b'1' + draws.below(9) as u8)
        }
        '0'..='9' => draws.digit(),
        other => other,
    };
    let mantissa: String = mantissa.chars().map(&mut changed).collect();
    match exponent.parse::<i32>() {
        // Near the ends of what there is room for, more would be too much.
        Ok(exponent) if exponent >= 38 => format!("{mantissa}e{}", exponent - 1),
        Ok(exponent) if exponent <= -37 => format!("{mantissa}e{}", exponent + 1),
        Ok(exponent) => format!("{mantissa}e{exponent}"),
        Err(_) => mantissa,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_masked_alike_in_32_and_64_bits() {
        let key = Key::new(b"seed");
        for number in ["1", "77", "2147483647", "-5", "0", "-2147483648"] {
            let narrow = integer(&key, 32, false, number).unwrap();
            assert!(narrow.parse::<i32>().is_ok());
            assert_eq!(Some(narrow), integer(&key, 64, false, number));
        }
        assert!(integer(&key, 64, false, "2147483648").unwrap().parse::<i64>().unwrap() > i64::from(i32::MAX));
        assert_eq!(integer(&key, 16, false, "40000"), None);
    }

    #[test]
    fn a_number_near_the_largest_stays_a_number() {
        let key = Key::new(b"seed");
        for number in [1.104_230_147_316_925_4e308, 3.3e38] {
            let other: f64 = digits(&key, &number.to_string()).unwrap().parse().unwrap();
            assert!(other.is_finite() && (number > 1e300 || other <= f64::from(f32::MAX)), "{number} became {other}");
        }
    }

    #[test]
    fn a_decimal_number_keeps_its_scale() {
        let key = Key::new(b"seed");
        let other = decimal(&key, Some(6), "12.50").unwrap();
        assert!(other.len() <= 7 && other.as_bytes()[other.len() - 3] == b'.', "{other}");
        let alike = decimal_alike(&key, "-12.50").unwrap();
        assert!(alike.starts_with('-') && alike.len() == 6, "{alike}");
        assert_eq!((scaled(-5, 2), scaled(1234, 0)), ("-0.05".to_owned(), "1234".to_owned()));
    }

    #[test]
    fn the_smallest_numbers_of_a_type_have_another() {
        let key = Key::new(b"seed");
        assert_ne!(integer_alike(&key, 8, false, "127").as_deref(), Some("127"));
        assert_eq!(digits(&key, "NaN").as_deref(), Some("NaN"));
        assert_ne!(digits(&key, "0").as_deref(), Some("0"));
    }
}
