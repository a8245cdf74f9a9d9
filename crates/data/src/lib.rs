//! Users' databases: migrations, what is to be known of them, and who may log in.

pub mod lint;
pub mod logins;
pub mod look;
pub mod migrations;

use std::net::SocketAddr;

use daybook_model::database::Engine;
use url::Url;

/// What is spoken to a database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's.
    PostgreSql,
    /// That of MySQL and MariaDB.
    MySql,
}

impl Dialect {
    /// That of an engine; none of one that has no tables.
    pub fn of(engine: Engine) -> Option<Self> {
        match engine {
            Engine::Postgres => Some(Self::PostgreSql),
            Engine::Mysql | Engine::Mariadb => Some(Self::MySql),
            Engine::Redis | Engine::Valkey => None,
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "PostgreSQL",
            Self::MySql => "MySQL",
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgres",
            Self::MySql => "mysql",
        }
    }
}

/// The URL of a database, with a login. An empty `database` is that which everybody has.
pub fn url(dialect: Dialect, address: SocketAddr, user: &str, password: &str, database: &str) -> String {
    let bare = format!("{}://{address}/", dialect.scheme());
    let mut url = Url::parse(&bare).expect("a scheme and an address are a URL");
    let set = url.set_username(user).and_then(|()| url.set_password(Some(password)));
    set.expect("a URL with an address takes a login");
    url.set_path(database);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_holds_any_password() {
        let address = "127.0.0.1:5432".parse().unwrap();
        let url = url(Dialect::PostgreSql, address, "web_1", "a/b@c:d#e?", "shop");
        assert_eq!(url, "postgres://web_1:a%2Fb%40c%3Ad%23e%3F@127.0.0.1:5432/shop");
    }
}
