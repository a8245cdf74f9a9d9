//! `daybook db`: migrations of a database that a URL names, or that a manifest does.

mod named;
mod render;
mod shell;
mod upgrade;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use daybook_api::client::Exit;
use daybook_api::database::{HistoryChanged, TuneView};
use daybook_data::migrations::error::Error;
use daybook_data::migrations::history::{Row, TABLE};
use daybook_data::migrations::run::{Patience, Progress, Run};
use daybook_data::migrations::server::{Facts, Place, Refusal, Server, connect, dialect_of};
use daybook_data::migrations::set::{Migrations, read_directory};
use daybook_data::migrations::standing::{Options, pending, standings, wrong};
use daybook_data::migrations::version::Version;
use daybook_data::{Dialect, tune};
use daybook_model::DatabaseName;
use indicatif::ProgressBar;

use crate::context::Ctx;
use crate::error::{CommandError, Result};
use crate::output::style::{DIM, GOOD, WARN, paint};
use crate::output::{self, words};
use crate::terminal;

/// Migrate a database, by Flyway's files, history and locks.
///
/// PostgreSQL, MySQL and MariaDB. A database that Flyway has managed can be continued, and the other way round.
#[derive(Debug, Args)]
pub(crate) struct Db {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show which migrations were run and which are to be run.
    Status {
        #[command(flatten)]
        database: Database,
    },
    /// Show what would make a PostgreSQL faster, smaller or safer, with the evidence and the statement to run.
    ///
    /// By its own statistics: missing, double, broken and unused indexes, queries that take most of the time, rows that are
    /// gone and take room, connections. Where HypoPG is installed, indexes are tried without being made. Changes nothing.
    Tune {
        /// A database of the manifest.
        #[arg(value_name = "NAME")]
        name: Option<DatabaseName>,
        /// Or any database: `postgres://USER@HOST/NAME`.
        #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
        url: Option<String>,
    },
    /// Open the client of a database that Daybook runs, as who may do everything in it: `psql` or `mariadb`.
    Shell {
        /// A database of the manifest.
        #[arg(value_name = "NAME")]
        name: Option<DatabaseName>,
        /// What the client is told: `daybook db shell db -- -c "select 1"`.
        #[arg(value_name = "ARGUMENTS", last = true)]
        arguments: Vec<String>,
    },
    /// Go to another series of a database server, whose files the one that is there cannot take over.
    ///
    /// Change the version of its `engine` in the manifest, then this. A copy of the new server takes in what the database
    /// holds, and every row and every owner is compared: that is the rehearsal, which changes nothing and tells how long it
    /// takes. Then what uses the database is stopped, it is backed up, the new server begins with no files and is filled from
    /// that backup, and what uses it starts again. Whatever fails brings the old server back, with its own files as they were.
    Upgrade {
        /// A database of the manifest.
        #[arg(value_name = "NAME")]
        name: DatabaseName,
        /// Only rehearse it.
        #[arg(long)]
        rehearse: bool,
        /// Remove the files that the server before an upgrade has left.
        #[arg(long, conflicts_with = "rehearse")]
        finish: bool,
    },
    /// Run what is to be run, in its order.
    ///
    /// Each migration is whole or not there, where the database can take a change of its tables back. One that would keep
    /// others waiting for a table gives way, and is tried again.
    Migrate {
        #[command(flatten)]
        database: Database,
        /// The last version that is run.
        #[arg(long, value_name = "VERSION", value_parser = version)]
        to: Option<Version>,
        /// Only print the statements that would be run.
        #[arg(long)]
        dry_run: bool,
        /// How long a statement may wait for those who use its tables, while all who come later wait for it.
        #[arg(long, value_name = "TIME", default_value = "3s", value_parser = crate::args::duration)]
        lock_timeout: Duration,
    },
    /// Compare the files with the history: exit code 1 if they do not fit.
    Validate {
        #[command(flatten)]
        database: Database,
    },
    /// Begin the history of a database that was there before its migrations.
    Baseline {
        /// The version that the database has.
        #[arg(value_name = "VERSION", value_parser = version)]
        version: Version,
        #[command(flatten)]
        database: Database,
    },
    /// Make the history fit the files: forget what was broken off or whose file is gone, accept files as they are.
    ///
    /// Nothing but the history is changed.
    Repair {
        #[command(flatten)]
        database: Database,
    },
    /// Take the newest version back, by its undo script.
    Undo {
        #[command(flatten)]
        database: Database,
        /// Take everything after this version back.
        #[arg(long, value_name = "VERSION", value_parser = version)]
        to: Option<Version>,
    },
}

