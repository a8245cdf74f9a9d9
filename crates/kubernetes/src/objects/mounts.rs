//! What is mounted into a replica.

use daybook_model::Launch;
use daybook_model::launch::LaunchFile;
use daybook_model::spec::{Mount, MountSource};
use daybook_runtime::Result;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};

use super::Surroundings;
use super::container::quantity;
use super::files::{file_key, is_text};
use crate::{names, refused};

/// Volumes of a pod, and where its container sees them.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub(super) volumes: Vec<Volume>,
    pub(super) inside: Vec<VolumeMount>,
}

pub(super) fn mounts(launch: &Launch, around: &Surroundings) -> Result<Mounts> {
    let mut all = Mounts::default();
    for (index, mount) in launch.container.mounts.iter().enumerate() {
        all.mount(launch, index, mount)?;
    }
    if let Some(size) = launch.container.options.shm_size {
        let target = Mount {
            target: "/dev/shm".to_owned(),
            source: MountSource::Tmpfs { size: Some(size), mode: None },
            read_only: false,
        };
        all.mount(launch, launch.container.mounts.len(), &target)?;
    }
    all.files(launch, around, "secrets", false);
    all.files(launch, around, "texts", true);
    Ok(all)
}

/// What a volume of a launch is called in the cluster.
pub(crate) fn claim_name(launch: &Launch, name: &daybook_model::VolumeName) -> String {
    launch.outside.volumes.get(name).cloned().unwrap_or_else(|| names::resource(name.as_str()))
}

impl Mounts {
    fn mount(&mut self, launch: &Launch, index: usize, mount: &Mount) -> Result<()> {
        let name = format!("mount-{index}");
        let mut volume = Volume { name: name.clone(), ..Volume::default() };
        let mut inside = VolumeMount {
            name,
            mount_path: mount.target.clone(),
            read_only: mount.read_only.then_some(true),
            ..VolumeMount::default()
        };
        match &mount.source {
            MountSource::Volume { name, subpath, .. } => {
                inside.sub_path.clone_from(subpath);
                let claim_name = claim_name(launch, name);
                volume.persistent_volume_claim =
                    Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None });
            }
            MountSource::Anonymous => volume.empty_dir = Some(EmptyDirVolumeSource::default()),
            MountSource::Tmpfs { size, .. } => {
                let medium = Some("Memory".to_owned());
                let size_limit = size.map(quantity);
                volume.empty_dir = Some(EmptyDirVolumeSource { medium, size_limit, ..EmptyDirVolumeSource::default() });
            }
            MountSource::Bind { path, create, propagation, .. } => {
                inside.mount_propagation = propagated(launch, propagation.as_deref())?;
                let type_ = create.then(|| "DirectoryOrCreate".to_owned());
                volume.host_path = Some(HostPathVolumeSource { path: path.clone(), type_ });
            }
        }
        self.volumes.push(volume);
        self.inside.push(inside);
        Ok(())
    }

    /// Files from the replica's ConfigMap or Secret, each at its place.
    fn files(&mut self, launch: &Launch, around: &Surroundings, volume: &str, texts: bool) {
        let all: Vec<_> = launch.files.iter().enumerate().filter(|(_, file)| is_text(launch, file) == texts).collect();
        if all.is_empty() {
            return;
        }
        self.inside.extend(all.iter().map(|(index, file)| VolumeMount {
            name: volume.to_owned(),
            mount_path: file.target.clone(),
            sub_path: Some(file_key(*index)),
            read_only: Some(true),
            ..VolumeMount::default()
        }));
        let items = Some(all.iter().map(|(index, file)| item(*index, file)).collect());
        let name = around.beside(launch);
        let mut volume = Volume { name: volume.to_owned(), ..Volume::default() };
        if texts {
            volume.config_map = Some(ConfigMapVolumeSource { items, name, ..ConfigMapVolumeSource::default() });
        } else {
            let source = SecretVolumeSource { items, secret_name: Some(name), ..SecretVolumeSource::default() };
            volume.secret = Some(source);
        }
        self.volumes.push(volume);
    }
}

/// Files belong to root and the pod's group, so what the owner may read the group must be able to.
fn item(index: usize, file: &LaunchFile) -> KeyToPath {
    let mode = (file.mode | (file.mode & 0o500) >> 3) & 0o777;
    KeyToPath { key: file_key(index), path: file_key(index), mode: i32::try_from(mode).ok(), ..KeyToPath::default() }
}

fn propagated(launch: &Launch, written: Option<&str>) -> Result<Option<String>> {
    Ok(match written {
        None | Some("private" | "rprivate") => None,
        Some("rslave" | "slave") => Some("HostToContainer".to_owned()),
        Some("rshared" | "shared") => Some("Bidirectional".to_owned()),
        Some(other) => return Err(refused(launch, format!("`propagation: {other}` has no counterpart in Kubernetes"))),
    })
}
