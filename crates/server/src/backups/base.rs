//! Base backups: the files of a PostgreSQL, from which what it has written since leads to any moment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_backup::{About, Entry, Snapshot};
use daybook_data::archive as commands;
use daybook_decide::archive::{self, Segment};
use daybook_model::backup::ArchiveNote;
use daybook_model::{BackupId, DatabaseName, Release};
use daybook_runtime::{Exec, ExecOutput};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::archive::{One, of};
use super::pipe::{Piece, give_password, inlet};
use super::repository::{Home, refused};
use crate::App;
use crate::error::ApiError;

/// The stream of a snapshot that has the files.
pub(super) const FILES: &str = "base.tar";
/// A server that says nothing for so long cannot lay down what a base backup needs.
const SILENT_FOR: Duration = Duration::from_secs(600);
/// What it tells is this long at most.
const TOLD: usize = 64 << 10;

impl App {
    /// Makes a base backup, and then removes what nothing needs any more.
    pub(super) async fn make_base(&self, release: &Release, name: &DatabaseName, home: &Home, one: &One, why: &str) {
        let key = &release.spec.key;
        let made = async {
            let base = BackupId(Uuid::now_v7());
            let _turn = self.inner.operations.turn().await;
            self.note_archive(key, name, one, ArchiveNote::BaseStarted { base, why: why.to_owned() }).await?;
            self.ensure_password(key, &super::archive::actor()).await?;
            let note = match self.save_base(release, name, base).await {
                Ok(snapshot) => {
                    one.add(&snapshot);
                    ArchiveNote::BaseMade { base, size_bytes: snapshot.size_bytes.unwrap_or(0) }
                }
                Err(error) => ArchiveNote::BaseFailed { base, why: error.0.message },
            };
            let is_made = matches!(note, ArchiveNote::BaseMade { .. });
            self.note_archive(key, name, one, note).await?;
            if is_made { self.thin_archive(release, name, home, one).await } else { Ok(()) }
        };
        if let Err(error) = made.await {
            tracing::warn!(%key, database = %name, error = %error.0.message, "a base backup waits");
        }
    }

    async fn save_base(&self, release: &Release, name: &DatabaseName, base: BackupId) -> Result<Snapshot, ApiError> {
        let key = &release.spec.key;
        let home = self.home(&release.spec).await?;
        let door = self.door(key, name).await?;
        let spool = self.spool(key, &door.replica).await?;
        let mut tags = archive::base_tags(base, spool.system, spool.segment_bytes);
        tags.push(of(name));
        let about = About {
            host: key.to_string(),
            label: name.to_string(),
            tags,
            time: self.now(),
            description: Some(format!("the files of {name}")),
        };
        let exec = self.run_beside(key, &door.replica, commands::base(&door.admin, &format!("daybook {base}"))).await?;
        let (to, from) = inlet();
        let whole = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&whole);
        let saving = home.make(move |repository| {
            let entries = vec![Entry { name: FILES.to_owned(), content: Box::new(from) }];
            repository.save_saying(&about, entries, || {
                std::mem::take(&mut *said.lock().expect("no holder of this lock panics"))
            })
        });
        let sending = async {
            let sent = self.send_base(exec, &door.password, spool.segment_bytes, &to).await;
            let last = match &sent {
                Ok(tags) => {
                    *whole.lock().expect("no holder of this lock panics") = tags.clone();
                    Piece::End
                }
                Err(why) => Piece::Broken(why.clone()),
            };
            // A repository that takes no more has an error of its own.
            let _ = to.send(last).await;
            sent
        };
        let (saved, sent) = tokio::join!(saving, sending);
        match (sent, saved?) {
            (Err(why), Err(daybook_backup::Error::Source { .. }) | Ok(_)) => {
                Err(ApiError::new(ErrorCode::Invalid, why))
            }
            (_, saved) => saved.map_err(|error| refused(&error)),
        }
    }

    /// Sends the files to the repository. Gives the tags that say what they need to be whole.
    async fn send_base(
        &self,
        mut exec: Exec,
        password: &str,
        segment_bytes: u64,
        to: &mpsc::Sender<Piece>,
    ) -> Result<Vec<String>, String> {
        give_password(&mut exec, password).await?;
        let (mut told, mut bytes) = (Vec::new(), 0_u64);
        loop {
            let next = tokio::time::timeout(SILENT_FOR, exec.output.next()).await;
            let next = next.map_err(|_| format!("pg_basebackup says nothing for {} s", SILENT_FOR.as_secs()))?;
            let Some(piece) = next else { break };
            let ExecOutput { stderr, bytes: piece } = piece.map_err(|error| error.to_string())?;
            if stderr {
                told.extend(&piece[..piece.len().min(TOLD - told.len().min(TOLD))]);
                continue;
            }
            bytes += piece.len() as u64;
            to.send(Piece::Bytes(piece)).await.map_err(|_| "the repository takes no more".to_owned())?;
        }
        let told = String::from_utf8_lossy(&told).into_owned();
        match exec.code.await.map_err(|error| error.to_string())? {
            0 if bytes > 0 => {}
            0 => return Err("pg_basebackup ended well, and wrote nothing".to_owned()),
            code => {
                let wrong = told.lines().filter(|line| line.contains("rror") || line.contains("FATAL"));
                let why = wrong.take(3).collect::<Vec<_>>().join("\n");
                return Err(format!("pg_basebackup ended with exit code {code}: {why}"));
            }
        }
        let is_segment = |name: &str| Segment::parse(name, segment_bytes).is_some();
        let needs = commands::needs(&told).filter(|(first, last)| is_segment(first) && is_segment(last));
        let (first, last) = needs.ok_or_else(|| "nothing says which segments the base backup needs".to_owned())?;
        Ok(archive::whole_tags(&first, &last, self.now()))
    }
}
