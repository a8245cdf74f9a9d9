//! A database's migrations for people.

use daybook_api::database::{DatabaseView, MigrationView, TuneView, VitalsView};
use daybook_decide::text::{plural, size};

use crate::output::style::{BAD, DIM, GOOD, WARN, paint};
use crate::output::table::Table;
use crate::output::words;

pub(super) fn status(view: &DatabaseView) -> String {
    let place = &view.place;
    let version = place.version.as_ref().map_or("no version".to_owned(), |version| format!("version {version}"));
    let schema = if place.schema == place.database { String::new() } else { format!(", schema {}", place.schema) };
    let vitals = view.vitals.as_ref().map(|vitals| format!("{}\n", vitals_words(vitals))).unwrap_or_default();
    let head = format!("{} on {} {}{schema}: {version}\n{vitals}\n", place.database, place.engine, place.server);
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

fn vitals_words(vitals: &VitalsView) -> String {
    let growth = vitals.growth.as_ref().map(|growth| {
        let less = if growth.bytes < 0 { "less" } else { "more" };
        let bytes = size(growth.bytes.unsigned_abs());
        let hours = growth.within_ms / 3_600_000;
        let before = if hours < 48 { plural(hours, "hour") } else { plural(hours / 24, "day") };
        format!("; its newest dump has {bytes} {less} than the one {before} before")
    });
    let (used, most) = (vitals.connections, vitals.most_connections);
    let connections = format!("{used} of {most} connections");
    // The last few are kept for who looks after it.
    let style = if used * 10 >= most * 9 { BAD } else { DIM };
    format!("{}, {}{}", size(vitals.size_bytes), paint(style, connections), growth.unwrap_or_default())
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
    use daybook_api::database::{GrowthView, PlaceView};

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
        let vitals = VitalsView {
            size_bytes: 73 << 20,
            connections: 12,
            most_connections: 100,
            growth: Some(GrowthView { bytes: 9 << 20, within_ms: 7 * 86_400_000 }),
        };
        let view = DatabaseView { place, migrations, wrong: Vec::new(), logins: Vec::new(), vitals: Some(vitals) };
        insta::assert_snapshot!(plain(&status(&view)));
    }
}
