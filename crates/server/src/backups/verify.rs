//! What is said about damage, and about a repair.

use daybook_backup::{Damage, Depth, Repaired, Repository, Result};
use daybook_decide::text::plural;

use super::repository::id_of;

/// What came of a look.
pub(super) struct Said {
    /// Whether nothing is wrong.
    pub(super) good: bool,
    /// The first line says it all.
    pub(super) lines: Vec<String>,
}

/// Looks for damage in the repository that is shown so.
pub(super) fn found(repository: &Repository, depth: Depth, shown: &str) -> Result<Said> {
    let damage = repository.check(depth)?;
    if !damage.is_empty() {
        return Ok(said(false, format!("{shown} is damaged"), &damage));
    }
    let how = match depth {
        Depth::Structure => "everything is there",
        Depth::Everything => "every byte was read",
    };
    // Pieces of an archive are no backups by themselves.
    let backups = repository.snapshots()?.iter().filter(|one| id_of(one).is_some()).count();
    let backups = plural(backups as u64, "backup");
    Ok(said(true, format!("no damage in {backups}: {how}"), &[]))
}

/// Repairs the repository that is shown so.
pub(super) fn mended(repository: &Repository, depth: Depth, shown: &str) -> Result<Said> {
    let repaired = repository.repair(depth)?;
    let Repaired { damaged_packs, kept_parts, found_packs, removed_snapshots, left } = repaired;
    let done = [
        (damaged_packs, "damaged pack", ""),
        (kept_parts, "part", " kept of what they held"),
        (found_packs, "pack", " found again"),
        (removed_snapshots, "backup", " removed that nobody could read"),
    ];
    let done = done.into_iter().filter(|(count, ..)| *count > 0);
    let done: Vec<_> = done.map(|(count, what, how)| format!("{}{how}", plural(count, what))).collect();
    let done = if done.is_empty() { "nothing to repair".to_owned() } else { done.join(", ") };
    let first = match left.is_empty() {
        true => format!("{shown} is whole: {done}"),
        false => format!("{shown} still lacks something, which the next backup stores where it is still there: {done}"),
    };
    Ok(said(left.is_empty(), first, &left))
}

fn said(good: bool, first: String, damage: &[Damage]) -> Said {
    Said { good, lines: std::iter::once(first).chain(damage.iter().map(ToString::to_string)).collect() }
}
