//! Mending a manifest.

use std::fmt::Write as _;
use std::path::Path;

use daybook_api::client::Exit;
use daybook_decide::policy;
use daybook_manifest::{Options, edit};
use daybook_model::policy::{Edit, Finding};

use super::Judged;
use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output;
use crate::output::style::{BAD, DIM, GOOD, paint};
use crate::output::words::plural;

/// Lines shown around what changes.
const AROUND: usize = 1;

/// Mends what `checks` found, or whatever can be mended; with `dry` only says what would change.
pub(super) fn run(ctx: &Ctx, judged: &Judged, checks: &[String], dry: bool) -> Result<Exit> {
    for word in checks {
        let known = policy::find(word).is_some() || judged.report.findings.iter().any(|one| is_meant(word, one));
        if !known {
            return Err(
                CommandError::usage(format!("there is no check `{word}`")).hint("list them: daybook policy --list")
            );
        }
    }
    let open = judged.report.denied().chain(judged.report.warned());
    let meant: Vec<_> = open.filter(|one| checks.is_empty() || checks.iter().any(|word| is_meant(word, one))).collect();
    let edits: Vec<Edit> = meant.iter().flat_map(|finding| finding.fix.clone()).collect();
    let edited = edit(&judged.bundle, &Options::new(ctx.global.env.clone()), &edits);
    for (path, text) in &edited.files {
        let before = judged.bundle.text(path).unwrap_or_default();
        output::text(&difference(judged.bundle.shown(path), before, text))?;
        if !dry {
            write(Path::new(path), text)?;
        }
    }
    for (edit, why) in &edited.refused {
        ctx.say(&format!("{} {}: {why}", paint(BAD, "not mended:"), subject(edit)));
    }
    for finding in meant.iter().filter(|finding| finding.fix.is_empty()) {
        ctx.say(&format!(
            "{} {} {}",
            paint(DIM, "by hand:"),
            finding.message,
            paint(DIM, format!("→ {}", finding.help))
        ));
    }
    let mended = meant.iter().filter(|finding| !finding.fix.is_empty()).count() as u64;
    match (mended, dry) {
        (0, _) => ctx.say("nothing to mend"),
        (_, true) => ctx.next(&format!("mend {}: the same without --dry-run", plural(mended, "finding"))),
        (_, false) => {
            ctx.say(&format!("{} {} mended", paint(GOOD, "✓"), plural(mended, "finding")));
            ctx.next(&format!("see what it would change: {}", ctx.command("plan")));
        }
    }
    Ok(if edited.refused.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn is_meant(word: &str, finding: &Finding) -> bool {
    finding.check.eq_ignore_ascii_case(word) || finding.name.eq_ignore_ascii_case(word)
}

fn subject(edit: &Edit) -> String {
    match edit {
        Edit::Set { paths, .. } => paths.last().map(ToString::to_string).unwrap_or_default(),
        Edit::Append { path, .. } | Edit::Remove { path } | Edit::KeepLast { path } | Edit::Bind { path, .. } => {
            path.to_string()
        }
    }
}

/// Puts the new text beside the old and in its place: whoever reads meanwhile sees one or the other.
fn write(path: &Path, text: &str) -> Result<()> {
    let wrong = |error: std::io::Error| CommandError::io(format!("write {}", path.display()), &error);
    // What a link leads to is mended, and the link stays.
    let path = &std::fs::canonicalize(path).map_err(wrong)?;
    let beside = path.with_extension("yaml.daybook-new");
    std::fs::write(&beside, text).map_err(wrong)?;
    if let Ok(metadata) = std::fs::metadata(path) {
        std::fs::set_permissions(&beside, metadata.permissions()).map_err(wrong)?;
    }
    std::fs::rename(&beside, path).map_err(wrong)
}

/// What changes, line by line, as `diff -u` shows it.
fn difference(name: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut out = format!("{name}\n");
    let mut last = 0;
    for (kept, gone, came) in hunks(&old, &new) {
        let from = kept.saturating_sub(AROUND).max(last);
        if from > last || last == 0 {
            let _ = writeln!(out, "{}", paint(DIM, format!("  line {}", from + 1)));
        }
        let around = old[from..kept].iter().map(|line| format!("    {line}\n"));
        let gone_lines = old[kept..kept + gone].iter().map(|line| format!("  {}\n", paint(BAD, format!("- {line}"))));
        let came_lines = new[came].iter().map(|line| format!("  {}\n", paint(GOOD, format!("+ {line}"))));
        out.extend(around.chain(gone_lines).chain(came_lines));
        last = kept + gone;
    }
    out
}

/// Where lines go and come: the line before which it happens, how many go, and which come. Edits are few and far apart,
/// so that the next line in common ends a hunk.
fn hunks(old: &[&str], new: &[&str]) -> Vec<(usize, usize, std::ops::Range<usize>)> {
    let (mut at, mut to, mut hunks) = (0, 0, Vec::new());
    while at < old.len() || to < new.len() {
        if at < old.len() && to < new.len() && old[at] == new[to] {
            (at, to) = (at + 1, to + 1);
            continue;
        }
        let (gone, came) = resume(&old[at..], &new[to..]);
        hunks.push((at, gone, to..to + came));
        (at, to) = (at + gone, to + came);
    }
    hunks
}

/// How many lines of each are skipped until both go on alike for two lines.
fn resume(old: &[&str], new: &[&str]) -> (usize, usize) {
    for skipped in 1..=old.len() + new.len() {
        for gone in 0..=skipped.min(old.len()) {
            let came = skipped - gone;
            if came > new.len() {
                continue;
            }
            let (rest_old, rest_new) = (&old[gone..], &new[came..]);
            let alike = rest_old.iter().zip(rest_new).take(2).all(|(a, b)| a == b);
            if alike && rest_old.len().min(2) == rest_new.len().min(2) {
                return (gone, came);
            }
        }
    }
    (old.len(), new.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn a_difference_shows_what_goes_and_what_comes() {
        let (before, after) = ("a\nb\nc\nd\ne\nf\ng\n", "a\nB\nc\nd\ne\nf\nf2\nf3\ng\n");
        assert_eq!(
            plain(&difference("x.yaml", before, after)),
            "\
x.yaml
  line 1
    a
  - b
  + B
  line 6
    f
  + f2
  + f3
"
        );
    }
}
