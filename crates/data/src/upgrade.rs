//! What a server holds beside the database that a dump has, and commands by which it gets to a server of another series.
//!
//! The commands run beside a server. Those that need a password read it as the first line of their input.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::Dialect;
use crate::migrations::server::{Refusal, Result};
use crate::migrations::{mysql, postgres};

/// What is beside the rows of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// Whom each object belongs to, where the engine knows that.
    pub owners: BTreeMap<String, String>,
    /// Other databases of people in the same server.
    pub others: Vec<String>,
    /// Who may log in, where that is not carried over by itself.
    pub logins: Vec<String>,
    /// The character set of the database and its order, where that is not in a dump.
    pub letters: Option<(String, String)>,
}

/// What is beside the rows of the database at `url`.
pub async fn around(dialect: Dialect, url: &str) -> Result<Around> {
    match dialect {
        Dialect::PostgreSql => around_postgres(url).await,
        Dialect::MySql => around_mysql(url).await,
    }
}

/// Schemas of people, and what is in them that belongs to no extension.
const OURS: &str = "n.nspname <> 'information_schema' and n.nspname !~ '^pg_' \
and not exists (select 1 from pg_depend d where d.objid = o.oid and d.deptype = 'e')";

async fn around_postgres(url: &str) -> Result<Around> {
    let mut server = postgres::open(url).await?;
    let text = format!(
        "select n.nspname || '.' || o.relname, pg_get_userbyid(o.relowner)::text from pg_class o \
join pg_namespace n on n.oid = o.relnamespace where o.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and {OURS} \
union all select n.nspname || '.' || o.proname || '(' || pg_get_function_identity_arguments(o.oid) || ')', \
pg_get_userbyid(o.proowner)::text from pg_proc o join pg_namespace n on n.oid = o.pronamespace where {OURS} \
union all select 'schema ' || nspname, pg_get_userbyid(nspowner)::text from pg_namespace \
where nspname not in ('information_schema', 'public') and nspname !~ '^pg_' \
union all select 'database ' || datname, pg_get_userbyid(datdba)::text from pg_database where datname = current_database()"
    );
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut server).await?;
    let owners = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<sqlx::Result<_>>()?;
    let text = "select datname::text from pg_database where not datistemplate and datname <> 'postgres' \
and datname <> current_database() order by 1";
    let rows = sqlx::query(text).fetch_all(&mut server).await?;
    let others = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?;
    server.close().await?;
    Ok(Around { owners, others, ..Around::default() })
}

async fn around_mysql(url: &str) -> Result<Around> {
    let mut server = mysql::open(url).await?;
    let column = |rows: Vec<sqlx::mysql::MySqlRow>| rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>();
    let text = "select cast(schema_name as char) from information_schema.schemata where schema_name not in \
('mysql', 'information_schema', 'performance_schema', 'sys') and schema_name <> database() order by 1";
    let others = column(sqlx::query(text).fetch_all(&mut server).await?)?;
    let text = "select cast(concat(user, '@', host) as char) from mysql.user \
where user not in ('', 'root') and user not like 'mysql%' and user not like 'mariadb%' order by 1";
    let logins = column(sqlx::query(text).fetch_all(&mut server).await?)?;
    let text = "select cast(default_character_set_name as char), cast(default_collation_name as char) \
from information_schema.schemata where schema_name = database()";
    let row = sqlx::query(text).fetch_one(&mut server).await?;
    let letters = Some((row.try_get(0)?, row.try_get(1)?));
    server.close().await?;
    Ok(Around { owners: BTreeMap::new(), others, logins, letters })
}

/// Gives a database its character set and its order. `url` is that of the database.
pub async fn spell(url: &str, name: &str, letters: &(String, String)) -> Result<()> {
    let mut server = mysql::open(url).await?;
    let text = format!("alter database {} character set {} collate {}", mysql::quoted(name), letters.0, letters.1);
    mysql::run(&mut server, &text).await?;
    server.close().await.map_err(Refusal::from)
}

/// PostgreSQL: has the planner know what is there. A dump does not tell.
pub async fn analyze(url: &str) -> Result<()> {
    let mut server = postgres::open(url).await?;
    postgres::run(&mut server, "analyze").await?;
    server.close().await.map_err(Refusal::from)
}

/// What belongs to somebody else than before, in words.
pub fn other_owners(had: &Around, has: &Around) -> Vec<String> {
    let differs = |what: &str, owner: &str| match has.owners.get(what) {
        Some(now) if now == owner => None,
        Some(now) => Some(format!("{what} belongs to {now}, not to {owner}")),
        None => Some(format!("{what} is missing, which belonged to {owner}")),
    };
    had.owners.iter().filter_map(|(what, owner)| differs(what, owner)).collect()
}

