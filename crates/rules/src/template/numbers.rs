//! Numbers, times and durations as Go prints them.

use jiff::Timestamp;

/// From which exponent on the shortest form of a number has it written.
const SHORTEST: i32 = 6;

/// The digits of a positive number and its exponent: `0.d1d2… · 10^point`.
struct Digits {
    digits: String,
    point: i32,
}

impl Digits {
    /// Of a text that Rust wrote with an exponent: `1.25e-7`.
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        Self { digits, point: exponent.parse::<i32>().unwrap_or(0) + 1 }
    }

    fn trimmed(mut self) -> Self {
        let kept = self.digits.trim_end_matches('0').len().max(1);
        self.digits.truncate(kept);
        self
    }

    /// With an exponent of at least two digits: `1.25e-07`.
    fn scientific(&self) -> String {
        let (first, rest) = self.digits.split_at(1);
        let exponent = self.point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{sign}{:02}", exponent.unsigned_abs())
    }

    fn plain(&self) -> String {
        let count = self.digits.len() as i32;
        if self.point <= 0 {
            return format!("0.{}{}", "0".repeat(self.point.unsigned_abs() as usize), self.digits);
        }
        if self.point >= count {
            return format!("{}{}", self.digits, "0".repeat((self.point - count) as usize));
        }
        let (whole, rest) = self.digits.split_at(self.point as usize);
        format!("{whole}.{rest}")
    }
}

/// `NaN`, `+Inf` and `-Inf`.
fn special(value: f64) -> Option<String> {
    match value {
        value if value.is_nan() => Some("NaN".to_owned()),
        f64::INFINITY => Some("+Inf".to_owned()),
        f64::NEG_INFINITY => Some("-Inf".to_owned()),
        _ => None,
    }
}

fn signed(value: f64, text: &str) -> String {
    if value.is_sign_negative() { format!("-{text}") } else { text.to_owned() }
}

/// `%v`: as few digits as say which number it is, with an exponent below a ten-thousandth and from a million on.
pub(super) fn shortest(value: f64) -> String {
    special(value).unwrap_or_else(|| {
        let digits = Digits::of(&format!("{:e}", value.abs())).trimmed();
        let exponent = digits.point - 1;
        let zero = value == 0.0;
        let text = match (-4..SHORTEST).contains(&exponent) {
            _ if zero => "0".to_owned(),
            true => digits.plain(),
            false => digits.scientific(),
        };
        signed(value, &text)
    })
}

/// `%g`, with a precision `%.4g`.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return shortest(value) };
    special(value).unwrap_or_else(|| {
        let precision = precision.max(1);
        let digits = Digits::of(&format!("{:.*e}", precision - 1, value.abs())).trimmed();
        if value == 0.0 {
            return signed(value, "0");
        }
        let count = digits.digits.len() as i32;
        let most = precision as i32;
        let most = if most > count && count >= digits.point { count } else { most };
        let exponent = digits.point - 1;
        let text = if exponent < -4 || exponent >= most { digits.scientific() } else { digits.plain() };
        signed(value, &text)
    })
}

/// `%f`.
pub(super) fn fixed(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| signed(value, &format!("{:.*}", precision, value.abs())))
}

/// `%e`.
pub(super) fn scientific(value: f64, precision: usize) -> String {
    special(value)
        .unwrap_or_else(|| signed(value, &Digits::of(&format!("{:.*e}", precision, value.abs())).scientific()))
}

/// A time as Go prints it: `2006-01-02 15:04:05.999 +0000 UTC`.
pub(super) fn time(at: i64) -> String {
    let Ok(time) = Timestamp::from_millisecond(at) else { return format!("{at} ms") };
    let text = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let fraction = at.rem_euclid(1_000);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:03}") };
    format!("{text}{} +0000 UTC", fraction.trim_end_matches('0'))
}

/// A duration as Go prints it: `1h30m0s`, `1.5s`, `10ms`.
pub(super) fn duration(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let rest = nanoseconds.unsigned_abs();
    let decimal = |value: f64| shortest(value);
    let text = match rest {
        ..1_000 => format!("{rest}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(rest as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(rest as f64 / 1e6)),
        _ => {
            let (minutes, seconds) = (rest / 60_000_000_000, (rest % 60_000_000_000) as f64 / 1e9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{}s", decimal(seconds)),
                (0, minutes) => format!("{minutes}m{}s", decimal(seconds)),
                (hours, minutes) => format!("{hours}h{minutes}m{}s", decimal(seconds)),
            }
        }
    };
    format!("{sign}{text}")
}
