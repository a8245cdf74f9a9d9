//! Puts a restored database in the place of one that is in use.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::Dialect;
use crate::migrations::server::{Refusal, Result};
use crate::migrations::{mysql, postgres};

/// Others may come back between the moment that they are shown out and the change of names.
const TRIES: u32 = 100;
/// PostgreSQL: others are logged in.
const IN_USE: &str = "55006";

/// Makes `name` anew, and empty. `url` is that of another database in the same server, for who may do everything.
pub async fn make_empty(dialect: Dialect, url: &str, name: &str) -> Result<()> {
    drop_it(dialect, url, name).await?;
    match dialect {
        Dialect::PostgreSql => {
            let mut server = postgres::open(url).await?;
            postgres::run(&mut server, &format!("create database {} template template0", postgres::quoted(name)))
                .await?;
            server.close().await.map_err(Refusal::from)
        }
        Dialect::MySql => {
            let mut server = mysql::open(url).await?;
            mysql::run(&mut server, &format!("create database {}", mysql::quoted(name))).await?;
            server.close().await.map_err(Refusal::from)
        }
    }
}

/// Removes `name`, whoever uses it.
pub async fn drop_it(dialect: Dialect, url: &str, name: &str) -> Result<()> {
    match dialect {
        Dialect::PostgreSql => {
            let mut server = postgres::open(url).await?;
            show_out(&mut server, name).await?;
            postgres::run(&mut server, &format!("drop database if exists {}", postgres::quoted(name))).await?;
            server.close().await.map_err(Refusal::from)
        }
        Dialect::MySql => {
            let mut server = mysql::open(url).await?;
            mysql::run(&mut server, &format!("drop database if exists {}", mysql::quoted(name))).await?;
            server.close().await.map_err(Refusal::from)
        }
    }
}

/// PostgreSQL: gives `fresh` the name of `name`, which is called `aside` from then on. Both or neither, at once; whoever
/// is logged in to `name` is shown out, and finds the other when it comes again.
pub async fn swap(url: &str, name: &str, fresh: &str, aside: &str) -> Result<()> {
    let mut server = postgres::open(url).await?;
    drop_it(Dialect::PostgreSql, url, aside).await?;
    let [name, fresh, aside] = [name, fresh, aside].map(str::to_owned);
    let mut tried = 0;
    loop {
        show_out(&mut server, &name).await?;
        show_out(&mut server, &fresh).await?;
        let text = format!(
            "begin; alter database {} rename to {}; alter database {} rename to {}; commit",
            postgres::quoted(&name),
            postgres::quoted(&aside),
            postgres::quoted(&fresh),
            postgres::quoted(&name)
        );
        match postgres::run(&mut server, &text).await {
            Ok(()) => return server.close().await.map_err(Refusal::from),
            Err(refusal) if refusal.code.as_deref() == Some(IN_USE) && tried < TRIES => {
                postgres::run(&mut server, "rollback").await?;
                tried += 1;
            }
            Err(refusal) => return Err(refusal),
        }
    }
}

/// Settings and comments of a database are not in a dump of it: `to` gets those of `from`.
pub async fn carry_settings(url: &str, from: &str, to: &str) -> Result<()> {
    let mut server = postgres::open(url).await?;
    let text = "select s.setconfig from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase \
where d.datname = $1 and s.setrole = 0";
    let found = sqlx::query(text).bind(from).fetch_optional(&mut server).await?;
    let settings: Vec<String> = found.map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    for setting in settings {
        let Some((name, value)) = setting.split_once('=') else { continue };
        let text = format!("alter database {} set {name} to '{}'", postgres::quoted(to), value.replace('\'', "''"));
        postgres::run(&mut server, &text).await?;
    }
    server.close().await.map_err(Refusal::from)
}

async fn show_out(server: &mut PgConnection, name: &str) -> Result<()> {
    let text = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()";
    sqlx::query(AssertSqlSafe(text)).bind(name).fetch_all(server).await?;
    Ok(())
}
