//! Numbers over time as one line.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar for each number, from the least to the most of them; a dot for what is no number.
pub(crate) fn sparkline(numbers: &[f64]) -> String {
    let finite = || numbers.iter().copied().filter(|value| value.is_finite());
    let (least, most) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    // What never changes lies at the bottom if it is nothing, and in the middle otherwise.
    let flat = if most == 0.0 { 0 } else { BARS.len() / 2 - 1 };
    let bar = |value: &f64| match value {
        value if !value.is_finite() => '·',
        _ if most <= least => BARS[flat],
        value => BARS[(((value - least) / (most - least)) * (BARS.len() - 1) as f64) as usize],
    };
    numbers.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bars_between_the_least_and_the_most() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 7.0]), "▁▂▃█");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[3.0, f64::NAN, 3.0]), "▄·▄");
        assert_eq!(sparkline(&[]), "");
    }
}
