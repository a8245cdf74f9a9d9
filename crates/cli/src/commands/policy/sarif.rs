//! Findings as SARIF 2.1.0, which code hosts show at the lines that they are about.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use daybook_decide::policy;
use daybook_model::policy::{Fate, Finding, Severity};
use serde_json::{Value, json};

use super::Judged;

/// The report as one document.
pub(super) fn render(judged: &Judged) -> String {
    let known = policy::all().map(|check| {
        json!({
            "id": check.id,
            "name": check.name,
            "shortDescription": {"text": check.title},
            "fullDescription": {"text": check.why},
            "help": {"text": check.help},
            "defaultConfiguration": {"level": level(check.severity)},
            "properties": {"tags": check.sources, "security-severity": score(check.severity)},
        })
    });
    let own = own_rules(judged)
        .into_iter()
        .map(|finding| json!({"id": finding.check, "name": finding.name, "shortDescription": {"text": finding.name}}));
    let document = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "daybook",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": known.chain(own).collect::<Vec<_>>(),
            }},
            "results": judged.report.findings.iter().map(|finding| result(judged, finding)).collect::<Vec<_>>(),
        }],
    });
    let text = serde_json::to_string_pretty(&document).expect("a value of JSON has a text");
    format!("{text}\n")
}

/// One finding of each rule that is not built in.
fn own_rules(judged: &Judged) -> Vec<&Finding> {
    let mut own: Vec<&Finding> = Vec::new();
    for finding in &judged.report.findings {
        let is_new = policy::find(&finding.check).is_none() && !own.iter().any(|one| one.check == finding.check);
        if is_new {
            own.push(finding);
        }
    }
    own
}

fn result(judged: &Judged, finding: &Finding) -> Value {
    let level = if matches!(finding.fate, Fate::Denied { .. }) { "error" } else { level(finding.severity) };
    let mut result = json!({
        "ruleId": finding.check,
        "level": level,
        "message": {"text": format!("{}. {}.", finding.message, finding.help)},
        "partialFingerprints": {"daybook/v1": format!("{} {}", finding.check, finding.path)},
    });
    if let Some(place) = judged.place(finding) {
        result["locations"] = json!([{"physicalLocation": {
            "artifactLocation": {"uri": judged.bundle.shown(&place.file)},
            "region": {"startLine": place.line, "startColumn": place.column},
        }}]);
    }
    if let Fate::Waived { reason, until } = &finding.fate {
        let justification = format!("{reason} (until {until})");
        result["suppressions"] = json!([{"kind": "inSource", "status": "accepted", "justification": justification}]);
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// What code hosts sort by, as they sort CVSS scores.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}
