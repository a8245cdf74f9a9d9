//! Exact amounts of money.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Parts of one unit of a currency: prices of a request or of a second need ten digits after the point, and a
/// thousandth of a core three more.
const PARTS: i128 = 1_000_000_000_000_000;
/// Digits after the point.
const DIGITS: usize = 15;

/// An amount of one currency, exact to 10⁻¹⁵ of it. Which currency it is says whoever holds it: amounts of different
/// currencies never meet.
///
/// Its text is a decimal number, `0.0104`; [`Money::cents`] is what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money {
    parts: i128,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self { parts: 0 };
    /// One unit of its currency.
    pub const ONE: Self = Self { parts: PARTS };

    /// `numerator / denominator` of it, rounded to the nearest part, halves to even.
    pub fn of(self, numerator: u64, denominator: u64) -> Self {
        let denominator = i128::from(denominator.max(1));
        // 10²³ units of money would not fit, of anything.
        let product = self.parts.saturating_mul(i128::from(numerator));
        let (quotient, rest) = (product.div_euclid(denominator), product.rem_euclid(denominator));
        let up = match (rest * 2).cmp(&denominator) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => quotient % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        Self { parts: quotient + i128::from(up) }
    }

    /// So many times as much.
    pub fn times(self, count: u64) -> Self {
        self.of(count, 1)
    }

    /// What it is of another amount, as a ratio; 0 of nothing. For comparing, not for accounting.
    pub fn ratio(self, of: Self) -> f64 {
        if of.parts == 0 { 0.0 } else { self.parts as f64 / of.parts as f64 }
    }

    /// Rounded to hundredths, halves to even, with separators: `1,204.50`.
    pub fn cents(self) -> String {
        let hundredth = PARTS / 100;
        let (whole, rest) = (self.parts.div_euclid(hundredth), self.parts.rem_euclid(hundredth));
        let up = match (rest * 2).cmp(&hundredth) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => whole.rem_euclid(2),
            std::cmp::Ordering::Greater => 1,
        };
        let cents = whole + up;
        let sign = if cents < 0 { "-" } else { "" };
        let units = (cents.unsigned_abs() / 100).to_string();
        let mut grouped = String::new();
        for (i, digit) in units.chars().enumerate() {
            if i > 0 && (units.len() - i).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped}.{:02}", cents.unsigned_abs() % 100)
    }
}

impl FromStr for Money {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no amount: write a decimal number such as 0.0104");
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(wrong());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DIGITS {
            return Err(format!("`{text}` has more than {DIGITS} digits after the point"));
        }
        let whole: i128 = whole.parse().ok().filter(|whole| *whole <= 1_000_000_000_000).ok_or_else(wrong)?;
        let fraction: i128 = format!("{fraction:0<DIGITS$}").parse().map_err(|_| wrong())?;
        let parts = whole * PARTS + fraction;
        Ok(Self { parts: if negative { -parts } else { parts } })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) =
            (self.parts.unsigned_abs() / PARTS.unsigned_abs(), self.parts.unsigned_abs() % PARTS.unsigned_abs());
        let sign = if self.parts < 0 { "-" } else { "" };
        let fraction = format!("{fraction:0DIGITS$}");
        let fraction = fraction.trim_end_matches('0');
        write!(f, "{sign}{whole}.{fraction:0<2}")
    }
}

impl TryFrom<String> for Money {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Money> for String {
    fn from(money: Money) -> Self {
        money.to_string()
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { parts: self.parts.saturating_add(other.parts) }
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { parts: self.parts.saturating_sub(other.parts) }
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// A currency by its code in ISO 4217: `USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self(*b"USD");

    /// Its code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// An amount as people read it: `$12.40`, `€12.40`, `12.40 SEK`.
    pub fn show(self, amount: Money) -> String {
        let text = amount.cents();
        let (sign, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("-", digits));
        match &self.0 {
            b"USD" => format!("{sign}${digits}"),
            b"EUR" => format!("{sign}€{digits}"),
            b"GBP" => format!("{sign}£{digits}"),
            _ => format!("{text} {}", self.code()),
        }
    }
}

impl FromStr for Currency {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.as_bytes().try_into().ok().filter(|code: &[u8; 3]| code.iter().all(u8::is_ascii_alphabetic));
        let mut code = code.ok_or_else(|| format!("`{text}` is no currency: write its three letters, such as USD"))?;
        code.make_ascii_uppercase();
        Ok(Self(code))
    }
}

impl TryFrom<String> for Currency {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for text in ["0.0083764275", "0.0000004", "73.00", "-1.50", "0.00", "1204.123456789012345"] {
            assert_eq!(money(text).to_string(), text);
        }
        assert_eq!(money("3"), money("3.000"));
        for wrong in ["", ".", "1.", "1e3", "1,000", "$3", "0.0000000000000001", "9999999999999"] {
            assert!(wrong.parse::<Money>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_of_amounts_add_up() {
        let hour = money("0.0104");
        assert_eq!(hour.times(730), money("7.592"));
        assert_eq!(hour.of(250, 1_000).times(4), hour);
        let third = money("1").of(1, 3);
        assert_eq!([third, third, third].into_iter().sum::<Money>(), money("0.999999999999999"));
        assert_eq!(money("-1").of(1, 3), Money::ZERO - third);
    }

    #[test]
    fn people_read_hundredths() {
        for (exact, read) in [
            ("0.005", "0.00"),
            ("0.015", "0.02"),
            ("0.0151", "0.02"),
            ("1234567.899", "1,234,567.90"),
            ("-0.004", "0.00"),
            ("-12.345", "-12.34"),
            ("-1000", "-1,000.00"),
        ] {
            assert_eq!(money(exact).cents(), read, "{exact}");
        }
        assert_eq!(Currency::USD.show(money("-3.5")), "-$3.50");
        assert_eq!("sek".parse::<Currency>().unwrap().show(money("3.5")), "3.50 SEK");
        assert!("dollar".parse::<Currency>().is_err());
    }
}
