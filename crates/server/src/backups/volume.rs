//! Volumes: read as directories while commands of their services see to it that they are of one state, restored into
//! scratch directories to prove that, and put in place of what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_backup::{About, Repository, SavedDirectory, Tree};
use daybook_decide::backups::{Backup, History, tree_differences};
use daybook_decide::text::{plural, size};
use daybook_model::backup::{Holding, Made, Proof, TreeFacts};
use daybook_model::observed::ReplicaState;
use daybook_model::spec::{MountSource, Service};
use daybook_model::{Actor, BackupId, EnvKey, Event, Release, ReplicaId, ServiceName, Spec, VolumeName};
use daybook_runtime::Exchange;
use daybook_runtime::volume_files::{Taken, remove_tree};
use uuid::Uuid;

use super::drill::{Wrong, of_repository};
use super::operations::Operation;
use super::pipe;
use super::place::Place;
use super::repository::{Home, blocking, made, refused};
use super::restore::Wanted;
use super::save::about;
use crate::App;
use crate::error::ApiError;

/// How long a command before or after a backup may take.
const HOOK_WITHIN: Duration = Duration::from_secs(600);
/// Where scratch directories of drills are, in the state directory.
const DRILLS: &str = "drills";

/// What helps where nobody can tell how far an exchange got that was carried out elsewhere.
pub(super) const UNSETTLED: &str = "what uses it stays stopped: start the server anew once the cluster answers, which \
                                    brings the restore to its end";

/// What was read of a volume.
struct Read {
    saved: SavedDirectory,
    tree: Tree,
    /// Files that changed meanwhile, in words.
    changed: Option<String>,
}

impl App {
    /// Where a volume is on this machine. `None`: it is elsewhere.
    pub(super) async fn volume_directory(&self, spec: &Spec, name: &VolumeName) -> Result<Option<PathBuf>, ApiError> {
        let missing = || ApiError::not_found(format!("{} has no volume `{name}`", spec.key));
        let volume = spec.volumes.get(name).ok_or_else(missing)?;
        Ok(self.inner.runtime.volume_directory(&spec.key, name, volume).await?)
    }

    /// Reads a volume, with what is to be run before and after.
    pub(super) async fn save_volume(
        &self,
        release: &Release,
        name: &VolumeName,
        operation: &Operation,
        home: &Home,
    ) -> Result<Made, ApiError> {
        let of = Holding::Volume(name.clone());
        of_files(&release.spec, name)?;
        let there = self.place_of(&release.spec, name, operation.id).await?;
        let (before, after) = hooks(&release.spec, &of);
        let mut remarks = Vec::new();
        let place = match before.is_empty() && after.is_empty() {
            true => None,
            false => self.where_it_is_used(&release.spec, name).await?,
        };
        if place.is_none() && !before.is_empty() {
            remarks.push("`before` was not run: nothing that uses it runs".to_owned());
        }
        let key = &release.spec.key;
        operation.note("runs `before`");
        let saved = match self.run_hook(key, place.as_ref(), before, "before").await {
            Ok(()) => {
                Box::pin(self.read_volume(&there, about(key, &of, operation.id, self.now()), operation, home)).await
            }
            Err(error) => Err(error),
        };
        operation.note("runs `after`");
        let freed = self.run_hook(key, place.as_ref(), after, "after").await;
        self.clear_far(&there).await;
        let Read { saved, tree, changed } = match (saved, freed) {
            (Ok(saved), Ok(())) => saved,
            (Ok(saved), Err(error)) => {
                remarks.push(error.0.message);
                saved
            }
            (Err(error), Ok(())) => return Err(error),
            (Err(mut error), Err(freed)) => {
                error.0.message = format!("{}; {}", error.0.message, freed.0.message);
                return Err(error);
            }
        };
        remarks.extend(changed);
        Ok(Made { tree: Some(facts(tree)), remarks, ..made(&saved.snapshot) })
    }

