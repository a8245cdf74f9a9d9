//! Named volumes.

use daybook_model::name::{EnvKey, VolumeName};
use daybook_model::spec::Volume;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Surroundings, meta, resource_annotations};
use crate::names;

/// What a volume may hold where the manifest does not say it (`driver_opts: {size: 50Gi}`).
const USUAL_SIZE: &str = "10Gi";

/// The claim of a volume.
pub(crate) fn claim(key: &EnvKey, name: &VolumeName, volume: &Volume, around: &Surroundings) -> PersistentVolumeClaim {
    let size = volume.size.map(|bytes| bytes.to_string()).or_else(|| volume.driver_opts.get("size").cloned());
    let mode = if volume.shared { "ReadWriteMany" } else { "ReadWriteOnce" };
    let called = volume.outside_name.clone().unwrap_or_else(|| names::resource(name.as_str()));
    let annotations = resource_annotations(key, name.as_str(), around, &volume.labels);
    PersistentVolumeClaim {
        metadata: meta(around, &called, around.of_environment(key), annotations),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![mode.to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(
                    [("storage".to_owned(), Quantity(size.unwrap_or_else(|| USUAL_SIZE.to_owned())))].into(),
                ),
                limits: None,
            }),
            storage_class_name: volume.driver.clone().filter(|driver| driver != "local"),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