/// Where migrations are looked for.
const DIRECTORY: &str = "migrations";

/// Which database, and which files.
#[derive(Debug, Args)]
struct Database {
    /// A database of the manifest, with the migrations of the release in force.
    #[arg(value_name = "NAME")]
    name: Option<DatabaseName>,
    /// Or any database: `postgres://USER@HOST/NAME` or `mysql://USER@HOST/NAME`.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    url: Option<String>,
    /// The directory of the migrations.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY, value_hint = ValueHint::DirPath)]
    migrations: PathBuf,
    /// PostgreSQL's schema, instead of the first of the search path.
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// The table of the history.
    #[arg(long, value_name = "NAME", default_value = TABLE)]
    table: String,
    /// What `${NAME}` in a script stands for. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = placeholder)]
    placeholder: Vec<(String, String)>,
    /// Run versions below one that was run already.
    #[arg(long)]
    out_of_order: bool,
}

fn version(text: &str) -> std::result::Result<Version, String> {
    Version::parse(text).ok_or_else(|| "numbers with dots between them, as in 1.2".to_owned())
}

fn placeholder(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "write NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Action {
    /// The database of the manifest that is meant, if one is.
    fn name(&self) -> Option<&DatabaseName> {
        let name = match self {
            Self::Tune { name, .. } | Self::Shell { name, .. } => name,
            Self::Upgrade { name, .. } => return Some(name),
            Self::Status { database }
            | Self::Migrate { database, .. }
            | Self::Validate { database }
            | Self::Baseline { database, .. }
            | Self::Repair { database }
            | Self::Undo { database, .. } => &database.name,
        };
        name.as_ref()
    }
}

impl Db {
    /// The code that the process exits with: ours, or that of a client.
    pub(crate) async fn run(self, ctx: &Ctx) -> Result<u8> {
        match self.action.name().cloned() {
            Some(name) => named::run(ctx, &name, self.action).await,
            None => Ok(by_url(ctx, self.action).await?.code()),
        }
    }
}

/// Carries out what is asked of the database that a URL names.
async fn by_url(ctx: &Ctx, action: Action) -> Result<Exit> {
    match action {
        Action::Shell { .. } | Action::Upgrade { .. } => Err(no_database()),
        Action::Tune { url, .. } => tune(ctx, url).await,
        Action::Status { database } => database.open().await?.status(ctx).await,
        Action::Validate { database } => database.open().await?.validate(ctx).await,
        Action::Migrate { database, to, dry_run, lock_timeout } => {
            let mut opened = database.open().await?;
            opened.options.target = to;
            opened.patience.for_tables = lock_timeout;
            if dry_run { opened.dry_run().await } else { opened.change(ctx, Change::Migrate).await }
        }
        Action::Baseline { database, version } => database.open().await?.change(ctx, Change::Baseline(version)).await,
        Action::Repair { database } => {
            let opened = database.open().await?;
            confirm(ctx, "change the history of", &opened.name())?;
            opened.change(ctx, Change::Repair).await
        }
        Action::Undo { database, to } => {
            let opened = database.open().await?;
            confirm(ctx, "take versions back in", &opened.name())?;
            opened.change(ctx, Change::Undo(to)).await
        }
    }
}

/// Between two pictures of what turns while a migration runs.
const TICK: Duration = Duration::from_millis(100);

enum Change {
    Migrate,
    Baseline(Version),
    Repair,
    Undo(Option<Version>),
}

