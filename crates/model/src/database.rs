//! Databases of an environment: what they are, who logs in to them, and what their migrations come to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::backup::BackupPolicy;
use crate::id::Digest;
use crate::masking::Masking;
use crate::name::{DatabaseName, ServiceName};
use crate::spec::SecretRef;

/// A database that services use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Line of the manifest where it is described, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What it is.
    pub engine: Engine,
    /// Who runs it.
    pub keeper: Keeper,
    /// The changes of its tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrations: Option<Migrations>,
    /// Its backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupPolicy>,
    /// How personal data in it is masked where it is cloned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masking: Option<Masking>,
}

/// Who runs a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeper {
    /// A service of the environment, as long as that is there.
    Service(Box<Kept>),
    /// Somebody else.
    Elsewhere {
        /// Its URL, with a login.
        url: SecretRef,
    },
}

/// A database that a service of the environment runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The service.
    pub service: ServiceName,
    /// The port that it listens on.
    pub port: u16,
    /// What the database is called in its server.
    pub name: String,
    /// Who may do everything in it.
    pub admin: String,
    /// The password of the same.
    pub password: SecretRef,
    /// Passwords of the services that use it.
    pub logins: BTreeMap<ServiceName, SecretRef>,
    /// The certificate authority that its server is proven by. `None`: nobody has to speak TLS to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<SecretRef>,
}

/// The migrations of a database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Migrations {
    /// The directories of their files: all together are one set.
    pub sources: Vec<MigrationSource>,
    /// The schema that they are about, of engines that have schemas. `None`: the database's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table of their history, where it has another name than the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// What their texts are filled in with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub placeholders: BTreeMap<String, String>,
    /// Whether a version below one that was run may still be run.
    #[serde(default)]
    pub out_of_order: bool,
}

/// A directory of migrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationSource {
    /// Its absolute path.
    pub root: String,
    /// Digest of what is in it, once resolved.
    pub digest: Option<Digest>,
}

impl Migrations {
    /// Whether the files are the same, wherever they are.
    pub fn has_files_of(&self, other: &Self) -> bool {
        let digests = |of: &Self| of.sources.iter().map(|source| source.digest).collect::<Vec<_>>();
        digests(self) == digests(other)
    }
}

impl Database {
    /// The service that runs it, if one does.
    pub fn kept(&self) -> Option<&Kept> {
        match &self.keeper {
            Keeper::Service(kept) => Some(kept),
            Keeper::Elsewhere { .. } => None,
        }
    }

    /// Whether `service` runs it.
    pub fn is_run_by(&self, service: &ServiceName) -> bool {
        self.kept().is_some_and(|kept| kept.service == *service)
    }

    pub(crate) fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let (one, many) = match &mut self.keeper {
            Keeper::Service(kept) => (&mut kept.password, Some((kept.logins.values_mut(), kept.authority.as_mut()))),
            Keeper::Elsewhere { url } => (url, None),
        };
        std::iter::once(one).chain(many.into_iter().flat_map(|(logins, authority)| logins.chain(authority)))
    }
}

/// A kind of database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

impl Engine {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Postgres, Self::Mysql, Self::Mariadb, Self::Redis, Self::Valkey];

    /// The word for it, which is also what its official image is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }

    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Mariadb => "MariaDB",
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
        }
    }

    /// The scheme of its URLs.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql | Self::Mariadb => "mysql",
            Self::Redis | Self::Valkey => "redis",
        }
    }

    /// The port that it usually has.
    pub fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql | Self::Mariadb => 3306,
            Self::Redis | Self::Valkey => 6379,
        }
    }

    /// Whether it has tables, which can be migrated, and logins of their own for who uses it.
    pub fn has_tables(self) -> bool {
        !matches!(self, Self::Redis | Self::Valkey)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Engine {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let word = if word == "postgresql" { "postgres" } else { word };
        Self::ALL.into_iter().find(|engine| engine.word() == word).ok_or(())
    }
}

/// A database server of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseServer {
    /// What it is.
    pub engine: Engine,
    /// The version, as far as it was said: `16`, `8.0`.
    pub version: String,
}

impl DatabaseServer {
    /// The part of its version that says whose files it reads and writes: `16` of PostgreSQL 16.4, `10.11` of MariaDB
    /// 10.11.6. Each has a place of its own for its files. `None`: every version reads the files of older ones.
    pub fn series(&self) -> Option<String> {
        let numbers = match self.engine {
            Engine::Postgres => 1,
            Engine::Mysql | Engine::Mariadb => 2,
            Engine::Redis | Engine::Valkey => return None,
        };
        // A tag of an image may say more than a version: `16-alpine`.
        let version = self.version.split('-').next().unwrap_or(&self.version);
        Some(version.split('.').take(numbers).collect::<Vec<_>>().join("."))
    }
}

impl fmt::Display for DatabaseServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.engine.name(), self.version)
    }
}

/// One thing that a service is told of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseUse {
    /// The database.
    pub database: DatabaseName,
    /// What of it.
    pub fact: DatabaseFact,
    /// What the service logs in by: a password, or the whole URL of a database that somebody else runs.
    pub login: SecretRef,
}

