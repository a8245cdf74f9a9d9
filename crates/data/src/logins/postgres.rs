//! Roles of PostgreSQL. Two groups hold the rights, and logins are members of one of them.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::{Kept, Login, Rights, literal};
use crate::Dialect;
use crate::migrations::postgres::{open, quoted, run};
use crate::migrations::server::{Refusal, Result};

/// Passwords stand in statements: a server that writes those to its log does not write these.
const QUIETLY: &str = "set log_statement = 'none'; set log_min_error_statement = 'panic'; \
set log_min_duration_statement = -1; set standard_conforming_strings = on";

/// Schemas that are not PostgreSQL's own.
const SCHEMAS: &str = "select nspname::text from pg_namespace \
where nspname <> 'information_schema' and nspname not like 'pg\\_%'";

pub(super) async fn grant(
    kept: &Kept<'_>,
    password: &str,
    logins: &[Login<'_>],
    keep: &BTreeSet<String>,
    rights: Rights,
) -> Result<()> {
    let mut server = connect(&kept.url_with(password, "")).await?;
    let wanted = kept.passwords.first().map_or(password, String::as_str);
    if wanted != password {
        run(&mut server, &format!("alter role {} password {}", quoted(kept.admin), text(wanted))).await?;
    }
    let there = sqlx::query("select exists (select 1 from pg_database where datname = $1)").bind(kept.database);
    let is_there: bool = there.fetch_one(&mut server).await?.try_get(0)?;
    if !is_there {
        run(&mut server, &format!("create database {}", quoted(kept.database))).await?;
    }
    server.close().await?;

    let mut database = connect(&kept.url_with(wanted, kept.database)).await?;
    let groups = Groups::of(kept.database);
    run(&mut database, "begin").await?;
    count_queries(&mut database).await?;
    for group in [&groups.owner, &groups.writer] {
        if !role_exists(&mut database, group).await? {
            run(&mut database, &format!("create role {} nologin", quoted(group))).await?;
        }
    }
    let (name, owner) = (quoted(kept.database), quoted(&groups.owner));
    run(&mut database, &format!("revoke all on database {name} from public")).await?;
    run(&mut database, &format!("grant all on database {name} to {owner}")).await?;
    run(&mut database, &format!("grant connect, temporary on database {name} to {}", quoted(&groups.writer))).await?;
    run(&mut database, &format!("grant all on schema public to {owner}")).await?;
    for login in logins {
        make(&mut database, login, &groups, rights).await?;
    }
    for gone in members(&mut database, &groups).await? {
        if !keep.contains(&gone) && !logins.iter().any(|login| login.name == gone) {
            let gone = quoted(&gone);
            run(&mut database, &format!("reassign owned by {gone} to {owner}; drop owned by {gone}; drop role {gone}"))
                .await?;
        }
    }
    open_tables(&mut database, kept, &groups, rights).await?;
    run(&mut database, "commit").await?;
    database.close().await.map_err(Refusal::from)
}

pub(super) async fn open_objects(kept: &Kept<'_>, rights: Rights) -> Result<()> {
    let mut database = connect(&kept.url().await?).await?;
    open_tables(&mut database, kept, &Groups::of(kept.database), rights).await?;
    database.close().await.map_err(Refusal::from)
}

/// Lets the database show what its server counts of queries, if it does.
async fn count_queries(database: &mut PgConnection) -> Result<()> {
    let counts = "select current_setting('shared_preload_libraries') like '%pg_stat_statements%'";
    if sqlx::query(counts).fetch_one(&mut *database).await?.try_get(0)? {
        run(database, "create extension if not exists pg_stat_statements").await?;
    }
    Ok(())
}

/// The two groups of a database.
struct Groups {
    /// Whose members change tables.
    owner: String,
    /// Whose members read and write rows.
    writer: String,
}

impl Groups {
    fn of(database: &str) -> Self {
        // A name has room for 63 bytes.
        let begin: String = database.chars().take(40).collect();
        Self { owner: format!("{begin}_owner"), writer: format!("{begin}_writer") }
    }
}

async fn make(database: &mut PgConnection, login: &Login<'_>, groups: &Groups, rights: Rights) -> Result<()> {
    let name = quoted(login.name);
    let is_known = role_exists(database, login.name).await?;
    let verb = if is_known { "alter" } else { "create" };
    run(database, &format!("{verb} role {name} login password {}", text(login.password))).await?;
    let (has, has_not) = match rights {
        Rights::Rows => (&groups.writer, &groups.owner),
        Rights::Tables => (&groups.owner, &groups.writer),
    };
    let (has, has_not) = (quoted(has), quoted(has_not));
    run(database, &format!("grant {has} to {name}")).await?;
    if is_known {
        run(database, &format!("revoke {has_not} from {name}")).await?;
    }
    // What one service makes is for all to change: it belongs to the group.
    match rights {
        Rights::Tables => run(database, &format!("alter role {name} set role {has}")).await,
        Rights::Rows => run(database, &format!("alter role {name} reset role")).await,
    }
}

/// Lets who reads and writes rows reach every table, those of migrations to come among them.
async fn open_tables(database: &mut PgConnection, kept: &Kept<'_>, groups: &Groups, rights: Rights) -> Result<()> {
    if rights == Rights::Tables {
        return Ok(());
    }
    let writer = quoted(&groups.writer);
    let schemas = sqlx::query(SCHEMAS).fetch_all(&mut *database).await?;
    for row in schemas {
        let schema: String = row.try_get(0)?;
        let schema = quoted(&schema);
        run(
            database,
            &format!(
                "grant usage on schema {schema} to {writer};
grant select, insert, update, delete on all tables in schema {schema} to {writer};
grant usage, select, update on all sequences in schema {schema} to {writer}"
            ),
        )
        .await?;
        let table = format!("{schema}.{}", quoted(kept.history));
        let there = sqlx::query("select to_regclass($1) is not null").bind(&table).fetch_one(&mut *database).await?;
        if there.try_get::<bool, _>(0)? {
            run(database, &format!("revoke insert, update, delete on {table} from {writer}")).await?;
        }
    }
    run(
        database,
        &format!(
            "alter default privileges grant select, insert, update, delete on tables to {writer};
alter default privileges grant usage, select, update on sequences to {writer};
alter default privileges grant usage on schemas to {writer}"
        ),
    )
    .await
}

async fn members(database: &mut PgConnection, groups: &Groups) -> Result<Vec<String>> {
    let text = "select distinct m.rolname::text from pg_auth_members a join pg_roles g on g.oid = a.roleid \
join pg_roles m on m.oid = a.member where g.rolname in ($1, $2) and m.rolcanlogin and not m.rolsuper";
    let rows = sqlx::query(text).bind(&groups.owner).bind(&groups.writer).fetch_all(database).await?;
    rows.iter().map(|row| row.try_get(0).map_err(Refusal::from)).collect()
}

async fn role_exists(database: &mut PgConnection, name: &str) -> Result<bool> {
    let asked = sqlx::query("select exists (select 1 from pg_roles where rolname = $1)").bind(name);
    Ok(asked.fetch_one(database).await?.try_get(0)?)
}

async fn connect(url: &str) -> Result<PgConnection> {
    let mut connection = open(url).await?;
    run(&mut connection, QUIETLY).await?;
    Ok(connection)
}

fn text(text: &str) -> String {
    literal(Dialect::PostgreSql, text)
}
