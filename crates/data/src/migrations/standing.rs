//! How each migration stands, what is wrong, and what is to be run: by the files and by the history.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::migrations::checksum;
use crate::migrations::history::{Kind, Row};
use crate::migrations::placeholder::Placeholders;
use crate::migrations::server::Facts;
use crate::migrations::set::{Migration, Migrations};
use crate::migrations::version::Version;

/// What a run is held to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Versions beyond this one wait. `None`: none waits.
    pub target: Option<Version>,
    /// Whether a version below one that was run may still be run.
    pub out_of_order: bool,
    /// What scripts are filled in with.
    pub placeholders: Placeholders,
}

impl Options {
    /// Takes in what placeholders of every script stand for in this database.
    pub fn know(&mut self, facts: &Facts) {
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        for (name, value) in [
            ("defaultSchema", facts.schema.as_str()),
            ("user", &facts.user),
            ("database", &facts.database),
            ("timestamp", &now),
            ("workingDirectory", "."),
            ("table", &facts.table),
        ] {
            self.placeholders.set(&format!("flyway:{name}"), value);
        }
    }
}

/// The state of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// To be run.
    Pending,
    /// To be run later: beyond the target.
    AboveTarget,
    /// The database had it before its history began.
    BelowBaseline,
    /// A version beyond it was run already.
    Ignored,
    /// The begin of a history.
    Baseline,
    /// Run.
    Applied,
    /// Run after a version beyond it.
    OutOfOrder,
    /// Begun, and broken off.
    Failed,
    /// Run, and its file is gone.
    Missing,
    /// Run by somebody who knows more versions.
    Future,
    /// Run, and taken back.
    Undone,
    /// Run, and to be run again: its file has changed.
    Outdated,
    /// Run, and run again since.
    Superseded,
    /// Its script says that it is not run.
    Skipped,
}

impl State {
    /// Whether the database has what the migration does.
    pub fn is_there(self) -> bool {
        matches!(self, Self::Baseline | Self::Applied | Self::OutOfOrder | Self::Missing | Self::Future)
    }

    /// Whether the migration is to be run.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::Outdated)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::AboveTarget => "above target",
            Self::BelowBaseline => "below baseline",
            Self::Ignored => "ignored",
            Self::Baseline => "baseline",
            Self::Applied => "applied",
            Self::OutOfOrder => "out of order",
            Self::Failed => "failed",
            Self::Missing => "missing",
            Self::Future => "future",
            Self::Undone => "undone",
            Self::Outdated => "outdated",
            Self::Superseded => "superseded",
            Self::Skipped => "skipped",
        })
    }
}

/// A migration with its state.
#[derive(Debug, Clone)]
pub struct Standing<'a> {
    /// Its version; none of repeatable ones.
    pub version: Option<&'a Version>,
    /// How it stands.
    pub state: State,
    /// Its file, if there is one.
    pub migration: Option<&'a Migration>,
    /// Its row, if there is one.
    pub row: Option<&'a Row>,
}

impl Standing<'_> {
    /// What it does.
    pub fn description(&self) -> &str {
        let row = || self.row.map_or("", |row| row.description.as_str());
        self.migration.map_or_else(row, |migration| migration.description.as_str())
    }
}

/// How everything stands: versions in their order, then repeatable migrations.
pub fn standings<'a>(files: &'a Migrations, rows: &'a [Row], options: &Options) -> Vec<Standing<'a>> {
    let history = History::of(rows);
    let mut all = versioned(files, &history, options);
    all.extend(repeatable(files, rows, options));
    all
}

/// The history of versions.
struct History<'a> {
    /// The row of each version that counts, the newest of it.
    applied: BTreeMap<&'a Version, &'a Row>,
    /// Versions whose last row was taken back.
    undone: BTreeMap<&'a Version, &'a Row>,
    /// Versions up to this one were there when the history began.
    baseline: Option<&'a Version>,
    /// Whether anything was run.
    is_new: bool,
    out_of_order: BTreeSet<i32>,
}

impl<'a> History<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let (mut applied, mut undone) = (BTreeMap::new(), BTreeMap::new());
        for row in rows {
            let Some(version) = &row.version else { continue };
            if row.kind.takes_back() {
                if let Some(before) = applied.remove(version) {
                    undone.insert(version, before);
                }
            } else {
                undone.remove(version);
                applied.insert(version, row);
            }
        }
        let is_baseline = |row: &&Row| matches!(row.kind, Kind::Baseline | Kind::SqlBaseline) && row.success;
        let baseline =
            applied.values().filter(|row| is_baseline(&&***row)).filter_map(|row| row.version.as_ref()).max();
        let (mut highest, mut out_of_order) = (None, BTreeSet::new());
        for row in rows.iter().filter(|row| row.success && !row.kind.takes_back()) {
            let Some(version) = &row.version else { continue };
            if highest.is_some_and(|highest| version < highest) {
                out_of_order.insert(row.rank);
            }
            highest = highest.max(Some(version));
        }
        let is_new = rows.iter().all(|row| row.kind == Kind::Schema);
        Self { applied, undone, baseline, is_new, out_of_order }
    }

    fn highest(&self) -> Option<&'a Version> {
        self.applied.keys().copied().max()
    }
}

