//! Writing text.

use super::{Format, Kind, number};
use crate::{Labels, NAME};

/// Writes metrics as text. What is said of a metric comes before its samples, which come together.
pub struct Writer {
    format: Format,
    out: String,
}

impl Writer {
    /// An empty one.
    pub fn new(format: Format) -> Self {
        Self { format, out: String::new() }
    }

    /// What a metric is and what it is for. In OpenMetrics a counter has a name without its `_total`, as it is here.
    pub fn metric(&mut self, name: &str, kind: Kind, help: &str) {
        let open = self.format == Format::OpenMetrics;
        // Text has a name for samples and metrics alike, and fewer kinds.
        let (total, word) = match kind {
            _ if open => ("", kind.word()),
            Kind::Counter if !name.ends_with("_total") => ("_total", kind.word()),
            Kind::Info | Kind::StateSet => ("", "gauge"),
            Kind::GaugeHistogram => ("", "histogram"),
            Kind::Unknown => ("", "untyped"),
            _ => ("", kind.word()),
        };
        for (what, text) in [("HELP", help), ("TYPE", word)] {
            if what == "HELP" && text.is_empty() {
                continue;
            }
            self.out.extend(["# ", what, " "]);
            self.name(&[name, total].concat());
            self.out.push(' ');
            escape(&mut self.out, text, open && what == "HELP");
            self.out.push('\n');
        }
    }

    /// A sample; the time is in milliseconds since 1970.
    pub fn sample(&mut self, labels: &Labels, value: f64, at: Option<i64>) {
        let metric = labels.metric();
        let plain = is_name(metric, true);
        if plain {
            self.out.push_str(metric);
        }
        let mut open = false;
        if !plain && !metric.is_empty() {
            self.out.push('{');
            self.name(metric);
            open = true;
        }
        for label in labels.iter().filter(|label| label.name != NAME) {
            self.out.push(if open { ',' } else { '{' });
            open = true;
            if is_name(&label.name, false) {
                self.out.push_str(&label.name);
            } else {
                self.quoted(&label.name);
            }
            self.out.push('=');
            self.quoted(&label.value);
        }
        self.out.push_str(if open { "} " } else { " " });
        number::write(&mut self.out, value);
        if let Some(at) = at {
            self.out.push(' ');
            match self.format {
                Format::Text => self.out.push_str(&at.to_string()),
                Format::OpenMetrics => {
                    let (sign, at) = (if at < 0 { "-" } else { "" }, at.unsigned_abs());
                    self.out.push_str(&format!("{sign}{}.{:03}", at / 1000, at % 1000));
                }
            }
        }
        self.out.push('\n');
    }

    /// The text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn name(&mut self, name: &str) {
        if is_name(name, true) { self.out.push_str(name) } else { self.quoted(name) }
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        escape(&mut self.out, text, true);
        self.out.push('"');
    }
}

fn is_name(name: &str, colons: bool) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(fits)
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Bounds, Item, Reader};
    use super::*;

    #[test]
    fn metrics_are_written() {
        let write = |format| {
            let mut writer = Writer::new(format);
            writer.metric("requests", Kind::Counter, "All\nof \"them\".");
            writer.sample(&Labels::new([(NAME, "requests_total"), ("path", "/\"a\"")]), 1e21, Some(1500));
            writer.metric("b.c", Kind::Info, "");
            writer.sample(&Labels::new([(NAME, "b.c"), ("a b", "1")]), f64::NAN, None);
            writer.sample(&Labels::new([(NAME, "plain")]), -0.5, Some(-1));
            writer.finish()
        };
        assert_eq!(
            write(Format::Text),
            "# HELP requests_total All\\nof \"them\".\n# TYPE requests_total counter\n\
             requests_total{path=\"/\\\"a\\\"\"} 1e21 1500\n# TYPE \"b.c\" gauge\n{\"b.c\",\"a b\"=\"1\"} NaN\nplain -0.5 -1\n"
        );
        assert_eq!(
            write(Format::OpenMetrics),
            "# HELP requests All\\nof \\\"them\\\".\n# TYPE requests counter\n\
             requests_total{path=\"/\\\"a\\\"\"} 1e21 1.500\n# TYPE \"b.c\" info\n{\"b.c\",\"a b\"=\"1\"} NaN\nplain -0.5 -0.001\n# EOF\n"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            metric in "[a-zü.:]{1,5}",
            labels in prop::collection::btree_map("[a-z. \"\\\\]{1,4}", "\\PC{1,6}|\n|\\\\", 0..4),
            value in any::<f64>(),
            at in prop::option::of(-9_000_000_000_000i64..9_000_000_000_000),
            open in any::<bool>(),
        ) {
            let format = if open { Format::OpenMetrics } else { Format::Text };
            let labels = Labels::new(labels.into_iter().chain([(NAME.to_owned(), metric)]));
            let mut writer = Writer::new(format);
            writer.sample(&labels, value, at);
            let text = writer.finish();
            let mut reader = Reader::new(&text, format, Bounds::default());
            let Some(Ok(Item::Sample(read))) = reader.next() else { panic!("{text}") };
            prop_assert_eq!((read.series(), read.at), (labels, at));
            prop_assert!(read.value == value || (read.value.is_nan() && value.is_nan()));
        }
    }
}