    /// Saves what a volume holds: read where it is, or here after it was copied.
    async fn read_volume(
        &self,
        there: &Place<'_>,
        about: About,
        operation: &Operation,
        home: &Home,
    ) -> Result<Read, ApiError> {
        let taken = match there.far() {
            Some(far) => self.take_far(far, operation).await?,
            None => Taken::default(),
        };
        operation.note("reads every file that has changed");
        let directory = there.read().to_owned();
        let read = directory.clone();
        let saving = home.make(move |repository| {
            let saved = repository.save_directory(&about, &read)?;
            let tree = repository.tree_of(&saved.snapshot.id)?;
            Ok((saved, tree))
        });
        let (saved, tree) = saving.await?.map_err(|error| refused(&error))?;
        let changed = match taken.first_changed {
            Some(first) => Some(changed_words(taken.changed, &first)),
            None => saved
                .first_changed
                .as_ref()
                .map(|first| changed_words(saved.changed, first.strip_prefix(&directory).unwrap_or(first))),
        };
        Ok(Read { saved, tree, changed })
    }

    /// Runs the command that is to follow a backup, after a server has ended in its midst.
    pub(super) async fn let_go_after_kill(&self, release: &Release, name: &VolumeName) {
        let (_, after) = hooks(&release.spec, &Holding::Volume(name.clone()));
        if after.is_empty() {
            return;
        }
        let key = &release.spec.key;
        let run = async {
            let place = self.where_it_is_used(&release.spec, name).await?;
            self.run_hook(key, place.as_ref(), after, "after").await
        };
        if let Err(error) = run.await {
            tracing::warn!(%key, volume = %name, error = %error.0.message, "`after` of a backup that was broken off");
        }
    }

    /// A running replica of a service that has the volume.
    async fn where_it_is_used(&self, spec: &Spec, name: &VolumeName) -> Result<Option<ReplicaId>, ApiError> {
        let users = users(spec, name);
        let seen = self.inner.runtime.observe(&spec.key).await?;
        let running = |seen: &daybook_model::SeenReplica| seen.state == ReplicaState::Running;
        let found = seen.replicas.into_iter().find(|seen| running(seen) && users.contains(&seen.id.service));
        Ok(found.map(|seen| seen.id))
    }

    async fn run_hook(
        &self,
        key: &EnvKey,
        place: Option<&ReplicaId>,
        command: &[String],
        which: &str,
    ) -> Result<(), ApiError> {
        let Some((place, program)) = place.zip(command.first()) else { return Ok(()) };
        let ran = async {
            let exec = self.run_beside(key, place, command.to_vec()).await.map_err(|error| error.0.message)?;
            pipe::finish(exec, program).await
        };
        let ran = tokio::time::timeout(HOOK_WITHIN, ran).await;
        let ran = ran.unwrap_or_else(|_| Err(format!("{program} did not end within {} s", HOOK_WITHIN.as_secs())));
        ran.map_err(|why| ApiError::invalid(format!("`{which}` failed in {place}: {why}")))
    }

    /// Restores a backup of a volume into a scratch directory, and compares everything.
    pub(super) async fn prove_volume(
        &self,
        backup: &Backup,
        home: &Home,
        operation: &Operation,
    ) -> Result<Proof, Wrong> {
        let made = backup.made().ok_or_else(|| ApiError::invalid("it is no backup"))?;
        let rpo_ms = self.now().as_millisecond() - made.as_of.as_millisecond();
        self.refuse_without_room(&self.inner.state, made.size_bytes)?;
        let scratch = self.scratch_directory(operation.id);
        restore_beside(home, made, &scratch, operation).await?;
        // Everything is there: whoever would need it could have it from here on.
        let rto_ms = operation.took_ms();
        let tree = compare(home, made, &scratch, operation).await?;
        let checks = vec![format!("restored {}", size(tree.bytes)), as_they_were(&tree)];
        Ok(Proof { rpo_ms: u64::try_from(rpo_ms).unwrap_or(0), rto_ms, checks })
    }

    fn scratch_directory(&self, drill: BackupId) -> PathBuf {
        self.inner.state.join(DRILLS).join(drill.to_string())
    }

    /// Removes what a drill of a volume has restored. Not there is fine.
    pub(super) async fn clear_scratch_directory(&self, drill: BackupId) -> Result<(), ApiError> {
        let scratch = self.scratch_directory(drill);
        on_disk("remove what a drill has restored", move || remove_tree(&scratch)).await
    }

