use std::pin::pin;

use clap::Args;
use daybook_api::Client;
use daybook_api::client::Exit;
use daybook_api::logs::{FoundLine, LogLineView, LogSearch, LogsFound, LogsQuery};
use daybook_model::{EnvKey, ReplicaId, ServiceName, Timestamp};
use futures::StreamExt as _;
use jiff::SignedDuration;

use crate::args::{self, Format};
use crate::context::{Ctx, now};
use crate::error::Result;
use crate::output::style::{BAD, DIM, WARN, paint};
use crate::output::{self, words};
use crate::server;

/// Show what replicas print.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Go on with new lines.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only from this time on: `10m` ago, or a time such as 2026-11-24T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Only so many of each replica's last lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// With the time of each line.
    #[arg(short, long)]
    timestamps: bool,
    /// Only of this replica: `web.3`.
    #[arg(long, value_name = "REPLICA")]
    replica: Option<ReplicaId>,
    /// Search the lines that are kept, also of replicas that are gone: `timeout`, `"lost connection"`, `/5\d\d$/`,
    /// `level>=warn`, `user=7`, `-health`, with blanks between. The newest 100, unless `-n` says otherwise.
    #[arg(short, long, value_name = "QUERY", conflicts_with = "follow")]
    search: Option<String>,
    /// Search until this time.
    #[arg(long, value_name = "TIME", value_parser = since, requires = "search")]
    until: Option<Timestamp>,
    /// Services; all by default.
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<ServiceName>,
}

impl Logs {
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<Exit> {
        let key = ctx.key().await?;
        let client = ctx.client().await?;
        let names: Vec<_> = self.services.iter().map(ToString::to_string).collect();
        if let Some(query) = &self.search {
            return self.search(ctx, client, &key, query, &names).await;
        }
        let query = LogsQuery {
            service: (!names.is_empty()).then(|| names.join(",")),
            replica: self.replica.clone(),
            since: self.since,
            tail: self.tail,
            follow: self.follow,
        };
        if !self.follow {
            return self.all(ctx, &client.logs(&key, &query).await?);
        }
        self.follow(ctx, &key, client.clone(), query).await
    }

    async fn search(&self, ctx: &Ctx, client: &Client, key: &EnvKey, query: &str, names: &[String]) -> Result<Exit> {
        let mut query = query.to_owned();
        if let Some(replica) = &self.replica {
            query.push_str(&format!(" replica:{replica}"));
        }
        let search = LogSearch {
            query: Some(query),
            service: (!names.is_empty()).then(|| names.join(",")),
            from: self.since,
            to: self.until,
            limit: self.tail,
            ..LogSearch::default()
        };
        let mut found = client.search_logs(key, &search).await?;
        // People read from the top; machines get the order that they asked for.
        if ctx.format() == Format::Table {
            found.lines.reverse();
        }
        let more = found.next.is_some();
        ctx.data(&found, |found| found_lines(found, now()))?;
        if more {
            let count = found.lines.len();
            ctx.say(&format!("there are more: these are the newest {count}; --until goes back, -n shows more"));
        }
        Ok(Exit::Ok)
    }

    /// Goes on across restarts of the server, after the last line that was seen. Ends when the server says
    /// that there is no more.
    async fn follow(&self, ctx: &Ctx, key: &EnvKey, mut client: Client, mut query: LogsQuery) -> Result<Exit> {
        let mut width = 0;
        loop {
            let mut lines = pin!(client.follow_logs(key, &query).await?);
            while let Some(line) = lines.next().await {
                let line = match line {
                    Err(error) if error.is_connection() => break,
                    line => line?,
                };
                width = width.max(line.replica.to_string().len());
                match ctx.format() {
                    Format::Table => output::text(&render(&line, width, self.timestamps))?,
                    _ => output::data(Format::Jsonl, &line, |_| String::new())?,
                }
                query.since = line.at.checked_add(SignedDuration::from_nanos(1)).ok();
                query.tail = None;
            }
            if client.version().await.is_ok() {
                return Ok(Exit::Ok);
            }
            client = server::wait(ctx).await?;
        }
    }

