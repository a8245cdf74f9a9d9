//! Names of metrics and labels, as Prometheus has them.

use std::collections::BTreeMap;

/// Units by their short names.
const UNITS: [(&str, &str); 25] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// Units that something is counted by.
const PER: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// What a metric's name ends in beside its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// `_total`: it counts.
    Total,
    /// `_ratio`, if it has the unit 1.
    Ratio,
    /// Nothing.
    None,
}

/// The name of a metric with its unit.
pub(super) fn metric(name: &str, unit: &str, ending: Ending) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut tokens: Vec<&str> = name.split(|c| !word(c)).filter(|token| !token.is_empty()).collect();
    let (main, per) = unit_words(unit);
    for token in main.split('_').filter(|token| !token.is_empty()) {
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    if !per.is_empty() && !tokens.contains(&per.as_str()) {
        tokens.extend(["per", per.as_str()]);
    }
    let last = match ending {
        Ending::Total => Some("total"),
        Ending::Ratio if unit.trim() == "1" => Some("ratio"),
        Ending::Ratio | Ending::None => None,
    };
    if let Some(last) = last {
        tokens.retain(|token| *token != last);
        tokens.push(last);
    }
    let joined = tokens.join("_");
    if joined.starts_with(|c: char| c.is_ascii_digit()) || joined.is_empty() { format!("_{joined}") } else { joined }
}

/// The words for a unit, and for what it is counted by.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    (unit_word(main, &UNITS), unit_word(per, &PER))
}

/// The word for a unit; 1, and what is only said for people, have none.
fn unit_word(unit: &str, known: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    if unit == "1" || unit.contains(['{', '}']) {
        return String::new();
    }
    let word = known.iter().find(|(short, _)| *short == unit).map_or(unit, |(_, word)| word);
    let kept = word.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    kept.collect::<Vec<_>>().join("_")
}

/// The word that is said of a metric's unit.
pub(super) fn unit(unit: &str) -> String {
    match unit_words(unit) {
        (main, per) if per.is_empty() => main,
        (main, per) => format!("{main}_per_{per}"),
    }
}

/// The name of a label.
pub(super) fn label(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !label.ends_with('_') {
            label.push(c);
        }
    }
    match label.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("key_{label}"),
        Some('_') => format!("key{label}"),
        _ => label,
    }
}

/// Labels of attributes. Those that become one label are joined by `;`, in the order of their names.
pub(super) fn labels<'a>(attributes: impl IntoIterator<Item = (&'a str, String)>) -> BTreeMap<String, String> {
    let mut sorted: Vec<(&str, String)> = attributes.into_iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in sorted.into_iter().filter(|(name, _)| !name.is_empty()) {
        labels.entry(label(name)).and_modify(|known| *known = format!("{known};{value}")).or_insert(value);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_units() {
        for (name, of, ending, expected) in [
            ("http.server.request.duration", "s", Ending::None, "http_server_request_duration_seconds"),
            ("system.network.io", "By", Ending::Total, "system_network_io_bytes_total"),
            ("requests", "{request}", Ending::Total, "requests_total"),
            ("requests_total", "", Ending::Total, "requests_total"),
            ("total.requests", "1", Ending::Total, "requests_total"),
            ("system.cpu.utilization", "1", Ending::Ratio, "system_cpu_utilization_ratio"),
            ("disk_seconds", "s", Ending::None, "disk_seconds"),
            ("throughput", "By/s", Ending::Ratio, "throughput_bytes_per_second"),
            ("errors", "{error}/s", Ending::Ratio, "errors_per_second"),
            ("2xx.count", "", Ending::Ratio, "_2xx_count"),
            ("odd name!", "Cows/m", Ending::None, "odd_name_Cows_per_minute"),
            ("job:latency", "", Ending::Ratio, "job:latency"),
            ("", "", Ending::Ratio, "_"),
            ("größe", "", Ending::Ratio, "gr_e"),
        ] {
            assert_eq!(metric(name, of, ending), expected);
        }
        assert_eq!([unit("ms"), unit("By/s"), unit("1"), unit("{x}")], ["milliseconds", "bytes_per_second", "", ""]);
    }

    #[test]
    fn labels_are_names_that_prometheus_takes() {
        assert_eq!(
            ["http.route", "1st", "_x", "a..b", "ok"].map(label),
            ["http_route", "key_1st", "key_x", "a_b", "ok"]
        );
        let joined = labels([("a.b", "2".to_owned()), ("a-b", "1".to_owned()), ("", "x".to_owned())]);
        assert_eq!(joined, [("a_b".to_owned(), "1;2".to_owned())].into());
    }
}