    /// What a restore of a volume would do.
    pub(super) async fn steps_of_volume(&self, wanted: &Wanted, name: &VolumeName) -> Result<Vec<String>, ApiError> {
        let there = self.place_of(&wanted.release.spec, name, wanted.backup.id).await?;
        let bytes = size(wanted.made.tree.as_ref().map_or(wanted.made.size_bytes, |tree| tree.bytes));
        let stopped: Vec<_> = running_users(&wanted.release.spec, name).iter().map(ToString::to_string).collect();
        let stopped = match stopped.is_empty() {
            true => "put it in its place".to_owned(),
            false => format!("stop {0}, put it in its place, and start {0} again", stopped.join(", ")),
        };
        Ok(vec![
            match wanted.without_backup {
                false => format!("back {} up as it is now", wanted.of),
                true => "make no backup before".to_owned(),
            },
            match there.far() {
                None => format!("restore {bytes} beside it, and compare every file with what was saved"),
                Some(_) => {
                    format!("restore {bytes} here, compare every file with what was saved, and copy them beside it")
                }
            },
            format!("{stopped}; the one before stays in {}", there.aside()),
        ])
    }

    /// Puts a backup of a volume in place of what the volume holds. Nobody else may plan meanwhile.
    pub(super) async fn restore_volume(
        &self,
        wanted: &Wanted,
        name: &VolumeName,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let spec = &wanted.release.spec;
        let there = self.place_of(spec, name, operation.id).await?;
        let restored = Box::pin(self.restore_into(&there, wanted, name, operation, actor)).await;
        self.clear_far(&there).await;
        restored
    }

    async fn restore_into(
        &self,
        there: &Place<'_>,
        wanted: &Wanted,
        name: &VolumeName,
        operation: &Operation,
        actor: &Actor,
    ) -> Result<Vec<String>, ApiError> {
        let spec = &wanted.release.spec;
        self.refuse_without_room(self.room_of(there), wanted.made.size_bytes)?;
        self.clear_fresh(there).await?;
        let restored = self.restore_to(there, &wanted.home, &wanted.made, operation);
        let tree = match restored.await {
            Ok(tree) => tree,
            Err(wrong) => {
                // The volume itself was not touched.
                let _ = self.clear_fresh(there).await;
                let hint = "the volume is as it was; `daybook backup ls` shows what is proven";
                return Err(ApiError::from(wrong).hint(hint));
            }
        };
        let stopped = running_users(spec, name);
        let exchanged = async {
            if !stopped.is_empty() {
                operation.note("stops what uses it");
                let event = Event::StoppedToRestore {
                    of: wanted.of.clone(),
                    backup: wanted.backup.id,
                    services: stopped.clone(),
                };
                self.note_backup(&spec.key, actor, event).await?;
                let reason = format!("stop for a restore of {}", wanted.of);
                self.set_stopped(&spec.key, &stopped, true, &reason, actor).await?;
            }
            operation.note("puts it in its place");
            self.exchange(there).await
        };
        let exchanged = match exchanged.await {
            // Whether it was carried out over there is not known: it is brought to an end, and that tells it.
            Err(error) if there.far().is_some() => match self.settle_exchange(there).await {
                Ok(Exchange::Done) => Ok(()),
                Ok(Exchange::Undone) => Err(error),
                Err(unsettled) => {
                    let message = format!("{}; how far it got is not known: {}", error.0.message, unsettled.0.message);
                    return Err(ApiError::new(ErrorCode::Unavailable, message).hint(UNSETTLED));
                }
            },
            exchanged => exchanged,
        };
        operation.note("starts what uses it");
        let started = self.start_again(&spec.key, &wanted.of, &stopped, actor).await;
        exchanged?;
        started.map_err(|mut error| {
            let message = error.0.message;
            error.0.message = format!("{} is restored, but what uses it does not run: {message}", wanted.of);
            error
        })?;
        let mut said = vec![as_they_were(&tree)];
        if !stopped.is_empty() {
            let names: Vec<_> = stopped.iter().map(ToString::to_string).collect();
            said.push(format!("{} started again", names.join(", ")));
        }
        said.push(format!("the one before is {}, until the next restore", there.aside()));
        Ok(said)
    }