/// A database and its files.
struct Opened {
    server: Box<dyn Server>,
    files: Migrations,
    directory: PathBuf,
    options: Options,
    patience: Patience,
}

impl Database {
    /// Reads the files and connects.
    async fn open(self) -> Result<Opened> {
        let directory = self.migrations;
        let files = read_directory(&directory).map_err(|error| {
            CommandError::io(format!("read {}", directory.display()), &error)
                .hint("name the directory of the migrations: --migrations DIR")
        })?;
        let files = Migrations::read(&files).map_err(|problems| {
            let all: Vec<_> = problems.iter().map(|problem| format!("{}: {problem}", directory.display())).collect();
            CommandError::failed(all.join("\n"))
        })?;
        let url = self.url.ok_or_else(no_database)?;
        let place = Place { url, schema: self.schema, table: self.table };
        let server = connect(&place).await.map_err(|refusal| unreachable(&refusal))?;
        let placeholders = self.placeholder.into_iter().collect();
        let mut options = Options { target: None, out_of_order: self.out_of_order, placeholders };
        options.know(server.facts());
        Ok(Opened { server, files, directory, options, patience: Patience::default() })
    }
}

fn no_database() -> CommandError {
    CommandError::usage("nothing says which database is meant")
        .hint("name one of the manifest's, `daybook db status NAME`, or give --url")
}

async fn tune(ctx: &Ctx, url: Option<String>) -> Result<Exit> {
    let url = url.ok_or_else(no_database)?;
    if dialect_of(&url) != Some(Dialect::PostgreSql) {
        return Err(CommandError::usage("only PostgreSQL is looked at").hint("--url postgres://USER@HOST/NAME"));
    }
    let seen = tune::look(&url).await.map_err(|refusal| unreachable(&refusal))?;
    advise(ctx, &TuneView::of(tune::advise(&seen), seen.could_try))
}

fn advise(ctx: &Ctx, view: &TuneView) -> Result<Exit> {
    ctx.data(view, render::advice)?;
    if !view.tried_indexes {
        ctx.next("indexes are tried without being made where HypoPG is installed");
    }
    Ok(Exit::Ok)
}

fn unreachable(refusal: &Refusal) -> CommandError {
    CommandError::failed(format!("connect to the database: {refusal}"))
        .hint("look at --url, or DATABASE_URL: postgres://USER:PASSWORD@HOST:PORT/NAME")
}

impl Opened {
    async fn rows(&mut self) -> Result<Vec<Row>> {
        let rows = self.server.history().await;
        let failed = |refusal| CommandError::failed(format!("read the history: {refusal}"));
        Ok(rows.map_err(failed)?.unwrap_or_default())
    }

    async fn status(mut self, ctx: &Ctx) -> Result<Exit> {
        let rows = self.rows().await?;
        let all = standings(&self.files, &rows, &self.options);
        let wrong = wrong(&self.files, &rows, &self.options).iter().map(ToString::to_string).collect();
        let view = daybook_server::database_view(self.server.as_ref(), &all, wrong);
        ctx.data(&view, render::status)?;
        if !view.wrong.is_empty() {
            say_wrong(ctx, &view.wrong);
        } else if pending(&self.files, &rows, &self.options).is_empty() {
            ctx.next("nothing is to be run");
        } else {
            let place = match self.directory.as_os_str() == DIRECTORY {
                true => String::new(),
                false => format!(" --migrations {}", self.directory.display()),
            };
            ctx.next(&format!("run them: daybook db migrate{place}      see them first: the same with --dry-run"));
        }
        Ok(Exit::Ok)
    }

    async fn validate(mut self, ctx: &Ctx) -> Result<Exit> {
        let rows = self.rows().await?;
        let found = wrong(&self.files, &rows, &self.options);
        if found.is_empty() {
            ctx.say(&format!("{} the files fit the history of {}", paint(GOOD, "✓"), self.name()));
            return Ok(Exit::Ok);
        }
        Err(explained(&Error::Wrong(found)))
    }