    fn all(&self, ctx: &Ctx, lines: &[LogLineView]) -> Result<Exit> {
        let width = lines.iter().map(|line| line.replica.to_string().len()).max().unwrap_or(0);
        ctx.data(&lines, |lines| lines.iter().map(|line| render(line, width, self.timestamps)).collect())?;
        Ok(Exit::Ok)
    }
}

fn found_lines(found: &LogsFound, now: Timestamp) -> String {
    if found.lines.is_empty() {
        return "no line that is kept says that\n".to_owned();
    }
    let width = found.lines.iter().map(|line| line.replica.len()).max().unwrap_or(0);
    let render = |line: &FoundLine| {
        let (time, name) = (paint(DIM, words::moment(line.at, now)), format!("{:width$}", line.replica));
        let name = line.replica.parse().map_or_else(|_| name.clone(), |replica| paint(colour(&replica), &name));
        let text = match line.level.as_deref() {
            Some("error" | "fatal") => paint(BAD, &line.text),
            Some("warn") => paint(WARN, &line.text),
            _ => line.text.clone(),
        };
        format!("{time}  {name} {} {text}\n", paint(DIM, if line.stderr { "!" } else { "|" }))
    };
    found.lines.iter().map(render).collect()
}

/// One line behind its replica's name, which has a colour of its own.
pub(super) fn render(line: &LogLineView, width: usize, timestamps: bool) -> String {
    let time = if timestamps { paint(DIM, words::moment(line.at, now())) + "  " } else { String::new() };
    let name = format!("{:width$}", line.replica.to_string());
    let bar = if line.stderr { "!" } else { "|" };
    format!("{time}{} {} {}\n", paint(colour(&line.replica), name), paint(DIM, bar), line.text)
}

/// The same for the same replica, and another for the next.
fn colour(replica: &ReplicaId) -> anstyle::Style {
    use anstyle::AnsiColor::{Blue, BrightCyan, BrightMagenta, Cyan, Green, Magenta, Yellow};
    const COLOURS: [anstyle::AnsiColor; 7] = [Cyan, Magenta, Yellow, Green, Blue, BrightCyan, BrightMagenta];
    let sum: u64 = replica.service.as_str().bytes().map(u64::from).sum();
    let index = usize::try_from((sum + replica.ordinal) % 7).expect("a remainder of 7 is small");
    COLOURS[index].on_default()
}

/// Reads a time, or a span before now.
fn since(text: &str) -> std::result::Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let wrong = || "write it as 10m, 2h, or 2026-11-24T12:00:00Z".to_owned();
    let span = args::duration(text).map_err(|_| wrong())?;
    let span = jiff::SignedDuration::try_from(span).map_err(|_| wrong())?;
    now().checked_sub(span).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::style::plain;

    #[test]
    fn a_line_stands_behind_its_replica_and_standard_error_is_marked() {
        let line = |replica: &str, stderr: bool| -> LogLineView {
            serde_json::from_value(serde_json::json!({
                "at": "2026-11-24T12:00:00Z", "replica": replica, "role": "main", "stderr": stderr, "text": "hello"
            }))
            .unwrap()
        };
        assert_eq!(plain(&render(&line("web.3", false), 8, false)), "web.3    | hello\n");
        assert_eq!(plain(&render(&line("worker.1", true), 8, false)), "worker.1 ! hello\n");
    }

    #[test]
    fn since_is_a_time_or_a_span() {
        assert_eq!(since("2026-11-24T12:00:00Z").unwrap().to_string(), "2026-11-24T12:00:00Z");
        assert!(since("10m").unwrap() < now());
        assert!(since("yesterday").is_err());
    }
}