fn versioned<'a>(files: &'a Migrations, history: &History<'a>, options: &Options) -> Vec<Standing<'a>> {
    let beyond = |version: &Version| options.target.as_ref().is_some_and(|target| version > target);
    // A database that is new begins with the newest of those that stand for all before them.
    let begin = files.baselines.keys().rfind(|version| history.is_new && !beyond(version));
    let newest = files.newest();
    let mut all: BTreeMap<&Version, Standing<'a>> = BTreeMap::new();
    for (version, row) in &history.applied {
        let migration = files.versioned.get(*version);
        let migration = if row.kind == Kind::SqlBaseline { files.baselines.get(*version) } else { migration };
        let state = match (&row.kind, migration) {
            (Kind::Baseline, _) => State::Baseline,
            _ if !row.success => State::Failed,
            (Kind::SqlBaseline, _) => State::Baseline,
            (_, Some(_)) if history.out_of_order.contains(&row.rank) => State::OutOfOrder,
            (_, Some(_)) => State::Applied,
            (_, None) if newest.is_none_or(|newest| *version > newest) => State::Future,
            (_, None) => State::Missing,
        };
        all.insert(version, Standing { version: Some(version), state, migration, row: Some(row) });
    }
    let highest = history.highest();
    for (version, migration) in &files.versioned {
        if all.contains_key(version) {
            continue;
        }
        let undone = history.undone.get(version).copied();
        let state = if history.baseline.or(begin).is_some_and(|baseline| version <= baseline) {
            State::BelowBaseline
        } else if beyond(version) {
            State::AboveTarget
        } else if !migration.settings.runs {
            State::Skipped
        } else if !options.out_of_order && highest.is_some_and(|highest| version < highest) {
            State::Ignored
        } else {
            State::Pending
        };
        all.insert(version, Standing { version: Some(version), state, migration: Some(migration), row: undone });
    }
    if let Some((version, migration)) = begin.and_then(|begin| files.baselines.get_key_value(begin)) {
        let first = Standing { version: Some(version), state: State::Pending, migration: Some(migration), row: None };
        all.insert(version, first);
    }
    for (version, row) in &history.undone {
        all.entry(version).or_insert(Standing {
            version: Some(version),
            state: State::Undone,
            migration: None,
            row: Some(row),
        });
    }
    all.into_values().collect()
}

fn repeatable<'a>(files: &'a Migrations, rows: &'a [Row], options: &Options) -> Vec<Standing<'a>> {
    let mut newest: BTreeMap<&str, &Row> = BTreeMap::new();
    let mut deleted: BTreeSet<&str> = BTreeSet::new();
    for row in rows.iter().filter(|row| row.version.is_none() && row.kind != Kind::Schema) {
        if row.kind.takes_back() {
            deleted.insert(&row.description);
        } else {
            deleted.remove(row.description.as_str());
            newest.insert(&row.description, row);
        }
    }
    let mut all = Vec::new();
    for row in rows.iter().filter(|row| row.version.is_none() && !row.kind.is_synthetic() && !row.kind.takes_back()) {
        let description = row.description.as_str();
        let is_newest = newest.get(description).is_some_and(|newest| newest.rank == row.rank);
        let is_known = files.repeatable.iter().any(|migration| migration.description == description);
        let state = match () {
            () if !is_newest => State::Superseded,
            () if deleted.contains(description) => State::Undone,
            () if is_known => continue,
            () if !row.success => State::Failed,
            () => State::Missing,
        };
        all.push(Standing { version: None, state, migration: None, row: Some(row) });
    }
    for migration in &files.repeatable {
        let row = newest.get(migration.description.as_str()).copied();
        let row = row.filter(|row| !deleted.contains(row.description.as_str()));
        let state = match row {
            Some(row) if !row.success => State::Failed,
            Some(row) if is_same(row, migration, options) => State::Applied,
            _ if !migration.settings.runs => State::Skipped,
            Some(_) => State::Outdated,
            None => State::Pending,
        };
        all.push(Standing { version: None, state, migration: Some(migration), row });
    }
    all
}

/// Whether a repeatable migration is as it was run: as it is written, or as it is filled in.
fn is_same(row: &Row, migration: &Migration, options: &Options) -> bool {
    let filled = || migration.filled(&options.placeholders).ok().map(|text| checksum::of(&text));
    row.checksum == Some(migration.checksum()) || row.checksum == filled()
}

