//! Charts in an export: Helm installs them, as it does here.

use daybook_model::Service;
use daybook_model::spec::Chart;

use super::values::quoted;

/// What is to be done for a chart, and the command that does it.
pub(super) fn install(service: &Service, chart: &Chart, namespace: &str) -> (String, Vec<String>) {
    let mut command = format!("helm upgrade --install {} {}", service.name, quoted(&chart.reference));
    for (flag, value) in [("--repo", &chart.repository), ("--version", &chart.version)] {
        if let Some(value) = value {
            command = format!("{command} {flag} {}", quoted(value));
        }
    }
    // JSON is YAML.
    let command =
        format!("printf %s {} | {command} --namespace {namespace} --values -", quoted(&chart.values.to_string()));
    ("it is a Helm chart: install it".to_owned(), vec![command])
}
