//! Users' databases: migrations, what is to be known of them, who may log in, dumps and what they hold, what to tune.

pub mod archive;
pub mod dump;
pub mod lint;
pub mod logins;
pub mod look;
pub mod mask;
pub mod migrations;
pub mod replace;
pub mod tune;
pub mod upgrade;
pub mod witness;

use std::net::SocketAddr;
use std::time::Duration;

use daybook_model::database::Engine;
use url::Url;

use migrations::server::{Refusal, Result};

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

/// How long a server may take to let somebody in.
const LETS_IN_WITHIN: Duration = Duration::from_secs(10);

/// Connects, within a bound.
async fn within<T>(connecting: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match tokio::time::timeout(LETS_IN_WITHIN, connecting).await {
        Ok(connected) => connected.map_err(Refusal::from),
        Err(_) => {
            let why = format!("it does not answer within {} s", LETS_IN_WITHIN.as_secs());
            Err(Refusal { is_lost: true, ..Refusal::of(why) })
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