    /// Prints what would be run.
    async fn dry_run(mut self) -> Result<Exit> {
        let rows = self.rows().await?;
        let found = wrong(&self.files, &rows, &self.options);
        if !found.is_empty() {
            return Err(explained(&Error::Wrong(found)));
        }
        let mut text = String::new();
        for standing in pending(&self.files, &rows, &self.options) {
            let Some(migration) = standing.migration else { continue };
            text.push_str(&format!(
                "-- {}\n{}\n\n",
                self.directory.join(&migration.script).display(),
                migration.text.trim()
            ));
        }
        output::text(&text)?;
        Ok(Exit::Ok)
    }

    fn name(&self) -> String {
        name(self.server.facts())
    }

    async fn change(mut self, ctx: &Ctx, change: Change) -> Result<Exit> {
        let name = self.name();
        let now = terminal::shows_progress().then(ProgressBar::new_spinner);
        if let Some(now) = &now {
            now.enable_steady_tick(TICK);
        }
        let progress = |progress: Progress| match (&progress, &now) {
            (Progress::Begins { .. }, Some(now)) => now.set_message(progress.to_string()),
            (Progress::Begins { .. }, None) => {}
            (_, Some(now)) => now.suspend(|| ctx.say(&told(&progress))),
            (_, None) => ctx.say(&told(&progress)),
        };
        let mut run = Run {
            server: self.server.as_mut(),
            files: &self.files,
            options: self.options,
            patience: self.patience,
            progress: &progress,
        };
        let done = match &change {
            Change::Migrate => run.migrate().await,
            Change::Baseline(version) => run.baseline(version, None).await,
            Change::Repair => run.repair().await,
            Change::Undo(to) => run.undo(to.as_ref()).await,
        };
        if let Some(now) = now {
            now.finish_and_clear();
        }
        let report = done.map_err(|error| explained(&error))?;
        let done = HistoryChanged { did: report.ran, version: report.version };
        tell(ctx, &name, &done, !matches!(change, Change::Migrate))?;
        Ok(Exit::Ok)
    }
}

/// The history is what tells others what was run.
fn confirm(ctx: &Ctx, what: &str, name: &str) -> Result<()> {
    if ctx.global.yes {
        return Ok(());
    }
    if !ctx.may_ask() {
        return Err(CommandError::usage(format!("to {what} {name} needs a yes")).hint("answer with --yes"));
    }
    match terminal::confirm(&format!("{what} {name}?"))? {
        true => Ok(()),
        false => Err(CommandError::said(Exit::Failed)),
    }
}

fn say_wrong(ctx: &Ctx, wrong: &[String]) {
    wrong.iter().for_each(|wrong| ctx.say(&format!("{} {wrong}", paint(WARN, "!"))));
}

/// What was done. A migration has told of each step already.
fn tell(ctx: &Ctx, name: &str, done: &HistoryChanged, lists: bool) -> Result<()> {
    if ctx.format() != crate::args::Format::Table {
        return ctx.data(done, |_| String::new());
    }
    if lists {
        done.did.iter().for_each(|did| ctx.say(&format!("  {did}")));
    }
    let at = done.version.as_ref().map_or("has no version".to_owned(), |version| format!("is at version {version}"));
    let nothing = if done.did.is_empty() { "; there was nothing to do" } else { "" };
    ctx.say(&format!("{} {name} {at}{nothing}", paint(GOOD, "✓")));
    Ok(())
}

fn told(progress: &Progress) -> String {
    match progress {
        Progress::Waits => paint(DIM, format!("  {progress}")),
        Progress::Begins { what, .. } => format!("  {what}"),
        Progress::Blocked { .. } => format!("  {} {progress}", paint(WARN, "!")),
        Progress::Ran { what, took } => {
            let took = words::took(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
            format!("  {} {what}  {}", paint(GOOD, "✓"), paint(DIM, took))
        }
    }
}

/// An error with what a person may do.
fn explained(error: &Error) -> CommandError {
    let failed = CommandError::failed(error.to_string());
    match error.hint() {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

fn name(facts: &Facts) -> String {
    if facts.schema == facts.database { facts.database.clone() } else { format!("{}.{}", facts.database, facts.schema) }
}
