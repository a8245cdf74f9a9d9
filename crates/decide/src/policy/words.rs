//! The words of a policy: ids, names and severities.

use daybook_model::policy::{Author, Finding, Policy, Severity};

use super::{Remark, catalogue};

/// Whether `word` is the id or the name of what found it. Case does not matter.
pub(super) fn means(word: &str, finding: &Finding) -> bool {
    finding.check.eq_ignore_ascii_case(word) || finding.name.eq_ignore_ascii_case(word)
}

/// The severity that `word` is.
pub(super) fn severity(word: &str) -> Option<Severity> {
    Severity::ALL.into_iter().find(|severity| severity.as_str().eq_ignore_ascii_case(word))
}

/// Words that nothing is called, with what may have been meant. Own rules are known only where they found something, so
/// that a policy with own rules may name what nobody knows.
pub(super) fn unknown(policy: &Policy, author: Author, found: &[Finding]) -> Vec<Remark> {
    let denied = policy.deny.iter().map(|ruled| (ruled.word.as_str(), ruled.line, true));
    let waived = policy.waive.iter().map(|waiver| (waiver.check.as_str(), waiver.line, false));
    let unknown = denied.chain(waived).filter(|(word, _, may_be_severity)| {
        let is_severity = *may_be_severity && severity(word).is_some();
        !is_severity && !is_known(word) && !found.iter().any(|finding| means(word, finding))
    });
    let remark = |(word, line, _): (&str, u32, bool)| {
        let near = nearest(word).map_or_else(
            || "`daybook policy --list` has them all".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let message = format!("there is no check `{word}`: {near}");
        Remark { policy: author, line, message, is_error: policy.rules.is_empty() }
    };
    unknown.map(remark).collect()
}

fn names() -> impl Iterator<Item = &'static str> {
    catalogue::all().flat_map(|check| [check.id, check.name])
}

fn is_known(word: &str) -> bool {
    names().any(|name| name.eq_ignore_ascii_case(word))
}

fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let close = names().map(|name| (strsim::jaro_winkler(&word, &name.to_ascii_lowercase()), name));
    close.filter(|(near, _)| *near > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
