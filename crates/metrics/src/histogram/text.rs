//! How a histogram is written.

use std::fmt;

use super::{Bucket, Histogram};

/// As Prometheus writes it: `{count:3, sum:5, [-0.5,0.5]:1, (1,2]:2}`.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", short(self.count), short(self.sum))?;
        for bucket in self.buckets() {
            let Bucket { lower, upper, count } = bucket;
            let custom = self.is_custom();
            let open = if lower < 0.0 && (!custom || lower == f64::NEG_INFINITY) { '[' } else { '(' };
            let close = if upper > 0.0 || custom { ']' } else { ')' };
            write!(f, ", {open}{},{}{close}:{}", short(lower), short(upper), short(count))?;
        }
        f.write_str("}")
    }
}

/// The shortest text that is read back as the same number, with an exponent where that is large or small.
fn short(value: f64) -> String {
    let size = value.abs();
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        _ if value == 0.0 || (1e-4..1e21).contains(&size) => value.to_string(),
        _ => {
            let text = format!("{value:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}
