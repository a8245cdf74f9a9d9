//! What a PostgreSQL writes is taken from beside it into the repository, so that any moment can be had back.
//!
//! The server lays each segment down beside its files; here it is taken, looked at, saved, and only then taken away. What the
//! repository has is told by its snapshots. The journal has only what changes: a base backup, archiving that fails, a gap.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use daybook_api::backup::{ArchiveGap, PointInTime};
use daybook_backup::{About, Entry, Repository, Snapshot};
use daybook_data::archive::{self as commands, Laid, Spool};
use daybook_decide::archive::{self, Archive, Cluster, Listed, Noted, noted};
use daybook_decide::text::plural;
use daybook_model::backup::ArchiveNote;
use daybook_model::launch::Role;
use daybook_model::{Actor, Database, DatabaseName, EnvKey, Event, Release, ReplicaId, Spec, Timestamp};
use daybook_runtime::ExecOutput;
use futures::StreamExt as _;
use futures::future::join_all;
use tokio::sync::mpsc;

use super::pipe::{Complaints, Piece, hear, inlet};
use super::repository::{Home, refused};
use super::scratch::scratch_key;
use crate::App;
use crate::error::ApiError;

/// Between two looks at what is laid down.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Files that are saved in one snapshot at most.
const BATCH: usize = 16;
/// What has waited for so long is told.
const WAITS_MS: i64 = 5 * 60_000;
/// What is in the repository is looked at anew after so long: others may have removed some of it.
const KNOWN_MS: i64 = 10 * 60_000;
/// A look that is so old says nothing of what would be lost now.
const FRESH_MS: i64 = 60_000;
/// A segment is laid down after so long, where nobody says it.
const TIMEOUT_MS: i64 = 60_000;

/// What is known of every archive while the server lives.
#[derive(Default)]
pub(super) struct Archives(Mutex<BTreeMap<(EnvKey, DatabaseName), Arc<One>>>);

/// What is known of one.
#[derive(Default)]
pub(super) struct One {
    /// Held by whoever takes what is laid down.
    taking: tokio::sync::Mutex<()>,
    /// Held while a base backup is made.
    making: Arc<tokio::sync::Mutex<()>>,
    /// Held by whoever reads what is in the repository: nothing is removed meanwhile.
    pub(super) reading: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What is in the repository, and when that was looked at.
    archive: Option<(Timestamp, Archive)>,
    /// What the journal has.
    noted: Option<Noted>,
    /// The cluster that is in use.
    system: Option<u64>,
    /// When all that was laid down was in the repository.
    taken_at: Option<Timestamp>,
    /// Since when something waits.
    waiting: Option<Timestamp>,
}

impl One {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no holder of this lock panics")
    }

    /// The cluster that is in use, where it was seen.
    pub(super) fn system(&self) -> Option<u64> {
        self.known().system
    }

    /// What is in the repository, as it was seen last.
    pub(super) fn archive(&self) -> Option<Archive> {
        self.known().archive.as_ref().map(|(_, archive)| archive.clone())
    }

    fn learn(&self, archive: Archive, now: Timestamp) {
        self.known().archive = Some((now, archive));
    }

    pub(super) fn add(&self, snapshot: &Snapshot) {
        if let Some((_, archive)) = &mut self.known().archive {
            let files = names(snapshot);
            archive.add(listed(snapshot, &files));
        }
    }
}

