//! Volumes are directories; networks are only remembered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_model::Timestamp;
use daybook_model::name::{EnvKey, NetworkName, VolumeName};
use daybook_model::observed::ReplicaState;
use daybook_model::spec::Volume;

use super::layout::{Layout, names_in};
use super::observe;
use super::workdir::{self, outside_name, remove_tree};
use crate::files::{failed, make_directory};
use crate::{Error, ErrorKind, Result};

/// A removed volume can be brought back for so long.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Makes a volume unless it is there. One with a name of its own outside is a link to the directory
/// of that name; an external one must have that directory already.
pub(crate) fn create(layout: &Layout, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()> {
    let operation = || format!("make volume {name}");
    if volume.driver.as_deref().is_some_and(|driver| driver != "local") || !volume.driver_opts.is_empty() {
        let why = "the process runtime has no volume drivers: its volumes are directories";
        return Err(Error::new(ErrorKind::Refused, operation(), why).hint("mount a path of this machine instead"));
    }
    let path = layout.volume(key, name);
    let outside = volume.outside_name.clone().or_else(|| volume.external.then(|| name.to_string()));
    let Some(outside) = outside else {
        make_directory(&layout.volumes(key))?;
        return workdir::make_volume(&path, None);
    };
    let target = layout.outside_volume(&outside_name(&outside)?);
    if volume.external && !target.is_dir() {
        let why = format!("there is no external volume {outside}");
        return Err(Error::new(ErrorKind::NotFound, operation(), why).hint(format!("mkdir {}", target.display())));
    }
    make_directory(target.parent().expect("it is in the directory of such volumes"))?;
    workdir::make_volume(&target, None)?;
    make_directory(&layout.volumes(key))?;
    match std::os::unix::fs::symlink(&target, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("make", &path, &error)),
        _ => Ok(()),
    }
}

