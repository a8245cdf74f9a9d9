//! Histories that are begun, and those that are made to fit.

use crate::migrations::error::{Error, Result, doing};
use crate::migrations::history::{Kind, Row, cut_description, last_rank};
use crate::migrations::run::{Report, Run};
use crate::migrations::server::NewRow;
use crate::migrations::set::{Migration, Migrations};
use crate::migrations::standing::{Options, State, standings};
use crate::migrations::version::Version;

impl Run<'_> {
    pub(super) async fn baseline_locked(&mut self, version: &Version, description: &str) -> Result<Report> {
        let rows = self.rows().await?;
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
            rank: last_rank(&rows) + 1,
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
        let last = last_rank(&rows);
        let (whole, broken_off): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.success);
        let mut repairs: Vec<_> = broken_off.iter().map(Repair::Remove).collect();
        repairs.extend(unfit(self.files, &whole, last, &self.options));
        let mut report = Report::default();
        self.begin().await?;
        let done = self.repair_all(repairs).await;
        report.ran = self.end_transaction("the repair", done).await?;
        report.version = self.version().await?;
        Ok(report)
    }

    async fn repair_all(&mut self, repairs: Vec<Repair<'_>>) -> Result<Vec<String>> {
        let mut done = Vec::with_capacity(repairs.len());
        for repair in repairs {
            done.push(self.repair_one(repair).await?);
        }
        Ok(done)
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

/// What does not fit of rows that came to their end. New rows come after `last`.
fn unfit<'a>(files: &'a Migrations, rows: &'a [Row], last: i32, options: &Options) -> Vec<Repair<'a>> {
    let (mut rank, mut all) = (last, Vec::new());
    for standing in standings(files, rows, options) {
        let Some(row) = standing.row else { continue };
        match (standing.state, standing.migration) {
            (State::Missing | State::Future, _) => {
                rank += 1;
                all.push(Repair::Void { row, rank });
            }
            (State::Applied | State::OutOfOrder | State::Baseline, Some(migration)) if standing.version.is_some() => {
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