    /// Restores a backup beside what a volume holds, compares it with what was saved, and gets it to where the volume is.
    async fn restore_to(
        &self,
        there: &Place<'_>,
        home: &Home,
        made: &Made,
        operation: &Operation,
    ) -> Result<TreeFacts, Wrong> {
        restore_beside(home, made, there.fresh(), operation).await?;
        let tree = compare(home, made, there.fresh(), operation).await?;
        self.lay(there, there.fresh(), operation).await?;
        Ok(tree)
    }

    /// Fills a volume, which nobody uses yet, with what another was when a backup was made. Gives what was done, in words.
    pub(super) async fn fill_volume(
        &self,
        to: &Spec,
        name: &VolumeName,
        home: &Home,
        made: &Made,
        operation: &Operation,
    ) -> Result<String, ApiError> {
        let there = self.place_of(to, name, operation.id).await?;
        self.refuse_without_room(self.room_of(&there), made.size_bytes)?;
        let filled = async {
            let tree = self.restore_to(&there, home, made, operation).await?;
            self.exchange(&there).await?;
            Ok::<_, ApiError>(tree)
        };
        let filled = filled.await;
        self.clear_far(&there).await;
        let tree = filled?;
        if let Place::Here(beside) = there {
            on_disk("remove what was there before", move || remove_tree(&beside.aside)).await?;
        }
        Ok(format!("{name}: {}", as_they_were(&tree)))
    }

    async fn start_again(
        &self,
        key: &EnvKey,
        of: &Holding,
        services: &BTreeSet<ServiceName>,
        actor: &Actor,
    ) -> Result<(), ApiError> {
        if services.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = services.iter().map(ToString::to_string).collect();
        let started = self.set_stopped(key, services, false, &format!("start after a restore of {of}"), actor).await;
        started.map_err(|error| error.hint(format!("daybook start {} -e {}", names.join(" "), key.env)))
    }

    /// Brings a restore to its end, or takes it back, that a server before this one has begun.
    pub(super) async fn settle_restore(
        &self,
        key: &EnvKey,
        of: &Holding,
        history: &History,
        actor: &Actor,
    ) -> Result<(), ApiError> {
        let Holding::Volume(name) = of else { return Ok(()) };
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(()) };
        let broken_off = history.stopped.as_ref().filter(|stopped| stopped.at < self.inner.started_at);
        let planning = self.planning(key);
        // Whoever restores holds this, or plans something else: it is tried again.
        let Ok(_planning) = planning.try_lock() else {
            return Err(ApiError::new(ErrorCode::Locked, format!("something else is planned for {key}")));
        };
        let id = broken_off.map_or(BackupId(Uuid::nil()), |stopped| stopped.backup);
        let there = match (self.place_of(&release.spec, name, id).await, broken_off) {
            (Ok(there), _) => there,
            (Err(_), None) => return Ok(()),
            (Err(error), Some(_)) => return Err(error),
        };
        let Some(stopped) = broken_off else { return self.clear_fresh(&there).await };
        // The run that stops them goes on first.
        self.refuse_if_locked(key).await?;
        let settled = self.settle_exchange(&there).await?;
        self.start_again(key, of, &stopped.services, actor).await?;
        let what = match settled {
            Exchange::Done => "restored; the server ended meanwhile",
            Exchange::Undone => "not restored: the server ended meanwhile; it holds what it held",
        };
        let event = Event::Restored { of: of.clone(), backup: stopped.backup, what: what.to_owned() };
        self.note_backup(key, actor, event).await
    }
}

/// Restores the directory of a backup.
async fn restore_beside(home: &Home, made: &Made, to: &Path, operation: &Operation) -> Result<(), Wrong> {
    operation.note("restores");
    let to = to.to_owned();
    with_snapshot(home, made, move |repository, snapshot| {
        private(to.parent().unwrap_or(&to)).map_err(|why| daybook_backup::Error::Destination { why })?;
        repository.restore_directory(snapshot, &to).map(drop)
    })
    .await
}

/// Compares a restored directory with its backup, and that with what was counted when it was made.
async fn compare(home: &Home, made: &Made, with: &Path, operation: &Operation) -> Result<TreeFacts, Wrong> {
    operation.note("compares every file");
    let with = with.to_owned();
    let compared =
        with_snapshot(home, made, move |repository, snapshot| repository.compare_directory(snapshot, &with)).await?;
    let (has, mut differences) = (facts(compared.tree), compared.differences);
    if let Some(had) = &made.tree {
        differences.extend(tree_differences(had, &has));
    }
    if differences.is_empty() { Ok(has) } else { Err(Wrong::Backup(differences)) }
}

