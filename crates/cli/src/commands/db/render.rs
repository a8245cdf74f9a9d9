//! A database's migrations for people.

use daybook_api::database::{DatabaseView, MigrationView, TuneView};

use crate::output::style::{BAD, DIM, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

pub(super) fn status(view: &DatabaseView) -> String {
    let place = &view.place;
    let version = place.version.as_ref().map_or("no version".to_owned(), |version| format!("version {version}"));
    let schema = if place.schema == place.database { String::new() } else { format!(", schema {}", place.schema) };
    let head = format!("{} on {} {}{schema}: {version}\n\n", place.database, place.engine, place.server);
    if view.migrations.is_empty() {
        return format!("{head}no migrations\n");
    }
    let mut table = Table::new(&["VERSION", "STATE", "DESCRIPTION", "RUN", "TOOK>", "FILE"]);
    for migration in &view.migrations {
        let on = migration.installed_on.as_deref().unwrap_or_default();
        let took = migration.took_ms.and_then(|ms| u64::try_from(ms).ok()).map(words::took).unwrap_or_default();
        table.row([
            migration.version.clone().unwrap_or_else(|| paint(DIM, "repeatable")),
            state(migration),
            migration.description.clone(),
            // A database tells fractions of seconds.
            on.split('.').next().unwrap_or_default().to_owned(),
            took,
            paint(DIM, &migration.script),
        ]);
    }
    format!("{head}{}", table.render())
}

/// What would make a database better: each with its evidence, then the statement.
pub(super) fn advice(view: &TuneView) -> String {
    if view.advice.is_empty() {
        return "nothing to say: it is in order\n".to_owned();
    }
    let mut out = String::new();
    for one in &view.advice {
        let style = if one.kind == "danger" { BAD } else { WARN };
        out.push_str(&format!("{}  {}\n    {}\n", paint(style, &one.kind), one.about, one.why));
        if let Some(run) = &one.run {
            out.push_str(&format!("    {}\n", paint(GOOD, run)));
        }
    }
    out
}

fn state(migration: &MigrationView) -> String {
    let style = match migration.state.as_str() {
        "applied" | "baseline" => GOOD,
        "pending" | "outdated" | "ignored" | "out of order" => WARN,
        "failed" | "missing" => BAD,
        _ => DIM,
    };
    paint(style, &migration.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybook_api::database::PlaceView;

    use crate::output::style::plain;

    fn migration(version: Option<&str>, state: &str, description: &str, on: Option<&str>) -> MigrationView {
        MigrationView {
            version: version.map(str::to_owned),
            description: description.to_owned(),
            state: state.to_owned(),
            script: format!("V{}__{description}.sql", version.unwrap_or_default()),
            checksum: Some(1),
            installed_on: on.map(str::to_owned),
            installed_by: on.map(|_| "shop".to_owned()),
            took_ms: on.map(|_| 12),
        }
    }

    #[test]
    fn a_database_is_shown() {
        let place = PlaceView {
            engine: "PostgreSQL".to_owned(),
            server: "15.18".to_owned(),
            database: "shop".to_owned(),
            schema: "public".to_owned(),
            version: Some("1".to_owned()),
        };
        let migrations = vec![
            migration(Some("1"), "applied", "orders", Some("2026-11-29 14:00:00.123")),
            migration(Some("2"), "pending", "price", None),
        ];
        let view = DatabaseView { place, migrations, wrong: Vec::new(), logins: Vec::new() };
        insta::assert_snapshot!(plain(&status(&view)));
    }
}
