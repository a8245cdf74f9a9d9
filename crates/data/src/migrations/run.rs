//! Running migrations.
//!
//! Where a server can take a change of its tables back, a migration and its row are one transaction: there is no state
//! between. Where it cannot, the row is there first and says that it has not come to its end; it stays when anything is
//! broken off.

use std::fmt;
use std::time::{Duration, Instant};

use crate::Dialect;
use crate::migrations::checksum;
use crate::migrations::error::{Error, Result, doing, failed};
use crate::migrations::history::{BASELINE, Kind, Row, cut_description, cut_script, last_rank};
use crate::migrations::name::Event;
use crate::migrations::prepared::{Prepared, index_beside_use};
use crate::migrations::script::{Statement, statements};
use crate::migrations::server::{self, NewRow, Refusal, Server};
use crate::migrations::set::{Migration, Migrations};
use crate::migrations::standing::{Options, Standing, name, pending, standings, version, wrong};
use crate::migrations::version::Version;

/// Until a lock that somebody holds is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How patient a run is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long somebody else may migrate the database.
    pub for_lock: Duration,
    /// How long a statement may wait for others that use its tables, while all who come after wait for it.
    pub for_tables: Duration,
    /// How often a migration that waited too long is tried again.
    pub tries: u32,
    /// Between two tries.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            for_lock: Duration::from_secs(50),
            for_tables: Duration::from_secs(3),
            tries: 10,
            pause: Duration::from_secs(2),
        }
    }
}

