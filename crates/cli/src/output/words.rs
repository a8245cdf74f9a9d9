//! Numbers, sizes and times as people say them.

pub(crate) use daybook_decide::text::{clock, size};
pub(crate) use daybook_panels::short;
use jiff::Timestamp;

/// How long before `now` something was: "2 min ago".
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    if seconds < 0 { format!("in {}", span(-seconds)) } else { format!("{} ago", span(seconds)) }
}

/// A span of seconds in its largest unit: "40 s", "2 min", "3 h", "9 days".
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A short span of milliseconds: "3 ms", "0.4 s", "12 s", then as a clock shows it.
pub(crate) fn took(ms: u64) -> String {
    match ms {
        ..100 => format!("{ms} ms"),
        100..10_000 if ms % 1_000 >= 100 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        100..60_000 => format!("{} s", ms / 1_000),
        _ => clock(ms),
    }
}

/// A number with separators: "18,330".
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: "1 replica", "3 replicas".
pub(crate) fn plural(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// A time of day in UTC where it was today, otherwise with its date.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    let same_day = at.as_second().div_euclid(86_400) == now.as_second().div_euclid(86_400);
    let format = if same_day { "%H:%M:%S" } else { "%-d %b %H:%M:%S" };
    at.strftime(format).to_string()
}

/// Text in lines of at most `columns`, broken between words; its own line breaks stay.
pub(crate) fn wrap(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 40);
    for line in text.lines() {
        let mut used = 0;
        for word in line.split(' ') {
            let width = word.chars().count();
            if used > 0 && used + 1 + width > columns {
                out.push('\n');
                used = 0;
            } else if used > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += width;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_their_largest_unit() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let at = |text: &str| ago(text.parse().unwrap(), now);
        assert_eq!(at("2026-11-24T11:59:20Z"), "40 s ago");
        assert_eq!(at("2026-11-24T11:58:00Z"), "2 min ago");
        assert_eq!(at("2026-11-24T09:00:00Z"), "3 h ago");
        assert_eq!(at("2026-11-15T09:00:00Z"), "9 days ago");
        assert_eq!(at("2026-11-24T15:00:00Z"), "in 3 h");
        assert_eq!(moment("2026-11-24T01:02:03Z".parse().unwrap(), now), "01:02:03");
        assert_eq!(moment("2026-11-23T01:02:03Z".parse().unwrap(), now), "23 Nov 01:02:03");
    }

    #[test]
    fn long_lines_break_between_words() {
        assert_eq!(wrap("one two three\n\nfour", 8), "one two\nthree\n\nfour\n");
        assert_eq!(wrap("incomprehensibilities are", 8), "incomprehensibilities\nare\n");
    }

    #[test]
    fn durations_and_sizes_are_short() {
        assert_eq!([3, 420, 2_010, 12_300, 187_000].map(took), ["3 ms", "0.4 s", "2 s", "12 s", "3:07"]);
        assert_eq!([3_999, 187_000, 3_723_000].map(clock), ["0:03", "3:07", "1:02:03"]);
        assert_eq!(
            [0, 900, 4_096, 18 << 20, 128 << 20, 3 << 29].map(size),
            ["0 B", "900 B", "4.0 kB", "18 MB", "128 MB", "1.5 GB"]
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(plural(1, "replica"), "1 replica");
        assert_eq!(plural(0, "replica"), "0 replicas");
    }
}
