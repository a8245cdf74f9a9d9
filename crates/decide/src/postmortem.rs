//! The draft of a post-mortem: what is known of an incident, in an order in which people read it.
//!
//! It is Markdown with the numbers filled in, and with questions where only people know the answer.

use std::fmt::Write as _;

use daybook_model::Timestamp;
use daybook_model::incident::{Impact, NextStep, Suspect};
use jiff::tz::TimeZone;

use crate::backups::lies_back;
use crate::incident::{Incident, Line, Standing};
use crate::text::{clock, plural, seconds};

/// What is written beside what the incident itself knows.
#[derive(Debug, Clone)]
pub struct Beside<'a> {
    /// What happened to the environment meanwhile: runs, steps, replicas that ended. In any order.
    pub events: &'a [Line],
    /// The zone in which times are written.
    pub zone: TimeZone,
    /// The time, which counts as the end of what is not over.
    pub now: Timestamp,
}

/// The draft. Ends with a line break.
pub fn draft(incident: &Incident, beside: &Beside<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {}\n", inline(&incident.title));
    summary(&mut out, incident, beside);
    impact(&mut out, incident, beside);
    cause(&mut out, incident);
    timeline(&mut out, incident, beside);
    actions(&mut out, incident, beside);
    follow_ups(&mut out, incident);
    out
}

/// Text of others within a line: nothing of it is markup, and it stays in its line. A leading mark is harmless here, as
/// every line begins with ours.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' => out.extend(['\\', letter]),
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