/// What happens, for whoever looks on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Somebody else migrates the database; this run waits.
    Waits,
    /// A migration begins.
    Begins {
        /// What it is.
        what: String,
        /// Which of those that are to be run, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// Others use its tables; it is tried again.
    Blocked {
        /// What it is.
        what: String,
        /// The try that is next.
        next_try: u32,
    },
    /// A migration has come to its end.
    Ran {
        /// What it is.
        what: String,
        /// How long it took.
        took: Duration,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waits => f.write_str("somebody else migrates the database; waiting"),
            Self::Begins { what, number, of } => write!(f, "{what}  ({number} of {of})"),
            Self::Blocked { what, next_try } => {
                write!(f, "{what} gave way to those who use its tables; try {next_try} follows")
            }
            Self::Ran { what, .. } => write!(f, "{what} is done"),
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What was run, in its order.
    pub ran: Vec<String>,
    /// The version of the database now.
    pub version: Option<String>,
}

/// A run on one database.
pub struct Run<'a> {
    /// The database.
    pub server: &'a mut dyn Server,
    /// The files.
    pub files: &'a Migrations,
    /// What it is held to.
    pub options: Options,
    /// How patient it is.
    pub patience: Patience,
    /// Who looks on.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl Run<'_> {
    /// Brings the database to the newest version, or to the one that was asked for.
    pub async fn migrate(&mut self) -> Result<Report> {
        self.lock().await?;
        let done = self.migrate_locked().await;
        self.end(done).await
    }

    /// Begins the history of a database that has none at a version that it is said to have.
    pub async fn baseline(&mut self, version: &Version, description: Option<&str>) -> Result<Report> {
        self.lock().await?;
        let done = self.baseline_locked(version, description.unwrap_or(BASELINE)).await;
        self.end(done).await
    }

    /// Makes the history fit: rows that were broken off go, those without a file are void, and those whose file has
    /// changed have its checksum. The database itself is left alone. Tells what it did.
    pub async fn repair(&mut self) -> Result<Report> {
        self.lock().await?;
        let done = self.repair_locked().await;
        self.end(done).await
    }

    /// Takes the newest versions back, down to and without `target`; only the newest when none is named.
    pub async fn undo(&mut self, target: Option<&Version>) -> Result<Report> {
        self.lock().await?;
        let done = self.undo_locked(target).await;
        self.end(done).await
    }

    /// Whether nothing is to be run, once nobody migrates any more. What was broken off is an error.
    pub async fn settled(&mut self) -> Result<bool> {
        self.lock().await?;
        let rows = self.rows().await;
        let rows = self.end(rows).await?;
        let wrong = wrong(self.files, &rows, &self.options);
        if wrong.is_empty() {
            Ok(pending(self.files, &rows, &self.options).is_empty())
        } else {
            Err(Error::Wrong(wrong))
        }
    }

    /// The rows of the history; none where there is none.
    pub async fn rows(&mut self) -> Result<Vec<Row>> {
        Ok(self.server.history().await.map_err(doing("read the history"))?.unwrap_or_default())
    }

    async fn lock(&mut self) -> Result<()> {
        self.options.know(self.server.facts());
        let began = Instant::now();
        while !self.server.try_lock().await.map_err(doing("take the lock of the history"))? {
            if began.elapsed() >= self.patience.for_lock {
                return Err(Error::Locked(self.patience.for_lock));
            }
            (self.progress)(Progress::Waits);
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(())
    }

    /// Gives the lock back, whatever came of the run.
    async fn end<T>(&mut self, done: Result<T>) -> Result<T> {
        let given_back = self.server.unlock().await.map_err(doing("give the lock of the history back"));
        let done = done?;
        given_back.map(|()| done)
    }

    async fn begin_history(&mut self) -> Result<Vec<Row>> {
        if let Some(rows) = self.server.history().await.map_err(doing("read the history"))? {
            return Ok(rows);
        }
        if !self.server.is_empty().await.map_err(doing("look at the schema"))? {
            return Err(Error::NotEmpty { schema: self.server.facts().schema.clone() });
        }
        self.server.create_history().await.map_err(doing("make the history"))?;
        Ok(Vec::new())
    }

    async fn migrate_locked(&mut self) -> Result<Report> {
        let rows = self.begin_history().await?;
        let wrong = wrong(self.files, &rows, &self.options);
        if !wrong.is_empty() {
            return Err(Error::Wrong(wrong));
        }
        let files = self.files;
        let to_run = pending(files, &rows, &self.options);
        let of = to_run.len();
        let mut rank = last_rank(&rows);
        let mut report = Report::default();
        self.callbacks(Event::BeforeMigrate).await?;
        let ran = async {
            let mut is_repeatable = false;
            for (number, standing) in to_run.iter().enumerate() {
                if standing.version.is_none() && !is_repeatable {
                    self.callbacks(Event::AfterVersioned).await?;
                    self.callbacks(Event::BeforeRepeatables).await?;
                    is_repeatable = true;
                }
                let what = name(standing);
                (self.progress)(Progress::Begins { what: what.clone(), number: number + 1, of });
                rank += 1;
                let began = Instant::now();
                self.run_one(standing, &what, rank).await?;
                (self.progress)(Progress::Ran { what: what.clone(), took: began.elapsed() });
                report.ran.push(what);
            }
            if !is_repeatable {
                self.callbacks(Event::AfterVersioned).await?;
            }
            if !report.ran.is_empty() {
                self.callbacks(Event::AfterMigrateApplied).await?;
            }
            self.callbacks(Event::AfterMigrate).await
        }
        .await;
        if let Err(error) = ran {
            // What failed first is what is told.
            let _ = self.callbacks(Event::AfterMigrateError).await;
            return Err(error);
        }
        report.version = self.version().await?;
        Ok(report)
    }

    pub(super) async fn version(&mut self) -> Result<Option<String>> {
        let rows = self.rows().await?;
        Ok(version(&standings(self.files, &rows, &self.options)).map(ToString::to_string))
    }

    /// Runs a migration, again while others use its tables.
    async fn run_one(&mut self, standing: &Standing<'_>, what: &str, rank: i32) -> Result<()> {
        let Some(migration) = standing.migration else { return Ok(()) };
        let text = self.fill(migration)?;
        let script = Prepared::of(migration, &text, self.server.dialect())?;
        let checksum = if standing.version.is_some() { migration.checksum() } else { checksum::of(&text) };
        let version = standing.version.map(ToString::to_string);
        let is_baseline = standing.version.is_some_and(|version| self.files.baselines.get(version) == Some(migration));
        let kind = if is_baseline { Kind::SqlBaseline } else { Kind::Sql };
        let (description, path) = (cut_description(&migration.description), cut_script(&migration.script));
        let row = NewRow {
            rank,
            version: version.as_deref(),
            description: &description,
            kind: &kind,
            script: &path,
            checksum: Some(checksum),
            took_ms: 0,
            success: true,
        };
        let mut next_try = 2;
        loop {
            let done = if script.in_transaction {
                self.in_transaction(&script, what, row, Each::Migrate).await
            } else {
                self.in_steps(&script, what, row).await
            };
            match done {
                Err(Error::Statement(failed))
                    if failed.refusal.is_lock && failed.is_taken_back && next_try <= self.patience.tries =>
                {
                    (self.progress)(Progress::Blocked { what: what.to_owned(), next_try });
                    next_try += 1;
                    tokio::time::sleep(self.patience.pause).await;
                }
                Err(error) => {
                    let _ = self.callbacks(Event::AfterEachMigrateError).await;
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    /// The script and its row, or neither.
    pub(super) async fn in_transaction(
        &mut self,
        script: &Prepared<'_>,
        what: &str,
        row: NewRow<'_>,
        each: Each,
    ) -> Result<()> {
        let began = Instant::now();
        self.begin().await?;
        let done = self.within(script, what, row, each, began).await;
        self.end_transaction(what, done).await
    }

    async fn within(
        &mut self,
        script: &Prepared<'_>,
        what: &str,
        row: NewRow<'_>,
        each: Each,
        began: Instant,
    ) -> Result<()> {
        if each == Each::Migrate {
            self.callbacks_within(Event::BeforeEachMigrate).await?;
        }
        self.statements(script, what, true).await?;
        self.server.reset().await.map_err(doing("give the session its settings back"))?;
        if each == Each::Migrate {
            self.callbacks_within(Event::AfterEachMigrate).await?;
        }
        if !self.server.is_locked().await {
            let refusal = Refusal { is_lost: true, ..Refusal::of("its connection broke") };
            return Err(Error::Server { doing: "hold the lock of the history".to_owned(), refusal });
        }
        self.server.add(NewRow { took_ms: millis(began), ..row }).await.map_err(doing("write the history"))
    }

    /// Begins a transaction, which [`Run::end_transaction`] must end.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.server.begin(self.patience.for_tables).await.map_err(doing("begin a transaction"))
    }

    /// Commits what was done, or leaves nothing of it.
    pub(super) async fn end_transaction<T>(&mut self, what: &str, done: Result<T>) -> Result<T> {
        let ended = match done {
            Ok(value) => self.server.commit().await.map_err(doing(&format!("commit {what}"))).map(|()| value),
            Err(error) => Err(error),
        };
        if ended.is_err() {
            // A connection that is gone has taken it back already.
            let _ = self.server.roll_back().await;
        }
        ended
    }

    /// A script that no transaction holds. Its row tells that it has begun, before it has.
    async fn in_steps(&mut self, script: &Prepared<'_>, what: &str, row: NewRow<'_>) -> Result<()> {
        let began = Instant::now();
        self.server.add(NewRow { success: false, ..row }).await.map_err(doing("write the history"))?;
        let done = async {
            self.server.wait_at_most(self.patience.for_tables).await.map_err(doing("set how long to wait"))?;
            self.callbacks_within(Event::BeforeEachMigrate).await?;
            self.statements(script, what, false).await?;
            self.server.reset().await.map_err(doing("give the session its settings back"))?;
            self.callbacks_within(Event::AfterEachMigrate).await
        }
        .await;
        match done {
            Ok(()) => self.server.complete(row.rank, millis(began)).await.map_err(doing("write the history")),
            Err(error) => {
                if let Error::Statement(failed) = &error
                    && failed.is_taken_back
                {
                    // Nothing of it is left, so that there is nothing to mend.
                    self.server.remove(row.rank).await.map_err(doing("write the history"))?;
                }
                let _ = self.server.reset().await;
                Err(error)
            }
        }
    }

    pub(super) async fn statements(&mut self, script: &Prepared<'_>, what: &str, in_transaction: bool) -> Result<()> {
        let is_undone = in_transaction && self.server.dialect() == Dialect::PostgreSql;
        for (number, statement) in script.statements.iter().enumerate() {
            let index = index_beside_use(statement.sql).filter(|_| self.server.dialect() == Dialect::PostgreSql);
            let Err(refusal) = self.statement(statement, index.as_deref()).await else { continue };
            if let Some(index) = &index {
                // If it cannot be dropped now, it is before it is made again.
                let _ = self.server.drop_broken_index(index).await;
            }
            let is_taken_back = is_undone || (!in_transaction && number == 0 && !refusal.is_lost);
            return Err(Error::Statement(Box::new(failed(script.migration, what, statement, refusal, is_taken_back))));
        }
        Ok(())
    }

    async fn statement(&mut self, statement: &Statement<'_>, index: Option<&str>) -> server::Result<()> {
        if let Some(index) = index {
            self.server.drop_broken_index(index).await?;
        }
        match statement.data {
            Some(data) => self.server.copy(statement.sql, data).await,
            None => self.server.execute(statement.sql).await,
        }
    }

    /// The callbacks of an event, each in a transaction.
    async fn callbacks(&mut self, event: Event) -> Result<()> {
        if !self.files.callbacks.contains_key(&event) {
            return Ok(());
        }
        self.begin().await?;
        let mut done = self.callbacks_within(event).await;
        if done.is_ok() {
            done = self.server.reset().await.map_err(doing("give the session its settings back"));
        }
        self.end_transaction("a callback", done).await
    }

    async fn callbacks_within(&mut self, event: Event) -> Result<()> {
        let files = self.files;
        for callback in files.callbacks.get(&event).into_iter().flatten().filter(|callback| callback.settings.runs) {
            let text = self.fill(callback)?;
            let statements = statements(&text, self.server.dialect());
            let script = Prepared { migration: callback, statements, in_transaction: true };
            self.statements(&script, &format!("callback {}", event.name()), true).await?;
        }
        Ok(())
    }

    pub(super) fn fill(&self, migration: &Migration) -> Result<String> {
        migration
            .filled(&self.options.placeholders)
            .map_err(|unknown| Error::Placeholder { script: migration.script.clone(), unknown })
    }
}

/// Which callbacks go with a script.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    Migrate,
    Undo,
}

fn millis(began: Instant) -> i32 {
    i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX)
}
