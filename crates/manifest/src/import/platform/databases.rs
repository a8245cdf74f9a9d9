//! Databases that a platform runs, as services.

use crate::import::yaml::Yaml;
use crate::tree::Span;

use super::app::{App, made};
use super::parts::{hostport, place};

/// What kind of database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Postgres,
    Mysql,
    /// Valkey, which speaks what Redis does.
    Redis,
}

/// A database of the manifest.
#[derive(Debug, Clone)]
pub(super) struct Database {
    kind: Kind,
    /// The service.
    name: String,
}

/// The user of a database, and the name of what is in it.
const USER: &str = "app";

impl Kind {
    /// What several platforms call it.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["postgres"]) {
            Some(Self::Postgres)
        } else if has(&["mysql", "mariadb", "jawsdb", "cleardb"]) {
            Some(Self::Mysql)
        } else if has(&["redis", "valkey", "keyvalue"]) {
            Some(Self::Redis)
        } else {
            None
        }
    }

    /// Image, port, where its data is, and how it is asked whether it works.
    fn facts(self) -> (&'static str, u16, &'static str, &'static [&'static str]) {
        match self {
            Self::Postgres => ("postgres:17", 5432, "/var/lib/postgresql/data", &["CMD", "pg_isready", "-U", USER]),
            Self::Mysql => ("mysql:8.4", 3306, "/var/lib/mysql", &["CMD", "mysqladmin", "ping", "-h", "127.0.0.1"]),
            Self::Redis => ("valkey/valkey:8", 6379, "/data", &["CMD", "valkey-cli", "ping"]),
        }
    }

    /// How its URLs begin.
    fn scheme(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
        }
    }
}

impl App<'_, '_> {
    /// A database that the platform ran beside the app, as a service of the app.
    pub(super) fn database(&mut self, kind: Kind, wanted: &str, at: Span) -> Database {
        let (image, port, data, check) = kind.facts();
        let mut service = self.service(wanted);
        let name = service.name.clone();
        service.set("image", Yaml::text(image));
        service.set("expose", Yaml::List(vec![Yaml::number(port)]));
        let volume = self.volume(&format!("{name}-data"));
        service.push("volumes", Yaml::text(&format!("{volume}:{data}")));
        let check = vec![("test", Yaml::texts(check)), ("interval", Yaml::text("5s"))];
        service.set("healthcheck", Yaml::Flow(check));
        let password = made(&format!("{name}-password"));
        let variables = match kind {
            Kind::Postgres => vec![
                ("POSTGRES_USER", Yaml::text(USER)),
                ("POSTGRES_DB", Yaml::text(USER)),
                ("POSTGRES_PASSWORD", password),
            ],
            Kind::Mysql => vec![
                ("MYSQL_USER", Yaml::text(USER)),
                ("MYSQL_DATABASE", Yaml::text(USER)),
                ("MYSQL_PASSWORD", password),
                ("MYSQL_RANDOM_ROOT_PASSWORD", Yaml::text("1")),
            ],
            Kind::Redis => Vec::new(),
        };
        variables.into_iter().for_each(|(variable, value)| service.put(variable, value));
        self.databases.push(service);
        let what =
            format!("the database becomes the service `{name}`, which begins empty and which nobody else looks after");
        let advice = match kind {
            Kind::Postgres => format!("copy the data in: pg_dump … | daybook exec {name} -- psql -U {USER} {USER}"),
            Kind::Mysql => format!("copy the data in: mysqldump … | daybook exec {name} -- mysql"),
            Kind::Redis => String::new(),
        };
        self.notes.to_do(at, what, advice);
        Database { kind, name }
    }
}

impl Database {
    /// How another service reaches it, as the value of a variable.
    pub(super) fn url(&self) -> Yaml {
        let Self { kind, name } = self;
        let (scheme, place) = (kind.scheme(), hostport(name));
        Yaml::Template(match kind {
            Kind::Redis => format!("{scheme}://{place}"),
            _ => format!("{scheme}://{USER}:${{secret.{name}-password}}@{place}/{USER}"),
        })
    }

    /// One fact of it: `host`, `port`, `user`, `password`, `database` and what platforms call these.
    pub(super) fn fact(&self, fact: &str) -> Option<Yaml> {
        let Self { kind, name } = self;
        let is_open = *kind == Kind::Redis;
        place(name, fact).or_else(|| {
            Some(match fact {
                "connectionString" | "connectionURI" | "uri" | "url" => self.url(),
                "user" | "username" | "password" if is_open => Yaml::text(""),
                "user" | "username" => Yaml::text(USER),
                "password" => Yaml::Template(format!("${{secret.{name}-password}}")),
                "database" | "name" if !is_open => Yaml::text(USER),
                _ => return None,
            })
        })
    }
}
