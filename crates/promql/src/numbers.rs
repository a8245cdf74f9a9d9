//! Sums, means and quantiles that lose little to rounding.

/// A sum that carries what its additions lost (Kahan and Neumaier's).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) total: f64,
    pub(crate) lost: f64,
}

impl Sum {
    pub(crate) fn new(total: f64) -> Self {
        Self { total, lost: 0.0 }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let total = self.total + value;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.total.abs() >= value.abs() {
            self.lost += (self.total - total) + value;
        } else {
            self.lost += (value - total) + self.total;
        }
        self.total = total;
    }

    pub(crate) fn value(self) -> f64 {
        if self.total.is_infinite() { self.total } else { self.total + self.lost }
    }
}

/// The sum of all.
pub(crate) fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = Sum::default();
    values.into_iter().for_each(|value| sum.add(value));
    sum.value()
}

/// The mean of all, also where their sum is too large for a number.
pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values = values.into_iter();
    let Some(first) = values.next() else { return f64::NAN };
    let (mut sum, mut count, mut is_mean) = (Sum::new(first), 1.0, false);
    for value in values {
        count += 1.0;
        if !is_mean {
            let mut next = sum;
            next.add(value);
            if next.total.is_finite() || next.total.is_nan() {
                sum = next;
                continue;
            }
            is_mean = true;
            sum = Sum { total: sum.total / (count - 1.0), lost: sum.lost / (count - 1.0) };
        }
        let share = (count - 1.0) / count;
        sum = Sum { total: share * sum.total, lost: share * sum.lost };
        sum.add(value / count);
    }
    if is_mean { sum.total + sum.lost } else { sum.total / count + sum.lost / count }
}

/// The variance of all.
pub(crate) fn variance(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for value in values {
        count += 1.0;
        let off = value - (mean.total + mean.lost);
        mean.add(off / count);
        squares.add(off * (value - (mean.total + mean.lost)));
    }
    (squares.total + squares.lost) / count
}

/// The quantile of all, between the two nearest; what is no number is the least.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return f64::INFINITY.copysign(q);
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let at = lower as usize;
    if weight == 0.0 {
        return values[at];
    }
    values[at] * (1.0 - weight) + values[(at + 1).min(values.len() - 1)] * weight
}

/// The largest (or with `least` the smallest); what is no number counts only where there is nothing else.
pub(crate) fn extreme(values: impl IntoIterator<Item = f64>, least: bool) -> f64 {
    let further = |a: f64, b: f64| if least { b < a } else { b > a };
    values.into_iter().reduce(|a, b| if further(a, b) || a.is_nan() { b } else { a }).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_do_not_hide_small_ones() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(mean([f64::MAX, f64::MAX]), f64::MAX);
        assert!(mean([f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(mean([f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(variance([1.0, 3.0]), 1.0);
    }

    #[test]
    fn quantiles_lie_between() {
        assert_eq!(quantile(0.75, &mut [0.0, 1.0, 2.0]), 1.5);
        assert_eq!(quantile(2.0, &mut [0.0]), f64::INFINITY);
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
        assert_eq!(extreme([f64::NAN, 1.0, 2.0], true), 1.0);
    }
}
