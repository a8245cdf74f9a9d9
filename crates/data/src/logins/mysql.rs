//! Users of MySQL and MariaDB. Their rights are those of the database, whatever comes to be in it.

use std::collections::BTreeSet;

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection as _, Row as _};

use super::{Kept, Login, Rights, literal};
use crate::Dialect;
use crate::migrations::mysql::{open, quoted, run};
use crate::migrations::server::{Refusal, Result};

/// What a login may do that reads and writes rows.
const ROWS: &str = "select, insert, update, delete, execute, create temporary tables, lock tables, show view";

pub(super) async fn grant(
    kept: &Kept<'_>,
    password: &str,
    logins: &[Login<'_>],
    keep: &BTreeSet<String>,
    rights: Rights,
) -> Result<()> {
    let mut server = open(&kept.url_with(password, "")).await?;
    let wanted = kept.passwords.first().map_or(password, String::as_str);
    if wanted != password {
        for host in hosts_of(&mut server, kept.admin).await? {
            let account = format!("{}@{}", text(kept.admin), text(&host));
            run(&mut server, &format!("alter user {account} identified by {}", text(wanted))).await?;
        }
    }
    run(&mut server, &format!("create database if not exists {}", quoted(kept.database))).await?;
    for login in logins {
        let (account, password) = (account(login.name), text(login.password));
        run(&mut server, &format!("create user if not exists {account} identified by {password}")).await?;
        run(&mut server, &format!("alter user {account} identified by {password}")).await?;
        let may = if rights == Rights::Rows { ROWS } else { "all privileges" };
        run(&mut server, &format!("revoke all privileges, grant option from {account}")).await?;
        run(&mut server, &format!("grant {may} on {}.* to {account}", pattern(kept.database))).await?;
    }
    for gone in members(&mut server, kept.database).await? {
        if !keep.contains(&gone) && !logins.iter().any(|login| login.name == gone) {
            run(&mut server, &format!("drop user if exists {}", account(&gone))).await?;
        }
    }
    server.close().await.map_err(Refusal::from)
}

/// Users that have rights in the database alone.
async fn members(server: &mut MySqlConnection, database: &str) -> Result<Vec<String>> {
    let asked = sqlx::query("select convert(user using utf8mb4) from mysql.db where db = ? and host = '%'");
    let rows = asked.bind(escaped(database)).fetch_all(server).await?;
    rows.iter().map(|row| row.try_get(0).map_err(Refusal::from)).collect()
}

async fn hosts_of(server: &mut MySqlConnection, user: &str) -> Result<Vec<String>> {
    let asked = sqlx::query("select convert(host using utf8mb4) from mysql.user where user = ?");
    let rows = asked.bind(user).fetch_all(server).await?;
    rows.iter().map(|row| row.try_get(0).map_err(Refusal::from)).collect()
}

fn account(name: &str) -> String {
    format!("{}@'%'", text(name))
}

/// A database in a grant, where `_` and `%` stand for others unless they are escaped.
fn pattern(database: &str) -> String {
    quoted(&escaped(database))
}

fn escaped(database: &str) -> String {
    database.replace('_', "\\_").replace('%', "\\%")
}

fn text(text: &str) -> String {
    literal(Dialect::MySql, text)
}
