//! Backups as people are shown them.

use daybook_api::backup::{BackupState, BackupsView, HoldingBackups, PointInTime, RestorePlan};
use daybook_model::Timestamp;
use daybook_model::backup::Holding;

use crate::output::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

pub(super) fn list(view: &BackupsView, now: Timestamp) -> String {
    let mut out = String::new();
    if let Some(unseen) = &view.unseen {
        out.push_str(&format!("{} the repository cannot be looked at: {unseen}\n\n", paint(WARN, "!")));
    }
    if view.holdings.is_empty() {
        return format!("{out}no backups in {}\n", view.place);
    }
    for one in &view.holdings {
        out.push_str(&head(one, now));
        if !one.backups.is_empty() {
            out.push_str(&table(one, now));
        }
        out.push('\n');
    }
    out.push_str(&paint(DIM, format!("in {}", view.place)));
    out.push('\n');
    out
}

/// Whether it could be had back, before anything else.
fn head(one: &HoldingBackups, now: Timestamp) -> String {
    let proven = one.proven.and_then(|id| one.backups.iter().find(|backup| backup.id == id));
    let standing = match (proven, one.unproven_since) {
        (Some(proven), since) => {
            let as_of = proven.as_of.unwrap_or(proven.begun);
            let back = proven
                .drill
                .as_ref()
                .and_then(|drill| drill.rto_ms)
                .map_or(String::new(), |rto_ms| format!(", back in {}", words::took(rto_ms)));
            let newer = if since.is_some() { ", newer ones are not" } else { "" };
            paint(GOOD, format!("proven as of {}{back}{newer}", words::ago(as_of, now)))
        }
        (None, Some(since)) => paint(BAD, format!("unproven since {}", words::ago(since, now))),
        (None, None) => paint(BAD, "no backup"),
    };
    let policy = one.policy.as_deref().unwrap_or("no policy: only when asked for");
    let mut out = format!("{}  {standing}\n{}\n", paint(STRONG, &one.of), paint(DIM, format!("  {policy}")));
    if let Some(point) = &one.point_in_time {
        out.push_str(&moments(point, now));
    }
    for overdue in &one.overdue {
        out.push_str(&format!("  {} {overdue}\n", paint(WARN, "!")));
    }
    out
}

/// How far back any moment can be had, and what is in the way.
fn moments(point: &PointInTime, now: Timestamp) -> String {
    let time = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut out = match (point.from, point.until) {
        (Some(from), Some(until)) => {
            let lost =
                point.lost_ms.map_or(String::new(), |lost| format!(", at most {} would be lost", words::took(lost)));
            format!("  any moment from {} on, saved up to {}{lost}\n", time(from), words::ago(until, now))
        }
        _ => format!("  {} no moment in between yet: there is no base backup\n", paint(WARN, "!")),
    };
    for gap in &point.gaps {
        let end = gap.before.map_or("now".to_owned(), time);
        let line = format!("gap: no moment from {} to {end}, {} is missing", time(gap.after), gap.missing);
        out.push_str(&format!("  {} {line}\n", paint(BAD, "!")));
    }
    if let Some(stuck) = &point.stuck {
        out.push_str(&format!("  {} what is written is not archived {stuck}\n", paint(BAD, "!")));
    }
    out
}

fn table(one: &HoldingBackups, now: Timestamp) -> String {
    let counted = if matches!(one.of, Holding::Volume(_)) { "FILES>" } else { "ROWS>" };
    let mut table = Table::new(&["  ID", "AS OF", "STATE", "SIZE>", "ADDED>", counted, "TOOK>", "RESTORED IN>", "WHY"]);
    for backup in &one.backups {
        let size = |bytes: Option<u64>| bytes.map(words::size).unwrap_or_default();
        let restored = backup.drill.as_ref().and_then(|drill| drill.rto_ms).map(words::took);
        let wrong = backup.failed.clone().or_else(|| {
            let drill = backup.drill.as_ref()?;
            drill.why.first().cloned()
        });
        let wrong = wrong.or_else(|| backup.remarks.first().cloned());
        table.row([
            format!("  {}", backup.id.short()),
            words::ago(backup.as_of.unwrap_or(backup.begun), now),
            state(backup.state),
            size(backup.size_bytes),
            size(backup.added_bytes),
            backup.rows.filter(|rows| *rows > 0).or(backup.files).map(words::count).unwrap_or_default(),
            backup.took_ms.map(words::took).unwrap_or_default(),
            restored.unwrap_or_default(),
            wrong.map_or_else(|| paint(DIM, &backup.why), |wrong| words::short(wrong.lines().next().unwrap_or(""), 60)),
        ]);
    }
    table.render()
}

fn state(state: BackupState) -> String {
    let style = match state {
        BackupState::Proven => GOOD,
        BackupState::Unproven | BackupState::UnderWay | BackupState::Drilling => WARN,
        BackupState::Failed | BackupState::Refuted | BackupState::Gone => BAD,
    };
    paint(style, state.words())
}

