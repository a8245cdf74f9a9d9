//! Templates of labels and annotations: Go's `text/template`, as far as Prometheus' alerts use it.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/>. All control structures and functions that
//! are named there are known. A template that cannot be read is refused when its file is; one that fails later gives
//! a text that says so, as in Prometheus, and never stops its alert.

mod eval;
mod functions;
mod humanize;
mod numbers;
mod parse;
mod printf;
mod tokens;
mod value;

use std::collections::BTreeMap;

use daybook_metrics::Labels;
use daybook_promql::{Element, Value as Number};

use value::Value;

/// The longest text that a template may give, and the largest value within, in bytes.
const LONGEST: usize = 8 << 20;

/// A template that was parsed.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    parsed: parse::Parsed,
}

/// Why a template cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TemplateError {
    /// The line of the template, counted from one.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { text: text.to_owned(), parsed: parse::parse(text)? })
    }

    /// One that gives this text, whatever is in it.
    pub fn plain(text: &str) -> Self {
        let parsed = parse::Parsed { nodes: vec![parse::Node::Text(text.to_owned())], ..parse::Parsed::default() };
        Self { text: text.to_owned(), parsed }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Answers a query, or says why it has no answer.
pub type QueryFunction<'a> = dyn Fn(&str) -> Result<Vec<Element>, String> + 'a;

/// What is the same for all templates of a rule.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `$externalLabels`.
    pub external_labels: &'a Labels,
    /// `$externalURL`.
    pub external_url: &'a str,
    /// The function `query`.
    pub query: &'a QueryFunction<'a>,
}

impl<'a> Scope<'a> {
    /// Templates about one series: its labels, its value, and the time.
    pub fn about(&self, name: &'a str, labels: &Labels, value: &Number, at: i64) -> Expander<'a> {
        let value = match value {
            Number::Float(value) => Value::Float(*value),
            Number::Histogram(histogram) => Value::Text(histogram.to_string()),
        };
        let data = Value::Struct(vec![
            ("Labels", Value::of_labels(labels)),
            ("ExternalLabels", Value::of_labels(self.external_labels)),
            ("ExternalURL", Value::Text(self.external_url.to_owned())),
            ("Value", value),
        ]);
        Expander { name, data, at, scope: *self }
    }
}

/// Expands templates about one series.
pub struct Expander<'a> {
    name: &'a str,
    data: Value,
    at: i64,
    scope: Scope<'a>,
}

impl Expander<'_> {
    /// The text of a template, or one that says why there is none.
    pub fn expand(&self, template: &Template) -> String {
        // Most texts are not templates at all.
        if let Some(text) = template.parsed.plain() {
            return text.to_owned();
        }
        self.try_expand(template).unwrap_or_else(|error| {
            format!("<error expanding template: error executing template {}: {error}>", self.name)
        })
    }

    /// The text of a template, or why there is none.
    pub fn try_expand(&self, template: &Template) -> Result<String, String> {
        let Value::Struct(fields) = &self.data else { return Ok(String::new()) };
        let variables = fields.iter().map(|(name, value)| (parse::variable_of(name), value.clone()));
        eval::expand(&template.parsed, variables.collect(), &self.data, &self.surroundings())
    }

    fn surroundings(&self) -> functions::Surroundings<'_> {
        functions::Surroundings { query: self.scope.query, external_url: self.scope.external_url, at: self.at }
    }
}

/// Labels as a value of a template.
impl Value {
    fn of_labels(labels: &Labels) -> Self {
        let all = labels.iter().map(|label| (label.name.to_string(), label.value.to_string()));
        Self::Texts(all.collect::<BTreeMap<_, _>>())
    }
}

#[cfg(test)]
mod tests;
