//! Where a volume is: in a directory of this machine, or elsewhere. What is elsewhere is here in a directory of its own for as
//! long as something is done with it.

use std::path::{Path, PathBuf};

use daybook_model::{BackupId, Spec, VolumeName};
use daybook_runtime::volume_files::{ASIDE, Taken, remove_tree};
use daybook_runtime::{Exchange, FarVolume};

use super::beside::Beside;
use super::operations::Operation;
use super::volume::{mounts, on_disk, private};
use crate::App;
use crate::error::ApiError;

/// Where those directories are, in the state directory.
const STAGING: &str = "staging";

/// Where a volume is, and what is restored of it until that is in its place.
pub(super) enum Place<'s> {
    /// On this machine.
    Here(Beside),
    /// Elsewhere.
    Far {
        /// The volume.
        volume: FarVolume<'s>,
        /// What it held, or is to hold.
        staging: PathBuf,
    },
}

impl<'s> Place<'s> {
    /// What is restored.
    pub(super) fn fresh(&self) -> &Path {
        match self {
            Self::Here(beside) => beside.fresh.as_path(),
            Self::Far { staging, .. } => staging.as_path(),
        }
    }

    /// Where what the volume holds is read.
    pub(super) fn read(&self) -> &Path {
        match self {
            Self::Here(beside) => beside.directory.as_path(),
            Self::Far { staging, .. } => staging.as_path(),
        }
    }

    /// Where what the volume held before the last restore is, in words.
    pub(super) fn aside(&self) -> String {
        match self {
            Self::Here(beside) => beside.aside.display().to_string(),
            Self::Far { .. } => format!("{ASIDE} in the volume"),
        }
    }

    /// A volume that is elsewhere, and its files here.
    pub(super) fn far(&self) -> Option<(&FarVolume<'s>, &Path)> {
        match self {
            Self::Here(_) => None,
            Self::Far { volume, staging } => Some((volume, staging.as_path())),
        }
    }
}

impl App {
    /// Where a volume is. What is done with one that is elsewhere is called `id`.
    pub(super) async fn place_of<'s>(
        &self,
        spec: &'s Spec,
        name: &'s VolumeName,
        id: BackupId,
    ) -> Result<Place<'s>, ApiError> {
        if let Some(directory) = self.volume_directory(spec, name).await? {
            return Ok(Place::Here(Beside::of(&directory)));
        }
        let missing = || ApiError::not_found(format!("{} has no volume `{name}`", spec.key));
        let volume = spec.volumes.get(name).ok_or_else(missing)?;
        let services = spec.services.values().map(Box::as_ref).filter(|service| mounts(service, name)).collect();
        let volume = FarVolume { key: &spec.key, name, volume, services };
        let staging = self.inner.state.join(STAGING).join(format!("{id}-{}-{name}", spec.key.env));
        Ok(Place::Far { volume, staging })
    }

    /// Where there must be room for what is restored.
    pub(super) fn room_of<'p>(&'p self, place: &'p Place<'_>) -> &'p Path {
        match place {
            Place::Here(beside) => &beside.parent,
            Place::Far { .. } => &self.inner.state,
        }
    }

    /// Copies what a volume holds that is elsewhere, so that it is in `fresh`.
    pub(super) async fn take_far(
        &self,
        (volume, staging): (&FarVolume<'_>, &Path),
        operation: &Operation,
    ) -> Result<Taken, ApiError> {
        operation.note(format!("copies {} from where it is", volume.name));
        let parent = self.inner.state.join(STAGING);
        on_disk("make a directory for its files", move || private(&parent)).await?;
        Ok(self.inner.runtime.take_volume(volume, staging).await?)
    }

    /// Gets files to where a volume is, beside what it holds. Of a volume that is here they are there already.
    pub(super) async fn lay(&self, place: &Place<'_>, files: &Path, operation: &Operation) -> Result<(), ApiError> {
        let Some((volume, _)) = place.far() else { return Ok(()) };
        operation.note(format!("copies {} to where it is", volume.name));
        Ok(self.inner.runtime.lay_volume(volume, files).await?)
    }

    /// Puts what was restored in the place of what a volume holds.
    pub(super) async fn exchange(&self, place: &Place<'_>) -> Result<(), ApiError> {
        match place {
            Place::Here(beside) => {
                let beside = beside.clone();
                on_disk("put what was restored in its place", move || beside.exchange()).await
            }
            Place::Far { volume, .. } => Ok(self.inner.runtime.exchange_volume(volume).await?),
        }
    }

    /// Ends an exchange that was broken off.
    pub(super) async fn settle_exchange(&self, place: &Place<'_>) -> Result<Exchange, ApiError> {
        match place {
            Place::Here(beside) => {
                let beside = beside.clone();
                on_disk("settle a restore that was broken off", move || beside.settle()).await
            }
            Place::Far { volume, .. } => Ok(self.inner.runtime.settle_volume(volume).await?),
        }
    }

    /// Removes what was restored and is not in its place, or the files of a volume that is elsewhere.
    pub(super) async fn clear_fresh(&self, place: &Place<'_>) -> Result<(), ApiError> {
        let fresh = place.fresh().to_owned();
        on_disk("remove files that are needed no more", move || remove_tree(&fresh)).await
    }

    /// The same for a volume that is elsewhere, whatever came of what was done with it.
    pub(super) async fn clear_far(&self, place: &Place<'_>) {
        if place.far().is_some()
            && let Err(error) = self.clear_fresh(place).await
        {
            tracing::warn!(error = %error.0.message, "files of a volume stay in the state directory until the next start");
        }
    }

    /// Removes what a server before this one has left of volumes that are elsewhere.
    pub(crate) async fn clear_staging(&self) {
        let staging = self.inner.state.join(STAGING);
        if let Err(error) = on_disk("remove files of volumes", move || remove_tree(&staging)).await {
            tracing::warn!(error = %error.0.message, "what a server before this one has left stays");
        }
    }
}
