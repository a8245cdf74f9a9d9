//! Numbers over time as one line of text.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar for each number, from the least to the most of them; a dot where there is none, or no finite one.
pub fn sparkline(numbers: impl IntoIterator<Item = Option<f64>>) -> String {
    let numbers: Vec<Option<f64>> =
        numbers.into_iter().map(|number| number.filter(|number| number.is_finite())).collect();
    let known = || numbers.iter().flatten().copied();
    let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    // What never changes lies at the bottom if it is nothing, and in the middle otherwise.
    let flat = if most == 0.0 { 0 } else { BARS.len() / 2 - 1 };
    let bar = |value: &Option<f64>| match value {
        None => '·',
        Some(_) if most <= least => BARS[flat],
        Some(value) => BARS[(((value - least) / (most - least)) * (BARS.len() - 1) as f64) as usize],
    };
    numbers.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bars_between_the_least_and_the_most() {
        let sparkline = |numbers: &[f64]| sparkline(numbers.iter().copied().map(Some));
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 7.0]), "▁▂▃█");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[3.0, f64::NAN, 3.0]), "▄·▄");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn a_gap_is_a_dot() {
        assert_eq!(sparkline([Some(1.0), None, Some(2.0)]), "▁·█");
    }
}
