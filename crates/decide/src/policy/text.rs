//! Findings as people read them.

use std::fmt::Write as _;

use daybook_model::EnvKey;
use daybook_model::policy::{Author, Fate, Finding};

use super::Report;

/// How many findings a plan shows.
const SHOWN: usize = 3;
/// The width to which they are brought, so that what stands behind them stands in a column.
const WIDEST: usize = 80;

/// What a plan says of its policy: a line that counts, and the worst of what was found, each with the line of the
/// manifest that `line_of` knows.
pub fn line(report: &Report, line_of: &dyn Fn(&Finding) -> Option<u32>) -> Vec<String> {
    let mut lines = vec![summary(report)];
    let open: Vec<_> = report.denied().chain(report.warned()).collect();
    let said = |finding: &&Finding| {
        let word = if matches!(finding.fate, Fate::Denied { .. }) { "denied" } else { finding.severity.as_str() };
        (format!("{} {word:<8}  {}", finding.check, finding.message), line_of(finding))
    };
    let shown: Vec<_> = open.iter().take(SHOWN).map(said).collect();
    let width = shown.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0).min(WIDEST);
    lines.extend(shown.into_iter().map(|(text, line)| match line {
        Some(line) => format!("{text:<width$}  manifest line {line}"),
        None => text,
    }));
    if open.len() > SHOWN {
        lines.push(format!("… {} more: daybook policy", open.len() - SHOWN));
    }
    lines
}

/// "38 passed, 1 denied, 2 warnings, 1 waived".
pub fn summary(report: &Report) -> String {
    let (denied, warned, waived) = (report.denied().count(), report.warned().count(), report.waived().count());
    let mut text = format!("{} of {} passed", report.passed, report.asked);
    if denied > 0 {
        let _ = write!(text, ", {denied} denied");
    }
    if warned > 0 {
        let _ = write!(text, ", {warned} warning{}", if warned == 1 { "" } else { "s" });
    }
    if waived > 0 {
        let _ = write!(text, ", {waived} waived");
    }
    text
}

/// The whole report: findings by check, the worst first, with what to do about each. `place_of` says where a finding
/// stands: `daybook.yaml:14`.
pub fn render(key: &EnvKey, report: &Report, place_of: &dyn Fn(&Finding) -> Option<String>) -> String {
    let mut out = format!("{key}  {}\n", summary(report));
    let mut last: Option<&Finding> = None;
    for finding in &report.findings {
        let same = last.is_some_and(|last| last.check == finding.check && kind(&last.fate) == kind(&finding.fate));
        if !same {
            let verdict = match &finding.fate {
                Fate::Denied { by: Author::Manifest } => "  denied",
                Fate::Denied { by: Author::Organisation } => "  denied for all apps",
                Fate::Warned => "",
                Fate::Waived { .. } => "  waived",
            };
            let _ = writeln!(out, "\n  {} {:<8}  {}{verdict}", finding.check, finding.severity, finding.name);
        }
        let place = place_of(finding).unwrap_or_default();
        let pad = 72usize.saturating_sub(finding.message.chars().count());
        let _ = writeln!(out, "{}", format!("      {}{}  {place}", finding.message, " ".repeat(pad)).trim_end());
        if let Fate::Waived { reason, until } = &finding.fate {
            let _ = writeln!(out, "        until {until}: {reason}");
        }
        let ends = next_differs(report, finding);
        if ends && !matches!(finding.fate, Fate::Waived { .. }) {
            let fix = if finding.fix.is_empty() {
                String::new()
            } else {
                format!("   daybook policy --fix {}", finding.check)
            };
            let _ = writeln!(out, "      → {}{fix}", finding.help);
        }
        last = Some(finding);
    }
    if !report.remarks.is_empty() {
        out.push('\n');
    }
    for remark in &report.remarks {
        let whose = match remark.policy {
            Author::Manifest => "manifest",
            Author::Organisation => "landing zone",
        };
        let _ = writeln!(out, "  {whose} line {}: {}", remark.line, remark.message);
    }
    out
}

fn kind(fate: &Fate) -> u8 {
    match fate {
        Fate::Denied { by: Author::Organisation } => 0,
        Fate::Denied { by: Author::Manifest } => 1,
        Fate::Warned => 2,
        Fate::Waived { .. } => 3,
    }
}

/// Whether the finding after `finding` is of another check.
fn next_differs(report: &Report, finding: &Finding) -> bool {
    let at = report.findings.iter().position(|other| std::ptr::eq(other, finding));
    let next = at.and_then(|at| report.findings.get(at + 1));
    next.is_none_or(|next| next.check != finding.check || kind(&next.fate) != kind(&finding.fate))
}
