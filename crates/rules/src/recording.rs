//! Rules that record.

use std::collections::HashSet;

use daybook_metrics::{Labels, NAME};
use daybook_promql::Element;

use crate::group::{RuleError, Sample};
use crate::rule::Recording;

impl Recording {
    /// What a rule makes of what its query answered.
    pub(crate) fn record(&self, elements: Vec<Element>, limit: usize, at: i64) -> Result<Vec<Sample>, RuleError> {
        let mut seen = HashSet::with_capacity(elements.len());
        let mut samples = Vec::with_capacity(elements.len());
        for element in elements {
            let labels = self.labels(&element.labels);
            if !seen.insert(labels.clone()) {
                return Err(RuleError::SameLabels);
            }
            samples.push(Sample { labels, at, value: element.value });
        }
        if limit > 0 && samples.len() > limit {
            return Err(RuleError::Limit { limit, found: samples.len() });
        }
        Ok(samples)
    }

    fn labels(&self, of: &Labels) -> Labels {
        let all = of.iter().map(|label| (label.name.as_str(), label.value.as_str()));
        let own = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Labels::new(all.chain(own).chain([(NAME, self.name.as_str())]))
    }
}
