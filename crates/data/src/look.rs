//! How a database stands, as a plan needs to know it.

use std::path::PathBuf;

use daybook_model::database::{Migrations as Wanted, Pending, Remark, RemarkKind, Standing as Stands};

use crate::Dialect;
use crate::lint::Lint;
use crate::migrations::error::Error;
use crate::migrations::history::{Row, TABLE};
use crate::migrations::server::{Place, Result, Server, connect};
use crate::migrations::set::{Migration, Migrations, read_directory};
use crate::migrations::standing::{Options, Standing, State, name, pending, standings, version, wrong};

/// The migrations in some directories together; else what is wrong with their files, a line for each thing.
pub fn read(directories: &[PathBuf]) -> std::result::Result<Migrations, Vec<String>> {
    let mut files = Vec::new();
    for directory in directories {
        let found = read_directory(directory);
        files.extend(found.map_err(|error| vec![format!("read {}: {error}", directory.display())])?);
    }
    Migrations::read(&files).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// What a run is held to, by what a manifest says.
pub fn options(wanted: &Wanted) -> Options {
    let placeholders = wanted.placeholders.iter().map(|(name, value)| (name, value.clone())).collect();
    Options { target: None, out_of_order: wanted.out_of_order, placeholders }
}

/// Where the history of a database is, at a URL.
pub fn place(url: String, wanted: &Wanted) -> Place {
    let table = wanted.table.clone().unwrap_or_else(|| TABLE.to_owned());
    Place { url, schema: wanted.schema.clone(), table }
}

/// What is to be run in a database that has nothing yet.
pub fn of_nothing(files: &Migrations, wanted: &Wanted) -> Vec<Pending> {
    // Nobody uses it yet: there is nothing to remark.
    pending(files, &[], &options(wanted)).iter().map(|standing| shown(standing, Vec::new())).collect()
}

/// How a database stands to its files. `before` are those of the release in force, which may know what these do not.
pub async fn look(url: String, files: &Migrations, wanted: &Wanted, before: Option<&Migrations>) -> Result<Stands> {
    let mut server = connect(&place(url, wanted)).await?;
    let rows = server.history().await?;
    let mut options = options(wanted);
    options.know(server.facts());
    let mut wrong = wrongs(files, rows.as_deref().unwrap_or_default(), &options);
    if rows.is_none() && !server.is_empty().await? {
        wrong.push(begins_nowhere(server.as_ref()));
    }
    let rows = rows.unwrap_or_default();
    let all = standings(files, &rows, &options);
    let mut lint = Lint::new(server.dialect());
    let mut read = |standing: &Standing<'_>| {
        let text = standing.migration.map(|migration| filled(migration, &options)).unwrap_or_default();
        shown(standing, lint.remarks(&text))
    };
    Ok(Stands {
        version: version(&all).map(ToString::to_string),
        pending: all.iter().filter(|one| one.state.is_pending()).map(&mut read).collect(),
        wrong,
        beyond: all
            .iter()
            .filter(|one| one.state == State::Future)
            .map(|one| unknown(one, before, server.dialect()))
            .collect(),
        locked_out: Vec::new(),
    })
}

fn wrongs(files: &Migrations, rows: &[Row], options: &Options) -> Vec<String> {
    wrong(files, rows, options).iter().map(ToString::to_string).collect()
}

fn begins_nowhere(server: &dyn Server) -> String {
    let schema = server.facts().schema.clone();
    format!("{}: say which version it has with `daybook db baseline VERSION`", Error::NotEmpty { schema })
}

fn shown(standing: &Standing<'_>, remarks: Vec<Remark>) -> Pending {
    let script = standing.migration.map(|migration| migration.script.clone()).unwrap_or_default();
    Pending { what: name(standing), script, remarks }
}

fn filled(migration: &Migration, options: &Options) -> String {
    migration.filled(&options.placeholders).unwrap_or_else(|_| migration.text.clone())
}

/// What another release ran, and what of it this one would feel.
fn unknown(standing: &Standing<'_>, before: Option<&Migrations>, dialect: Dialect) -> Pending {
    let known = standing.version.and_then(|version| before?.versioned.get(version));
    let remarks = match known {
        Some(migration) => Lint::new(dialect).remarks(&migration.text),
        None => vec![Remark {
            line: 1,
            kind: RemarkKind::Breaks,
            text: "nobody knows what it changed: its file is not kept".to_owned(),
            instead: None,
        }],
    };
    let script = standing.row.map(|row| row.script.clone()).unwrap_or_default();
    Pending { what: name(standing), script, remarks }
}
