//! The page as one file of HTML: no script, nothing to fetch.

use std::fmt::Write as _;

use daybook_model::Timestamp;
use jiff::tz::TimeZone;

use super::{Component, Day, Page, PublicIncident, Standing, time_zone};
use crate::text::clock;

/// Colours have 4.5:1 against their background in both schemes; each state has a shape and a word besides.
const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1a1d21;--dim:#5b636d;--back:#fff;--line:#d9dde2;--works:#146c43;--maintenance:#0b5cad;\
--degraded:#8a5300;--outage:#b42318}\
@media(prefers-color-scheme:dark){:root{--text:#e8eaed;--dim:#a3abb5;--back:#15181c;--line:#343a42;--works:#57c98c;\
--maintenance:#79b8ff;--degraded:#f0b45a;--outage:#ff8a80}}\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:52rem;padding:1.5rem 1rem;background:var(--back);color:var(--text);\
font:1rem/1.5 system-ui,sans-serif}\
h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:0}\
.now{margin:1rem 0;padding:.8rem 1rem;border:2px solid;border-radius:.5rem;font-weight:600}\
.works{color:var(--works)}.maintenance{color:var(--maintenance)}.degraded{color:var(--degraded)}.outage{color:var(--outage)}\
ul{list-style:none;margin:0;padding:0}\
.component,.incident{padding:.8rem 0;border-top:1px solid var(--line)}\
.head{display:flex;justify-content:space-between;gap:1rem}\
svg{display:block;width:100%;height:2rem;margin:.4rem 0}svg rect{fill:currentColor}\
p{margin:.3rem 0}.dim{color:var(--dim);font-size:.9rem}time{white-space:nowrap}";

/// The whole page. It is made anew when something changes; a browser asks again after a minute.
pub fn render(page: &Page) -> String {
    let mut out = String::with_capacity(16_384);
    let zone = time_zone(&page.zone);
    let title = escape(&page.title);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"60\">\n<title>{title}: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <main>\n<h1>{title}</h1>\n<p class=\"now {}\" role=\"status\">{} {}</p>\n",
        escape(headline(page.standing)),
        page.standing.words(),
        mark(page.standing),
        escape(headline(page.standing)),
    );
    for window in &page.maintenance {
        let _ = writeln!(
            out,
            "<p class=\"maintenance\">{} {} until {}</p>",
            mark(Standing::Maintenance),
            escape(&window.title),
            moment(window.until, &zone)
        );
    }
    for window in &page.planned {
        let _ = writeln!(
            out,
            "<p class=\"dim\">Planned: {} from {} until {}</p>",
            escape(&window.title),
            moment(window.from, &zone),
            moment(window.until, &zone)
        );
    }
    out.push_str("<h2>Components</h2>\n<ul>\n");
    page.components.iter().for_each(|one| component(&mut out, one));
    out.push_str("</ul>\n<h2>Incidents of the last 90 days</h2>\n");
    if page.incidents.is_empty() {
        out.push_str("<p>None.</p>\n");
    } else {
        out.push_str("<ul>\n");
        page.incidents.iter().for_each(|one| incident(&mut out, one, &zone));
        out.push_str("</ul>\n");
    }
    let _ = writeln!(
        out,
        "</main>\n<footer><p class=\"dim\">As of {}.</p></footer>\n</body>\n</html>",
        moment(page.made, &zone)
    );
    out
}

fn headline(standing: Standing) -> &'static str {
    match standing {
        Standing::Works => "Everything works",
        Standing::Maintenance => "Maintenance goes on",
        Standing::Degraded => "Some of it does not work as it should",
        Standing::Outage => "There is an outage",
    }
}

/// Colours alone say nothing to many.
fn mark(standing: Standing) -> &'static str {
    match standing {
        Standing::Works => "✓",
        Standing::Maintenance => "⚙",
        Standing::Degraded => "▲",
        Standing::Outage => "✗",
    }
}

fn component(out: &mut String, component: &Component) {
    let name = escape(&component.name);
    let class = component.standing.words();
    let _ = writeln!(
        out,
        "<li class=\"component\"><div class=\"head\"><h3>{name}</h3><span class=\"{class}\">{} {class}</span></div>",
        mark(component.standing),
    );
    bars(out, component);
    let bad = component.days.iter().filter(|day| day.worst > Standing::Works).count();
    let _ = writeln!(
        out,
        "<p class=\"dim\">{} % without an outage in {} days; trouble on {bad} of them</p></li>",
        digits(component.uptime),
        component.days.len(),
    );
}

/// Never rounded up to a hundred: what was out was out.
fn digits(percent: f64) -> String {
    if percent >= 100.0 { "100".to_owned() } else { format!("{:.3}", (percent * 1_000.0).floor() / 1_000.0) }
}

/// One bar for each day. The picture has one text for those who do not see it; days say themselves when pointed at.
fn bars(out: &mut String, component: &Component) {
    let width = component.days.len() * 4;
    let label = format!("{}: {} % in {} days", component.name, digits(component.uptime), component.days.len());
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 {width} 24\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        escape(&label)
    );
    for (index, day) in component.days.iter().enumerate() {
        // The worse a day was, the taller is its bar.
        let height = match day.worst {
            Standing::Works => 8,
            Standing::Maintenance | Standing::Degraded => 16,
            Standing::Outage => 24,
        };
        let _ = write!(
            out,
            "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"3\" height=\"{height}\"><title>{}</title></rect>",
            day.worst.words(),
            index * 4,
            24 - height,
            day_words(day)
        );
    }
    out.push_str("</svg>\n");
}

fn day_words(day: &Day) -> String {
    let span = |ms: i64| clock(u64::try_from(ms).unwrap_or(0));
    match day.worst {
        Standing::Outage => format!("{}: out for {}", day.date, span(day.outage_ms)),
        Standing::Degraded => format!("{}: degraded for {}", day.date, span(day.degraded_ms)),
        other => format!("{}: {}", day.date, other.words()),
    }
}

fn incident(out: &mut String, incident: &PublicIncident, zone: &TimeZone) {
    let class = incident.standing.words();
    let _ = writeln!(
        out,
        "<li class=\"incident\"><h3><span class=\"{class}\">{}</span> {}</h3>",
        mark(incident.standing),
        escape(&incident.title)
    );
    let from = moment(incident.from, zone);
    let when = match incident.until {
        Some(until) => format!("From {from} until {}", moment(until, zone)),
        None => format!("Since {from}"),
    };
    let _ = writeln!(out, "<p class=\"dim\">{when}</p>");
    for (at, text) in &incident.updates {
        let _ = writeln!(out, "<p><span class=\"dim\">{}</span> {}</p>", moment(*at, zone), escape(text));
    }
    if incident.updates.is_empty() && incident.until.is_none() {
        out.push_str("<p>We are looking into it.</p>\n");
    }
    out.push_str("</li>\n");
}

fn moment(at: Timestamp, zone: &TimeZone) -> String {
    let there = at.to_zoned(zone.clone());
    format!("<time datetime=\"{}\">{}</time>", at.strftime("%Y-%m-%dT%H:%M:%SZ"), there.strftime("%Y-%m-%d %H:%M %Z"))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}