impl App {
    /// Takes what databases write, and makes base backups as they come due, until the server stops.
    pub(crate) async fn tend_archives(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let known = match self.inner.store.environments().await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "archives wait");
                    continue;
                }
            };
            for environment in known.iter().filter(|environment| !environment.retired) {
                match self.inner.store.current_release(&environment.key).await {
                    Ok(Some(release)) => self.tend_archives_of(&release),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(key = %environment.key, %error, "archives wait"),
                }
            }
        }
    }

    fn tend_archives_of(&self, release: &Arc<Release>) {
        for name in release.spec.databases.iter().filter(|(_, one)| keeps_archive(one)).map(|(name, _)| name) {
            let (app, release, name) = (self.clone(), release.clone(), name.clone());
            let one = self.archive_of(&release.spec.key, &name);
            self.spawn(async move {
                // One that is still at it goes on.
                if let Ok(_alone) = one.taking.try_lock()
                    && let Err(error) = app.tend_archive(&release, &name, &one).await
                {
                    tracing::warn!(key = %release.spec.key, database = %name, error = %error.0.message, "its archive waits");
                }
            });
        }
    }

    /// What is known of an archive.
    pub(super) fn archive_of(&self, key: &EnvKey, name: &DatabaseName) -> Arc<One> {
        let mut all = self.inner.operations.archives.0.lock().expect("no holder of this lock panics");
        all.entry((key.clone(), name.clone())).or_default().clone()
    }

    async fn tend_archive(&self, release: &Arc<Release>, name: &DatabaseName, one: &Arc<One>) -> Result<(), ApiError> {
        let key = &release.spec.key;
        let home = self.home(&release.spec).await?;
        if one.known().noted.is_none() {
            self.settle_archive(key, name, &home, one).await?;
        }
        let taken = self.take(release, name, one).await;
        self.tell(key, name, one, taken.as_ref().err()).await?;
        let Some(system) = taken? else { return Ok(()) };
        self.look_again(name, &home, one).await?;
        self.tell_gaps(key, name, one, system).await?;
        self.merge_batches(release, name, &home, one, system).await?;
        let due = {
            let known = one.known();
            let failed = known.noted.as_ref().and_then(|noted| noted.failed);
            known.archive.as_ref().and_then(|(_, archive)| archive::base_due(archive, system, failed, self.now()))
        };
        if let Some(why) = due
            && let Ok(making) = one.making.clone().try_lock_owned()
        {
            let (app, release, name, one) = (self.clone(), release.clone(), name.clone(), one.clone());
            self.spawn(async move {
                let _making = making;
                app.make_base(&release, &name, &home, &one, why).await;
            });
        }
        Ok(())
    }

    /// What a server before this one began and did not end.
    async fn settle_archive(&self, key: &EnvKey, name: &DatabaseName, home: &Home, one: &One) -> Result<(), ApiError> {
        let entries = self.inner.store.backup_entries(key).await?;
        let mut noted = noted(entries.iter().map(|entry| (entry.at, &entry.event))).remove(name).unwrap_or_default();
        let archive = self.look_at_archive(name, home).await?;
        let mut notes = Vec::new();
        if let Some(base) = noted.making {
            notes.push(match archive.base(base) {
                Some(_) => ArchiveNote::BaseMade { base, size_bytes: 0 },
                None => ArchiveNote::BaseFailed { base, why: "the server ended while it was made".to_owned() },
            });
        }
        for recovery in noted.recoveries.clone() {
            self.clear_environment(&scratch_key(key, recovery), true, &actor()).await?;
            notes.push(ArchiveNote::RecoveryEnded { recovery });
        }
        for note in notes {
            noted.learn(self.now(), &note);
            let event = Event::Archive { database: name.clone(), note };
            self.note_backup(key, &actor(), event).await?;
        }
        // One that was broken off is begun anew at once.
        noted.failed = None;
        one.learn(archive, self.now());
        one.known().noted = Some(noted);
        Ok(())
    }

    /// What the repository has of a database beside its dumps.
    pub(super) async fn look_at_archive(&self, name: &DatabaseName, home: &Home) -> Result<Archive, ApiError> {
        let snapshots = home.open(Repository::snapshots).await?.unwrap_or_default();
        Ok(archive_in(&snapshots, name))
    }

    async fn look_again(&self, name: &DatabaseName, home: &Home, one: &One) -> Result<(), ApiError> {
        let looked = one.known().archive.as_ref().map(|(at, _)| *at);
        if looked.is_none_or(|at| lies_back(at, self.now()) > KNOWN_MS) {
            one.learn(self.look_at_archive(name, home).await?, self.now());
        }
        Ok(())
    }

    pub(super) async fn note_archive(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        one: &One,
        note: ArchiveNote,
    ) -> Result<(), ApiError> {
        if let Some(noted) = &mut one.known().noted {
            noted.learn(self.now(), &note);
        }
        self.note_backup(key, &actor(), Event::Archive { database: name.clone(), note }).await
    }

    /// Says it once when what is written does not get to the repository, and once when it does again.
    async fn tell(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        one: &One,
        error: Option<&ApiError>,
    ) -> Result<(), ApiError> {
        let (waiting, said) = {
            let known = one.known();
            (known.waiting, known.noted.as_ref().is_some_and(|noted| noted.stuck.is_some()))
        };
        match waiting {
            None if said && error.is_none() => self.note_archive(key, name, one, ArchiveNote::Works).await,
            Some(since) if !said && lies_back(since, self.now()) > WAITS_MS => {
                let why = match error {
                    Some(error) => error.0.message.clone(),
                    None => "the server cannot lay it down: its log says why".to_owned(),
                };
                let why = format!("since {}: {why}", since.strftime("%Y-%m-%d %H:%M:%S UTC"));
                tracing::warn!(%key, database = %name, why, "what is written is not archived");
                self.note_archive(key, name, one, ArchiveNote::Stuck { why }).await
            }
            _ => Ok(()),
        }
    }

    async fn tell_gaps(&self, key: &EnvKey, name: &DatabaseName, one: &One, system: u64) -> Result<(), ApiError> {
        let notes: Vec<_> = {
            let known = one.known();
            let (Some((_, archive)), Some(noted)) = (&known.archive, &known.noted) else { return Ok(()) };
            let Some(cluster) = archive.clusters.get(&system) else { return Ok(()) };
            let gaps = cluster.gaps().into_iter().map(|gap| (cluster.name(gap.first), cluster.name(gap.last)));
            let new = gaps.filter(|(first, _)| !noted.gaps.contains(first));
            new.map(|(first, last)| ArchiveNote::Gap { first, last }).collect()
        };
        for note in notes {
            tracing::warn!(%key, database = %name, ?note, "its archive has a gap");
            self.note_archive(key, name, one, note).await?;
        }
        Ok(())
    }

    /// Takes all that is laid down into the repository. Gives the cluster that wrote it.
    pub(super) async fn take_all(&self, release: &Release, name: &DatabaseName, one: &One) -> Result<u64, ApiError> {
        let _alone = one.taking.lock().await;
        let none = || ApiError::invalid(format!("no server of {name} runs"));
        self.take(release, name, one).await?.ok_or_else(none)
    }

    /// `None`: no server runs.
    async fn take(&self, release: &Release, name: &DatabaseName, one: &One) -> Result<Option<u64>, ApiError> {
        let key = &release.spec.key;
        let Some(replica) = self.server_of(&release.spec, name).await? else {
            one.known().waiting = None;
            return Ok(None);
        };
        let spool = self.spool(key, &replica).await?;
        let waits = spool.ready.iter().chain(&spool.files).map(|laid| laid.written_s).min();
        {
            let mut known = one.known();
            known.system = Some(spool.system);
            known.waiting = waits.and_then(|at| Timestamp::from_second(at).ok());
        }
        if !spool.files.is_empty() {
            self.ensure_password(key, &actor()).await?;
            let home = self.home(&release.spec).await?;
            self.look_again(name, &home, one).await?;
            let names: Vec<_> = spool.files.iter().map(|laid| laid.name.as_str()).collect();
            for batch in archive::batches(&names, spool.segment_bytes, BATCH) {
                let batch = &spool.files[batch];
                let snapshot = self.save_batch(key, name, &replica, &spool, batch, &home).await?;
                one.add(&snapshot);
                let files: Vec<_> = batch.iter().map(|laid| laid.name.clone()).collect();
                self.hear_beside(key, &replica, commands::remove(&files), "rm").await?;
            }
        }
        let mut known = one.known();
        known.waiting = spool.ready.iter().filter_map(|laid| Timestamp::from_second(laid.written_s).ok()).min();
        if known.waiting.is_none() {
            known.taken_at = Some(self.now());
        }
        Ok(Some(spool.system))
    }

    /// The replica that runs a database.
    pub(super) async fn server_of(&self, spec: &Spec, name: &DatabaseName) -> Result<Option<ReplicaId>, ApiError> {
        let Some(kept) = spec.databases.get(name).and_then(Database::kept) else { return Ok(None) };
        let seen = self.inner.runtime.observe(&spec.key).await?;
        let mut replicas = seen.replicas.iter().filter(|one| one.id.service == kept.service && one.role == Role::Main);
        Ok(replicas.find(|one| one.is_running()).map(|one| one.id.clone()))
    }

    /// What is laid down beside a server.
    pub(super) async fn spool(&self, key: &EnvKey, replica: &ReplicaId) -> Result<Spool, ApiError> {
        let said = self.hear_beside(key, replica, commands::list(), "pg_controldata").await?;
        commands::listed(&said).map_err(ApiError::invalid)
    }

    /// What a command says that reads nothing.
    async fn hear_beside(
        &self,
        key: &EnvKey,
        replica: &ReplicaId,
        argv: Vec<String>,
        tool: &str,
    ) -> Result<String, ApiError> {
        let exec = self.run_beside(key, replica, argv).await?;
        hear(exec, b"", tool).await.map_err(ApiError::invalid)
    }

    async fn save_batch(
        &self,
        key: &EnvKey,
        name: &DatabaseName,
        replica: &ReplicaId,
        spool: &Spool,
        batch: &[Laid],
        home: &Home,
    ) -> Result<Snapshot, ApiError> {
        let files: Vec<_> = batch.iter().map(|laid| laid.name.clone()).collect();
        let mut tags = archive::batch_tags(spool.system, spool.segment_bytes, &files);
        tags.push(of(name));
        let about = About {
            host: key.to_string(),
            label: name.to_string(),
            tags,
            time: until(batch, spool.segment_bytes),
            description: Some(format!("what {name} has written, {}", plural(files.len() as u64, "file"))),
        };
        let (mut entries, mut ways) = (Vec::new(), Vec::new());
        for laid in batch {
            let (to, from) = inlet();
            entries.push(Entry { name: laid.name.clone(), content: Box::new(from) });
            ways.push(self.forward(key, replica, laid, spool, to));
        }
        let saving = home.make(move |repository| repository.save(&about, entries));
        let (saved, _) = tokio::join!(saving, join_all(ways));
        saved?.map_err(|error| refused(&error))
    }

    /// Sends a file that is laid down to the repository, which is told when it is not what it should be.
    async fn forward(&self, key: &EnvKey, replica: &ReplicaId, laid: &Laid, spool: &Spool, to: mpsc::Sender<Piece>) {
        let sent = async {
            let mut exec =
                self.run_beside(key, replica, commands::read(&laid.name)).await.map_err(|error| error.0.message)?;
            let (mut head, mut bytes, mut complaints) = (Vec::new(), 0, Complaints::default());
            while let Some(piece) = exec.output.next().await {
                let ExecOutput { stderr, bytes: piece } = piece.map_err(|error| error.to_string())?;
                if stderr {
                    complaints.take(&piece);
                    continue;
                }
                head.extend(&piece[..piece.len().min(archive::HEAD - head.len().min(archive::HEAD))]);
                bytes += piece.len() as u64;
                to.send(Piece::Bytes(piece)).await.map_err(|_| "the repository takes no more".to_owned())?;
            }
            complaints.verdict("cat", exec.code.await.map_err(|error| error.to_string())?)?;
            if bytes != laid.bytes {
                return Err(format!("{} has {bytes} bytes, and had {}", laid.name, laid.bytes));
            }
            archive::check(&laid.name, &head, bytes, spool.system, spool.segment_bytes)
        };
        let last = match sent.await {
            Ok(()) => Piece::End,
            Err(why) => Piece::Broken(why),
        };
        // A repository that takes no more has an error of its own.
        let _ = to.send(last).await;
    }

    /// Makes one snapshot of those of an hour, where some can be removed.
    async fn merge_batches(
        &self,
        release: &Release,
        name: &DatabaseName,
        home: &Home,
        one: &One,
        system: u64,
    ) -> Result<(), ApiError> {
        if release.spec.backups.as_ref().is_some_and(|store| store.locked_days.is_some()) {
            return Ok(());
        }
        let (Some(archive), Ok(_nobody)) = (one.archive(), one.reading.try_lock()) else { return Ok(()) };
        let Some(cluster) = archive.clusters.get(&system) else { return Ok(()) };
        let batches = archive::to_merge(cluster, self.now());
        let Some(last) = batches.last() else { return Ok(()) };
        let mut files: Vec<_> = batches.iter().flat_map(|batch| batch.files.clone()).collect();
        files.sort();
        files.dedup();
        let mut tags = archive::batch_tags(system, cluster.segment_bytes, &files);
        tags.push(of(name));
        let about = About {
            host: release.spec.key.to_string(),
            label: name.to_string(),
            tags,
            time: last.until,
            description: Some(format!("what {name} has written, {}", plural(files.len() as u64, "file"))),
        };
        let ids: Vec<_> = batches.iter().map(|batch| batch.snapshot.clone()).collect();
        let wanted = ids.clone();
        let merged = home.open(move |repository| {
            let merged = repository.merge(&about, &wanted)?;
            repository.forget(&wanted)?;
            Ok(merged)
        });
        let Some(merged) = merged.await? else { return Ok(()) };
        if let Some((_, archive)) = &mut one.known().archive {
            archive.remove(&ids);
        }
        one.add(&merged);
        Ok(())
    }

    /// Removes what no moment within reach needs any more.
    pub(super) async fn thin_archive(
        &self,
        release: &Release,
        name: &DatabaseName,
        home: &Home,
        one: &One,
    ) -> Result<(), ApiError> {
        let policy = release.spec.databases.get(name).and_then(|database| database.backup.as_ref());
        let (Some(policy), Some(archive), Some(system)) = (policy, one.archive(), one.system()) else { return Ok(()) };
        let Ok(_nobody) = one.reading.try_lock() else { return Ok(()) };
        let gone = archive::to_remove(&archive, archive::window_ms(&policy.keep), system, self.now());
        if gone.is_empty() {
            return Ok(());
        }
        let wanted = gone.clone();
        home.open(move |repository| {
            let there = repository.snapshots()?;
            let ids: Vec<_> = there.into_iter().map(|one| one.id).filter(|id| wanted.contains(id)).collect();
            repository.forget(&ids)?;
            if ids.is_empty() { Ok(()) } else { repository.prune().map(drop) }
        })
        .await?;
        if let Some((_, archive)) = &mut one.known().archive {
            archive.remove(&gone);
        }
        Ok(())
    }

    /// How far back a database can be had as it was at any moment, by what the repository has. `None`: by its policy it cannot.
    pub(super) fn point_in_time(&self, spec: &Spec, name: &DatabaseName, there: &[Snapshot]) -> Option<PointInTime> {
        spec.databases.get(name).filter(|database| keeps_archive(database))?;
        let one = self.archive_of(&spec.key, name);
        let archive = archive_in(there, name);
        let system = one.system().or_else(|| newest(&archive));
        let known = one.known();
        let mut view =
            PointInTime { stuck: known.noted.as_ref().and_then(|noted| noted.stuck.clone()), ..PointInTime::default() };
        for (of, cluster) in &archive.clusters {
            let whole = cluster.bases.iter().filter(|base| cluster.reach(base).until.is_some());
            view.from = whole.map(|base| base.whole).chain(view.from).min();
            view.base_backups += cluster.bases.len() as u64;
            view.segments += cluster.batches.iter().map(|batch| batch.segments.len() as u64).sum::<u64>();
            view.gaps.extend(cluster.gaps().into_iter().map(|gap| ArchiveGap {
                missing: cluster.name(gap.first),
                after: gap.after,
                before: gap.before,
            }));
            if Some(*of) == system {
                view.until = reached(cluster);
            }
        }
        let now = self.now();
        view.lost_ms = view.until.map(|until| lost_ms(spec, name, &known, until, now));
        drop(known);
        one.learn(archive, now);
        Some(view)
    }

    /// What would be lost now, milliseconds at most.
    pub(super) fn would_be_lost(&self, spec: &Spec, name: &DatabaseName) -> Option<u64> {
        let one = self.archive_of(&spec.key, name);
        let known = one.known();
        let (_, archive) = known.archive.as_ref()?;
        let until = reached(archive.clusters.get(&known.system?)?)?;
        Some(lost_ms(spec, name, &known, until, self.now()))
    }
}