fn time(at: Timestamp, beside: &Beside<'_>) -> String {
    at.to_zoned(beside.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

fn end(incident: &Incident, beside: &Beside<'_>) -> Timestamp {
    incident.felt_until().unwrap_or(beside.now)
}

fn summary(out: &mut String, incident: &Incident, beside: &Beside<'_>) {
    out.push_str("## Summary\n\n");
    let lasted = clock(lies_back(incident.onset, end(incident, beside)));
    let verb = if incident.is_open() { "goes on since" } else { "lasted for" };
    let services: Vec<_> = incident.services.iter().map(|name| inline(name.as_str())).collect();
    let of = if services.is_empty() { "the environment".to_owned() } else { services.join(", ") };
    let _ = writeln!(
        out,
        "- Incident {}, severity {}, about {of}: it {verb} {lasted}.",
        incident.id.short(),
        incident.severity.word()
    );
    if let Some(first) = incident.suspects.first() {
        let _ = writeln!(out, "- Suspected most ({} %): {}.", first.share, inline(&first.title));
    }
    if let Some(Impact { requests, failed, .. }) = &incident.impact {
        let _ = writeln!(out, "- {failed} of {requests} requests failed ({}).", percent(*failed, *requests));
    }
    out.push_str("- _In one sentence for somebody who was not there: …_\n\n");
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "0 %".to_owned() } else { format!("{:.2} %", 100.0 * part as f64 / whole as f64) }
}

fn impact(out: &mut String, incident: &Incident, beside: &Beside<'_>) {
    out.push_str("## Impact\n\n| | |\n| --- | --- |\n");
    let row = |out: &mut String, what: &str, value: String| {
        let _ = writeln!(out, "| {what} | {value} |");
    };
    row(out, "Onset", time(incident.onset, beside));
    row(out, "End", incident.felt_until().map_or("it goes on".to_owned(), |at| time(at, beside)));
    let since = |at: Timestamp| seconds(lies_back(incident.onset, at));
    row(out, "Time until an incident was opened", since(incident.opened));
    if let Some(page) = incident.pages.first() {
        row(out, "Time until somebody was woken", since(page.at));
    }
    if let Some((who, at)) = &incident.acknowledged {
        row(out, "Time until somebody saw to it", format!("{} ({})", since(*at), inline(who)));
    }
    row(out, "Pages", incident.pages.len().to_string());
    if let Some(impact) = &incident.impact {
        row(
            out,
            "Requests that failed",
            format!("{} of {}, {}", impact.failed, impact.requests, percent(impact.failed, impact.requests)),
        );
        if let Some((usual, now)) = impact.p95_ms {
            row(out, "95 of 100 requests took at most", format!("{now} ms, usually {usual} ms"));
        }
        for (route, failed) in &impact.routes {
            row(out, &format!("Failed at {}", inline(route)), failed.to_string());
        }
    }
    out.push('\n');
}

fn cause(out: &mut String, incident: &Incident) {
    out.push_str("## Cause\n\n");
    if incident.suspects.is_empty() {
        out.push_str("Nothing that changed before is suspected.\n");
    }
    for (index, suspect) in incident.suspects.iter().enumerate() {
        let _ = writeln!(out, "{}. **{}** ({} %)", index + 1, inline(&suspect.title), suspect.share);
        for evidence in &suspect.evidence {
            let _ = writeln!(out, "   - {}", inline(evidence));
        }
    }
    out.push_str("\n_Was it the first of these? What else had to be so for it to hurt? …_\n\n");
}

fn timeline(out: &mut String, incident: &Incident, beside: &Beside<'_>) {
    out.push_str("## Timeline\n\n");
    let mut lines: Vec<&Line> = incident.timeline.iter().chain(beside.events).collect();
    let onset =
        Line { at: incident.onset, by: "daybook".to_owned(), text: "onset: the first alert began to hold".to_owned() };
    let causes: Vec<_> = incident.suspects.iter().take(1).map(suspected).collect();
    lines.extend(std::iter::once(&onset).chain(&causes));
    lines.sort_by_key(|line| line.at);
    for line in lines {
        let _ = writeln!(out, "- {} {}: {}", time(line.at, beside), inline(&line.by), inline(&line.text));
    }
    out.push('\n');
}

fn suspected(suspect: &Suspect) -> Line {
    Line { at: suspect.at, by: "daybook".to_owned(), text: format!("suspected: {}", suspect.title) }
}

fn actions(out: &mut String, incident: &Incident, beside: &Beside<'_>) {
    out.push_str("## Actions taken\n\n");
    if incident.actions.is_empty() {
        out.push_str("None.\n");
    }
    for taken in &incident.actions {
        let by = taken.rule.as_ref().map_or_else(|| taken.by.clone(), |rule| format!("rule {rule}"));
        let run = taken.run.map(|run| format!(", run {run}")).unwrap_or_default();
        let _ = writeln!(out, "- {}: {} ({}{run})", time(taken.at, beside), inline(&taken.what), inline(&by));
    }
    out.push('\n');
}

fn follow_ups(out: &mut String, incident: &Incident) {
    out.push_str("## Follow-ups\n\n");
    let first = incident.suspects.first();
    match first.and_then(|suspect| suspect.next.as_ref()) {
        Some(NextStep::SwapBack { .. }) => {
            out.push_str("- [ ] Mend what the release broke, and add the test that would have found it.\n");
            out.push_str("- [ ] Would a canary share, or a longer probation, have swapped back by itself?\n");
        }
        Some(NextStep::Scale { service, .. }) => {
            let _ = writeln!(out, "- [ ] Let {} scale by itself before it is too late.", inline(service.as_str()));
        }
        Some(NextStep::Restart { service }) => {
            let _ = writeln!(out, "- [ ] Find what {} keeps in memory.", inline(service.as_str()));
        }
        Some(step @ (NextStep::ShowPlan { .. } | NextStep::Look { .. })) => {
            let _ = writeln!(out, "- [ ] {}.", inline(&step.choice().text));
        }
        None => {}
    }
    if incident.is_by_hand {
        out.push_str("- [ ] A person found it: which alert should have?\n");
    }
    let noisy = incident.alerts.len();
    if noisy > 5 {
        let _ = writeln!(out, "- [ ] {} for one cause: which of them are needed?", plural(noisy as u64, "alert"));
    }
    if incident.pages.len() > 1 {
        let _ = writeln!(
            out,
            "- [ ] {} for one incident: why did the first not do?",
            plural(incident.pages.len() as u64, "page")
        );
    }
    if matches!(incident.standing, Standing::Open) {
        out.push_str("- [ ] It is not over.\n");
    }
    out.push_str("- [ ] _What else? Who, and until when?_\n");
}

#[cfg(test)]
mod tests {
    use daybook_model::incident::{Alert, Ending, IncidentEvent, IncidentId, Severity};
    use daybook_model::{Actor, Event, ReleaseNumber, ServiceName};
    use uuid::Uuid;

    use super::*;
    use crate::incident::fold;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn web() -> ServiceName {
        ServiceName::new("web").unwrap()
    }

    fn alert() -> Alert {
        Alert {
            name: "Errors".to_owned(),
            labels: Default::default(),
            severity: Severity::Page,
            summary: "14 % of requests to web fail".to_owned(),
            started: at(0),
            ended: None,
            service: Some(web()),
            host: None,
            runbook: None,
        }
    }

    fn incident(events: Vec<(i64, &str, IncidentEvent)>) -> Incident {
        let id = IncidentId(Uuid::from_u128(0x1234_5678));
        let entries: Vec<_> = events
            .into_iter()
            .map(|(second, who, what)| {
                let actor = Actor { name: who.to_owned(), origin: "cli".to_owned() };
                (at(second), actor, Event::Incident { incident: id, what: Box::new(what) })
            })
            .collect();
        fold(entries.iter().map(|(at, actor, event)| (*at, actor, event))).get(id).cloned().unwrap()
    }

    fn opened() -> IncidentEvent {
        IncidentEvent::Opened {
            title: alert().summary,
            severity: Severity::Page,
            services: Default::default(),
            alert: Some(alert()),
        }
    }

    #[test]
    fn a_draft_has_what_is_known_and_asks_for_the_rest() {
        let suspect = Suspect {
            kind: "release".to_owned(),
            title: "release 12 of web, 3 min before the onset".to_owned(),
            at: at(-180),
            services: [web()].into(),
            share: 87,
            evidence: vec!["replicas of release 12 fail 14.0 % of requests, those before 0.2 %".to_owned()],
            factors: Vec::new(),
            next: Some(NextStep::SwapBack { to: ReleaseNumber(11) }),
        };
        let impact = Impact {
            requests: 12_000,
            failed: 1_400,
            p95_ms: Some((40, 310)),
            routes: vec![("shop.example.com/cart".to_owned(), 1_390)],
        };
        let incident = incident(vec![
            (30, "daybook", opened()),
            (
                31,
                "daybook",
                IncidentEvent::Paged { policy: "web".to_owned(), level: 1, round: 0, who: vec!["ada".to_owned()] },
            ),
            (32, "daybook", IncidentEvent::Suspected { suspects: vec![suspect] }),
            (90, "ada", IncidentEvent::Acknowledged),
            (120, "ada", IncidentEvent::Acted { what: "swapped back to release 11".to_owned(), run: None, rule: None }),
            (200, "daybook", IncidentEvent::Felt { impact }),
            (205, "daybook", IncidentEvent::AlertEnded { alert: alert().identity(), ended: at(190) }),
            (800, "daybook", IncidentEvent::Resolved { ending: Ending::Quiet, note: String::new() }),
        ]);
        let events = [Line { at: at(121), by: "ada".to_owned(), text: "run began: rollback to 11".to_owned() }];
        let beside = Beside { events: &events, zone: TimeZone::UTC, now: at(5_000) };
        insta::assert_snapshot!(draft(&incident, &beside), @"
        # 14 % of requests to web fail

        ## Summary

        - Incident 12345678, severity page, about web: it lasted for 3:10.
        - Suspected most (87 %): release 12 of web, 3 min before the onset.
        - 1400 of 12000 requests failed (11.67 %).
        - _In one sentence for somebody who was not there: …_

        ## Impact

        | | |
        | --- | --- |
        | Onset | 2026-09-21 14:13:20 UTC |
        | End | 2026-09-21 14:16:30 UTC |
        | Time until an incident was opened | 30 s |
        | Time until somebody was woken | 31 s |
        | Time until somebody saw to it | 90 s (ada) |
        | Pages | 1 |
        | Requests that failed | 1400 of 12000, 11.67 % |
        | 95 of 100 requests took at most | 310 ms, usually 40 ms |
        | Failed at shop.example.com/cart | 1390 |

        ## Cause

        1. **release 12 of web, 3 min before the onset** (87 %)
           - replicas of release 12 fail 14.0 % of requests, those before 0.2 %

        _Was it the first of these? What else had to be so for it to hurt? …_

        ## Timeline

        - 2026-09-21 14:10:20 UTC daybook: suspected: release 12 of web, 3 min before the onset
        - 2026-09-21 14:13:20 UTC daybook: onset: the first alert began to hold
        - 2026-09-21 14:13:50 UTC daybook: opened: 14 % of requests to web fail
        - 2026-09-21 14:13:51 UTC daybook: paged ada (level 1)
        - 2026-09-21 14:13:52 UTC daybook: suspected most (87 %): release 12 of web, 3 min before the onset
        - 2026-09-21 14:14:50 UTC ada: acknowledged
        - 2026-09-21 14:15:20 UTC ada: swapped back to release 11
        - 2026-09-21 14:15:21 UTC ada: run began: rollback to 11
        - 2026-09-21 14:16:30 UTC daybook: Errors ceased
        - 2026-09-21 14:16:40 UTC daybook: 1400 of 12000 requests failed so far, most at shop.example.com/cart
        - 2026-09-21 14:26:40 UTC daybook: over: its alerts have ceased

        ## Actions taken

        - 2026-09-21 14:15:20 UTC: swapped back to release 11 (ada)

        ## Follow-ups

        - [ ] Mend what the release broke, and add the test that would have found it.
        - [ ] Would a canary share, or a longer probation, have swapped back by itself?
        - [ ] _What else? Who, and until when?_
        ");
    }

    #[test]
    fn words_of_others_are_no_markup() {
        let title = "<script>alert(1)</script> | [x](y)\n# huge";
        let opened = IncidentEvent::Opened {
            title: title.to_owned(),
            severity: Severity::Ticket,
            services: Default::default(),
            alert: None,
        };
        let beside = Beside { events: &[], zone: TimeZone::UTC, now: at(60) };
        let text = draft(&incident(vec![(0, "ada", opened)]), &beside);
        assert!(text.starts_with("# \\<script\\>alert(1)\\</script\\> \\| \\[x\\](y) \\# huge\n"), "{text}");
        assert!(text.contains("It is not over"));
        assert!(text.contains("A person found it"));
    }
}
