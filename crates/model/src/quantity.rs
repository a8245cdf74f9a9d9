//! Amounts as Kubernetes writes them.

/// `500m` or `2` as thousandths of a core.
pub fn cpu_millis(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(millis) => millis.parse().ok(),
        None => Some((text.parse::<f64>().ok()? * 1000.0) as u64),
    }
}

/// `1024`, `16Gi` or `16G` as bytes. `K` is what people write for `k`.
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        assert_eq!((cpu_millis("1500m"), cpu_millis("2"), cpu_millis("x")), (Some(1500), Some(2000), None));
        assert_eq!(
            (bytes("24682736Ki"), bytes("7"), bytes("2G")),
            (Some(24_682_736 << 10), Some(7), Some(2_000_000_000))
        );
        assert_eq!((bytes("1X"), bytes("")), (None, None));
    }
}
