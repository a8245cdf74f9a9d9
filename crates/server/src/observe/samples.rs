//! Samples on their way to the store.

use std::collections::HashSet;

use daybook_metrics::store::Batch;
use daybook_metrics::{Labels, NAME, STALE};

/// Samples of one moment.
#[derive(Debug, Default)]
pub(super) struct Samples {
    all: Vec<(Labels, f64)>,
}

/// Labels that several series have.
#[derive(Debug, Clone)]
pub(super) struct Base(Vec<(&'static str, String)>);

impl Base {
    pub(super) fn new<const N: usize>(labels: [(&'static str, &dyn ToString); N]) -> Self {
        Self(labels.iter().map(|(name, value)| (*name, value.to_string())).collect())
    }

    /// These, and more.
    pub(super) fn with<const N: usize>(&self, labels: [(&'static str, &dyn ToString); N]) -> Self {
        let more = labels.iter().map(|(name, value)| (*name, value.to_string()));
        Self(self.0.iter().cloned().chain(more).collect())
    }

    /// The series of a metric with these labels.
    pub(super) fn series(&self, metric: &str) -> Labels {
        let labels = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        Labels::new(labels.chain([(NAME, metric), ("job", "daybook")]))
    }
}

impl Samples {
    pub(super) fn add(&mut self, base: &Base, metric: &str, value: f64) {
        self.all.push((base.series(metric), value));
    }

    /// What these become in the store, and what is remembered until the next time. A series that was told of and is not
    /// now has ended: that is told once, so that nobody takes its last value for the present one.
    pub(super) fn told(self, before: Option<&Told>, at: i64) -> (Batch, Told) {
        let mut batch = Batch::default();
        let now: HashSet<&Labels> = self.all.iter().map(|(labels, _)| labels).collect();
        for (labels, _) in before.into_iter().flat_map(|told| &told.0).filter(|(labels, _)| !now.contains(labels)) {
            batch.add(labels.clone(), at, STALE);
        }
        for (labels, value) in &self.all {
            batch.add(labels.clone(), at, *value);
        }
        (batch, Told(self.all))
    }

    /// Fails for a metric that is in no table.
    #[cfg(test)]
    pub(super) fn all_are_listed(&self) {
        for name in self.all.iter().map(|(labels, _)| labels.metric()) {
            assert!(daybook_rules::builtin::of_series(name).is_some(), "{name} is not in the table of metrics");
        }
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        use daybook_metrics::exposition::{Format, Writer};
        let mut writer = Writer::new(Format::Text);
        self.all.iter().for_each(|(labels, value)| writer.sample(labels, *value, None));
        writer.finish()
    }
}

/// The last samples that were told.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<(Labels, f64)>);

impl Told {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Labels, f64)> {
        self.0.iter().map(|(labels, value)| (labels, *value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_no_more_has_ended_once() {
        let base = |replica: &str| Base::new([("replica", &replica)]);
        let mut first = Samples::default();
        first.add(&base("web.1"), "up", 1.0);
        first.add(&base("web.2"), "up", 1.0);
        let (batch, told) = first.told(None, 1);
        assert_eq!(batch.len(), 2);
        let mut second = Samples::default();
        second.add(&base("web.2"), "up", 1.0);
        let (batch, told) = second.told(Some(&told), 2);
        assert_eq!(batch.len(), 2, "one goes on, one has ended");
        assert_eq!(told.iter().count(), 1);
        let (batch, _) = Samples::default().told(Some(&told), 3);
        assert_eq!(batch.len(), 1, "what had ended before is not told again");
    }
}
