//! The report as one page that needs nothing else: findings, and how things stand with each framework.

use std::fmt::Write as _;

use daybook_decide::policy::{self, Framework, standings};
use daybook_model::Timestamp;
use daybook_model::policy::{Fate, Finding};

use super::Judged;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5a6470;--line:#d8dee4;--paper:#fff;--soft:#f6f8fa;--bad:#b42318;--warn:#8a5300;--good:#146c43}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa5b1;--line:#30363d;--paper:#0d1117;--soft:#161b22;--bad:#ff8f85;--warn:#e9b264;--good:#6fd39b}}
*{box-sizing:border-box}body{margin:0 auto;max-width:68rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.5rem 0 .75rem}p{margin:.25rem 0}.dim{color:var(--dim)}
.sum{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0;padding:0;list-style:none}.sum li{background:var(--soft);border:1px solid var(--line);border-radius:.5rem;padding:.5rem 1rem}.sum b{font-size:1.35rem;display:block}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.5rem .6rem;border-bottom:1px solid var(--line)}th{font-weight:600;color:var(--dim);font-size:.85rem}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}.bad{color:var(--bad);font-weight:600}.warn{color:var(--warn);font-weight:600}.good{color:var(--good);font-weight:600}
details{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0;padding:.5rem 1rem}summary{cursor:pointer;font-weight:600}
@media(max-width:40rem){thead{display:none}tr,td{display:block;border:0;padding:.1rem 0}tr{border-bottom:1px solid var(--line);padding:.6rem 0}}";

/// The page.
pub(super) fn render(judged: &Judged, now: Timestamp) -> String {
    let report = &judged.report;
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Policy of {key}</title>\n<style>{STYLE}</style>\n<main>\n<h1>Policy of {key}</h1>\n\
         <p class=\"dim\">{}, as of {}</p>\n",
        escape(&policy::summary(report)),
        now.strftime("%Y-%m-%d %H:%M UTC"),
        key = escape(&judged.key.to_string()),
    );
    let counts = [
        (report.passed, "checks passed", "good"),
        (report.denied().count(), "denied", "bad"),
        (report.warned().count(), "to look at", "warn"),
        (report.waived().count(), "waived", "dim"),
    ];
    out.push_str("<ul class=\"sum\">\n");
    for (count, what, class) in counts {
        let _ = writeln!(out, "<li><b class=\"{class}\">{count}</b> {what}</li>");
    }
    out.push_str("</ul>\n");
    findings(&mut out, judged);
    for framework in Framework::ALL {
        standing(&mut out, judged, framework);
    }
    out.push_str("<p class=\"dim\">A check that passes is evidence for a control, and never all of it.</p>\n</main>\n</html>\n");
    out
}

fn findings(out: &mut String, judged: &Judged) {
    if judged.report.findings.is_empty() {
        out.push_str("<h2>Findings</h2>\n<p class=\"good\">Nothing was found.</p>\n");
        return;
    }
    out.push_str("<h2>Findings</h2>\n<table>\n<thead><tr><th>Check</th><th>Severity</th><th>What</th><th>Where</th></tr></thead>\n<tbody>\n");
    for finding in &judged.report.findings {
        row(out, judged, finding);
    }
    out.push_str("</tbody>\n</table>\n");
}

fn row(out: &mut String, judged: &Judged, finding: &Finding) {
    let (fate, class) = match &finding.fate {
        Fate::Denied { .. } => ("denied".to_owned(), "bad"),
        Fate::Warned => (finding.severity.to_string(), "warn"),
        Fate::Waived { until, .. } => (format!("waived until {until}"), "dim"),
    };
    let note = match &finding.fate {
        Fate::Waived { reason, .. } => reason,
        Fate::Denied { .. } | Fate::Warned => &finding.help,
    };
    let place = judged.shown(finding).unwrap_or_default();
    let _ = writeln!(
        out,
        "<tr><td><code>{}</code><br><span class=\"dim\">{}</span></td><td class=\"{class}\">{fate}</td>\
         <td>{}<br><span class=\"dim\">{}</span></td><td><code>{}</code></td></tr>",
        escape(&finding.check),
        escape(&finding.name),
        escape(&finding.message),
        escape(note),
        escape(&place),
    );
}

fn standing(out: &mut String, judged: &Judged, framework: Framework) {
    let standings = standings(&judged.report, framework);
    let open = standings.iter().filter(|standing| !standing.failed.is_empty()).count();
    let said = if open == 0 { "nothing open".to_owned() } else { format!("{open} of {} controls open", standings.len()) };
    let _ = writeln!(out, "<details{}><summary>{framework}: {said}</summary>", if open > 0 { " open" } else { "" });
    out.push_str("<table>\n<thead><tr><th>Control</th><th>Asks</th><th>State</th><th>Checks</th></tr></thead>\n<tbody>\n");
    for standing in &standings {
        let (state, class, checks) = match (standing.failed.as_slice(), standing.waived.as_slice()) {
            ([], []) => ("passed", "good", standing.control.checks.to_vec()),
            ([], waived) => ("waived", "dim", waived.to_vec()),
            (failed, _) => ("open", "bad", failed.to_vec()),
        };
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td>{}</td><td class=\"{class}\">{state}</td><td><code>{}</code></td></tr>",
            standing.control.id,
            escape(standing.control.title),
            checks.join(" "),
        );
    }
    out.push_str("</tbody>\n</table>\n</details>\n");
}

/// `text` as text of a page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