/// Whether what is written to a database is archived.
pub(super) fn keeps_archive(database: &Database) -> bool {
    database.kept().is_some() && database.backup.as_ref().is_some_and(|policy| policy.point_in_time)
}

pub(super) fn actor() -> Actor {
    Actor::daybook("timer")
}

/// The tag of what belongs to the archive of a database.
pub(super) fn of(name: &DatabaseName) -> String {
    format!("archive:{name}")
}

/// What snapshots have of the archive of a database.
pub(super) fn archive_in(snapshots: &[Snapshot], name: &DatabaseName) -> Archive {
    let tag = of(name);
    let mut archive = Archive::default();
    for snapshot in snapshots.iter().filter(|snapshot| snapshot.tags.contains(&tag)) {
        let files = names(snapshot);
        archive.add(listed(snapshot, &files));
    }
    archive
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    let name = |path: &std::path::PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    snapshot.paths.iter().filter_map(name).collect()
}

fn listed<'a>(snapshot: &'a Snapshot, files: &'a [String]) -> Listed<'a> {
    Listed { id: &snapshot.id, time: snapshot.time, tags: &snapshot.tags, files }
}

/// The cluster that was written to last.
fn newest(archive: &Archive) -> Option<u64> {
    let all = archive.clusters.iter();
    all.max_by_key(|(_, cluster)| reached(cluster)).map(|(system, _)| *system)
}