/// What a service can be told of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseFact {
    /// Everything in one: `postgres://USER:PASSWORD@HOST:PORT/NAME`.
    Url,
    /// Host name or address.
    Host,
    /// Port.
    Port,
    /// Who logs in.
    User,
    /// The password.
    Password,
    /// What the database is called in its server.
    Name,
    /// Path of the certificate of the authority that its server is proven by.
    Ca,
}

impl DatabaseFact {
    /// Every one with its word.
    pub const ALL: [(&'static str, Self); 7] = [
        ("url", Self::Url),
        ("host", Self::Host),
        ("port", Self::Port),
        ("user", Self::User),
        ("password", Self::Password),
        ("name", Self::Name),
        ("ca", Self::Ca),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, fact)| *fact == self).map_or("", |(word, _)| word)
    }
}

/// What the directory is called, beside that of a server's own files, in which a scratch copy is brought to a moment.
pub const RECOVERED: &str = "recovered";

/// What the directory is called, beside that of a server's own files, on which the server of a clone runs while those of the
/// first are put in their place.
pub const MEANWHILE: &str = "meanwhile";

/// Where the authority's certificate of a database is in the replica of a service that uses it.
pub fn ca_path(database: &DatabaseName) -> String {
    format!("/run/daybook/{database}.ca.pem")
}

/// What a service logs in as. Each version of its password has a login of its own, so that replicas of the version
/// before still get in while they are replaced. At most 32 bytes, which is what MySQL has room for.
pub fn login(service: &ServiceName, version: u64) -> String {
    const ROOM: usize = 32;
    let tail = format!("_{version}");
    let name = service.as_str();
    if name.len() + tail.len() <= ROOM {
        return format!("{name}{tail}");
    }
    let hash = &Digest::of(name.as_bytes()).hex()[..8];
    let kept = ROOM - tail.len() - hash.len() - 1;
    format!("{}-{hash}{tail}", &name[..kept])
}

/// What was seen of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenDatabase {
    /// Nothing of it is there yet: its service was never started.
    Absent {
        /// What is to be run in a new one, in its order.
        pending: Vec<Pending>,
    },
    /// It does not answer.
    Silent {
        /// Why, in words.
        why: String,
    },
    /// It answers.
    Answers(Box<Standing>),
    /// The files of its migrations cannot be read.
    Unreadable {
        /// Why, in words; one line for each thing.
        why: Vec<String>,
    },
}

/// How a database stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The version that it is at; none before its first migration.
    pub version: Option<String>,
    /// What is to be run, in its order.
    pub pending: Vec<Pending>,
    /// What keeps its migrations from being run, one line for each thing.
    pub wrong: Vec<String>,
    /// What it has and the files do not: another release ran it.
    pub beyond: Vec<Pending>,
    /// Services that cannot log in.
    pub locked_out: Vec<ServiceName>,
}

/// A migration, with what is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What it is: `version 4 (add notes)`.
    pub what: String,
    /// Its file, from the directory of migrations.
    pub script: String,
    /// What it does to who uses the database meanwhile, and what may go wrong.
    pub remarks: Vec<Remark>,
}

/// What is to be known of a statement before it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// Line of the script, from 1.
    pub line: u32,
    /// What kind of thing it is.
    pub kind: RemarkKind,
    /// In words: "locks orders against reads and writes while it is rewritten".
    pub text: String,
    /// What does the same without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// What kind of thing is to be known of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemarkKind {
    /// Others wait for it, for a moment.
    Lock,
    /// Others wait for it as long as it takes to go through a table.
    LongLock,
    /// The version before may not work with what it leaves.
    Breaks,
    /// Rows or columns are lost.
    Loses,
}

/// Something that would make a database faster, smaller or safer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// What kind of thing it is.
    pub kind: AdviceKind,
    /// The table, index or query that it is about.
    pub about: String,
    /// The evidence, in words.
    pub why: String,
    /// The statement to run, where one statement does it.
    pub run: Option<String>,
}

/// What kind of thing an advice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdviceKind {
    /// It ends badly if nobody does anything.
    Danger,
    /// An index would help.
    MissingIndex,
    /// An index cannot be used.
    BrokenIndex,
    /// Another index does the same.
    DuplicateIndex,
    /// Nobody uses an index.
    UnusedIndex,
    /// Rows that are gone take room.
    Vacuum,
    /// A query takes much of the time.
    SlowQuery,
}

impl AdviceKind {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::MissingIndex => "missing index",
            Self::BrokenIndex => "broken index",
            Self::DuplicateIndex => "double index",
            Self::UnusedIndex => "unused index",
            Self::Vacuum => "vacuum",
            Self::SlowQuery => "slow query",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_fit_into_what_engines_have_room_for() {
        let service = |name: &str| ServiceName::new(name).unwrap();
        assert_eq!(login(&service("web"), 3), "web_3");
        let long = login(&service(&"a".repeat(60)), 12);
        assert_eq!(long.len(), 32);
        assert_ne!(long, login(&service(&"a".repeat(61)), 12));
        assert_eq!(login(&service(&"a".repeat(30)), 1), format!("{}_1", "a".repeat(30)));
    }

    #[test]
    fn engines_are_told_by_their_words() {
        for engine in Engine::ALL {
            assert_eq!(engine.word().parse(), Ok(engine));
        }
        assert_eq!("postgresql".parse(), Ok(Engine::Postgres));
        assert_eq!("oracle".parse::<Engine>(), Err(()));
    }
}
