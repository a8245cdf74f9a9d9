//! The report as one page: findings, and how things stand with each framework.

use std::fmt::Write as _;

use daybook_decide::policy::{self, Framework, Report, Standing, standings};
use daybook_model::Timestamp;
use daybook_model::policy::{Fate, Finding};

use super::Judged;
use crate::output::page::{classed, code, escape, page, table};

/// The page.
pub(super) fn render(judged: &Judged, now: Timestamp) -> String {
    let beneath = format!("{}, as of {}", policy::summary(&judged.report), now.strftime("%Y-%m-%d %H:%M UTC"));
    let frameworks: String = Framework::ALL.into_iter().map(|one| standing(&judged.report, one)).collect();
    let body = format!(
        "{}<h2>Findings</h2>\n{}<h2>Frameworks</h2>\n{frameworks}\
         <p class=\"dim\">A check that passes is evidence for a control, and never all of it.</p>\n",
        counts(&judged.report),
        findings(judged),
    );
    page(&format!("Policy of {}", judged.key), &beneath, &body)
}

/// The numbers that a reviewer looks for first.
pub(in crate::commands) fn counts(report: &Report) -> String {
    let counts = [
        (report.passed, "checks passed", "good"),
        (report.denied().count(), "denied", "bad"),
        (report.warned().count(), "to look at", "warn"),
        (report.waived().count(), "waived", "dim"),
    ];
    let mut out = "<ul class=\"sum\">\n".to_owned();
    for (count, what, class) in counts {
        let _ = writeln!(out, "<li><b class=\"{class}\">{count}</b> {what}</li>");
    }
    out.push_str("</ul>\n");
    out
}

/// Everything that was found, as a table.
pub(in crate::commands) fn findings(judged: &Judged) -> String {
    if judged.report.findings.is_empty() {
        return "<p class=\"good\">Nothing was found.</p>\n".to_owned();
    }
    let rows: Vec<_> = judged.report.findings.iter().map(|finding| row(judged, finding)).collect();
    table(&["Check", "Severity", "What", "Where"], &rows)
}

fn row(judged: &Judged, finding: &Finding) -> Vec<String> {
    let (fate, class) = match &finding.fate {
        Fate::Denied { .. } => ("denied".to_owned(), "bad"),
        Fate::Warned => (finding.severity.to_string(), "warn"),
        Fate::Waived { until, .. } => (format!("waived until {until}"), "dim"),
    };
    let note = match &finding.fate {
        Fate::Waived { reason, .. } => reason,
        Fate::Denied { .. } | Fate::Warned => &finding.help,
    };
    vec![
        format!("{}<br>{}", code(&finding.check), classed("dim", &finding.name)),
        classed(class, &fate),
        format!("{}<br>{}", escape(&finding.message), classed("dim", note)),
        code(&judged.shown(finding).unwrap_or_default()),
    ]
}

fn standing(report: &Report, framework: Framework) -> String {
    let standings = standings(report, framework);
    let open = standings.iter().filter(|standing| !standing.failed.is_empty()).count();
    let said =
        if open == 0 { "nothing open".to_owned() } else { format!("{open} of {} controls open", standings.len()) };
    let row = |standing: &Standing| {
        let (state, class, checks) = match (standing.failed.as_slice(), standing.waived.as_slice()) {
            ([], []) => ("passed", "good", standing.control.checks.to_vec()),
            ([], waived) => ("waived", "dim", waived.to_vec()),
            (failed, _) => ("open", "bad", failed.to_vec()),
        };
        vec![code(standing.control.id), escape(standing.control.title), classed(class, state), code(&checks.join(" "))]
    };
    let rows: Vec<_> = standings.iter().map(row).collect();
    let table = table(&["Control", "Asks", "State", "Checks"], &rows);
    format!(
        "<details{}><summary>{framework}: {said}</summary>\n{table}</details>\n",
        if open > 0 { " open" } else { "" }
    )
}
