//! What sends: its labels, and the metric that says more of it.

use daybook_metrics::{Labels, NAME};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

use super::names;
use super::values::{attributes, text};

/// What sends.
pub(super) struct Sender {
    /// `job` and `instance`.
    pub(super) labels: Vec<(&'static str, String)>,
    /// All that is said of it.
    pub(super) attributes: Vec<(String, Value)>,
}

/// What `job` and `instance` are made of.
const IDENTIFYING: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

impl Sender {
    pub(super) fn of(resource: Option<Resource>) -> Self {
        let attributes = attributes(resource.map(|resource| resource.attributes).unwrap_or_default());
        let get = |name: &str| attributes.iter().find(|(other, _)| other == name).map(|(_, value)| text(value));
        let [name, namespace, instance] = IDENTIFYING.map(|name| get(name).filter(|value| !value.is_empty()));
        let job = name.map(|name| match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        });
        let labels = [("job", job), ("instance", instance)];
        Self { labels: labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(), attributes }
    }

    /// The name of the service; empty if it has none.
    pub(super) fn service(&self) -> String {
        self.attributes
            .iter()
            .find(|(name, _)| name == IDENTIFYING[0])
            .map(|(_, value)| text(value))
            .unwrap_or_default()
    }

    /// The series `target_info`, if something is said that `job` and `instance` do not say, and these tell of whom.
    pub(super) fn info(&self) -> Option<Labels> {
        let more = self.attributes.iter().filter(|(name, _)| !IDENTIFYING.contains(&name.as_str()));
        let mut labels = names::labels(more.map(|(name, value)| (name.as_str(), text(value))));
        if labels.is_empty() || self.labels.is_empty() {
            return None;
        }
        labels.extend(self.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        labels.insert(NAME.to_owned(), "target_info".to_owned());
        Some(Labels::new(labels))
    }
}
