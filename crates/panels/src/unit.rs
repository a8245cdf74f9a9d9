//! What numbers are of, and how people read them.

/// What numbers are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Themselves.
    #[default]
    Number,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes in each second.
    BytesPerSecond,
    /// Shares of one: 0.5 is 50 %.
    Share,
    /// Hundredths.
    Percent,
    /// Requests in each second.
    RequestsPerSecond,
    /// Things in each second.
    PerSecond,
}

/// Each with what people call it, and what Grafana does
/// (<https://grafana.com/docs/grafana/latest/panels-visualizations/configure-standard-options/>).
const NAMES: [(Unit, &str, &str); 8] = [
    (Unit::Number, "number", "short"),
    (Unit::Seconds, "s", "s"),
    (Unit::Bytes, "bytes", "bytes"),
    (Unit::BytesPerSecond, "bytes/s", "binBps"),
    (Unit::Share, "share", "percentunit"),
    (Unit::Percent, "percent", "percent"),
    (Unit::RequestsPerSecond, "requests/s", "reqps"),
    (Unit::PerSecond, "/s", "cps"),
];

/// What else Grafana has that comes to the same, but for a factor that [`Unit::of_grafana`] tells.
const ALSO: [(&str, Unit, f64); 18] = [
    ("none", Unit::Number, 1.0),
    ("", Unit::Number, 1.0),
    ("ms", Unit::Seconds, 1e-3),
    ("µs", Unit::Seconds, 1e-6),
    ("ns", Unit::Seconds, 1e-9),
    ("m", Unit::Seconds, 60.0),
    ("dtdurations", Unit::Seconds, 1.0),
    ("decbytes", Unit::Bytes, 1.0),
    ("kbytes", Unit::Bytes, 1024.0),
    ("mbytes", Unit::Bytes, 1_048_576.0),
    ("Bps", Unit::BytesPerSecond, 1.0),
    ("bps", Unit::BytesPerSecond, 0.125),
    ("binbps", Unit::BytesPerSecond, 0.125),
    ("ops", Unit::PerSecond, 1.0),
    ("rps", Unit::PerSecond, 1.0),
    ("wps", Unit::PerSecond, 1.0),
    ("iops", Unit::PerSecond, 1.0),
    ("eps", Unit::PerSecond, 1.0),
];

impl Unit {
    /// By the name that people use: `s`, `bytes`, `percent`, `requests/s`.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known, _)| *known == name).map(|(unit, ..)| *unit)
    }

    /// Every name that people use.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name, _)| *name)
    }

    /// By Grafana's name, with what numbers are to be multiplied by; a plain number where that is not known.
    pub fn of_grafana(name: &str) -> (Self, f64) {
        let ours = NAMES.iter().find(|(.., known)| *known == name).map(|(unit, ..)| (*unit, 1.0));
        let also = || ALSO.iter().find(|(known, ..)| *known == name).map(|(_, unit, factor)| (*unit, *factor));
        ours.or_else(also).unwrap_or((Self::Number, 1.0))
    }

    /// Grafana's name.
    pub fn grafana(self) -> &'static str {
        NAMES.iter().find(|(unit, ..)| *unit == self).map_or("short", |(.., name)| name)
    }

    /// What a query probably answers in, by the names of metrics: they end with their unit by convention.
    pub fn of_query(query: &str) -> Self {
        let query = unquoted(query);
        let has = |part: &str| query.contains(part);
        let is_rate = has("rate(");
        if has("histogram_quantile(") && has("_seconds") {
            return Self::Seconds;
        }
        if has("/") {
            return Self::Number;
        }
        match () {
            () if has("count(") || has("== ") => Self::Number,
            () if has("requests_total") && is_rate => Self::RequestsPerSecond,
            () if has("_bytes") && is_rate => Self::BytesPerSecond,
            () if has("_bytes") => Self::Bytes,
            () if has("_seconds_total") && is_rate => Self::Number,
            () if has("_total") && is_rate => Self::PerSecond,
            () if has("timestamp_seconds") && !has("time()") => Self::Number,
            () if has("_seconds") && !is_rate => Self::Seconds,
            () => Self::Number,
        }
    }

    /// A number as people read it: "12 ms", "64 MB", "99.9 %".
    pub fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return if value.is_nan() {
                "–".to_owned()
            } else if value > 0.0 {
                "∞".to_owned()
            } else {
                "-∞".to_owned()
            };
        }
        match self {
            Self::Number => scaled(value, 1000.0, &["", " k", " M", " G", " T"]),
            Self::PerSecond | Self::RequestsPerSecond => {
                format!("{}/s", scaled(value, 1000.0, &["", " k", " M", " G"]))
            }
            Self::Bytes => scaled(value, 1024.0, &[" B", " kB", " MB", " GB", " TB", " PB"]),
            Self::BytesPerSecond => {
                format!("{}/s", scaled(value, 1024.0, &[" B", " kB", " MB", " GB", " TB", " PB"]))
            }
            Self::Share => format!("{} %", digits(value * 100.0)),
            Self::Percent => format!("{} %", digits(value)),
            Self::Seconds => seconds(value),
        }
    }
}