/// Works with the snapshot of a backup.
async fn with_snapshot<T: Send + 'static>(
    home: &Home,
    made: &Made,
    work: impl FnOnce(&Repository, &str) -> daybook_backup::Result<T> + Send + 'static,
) -> Result<T, Wrong> {
    let snapshot = made.snapshot.clone();
    match home.open(move |repository| Ok(work(repository, &snapshot))).await {
        Ok(Some(Ok(done))) => Ok(done),
        // That of the scratch directory: it says nothing of the backup.
        Ok(Some(Err(error))) if error.to_string().contains("No space left") => {
            Err(Wrong::Else(ApiError::new(ErrorCode::Unavailable, error.to_string())))
        }
        Ok(Some(Err(error @ daybook_backup::Error::Destination { .. }))) => Err(Wrong::Else(refused(&error))),
        Ok(Some(Err(error))) => Err(of_repository(error)),
        Ok(None) => Err(Wrong::Backup(vec![format!("there is no repository in {}", home.shown)])),
        // A password that does not open it would not open it when it is needed either.
        Err(error) if error.0.code == ErrorCode::Invalid => Err(Wrong::Backup(vec![error.0.message])),
        Err(error) => Err(Wrong::Else(error)),
    }
}

/// A directory for what is nobody's business but the server's, unless there is one.
pub(super) fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) async fn on_disk<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    blocking(work).await?.map_err(|error| {
        ApiError::new(ErrorCode::Unavailable, format!("{what}: {error}")).hint("look at the disk and its permissions")
    })
}

/// Refuses a volume that holds the files of a database that Daybook runs: those are of no one state.
pub(super) fn of_files(spec: &Spec, name: &VolumeName) -> Result<(), ApiError> {
    let users = users(spec, name);
    match spec.databases.iter().find(|(_, database)| users.iter().any(|user| database.is_run_by(user))) {
        None => Ok(()),
        Some((database, _)) => {
            let message = format!("the volume `{name}` has the files of the database `{database}`, which is backed up");
            Err(ApiError::invalid(message).hint(format!("daybook backup create {database}")))
        }
    }
}

pub(super) fn mounts(service: &Service, volume: &VolumeName) -> bool {
    let of_it = |source: &MountSource| matches!(source, MountSource::Volume { name, .. } if name == volume);
    service.container.mounts.iter().any(|mount| of_it(&mount.source))
}

/// Services that have a volume.
fn users(spec: &Spec, volume: &VolumeName) -> BTreeSet<ServiceName> {
    let all = spec.services.values().filter(|service| mounts(service, volume));
    all.map(|service| service.name.clone()).collect()
}

/// Of those, the ones that are not stopped.
fn running_users(spec: &Spec, volume: &VolumeName) -> BTreeSet<ServiceName> {
    let all = spec.services.values().filter(|service| mounts(service, volume) && !service.stopped);
    all.map(|service| service.name.clone()).collect()
}

fn hooks<'s>(spec: &'s Spec, of: &Holding) -> (&'s [String], &'s [String]) {
    spec.backup_policy(of).map_or((&[], &[]), |policy| (&policy.before, &policy.after))
}

fn facts(tree: Tree) -> TreeFacts {
    let Tree { files, directories, others, bytes, sum } = tree;
    TreeFacts { files, directories, others, bytes, sum }
}

fn changed_words(changed: u64, first: &Path) -> String {
    let (files, were) = (plural(changed, "file"), if changed == 1 { "it was" } else { "they were" });
    let first = first.display();
    format!("{files} changed while {were} read, {first} first; `before` and `after` can hold its writer still")
}

/// What a volume holds, in words.
pub(super) fn tree_words(tree: &TreeFacts) -> String {
    let directories = match tree.directories {
        1 => "1 directory".to_owned(),
        more => format!("{more} directories"),
    };
    let links = (tree.others > 0).then(|| plural(tree.others, "link"));
    let all = [Some(plural(tree.files, "file")), Some(directories), links];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn as_they_were(tree: &TreeFacts) -> String {
    format!("as they were: {}, every byte of them", tree_words(tree))
}