/// Up to when everything that the newest base backup of a cluster leads to is there.
fn reached(cluster: &Cluster) -> Option<Timestamp> {
    cluster.bases.iter().rev().find_map(|base| cluster.reach(base).until)
}

/// When the last segment of a batch was written; of one without any, when its last file was.
fn until(batch: &[Laid], segment_bytes: u64) -> Timestamp {
    let is_segment = |laid: &&Laid| archive::Segment::parse(&laid.name, segment_bytes).is_some();
    let last = batch.iter().filter(is_segment).map(|laid| laid.written_s).max();
    let last = last.or_else(|| batch.iter().map(|laid| laid.written_s).max()).unwrap_or(0);
    Timestamp::from_second(last).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How much of what is written would be lost now: nothing waits that is older than it takes to lay a segment down, as long as
/// that goes on.
fn lost_ms(spec: &Spec, name: &DatabaseName, known: &Known, until: Timestamp, now: Timestamp) -> u64 {
    let since = lies_back(until, now);
    let looked = known.taken_at.map(|at| lies_back(at, now)).filter(|ago| *ago < FRESH_MS);
    let lost = looked.map_or(since, |ago| since.min(ago + timeout_ms(spec, name)));
    u64::try_from(lost).unwrap_or(0)
}

/// After how long a server lays a segment down, by what it is told: a number of seconds, or with a unit.
fn timeout_ms(spec: &Spec, name: &DatabaseName) -> i64 {
    let service = spec.databases.get(name).and_then(Database::kept).and_then(|kept| spec.services.get(&kept.service));
    let command = service.and_then(|service| service.container.command.as_ref());
    let written = command.into_iter().flatten().rev().find_map(|word| word.strip_prefix("archive_timeout="));
    let Some(written) = written else { return TIMEOUT_MS };
    let digits = written.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &written[digits.len()..] {
        "" | "s" => 1_000,
        "ms" => 1,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return TIMEOUT_MS,
    };
    digits.trim().parse::<i64>().map_or(TIMEOUT_MS, |count| count.saturating_mul(factor))
}

pub(super) fn lies_back(at: Timestamp, now: Timestamp) -> i64 {
    now.as_millisecond().saturating_sub(at.as_millisecond()).max(0)
}
