//! What happens to incidents, in words.

use daybook_model::incident::{Ending, IncidentEvent};

/// What happened, as a timeline and `daybook events` show it.
pub fn words(event: &IncidentEvent) -> String {
    match event {
        IncidentEvent::Opened { title, .. } => format!("opened: {title}"),
        IncidentEvent::Joined { alert, why } => format!("{} fires ({why}): {}", alert.name, alert.summary),
        IncidentEvent::AlertEnded { alert, .. } => {
            format!("{} ceased", alert.split('{').next().unwrap_or(alert))
        }
        IncidentEvent::Regraded { severity, why } => with(format!("severity is {} now", severity.word()), why),
        IncidentEvent::Paged { level, round, who, .. } => {
            let again = if *round > 0 { ", once more" } else { "" };
            format!("paged {} (level {level}{again})", listed(who))
        }
        IncidentEvent::Acknowledged => "acknowledged".to_owned(),
        IncidentEvent::HandedOver { to, note } => with(format!("handed over to {to}"), note),
        IncidentEvent::Noted { text } => format!("note: {text}"),
        IncidentEvent::Published { text } => format!("told the public: {text}"),
        IncidentEvent::Felt { impact } => {
            let most = impact.routes.first().map(|(route, _)| format!(", most at {route}")).unwrap_or_default();
            format!("{} of {} requests failed so far{most}", impact.failed, impact.requests)
        }
        IncidentEvent::Suspected { suspects } => match suspects.first() {
            Some(first) => format!("suspected most ({} %): {}", first.share, first.title),
            None => "nothing is suspected".to_owned(),
        },
        IncidentEvent::Acted { what, rule: Some(rule), .. } => format!("{what} (rule {rule})"),
        IncidentEvent::Acted { what, .. } => what.clone(),
        IncidentEvent::MergedInto { other, why } => with(format!("became a part of {}", other.short()), why),
        IncidentEvent::Resolved { ending: Ending::Quiet, note } => {
            with("over: its alerts have ceased".to_owned(), note)
        }
        IncidentEvent::Resolved { ending: Ending::ByHand, note } => with("resolved".to_owned(), note),
        IncidentEvent::Reopened { why, .. } => with("opened again".to_owned(), why),
    }
}

fn with(text: String, more: &str) -> String {
    if more.is_empty() { text } else { format!("{text}: {more}") }
}

fn listed(who: &[String]) -> String {
    if who.is_empty() { "nobody".to_owned() } else { who.join(", ") }
}
