//! Backups and drills of the state that come due while a server works.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_decide::backups::{NO_BACKUP, NO_PROOF};
use daybook_decide::state_backups::{self as decide, Due, Known};
use daybook_decide::text::seconds;
use daybook_model::backup::Keep;
use daybook_model::{Actor, Event, Timestamp};
use daybook_store::{Journal as _, KeySource, Write, passphrase_in};

use super::drill::remember;
use super::{Bucket, Destination, KeyCopy, KeyForDrill, Record, StateError, drill, list, save, save::tidy};
use crate::App;

/// Between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How a server backs its own state up.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// A directory, or `s3://BUCKET/PREFIX`.
    pub to: String,
    /// How a bucket is reached.
    pub bucket: Bucket,
    /// The file whose first line is the password. It is read each time.
    pub password_file: PathBuf,
    /// Whether the master key is in it.
    pub key: KeyCopy,
    /// Between two backups.
    pub every: Duration,
    /// Between two drills.
    pub drill: Duration,
}

impl Schedule {
    fn destination(&self) -> Result<Destination, StateError> {
        let password = passphrase_in(&self.password_file);
        let password = password.map_err(StateError::io("read the password of the backups in", &self.password_file))?;
        Destination::new(&self.to, &self.bucket, password)
    }

    fn spans(&self) -> decide::Schedule {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        decide::Schedule { every_ms: ms(self.every), drill_ms: ms(self.drill) }
    }
}

/// Backs the state up and proves it as that comes due, until the server stops.
pub(crate) async fn tend(app: App, schedule: Schedule, source: KeySource, passphrase_file: Option<PathBuf>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let tending = Tending { app, schedule, source, passphrase_file };
    let mut known = Known::default();
    let mut is_asked = false;
    loop {
        ticks.tick().await;
        if !is_asked {
            known = tending.remembered().await;
            is_asked = true;
        }
        for due in decide::due(tending.schedule.spans(), &known, tending.app.inner.started_at, tending.app.now()) {
            tending.carry_out(due, &mut known).await;
        }
    }
}

struct Tending {
    app: App,
    schedule: Schedule,
    source: KeySource,
    passphrase_file: Option<PathBuf>,
}

impl Tending {
    fn state(&self) -> &Path {
        &self.app.inner.state
    }

    /// What the state directory remembers, if the repository has it still.
    async fn remembered(&self) -> Known {
        let Some(record) = Record::of(self.state()) else { return Known::default() };
        let Ok(destination) = self.schedule.destination() else { return Known::default() };
        let is_there = match list(&destination).await {
            Ok(all) => all.iter().any(|one| one.snapshot == record.snapshot),
            // One that cannot be asked now has not lost anything.
            Err(StateError::Repository(_)) => true,
            Err(_) => false,
        };
        match is_there && record.to == destination.to_string() {
            true => Known { made: Some(record.at), proven: record.proven, ..Known::default() },
            false => Known::default(),
        }
    }

    async fn carry_out(&self, due: Due, known: &mut Known) {
        let said = match due {
            Due::Backup => self.back_up(known).await,
            Due::Drill => self.prove(known).await,
            Due::NoBackup => Err(NO_BACKUP.to_owned()),
            Due::NoProof => Err(NO_PROOF.to_owned()),
        };
        match (&said, due) {
            (Ok(_), _) => (known.failed, known.is_told) = (None, false),
            (Err(_), Due::Backup | Due::Drill) => {
                known.failed = Some((self.app.now(), known.failed.map_or(1, |(_, times)| times + 1)));
            }
            (Err(_), Due::NoBackup | Due::NoProof) => known.is_told = true,
        }
        match &said {
            Ok(what) => tracing::info!(what, "backup of the state"),
            Err(what) => tracing::warn!(what, "backup of the state"),
        }
        let event = Event::StateBackup { what: said.unwrap_or_else(|wrong| wrong) };
        let write = Write { key: None, run: None, actor: Actor::daybook("timer"), event, expected: None };
        if let Err(error) = self.app.inner.store.append(write).await {
            tracing::warn!(%error, "a backup of the state is not in the journal");
        }
    }

    async fn back_up(&self, known: &mut Known) -> Result<String, String> {
        let failed = |error: StateError| format!("backup failed: {error}");
        let (began, now) = (std::time::Instant::now(), self.app.now());
        let destination = self.schedule.destination().map_err(failed)?;
        let saved = save(self.state(), &destination, self.schedule.key, now).await.map_err(failed)?;
        known.made = Some(now);
        let removed = tidy(self.state(), &destination, &Keep::USUAL, now).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "old backups of the state stay for now");
            0
        });
        let took = seconds(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        let old = if removed > 0 { format!(", {removed} old ones removed") } else { String::new() };
        Ok(format!("backup {} made in {took}, in {destination}{old}", saved.listed.short()))
    }

    async fn prove(&self, known: &mut Known) -> Result<String, String> {
        let failed = |error: StateError| format!("drill came to no end: {error}");
        let passphrase = self.passphrase_file.as_deref().map(passphrase_in).transpose();
        let passphrase = passphrase.map_err(|error| format!("drill came to no end: read the passphrase: {error}"))?;
        let key = KeyForDrill {
            source: Some(own_path(&self.source, self.state())),
            passphrase: passphrase.map(|passphrase| passphrase.to_string()),
        };
        let destination = self.schedule.destination().map_err(failed)?;
        let drilled = drill(&destination, None, self.state(), &key).await.map_err(failed)?;
        let name = drilled.listed.short().to_owned();
        if let Some(wrong) = &drilled.wrong {
            return Err(format!("backup {name} is no good: {wrong}"));
        }
        let now: Timestamp = self.app.now();
        known.proven = Some(now);
        remember(self.state(), &drilled, now).map_err(failed)?;
        Ok(format!("backup {name} is proven: back in {}", seconds(drilled.took_ms)))
    }
}

/// The key of a state directory as a file: a scratch directory has none of its own.
fn own_path(source: &KeySource, state: &Path) -> KeySource {
    match source {
        KeySource::Own => KeySource::File(state.join(super::KEY)),
        other => other.clone(),
    }
}
