//! Users' databases: migrations, what is to be known of them, who may log in, dumps and what they hold, what to tune.

pub mod archive;
pub mod dump;
pub mod files;
pub mod lint;
pub mod logins;
pub mod look;
pub mod mask;
pub mod migrations;
pub mod replace;
pub mod tune;
pub mod upgrade;
pub mod vitals;
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

/// The way to a database server.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// What is spoken there.
    pub dialect: Dialect,
    /// Where it is.
    pub address: SocketAddr,
    /// The certificate, in PEM, of the authority that it has to be proven by. `None`: it is not asked for a proof.
    pub authority: Option<&'a str>,
}

/// The URL of a database, with a login. An empty `database` is that which everybody has.
pub fn url(way: Way<'_>, user: &str, password: &str, database: &str) -> String {
    let bare = format!("{}://{}/", way.dialect.scheme(), way.address);
    let mut url = Url::parse(&bare).expect("a scheme and an address are a URL");
    let set = url.set_username(user).and_then(|()| url.set_password(Some(password)));
    set.expect("a URL with an address takes a login");
    url.set_path(database);
    if let Some(authority) = way.authority {
        // An authority proves one server and nothing else, so that the name in its certificate tells no more.
        let [mode, ca] = match way.dialect {
            Dialect::PostgreSql => [("sslmode", "verify-ca"), ("sslrootcert", authority)],
            Dialect::MySql => [("ssl-mode", "VERIFY_CA"), ("ssl-ca", authority)],
        };
        url.query_pairs_mut().extend_pairs([mode, ca]);
    }
    url.into()
}

/// The certificate that stands in a URL of [`url`]'s: drivers take what stands there for a path.
fn authority_in(url: &str) -> Option<Vec<u8>> {
    let url = Url::parse(url).ok()?;
    let mut pairs = url.query_pairs();
    let (_, value) = pairs.find(|(key, _)| matches!(key.as_ref(), "sslrootcert" | "ssl-ca"))?;
    value.starts_with("-----BEGIN").then(|| value.into_owned().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_holds_any_password() {
        let address = "127.0.0.1:5432".parse().unwrap();
        let way = Way { dialect: Dialect::PostgreSql, address, authority: None };
        let plain = url(way, "web_1", "a/b@c:d#e?", "shop");
        assert_eq!(plain, "postgres://web_1:a%2Fb%40c%3Ad%23e%3F@127.0.0.1:5432/shop");
        let proven = url(Way { authority: Some("-----BEGIN\nA+b=\n-----"), ..way }, "a", "b", "shop");
        assert!(proven.ends_with("/shop?sslmode=verify-ca&sslrootcert=-----BEGIN%0AA%2Bb%3D%0A-----"), "{proven}");
        assert_eq!(authority_in(&proven).as_deref(), Some(&b"-----BEGIN\nA+b=\n-----"[..]));
        assert_eq!(authority_in("postgres://a@b/c?sslrootcert=/etc/ca.pem"), None, "that is a file");
    }
}
