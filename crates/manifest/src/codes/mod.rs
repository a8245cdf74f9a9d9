//! Every code that a diagnostic may have, with what `daybook explain` says about it.

mod reading;
mod whole;

use crate::diagnostic::Severity;

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code: `M0107`.
    pub code: &'static str,
    /// Whether a manifest with it can be used.
    pub severity: Severity,
    /// An error only for who carries the manifest out: while it is looked at ([`crate::Aim::Look`]) it is a
    /// warning, so that a manifest can be checked and planned away from what it needs.
    pub deferred: bool,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Why it matters and what to do.
    pub text: &'static str,
    /// A manifest that shows it.
    pub example: &'static str,
}

/// What `code` means, in either case: `M0107`, `m0107`.
pub fn explain(code: &str) -> Option<&'static Explanation> {
    codes().find(|row| row.code.eq_ignore_ascii_case(code.trim()))
}

/// Every code, in order.
pub fn codes() -> impl Iterator<Item = &'static Explanation> {
    reading::TABLE.iter().chain(whole::TABLE)
}

/// The row of a code that this crate uses.
pub(crate) fn find(code: &str) -> &'static Explanation {
    let row = [reading::TABLE, whole::TABLE].into_iter().find_map(|table| {
        let at = table.binary_search_by_key(&code, |row| row.code).ok()?;
        table.get(at)
    });
    row.expect("every code that is used is in the table, and the table is sorted: tests assert both")
}

const fn error(code: &'static str, title: &'static str, text: &'static str, example: &'static str) -> Explanation {
    Explanation { code, severity: Severity::Error, deferred: false, title, text, example }
}

/// What is needed to carry a manifest out, and not to understand it.
const fn deferred(code: &'static str, title: &'static str, text: &'static str, example: &'static str) -> Explanation {
    Explanation { code, severity: Severity::Error, deferred: true, title, text, example }
}

const fn warning(code: &'static str, title: &'static str, text: &'static str, example: &'static str) -> Explanation {
    Explanation { code, severity: Severity::Warning, deferred: false, title, text, example }
}
