//! What the reader of an answer should know, in the words of Prometheus, which tools look for.

use std::collections::BTreeSet;

use crate::answer::number;

/// Collects each note once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) warnings: BTreeSet<String>,
    pub(crate) infos: BTreeSet<String>,
}

/// In which operation histograms met.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Meeting {
    Addition,
    Subtraction,
    Aggregation,
}

impl Meeting {
    fn name(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

impl Notes {
    fn warn(&mut self, text: &str) {
        self.warnings.insert(format!("PromQL warning: {text}"));
    }

    fn info(&mut self, text: &str) {
        self.infos.insert(format!("PromQL info: {text}"));
    }

    pub(crate) fn quantile(&mut self, q: f64) {
        if !(0.0..=1.0).contains(&q) {
            self.warn(&format!("quantile value should be between 0 and 1, got {}", number(q)));
        }
    }

    pub(crate) fn integral_strategy(&mut self, strategy: f64) {
        self.warn(&format!("strategy should be 0, 1, or 2 (default), using 2, got {}", number(strategy)));
    }

    pub(crate) fn sorted_range(&mut self) {
        self.warn("sort is ineffective for range queries since results are always ordered by labels");
    }

    pub(crate) fn ratio(&mut self, ratio: f64) {
        if ratio.abs() > 1.0 {
            let capped = number(1_f64.copysign(ratio));
            self.warn(&format!("ratio value should be between -1 and 1, got {}, capping to {capped}", number(ratio)));
        }
    }

    pub(crate) fn mixed_range(&mut self, metric: &str) {
        self.warn(&format!("encountered a mix of histograms and floats for metric name {metric:?}"));
    }

    pub(crate) fn mixed_aggregation(&mut self) {
        self.warn("encountered a mix of histograms and floats for aggregation");
    }

    pub(crate) fn mixed_buckets(&mut self, metric: &str) {
        self.warn(&format!("vector contains a mix of classic and native histograms{}", named(metric)));
    }

    pub(crate) fn mixed_schemas(&mut self, metric: &str) {
        self.warn(&format!(
            "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric:?}"
        ));
    }

    pub(crate) fn incompatible_layout(&mut self, operator: &str) {
        self.warn(&format!("incompatible bucket layout encountered for binary operator {operator}"));
    }

    pub(crate) fn bad_bucket(&mut self, le: &str, metric: &str) {
        let what = format!("bucket label \"le\" is missing or has a malformed value of {le:?}");
        self.warn(&format!("{what}{}", named(metric)));
    }

    pub(crate) fn not_counter(&mut self, metric: &str) {
        self.warn(&format!("this native histogram metric is not a counter: {metric:?}"));
    }

    pub(crate) fn not_gauge(&mut self, metric: &str) {
        self.warn(&format!("this native histogram metric is not a gauge: {metric:?}"));
    }

    pub(crate) fn reset_collision(&mut self, meeting: Meeting) {
        self.warn(&format!("conflicting counter resets during histogram {}", meeting.name()));
    }

    pub(crate) fn reconciled(&mut self, meeting: Meeting) {
        self.info(&format!("mismatched custom buckets were reconciled during {}", meeting.name()));
    }

    pub(crate) fn maybe_no_counter(&mut self, metric: &str) {
        let counts = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end));
        if !metric.is_empty() && !counts {
            let what = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:";
            self.info(&format!("{what} {metric:?}"));
        }
    }

    pub(crate) fn forced_monotonicity(&mut self, metric: &str) {
        let page = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile";
        let what = format!("input to histogram_quantile needed to be fixed for monotonicity (see {page})");
        self.info(&format!("{what}{}", named(metric)));
    }

    pub(crate) fn nan_quantile(&mut self, metric: &str) {
        self.info(&format!("input to histogram_quantile has NaN observations, result is NaN{}", named(metric)));
    }

    pub(crate) fn nan_skew(&mut self, metric: &str) {
        self.info(&format!(
            "input to histogram_quantile has NaN observations, result is skewed higher{}",
            named(metric)
        ));
    }

    pub(crate) fn nan_fraction(&mut self, metric: &str) {
        let what = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
        self.info(&format!("{what}{}", named(metric)));
    }

    pub(crate) fn incompatible_types(&mut self, left: &str, operator: &str, right: &str) {
        let what = "incompatible sample types encountered for binary operator";
        self.info(&format!("{what} {operator:?}: {left} {operator} {right}"));
    }

    pub(crate) fn ignored_in_aggregation(&mut self, aggregation: &str) {
        self.info(&format!("ignored histogram in {aggregation} aggregation"));
    }

    pub(crate) fn ignored_in_range(&mut self, metric: &str) {
        let what = "ignored histograms in a range containing both floats and histograms for metric name";
        self.info(&format!("{what} {metric:?}"));
    }
}

fn named(metric: &str) -> String {
    if metric.is_empty() { String::new() } else { format!(" for metric name {metric:?}") }
}
