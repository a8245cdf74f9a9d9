//! Measurements as text, as Prometheus and OpenMetrics have them.
//!
//! Text 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
//! OpenMetrics 1.0: <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>.

mod number;
mod read;
mod write;

pub use number::format_bound;
pub use read::{Bounds, Broken, Item, Labelled, Reader, What};
pub use write::Writer;

/// Which text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text 0.0.4. Times are milliseconds.
    Text,
    /// OpenMetrics 1.0. Times are seconds, and `# EOF` is the end.
    OpenMetrics,
}

impl Format {
    /// That of an answer, by its content type; text if it says nothing else.
    pub fn of(content_type: &str) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// It grows, and begins again at zero.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many there were below each bound.
    Histogram,
    /// How many there are below each bound.
    GaugeHistogram,
    /// Quantiles.
    Summary,
    /// Labels that say something.
    Info,
    /// One of several states.
    StateSet,
    /// Nobody says.
    #[default]
    Unknown,
}

/// Each kind by the word for it.
const KINDS: [(&str, Kind); 9] = [
    ("counter", Kind::Counter),
    ("gauge", Kind::Gauge),
    ("histogram", Kind::Histogram),
    ("gaugehistogram", Kind::GaugeHistogram),
    ("summary", Kind::Summary),
    ("info", Kind::Info),
    ("stateset", Kind::StateSet),
    ("unknown", Kind::Unknown),
    ("untyped", Kind::Unknown),
];

impl Kind {
    fn of(word: &str) -> Option<Self> {
        KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("unknown", |(word, _)| *word)
    }
}
