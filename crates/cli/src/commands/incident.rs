use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use daybook_api::client::Exit;
use daybook_api::incident::{ActionLine, IncidentView, IncidentsQuery, Marking, OpenIncident, SuspectView};
use daybook_model::Timestamp;

use crate::args::duration;
use crate::context::{Ctx, now};
use crate::error::{CommandError, Result};
use crate::output::style::{BAD, DIM, GOOD, STRONG, WARN, paint};
use crate::output::table::Table;
use crate::output::{self, words};

/// Between two askings whether an incident goes on.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// See what hurts users, what is suspected, and say who sees to it.
#[derive(Debug, Args)]
pub(crate) struct Incident {
    #[command(subcommand)]
    command: IncidentCommand,
}

#[derive(Debug, Subcommand)]
enum IncidentCommand {
    /// List incidents that go on
    Ls {
        /// Also those that have ended, and of every environment.
        #[arg(short, long)]
        all: bool,
    },
    /// Show an incident: what users feel, what is suspected, what happened
    Show {
        #[command(flatten)]
        one: One,
        /// Where none goes on, wait so long for one.
        #[arg(long, value_name = "TIME", value_parser = duration)]
        wait: Option<Duration>,
    },
    /// Say that you see to it
    Ack(One),
    /// Say that it is over
    Resolve {
        #[command(flatten)]
        one: One,
        /// What is said of it.
        #[arg(short, long, default_value = "")]
        note: String,
    },
    /// Say that it was not over
    Reopen {
        /// The incident.
        incident: String,
        /// Why.
        why: String,
    },
    /// Write something down
    Note {
        /// The incident.
        incident: String,
        /// What.
        text: String,
    },
    /// Tell the public something on the status page
    #[command(allow_missing_positional = true)]
    Publish {
        #[command(flatten)]
        one: One,
        /// What: a sentence or two.
        text: String,
    },
    /// Hand it over to somebody else
    HandOver {
        /// The incident.
        incident: String,
        /// Who sees to it from now on.
        to: String,
        /// What they have to know.
        #[arg(short, long, default_value = "")]
        note: String,
    },
    /// Open one that no alert told of
    Open {
        /// In one sentence.
        title: String,
        /// `page`, `ticket` or `info`.
        #[arg(short, long, default_value = "page")]
        severity: String,
        /// A service that it is about.
        #[arg(long = "service", value_name = "SERVICE")]
        services: Vec<String>,
    },
    /// Draft a post-mortem, as Markdown
    Postmortem(One),
}

#[derive(Debug, Args)]
struct One {
    /// The incident: by default the newest that goes on.
    incident: Option<String>,
}