/// What a restore would do.
pub(super) fn restore(plan: &RestorePlan, now: Timestamp) -> String {
    let backup = &plan.backup;
    let as_of = plan.point_in_time.or(backup.as_of).unwrap_or(backup.begun);
    let by = match plan.point_in_time {
        Some(_) => format!("by base backup {} and what was written since", backup.id.short()),
        None => format!("by backup {}, which is {}", backup.id.short(), state(backup.state)),
    };
    let mut out = format!(
        "{} would hold what it held {} ({}), {by}\n",
        paint(STRONG, &plan.of),
        words::ago(as_of, now),
        as_of.strftime("%Y-%m-%d %H:%M:%S UTC"),
    );
    for (at, step) in plan.steps.iter().enumerate() {
        out.push_str(&format!("  {}. {step}\n", at + 1));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybook_api::backup::{ArchiveGap, BackupView, DrillView};
    use daybook_model::BackupId;

    use crate::output::style::plain;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn id(number: u32) -> BackupId {
        format!("0192c000-0000-7000-8000-0000{number:08x}").parse().unwrap()
    }

    fn backup(number: u32, as_of: &str, state: BackupState) -> BackupView {
        BackupView {
            id: id(number),
            snapshot: Some("5f0c".to_owned()),
            begun: at(as_of),
            why: "every 6 h".to_owned(),
            state,
            as_of: Some(at(as_of)),
            size_bytes: Some(18 << 20),
            added_bytes: Some(300 << 10),
            tables: Some(12),
            rows: Some(48_213),
            files: None,
            remarks: Vec::new(),
            took_ms: Some(3_400),
            failed: None,
            drill: None,
        }
    }

    fn view() -> BackupsView {
        let proof = DrillView {
            at: at("2026-11-30T06:05:00Z"),
            rpo_ms: Some(300_000),
            rto_ms: Some(8_200),
            checks: vec!["48,213 rows of 12 tables are as they were".to_owned()],
            why: Vec::new(),
        };
        let proven =
            BackupView { drill: Some(proof), ..backup(0xaaaa_0001, "2026-11-30T06:00:00Z", BackupState::Proven) };
        let failed = BackupView {
            snapshot: None,
            as_of: None,
            size_bytes: None,
            added_bytes: None,
            tables: None,
            rows: None,
            failed: Some("pg_dump ended with exit code 1: permission denied for table orders".to_owned()),
            ..backup(0xaaaa_0003, "2026-11-30T18:00:00Z", BackupState::Failed)
        };
        let newer = backup(0xaaaa_0002, "2026-11-30T12:00:00Z", BackupState::Unproven);
        let one = HoldingBackups {
            of: "db".parse().unwrap(),
            policy: Some("every 6 h, all of the last 30 days kept, proven every week".to_owned()),
            proven: Some(proven.id),
            unproven_since: Some(newer.begun),
            overdue: vec!["it has no backup that is as new as it should be".to_owned()],
            point_in_time: None,
            backups: vec![failed, newer, proven],
        };
        BackupsView { place: "s3://backups/shop/production".to_owned(), holdings: vec![one], unseen: None }
    }

    #[test]
    fn r21_what_is_proven_is_told_first() {
        insta::assert_snapshot!(plain(&list(&view(), at("2026-11-30T18:30:00Z"))));
    }

    #[test]
    fn r21_what_was_never_proven_is_told_first() {
        let mut view = view();
        view.holdings[0].proven = None;
        view.holdings[0].backups.pop();
        insta::assert_snapshot!(plain(&list(&view, at("2026-11-30T18:30:00Z"))));
    }

    #[test]
    fn what_a_restore_would_do_is_told() {
        let steps = vec!["back db up as it is now".to_owned(), "restore 18 MB beside it".to_owned()];
        let plan = RestorePlan {
            of: "db".parse().unwrap(),
            backup: view().holdings[0].backups[2].clone(),
            point_in_time: None,
            steps,
        };
        insta::assert_snapshot!(plain(&restore(&plan, at("2026-11-30T18:30:00Z"))));
    }

    #[test]
    fn r20_how_far_back_any_moment_can_be_had_is_told_with_its_gaps() {
        let gap = |before: Option<&str>| ArchiveGap {
            missing: "000000010000000000000007".to_owned(),
            after: at("2026-11-30T10:00:00Z"),
            before: before.map(at),
        };
        let point = PointInTime {
            from: Some(at("2026-11-01T06:00:00Z")),
            until: Some(at("2026-11-30T18:29:20Z")),
            lost_ms: Some(40_000),
            base_backups: 30,
            segments: 4_000,
            gaps: vec![gap(Some("2026-11-30T10:05:00Z")), gap(None)],
            stuck: Some("since 2026-11-30 18:20:00 UTC: no space".to_owned()),
        };
        let now = at("2026-11-30T18:30:00Z");
        let none = PointInTime::default();
        insta::assert_snapshot!(plain(&format!("{}{}", moments(&point, now), moments(&none, now))));
    }

    #[test]
    fn what_a_restore_to_a_moment_would_do_is_told() {
        let moment = at("2026-11-30T11:58:30Z");
        let steps = vec!["back db up as it is now".to_owned()];
        let backup = view().holdings[0].backups[2].clone();
        let plan = RestorePlan { of: "db".parse().unwrap(), backup, point_in_time: Some(moment), steps };
        insta::assert_snapshot!(plain(&restore(&plan, at("2026-11-30T12:00:00Z"))));
    }
}
