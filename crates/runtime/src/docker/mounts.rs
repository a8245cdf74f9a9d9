//! What is mounted into a container.

use std::path::{Path, PathBuf};

use bollard::models::{
    Mount as Wanted, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType,
    MountVolumeOptions,
};
use daybook_model::Launch;
use daybook_model::launch::LaunchFile;
use daybook_model::spec::{Mount, MountSource};

use super::names;
use crate::{Error, ErrorKind, Result};

/// Mounts in the daemon's two notations. The second is only for SELinux labels, which the first
/// cannot express.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Mounts {
    pub(super) mounts: Vec<Wanted>,
    pub(super) binds: Vec<String>,
}

/// The mounts of a launch, with its secret files where they are kept.
pub(super) fn mounts(launch: &Launch, secrets: &[(PathBuf, &LaunchFile)], knows_subpath: bool) -> Result<Mounts> {
    let mut all = Mounts::default();
    for mount in &launch.container.mounts {
        match &mount.source {
            MountSource::Bind { path, selinux: Some(label), propagation, .. } => {
                all.binds.push(labelled_bind(mount, path, *label, propagation.as_deref())?);
            }
            _ => all.mounts.push(described(launch, mount, knows_subpath)?),
        }
    }
    all.mounts.extend(secrets.iter().map(|(path, file)| read_only_file(&path.to_string_lossy(), &file.target)));
    Ok(all)
}

/// What a volume of a launch is called in the daemon.
pub(super) fn volume_name(launch: &Launch, name: &daybook_model::VolumeName) -> String {
    let outside = launch.outside.volumes.get(name).map(String::as_str);
    names::resource(&launch.key, name.as_str(), outside)
}

/// Host directories that must be made because the manifest's short form does so: where nothing is yet.
pub(super) fn directories_to_make(launch: &Launch) -> impl Iterator<Item = &Path> {
    let wanted = launch.container.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { path, create: true, .. } => Some(Path::new(path)),
        _ => None,
    });
    wanted.filter(|path| !path.exists())
}

fn described(launch: &Launch, mount: &Mount, knows_subpath: bool) -> Result<Wanted> {
    let plain =
        Wanted { target: Some(mount.target.clone()), read_only: mount.read_only.then_some(true), ..Default::default() };
    Ok(match &mount.source {
        MountSource::Volume { subpath: Some(subpath), .. } if !knows_subpath => {
            let message = "the daemon cannot mount a part of a volume";
            return Err(Error::new(ErrorKind::Refused, format!("mount {subpath} of a volume"), message)
                .hint("remove `subpath`, or upgrade to Docker Engine 26"));
        }
        MountSource::Volume { name, subpath, nocopy } => Wanted {
            typ: Some(MountType::VOLUME),
            source: Some(volume_name(launch, name)),
            volume_options: Some(MountVolumeOptions {
                no_copy: nocopy.then_some(true),
                subpath: subpath.clone(),
                ..Default::default()
            }),
            ..plain
        },
        MountSource::Anonymous => Wanted { typ: Some(MountType::VOLUME), ..plain },
        MountSource::Bind { path, propagation, .. } => Wanted {
            typ: Some(MountType::BIND),
            source: Some(path.clone()),
            bind_options: propagation.as_deref().map(bind_options).transpose()?,
            ..plain
        },
        MountSource::Tmpfs { size, mode } => Wanted {
            typ: Some(MountType::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: size.and_then(|size| i64::try_from(size).ok()),
                mode: mode.map(i64::from),
                ..Default::default()
            }),
            ..plain
        },
    })
}

fn bind_options(propagation: &str) -> Result<MountBindOptions> {
    use MountBindOptionsPropagationEnum as Known;
    let known = match propagation {
        "private" => Known::PRIVATE,
        "rprivate" => Known::RPRIVATE,
        "shared" => Known::SHARED,
        "rshared" => Known::RSHARED,
        "slave" => Known::SLAVE,
        "rslave" => Known::RSLAVE,
        other => {
            let operation = format!("mount with propagation {other:?}");
            return Err(Error::new(ErrorKind::Refused, operation, "it is not known")
                .hint("use private, rprivate, shared, rshared, slave or rslave"));
        }
    };
    Ok(MountBindOptions { propagation: Some(known), ..Default::default() })
}

/// `path:target:options`. A colon in a path would be read as the end of it.
fn labelled_bind(mount: &Mount, path: &str, label: char, propagation: Option<&str>) -> Result<String> {
    if path.contains(':') || mount.target.contains(':') {
        let message = "a path with a colon cannot be mounted with an SELinux label";
        return Err(Error::new(ErrorKind::Refused, format!("mount {path}"), message));
    }
    let access = if mount.read_only { "ro" } else { "rw" };
    let propagation = propagation.map(|word| format!(",{word}")).unwrap_or_default();
    Ok(format!("{path}:{}:{access},{label}{propagation}", mount.target))
}

fn read_only_file(path: &str, target: &str) -> Wanted {
    Wanted {
        typ: Some(MountType::BIND),
        source: Some(path.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(true),
        ..Default::default()
    }
}
