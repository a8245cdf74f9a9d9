//! All migrations of a database, as their files say.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs, io};

use crate::migrations::checksum;
use crate::migrations::name::{self, Event, Misnamed, Role};
use crate::migrations::placeholder::{Placeholders, Unknown};
use crate::migrations::version::Version;

/// A file under the directory of migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path from there, with `/`.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// The files under a directory that may be about migrations: `.sql`, and `.conf` beside them.
pub fn read_directory(directory: &Path) -> io::Result<Vec<File>> {
    let (mut files, mut left) = (Vec::new(), vec![(directory.to_owned(), String::new())]);
    while let Some((directory, prefix)) = left.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            // Follows links, as whoever laid them out meant it.
            if fs::metadata(entry.path())?.is_dir() {
                left.push((entry.path(), format!("{path}/")));
            } else if [".sql", ".conf"].iter().any(|end| path.to_ascii_lowercase().ends_with(end)) {
                files.push(File { path, bytes: fs::read(entry.path())? });
            }
        }
    }
    Ok(files)
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// What it does, in the words of who wrote it.
    pub description: String,
    /// Its path from the directory of migrations: what the history calls it.
    pub script: String,
    /// Its text.
    pub text: String,
    /// What the file beside it says: `V1__a.sql.conf`.
    pub settings: Settings,
}

impl Migration {
    /// The checksum of a migration that runs once.
    pub fn checksum(&self) -> i32 {
        checksum::of(&self.text)
    }

    /// The text that is run.
    pub fn filled(&self, placeholders: &Placeholders) -> Result<String, Unknown> {
        if !self.settings.fills_placeholders {
            return Ok(self.text.clone());
        }
        let mut own = placeholders.clone();
        own.set("flyway:filename", self.script.rsplit('/').next().unwrap_or(&self.script));
        own.fill(&self.text)
    }
}

/// How a script is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether in a transaction. `None`: as its statements allow.
    pub in_transaction: Option<bool>,
    /// Whether placeholders are filled in.
    pub fills_placeholders: bool,
    /// Whether at all.
    pub runs: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { in_transaction: None, fills_placeholders: true, runs: true }
    }
}

/// All migrations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrations {
    /// In the order that they run.
    pub versioned: BTreeMap<Version, Migration>,
    /// Those that stand for all versions up to theirs.
    pub baselines: BTreeMap<Version, Migration>,
    /// Those that take a version back.
    pub undos: BTreeMap<Version, Migration>,
    /// In the order that they run.
    pub repeatable: Vec<Migration>,
    /// In the order that they run.
    pub callbacks: BTreeMap<Event, Vec<Migration>>,
}

/// What is wrong with the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A name that looks like that of a migration.
    Misnamed(String),
    /// Two files that are one migration.
    Twice {
        /// What both are.
        what: String,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A file that is not UTF-8, or a setting that is none.
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misnamed(why) => f.write_str(why),
            Self::Twice { what, first, second } => write!(f, "{first} and {second} are both {what}"),
            Self::Unreadable { file, why } => write!(f, "{file}: {why}"),
        }
    }
}

impl Migrations {
    /// Reads migrations out of files. Files that do not look like migrations are passed over.
    pub fn read(files: &[File]) -> Result<Self, Vec<Problem>> {
        let mut reading = Reading { all: Self::default(), problems: Vec::new() };
        let mut in_order: Vec<_> = files.iter().collect();
        in_order.sort_by(|a, b| a.path.cmp(&b.path));
        let settings: BTreeMap<_, _> =
            in_order.iter().filter(|f| f.path.ends_with(".conf")).map(|f| (f.path.as_str(), *f)).collect();
        for file in in_order {
            reading.take(file, settings.get(format!("{}.conf", file.path).as_str()).copied());
        }
        let Reading { mut all, problems } = reading;
        all.repeatable.sort_by(|a, b| a.description.encode_utf16().cmp(b.description.encode_utf16()));
        all.callbacks.values_mut().for_each(|same| same.sort_by(|a, b| a.description.cmp(&b.description)));
        if problems.is_empty() { Ok(all) } else { Err(problems) }
    }

    /// The newest version that the files know.
    pub fn newest(&self) -> Option<&Version> {
        self.versioned.keys().chain(self.baselines.keys()).max()
    }
}

struct Reading {
    all: Migrations,
    problems: Vec<Problem>,
}