/// Where a volume is, made or not.
pub(crate) fn directory(layout: &Layout, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<PathBuf> {
    match volume.outside_name.clone().or_else(|| volume.external.then(|| name.to_string())) {
        Some(outside) => Ok(layout.outside_volume(&outside_name(&outside)?)),
        None => Ok(layout.volume(key, name)),
    }
}

/// Moves a volume to the tombstones, where it can be taken back from for seven days. Refused while a
/// replica that runs uses it. Of a volume with a name of its own only the link goes: others may use it.
pub(crate) fn remove(layout: &Layout, key: &EnvKey, name: &VolumeName) -> Result<()> {
    let path = layout.volume(key, name);
    let Ok(there) = fs::symlink_metadata(&path) else { return Ok(()) };
    if let Some(user) = user_of(layout, key, name)? {
        let why = format!("{user} runs and uses it");
        return Err(Error::new(ErrorKind::Conflict, format!("remove volume {name}"), why));
    }
    if there.is_symlink() {
        return fs::remove_file(&path).map_err(|e| failed("remove", &path, &e));
    }
    let tombstones = layout.tombstones();
    make_directory(&tombstones)?;
    // What the last restore has put aside goes along.
    for beside in [format!(".{name}.before"), format!(".{name}.restored")] {
        bury(&tombstones, key, &path.with_file_name(beside))?;
    }
    bury(&tombstones, key, &path)?;
    purge_tombstones(layout)
}

fn bury(tombstones: &Path, key: &EnvKey, path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{}-{}-{}-{name}", Timestamp::now().as_second(), key.app, key.env);
    match fs::rename(path, tombstones.join(unused(tombstones, &name))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Two removals within a second must not meet.
fn unused(tombstones: &Path, name: &str) -> String {
    let candidates = (0..).map(|number| if number == 0 { name.to_owned() } else { format!("{name}-{number}") });
    candidates.into_iter().find(|name| !tombstones.join(name).exists()).expect("numbers do not end")
}

/// Removes volumes that were removed more than seven days ago. A clock that went back removes
/// nothing; names that we did not make are left alone.
pub(crate) fn purge_tombstones(layout: &Layout) -> Result<()> {
    let now = Timestamp::now().as_second();
    for name in names_in(&layout.tombstones())? {
        let removed: Option<i64> = name.split('-').next().and_then(|seconds| seconds.parse().ok());
        if removed.is_some_and(|removed| now - removed > KEPT.as_secs().cast_signed()) {
            remove_tree(&layout.tombstones().join(name))?;
        }
    }
    Ok(())
}

fn user_of(layout: &Layout, key: &EnvKey, name: &VolumeName) -> Result<Option<String>> {
    let running = observe::environment(layout, key)?.replicas.into_iter();
    let running = running.filter(|seen| matches!(seen.state, ReplicaState::Running | ReplicaState::Restarting));
    for seen in running {
        let (record, _) = observe::one(layout, key, &seen.id, seen.role)?;
        if record.volumes.contains(name) {
            return Ok(Some(seen.id.to_string()));
        }
    }
    Ok(None)
}

/// Remembers that a network was made: processes of one machine need none to reach each other.
pub(crate) fn create_network(layout: &Layout, key: &EnvKey, name: &NetworkName) -> Result<()> {
    let path = layout.network(key, name);
    make_directory(&layout.networks(key))?;
    fs::write(&path, "").map_err(|e| failed("make", &path, &e))
}

/// Forgets a network.
pub(crate) fn remove_network(layout: &Layout, key: &EnvKey, name: &NetworkName) -> Result<()> {
    let path = layout.network(key, name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r16_a_removed_volume_can_be_taken_back_for_seven_days() {
        let state = tempfile::tempdir().unwrap();
        let layout = Layout::new(state.path()).unwrap();
        let key: EnvKey = "shop/production".parse().unwrap();
        let name: VolumeName = "data".parse().unwrap();
        for _ in 0..2 {
            create(&layout, &key, &name, &Volume::default()).unwrap();
            fs::write(layout.volume(&key, &name).join("file"), "kept").unwrap();
            remove(&layout, &key, &name).unwrap();
        }
        remove(&layout, &key, &name).unwrap();
        let kept = names_in(&layout.tombstones()).unwrap();
        assert_eq!(kept.len(), 2);
        assert_eq!(fs::read_to_string(layout.tombstones().join(&kept[0]).join("file")).unwrap(), "kept");

        let old = Timestamp::now().as_second() - KEPT.as_secs().cast_signed() - 1;
        fs::create_dir(layout.tombstones().join(format!("{old}-shop-production-old"))).unwrap();
        fs::create_dir(layout.tombstones().join("not-ours")).unwrap();
        purge_tombstones(&layout).unwrap();
        assert_eq!(names_in(&layout.tombstones()).unwrap().len(), 3, "two removed just now and a strange one");
    }

    #[test]
    fn a_volume_with_a_name_of_its_own_outlives_the_environment() {
        let state = tempfile::tempdir().unwrap();
        let layout = Layout::new(state.path()).unwrap();
        let key: EnvKey = "shop/production".parse().unwrap();
        let name: VolumeName = "data".parse().unwrap();
        let external = Volume { external: true, outside_name: Some("shared".into()), ..Volume::default() };
        assert_eq!(create(&layout, &key, &name, &external).unwrap_err().kind, ErrorKind::NotFound);
        create(&layout, &key, &name, &Volume { external: false, ..external.clone() }).unwrap();
        create(&layout, &key, &name, &external).unwrap();
        remove(&layout, &key, &name).unwrap();
        assert!(layout.outside_volume(&"shared".parse().unwrap()).is_dir());
        let bad = Volume { outside_name: Some("../../etc".into()), ..Volume::default() };
        assert_eq!(create(&layout, &key, &name, &bad).unwrap_err().kind, ErrorKind::Refused);
    }
}
