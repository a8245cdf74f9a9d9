//! Histories that are begun, and those that are made to fit.

use crate::migrations::error::{Error, Result, doing};
use crate::migrations::history::{Kind, Row, cut_description};
use crate::migrations::run::{Report, Run};
use crate::migrations::server::NewRow;
use crate::migrations::set::{Migration, Migrations};
use crate::migrations::standing::{Options, State, standings};
use crate::migrations::version::Version;

impl Run<'_> {
    pub(super) async fn baseline_locked(&mut self, version: &Version, description: &str) -> Result<Report> {
        let rows = self.server.history().await.map_err(doing("read the history"))?.unwrap_or_default();
        let report = Report { ran: Vec::new(), version: Some(version.to_string()) };
        if let Some(first) = rows.iter().find(|row| row.kind != Kind::Schema) {
            let is_same = first.kind == Kind::Baseline && first.version.as_ref() == Some(version);
            if is_same && first.description == description {
                return Ok(report);
            }
            let at = first.version.as_ref().map_or_else(|| first.description.clone(), ToString::to_string);
            return Err(Error::HasHistory(at));
        }
        self.server.create_history().await.map_err(doing("make the history"))?;
        let text = version.to_string();
        let row = NewRow {
            rank: rows.last().map_or(0, |row| row.rank) + 1,
            version: Some(&text),
            description,
            kind: &Kind::Baseline,
            script: description,
            checksum: None,
            took_ms: 0,
            success: true,
        };
        self.server.add(row).await.map_err(doing("write the history"))?;
        Ok(report)
    }

    pub(super) async fn repair_locked(&mut self) -> Result<Report> {
        let rows = self.rows().await?;
        let mut report = Report::default();
        self.server.begin(self.patience.for_tables).await.map_err(doing("begin a transaction"))?;
        let done = async {
            for repair in repairs(self.files, &rows, &self.options) {
                report.ran.push(self.repair_one(repair).await?);
            }
            self.server.commit().await.map_err(doing("commit the repair"))
        }
        .await;
        if let Err(error) = done {
            let _ = self.server.roll_back().await;
            return Err(error);
        }
        report.version = self.version().await?;
        Ok(report)
    }

    async fn repair_one(&mut self, repair: Repair<'_>) -> Result<String> {
        let written = doing("write the history");
        match repair {
            Repair::Remove(row) => {
                self.server.remove(row.rank).await.map_err(written)?;
                Ok(format!("forgot {}, which was broken off", of_row(row)))
            }
            Repair::Void { row, rank } => {
                let version = row.version.as_ref().map(ToString::to_string);
                let void = NewRow {
                    rank,
                    version: version.as_deref(),
                    description: &row.description,
                    kind: &Kind::Delete,
                    script: &row.script,
                    checksum: row.checksum,
                    took_ms: 0,
                    success: true,
                };
                self.server.add(void).await.map_err(written)?;
                Ok(format!("forgot {}, whose file is gone", of_row(row)))
            }
            Repair::Align { row, migration, kind, checksum } => {
                let description = cut_description(&migration.description);
                self.server.align(row.rank, &kind, &description, Some(checksum)).await.map_err(written)?;
                Ok(format!("accepted {} as {} has it", of_row(row), migration.script))
            }
        }
    }
}

/// One change of a history that does not fit.
enum Repair<'a> {
    Remove(&'a Row),
    Void { row: &'a Row, rank: i32 },
    Align { row: &'a Row, migration: &'a Migration, kind: Kind, checksum: i32 },
}

fn repairs<'a>(files: &'a Migrations, rows: &'a [Row], options: &Options) -> Vec<Repair<'a>> {
    let mut rank = rows.last().map_or(0, |row| row.rank);
    let mut all: Vec<_> = rows.iter().filter(|row| !row.success).map(Repair::Remove).collect();
    let kept: Vec<_> = rows.iter().filter(|row| row.success).cloned().collect();
    for standing in standings(files, &kept, options) {
        let Some(row) = standing.row.and_then(|row| rows.iter().find(|other| other.rank == row.rank)) else { continue };
        match (standing.state, standing.migration) {
            (State::Missing | State::Future, _) => {
                rank += 1;
                all.push(Repair::Void { row, rank });
            }
            (State::Applied | State::OutOfOrder | State::Baseline, Some(found)) if standing.version.is_some() => {
                let version = row.version.as_ref();
                let known =
                    version.and_then(|version| files.versioned.get(version).or_else(|| files.baselines.get(version)));
                let Some(migration) = known.filter(|known| known.script == found.script) else { continue };
                let kind = match row.kind {
                    Kind::Baseline => continue,
                    Kind::SqlBaseline => Kind::SqlBaseline,
                    _ => Kind::Sql,
                };
                let checksum = migration.checksum();
                let fits = row.checksum == Some(checksum)
                    && row.kind == kind
                    && row.description == cut_description(&migration.description);
                if !fits {
                    all.push(Repair::Align { row, migration, kind, checksum });
                }
            }
            _ => {}
        }
    }
    all
}

fn of_row(row: &Row) -> String {
    match &row.version {
        Some(version) => format!("version {version}"),
        None => format!("the repeatable migration `{}`", row.description),
    }
}