/// A query without what stands in quotes: it says nothing about units.
fn unquoted(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    let (mut quote, mut characters) = (None, query.chars());
    while let Some(c) = characters.next() {
        match quote {
            // What follows is meant as it stands.
            Some('"' | '\'') if c == '\\' => _ = characters.next(),
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None => out.push(c),
        }
    }
    out
}

/// With the largest name that leaves at least one of it.
fn scaled(value: f64, by: f64, names: &[&str]) -> String {
    let (mut value, mut at) = (value, 0);
    while value.abs() >= by * 0.9995 && at + 1 < names.len() {
        value /= by;
        at += 1;
    }
    format!("{}{}", digits(value), names[at])
}

fn seconds(value: f64) -> String {
    let size = value.abs();
    let (divisor, name) = match size {
        0.0 => return "0 s".to_owned(),
        ..0.001 => (1e-6, "µs"),
        ..1.0 => (1e-3, "ms"),
        ..120.0 => (1.0, "s"),
        ..7_200.0 => (60.0, "min"),
        ..172_800.0 => (3_600.0, "h"),
        _ => (86_400.0, "days"),
    };
    format!("{} {name}", digits(value / divisor))
}

/// Three digits that say something, as far as there are as many.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        1e15.. => return format!("{value:.1e}"),
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        0.001.. => 4,
        0.000_01.. => 6,
        _ => return format!("{value:.1e}"),
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_say_them() {
        for (unit, value, text) in [
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 0.000_32, "320 µs"),
            (Unit::Seconds, 0.012, "12 ms"),
            (Unit::Seconds, 1.5, "1.5 s"),
            (Unit::Seconds, 600.0, "10 min"),
            (Unit::Bytes, 67_108_864.0, "64 MB"),
            (Unit::Bytes, 12.0, "12 B"),
            (Unit::BytesPerSecond, 1536.0, "1.5 kB/s"),
            (Unit::Share, 0.999, "99.9 %"),
            (Unit::Percent, 7.0, "7 %"),
            (Unit::RequestsPerSecond, 1234.0, "1.23 k/s"),
            (Unit::Number, 0.25, "0.25"),
            (Unit::Number, 0.000_69, "0.00069"),
            (Unit::Number, 1e-7, "1.0e-7"),
            (Unit::Number, 999.9, "1 k"),
            (Unit::Number, 1e300, "1.0e288 T"),
            (Unit::Number, f64::NAN, "–"),
            (Unit::Number, -3.0, "-3"),
        ] {
            assert_eq!(unit.show(value), text, "{unit:?} {value}");
        }
    }

    #[test]
    fn a_query_tells_its_unit_by_the_names_in_it() {
        for (query, unit) in [
            ("sum by (service) (rate(daybook_http_requests_total[5m]))", Unit::RequestsPerSecond),
            ("daybook_replica_memory_bytes", Unit::Bytes),
            ("rate(daybook_host_network_receive_bytes_total[5m])", Unit::BytesPerSecond),
            ("rate(daybook_replica_cpu_seconds_total[5m])", Unit::Number),
            ("histogram_quantile(0.95, sum by (le) (rate(x_duration_seconds_bucket[5m])))", Unit::Seconds),
            ("scrape_duration_seconds", Unit::Seconds),
            ("daybook_host_load1", Unit::Number),
            ("a_bytes / b_bytes", Unit::Number),
            (r#"rate(daybook_http_requests_total{path=~"/api/.*"}[5m])"#, Unit::RequestsPerSecond),
            (r#"a_bytes{mountpoint="/a\"/", b='/', c=`/\`}"#, Unit::Bytes),
            (r#"a_bytes{mountpoint="/"} / b_bytes"#, Unit::Number),
        ] {
            assert_eq!(Unit::of_query(query), unit, "{query}");
        }
    }

    #[test]
    fn units_go_to_grafana_and_come_back() {
        for (unit, name, grafana) in NAMES {
            assert_eq!((Unit::named(name), unit.grafana()), (Some(unit), grafana));
            assert_eq!(Unit::of_grafana(grafana), (unit, 1.0));
        }
        assert_eq!(Unit::of_grafana("ms"), (Unit::Seconds, 1e-3));
        assert_eq!(Unit::of_grafana("furlongs"), (Unit::Number, 1.0));
    }
}
