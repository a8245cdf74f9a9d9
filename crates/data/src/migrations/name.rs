//! What the files of migrations are called: `V1_2__add_orders.sql`, `R__views.sql`, `afterMigrate__grants.sql`.

use crate::migrations::version::Version;

/// What a file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Runs once, in the order of versions.
    Versioned(Version),
    /// Stands for all versions up to its own, where a database is new.
    Baseline(Version),
    /// Takes a version back.
    Undo(Version),
    /// Runs whenever it has changed, after all versions.
    Repeatable,
    /// Runs when something happens.
    Callback(Event),
}

/// When a callback runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// Before anything is run.
    BeforeMigrate,
    /// Before the first repeatable migration.
    BeforeRepeatables,
    /// Before each migration, in its transaction.
    BeforeEachMigrate,
    /// After each migration, in its transaction.
    AfterEachMigrate,
    /// After a migration failed, once it was rolled back.
    AfterEachMigrateError,
    /// After the last version.
    AfterVersioned,
    /// After all, when something was run.
    AfterMigrateApplied,
    /// After all.
    AfterMigrate,
    /// After a failure, at the end.
    AfterMigrateError,
    /// Something that is known by name, and does not happen here.
    Elsewhere,
}

const EVENTS: [(&str, Event); 9] = [
    ("beforeMigrate", Event::BeforeMigrate),
    ("beforeRepeatables", Event::BeforeRepeatables),
    ("beforeEachMigrate", Event::BeforeEachMigrate),
    ("afterEachMigrate", Event::AfterEachMigrate),
    ("afterEachMigrateError", Event::AfterEachMigrateError),
    ("afterVersioned", Event::AfterVersioned),
    ("afterMigrateApplied", Event::AfterMigrateApplied),
    ("afterMigrate", Event::AfterMigrate),
    ("afterMigrateError", Event::AfterMigrateError),
];

/// Events of commands that Daybook does not have, and of connections, which it opens as it needs them.
const ELSEWHERE: [&str; 26] = [
    "afterConnect",
    "afterUndo",
    "afterUndoError",
    "beforeEachUndo",
    "afterEachUndo",
    "beforeUndo",
    "afterClean",
    "afterCleanError",
    "beforeClean",
    "afterInfo",
    "afterInfoError",
    "beforeInfo",
    "afterValidate",
    "afterValidateError",
    "beforeValidate",
    "afterBaseline",
    "afterBaselineError",
    "beforeBaseline",
    "afterRepair",
    "afterRepairError",
    "beforeRepair",
    "createSchema",
    "beforeCreateSchema",
    "beforeConnect",
    "beforeEachMigrateStatement",
    "afterEachMigrateStatement",
];

impl Event {
    fn named(name: &str) -> Option<Self> {
        let known = EVENTS.iter().find(|(known, _)| *known == name).map(|(_, event)| *event);
        known.or_else(|| ELSEWHERE.contains(&name).then_some(Self::Elsewhere))
    }

    /// The name in files.
    pub fn name(self) -> &'static str {
        EVENTS.iter().find(|(_, event)| *event == self).map_or("another event", |(name, _)| name)
    }
}

/// A name that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What the file is for.
    pub role: Role,
    /// What it does, in the words of who wrote it.
    pub description: String,
}

/// Why a file whose name looks like that of a migration is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misnamed(pub String);

/// Reads the name of a file. `Ok(None)`: it is no migration, and does not look like one.
pub fn parse(file: &str) -> Result<Option<Name>, Misnamed> {
    let stem = match file.len().checked_sub(4) {
        Some(at) if file.is_char_boundary(at) && file[at..].eq_ignore_ascii_case(".sql") => &file[..at],
        _ => return Ok(None),
    };
    let (head, tail) = match stem.split_once("__") {
        Some((head, tail)) => (head, Some(tail)),
        None => (stem, None),
    };
    let description = tail.unwrap_or_default().replace('_', " ");
    let name = |role| Ok(Some(Name { role, description: description.clone() }));
    if let Some(event) = Event::named(head) {
        return name(Role::Callback(event));
    }
    let mut letters = head.chars();
    let (letter, rest) = (letters.next(), letters.as_str());
    let role: fn(Version) -> Role = match letter {
        Some('V') => Role::Versioned,
        Some('B') => Role::Baseline,
        Some('U') => Role::Undo,
        Some('R') if rest.is_empty() && tail.is_some() => return name(Role::Repeatable),
        Some('R') if tail.is_some() => {
            let why = format!("`{file}`: a repeatable migration has no version: `R__{}.sql`", tail.unwrap_or_default());
            return Err(Misnamed(why));
        }
        _ => return Ok(None),
    };
    match Version::parse(rest) {
        Some(version) => name(role(version)),
        // `Views.sql` is somebody's file; `V__views.sql` and `V1a__views.sql` were meant to run.
        None if tail.is_some() || rest.starts_with(|c: char| c.is_ascii_digit()) => Err(Misnamed(format!(
            "`{file}`: `{rest}` is no version: numbers with dots or underscores, as in `V1_2__what.sql`"
        ))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(file: &str) -> Role {
        parse(file).unwrap().unwrap_or_else(|| panic!("{file} is no migration")).role
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn names_are_read() {
        assert_eq!(role("V1__init.sql"), Role::Versioned(version("1")));
        assert_eq!(role("V1.SQL"), Role::Versioned(version("1")));
        assert_eq!(role("V2_1__a__b.sql"), Role::Versioned(version("2.1")));
        assert_eq!(role("B5__all.sql"), Role::Baseline(version("5")));
        assert_eq!(role("U2.1__a.sql"), Role::Undo(version("2.1")));
        assert_eq!(role("R__views.sql"), Role::Repeatable);
        assert_eq!(role("afterMigrate.sql"), Role::Callback(Event::AfterMigrate));
        assert_eq!(role("beforeEachMigrate__role.sql"), Role::Callback(Event::BeforeEachMigrate));
        assert_eq!(role("beforeClean.sql"), Role::Callback(Event::Elsewhere));
        assert_eq!(parse("V2_1__a__b_c.sql").unwrap().unwrap().description, "a  b c");
        assert_eq!(parse("V1.sql").unwrap().unwrap().description, "");
    }

    #[test]
    fn other_files_are_left_alone() {
        for file in
            ["README.md", "v1__init.sql", "Views.sql", "R.sql", "backup.sql", "sql", ".sql", "é", "V1__a.sql.bak"]
        {
            assert_eq!(parse(file), Ok(None), "{file}");
        }
    }

    #[test]
    fn what_was_meant_to_be_one_is_named() {
        for file in ["V__init.sql", "V1a__init.sql", "V1-2__init.sql", "R1__views.sql", "Vx__y.sql", "V1a.sql"] {
            assert!(parse(file).is_err(), "{file}");
        }
    }
}