/// The command that writes all roles of a PostgreSQL to its output, with what they are members of, their settings and the
/// hashes of their passwords. Those that are there already are made anew.
pub fn roles(admin: &str) -> Vec<String> {
    command(
        r#"IFS= read -r PGPASSWORD; export PGPASSWORD
exec pg_dumpall --roles-only --clean --if-exists --no-password --host=127.0.0.1 --port="${PORT:-5432}" --username="$1" \
    --database=postgres </dev/null"#,
        &[admin],
    )
}

/// The command that makes such roles, which it reads after the password.
pub fn take_roles(admin: &str) -> Vec<String> {
    command(
        r#"IFS= read -r PGPASSWORD; export PGPASSWORD
exec psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --output=/dev/null \
    --host=127.0.0.1 --port="${PORT:-5432}" --username="$1" --dbname=postgres"#,
        &[admin],
    )
}

/// Roles as another server takes them: without who may do everything, whom it has already, with no word that an older `psql`
/// does not know, and in no log.
pub fn roles_of_others(told: &str, admin: &str) -> String {
    let (made, gone) = (format!("CREATE ROLE {admin};"), format!("DROP ROLE IF EXISTS {admin};"));
    let changed = format!("ALTER ROLE {admin} WITH ");
    let is_theirs = |line: &&str| {
        *line != made
            && *line != gone
            && !line.starts_with(&changed)
            && !line.starts_with("\\restrict ")
            && !line.starts_with("\\unrestrict ")
    };
    let quietly =
        "set log_statement = 'none';\nset log_min_error_statement = 'panic';\nset log_min_duration_statement = -1;\n";
    told.lines().filter(is_theirs).fold(quietly.to_owned(), |all, line| all + line + "\n")
}

/// The command that removes what is in a place of files, whose server does not run. Where a server is a plain process, its
/// paths are beneath `DAYBOOK_ROOT`.
pub fn clear(place: &str) -> Vec<String> {
    let text = r#"place="${DAYBOOK_ROOT-}${1:?}"
[ "$1" != "${PGDATA-}" ] || { echo "a server runs on the files in $1" >&2; exit 1; }
exec rm -rf -- "$place" "$place.new""#;
    command(text, &[place])
}

fn command(script: &str, arguments: &[&str]) -> Vec<String> {
    ["sh", "-c", script, "daybook"].iter().chain(arguments).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_carried_but_for_who_may_do_everything() {
        let told = "\\restrict abc\nDROP ROLE IF EXISTS postgres;\nCREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER PASSWORD 'x';\n\
                    CREATE ROLE postgres_too;\nALTER ROLE postgres_too WITH NOSUPERUSER;\n\\unrestrict abc\n";
        let taken = roles_of_others(told, "postgres");
        assert!(taken.starts_with("set log_statement = 'none';"), "{taken}");
        assert!(taken.ends_with("CREATE ROLE postgres_too;\nALTER ROLE postgres_too WITH NOSUPERUSER;\n"), "{taken}");
        assert!(!taken.contains("SUPERUSER PASSWORD") && !taken.contains("restrict"), "{taken}");
    }

    #[test]
    fn who_owns_what_is_compared() {
        let around = |owners: &[(&str, &str)]| Around {
            owners: owners.iter().map(|(what, owner)| ((*what).to_owned(), (*owner).to_owned())).collect(),
            ..Around::default()
        };
        let had = around(&[("public.a", "db_owner"), ("public.b", "ann")]);
        assert!(other_owners(&had, &had).is_empty());
        let has = around(&[("public.a", "postgres"), ("public.c", "ann")]);
        let told = ["public.a belongs to postgres, not to db_owner", "public.b is missing, which belonged to ann"];
        assert_eq!(other_owners(&had, &has), told);
    }

    #[test]
    fn a_place_is_cleared_and_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        for place in ["data/15", "data/16", "data/16.new"] {
            std::fs::create_dir_all(root.path().join(place).join("base")).unwrap();
        }
        let argv = clear("/data/16");
        let run = |running: &str| {
            let mut command = std::process::Command::new(&argv[0]);
            command.args(&argv[1..]).env("DAYBOOK_ROOT", root.path()).env("PGDATA", running);
            command.output().unwrap().status.success()
        };
        assert!(!run("/data/16"), "a server runs there");
        assert!(run("/data/15"));
        let left: Vec<_> =
            std::fs::read_dir(root.path().join("data")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["15"]);
    }

    #[test]
    fn no_command_has_a_password_in_its_arguments() {
        for command in [roles("postgres"), take_roles("postgres")] {
            assert!(command[2].starts_with("IFS= read -r PGPASSWORD"), "{}", command[2]);
        }
    }
}
