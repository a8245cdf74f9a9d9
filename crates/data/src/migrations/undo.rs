//! Versions that are taken back.

use crate::migrations::error::{Error, Result, doing};
use crate::migrations::history::{Kind, cut_description, cut_script, last_rank};
use crate::migrations::prepared::Prepared;
use crate::migrations::run::{Each, Report, Run};
use crate::migrations::server::NewRow;
use crate::migrations::standing::{Standing, State, standings};
use crate::migrations::version::Version;

impl Run<'_> {
    pub(super) async fn undo_locked(&mut self, target: Option<&Version>) -> Result<Report> {
        let files = self.files;
        let rows = self.rows().await?;
        let last = last_rank(&rows);
        let mut report = Report::default();
        let all = standings(files, &rows, &self.options);
        let is_applied = |standing: &&Standing<'_>| standing.state.is_there() && standing.state != State::Baseline;
        let newest_first = all.iter().rev().filter(is_applied).filter_map(|standing| standing.version);
        let to_undo: Vec<_> = match target {
            Some(target) => newest_first.take_while(|version| *version > target).collect(),
            None => newest_first.take(1).collect(),
        };
        let without = to_undo.iter().find(|version| !files.undos.contains_key(version));
        if let Some(version) = without {
            return Err(Error::NoUndo(version.to_string()));
        }
        for (rank, version) in (last + 1..).zip(to_undo) {
            let migration = &files.undos[version];
            let text = self.fill(migration)?;
            let script = Prepared::of(migration, &text, self.server.dialect())?;
            let what = format!("the undo of version {version}");
            let written = version.to_string();
            // Programs that know no undo read this as a version that is to be run again.
            let row = NewRow {
                rank,
                version: Some(&written),
                description: &cut_description(&migration.description),
                kind: &Kind::Delete,
                script: &cut_script(&migration.script),
                checksum: Some(migration.checksum()),
                took_ms: 0,
                success: true,
            };
            if script.in_transaction {
                self.in_transaction(&script, &what, row, Each::Undo).await?;
            } else {
                self.server.wait_at_most(self.patience.for_tables).await.map_err(doing("set how long to wait"))?;
                let done = self.statements(&script, &what, false).await;
                self.server.reset().await.map_err(doing("give the session its settings back"))?;
                done?;
                self.server.add(row).await.map_err(doing("write the history"))?;
            }
            report.ran.push(what);
        }
        report.version = self.version().await?;
        Ok(report)
    }
}
