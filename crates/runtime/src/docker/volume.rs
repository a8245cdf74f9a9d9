//! Named volumes of an environment.

use std::io;
use std::path::PathBuf;

use bollard::models::{Volume as Found, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};
use daybook_model::name::{EnvKey, VolumeName};
use daybook_model::spec::Volume;

use super::error::{failed, is_missing};
use super::network::{in_use, missing_external, name_label};
use super::{DockerRuntime, names};
use crate::identity::{Labels, filter, has_all, of_environment, of_resource};
use crate::{Error, ErrorKind, Result};

impl DockerRuntime {
    pub(super) async fn make_volume(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()> {
        if volume.external {
            let outside = volume.outside_name.as_deref().unwrap_or(name.as_str());
            return match self.inspect_volume(outside).await? {
                Some(_) => Ok(()),
                None => Err(missing_external("volume", outside)),
            };
        }
        let called = names::resource(key, name.as_str(), volume.outside_name.as_deref());
        let operation = format!("make volume {called}");
        if let Some(found) = self.inspect_volume(&called).await? {
            return self.ours(&operation, &found.labels, key, name.as_str());
        }
        let request = VolumeCreateRequest {
            name: Some(called.clone()),
            driver: volume.driver.clone(),
            driver_opts: Some(volume.driver_opts.clone().into_iter().collect()),
            labels: Some(of_resource(
                key,
                name.as_str(),
                volume.labels.clone().into_iter().chain(self.owners.labels()),
            )),
            ..Default::default()
        };
        // Creating a volume that is there succeeds and returns it: what it returned must be ours.
        let made = self.engine.docker.create_volume(request).await.map_err(|e| failed(operation.as_str(), &e))?;
        self.ours(&operation, &made.labels, key, name.as_str())
    }

    /// The directory of this machine that holds a volume.
    pub(super) async fn directory_of(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<PathBuf> {
        let called = match (&volume.outside_name, volume.external) {
            (outside, true) => outside.clone().unwrap_or_else(|| name.to_string()),
            (outside, false) => names::resource(key, name.as_str(), outside.as_deref()),
        };
        let operation = format!("find what volume {called} holds");
        let found = self.inspect_volume(&called).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, &operation, "there is no such volume").hint("`daybook up` makes it")
        })?;
        // What a driver or a mount brings along is there only while a container has it.
        if found.driver != "local" || !found.options.is_empty() {
            let message =
                format!("its driver is `{}`, or has options: it is no directory of Docker's own", found.driver);
            let hint = "back it up where it is kept, or use a volume without `driver` and `driver_opts`";
            return Err(Error::new(ErrorKind::Refused, operation, message).hint(hint));
        }
        let directory = PathBuf::from(&found.mountpoint);
        let beside = directory.parent().unwrap_or(&directory);
        match std::fs::read_dir(beside) {
            Ok(_) => Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("the engine keeps it at {}, which is not on this machine", found.mountpoint);
                let hint = "run the Daybook server on the machine of the engine";
                Err(Error::new(ErrorKind::Refused, operation, message).hint(hint))
            }
            Err(error) => {
                let message = format!("the engine keeps it at {}, which cannot be read: {error}", found.mountpoint);
                let hint = "run the Daybook server as a user who may read there: root, or the one of a rootless engine";
                Err(Error::new(ErrorKind::Refused, operation, message).hint(hint))
            }
        }
    }

    pub(super) async fn drop_volume(&self, key: &EnvKey, name: &VolumeName) -> Result<()> {
        for volume in self.volumes(&of_resource(key, name.as_str(), [])).await? {
            self.owners.refuse(&format!("remove volume {name}"), key, &volume.labels)?;
            let options = RemoveVolumeOptionsBuilder::default().force(false).build();
            match self.engine.docker.remove_volume(&volume.name, Some(options)).await {
                Ok(()) => {}
                Err(said) if is_missing(&said) => {}
                Err(said) => return Err(in_use(failed(format!("remove volume {}", volume.name), &said))),
            }
        }
        Ok(())
    }

    /// Names of the environment's volumes.
    pub(super) async fn volume_names(&self, key: &EnvKey) -> Result<Vec<VolumeName>> {
        let found = self.volumes(&of_environment(key)).await?;
        for volume in &found {
            self.owners.refuse("look at volumes", key, &volume.labels)?;
        }
        Ok(found.iter().filter_map(|volume| name_label(&volume.labels)).collect())
    }

    /// Volumes with all of these labels.
    pub(super) async fn volumes(&self, wanted: &Labels) -> Result<Vec<Found>> {
        let options = ListVolumesOptionsBuilder::default().filters(&filter(wanted)).build();
        let found = self.engine.docker.list_volumes(Some(options)).await.map_err(|e| failed("list volumes", &e))?;
        let found = found.volumes.unwrap_or_default();
        Ok(found.into_iter().filter(|volume| has_all(&volume.labels, wanted)).collect())
    }

    pub(super) async fn inspect_volume(&self, called: &str) -> Result<Option<Found>> {
        match self.engine.docker.inspect_volume(called).await {
            Ok(found) => Ok(Some(found)),
            Err(said) if is_missing(&said) => Ok(None),
            Err(said) => Err(failed(format!("look for volume {called}"), &said)),
        }
    }
}
