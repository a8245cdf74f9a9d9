//! Quantities of Kubernetes, exactly: `100m`, `128Mi`, `1e3`, `1.5G`.
//!
//! The format is that of `k8s.io/apimachinery/pkg/api/resource`.

/// The largest number that a quantity may come to, in the unit of its question.
const MOST: u128 = 1 << 62;

/// A number that is not negative, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantity {
    over: u128,
    under: u128,
}

impl Quantity {
    /// Reads a quantity. `None` for what is none, is negative, or is beyond all measure.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('+').unwrap_or(text);
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let (mut over, mut under) = decimal(number)?;
        match factor(unit)? {
            Factor::Times(factor) => over = over.checked_mul(factor)?,
            Factor::By(factor) => under = under.checked_mul(factor)?,
        }
        Some(Self { over, under })
    }

    /// How many `parts` of the unit it is, rounded up as Kubernetes does: millis for 1,000.
    pub(super) fn in_parts(self, parts: u128) -> Option<u64> {
        let number = self.over.checked_mul(parts)?.div_ceil(self.under);
        (number < MOST).then_some(number as u64)
    }

    /// How often `divisor` goes into it, rounded up.
    pub(super) fn divided_by(self, divisor: Self) -> Option<u64> {
        let under = self.under.checked_mul(divisor.over)?;
        if under == 0 {
            return None;
        }
        let number = self.over.checked_mul(divisor.under)?.div_ceil(under);
        (number < MOST).then_some(number as u64)
    }
}

fn decimal(number: &str) -> Option<(u128, u128)> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{part}");
    if digits.is_empty() || digits.len() > 24 || part.len() > 12 || part.contains('.') {
        return None;
    }
    Some((digits.parse().ok()?, 10u128.pow(part.len() as u32)))
}

enum Factor {
    Times(u128),
    By(u128),
}

fn factor(unit: &str) -> Option<Factor> {
    let powers = |unit: &str, units: &[&str]| units.iter().position(|known| *known == unit).map(|at| at as u32);
    if let Some(power) = powers(unit, &["", "k", "M", "G", "T", "P", "E"]) {
        return Some(Factor::Times(1_000u128.pow(power)));
    }
    if let Some(power) = powers(unit, &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]) {
        return Some(Factor::Times(1_024u128.pow(power)));
    }
    if let Some(power) = powers(unit, &["", "m", "u", "n"]) {
        return Some(Factor::By(1_000u128.pow(power)));
    }
    let exponent: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok()?;
    match exponent {
        0..=18 => Some(Factor::Times(10u128.pow(exponent as u32))),
        -12..=-1 => Some(Factor::By(10u128.pow(exponent.unsigned_abs()))),
        _ => None,
    }
}

/// A size as the manifest writes it: binary units where it is a multiple of one.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1u64 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let unit = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// Cores as the manifest writes them.
pub(super) fn cores(millis: u64) -> String {
    if millis.is_multiple_of(1_000) { (millis / 1_000).to_string() } else { format!("{millis}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact() {
        let bytes = [
            ("128Mi", Some(134_217_728)),
            ("128M", Some(128_000_000)),
            ("1e3", Some(1_000)),
            ("1E3", Some(1_000)),
            ("1E", Some(1_000_000_000_000_000_000)),
            ("1.5Gi", Some(1_610_612_736)),
            ("0.1", Some(1)),
            ("100m", Some(1)),
            ("12e-1", Some(2)),
            ("+5", Some(5)),
            ("0", Some(0)),
            ("8Ei", None),
            ("-1", None),
            ("1.2.3", None),
            ("1Mib", None),
            ("1e99", None),
            ("1e-99", None),
            ("", None),
            (".", None),
            ("e3", None),
            ("999999999999999999999999999999", None),
        ];
        for (text, expect) in bytes {
            assert_eq!(Quantity::read(text).and_then(|quantity| quantity.in_parts(1)), expect, "{text}");
        }
        let millis = [("100m", 100), ("0.1", 100), ("2", 2_000), ("1500u", 2), ("1n", 1), ("1e1", 10_000)];
        for (text, expect) in millis {
            assert_eq!(Quantity::read(text).and_then(|quantity| quantity.in_parts(1_000)), Some(expect), "{text}");
        }
    }

    #[test]
    fn quantities_are_divided_as_the_downward_interface_does() {
        let divided = |text: &str, by: &str| Quantity::read(text)?.divided_by(Quantity::read(by)?);
        assert_eq!(divided("250m", "1"), Some(1));
        assert_eq!(divided("250m", "1m"), Some(250));
        assert_eq!(divided("512Mi", "1Mi"), Some(512));
        assert_eq!(divided("1", "0"), None);
    }

    #[test]
    fn sizes_and_cores_are_short() {
        assert_eq!([size(134_217_728), size(128_000_000), size(1_001)], ["128Mi", "125000Ki", "1001"]);
        assert_eq!([cores(250), cores(2_000)], ["250m", "2"]);
    }
}