/// What is wrong with a history, or with the files beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// A migration was broken off.
    Failed(String),
    /// A file is not what was run.
    Changed {
        /// The migration.
        what: String,
        /// Its file.
        script: String,
        /// The checksum that was recorded.
        recorded: Option<i32>,
        /// That of the file.
        found: i32,
    },
    /// A file says something else of itself than it did.
    Renamed {
        /// The migration.
        what: String,
        /// What the history says.
        recorded: String,
        /// What the file says.
        found: String,
    },
    /// What was run as something else is a script now.
    OtherKind {
        /// The migration.
        what: String,
        /// What the history says.
        recorded: String,
    },
    /// What was run has no file.
    Missing {
        /// The migration.
        what: String,
        /// The file that it had.
        script: String,
    },
    /// A file came below a version that was run.
    Ignored {
        /// The migration.
        what: String,
        /// The version that was run.
        highest: String,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(what) => {
                write!(f, "{what} was broken off: mend the database by hand, then `daybook db repair`")
            }
            Self::Changed { what, script, recorded, found } => {
                let recorded = recorded.map_or("none".to_owned(), |checksum| checksum.to_string());
                write!(
                    f,
                    "{what} was changed after it was run: {script} has checksum {found}, the history {recorded}. Undo \
the change and write a new migration, or accept the file as it is with `daybook db repair`"
                )
            }
            Self::Renamed { what, recorded, found } => {
                write!(
                    f,
                    "{what} is called `{found}` now, the history has `{recorded}`: name it as before, or `daybook db repair`"
                )
            }
            Self::OtherKind { what, recorded } => {
                write!(f, "{what} was run as {recorded} and is a script now: `daybook db repair` accepts it")
            }
            Self::Missing { what, script } => {
                write!(f, "{what} was run and {script} is gone: bring it back, or forget it with `daybook db repair`")
            }
            Self::Ignored { what, highest } => write!(
                f,
                "{what} is below version {highest}, which was run: give it a higher number, or allow it with `out_of_order: true`"
            ),
        }
    }
}

/// Everything that forbids to go on. What only waits to be run is nothing wrong.
pub fn wrong(files: &Migrations, rows: &[Row], options: &Options) -> Vec<Wrong> {
    let history = History::of(rows);
    let highest = history.highest().map(ToString::to_string).unwrap_or_default();
    standings(files, rows, options).iter().flat_map(|standing| judge(standing, &history, &highest)).collect()
}

fn judge(standing: &Standing<'_>, history: &History<'_>, highest: &str) -> Vec<Wrong> {
    let what = name(standing);
    match standing.state {
        State::Failed => return vec![Wrong::Failed(what)],
        State::Ignored => return vec![Wrong::Ignored { what, highest: highest.to_owned() }],
        State::Missing => {
            let script = standing.row.map(|row| row.script.clone()).unwrap_or_default();
            return vec![Wrong::Missing { what, script }];
        }
        State::Applied | State::OutOfOrder | State::Baseline => {}
        _ => return Vec::new(),
    }
    let (Some(row), Some(migration), Some(version)) = (standing.row, standing.migration, standing.version) else {
        return Vec::new();
    };
    // What a database had before its history began is nobody's to compare.
    if row.kind == Kind::Baseline || history.baseline.is_some_and(|baseline| version < baseline) {
        return Vec::new();
    }
    let mut all = Vec::new();
    if !matches!(row.kind, Kind::Sql | Kind::SqlBaseline) {
        all.push(Wrong::OtherKind { what: what.clone(), recorded: row.kind.word().to_owned() });
    }
    let found = migration.checksum();
    if row.checksum != Some(found) && row.checksum != Some(checksum::legacy(&migration.text)) {
        let script = migration.script.clone();
        all.push(Wrong::Changed { what: what.clone(), script, recorded: row.checksum, found });
    }
    if row.description != super::history::cut_description(&migration.description) {
        all.push(Wrong::Renamed { what, recorded: row.description.clone(), found: migration.description.clone() });
    }
    all
}

/// A migration in words.
pub fn name(standing: &Standing<'_>) -> String {
    match standing.version {
        Some(version) if standing.description().is_empty() => format!("version {version}"),
        Some(version) => format!("version {version} ({})", standing.description()),
        None => format!("the repeatable migration `{}`", standing.description()),
    }
}

/// The version of the database.
pub fn version<'a>(all: &[Standing<'a>]) -> Option<&'a Version> {
    all.iter().filter(|standing| standing.state.is_there()).filter_map(|standing| standing.version).max()
}

/// What is to be run, in its order.
pub fn pending<'a>(files: &'a Migrations, rows: &'a [Row], options: &Options) -> Vec<Standing<'a>> {
    let all = standings(files, rows, options);
    all.into_iter().filter(|standing| standing.state.is_pending()).collect()
}

#[cfg(test)]
mod tests;
