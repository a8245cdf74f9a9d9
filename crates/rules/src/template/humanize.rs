//! Numbers for people, as Prometheus writes them.

use super::numbers::{general, time};

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn four(value: f64) -> String {
    general(value, Some(4))
}

fn scaled_down(mut value: f64, prefixes: [&str; 8], by: f64) -> String {
    let mut shown = "";
    for prefix in prefixes {
        if value.abs() < by {
            break;
        }
        shown = prefix;
        value /= by;
    }
    format!("{}{shown}", four(value))
}

fn scaled_up(mut value: f64) -> String {
    let mut shown = "";
    for prefix in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        shown = prefix;
        value *= 1_000.0;
    }
    format!("{}{shown}", four(value))
}

/// `1.234M`, `5m`.
pub(super) fn decimal(value: f64) -> String {
    match value {
        _ if value == 0.0 || !value.is_finite() => four(value),
        _ if value.abs() >= 1.0 => scaled_down(value, LARGE, 1_000.0),
        _ => scaled_up(value),
    }
}

/// `1.5Gi`.
pub(super) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() { four(value) } else { scaled_down(value, LARGE_BINARY, 1_024.0) }
}

/// `12.34%`
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", four(value * 100.0))
}

/// `1d 2h 3m 4s`, of seconds.
pub(super) fn duration(value: f64) -> String {
    match value {
        _ if !value.is_finite() => four(value),
        0.0 => format!("{}s", four(value)),
        _ if value.abs() < 1.0 => format!("{}s", scaled_up(value)),
        _ => {
            let sign = if value < 0.0 { "-" } else { "" };
            let whole = value.abs() as i64;
            let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
            match (days, hours, minutes) {
                (0, 0, 0) => format!("{sign}{}s", four(value.abs())),
                (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
                (0, _, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
                _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
            }
        }
    }
}

/// A time, of seconds since 1970.
pub(super) fn timestamp(value: f64) -> Result<String, String> {
    match value {
        _ if !value.is_finite() => Ok(four(value)),
        _ if value.abs() > 9.2e9 => Err(format!("{} cannot be represented as a nanoseconds timestamp", four(value))),
        _ => Ok(time((value * 1e3).floor() as i64)),
    }
}