impl Incident {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        match self.command {
            IncidentCommand::Ls { all } => return ls(ctx, all).await,
            IncidentCommand::Show { one, wait } => {
                if let Some(wait) = wait {
                    until_one(ctx, wait).await?;
                }
                let name = one.name(ctx).await?;
                let incident = ctx.client().await?.incident(&name).await?;
                ctx.data(&incident, |incident| render(incident, now()))?;
                next(ctx, &incident);
            }
            IncidentCommand::Ack(one) => mark(ctx, &one.name(ctx).await?, Marking::Acknowledge).await?,
            IncidentCommand::Resolve { one, note } => {
                mark(ctx, &one.name(ctx).await?, Marking::Resolve { note }).await?;
            }
            IncidentCommand::Reopen { incident, why } => mark(ctx, &incident, Marking::Reopen { why }).await?,
            IncidentCommand::Note { incident, text } => mark(ctx, &incident, Marking::Note { text }).await?,
            IncidentCommand::Publish { one, text } => publish(ctx, &one.name(ctx).await?, text).await?,
            IncidentCommand::HandOver { incident, to, note } => {
                mark(ctx, &incident, Marking::HandOver { to, note }).await?;
            }
            IncidentCommand::Open { title, severity, services } => {
                let opened = OpenIncident { key: ctx.key().await?, title, severity, services };
                let incident = ctx.client().await?.open_incident(&opened).await?;
                ctx.data(&incident, |incident| format!("{} incident {} is open\n", paint(BAD, "●"), incident.short))?;
            }
            IncidentCommand::Postmortem(one) => {
                let name = one.name_of_any(ctx).await?;
                output::text(&ctx.client().await?.postmortem(&name).await?)?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl One {
    async fn name(&self, ctx: &Ctx) -> Result<String> {
        self.newest(ctx, false).await
    }

    /// A post-mortem is written when it is over.
    async fn name_of_any(&self, ctx: &Ctx) -> Result<String> {
        self.newest(ctx, true).await
    }

    async fn newest(&self, ctx: &Ctx, all: bool) -> Result<String> {
        if let Some(name) = &self.incident {
            return Ok(name.clone());
        }
        let query = IncidentsQuery { key: Some(ctx.key().await?), all };
        let mut incidents = ctx.client().await?.incidents(&query).await?;
        // What is about the machine is everybody's, and comes after what is about this environment.
        incidents.sort_by_key(|incident| incident.key.is_none());
        let newest = incidents.into_iter().next().map(|incident| incident.id);
        newest.ok_or_else(|| {
            CommandError::failed("no incident goes on").hint("daybook incident ls --all lists those before")
        })
    }
}

/// Waits until an incident goes on whose cause has been looked for.
async fn until_one(ctx: &Ctx, wait: Duration) -> Result<()> {
    let query = IncidentsQuery { key: Some(ctx.key().await?), all: false };
    let began = Instant::now();
    while began.elapsed() < wait {
        let incidents = ctx.client().await?.incidents(&query).await?;
        if incidents.iter().any(|incident| incident.impact.is_some()) {
            return Ok(());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

async fn mark(ctx: &Ctx, name: &str, marking: Marking) -> Result<()> {
    let incident = ctx.client().await?.mark_incident(name, &marking).await?;
    ctx.data(&incident, |incident| format!("{} incident {}: {}\n", paint(GOOD, "✓"), incident.short, incident.state))
}

/// Says where the public reads it, or that it does not.
async fn publish(ctx: &Ctx, name: &str, text: String) -> Result<()> {
    let client = ctx.client().await?;
    let incident = client.mark_incident(name, &Marking::Publish { text }).await?;
    let pages = match &incident.key {
        Some(key) => super::open::status_pages(&client.status(key).await?),
        None => Vec::new(),
    };
    ctx.data(&incident, |incident| match pages.as_slice() {
        [] => {
            let mark = paint(WARN, "!");
            format!("{mark} incident {}: noted, but no status page shows it; `docs/status-page.md`\n", incident.short)
        }
        pages => format!("{} incident {}: published at {}\n", paint(GOOD, "✓"), incident.short, pages.join(", ")),
    })
}

async fn ls(ctx: &Ctx, all: bool) -> Result<Exit> {
    let key = if all { None } else { Some(ctx.key().await?) };
    let incidents = ctx.client().await?.incidents(&IncidentsQuery { key, all }).await?;
    ctx.data(&incidents, |incidents| table(incidents, all, now()))?;
    if let Some(first) = incidents.first() {
        ctx.next(&format!("what is suspected: {}", ctx.command(&format!("incident show {}", first.short))));
    }
    Ok(Exit::Ok)
}

fn next(ctx: &Ctx, incident: &IncidentView) {
    let suspect = incident.suspects.first().and_then(|suspect| suspect.command.clone());
    match (incident.state.as_str(), suspect) {
        ("open", Some(command)) => ctx.next(&command),
        ("open", None) => ctx.next(&ctx.command(&format!("incident ack {}", incident.short))),
        ("resolved", _) => ctx.next(&ctx.command(&format!("incident postmortem {}", incident.short))),
        _ => {}
    }
}

fn table(incidents: &[IncidentView], of_all: bool, now: Timestamp) -> String {
    if incidents.is_empty() {
        return "no incident goes on\n".to_owned();
    }
    let mut head = vec!["INCIDENT", "STATE", "SEVERITY", "BEGAN", "WHAT", "SUSPECTED"];
    if of_all {
        head.insert(1, "OF");
    }
    let mut table = Table::new(&head);
    for incident in incidents {
        let mut row = vec![
            incident.short.clone(),
            state(incident),
            incident.severity.clone(),
            words::ago(incident.onset, now),
            incident.title.clone(),
            incident.suspects.first().map(|suspect| suspect.title.clone()).unwrap_or_default(),
        ];
        if of_all {
            row.insert(1, incident.key.as_ref().map_or("the machine".to_owned(), ToString::to_string));
        }
        table.row(row);
    }
    table.render()
}

fn state(incident: &IncidentView) -> String {
    match incident.state.as_str() {
        "open" => paint(BAD, "open"),
        "acknowledged" => paint(WARN, "acknowledged"),
        state => paint(DIM, state),
    }
}

fn render(incident: &IncidentView, now: Timestamp) -> String {
    let mut out = format!("{} {}  {}\n", state(incident), incident.short, paint(STRONG, &incident.title));
    let mut line = |text: String| _ = writeln!(out, "  {text}");
    let began = words::ago(incident.onset, now);
    let ended = incident.ended.map(|ended| format!(", ended {}", words::ago(ended, now))).unwrap_or_default();
    line(format!("{}, began {began}{ended}", incident.severity));
    if let Some(who) = incident.owner.as_ref().or(incident.acknowledged_by.as_ref()) {
        line(format!("{who} sees to it"));
    }
    if let Some(impact) = &incident.impact {
        let p95 = impact.p95_ms.map(|(usual, now)| format!("; p95 {now} ms, {usual} ms half an hour before"));
        let (failed, all) = (words::count(impact.failed), words::count(impact.requests));
        line(format!("users: {failed} of {all} requests failed{}", p95.unwrap_or_default()));
        for one in &impact.routes {
            line(format!("       {} at {}", words::count(one.failed), one.route));
        }
    }
    out.push_str("\nalerts\n");
    for alert in &incident.alerts {
        let mark = if alert.ended.is_some() { paint(DIM, "○") } else { paint(BAD, "●") };
        let _ = writeln!(out, "  {mark} {}  {}", alert.name, alert.summary);
    }
    if !incident.suspects.is_empty() {
        out.push_str("\nsuspected\n");
        incident.suspects.iter().enumerate().for_each(|(i, one)| suspect(&mut out, i, one));
    }
    if !incident.actions.is_empty() {
        out.push_str("\ndone about it\n");
        incident.actions.iter().for_each(|taken| action(&mut out, taken, now));
    }
    let is_mended_by_itself = incident.actions.iter().any(|taken| taken.rule.is_some());
    for (place, why) in incident.left_alone.iter().filter(|_| !is_mended_by_itself).enumerate() {
        out.push_str(if place == 0 { "\nby itself: nothing, because\n" } else { "" });
        let _ = writeln!(out, "  {why}");
    }
    out.push_str("\ntimeline\n");
    for happened in &incident.timeline {
        let at = paint(DIM, words::moment(happened.at, now));
        let _ = writeln!(out, "  {at}  {:8} {}", happened.by, happened.text);
    }
    out
}

fn action(out: &mut String, taken: &ActionLine, now: Timestamp) {
    let rule = taken.rule.as_ref().map(|rule| format!(", by itself: rule {}", paint(STRONG, rule)));
    let at = paint(DIM, words::moment(taken.at, now));
    let _ = writeln!(out, "  {at}  {:8} {}{}", taken.by, taken.what, rule.unwrap_or_default());
}

/// The first with all that speaks for it, the others in a line.
fn suspect(out: &mut String, place: usize, suspect: &SuspectView) {
    let title = if place == 0 { paint(STRONG, &suspect.title) } else { suspect.title.clone() };
    let _ = writeln!(out, "  {:>3} %  {title}", suspect.share);
    if place > 0 {
        return;
    }
    for evidence in &suspect.evidence {
        let _ = writeln!(out, "         {evidence}");
    }
    if let (Some(next), Some(command)) = (&suspect.next, &suspect.command) {
        let _ = writeln!(out, "         → {next}: {}", paint(STRONG, command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn an_incident_says_what_users_feel_and_what_is_suspected() {
        let incident: IncidentView = serde_json::from_str(
            r#"{"id": "0", "short": "1a2b3c4d", "key": "shop/production", "title": "10% of requests to web fail", "severity": "page",
                "state": "open", "opened": "2026-11-24T11:58:30Z", "onset": "2026-11-24T11:58:00Z", "services": ["web"],
                "alerts": [{"name": "HttpErrors", "severity": "page", "summary": "10% fail", "labels": {}, "started": "2026-11-24T11:58:00Z"}],
                "impact": {"requests": 1000, "failed": 98, "p95_ms": [12, 40],
                    "routes": [{"route": "shop.example.com/api", "failed": 96}, {"route": "shop.example.com/", "failed": 2}]},
                "suspects": [{"kind": "release", "title": "release 12 of web", "at": "2026-11-24T11:57:00Z", "share": 84,
                    "evidence": ["it came into force 1 min before"], "next": "swap back to release 11", "command": "daybook rollback 11"},
                    {"kind": "job", "title": "job report", "at": "2026-11-24T11:00:00Z", "share": 4, "evidence": []}],
                "left_alone": ["go-back: 84 % is suspected of it, and 90 % is asked for", "more: it may not swap back"],
                "timeline": [{"at": "2026-11-24T11:58:30Z", "by": "daybook", "text": "opened"}]}"#,
        )
        .unwrap();
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let text = plain(&render(&incident, now));
        for line in [
            "open 1a2b3c4d  10% of requests to web fail",
            "  users: 98 of 1,000 requests failed; p95 40 ms, 12 ms half an hour before",
            "         96 at shop.example.com/api",
            "         2 at shop.example.com/",
            "  ● HttpErrors  10% fail",
            "   84 %  release 12 of web",
            "         it came into force 1 min before",
            "         → swap back to release 11: daybook rollback 11",
            "    4 %  job report",
            "by itself: nothing, because",
            "  go-back: 84 % is suspected of it, and 90 % is asked for",
            "  more: it may not swap back",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("done about it"), "{text}");
        let taken = ActionLine {
            at: incident.opened,
            by: "daybook".to_owned(),
            what: "swap back to release 11".to_owned(),
            run: None,
            rule: Some("go-back".to_owned()),
        };
        let text = plain(&render(&IncidentView { actions: vec![taken], ..incident }, now));
        assert!(text.contains("daybook  swap back to release 11, by itself: rule go-back\n"), "{text}");
        assert!(!text.contains("because"), "{text}");
    }
}