impl Reading {
    fn take(&mut self, file: &File, settings: Option<&File>) {
        let base = file.path.rsplit('/').next().unwrap_or_default();
        let name = match name::parse(base) {
            Ok(Some(name)) => name,
            Ok(None) => return,
            Err(Misnamed(why)) => return self.problems.push(Problem::Misnamed(why)),
        };
        let Ok(text) = String::from_utf8(file.bytes.clone()) else {
            let why = "it is not UTF-8: convert it".to_owned();
            return self.problems.push(Problem::Unreadable { file: file.path.clone(), why });
        };
        let settings = match settings.map_or(Ok(Settings::default()), self::settings) {
            Ok(settings) => settings,
            Err(problem) => return self.problems.push(problem),
        };
        let migration = Migration { description: name.description, script: file.path.clone(), text, settings };
        let Self { all, problems } = self;
        match name.role {
            Role::Versioned(version) => once(&mut all.versioned, version, migration, "version", problems),
            Role::Baseline(version) => once(&mut all.baselines, version, migration, "a baseline", problems),
            Role::Undo(version) => once(&mut all.undos, version, migration, "the undo of", problems),
            Role::Callback(event) => all.callbacks.entry(event).or_default().push(migration),
            Role::Repeatable => {
                let same = all.repeatable.iter().find(|other| other.description == migration.description);
                if let Some(same) = same {
                    let what = format!("the repeatable migration `{}`", migration.description);
                    problems.push(Problem::Twice { what, first: same.script.clone(), second: migration.script });
                } else {
                    all.repeatable.push(migration);
                }
            }
        }
    }
}

fn once(
    all: &mut BTreeMap<Version, Migration>,
    version: Version,
    migration: Migration,
    what: &str,
    problems: &mut Vec<Problem>,
) {
    if let Some(same) = all.get(&version) {
        let what = format!("{what} {version}");
        problems.push(Problem::Twice { what, first: same.script.clone(), second: migration.script });
    } else {
        all.insert(version, migration);
    }
}

/// Reads the file beside a script: lines of `key=value`.
fn settings(file: &File) -> Result<Settings, Problem> {
    let unreadable = |why: String| Problem::Unreadable { file: file.path.clone(), why };
    let text = std::str::from_utf8(&file.bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    let mut settings = Settings::default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (key, value) = line.split_once('=').ok_or_else(|| unreadable(format!("`{line}` is not `key=value`")))?;
        let (key, value) = (key.trim(), value.trim());
        let truth = || match value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(unreadable(format!("{key}: `{value}` is neither `true` nor `false`"))),
        };
        match key {
            "executeInTransaction" => settings.in_transaction = Some(truth()?),
            "placeholderReplacement" => settings.fills_placeholders = truth()?,
            "shouldExecute" => settings.runs = truth()?,
            "encoding" if matches!(value.to_ascii_uppercase().as_str(), "UTF-8" | "UTF8" | "US-ASCII") => {}
            "encoding" => return Err(unreadable(format!("encoding `{value}`: convert the script to UTF-8"))),
            _ => {
                let known = "executeInTransaction, placeholderReplacement, shouldExecute, encoding";
                return Err(unreadable(format!("`{key}` is no setting of a script: {known}")));
            }
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn files_are_sorted_out() {
        let files = [
            file("V2__b.sql", "b"),
            file("old/V1__a.sql", "a"),
            file("V10__c.sql", "c"),
            file("R__z_view.sql", "z"),
            file("R__a_view.sql", "y"),
            file("U2__b.sql", "u"),
            file("afterMigrate__b.sql", "2"),
            file("afterMigrate__a.sql", "1"),
            file("V2__b.sql.conf", "# why\nexecuteInTransaction=false\n"),
            file("README.md", "\u{0}"),
        ];
        let all = Migrations::read(&files).unwrap();
        let scripts: Vec<_> = all.versioned.values().map(|migration| migration.script.as_str()).collect();
        assert_eq!(scripts, ["old/V1__a.sql", "V2__b.sql", "V10__c.sql"]);
        assert_eq!(all.versioned[&Version::parse("2").unwrap()].settings.in_transaction, Some(false));
        assert_eq!(all.repeatable[0].description, "a view");
        assert_eq!(all.callbacks[&Event::AfterMigrate][0].text, "1");
        assert_eq!(all.newest().unwrap().to_string(), "10");
        assert_eq!(all.undos.len(), 1);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let files = [
            file("V1__a.sql", ""),
            file("V1.0__b.sql", ""),
            file("R__v.sql", ""),
            file("x/R__v.sql", ""),
            file("V__c.sql", ""),
            file("V3__d.sql", ""),
            file("V3__d.sql.conf", "shouldExecute=perhaps"),
            File { path: "V4__e.sql".to_owned(), bytes: vec![0xff] },
        ];
        let said: Vec<_> = Migrations::read(&files).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "V1.0__b.sql and V1__a.sql are both version 1",
                "V3__d.sql.conf: shouldExecute: `perhaps` is neither `true` nor `false`",
                "V4__e.sql: it is not UTF-8: convert it",
                "`V__c.sql`: `` is no version: numbers with dots or underscores, as in `V1_2__what.sql`",
                "R__v.sql and x/R__v.sql are both the repeatable migration `v`",
            ]
        );
    }
}
