//! What an environment costs, for people.

use std::fmt::Write as _;

use daybook_model::EnvKey;
use jiff::civil::Date;

use super::estimate::{Estimate, Host, Model, Terms, Unpriced};
use super::pack::Size;
use crate::text::amount;

/// Everything of one place, a line each.
pub fn render(key: &EnvKey, estimate: &Estimate, terms: &Terms) -> String {
    let mut out = format!("{key} at {}, {}\n\n", estimate.place, how_paid(estimate.model));
    let rows: Vec<_> = estimate
        .lines
        .iter()
        .map(|line| (line.subject.to_string(), line.how.clone(), estimate.currency.show(line.monthly)))
        .collect();
    let width = |of: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0)
    };
    let (names, hows, amounts) = (width(|row| &row.0), width(|row| &row.1), width(|row| &row.2));
    for (name, how, monthly) in &rows {
        let _ = writeln!(out, "  {name:names$}  {how:hows$}  {monthly:>amounts$}");
    }
    if !rows.is_empty() {
        out.push('\n');
    }
    for (nth, host) in estimate.hosts.iter().enumerate() {
        let head = if nth == 0 { "Machines" } else { "" };
        let _ = writeln!(out, "  {head:9} {}", machines(host, estimate, terms));
    }
    let _ = writeln!(out, "  {:9} {} a month", "Total", estimate.currency.show(estimate.total));
    for (nth, Unpriced { what, why }) in estimate.unpriced.iter().enumerate() {
        let head = if nth == 0 { "Without" } else { "" };
        let _ = writeln!(out, "  {head:9} {what}: {why}");
    }
    if let Some(oldest) = estimate.oldest {
        let _ = writeln!(out, "  {:9} {}", "Prices", dated(oldest, estimate.stale, terms.today));
    }
    out
}

/// All places, the best first; `most` of them.
pub fn table(estimates: &[Estimate], most: usize) -> String {
    let rows: Vec<[String; 4]> = estimates
        .iter()
        .take(most)
        .map(|estimate| {
            let on: Vec<_> = estimate.hosts.iter().map(|host| format!("{} × {}", host.count, host.sku)).collect();
            let on = if estimate.model == Model::Serverless { "cores and memory".to_owned() } else { on.join(", ") };
            let lacks: Vec<_> = estimate.unpriced.iter().map(|lacks| lacks.what.as_str()).collect();
            let stale = if estimate.stale { " *" } else { "" };
            let monthly = format!("{}{stale:2}", estimate.currency.show(estimate.total));
            [estimate.place.to_string(), monthly, on, lacks.join(", ")]
        })
        .collect();
    let heads = ["where", "a month  ", "on", "without"].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (places, amounts, ons) = (width(0), width(1), width(2));
    let mut out = String::new();
    for [place, monthly, on, lacks] in [&heads].into_iter().chain(&rows) {
        let line = format!("  {place:places$}  {monthly:>amounts$}  {on:ons$}  {lacks}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if estimates.len() > most {
        let _ = writeln!(out, "  … and {} more", estimates.len() - most);
    }
    if estimates.iter().take(most).any(|estimate| estimate.stale) {
        let _ = writeln!(out, "\n  *  a price in it is older than {} days", super::FRESH_DAYS);
    }
    out
}

fn how_paid(model: Model) -> &'static str {
    match model {
        Model::Machines => "on machines",
        Model::Serverless => "by cores and memory",
    }
}

fn machines(host: &Host, estimate: &Estimate, terms: &Terms) -> String {
    let Size { cpu_millis, memory_mib, .. } = host.size;
    let percent = |used: u64, each: u64| (used * 100).checked_div(each * host.count).unwrap_or(0);
    format!(
        "{} × {} ({}, {})  {} each; replicas may use {} % of the cores and {} % of the memory, {} % is kept free",
        host.count,
        host.sku,
        amount("cpu", cpu_millis),
        amount("memory", memory_mib << 20),
        estimate.currency.show(host.monthly),
        percent(host.used.cpu_millis, cpu_millis),
        percent(host.used.memory_mib, memory_mib),
        terms.headroom,
    )
}

fn dated(oldest: Date, stale: bool, today: Date) -> String {
    let days = (today - oldest).get_days();
    match stale {
        true => {
            format!("as of {oldest}, {days} days ago: look whether they still hold, or bring your own (--prices FILE)")
        }
        false => format!("as of {oldest}"),
    }
}
